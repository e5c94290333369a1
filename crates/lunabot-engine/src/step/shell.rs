//! The options of steps that run a command (reference 05.043–05.045, 05.048, 05.049).

use super::base::shared;
use super::{StepError, params::given};
use lunabot_model::from_lua::hole_in;
use lunabot_model::kinds::commands::SELF;
use lunabot_model::{Duration, Json, Problem, Renderable, Results, spliced};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error as _, MapAccess};
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Seconds without output after which a command is killed, where `timeout` says nothing.
pub const DEFAULT_TIMEOUT: f64 = 1200.0;

/// A program with its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum CommandLine {
    /// For the worker's shell.
    Text(String),
    /// Run without a shell. Lists inside it were flattened, `false` items dropped (lua-api § 1).
    Words(Vec<String>),
    /// The same, with words that are shown as something else (`util.Obfuscated`, 04.041).
    Obfuscated(Vec<Word>),
}

/// A word of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Word {
    /// What the program gets.
    pub real: String,
    /// What logs and texts show in its place.
    pub fake: Option<String>,
}

impl Word {
    /// What people see of it.
    pub fn shown(&self) -> &str {
        self.fake.as_ref().unwrap_or(&self.real)
    }
}

impl<'de> Deserialize<'de> for CommandLine {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match Json::deserialize(d)? {
            Json::String(text) => Ok(CommandLine::Text(text)),
            Json::Array(items) => {
                let words = spliced(&items).into_iter().map(word).collect::<Result<Vec<_>, _>>();
                let words = words.map_err(D::Error::custom)?;
                Ok(if words.iter().any(|word| word.fake.is_some()) {
                    CommandLine::Obfuscated(words)
                } else {
                    CommandLine::Words(words.into_iter().map(|word| word.real).collect())
                })
            }
            Json::Object(map) if map.is_empty() => Ok(CommandLine::Words(Vec::new())),
            other => {
                let hole = other.as_object().and_then(hole_in);
                let text = || format!("expected a text or a list of texts, not {other}");
                Err(D::Error::custom(hole.unwrap_or_else(text)))
            }
        }
    }
}

fn word(item: &Json) -> Result<Word, String> {
    match item {
        Json::String(real) => Ok(Word { real: real.clone(), fake: None }),
        Json::Object(map) if map.get(SELF).is_some_and(|kind| kind == "util.Obfuscated") => {
            let text = |name: &str| map.get(name).and_then(Json::as_str).map(str::to_string);
            let (Some(real), fake @ Some(_)) = (text("real"), text("fake")) else {
                return Err("util.Obfuscated needs two texts, the real one and the one shown".into());
            };
            Ok(Word { real, fake })
        }
        // As Python writes them (06.001): numbers of properties are arguments everywhere.
        Json::Number(_) | Json::Bool(true) => {
            Ok(Word { real: lunabot_model::percent::text(item), fake: None })
        }
        Json::Null => Err("a word of the command is nil: a property that is not set? \
                           util.Property(name, {default = …}) gives it a value"
            .into()),
        other => Err(format!("expected texts in a command, not {other}")),
    }
}

impl CommandLine {
    /// Whether there is nothing to run.
    pub fn is_empty(&self) -> bool {
        match self {
            CommandLine::Text(text) => text.is_empty(),
            CommandLine::Words(words) => words.is_empty(),
            CommandLine::Obfuscated(words) => words.is_empty(),
        }
    }

    /// How a step that runs it calls it: the first two words, quoted (05.023).
    pub fn summary(&self) -> String {
        let words: Vec<&str> = match self {
            CommandLine::Text(text) => text.split_whitespace().collect(),
            CommandLine::Words(words) => words.iter().map(String::as_str).collect(),
            CommandLine::Obfuscated(words) => words.iter().map(Word::shown).collect(),
        };
        match words[..] {
            [] => "'???'".into(),
            [one] => format!("'{one}'"),
            [one, two] => format!("'{one} {two}'"),
            [one, two, ..] => format!("'{one} {two} ...'"),
        }
    }
}

impl JsonSchema for CommandLine {
    fn schema_name() -> Cow<'static, str> {
        "CommandLine".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"type": "string"}, {"type": "array"}]})
    }
}

/// One entry of `logfiles`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Logfile {
    Path(String),
    Options {
        filename: String,
        /// Starts at the end that the file has when the command begins.
        #[serde(default)]
        follow: bool,
    },
}

/// A struct of options that has those of a command; made by [`crate::step_params!`] with `: shell`.
pub trait HasShell {
    fn shell_params(&self) -> ShellParams;

    /// The options with their defaults, once they are rendered.
    fn shell(&self) -> Result<ShellOptions, StepError> {
        self.shell_params().options()
    }
}

/// The options of a command, as written or rendered.
#[derive(Debug, Clone, Default, JsonSchema)]
pub struct ShellParams {
    /// The program: a list of words, or a text for the shell.
    pub command: Option<Renderable<CommandLine>>,
    /// One of every step.
    #[schemars(skip)]
    pub workdir: Option<Renderable<String>>,
    /// Environment variables; `util.null` removes one. Laid over the builder's.
    pub env: Option<Renderable<BTreeMap<String, Json>>>,
    /// Whether standard output is kept.
    #[schemars(extend("default" = true))]
    pub want_stdout: Option<Renderable<bool>>,
    /// Whether standard error is kept.
    #[schemars(extend("default" = true))]
    pub want_stderr: Option<Renderable<bool>>,
    /// Runs the program on a pseudo terminal.
    #[schemars(rename = "usePTY", extend("default" = false))]
    pub use_pty: Option<Renderable<bool>>,
    /// Files to follow while the program runs: log name → path, or `{filename=, follow=}`.
    pub logfiles: Option<Renderable<BTreeMap<String, Logfile>>>,
    /// Makes a log of `logfiles` only when it has content.
    #[schemars(extend("default" = false))]
    pub lazylogfiles: Option<Renderable<bool>>,
    /// Seconds without output after which the program is killed; `util.null`: never. Default 1200.
    #[schemars(extend("default" = 1200))]
    pub timeout: Option<Renderable<Option<Duration>>>,
    /// Seconds after which the program is killed; default: never.
    #[schemars(rename = "maxTime")]
    pub max_time: Option<Renderable<Option<Duration>>>,
    /// Lines of output after which the program is killed.
    pub max_lines: Option<Renderable<Option<i64>>>,
    /// Whether the environment is written into the log.
    #[schemars(rename = "logEnviron", extend("default" = true))]
    pub log_environ: Option<Renderable<bool>>,
    /// The signal that ends the program: `KILL`, `TERM` …
    #[schemars(rename = "interruptSignal", extend("default" = "KILL"))]
    pub interrupt_signal: Option<Renderable<String>>,
    /// Seconds between a first SIGTERM and `interruptSignal`.
    #[schemars(rename = "sigtermTime")]
    pub sigterm_time: Option<Renderable<Option<Duration>>>,
    /// Text for the program's standard input.
    #[schemars(rename = "initialStdin")]
    pub initial_stdin: Option<Renderable<Option<String>>>,
    /// Exit status → result; others are FAILURE.
    #[schemars(rename = "decodeRC")]
    pub decode_rc: Option<Renderable<BTreeMap<i64, Results>>>,
}

shared!(ShellParams {
    "command" => command,
    "env" => env,
    "want_stdout" => want_stdout,
    "want_stderr" => want_stderr,
    "usePTY" => use_pty,
    "logfiles" => logfiles,
    "lazylogfiles" => lazylogfiles,
    "maxTime" => max_time,
    "max_lines" => max_lines,
    "logEnviron" => log_environ,
    "interruptSignal" => interrupt_signal,
    "sigtermTime" => sigterm_time,
    "initialStdin" => initial_stdin,
    "decodeRC" => decode_rc,
    ; "timeout" => timeout,
});

/// What a worker may be told to end a program with: the names of Python's `signal`, without `SIG`.
const SIGNALS: &[&str] = &[
    "ABRT", "ALRM", "BREAK", "BUS", "CHLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "KILL", "PIPE", "POLL",
    "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG",
    "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
];

impl ShellParams {
    /// What types cannot say.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if given(&self.command).is_some_and(|command| command.is_empty()) {
            problems.push(Problem::new("command", "is empty: name a program"));
        }
        if let Some(signal) = given(&self.interrupt_signal)
            && !SIGNALS.contains(&signal.as_str())
        {
            let bare = signal.strip_prefix("SIG").filter(|bare| SIGNALS.contains(bare));
            let remedy = bare.map_or("write KILL, TERM, INT …".into(), |bare| format!("write {bare}"));
            problems.push(Problem::new("interruptSignal", format!("there is no signal {signal}; {remedy}")));
        }
        let times =
            [("timeout", &self.timeout), ("maxTime", &self.max_time), ("sigtermTime", &self.sigterm_time)];
        for (name, time) in times {
            if let Some(time) = given(time).flatten().filter(|time| time.0 < 0.0) {
                let told = format!("expected 0 seconds or more, got {}", time.0);
                problems.push(Problem::new(name, told));
            }
        }
        problems
    }

    /// The plain options. Only for rendered parameters; one that is not counts as not given.
    pub fn options(&self) -> Result<ShellOptions, StepError> {
        let defaults = ShellOptions::default();
        Ok(ShellOptions {
            command: given(&self.command),
            workdir: given(&self.workdir),
            env: given(&self.env).unwrap_or_default(),
            want_stdout: given(&self.want_stdout).unwrap_or(true),
            want_stderr: given(&self.want_stderr).unwrap_or(true),
            use_pty: given(&self.use_pty).unwrap_or(false),
            logfiles: given(&self.logfiles).unwrap_or_default(),
            lazylogfiles: given(&self.lazylogfiles).unwrap_or(false),
            timeout: given(&self.timeout).map_or(defaults.timeout, |t| t.map(Duration::secs)),
            max_time: given(&self.max_time).flatten().map(Duration::secs),
            max_lines: given(&self.max_lines).flatten(),
            log_environ: given(&self.log_environ).unwrap_or(true),
            interrupt_signal: given(&self.interrupt_signal).unwrap_or(defaults.interrupt_signal),
            sigterm_time: given(&self.sigterm_time).flatten().map(Duration::secs),
            initial_stdin: given(&self.initial_stdin).flatten(),
            decode_rc: given(&self.decode_rc).unwrap_or(defaults.decode_rc),
        })
    }
}

/// What a command is run with (05.043). A step changes its own copy freely before it makes a command of it.
#[derive(Debug, Clone, PartialEq)]
pub struct ShellOptions {
    /// `None` only for steps whose class brings its own commands.
    pub command: Option<CommandLine>,
    /// Below the builder's folder; `None`: the build's.
    pub workdir: Option<String>,
    /// A null value removes the variable, a list is joined by the worker's path separator.
    pub env: BTreeMap<String, Json>,
    pub want_stdout: bool,
    pub want_stderr: bool,
    pub use_pty: bool,
    pub logfiles: BTreeMap<String, Logfile>,
    pub lazylogfiles: bool,
    /// Seconds without output.
    pub timeout: Option<f64>,
    /// Seconds in all.
    pub max_time: Option<f64>,
    pub max_lines: Option<i64>,
    pub log_environ: bool,
    pub interrupt_signal: String,
    pub sigterm_time: Option<f64>,
    pub initial_stdin: Option<String>,
    pub decode_rc: BTreeMap<i64, Results>,
}

impl Default for ShellOptions {
    fn default() -> Self {
        ShellOptions {
            command: None,
            workdir: None,
            env: BTreeMap::new(),
            want_stdout: true,
            want_stderr: true,
            use_pty: false,
            logfiles: BTreeMap::new(),
            lazylogfiles: false,
            timeout: Some(DEFAULT_TIMEOUT),
            max_time: None,
            max_lines: None,
            log_environ: true,
            interrupt_signal: "KILL".into(),
            sigterm_time: None,
            initial_stdin: None,
            decode_rc: BTreeMap::from([(0, Results::Success)]),
        }
    }
}

impl ShellOptions {
    /// The defaults for one command.
    pub fn words<S: Into<String>>(words: impl IntoIterator<Item = S>) -> Self {
        let words = words.into_iter().map(Into::into).collect();
        ShellOptions { command: Some(CommandLine::Words(words)), ..ShellOptions::default() }
    }
}

/// Where the output of a command goes (05.045).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandOutput {
    pub collect_stdout: bool,
    pub collect_stderr: bool,
    /// The log for its output, made unless the step has one of that name; `None`: no log.
    pub stdio_log_name: Option<String>,
}

impl Default for CommandOutput {
    fn default() -> Self {
        CommandOutput { collect_stdout: false, collect_stderr: false, stdio_log_name: Some("stdio".into()) }
    }
}

impl CommandOutput {
    /// Into the log `stdio`, and standard output for the step as well.
    pub fn collecting_stdout() -> Self {
        CommandOutput { collect_stdout: true, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_04_041_an_obfuscated_word_is_called_by_its_fake() {
        let word = serde_json::json!({"$as": "util.Obfuscated", "real": "s3cret", "fake": "xxx"});
        let line: CommandLine = serde_json::from_value(serde_json::json!(["login", [word]])).unwrap();
        assert_eq!(line.summary(), "'login xxx'");
        let CommandLine::Obfuscated(words) = line else { panic!("{line:?}") };
        assert_eq!(words[1].real, "s3cret");
    }

    #[test]
    fn lists_in_a_command_are_spliced_and_holes_told() {
        let read = |value| serde_json::from_value::<CommandLine>(value).map_err(|error| error.to_string());
        let all = serde_json::json!(["make", {}, [["-k"], false, []], "all"]);
        assert_eq!(read(all), Ok(CommandLine::Words(["make", "-k", "all"].map(String::from).into())));
        assert_eq!(read(serde_json::json!({})), Ok(CommandLine::Words(vec![])));
        assert!(read(serde_json::json!({"2": "b"})).unwrap_err().contains("item 1 is nil"));
        assert!(
            read(serde_json::json!(["a", {"b": 1}])).unwrap_err().contains("expected texts in a command")
        );
    }

    #[test]
    fn row_05_043_empty_commands_and_unknown_signals_are_told() {
        for (args, told) in [
            (serde_json::json!({"command": []}), "command: is empty: name a program"),
            (serde_json::json!({"command": ""}), "command: is empty: name a program"),
            (
                serde_json::json!({"interruptSignal": "FOO"}),
                "interruptSignal: there is no signal FOO; write KILL",
            ),
            (
                serde_json::json!({"interruptSignal": "SIGTERM"}),
                "interruptSignal: there is no signal SIGTERM; write TERM",
            ),
            (serde_json::json!({"command": ["x"], "interruptSignal": "INT"}), ""),
        ] {
            #[derive(Deserialize)]
            struct Nothing {}
            let (_, shell, _) = crate::step::split::<_, Nothing>(&args, true).unwrap();
            let found: Vec<String> =
                shell.problems().iter().map(|p| format!("{}: {}", p.path, p.message)).collect();
            assert!(
                found.join("|").starts_with(told) && (told.is_empty() == found.is_empty()),
                "{args}: {found:?}"
            );
        }
    }

    #[test]
    fn row_05_023_a_command_is_called_by_its_first_two_words() {
        let words = |text: &str| CommandLine::Words(text.split(' ').map(str::to_string).collect());
        assert_eq!(words("make -k all").summary(), "'make -k ...'");
        assert_eq!(words("make test").summary(), "'make test'");
        assert_eq!(CommandLine::Text("true".into()).summary(), "'true'");
    }
}
