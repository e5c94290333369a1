//! The step API: what a step's author implements ([`Step`]), declares ([`StepKind`], [`crate::step_params!`]) and is given
//! ([`StepContext`]).
//!
//! A step is straight async code; the engine surrounds it with the life cycle of reference 05c. Its options are one
//! struct, read twice from the same JSON: as written, when the configuration is checked ([`Renderable`] fields accept
//! anything that is computed later), and rendered, when the step is about to run (04.037). What must never enter:
//! any particular step.

mod base;
mod context;
mod encoding;
mod error;
mod locks;
mod logs;
mod observe;
pub(crate) mod observers;
mod over_all;
mod params;
mod remote;
mod rendering;
pub(crate) mod run;
pub(crate) mod scripted;
mod shell;
mod source;
mod split;
mod sub;
pub(crate) mod summary;
mod test_results;
mod trigger;

pub use crate::logs::Channel;
pub use base::{BaseStepParams, HasBase, OwnChecks, StepDefaults, SummaryPolicy};
pub use context::{BuildInfo, MakeObserver, StepContext};
pub(crate) use context::{Inner, with_traceback};
pub(crate) use encoding::KEEPS_BYTES;
pub use encoding::{LOG_ENCODING, LogEncoding, TextPieces};
pub use error::StepError;
pub use logs::LogHandle;
pub use observe::{LineObserver, LogObserver, MAX_LINE_LENGTH, Observed, short_lines};
pub use observers::kinds::KINDS as OBSERVERS;
pub use over_all::OverAll;
pub use params::{Switch, given, present};
pub(crate) use shell::DEFAULT_TIMEOUT;
pub use shell::{CommandLine, CommandOutput, HasShell, Logfile, ShellOptions, ShellParams, Word};
pub use source::{SourceCommands, VcCommand};
pub use split::{joined_schema, split};
pub use test_results::NewTestResult;

pub use crate::scheduler::{Completed, PartialStamp, TriggeredBuild};
pub use lunabot_data::Tidied;
pub use lunabot_model::{Renderable, Results};
pub use trigger::{TriggerRequest, TriggeredSet};

use async_trait::async_trait;
use lunabot_model::{FromLua, Json, Kind, kind::Params};
use serde_json::Map;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// One run of one step of one build.
#[async_trait]
pub trait Step: Send {
    /// Does the work. `Ok(result)` is the step's result; see [`StepError`] for what errors become.
    ///
    /// When the build is stopped, running commands end as interrupted and further ones are not started (05.027,
    /// 05.028): a step that returns [`crate::command::FinishedCommand::results`] needs no more. One that waits for
    /// something else should watch [`StepContext::interrupted`].
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError>;

    /// The text of the step before it runs, in place of the default made of `description` (05.022).
    fn current_summary(&self) -> Option<String> {
        None
    }

    /// The text after `run`, in place of the default made of `descriptionDone` (05.022, 05.025). The engine adds the
    /// suffix, ` (failure)` and the like.
    fn result_summary(&self, results: Results) -> Option<String> {
        let _ = results;
        None
    }

    /// Whether that text says by itself how the step ended, so that the engine adds nothing.
    fn tells_its_result(&self) -> bool {
        false
    }

    /// What the step has found to say in place of `descriptionDone`; `done` is that text, as the configuration or the
    /// class has it. Goes before everything else.
    fn description_done(&self, done: Option<&str>) -> Option<String> {
        let _ = done;
        None
    }

    /// What it lends to a class that extends it, if it is a source step.
    fn source(&self) -> Option<&dyn SourceCommands> {
        None
    }

    /// What it does over all commands of a class that extends it, if it does such things.
    fn over_all(&self) -> Option<&dyn OverAll> {
        None
    }
}

/// A step that a configuration can declare.
#[derive(Debug)]
pub struct StepKind {
    pub kind: Kind,
    /// Where its class differs from a plain step (05.004, 05.005).
    pub defaults: StepDefaults,
    /// Makes the step from its options, all of them rendered.
    pub build: fn(&Json) -> Result<Box<dyn Step>, StepError>,
}

/// What the options of each kind are where nothing is given, made when they are first asked for.
static UNSET: LazyLock<Mutex<HashMap<String, Unset>>> = LazyLock::new(Mutex::default);

type Unset = Arc<Map<String, Json>>;

impl StepKind {
    /// All options, with their defaults or null.
    pub(crate) fn unset(&self) -> Unset {
        let mut known = UNSET.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || {
            let schema = (self.kind.schema)();
            let options = schema.as_value()["properties"].as_object().into_iter().flatten();
            let mut all: Map<String, Json> =
                options.map(|(name, of)| (name.clone(), of["default"].clone())).collect();
            all.extend(self.defaults.options());
            Arc::new(all)
        };
        known.entry(self.kind.path()).or_insert_with(made).clone()
    }
}

/// Reads rendered options: the first line of most `build` functions.
pub fn read<P: Params>(rendered: &Json) -> Result<P, StepError> {
    let params: P = serde_path_to_error::deserialize(FromLua(rendered))
        .map_err(|error| StepError::Exception(format!("{}: {}", error.path(), error.inner())))?;
    match params.validate().into_iter().next() {
        Some(problem) if problem.path.is_empty() => Err(StepError::Exception(problem.message)),
        Some(problem) => Err(StepError::Exception(format!("{}: {}", problem.path, problem.message))),
        None => Ok(params),
    }
}
