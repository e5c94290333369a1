//! `steps.Trigger` (06.045–06.050): starts builds of other builders, and may wait for them.

use crate::common::step_kind;
use async_trait::async_trait;
use futures::future::select_all;
use lunabot_engine::step::{
    Completed, OwnChecks, PartialStamp, Results, Step, StepContext, StepDefaults, StepError, StepKind,
    TriggerRequest, TriggeredSet, given, read,
};
use lunabot_engine::step_params;
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::{Json, Names, Problem, Properties, Renderable, percent};
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
        pub parent_relationship: Option<Renderable<String>>,
        /// Those of `schedulerNames` whose results do not count.
        #[serde(rename = "unimportantSchedulerNames")]
        pub unimportant_scheduler_names: Option<Renderable<Names>>,
    }
}

impl OwnChecks for TriggerParams {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let names = self.scheduler_names.as_ref();
        let literal = names.and_then(Renderable::literal);
        if names.is_none() || literal.as_ref().is_some_and(|names| names.0.is_empty()) {
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
    kind: step_kind(
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
    ),
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

#[async_trait]
impl Step for Trigger {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        let names = given(&self.params.scheduler_names).unwrap_or_default().0;
        if names.is_empty() {
            return Err(StepError::Exception("schedulerNames is empty: nothing to trigger".into()));
        }
        for name in &names {
            cx.check_triggerable(name)?;
        }
        let wait = given(&self.params.wait_for_finish).unwrap_or(false);
        let (mut sets, mut result) = (Vec::new(), Results::Success);
        for name in &names {
            match cx.trigger(self.request(cx, name, wait)).await {
                Ok(set) => sets.push(set),
                Err(StepError::Exception(text)) => {
                    cx.add_complete_log("err.text", &text).await?;
                    result = Results::Exception;
                }
                Err(error) => return Err(error),
            }
            self.names.push(name.clone());
            if cx.is_interrupted() {
                return self.interrupt(cx, &mut sets).await;
            }
        }
        cx.set_summary(&self.text());
        if wait { self.wait(cx, &mut sets, result).await } else { Ok(result) }
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
    fn request(&self, cx: &StepContext, name: &str, wait: bool) -> TriggerRequest {
        TriggerRequest {
            scheduler: name.into(),
            sourcestamps: self.stamps(cx),
            properties: self.properties(cx),
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
        sets: &mut [TriggeredSet],
        mut result: Results,
    ) -> Result<Results, StepError> {
        let unimportant = given(&self.params.unimportant_scheduler_names).unwrap_or_default().0;
        let mut open: Vec<bool> = vec![true; sets.len()];
        while open.contains(&true) {
            let next = tokio::select! {
                biased;
                () = cx.interrupted() => None,
                next = next_of(sets, &open) => Some(next),
            };
            let Some((index, completed)) = next else { return self.interrupt(cx, sets).await };
            let Some(completed) = completed? else {
                open[index] = false;
                continue;
            };
            if !unimportant.contains(&sets[index].scheduler) {
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

    async fn interrupt(&mut self, cx: &StepContext, sets: &mut [TriggeredSet]) -> Result<Results, StepError> {
        self.interrupted = true;
        cx.cancel_triggered(sets).await;
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
async fn next_of(sets: &mut [TriggeredSet], open: &[bool]) -> (usize, Result<Option<Completed>, StepError>) {
    let asked = sets.iter_mut().enumerate().filter(|(index, _)| open[*index]);
    let asked = asked.map(|(index, set)| Box::pin(async move { (index, set.next().await) }));
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
