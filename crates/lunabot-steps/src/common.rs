//! What the declarations of all steps share.

use lunabot_engine::command::FinishedCommand;
use lunabot_engine::step::{
    Channel, CommandLine, CommandOutput, LOG_ENCODING, LineObserver, ShellOptions, StepContext, StepError,
};
use lunabot_model::kinds::locks::LOCKS;
use lunabot_model::{CallbackSpec, Category, Json, Kind, Problem, Renderable};
use schemars::Schema;

/// `doStepIf` (05.019 item 5).
pub const DO_STEP_IF: CallbackSpec = CallbackSpec {
    option: "doStepIf",
    args: "step",
    returns: "boolean: whether the step runs",
    on_error: "EXCEPTION of the step",
};

/// `hideStepIf` (05.019 item 10).
pub const HIDE_STEP_IF: CallbackSpec = CallbackSpec {
    option: "hideStepIf",
    args: "results, step",
    returns: "boolean: whether pages hide the step",
    on_error: "EXCEPTION of the step, which is shown",
};

/// The functions that every step takes.
pub const CALLBACKS: &[CallbackSpec] = &[DO_STEP_IF, HIDE_STEP_IF, LOCKS, LOG_ENCODING];

/// A kind `steps.NAME` with the functions of every step.
pub const fn step_kind(
    name: &'static str,
    positional: &'static [&'static str],
    doc: &'static str,
    schema: fn() -> Schema,
    check: fn(&Json) -> Vec<Problem>,
) -> Kind {
    Kind {
        namespace: "steps",
        name,
        aliases: &[],
        category: Category::Step,
        positional,
        flat: false,
        doc,
        schema,
        check,
        callbacks: CALLBACKS,
        extensible: true,
    }
}

/// What a step says of itself before and after its work, where its options do not say it.
#[derive(Debug)]
pub struct OwnText {
    text: String,
    /// `description` was given, and stands for `descriptionDone` too.
    described: bool,
}

impl OwnText {
    pub fn new(text: impl Into<String>, described: bool) -> Self {
        OwnText { text: text.into(), described }
    }

    pub fn current(&self) -> Option<String> {
        Some(self.text.clone())
    }

    pub fn result(&self) -> Option<String> {
        (!self.described).then(|| self.text.clone())
    }
}

/// A rendered text that must be there.
pub fn text(name: &str, option: &Renderable<String>) -> Result<String, StepError> {
    option.literal().ok_or_else(|| StepError::Exception(format!("{name}: not a text")))
}

/// Runs a command while `observer` watches what it prints, not what the worker says about it; afterwards the logs are
/// finished, and what was seen is known.
pub async fn run_observed<T: LineObserver + Default + 'static>(
    cx: &StepContext,
    shell: &ShellOptions,
    observer: T,
) -> Result<(FinishedCommand, T), StepError> {
    let observed = cx.observe_lines("stdio", Printed(observer)).await;
    let command = cx.make_remote_shell_command(shell, CommandOutput::default()).await?;
    let command = cx.run_command(command).await?;
    cx.finish_logs().await?;
    let seen = std::mem::take(&mut *observed.lock());
    Ok((command, seen.0))
}

/// Sees standard output and standard error.
#[derive(Debug, Default)]
struct Printed<T>(T);

impl<T: LineObserver> LineObserver for Printed<T> {
    fn line(&mut self, channel: Channel, line: &str) {
        if channel != Channel::Header {
            self.0.line(channel, line);
        }
    }
}

/// A command of these words.
pub fn command_of<S: Into<String>>(words: impl IntoIterator<Item = S>) -> CommandLine {
    CommandLine::Words(words.into_iter().map(Into::into).collect())
}

/// The problem of a step whose class makes the command itself.
pub fn no_command<T>(command: &Option<T>) -> Option<Problem> {
    command.is_some().then(|| Problem::new("command", "this step makes its own command"))
}

/// `1 test`, `2 tests`.
pub fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// The number that a group of a pattern finds in a line.
pub fn counted_in(pattern: &regex::Regex, line: &str, group: usize) -> Option<u64> {
    pattern.captures(line)?.get(group)?.as_str().parse().ok()
}

/// A text in quotes, as Buildbot shows it in logs.
pub fn python_text(text: &str) -> String {
    let plain = text.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r").replace('\t', "\\t");
    if text.contains('\'') && !text.contains('"') {
        format!("\"{plain}\"")
    } else {
        format!("'{}'", plain.replace('\'', "\\'"))
    }
}
