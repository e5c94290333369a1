//! `steps.MasterShellCommand` (06.041).

mod process;

use crate::common::step_kind;
use async_trait::async_trait;
use lunabot_engine::step::{
    CommandLine, OwnChecks, Results, Step, StepContext, StepDefaults, StepError, StepKind, given, present,
    read,
};
use lunabot_engine::step_params;
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::{Duration, Json, Problem, Renderable, spliced};
use nix::sys::signal::Signal;
use process::{Ended, Process};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// Seconds after which the program is killed, where the step does not say.
const RUNTIME_TIMEOUT: f64 = 3600.0;

step_params! {
    /// Runs a program on the master.
    pub struct MasterShellCommandParams {
        /// The program: a list of words, or a text for the shell.
        pub command: Renderable<CommandLine>,
        /// The whole environment of the program, in place of the master's; `${NAME}` stands for a variable of the
        /// master's, a list is joined with `:`. Default: the master's.
        pub env: Option<Renderable<BTreeMap<String, Json>>>,
        /// Runs the program on a pseudo terminal. Default false.
        #[schemars(extend("default" = false))]
        #[serde(rename = "usePTY")]
        pub use_pty: Option<Renderable<bool>>,
        /// The signal that ends the program: `KILL`, `TERM` … Default `KILL`.
        #[schemars(extend("default" = "KILL"))]
        #[serde(rename = "interruptSignal")]
        pub interrupt_signal: Option<Renderable<String>>,
        /// Whether the environment is written into the log. Default true.
        #[schemars(extend("default" = true))]
        #[serde(rename = "logEnviron")]
        pub log_environ: Option<Renderable<bool>>,
        /// Seconds after which the program is killed; `util.null`: never. Default 3600.
        #[schemars(extend("default" = 3600))]
        #[serde(default, deserialize_with = "present")]
        pub runtime_timeout: Option<Renderable<Option<Duration>>>,
    }
}

impl OwnChecks for MasterShellCommandParams {
    fn problems(&self) -> Vec<Problem> {
        let signal = given(&self.interrupt_signal);
        let unknown = signal.and_then(|name| signal_of(&name).err());
        let empty = self.command.literal().is_some_and(|command| command.is_empty());
        let empty = empty.then(|| Problem::new("command", "is empty: name a program"));
        unknown.map(|text| Problem::new("interruptSignal", text)).into_iter().chain(empty).collect()
    }
}

/// Declares the step.
pub static MASTER_SHELL_COMMAND: StepKind = StepKind {
    kind: step_kind(
        "MasterShellCommand",
        &["command"],
        "Runs a program on the master, in the master's base directory (or in workdir, relative to that).",
        schema_of::<MasterShellCommandParams>,
        check_as::<MasterShellCommandParams>,
    ),
    defaults: StepDefaults::named("MasterShellCommand").halting().described("Running", "Ran"),
    build,
};

fn signal_of(name: &str) -> Result<Signal, String> {
    let full = format!("SIG{}", name.trim_start_matches("SIG"));
    full.parse().map_err(|_| format!("there is no signal {name}; write KILL, TERM, INT …"))
}

struct MasterShellCommand {
    command: CommandLine,
    params: MasterShellCommandParams,
    signal: Signal,
    ended: Option<Ended>,
}

fn build(rendered: &Json) -> Result<Box<dyn Step>, StepError> {
    let params: MasterShellCommandParams = read(rendered)?;
    let missing = || StepError::Exception("command: not a text or a list of texts".into());
    let command = params.command.literal().ok_or_else(missing)?;
    let signal = signal_of(&given(&params.interrupt_signal).unwrap_or_else(|| "KILL".into()));
    let signal = signal.map_err(|text| StepError::Exception(format!("interruptSignal: {text}")))?;
    Ok(Box::new(MasterShellCommand { command, params, signal, ended: None }))
}

#[async_trait]
impl Step for MasterShellCommand {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        let process = Process {
            words: words(&self.command),
            dir: cx.master_path(&given(&self.params.workdir).unwrap_or_default()),
            env: environment(given(&self.params.env).as_ref())?,
            pty: given(&self.params.use_pty).unwrap_or(false),
            signal: self.signal,
            timeout: match &self.params.runtime_timeout {
                None => Some(Duration(RUNTIME_TIMEOUT).std()),
                timeout => given(timeout).flatten().map(Duration::std),
            },
        };
        let log = cx.log_for_commands("stdio").await?;
        let environment = given(&self.params.log_environ).unwrap_or(true).then_some(&process.env);
        log.add_header(&introduction(&self.command, &process.dir, environment)).await?;
        let ended = process.run(cx, &log).await?;
        if ended == Ended::TimedOut {
            log.add_header("the program ran longer than runtime_timeout and was killed\n").await?;
        }
        self.ended = Some(ended);
        Ok(if ended == Ended::Exit(0) { Results::Success } else { Results::Failure })
    }

    fn result_summary(&self, results: Results) -> Option<String> {
        match self.ended {
            Some(Ended::Exit(0)) => None,
            Some(Ended::Exit(code)) => Some(format!("failed ({code})")),
            Some(Ended::Signal(signal)) => Some(format!("killed ({signal})")),
            Some(Ended::TimedOut) => Some("killed (timed out)".into()),
            None => (results == Results::Failure).then(|| "could not be run".into()),
        }
    }
}

fn words(command: &CommandLine) -> Vec<String> {
    match command {
        CommandLine::Text(line) => vec!["/bin/sh".into(), "-c".into(), line.clone()],
        CommandLine::Words(words) => words.clone(),
        CommandLine::Obfuscated(words) => words.iter().map(|word| word.real.clone()).collect(),
    }
}

/// The master's environment, or the one that is asked for in its place.
fn environment(asked: Option<&BTreeMap<String, Json>>) -> Result<BTreeMap<String, String>, StepError> {
    let own =
        || std::env::vars_os().filter_map(|(n, v)| Some((n.into_string().ok()?, v.into_string().ok()?)));
    let Some(asked) = asked else { return Ok(own().collect()) };
    let own: BTreeMap<String, String> = own().collect();
    let mut all = BTreeMap::new();
    for (name, value) in asked {
        let text = match value {
            Json::Null => continue,
            Json::String(text) => text.clone(),
            Json::Number(number) => number.to_string(),
            Json::Array(items) if spliced(items).into_iter().all(Json::is_string) => {
                spliced(items).into_iter().filter_map(Json::as_str).collect::<Vec<_>>().join(":")
            }
            other => {
                let text = format!("env: {name} must be a text or a list of texts, not {other}");
                return Err(StepError::Exception(text));
            }
        };
        all.insert(name.clone(), filled(&text, &own));
    }
    Ok(all)
}

/// `${NAME}` becomes the variable's value, or nothing.
fn filled(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        match after.split_once('}') {
            Some((name, after)) if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => {
                out.push_str(variables.get(name).map_or("", String::as_str));
                rest = after;
            }
            _ => {
                out.push_str("${");
                rest = after;
            }
        }
    }
    out + rest
}

/// The header of the log.
fn introduction(command: &CommandLine, dir: &Path, env: Option<&BTreeMap<String, String>>) -> String {
    let (shown, words) = match command {
        CommandLine::Text(line) => (line.clone(), vec![line.clone()]),
        CommandLine::Words(words) => (words.join(" "), words.clone()),
        CommandLine::Obfuscated(words) => {
            let shown: Vec<String> = words.iter().map(|word| word.shown().to_string()).collect();
            (shown.join(" "), shown)
        }
    };
    let mut out =
        format!("** RUNNING ON BUILDMASTER **\n {shown}\n in dir {}\n argv: {words:?}\n", dir.display());
    if let Some(env) = env {
        out.push_str(" environment:\n");
        for (name, value) in env {
            // Writing to a String cannot fail.
            _ = writeln!(out, "  {name}={value}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_06_041_variables_of_the_master_are_filled_in() {
        let own = BTreeMap::from([("A".to_string(), "1".to_string()), ("B_2".into(), "${A}".into())]);
        for (text, want) in [
            ("${A}", "1"),
            ("x${A}y${B_2}z", "x1y${A}z"),
            ("${NONE}.", "."),
            ("$A ${A-b} ${", "$A ${A-b} ${"),
            ("${${A}", "${1"),
        ] {
            assert_eq!(filled(text, &own), want, "{text}");
        }
    }
}
