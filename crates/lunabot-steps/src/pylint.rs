//! `steps.PyLint` (06.053).

use crate::common::{run_observed, step_kind};
use crate::kept::Kept;
use async_trait::async_trait;
use lunabot_engine::step::{
    Channel, HasShell, LineObserver, LogObserver, MAX_LINE_LENGTH, NewTestResult, OwnChecks, Results,
    ShellOptions, Step, StepContext, StepDefaults, StepError, StepKind, given, read, short_lines,
};
use lunabot_engine::step_params;
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::{Problem, Renderable};
use regex::Regex;
use std::sync::LazyLock;

/// The letters of the classes of messages and their names.
const CLASSES: [(char, &str); 6] =
    [('C', "convention"), ('E', "error"), ('F', "fatal"), ('I', "info"), ('R', "refactor"), ('W', "warning")];
/// Those that fail the step.
const FATAL: [usize; 2] = [1, 2];
/// Bits of pylint's exit status: a fatal message, an error, wrong usage.
const FATAL_STATUS: i64 = 1 | 2 | 32;

step_params! {
    /// Runs pylint.
    pub struct PyLintParams: shell {
        /// Keep each message that names a file as a test result. Default true.
        #[schemars(extend("default" = true))]
        pub store_results: Option<Renderable<bool>>,
    }
}

impl OwnChecks for PyLintParams {
    fn problems(&self) -> Vec<Problem> {
        if self.command.is_some() { Vec::new() } else { vec![Problem::new("", "command is missing")] }
    }
}

/// Declares the step.
pub static PYLINT: StepKind = StepKind {
    kind: step_kind(
        "PyLint",
        &["store_results"],
        "Runs pylint and sorts its messages by class: a log and a property `pylint-…` for each. Errors and fatal \
         messages fail the step, others give it WARNINGS.",
        schema_of::<PyLintParams>,
        check_as::<PyLintParams>,
    ),
    defaults: StepDefaults::named("pylint").described("running pylint", "pylint"),
    build: |rendered| {
        let params: PyLintParams = read(rendered)?;
        let store = given(&params.store_results).unwrap_or(true);
        Ok(Box::new(PyLint { options: params.shell()?, store, messages: None }))
    },
};

struct PyLint {
    options: ShellOptions,
    store: bool,
    messages: Option<Messages>,
}

/// Messages by class.
#[derive(Debug, Default)]
struct Messages {
    classes: [Kept; CLASSES.len()],
}

/// `path:12:3: C0111: text`, of pylint 2 and later.
static PLAIN: LazyLock<Regex> = LazyLock::new(|| pattern(r"^([^:]+):(\d+):\d+: *([CRWEFI])(?:\d+)?:.+"));
/// `path:12: [C0111(name), object] text`, of `--output-format=parseable`.
static PARSEABLE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^([^:]+):(\d+): \[([CRWEFI])(?:\d+)?(?:\([a-z-]+\))?[,\]] .+"));
/// `C0111: 12,3: text`, of older versions.
static OLDER: LazyLock<Regex> = LazyLock::new(|| pattern(r"^([CRWEFI])(?:\d+)?: *\d+(?:, *\d+)?:.+"));

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a constant pattern")
}

/// One message.
#[derive(Debug, PartialEq, Eq)]
struct Message<'a> {
    class: usize,
    place: Option<(&'a str, Option<i64>)>,
}

impl<'a> Message<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let (letter, place) = match PLAIN.captures(line).or_else(|| PARSEABLE.captures(line)) {
            Some(found) => {
                let group = |at| found.get(at).map_or("", |group| group.as_str());
                (group(3), Some((group(1), group(2).parse().ok())))
            }
            None => (OLDER.captures(line)?.get(1)?.as_str(), None),
        };
        let class = CLASSES.iter().position(|(known, _)| letter.starts_with(*known))?;
        Some(Message { class, place })
    }
}

impl LineObserver for Messages {
    fn line(&mut self, _: Channel, line: &str) {
        if let Some(message) = Message::of(line) {
            self.classes[message.class].add(line);
        }
    }
}

/// Keeps messages that name a file as test results.
struct Keeper {
    cx: StepContext,
    set: i64,
}

#[async_trait]
impl LogObserver for Keeper {
    async fn received(&mut self, channel: Channel, lines: &str) -> Result<(), StepError> {
        for text in short_lines(lines, MAX_LINE_LENGTH).filter(|_| channel != Channel::Header) {
            let place = Message::of(text).and_then(|message| message.place);
            let Some((path, line)) = place.map(|(path, line)| (path.to_string(), line)) else { continue };
            let result = NewTestResult {
                value: text.into(),
                test_code_path: Some(path),
                line,
                ..NewTestResult::default()
            };
            self.cx.add_test_result(self.set, result).await?;
        }
        Ok(())
    }
}

impl Messages {
    fn counts(&self) -> impl Iterator<Item = (&'static str, &Kept)> {
        CLASSES.into_iter().map(|(_, name)| name).zip(&self.classes)
    }

    fn total(&self) -> u64 {
        self.classes.iter().map(Kept::count).sum()
    }

    fn results(&self, rc: Option<i64>) -> Results {
        let fatal = rc.is_none_or(|rc| rc < 0 || rc & FATAL_STATUS != 0);
        if fatal || FATAL.iter().any(|class| self.classes[*class].count() > 0) {
            Results::Failure
        } else if self.total() > 0 {
            Results::Warnings
        } else {
            Results::Success
        }
    }
}

#[async_trait]
impl Step for PyLint {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        if self.store {
            let set = cx.add_test_result_set("Pylint warnings", "code_issue", "message").await?;
            cx.add_log_observer("stdio", Box::new(Keeper { cx: cx.clone(), set })).await;
        }
        let (command, messages) = run_observed(cx, &self.options, Messages::default()).await?;
        for (class, kept) in messages.counts() {
            kept.add_log(cx, class).await?;
            cx.set_property(&format!("pylint-{class}"), kept.count().into(), "Pylint");
        }
        cx.set_property("pylint-total", messages.total().into(), "Pylint");
        let results = if command.interrupted { Results::Cancelled } else { messages.results(command.rc) };
        self.messages = Some(messages);
        Ok(results)
    }

    fn description_done(&self, done: Option<&str>) -> Option<String> {
        let found = self.messages.as_ref()?.counts().filter(|(_, kept)| kept.count() > 0);
        let counts = found.map(|(class, kept)| format!(" {class}={}", kept.count())).collect::<String>();
        Some(format!("{}{counts}", done.unwrap_or("pylint")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_06_053_messages_are_read_in_each_format() {
        for (line, want) in [
            ("a/b.py:12:3: C0111: Missing docstring", Some((0, Some(("a/b.py", Some(12)))))),
            ("a/b.py:12: [W0611(unused-import), ] Unused", Some((5, Some(("a/b.py", Some(12)))))),
            ("a/b.py:12: [E0602, f] Undefined", Some((1, Some(("a/b.py", Some(12)))))),
            ("F0001: 12,3: oh", Some((2, None))),
            ("I: 12:f: oh", Some((3, None))),
            ("************* Module b", None),
            ("X0001: 12: oh", None),
        ] {
            let found = Message::of(line).map(|message| (message.class, message.place));
            assert_eq!(found, want, "{line}");
        }
    }
}
