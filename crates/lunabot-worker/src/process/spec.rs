//! What to run and how, read from a command's arguments.

use super::env;
use crate::{
    args::{Args, wrong},
    commands::Cx,
    errors::Failure,
    text::python,
};
use lunabot_proto::{Dict, Value};
use nix::sys::signal::Signal;
use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

/// A program and its surroundings.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) program: Program,
    pub(crate) workdir: PathBuf,
    pub(crate) env: BTreeMap<OsString, OsString>,
    pub(crate) log_environ: bool,
    /// Written to standard input, which is then closed.
    pub(crate) stdin: Option<String>,
    pub(crate) pty: bool,
    /// A terminal was asked for, but text for standard input rules it out.
    pub(crate) pty_refused: bool,
    pub(crate) want_stdout: bool,
    /// What output and log files are written in; `None`: UTF-8.
    pub(crate) encoding: Option<&'static encoding_rs::Encoding>,
    pub(crate) want_stderr: bool,
    pub(crate) logfiles: Vec<LogFile>,
    /// `logfiles` as it was sent, for the header.
    pub(crate) logfiles_shown: String,
    /// Longest time without output.
    pub(crate) timeout: Option<Limit>,
    /// Longest time at all.
    pub(crate) max_time: Option<Limit>,
    pub(crate) max_lines: Option<u64>,
    /// Terminate first, and only after this long send `interrupt_signal`.
    pub(crate) sigterm_time: Option<Duration>,
    pub(crate) interrupt_signal: Signal,
}

/// A number of seconds, and how it was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Limit {
    pub(crate) shown: String,
    pub(crate) time: Duration,
}

/// A watched file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogFile {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// Leave out what was there before.
    pub(crate) follow: bool,
}

/// What is run: one line for the shell, or words that are passed on as they are.
#[derive(Debug, Clone)]
pub(crate) enum Program {
    /// `/bin/sh -c` with this line.
    Shell(Word),
    /// A program and its arguments; at least one word.
    Exec(Vec<Word>),
}

/// One word: its bytes, and what is shown for them if that differs (a secret).
#[derive(Debug, Clone)]
pub(crate) struct Word {
    pub(crate) real: Vec<u8>,
    pub(crate) shown: Option<String>,
}

impl Word {
    pub(crate) fn plain(text: impl Into<Vec<u8>>) -> Self {
        Self { real: text.into(), shown: None }
    }

    fn visible(&self) -> &[u8] {
        self.shown.as_ref().map_or(&self.real, |shown| shown.as_bytes())
    }
}

impl Program {
    /// A program whose words hold no secrets.
    pub(crate) fn exec<T: Into<Vec<u8>>>(words: impl IntoIterator<Item = T>) -> Self {
        Self::Exec(words.into_iter().map(Word::plain).collect())
    }

    /// First line of the header: the line itself, or the words quoted.
    pub(crate) fn display(&self) -> String {
        match self {
            Program::Shell(line) => String::from_utf8_lossy(line.visible()).into_owned(),
            Program::Exec(words) => {
                let quoted = |word: &Word| python::shell_quote(&String::from_utf8_lossy(word.visible()));
                words.iter().map(quoted).collect::<Vec<_>>().join(" ")
            }
        }
    }

    /// The `argv` of the header.
    pub(crate) fn repr(&self) -> String {
        match self {
            Program::Shell(line) => python::bytes_repr(line.visible()),
            Program::Exec(words) => {
                python::bytes_list_repr(&words.iter().map(Word::visible).collect::<Vec<_>>())
            }
        }
    }

    fn from_value(value: &Value) -> Result<Self, Failure> {
        match value {
            Value::Str(line) => Ok(Program::Shell(Word::plain(line.as_str()))),
            Value::Bytes(line) => Ok(Program::Shell(Word::plain(&line[..]))),
            Value::List(items) | Value::Tuple(items) if !items.is_empty() => {
                Ok(Program::Exec(items.iter().map(word).collect::<Result<_, _>>()?))
            }
            _ => Err(wrong("command", "text or a list with a program", value)),
        }
    }
}

/// Obfuscation is a tuple over PB; msgpack turns it into a list.
fn word(value: &Value) -> Result<Word, Failure> {
    match value {
        Value::Str(text) => Ok(Word::plain(text.as_str())),
        Value::Bytes(bytes) => Ok(Word::plain(&bytes[..])),
        Value::Int(_) | Value::Float(_) => Ok(Word::plain(python::repr(value))),
        Value::List(items) | Value::Tuple(items) => match items.as_slice() {
            [Value::Str(mark), Value::Str(real), Value::Str(shown)] if mark == "obfuscated" => {
                Ok(Word { real: real.clone().into(), shown: Some(shown.clone()) })
            }
            _ => Err(Failure::new("a list inside 'command' must be ('obfuscated', text, shown text)")),
        },
        Value::None | Value::Bool(_) | Value::Dict(_) => Err(wrong("command", "a list of text", value)),
    }
}

/// The encoding that the master names (row 13.016).
fn encoding(args: Args<'_>) -> Result<Option<&'static encoding_rs::Encoding>, Failure> {
    let Some(label) = args.text("output_encoding")? else { return Ok(None) };
    let known = encoding_rs::Encoding::for_label(label.as_bytes());
    known.map(Some).ok_or_else(|| Failure::new(format!("unknown output_encoding '{label}'")))
}

impl Spec {
    /// The arguments of `shell`.
    pub(crate) fn of_shell(cx: &Cx) -> Result<Self, Failure> {
        let args = Args(&cx.command.args);
        let program = Program::from_value(args.get("command").unwrap_or(&Value::None))?;
        let workdir = cx.paths.resolve(args.text_of(&["workdir"])?);
        let no_env = Dict::new();
        let env = match args.get("env") {
            Some(value) => value.as_dict().ok_or_else(|| wrong("env", "a map", value))?,
            None => &no_env,
        };
        let stdin = args.text("initial_stdin")?.map(str::to_owned);
        let pty = pty(&cx.command.args)?;
        Ok(Self {
            program,
            env: env::merge(&cx.env, env, &workdir)?,
            pty: pty && stdin.is_none(),
            pty_refused: pty && stdin.is_some(),
            stdin,
            want_stdout: args.flag("want_stdout", true),
            encoding: encoding(args)?,
            want_stderr: args.flag("want_stderr", true),
            logfiles: logfiles(args, &workdir)?,
            logfiles_shown: args.get("logfiles").map_or_else(|| "{}".to_owned(), python::repr),
            max_lines: args.count("max_lines")?.filter(|lines| *lines > 0),
            sigterm_time: args.seconds("sigtermTime")?.map(Duration::from_secs_f64),
            interrupt_signal: signal(args.text("interruptSignal")?),
            ..Self::limits(args, workdir, None)?
        })
    }

    /// A program of the worker itself, with the limits that `args` set.
    pub(crate) fn of_program(cx: &Cx, program: Program, timeout: Limit) -> Result<Self, Failure> {
        let args = Args(&cx.command.args);
        let workdir = cx.paths.basedir().to_owned();
        let env = env::merge(&cx.env, &Dict::new(), &workdir)?;
        Ok(Self { program, env, ..Self::limits(args, workdir, Some(timeout))? })
    }

    /// Defaults and what all programs share; `timeout` holds where none is given.
    fn limits(args: Args<'_>, workdir: PathBuf, timeout: Option<Limit>) -> Result<Self, Failure> {
        let asked = limit(args, "timeout")?;
        Ok(Self {
            program: Program::Exec(Vec::new()),
            workdir,
            env: BTreeMap::new(),
            log_environ: args.flag("logEnviron", true),
            stdin: None,
            pty: false,
            pty_refused: false,
            want_stdout: true,
            encoding: None,
            want_stderr: true,
            logfiles: Vec::new(),
            logfiles_shown: "{}".to_owned(),
            timeout: if args.0.get("timeout").is_some() { asked } else { timeout },
            max_time: limit(args, "maxTime")?,
            max_lines: None,
            sigterm_time: None,
            interrupt_signal: Signal::SIGKILL,
        })
    }
}

/// None and 0 are no limit.
fn limit(args: Args<'_>, key: &str) -> Result<Option<Limit>, Failure> {
    let Some(seconds) = args.seconds(key)?.filter(|seconds| *seconds > 0.0) else { return Ok(None) };
    // Longer than anyone waits, and short enough to add to the clock.
    let time = Duration::from_secs_f64(seconds.min(1e9));
    Ok(Some(Limit { shown: python::repr(args.0.get(key).unwrap_or(&Value::None)), time }))
}

/// Unlike elsewhere, none is not the same as absent.
fn pty(args: &Dict) -> Result<bool, Failure> {
    match args.get("usePTY") {
        None => Ok(false),
        Some(Value::Bool(pty)) => Ok(*pty),
        Some(Value::Int(number @ 0..=1)) => Ok(*number == 1),
        Some(value) => {
            let shown = python::repr(value);
            Err(Failure::new(format!("Unexpected usePTY argument value: {shown}. Expected boolean.")))
        }
    }
}

/// An unknown name means KILL: the command must end.
fn signal(name: Option<&str>) -> Signal {
    let name = name.unwrap_or("KILL");
    format!("SIG{}", name.trim_start_matches("SIG")).parse().unwrap_or(Signal::SIGKILL)
}

fn logfiles(args: Args<'_>, workdir: &Path) -> Result<Vec<LogFile>, Failure> {
    let Some(value) = args.get("logfiles") else { return Ok(Vec::new()) };
    let dict = value.as_dict().ok_or_else(|| wrong("logfiles", "a map", value))?;
    let file = |(name, value): (&str, &Value)| {
        let (filename, follow) = match value {
            Value::Str(filename) => (Some(filename.as_str()), false),
            Value::Dict(options) => (Args(options).text("filename")?, Args(options).flag("follow", false)),
            _ => (None, false),
        };
        let filename = filename.ok_or_else(|| wrong("logfiles", "a map of names to files", value))?;
        Ok(LogFile { name: name.to_owned(), path: workdir.join(filename), follow })
    };
    dict.iter().map(file).collect()
}
