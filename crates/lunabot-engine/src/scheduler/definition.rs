//! What a configuration says about a scheduler that has an actor.

use super::Surroundings;
use super::buildset::Common;
use super::params::{BranchSchedulerParams, Codebases};
use super::timed::Timetable;
use crate::scripts::acting::Own;
use lunabot_model::Callback;
use lunabot_model::change_filter::ChangeFilter;
use std::sync::Arc;
use std::time::Duration;

/// A scheduler of one generation.
#[derive(Clone)]
pub(super) struct Definition {
    pub classname: String,
    pub intake: Arc<Intake>,
    pub common: Arc<Common>,
    pub reason: String,
    pub plan: Plan,
    /// Its class, if the configuration made one.
    pub own: Option<Arc<Own>>,
    pub around: Surroundings,
}

/// Which changes it takes (03.004), and what a codebase without one is built at (03.005).
pub(super) struct Intake {
    pub filter: ChangeFilter,
    pub codebases: Codebases,
    pub file_is_important: Option<Callback>,
    pub only_important: bool,
    /// `createAbsoluteSourceStamps` (03.009).
    pub absolute: bool,
}

/// When it acts.
#[derive(Clone)]
pub(super) enum Plan {
    /// When changes have come (03.011–03.013).
    Changes { delay: Option<Duration>, per_branch: bool },
    /// By the clock (03.016–03.019).
    Clock(Arc<Timetable>),
    /// By the clock, what was triggered last (03.020).
    Stored(Arc<Timetable>),
}

impl Definition {
    pub fn of_branches(
        classname: &str,
        params: BranchSchedulerParams,
        own: Option<Arc<Own>>,
        around: &Surroundings,
    ) -> Result<Self, String> {
        let intake = Intake {
            filter: params.filter()?,
            codebases: params.codebases.clone(),
            file_is_important: params.file_is_important.clone(),
            only_important: params.only_important,
            absolute: params.create_absolute_source_stamps,
        };
        let delay = params.tree_stable_timer.map(lunabot_model::Duration::std);
        Ok(Definition {
            classname: classname.into(),
            intake: Arc::new(intake),
            common: Arc::new(params.common()),
            reason: params.reason_text(own.as_ref().map_or(classname, |own| &own.class.name))?,
            plan: Plan::Changes { delay, per_branch: classname == "AnyBranchScheduler" },
            own,
            around: around.clone(),
        })
    }

    pub fn name(&self) -> &str {
        &self.common.name
    }

    pub fn per_branch(&self) -> bool {
        matches!(self.plan, Plan::Changes { per_branch: true, .. })
    }
}
