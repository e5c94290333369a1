//! `steps.Trigger` (06.045–06.051): starts builds of other builders, and may wait for them.

use crate::common::{DO_STEP_IF, HIDE_STEP_IF, step_kind};
use async_trait::async_trait;
use futures::future::select_all;
use lunabot_engine::step::{
    Completed, LOG_ENCODING, OwnChecks, PartialStamp, Results, Step, StepContext, StepDefaults, StepError,
    StepKind, TriggerRequest, TriggeredSet, given, read,
};
use lunabot_engine::step_params;
use lunabot_model::kind::{self, check_as, schema_of};
use lunabot_model::kinds::locks::LOCKS;
use lunabot_model::{Callback, CallbackSpec, Json, Kind, Names, Problem, Properties, Renderable, percent};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

/// The source of the properties that are handed on.
const SOURCE: &str = "Trigger";

step_params! {
    /// Triggers schedulers.
    pub struct TriggerParams {
        /// The Triggerables to trigger.
        #[serde(rename = "schedulerNames")]
        pub scheduler_names: Option<Renderable<Names>>,
        /// One source stamp more for `sourceStamps`.
        #[serde(rename = "sourceStamp")]
        pub source_stamp: Option<Renderable<PartialStamp>>,
        /// The source stamps to build, one per codebase: tables of `codebase branch revision repository project`.
        #[serde(rename = "sourceStamps")]
        pub source_stamps: Option<Renderable<Vec<PartialStamp>>>,
        /// Build the revisions that this build has checked out. Default: unless `alwaysUseLatest` or `sourceStamps` says
        /// what to build.
        #[serde(rename = "updateSourceStamp")]
        pub update_source_stamp: Option<Renderable<bool>>,
        /// Build what the schedulers have as defaults, which is the newest.
        #[serde(rename = "alwaysUseLatest")]
        pub always_use_latest: Option<Renderable<bool>>,
        /// Wait for the builds; their result is the step's.
        #[serde(rename = "waitForFinish")]
        pub wait_for_finish: Option<Renderable<bool>>,
        /// Properties of the builds.
        pub set_properties: Option<Renderable<BTreeMap<String, Json>>>,
        /// Properties of this build that those get too.
        pub copy_properties: Option<Renderable<Names>>,
        /// What this build is to those, in words. Default `Triggered from`.
        #[schemars(extend("default" = "Triggered from"))]
        pub parent_relationship: Option<Renderable<String>>,
        /// Those of `schedulerNames` whose results do not count.
        #[serde(rename = "unimportantSchedulerNames")]
        pub unimportant_scheduler_names: Option<Renderable<Names>>,
        /// Says what to trigger when the step runs: a list of `{sched_name=, props_to_set=, unimportant=}`. Without
        /// `props_to_set` an entry gets `set_properties` and `copy_properties`.
        #[serde(rename = "getSchedulersAndProperties")]
        pub get_schedulers_and_properties: Option<Callback>,
    }
}

/// The option that is a function.
const ASK: &str = "getSchedulersAndProperties";

const GET_SCHEDULERS_AND_PROPERTIES: CallbackSpec = CallbackSpec {
    option: ASK,
    args: "step",
    returns: "a list of {sched_name=, props_to_set=, unimportant=}",
    on_error: "EXCEPTION of the step; nothing is triggered",
};

impl OwnChecks for TriggerParams {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let names = self.scheduler_names.as_ref();
        let literal = names.and_then(Renderable::literal);
        let asks = self.get_schedulers_and_properties.is_some();
        if !asks && names.is_none() || literal.as_ref().is_some_and(|names| names.0.is_empty()) {
            problems.push(Problem::new("schedulerNames", "name at least one Triggerable to trigger"));
        }
        let unimportant = given(&self.unimportant_scheduler_names).unwrap_or_default().0;
        if let Some(all) = literal {
            for name in unimportant.iter().filter(|name| !all.0.contains(name)) {
                let text = format!("'{name}' is not among schedulerNames");
                problems.push(Problem::new("unimportantSchedulerNames", text));
            }
        }
        problems.extend(self.excluded());
        problems
    }
}

impl TriggerParams {
    /// Options that say different things about what to build (06.045).
    fn excluded(&self) -> Option<Problem> {
        let stamps = self.source_stamp.is_some()
            || self
                .source_stamps
                .as_ref()
                .is_some_and(|stamps| stamps.literal().is_none_or(|s| !s.is_empty()));
        let latest = self.always_use_latest.as_ref().is_some_and(|on| on.literal() != Some(false));
        let update = self.update_source_stamp.is_some();
        let pair = match (stamps, latest, update) {
            (true, true, _) => ("alwaysUseLatest", "cannot be combined with sourceStamp or sourceStamps"),
            (true, _, true) => ("updateSourceStamp", "cannot be combined with sourceStamp or sourceStamps"),
            (_, true, true) => ("updateSourceStamp", "cannot be combined with alwaysUseLatest"),
            (..) => return None,
        };
        Some(Problem::new(pair.0, pair.1))
    }
}

/// Declares the step.
pub static TRIGGER: StepKind = StepKind {
    kind: Kind {
        callbacks: &[DO_STEP_IF, HIDE_STEP_IF, LOCKS, LOG_ENCODING, GET_SCHEDULERS_AND_PROPERTIES],
        ..step_kind(
            "Trigger",
            &[
                "schedulerNames",
                "sourceStamp",
                "sourceStamps",
                "updateSourceStamp",
                "alwaysUseLatest",
                "waitForFinish",
                "set_properties",
                "copy_properties",
                "parent_relationship",
                "unimportantSchedulerNames",
            ],
            "Starts builds of other builders through Triggerable schedulers, and waits for them if it is told to.",
            schema_of::<TriggerParams>,
            check_as::<TriggerParams>,
        )
    },
    defaults: StepDefaults::named("trigger"),
    build,
};

fn build(rendered: &Json) -> Result<Box<dyn Step>, StepError> {
    let params: TriggerParams = read(rendered)?;
    let (names, counts) = (Vec::new(), [0; Results::ALL.len()]);
    Ok(Box::new(Trigger { params, names, counts, interrupted: false }))
}

struct Trigger {
    params: TriggerParams,
    /// Schedulers that were triggered.
    names: Vec<String>,
    /// Builds that ended, by result.
    counts: [usize; Results::ALL.len()],
    interrupted: bool,
}

/// One scheduler to trigger (06.051).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    sched_name: String,
    /// In place of those that the step's options say.
    #[serde(default)]
    props_to_set: Option<BTreeMap<String, Json>>,
    #[serde(default)]
    unimportant: bool,
}

/// What was triggered, and whether its result counts.
struct Started {
    set: TriggeredSet,
    unimportant: bool,
    open: bool,
}

#[async_trait]
impl Step for Trigger {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        let all = self.wanted(cx).await?;
        for wanted in &all {
            cx.check_triggerable(&wanted.sched_name).map_err(|error| self.blame(cx, error))?;
        }
        let wait = given(&self.params.wait_for_finish).unwrap_or(false);
        let (mut started, mut result) = (Vec::new(), Results::Success);
        for wanted in &all {
            match cx.trigger(self.request(cx, wanted, wait)).await {
                Ok(set) => started.push(Started { set, unimportant: wanted.unimportant, open: true }),
                Err(StepError::Exception(text)) => {
                    cx.add_complete_log("err.text", &text).await?;
                    result = Results::Exception;
                }
                Err(error) => return Err(error),
            }
            self.names.push(wanted.sched_name.clone());
            if cx.is_interrupted() {
                return self.interrupt(cx, started).await;
            }
        }
        cx.set_summary(&self.text());
        if wait { self.wait(cx, started, result).await } else { Ok(result) }
    }

    fn result_summary(&self, _: Results) -> Option<String> {
        match (self.interrupted, self.names.is_empty()) {
            (true, _) => Some("interrupted".into()),
            (false, true) => None,
            (false, false) => Some(self.text()),
        }
    }

    /// 06.050: it counts the results.
    fn tells_its_result(&self) -> bool {
        true
    }
}

impl Trigger {
    /// What the function said cannot be triggered.
    fn blame(&self, cx: &StepContext, error: StepError) -> StepError {
        match (error, &self.params.get_schedulers_and_properties) {
            (StepError::Exception(text), Some(function)) => cx.nonsense(function, ASK, text),
            (error, _) => error,
        }
    }

    /// The function's answer, else the options.
    async fn wanted(&self, cx: &StepContext) -> Result<Vec<Wanted>, StepError> {
        if let Some(function) = &self.params.get_schedulers_and_properties {
            return self.ask(cx, function).await;
        }
        let names = given(&self.params.scheduler_names).unwrap_or_default().0;
        if names.is_empty() {
            return Err(StepError::Exception("schedulerNames is empty: nothing to trigger".into()));
        }
        let unimportant = given(&self.params.unimportant_scheduler_names).unwrap_or_default().0;
        let wanted = |name: String| Wanted {
            unimportant: unimportant.contains(&name),
            sched_name: name,
            props_to_set: None,
        };
        Ok(names.into_iter().map(wanted).collect())
    }

    /// 06.051. Renderables in the answer are rendered.
    async fn ask(&self, cx: &StepContext, function: &Callback) -> Result<Vec<Wanted>, StepError> {
        let names = |option| given(option).unwrap_or_default();
        let options = json!({
            "schedulerNames": names(&self.params.scheduler_names).0,
            "unimportantSchedulerNames": names(&self.params.unimportant_scheduler_names).0,
            "set_properties": given(&self.params.set_properties).unwrap_or_default(),
        });
        let step = cx.script_arg(|| options);
        let answer = cx.call(function, ASK, vec![step]).await?;
        let answer = cx.render(&answer).await?;
        kind::read(&answer).map_err(|problem| {
            let wanted = "return a list of {sched_name =, props_to_set =, unimportant =}";
            let text = format!("{ASK} returned {}: {}; {wanted}", cx.shown(&answer), problem.message);
            cx.nonsense(function, ASK, text)
        })
    }

    fn request(&self, cx: &StepContext, wanted: &Wanted, wait: bool) -> TriggerRequest {
        TriggerRequest {
            scheduler: wanted.sched_name.clone(),
            sourcestamps: self.stamps(cx),
            properties: match &wanted.props_to_set {
                Some(own) => Properties::from_plain(own, SOURCE),
                None => self.properties(cx),
            },
            waited_for: wait,
            relationship: given(&self.params.parent_relationship).unwrap_or_else(|| "Triggered from".into()),
        }
    }

    /// What is to be built (06.045).
    fn stamps(&self, cx: &StepContext) -> Vec<PartialStamp> {
        let mut stamps = given(&self.params.source_stamps).unwrap_or_default();
        stamps.extend(given(&self.params.source_stamp));
        if !stamps.is_empty() || given(&self.params.always_use_latest).unwrap_or(false) {
            return stamps;
        }
        let mut stamps: Vec<PartialStamp> = cx.build().sourcestamps.iter().map(PartialStamp::from).collect();
        if given(&self.params.update_source_stamp).unwrap_or(true) {
            let got = cx.get_property("got_revision").unwrap_or_default();
            for stamp in &mut stamps {
                if let Some(revision) = got_revision(&got, &stamp.codebase) {
                    stamp.revision = Some(Some(revision));
                }
            }
        }
        stamps
    }

    fn properties(&self, cx: &StepContext) -> Properties {
        let mut properties = Properties::new();
        for name in given(&self.params.copy_properties).unwrap_or_default().0 {
            if let Some(value) = cx.get_property(&name) {
                properties.set(name, value, SOURCE);
            }
        }
        for (name, value) in given(&self.params.set_properties).unwrap_or_default() {
            properties.set(name, value, SOURCE);
        }
        properties
    }

    /// 06.046.
    async fn wait(
        &mut self,
        cx: &StepContext,
        mut started: Vec<Started>,
        mut result: Results,
    ) -> Result<Results, StepError> {
        while started.iter().any(|one| one.open) {
            let next = tokio::select! {
                biased;
                () = cx.interrupted() => None,
                next = next_of(&mut started) => Some(next),
            };
            let Some((index, completed)) = next else { return self.interrupt(cx, started).await };
            let Some(completed) = completed? else {
                started[index].open = false;
                continue;
            };
            if !started[index].unimportant {
                result = result.worst(completed.results);
            }
            self.note(cx, &completed).await?;
        }
        Ok(result)
    }

    async fn note(&mut self, cx: &StepContext, completed: &Completed) -> Result<(), StepError> {
        for build in &completed.builds {
            self.counts[build.results as usize] += 1;
        }
        cx.set_summary(&self.text());
        cx.link_builds(completed).await
    }

    async fn interrupt(&mut self, cx: &StepContext, started: Vec<Started>) -> Result<Results, StepError> {
        self.interrupted = true;
        let mut sets: Vec<TriggeredSet> = started.into_iter().map(|one| one.set).collect();
        cx.cancel_triggered(&mut sets).await;
        Err(cx.interruption())
    }

    /// 06.050.
    fn text(&self) -> String {
        let mut text = format!("triggered {}", self.names.join(", "));
        for (result, count) in Results::ALL.into_iter().zip(self.counts).filter(|(_, count)| *count > 0) {
            text.push_str(&format!(", {count} {}", counted(result, count)));
        }
        text
    }
}

/// The set that has news first, with them. Sets that are not open are not asked.
async fn next_of(started: &mut [Started]) -> (usize, Result<Option<Completed>, StepError>) {
    let asked = started.iter_mut().enumerate().filter(|(_, one)| one.open);
    let asked = asked.map(|(index, one)| Box::pin(async move { (index, one.set.next().await) }));
    select_all(asked).await.0
}

/// The revision that was checked out of a codebase; without codebases the property is that revision itself.
fn got_revision(got: &Json, codebase: &str) -> Option<String> {
    let value = match got {
        Json::Object(by_codebase) => by_codebase.get(codebase)?,
        single if codebase.is_empty() => single,
        _ => return None,
    };
    Some(value).filter(|value| !value.is_null()).map(percent::text)
}

fn counted(result: Results, count: usize) -> &'static str {
    match (result, count) {
        (Results::Success, 2..) => "successes",
        (Results::Failure, 2..) => "failures",
        (Results::Exception, 2..) => "exceptions",
        (Results::Retry, 2..) => "retries",
        (other, _) => other.name(),
    }
}
