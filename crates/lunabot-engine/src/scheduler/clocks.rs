//! The options of schedulers that follow the clock: Periodic, Nightly and NightlyTriggerable (03.016, 03.017, 03.020).

use super::Surroundings;
use super::buildset::Common;
use super::cron::{Cron, Names, Times, Written, zone};
use super::definition::{Definition, Intake, Plan};
use super::params::{
    CALLBACKS, Codebases, PRIORITY, joined_filter, reason_text, scheduler_options, shared_problems,
};
use super::timed::{Timetable, When};
use lunabot_model::change_filter::ChangeFilter;
use lunabot_model::kind::{Category, Kind, Params, Problem, check_as, schema_of};
use lunabot_model::kinds::filters::BranchValues;
use lunabot_model::{AnyObject, Callback, Duration, Json};
use serde::Deserialize;
use std::sync::Arc;

/// The options of a timed scheduler that may look at changes, and its own.
macro_rules! timed_options {
    ($(#[$doc:meta])* $type:ident { $($own:tt)* }) => {
        scheduler_options!(
            $(#[$doc])* $type {
                /// The branch to build, and whose changes count; `util.null` is the default branch.
                #[serde(default)]
                branch: BranchValues,
                /// A `util.ChangeFilter`: the changes that count.
                #[serde(default)]
                change_filter: Option<AnyObject>,
                /// Whether a change is worth a build; absent: all are.
                #[serde(default, rename = "fileIsImportant")]
                file_is_important: Option<Callback>,
                /// Do not even build unimportant changes along with others.
                #[serde(default, rename = "onlyImportant")]
                only_important: bool,
                /// Build only when there was an important change since the last time.
                #[serde(default, rename = "onlyIfChanged")]
                only_if_changed: bool,
                /// Codebases without a change get the source stamp of their last one.
                #[serde(default, rename = "createAbsoluteSourceStamps")]
                create_absolute_source_stamps: bool,
                /// Reason of the buildset; may hold `%(name)s` and `%(classname)s`.
                #[serde(default)]
                reason: Option<String>,
                $($own)*
            }
        );

        impl $type {
            fn shared(&self) -> Shared<'_> {
                Shared {
                    name: &self.name,
                    codebases: &self.codebases,
                    branch: &self.branch,
                    change_filter: self.change_filter.as_ref(),
                    file_is_important: self.file_is_important.as_ref(),
                    only_important: self.only_important,
                    absolute: self.create_absolute_source_stamps,
                    reason: self.reason.as_deref(),
                }
            }

            fn collects(&self) -> bool {
                self.only_if_changed || self.create_absolute_source_stamps
            }
        }
    };
}

/// The five options that say when, those that force a build, and the zone that they are in.
macro_rules! calendar_options {
    ($macro:ident: $(#[$doc:meta])* $type:ident { $($own:tt)* }) => {
        $macro!(
            $(#[$doc])* $type {
                /// Minute, 0 to 59: a number, a list, or a text of cron such as `*/15`.
                #[serde(default = "zero")]
                #[schemars(extend("default" = 0))]
                minute: Times,
                /// Hour, 0 to 23.
                #[serde(default = "Times::any")]
                #[schemars(extend("default" = "*"))]
                hour: Times,
                /// Day of the month, 1 to 31, or `L` for the last.
                #[serde(default = "Times::any", rename = "dayOfMonth")]
                #[schemars(extend("default" = "*"))]
                day_of_month: Times,
                /// Month, 1 to 12 or `jan` to `dec`.
                #[serde(default = "Times::any")]
                #[schemars(extend("default" = "*"))]
                month: Times,
                /// Day of the week: single numbers count from 0, Monday; names, ranges and steps are cron's.
                #[serde(default = "Times::any", rename = "dayOfWeek")]
                #[schemars(extend("default" = "*"))]
                day_of_week: Times,
                /// The time zone, such as `Europe/Berlin`; default the master's.
                #[serde(default)]
                tz: Option<String>,
                $($own)*
            }
        );

        impl $type {
            fn calendar(&self) -> Result<Cron, Vec<Problem>> {
                let zone = zone(self.tz.as_deref()).map_err(|error| vec![Problem::new("tz", error)])?;
                let written = Written {
                    minute: &self.minute,
                    hour: &self.hour,
                    day_of_month: &self.day_of_month,
                    month: &self.month,
                    day_of_week: &self.day_of_week,
                };
                Cron::read(written, NAMES, zone)
            }
        }
    };
}

const NAMES: Names = ["minute", "hour", "dayOfMonth", "month", "dayOfWeek"];
const FORCE_NAMES: Names =
    ["force_at_minute", "force_at_hour", "force_at_day_of_month", "force_at_month", "force_at_day_of_week"];

fn zero() -> Times {
    Times::number(0)
}

timed_options!(
    /// `schedulers.Periodic`.
    PeriodicParams {
        /// Time between two builds: seconds, or a text such as `"6h"`.
        #[serde(rename = "periodicBuildTimer")]
        periodic_build_timer: Duration,
    }
);

calendar_options!(timed_options:
    /// `schedulers.Nightly`.
    NightlyParams {
        /// With `onlyIfChanged`: times that build whether something has changed or not. Default of the minute: 0; of the
        /// others: all, where any of the five is given.
        #[serde(default)]
        force_at_minute: Option<Times>,
        /// See `force_at_minute`.
        #[serde(default)]
        force_at_hour: Option<Times>,
        /// See `force_at_minute`.
        #[serde(default)]
        force_at_day_of_month: Option<Times>,
        /// See `force_at_minute`.
        #[serde(default)]
        force_at_month: Option<Times>,
        /// See `force_at_minute`.
        #[serde(default)]
        force_at_day_of_week: Option<Times>,
    }
);

calendar_options!(scheduler_options:
    /// `schedulers.NightlyTriggerable`.
    NightlyTriggerableParams {
        /// Reason of the buildset; may hold `%(name)s` and `%(classname)s`. The property `reason` of a trigger comes first.
        #[serde(default)]
        reason: Option<String>,
    }
);

/// What the timed schedulers share.
struct Shared<'a> {
    name: &'a str,
    codebases: &'a Codebases,
    branch: &'a BranchValues,
    change_filter: Option<&'a AnyObject>,
    file_is_important: Option<&'a Callback>,
    only_important: bool,
    absolute: bool,
    reason: Option<&'a str>,
}

impl Shared<'_> {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = shared_problems(self.name, self.change_filter, &[]);
        if self.branch.0.as_ref().is_some_and(|branches| branches.len() != 1) {
            problems
                .push(Problem::new("branch", "one branch is built; further ones belong into change_filter"));
        }
        if let Err(error) = reason_text(self.reason, self.name, "") {
            problems.push(Problem::new("reason", error));
        }
        problems
    }

    /// `branch` is what a codebase that says nothing else is built at.
    fn intake(&self) -> Result<Intake, String> {
        let mut codebases = self.codebases.clone();
        if let Some([branch]) = self.branch.0.as_deref() {
            for defaults in codebases.0.values_mut().filter(|defaults| defaults.branch.is_none()) {
                defaults.branch = branch.clone();
            }
        }
        Ok(Intake {
            filter: joined_filter(self.change_filter, &[self.branch])?,
            codebases,
            file_is_important: self.file_is_important.cloned(),
            only_important: self.only_important,
            absolute: self.absolute,
        })
    }
}

impl NightlyParams {
    /// 03.018.
    fn force_at(&self) -> Result<Option<Cron>, Vec<Problem>> {
        let given = [
            &self.force_at_minute,
            &self.force_at_hour,
            &self.force_at_day_of_month,
            &self.force_at_month,
            &self.force_at_day_of_week,
        ];
        if given.iter().all(|times| times.is_none()) {
            return Ok(None);
        }
        let [minute, hour, day, month, weekday] = given.map(|times| times.clone().unwrap_or_else(Times::any));
        let minute = if self.force_at_minute.is_none() { zero() } else { minute };
        let written = Written {
            minute: &minute,
            hour: &hour,
            day_of_month: &day,
            month: &month,
            day_of_week: &weekday,
        };
        let zone = zone(self.tz.as_deref()).map_err(|error| vec![Problem::new("tz", error)])?;
        Cron::read(written, FORCE_NAMES, zone).map(Some)
    }
}

impl Params for PeriodicParams {
    fn validate(&self) -> Vec<Problem> {
        let mut problems = self.shared().problems();
        let seconds = self.periodic_build_timer.secs();
        if !(seconds > 0.0 && seconds < 1e10) {
            problems.push(Problem::new("periodicBuildTimer", "must be a positive number of seconds"));
        }
        problems
    }
}

impl Params for NightlyParams {
    fn validate(&self) -> Vec<Problem> {
        let mut problems = self.shared().problems();
        problems.extend(self.calendar().err().into_iter().flatten());
        match self.force_at() {
            Ok(Some(_)) if !self.only_if_changed => {
                let given = FORCE_NAMES.iter().zip([
                    &self.force_at_minute,
                    &self.force_at_hour,
                    &self.force_at_day_of_month,
                    &self.force_at_month,
                    &self.force_at_day_of_week,
                ]);
                let first =
                    given.into_iter().find(|(_, times)| times.is_some()).map_or("", |(name, _)| *name);
                problems.push(Problem::new(first, "has an effect only together with onlyIfChanged = true"));
            }
            Ok(_) => {}
            Err(wrong) => problems.extend(wrong.into_iter().filter(|problem| problem.path != "tz")),
        }
        problems
    }
}

impl Params for NightlyTriggerableParams {
    fn validate(&self) -> Vec<Problem> {
        let mut problems = shared_problems(&self.name, None, &[]);
        problems.extend(self.calendar().err().into_iter().flatten());
        if let Err(error) = reason_text(self.reason.as_deref(), &self.name, "") {
            problems.push(Problem::new("reason", error));
        }
        problems
    }
}

/// Options of Nightly that mean nothing to what builds only what it was triggered with.
fn check_nightly_triggerable(args: &Json) -> Vec<Problem> {
    let foreign = [
        "branch",
        "change_filter",
        "fileIsImportant",
        "onlyImportant",
        "onlyIfChanged",
        "createAbsoluteSourceStamps",
    ];
    let foreign = foreign.iter().chain(&FORCE_NAMES).filter(|option| args.get(**option).is_some());
    let text = "not an option of NightlyTriggerable, which builds what triggered it last";
    let problems: Vec<Problem> = foreign.map(|option| Problem::new(*option, text)).collect();
    if problems.is_empty() { check_as::<NightlyTriggerableParams>(args) } else { problems }
}

/// Reads a timed scheduler; `None`: it is of another class.
pub(super) fn read(
    classname: &str,
    object: &AnyObject,
    around: &Surroundings,
) -> Option<Result<Definition, String>> {
    let read = match classname {
        "Periodic" => periodic,
        "Nightly" => nightly,
        "NightlyTriggerable" => nightly_triggerable,
        _ => return None,
    };
    Some(read(&object.args).and_then(|(common, reason, intake, plan)| {
        Ok(Definition {
            classname: classname.into(),
            reason: reason_text(reason.as_deref(), &common.name, classname)?,
            intake: Arc::new(intake),
            common: Arc::new(common),
            plan,
            own: None,
            around: around.clone(),
        })
    }))
}

type Parts = (Common, Option<String>, Intake, Plan);

fn joined(problems: Vec<Problem>) -> String {
    problems.into_iter().map(|p| format!("{}: {}", p.path, p.message)).collect::<Vec<_>>().join("; ")
}

fn periodic(args: &Json) -> Result<Parts, String> {
    let params = PeriodicParams::deserialize(args).map_err(|error| error.to_string())?;
    let table = Timetable {
        when: When::Every(params.periodic_build_timer.std()),
        only_if_changed: params.only_if_changed,
        force_at: None,
        collects: params.collects(),
    };
    Ok((params.common(), params.reason.clone(), params.shared().intake()?, Plan::Clock(Arc::new(table))))
}

fn nightly(args: &Json) -> Result<Parts, String> {
    let params = NightlyParams::deserialize(args).map_err(|error| error.to_string())?;
    let table = Timetable {
        when: When::Calendar(Box::new(params.calendar().map_err(joined)?)),
        only_if_changed: params.only_if_changed,
        force_at: params.force_at().map_err(joined)?,
        collects: params.collects(),
    };
    Ok((params.common(), params.reason.clone(), params.shared().intake()?, Plan::Clock(Arc::new(table))))
}

fn nightly_triggerable(args: &Json) -> Result<Parts, String> {
    let params = NightlyTriggerableParams::deserialize(args).map_err(|error| error.to_string())?;
    let table = Timetable {
        when: When::Calendar(Box::new(params.calendar().map_err(joined)?)),
        only_if_changed: false,
        force_at: None,
        collects: false,
    };
    let intake = Intake {
        filter: ChangeFilter::default(),
        codebases: params.codebases.clone(),
        file_is_important: None,
        only_important: false,
        absolute: false,
    };
    Ok((params.common(), params.reason.clone(), intake, Plan::Stored(Arc::new(table))))
}

pub const PERIODIC: Kind = Kind {
    namespace: "schedulers",
    name: "Periodic",
    aliases: &[],
    category: Category::Scheduler,
    positional: &["name", "builderNames", "periodicBuildTimer", "reason"],
    flat: false,
    doc: "Starts builders again and again, a fixed time apart.",
    schema: schema_of::<PeriodicParams>,
    check: check_as::<PeriodicParams>,
    callbacks: CALLBACKS,
    extensible: false,
};

pub const NIGHTLY: Kind = Kind {
    name: "Nightly",
    positional: &[
        "name",
        "builderNames",
        "minute",
        "hour",
        "dayOfMonth",
        "month",
        "dayOfWeek",
        "force_at_minute",
        "force_at_hour",
        "force_at_day_of_month",
        "force_at_month",
        "force_at_day_of_week",
    ],
    doc: "Starts builders at certain times of the calendar, as cron does.",
    schema: schema_of::<NightlyParams>,
    check: check_as::<NightlyParams>,
    ..PERIODIC
};

pub const NIGHTLY_TRIGGERABLE: Kind = Kind {
    name: "NightlyTriggerable",
    positional: &["name", "builderNames", "minute", "hour", "dayOfMonth", "month", "dayOfWeek"],
    doc: "Starts builders at certain times of the calendar with what a Trigger step last gave it.",
    schema: schema_of::<NightlyTriggerableParams>,
    check: check_nightly_triggerable,
    callbacks: &[PRIORITY],
    ..PERIODIC
};
