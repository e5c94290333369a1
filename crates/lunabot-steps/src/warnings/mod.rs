//! Counting the warnings that a program prints (06.006): what the steps that do it share.
//!
//! `options` declares the options, `suppress` reads and asks the lists of what is not counted, `counter` watches the
//! log, [`Counting`] runs a command under its eyes. The steps are beside this folder.

mod counter;
mod extract;
mod options;
mod over_all;
mod suppress;

pub use extract::{EXTRACTORS, WARNING_EXTRACTOR};
pub(crate) use options::{HasWarnings, WarningParams, warning_params};

use crate::kept::Kept;
use counter::{Counter, Found};
use lunabot_engine::command::FinishedCommand;
use lunabot_engine::step::{
    CommandLine, CommandOutput, Observed, Results, ShellOptions, StepContext, StepError,
};
use lunabot_model::{Json, Problem, pattern};
use over_all::AllWarnings;
use regex::Regex;
use suppress::Suppression;

pub use extract::WarningExtractor;
pub use suppress::SuppressionEntry;

/// Where the property `warnings-count` says it comes from.
const SOURCE: &str = "WarningCountingShellCommand";

/// The statistic.
const WARNINGS: &str = "warnings";

/// What counts as a warning where the configuration says nothing.
const PATTERN: &str = "(?i).*warning[: ].*";
/// How GNU make says that it goes into a directory, and leaves it.
const ENTER: &str = "make.*: Entering directory [\u{2019}\"`'](.*)[\u{2019}'`\"]";
const LEAVE: &str = "make.*: Leaving directory";

/// The options of counting, plain.
#[derive(Clone)]
pub struct WarningOptions {
    /// `None`: nothing is counted.
    pattern: Option<Regex>,
    extractor: WarningExtractor,
    max: Option<i64>,
    enter: Regex,
    leave: Regex,
    suppression_file: Option<String>,
    suppressions: Vec<Suppression>,
}

/// A command whose warnings are counted.
pub struct Counting {
    pub shell: ShellOptions,
    pub warnings: WarningOptions,
    /// `descriptionDone` was given and says what was done.
    pub described: bool,
}

/// What came of it.
pub struct Counted {
    pub command: FinishedCommand,
    pub warnings: u64,
}

impl Counting {
    /// Runs the command; afterwards its logs are finished, and count, log and property are set.
    pub async fn run(&self, cx: &StepContext) -> Result<Counted, StepError> {
        if let Some(all) = cx.kept::<AllWarnings>() {
            return all.run(self, cx).await;
        }
        let (counted, found) = self.run_silently(cx).await?;
        add_log(cx, &found).await?;
        add_count(cx, counted.warnings);
        Ok(counted)
    }

    /// Runs the command; afterwards its logs are finished, and the warnings are known.
    pub async fn run_silently(&self, cx: &StepContext) -> Result<(Counted, Kept), StepError> {
        let found = Observed::new(Found::default());
        let mut options = self.warnings.clone();
        options.suppressions.extend(self.suppressions(cx).await?);
        if let Some(counter) = Counter::new(cx.clone(), options, found.clone()) {
            cx.add_log_observer("stdio", Box::new(counter)).await;
        }
        let command = self.command(cx).await?;
        let found = std::mem::take(&mut found.lock().kept);
        Ok((Counted { command, warnings: found.count() }, found))
    }

    async fn command(&self, cx: &StepContext) -> Result<FinishedCommand, StepError> {
        let command = cx.make_remote_shell_command(&self.shell, CommandOutput::default()).await?;
        let command = cx.run_command(command).await?;
        cx.finish_logs().await?;
        Ok(command)
    }

    /// What the worker's file says is not to be counted.
    async fn suppressions(&self, cx: &StepContext) -> Result<Vec<Suppression>, StepError> {
        match &self.warnings.suppression_file {
            Some(file) if self.warnings.pattern.is_some() => self.suppressions_of(cx, file).await,
            _ => Ok(Vec::new()),
        }
    }

    async fn suppressions_of(&self, cx: &StepContext, file: &str) -> Result<Vec<Suppression>, StepError> {
        let workdir = self.shell.workdir.as_deref().unwrap_or_else(|| cx.workdir());
        let Some(content) = cx.get_file_content_from_worker(workdir, file).await? else {
            return Err(StepError::Failed(format!("cannot read the suppressionFile {file} on the worker")));
        };
        suppress::read(&String::from_utf8_lossy(&content))
            .map_err(|text| StepError::Exception(format!("suppressionFile {file}: {text}")))
    }

    /// How the step is called when it is done (05.023).
    pub fn summary(&self) -> Option<String> {
        self.shell.command.as_ref().filter(|_| !self.described).map(CommandLine::summary)
    }
}

impl Counted {
    /// The command's result, or what its warnings make of it.
    pub fn results(&self, options: &WarningOptions) -> Results {
        self.command.results().worst(options.results(self.warnings))
    }
}

impl WarningOptions {
    /// What so many warnings make of a step.
    pub fn results(&self, warnings: u64) -> Results {
        let too_many = self.max.is_some_and(|max| i128::from(warnings) > i128::from(max));
        match warnings {
            _ if too_many => Results::Failure,
            0 => Results::Success,
            _ => Results::Warnings,
        }
    }

    /// Warnings whose text matches are not counted, whatever the configuration says.
    pub fn suppress(&mut self, text: &str) -> Result<(), StepError> {
        let suppression = Suppression::of_text(text).map_err(StepError::Exception)?;
        self.suppressions.push(suppression);
        Ok(())
    }
}

/// The log of a step's warnings.
async fn add_log(cx: &StepContext, found: &Kept) -> Result<(), StepError> {
    found.add_log(cx, &format!("warnings ({})", found.count())).await
}

/// Adds to the statistic and the property of warnings.
fn add_count(cx: &StepContext, more: u64) {
    add_statistic(cx, WARNINGS, more);
    let before = cx.get_property("warnings-count").and_then(|count| count.as_u64()).unwrap_or_default();
    cx.set_property("warnings-count", (before + more).into(), SOURCE);
}

/// Adds to a statistic of the step.
pub fn add_statistic(cx: &StepContext, name: &str, more: u64) {
    let before = cx.get_statistic(name).and_then(|count| count.as_u64()).unwrap_or_default();
    cx.set_statistic(name, (before + more).into());
}

/// The problems of an option that is a pattern, if it can be read already.
fn pattern_problem(name: &str, option: Option<&str>) -> Option<Problem> {
    let error = pattern::search(option?).err()?;
    Some(Problem::new(name, error))
}

/// A value as text, for messages.
fn kind_of(value: &Json) -> String {
    lunabot_model::text::shortened(&value.to_string()).into_owned()
}
