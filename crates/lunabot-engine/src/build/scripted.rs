//! Builds of classes of the configuration, and the steps that a build still has (reference 05.010–05.012, 05.017).

use super::BuildShared;
use crate::plan::{PlannedStep, plan_step};
use crate::scripts::{build_object, done_step, planned_step};
use crate::step::run::StepEnd;
use crate::step::scripted::error_of;
use crate::step::{StepError, with_traceback};
use lunabot_model::script::{CallSite, Instance};
use lunabot_model::{AnyObject, Arg, ClassOf, Json, Results};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most steps that a class may run in one build.
const MAX_STEPS: usize = 10_000;

/// What a build still has to do.
#[derive(Default)]
pub(crate) struct Remaining {
    steps: VecDeque<Arc<PlannedStep>>,
    /// Steps that a class was given to look at, by the number in their key.
    shown: HashMap<u64, Arc<PlannedStep>>,
    asked: usize,
    /// Whether it was told that a step which the class returned did not run.
    told_passed: bool,
    /// How functions want the build to end.
    pub finish: Option<Results>,
}

impl Remaining {
    pub fn new(steps: &[Arc<PlannedStep>]) -> Self {
        Remaining { steps: steps.iter().cloned().collect(), ..Remaining::default() }
    }

    pub fn next(&mut self) -> Option<Arc<PlannedStep>> {
        self.steps.pop_front()
    }

    /// Before all that are left, in this order.
    pub fn add_first(&mut self, steps: Vec<Arc<PlannedStep>>) {
        steps.into_iter().rev().for_each(|step| self.steps.push_front(step));
    }

    pub fn add_last(&mut self, steps: Vec<Arc<PlannedStep>>) {
        self.steps.extend(steps);
    }

    /// Shows the next step to a class: under this number it may be given back.
    pub fn show(&mut self) -> Option<(u64, Arc<PlannedStep>)> {
        let step = self.steps.pop_front()?;
        self.shown.insert(step.id, step.clone());
        Some((step.id, step))
    }
}

/// The class of a build, and its `self`.
pub(crate) struct BuildScript {
    class: ClassOf,
    instance: Arc<Instance>,
}

impl BuildShared {
    pub fn remaining(&self) -> MutexGuard<'_, Remaining> {
        self.remaining.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the object of the factory's `buildClass`, and lets it set up the build.
    pub async fn begin_script(&self) -> Result<(), StepError> {
        let Some(object) = &self.builder.build_class else { return Ok(()) };
        let Some(class) = &object.class else { return Ok(()) };
        let class = ClassOf::read(class).map_err(StepError::Exception)?;
        let keep = self.builder.generation.host.keep();
        let instance = Arc::new(Instance { keep, of: object.id, live: build_object(self) });
        // Set here only.
        let _ = self.script.set(BuildScript { class, instance });
        for method in ["before_start", "setupBuild"] {
            self.hook(method, Vec::new()).await?;
        }
        Ok(())
    }

    /// Which build it is, in words.
    fn concerns(&self) -> String {
        format!("build {} of builder {}", self.info.number, self.info.builder)
    }

    fn hook_site(&self, method: &str) -> CallSite {
        CallSite::new(method, self.concerns())
    }

    /// Calls a method of the build's class, if it has it.
    async fn hook(&self, method: &str, args: Vec<Arg>) -> Result<Option<Json>, StepError> {
        let Some(script) = self.script.get() else { return Ok(None) };
        let Some(callback) = script.class.hook(method) else { return Ok(None) };
        let site = self.hook_site(method);
        let args = std::iter::once(Arg::Instance(script.instance.clone())).chain(args).collect();
        let host = &self.builder.generation.host;
        let answer = async { host.call(callback, site, args).await.map_err(error_of) };
        self.patience().or_give_up(answer).await.map(Some).map_err(|error| match error {
            StepError::Exception(text) | StepError::Failed(text) => StepError::Exception(text),
            other => other,
        })
    }

    /// The step to run next, as the build's class says, or else the next of those that are left; and whether the class has
    /// made it.
    pub async fn next_step(
        &self,
        last: Option<&StepEnd>,
    ) -> Result<Option<(Arc<PlannedStep>, bool)>, StepError> {
        let last = last.map_or(Arg::Value(Json::Null), |end| Arg::Object(done_step(self, end)));
        let Some(answer) = self.hook("getNextStep", vec![last]).await? else {
            return Ok(self.remaining().next().map(|step| (step, false)));
        };
        let step = self.read_step(&answer)?;
        let mut remaining = self.remaining();
        remaining.asked += 1;
        if step.is_some() && remaining.asked > MAX_STEPS {
            return Err(StepError::Exception(format!(
                "getNextStep has returned more than {MAX_STEPS} steps"
            )));
        }
        Ok(step)
    }

    /// Why only steps with `alwaysRun` may follow, if so; `ended`: a step has ended the build.
    pub fn over(&self, ended: bool) -> Option<&'static str> {
        if self.orders.borrow().stop.is_some() {
            return Some("the build was stopped");
        }
        if self.remaining().finish.is_some() {
            return Some("build:finish was called");
        }
        ended.then_some("a step has ended the build (haltOnFailure, EXCEPTION and the like)")
    }

    /// Tells once that a step which the class has made does not run: a class may return more of them until it is done.
    pub fn tell_passed(&self, step: &PlannedStep, why: &str) {
        if std::mem::replace(&mut self.remaining().told_passed, true) {
            return;
        }
        let (of, name) = (self.concerns(), step.name());
        tracing::warn!(
            "{of}: the step {name} ({}) that getNextStep returned does not run, because {why}; only steps with \
             alwaysRun do",
            step.at
        );
    }

    fn read_step(&self, answer: &Json) -> Result<Option<(Arc<PlannedStep>, bool)>, StepError> {
        if answer.is_null() {
            return Ok(None);
        }
        let shown = answer.get("$ref").and_then(Json::as_str).and_then(|key| key.strip_prefix("planned:"));
        if let Some(id) = shown.and_then(|id| id.parse::<u64>().ok())
            && let Some(step) = self.remaining().shown.remove(&id)
        {
            return Ok(Some((step, false)));
        }
        let object = AnyObject::from_json(answer).ok_or_else(|| {
            let got = self.builder.generation.host.shown(answer);
            let script = self.script.get();
            let callback = script.and_then(|script| script.class.hook("getNextStep"));
            let text = format!("getNextStep returned {got}; return a step, or nil for the end");
            let Some(callback) = callback else { return StepError::Exception(text) };
            self.builder.generation.host.nonsense(callback, self.hook_site("getNextStep"), &text);
            StepError::Exception(callback.placed(&text))
        })?;
        Ok(Some((self.plan(&object)?, true)))
    }

    /// A step that a function has made.
    pub fn plan(&self, object: &AnyObject) -> Result<Arc<PlannedStep>, StepError> {
        let planned = plan_step(object, &self.services.steps);
        planned.map(Arc::new).map_err(|error| StepError::Exception(with_traceback(error.0, "")))
    }
}

/// The next step of those that are left, for `util.Build.getNextStep(self, last)`.
pub(crate) fn show_next(build: &BuildShared) -> Arg {
    let shown = build.remaining().show();
    shown.map_or(Arg::Value(Json::Null), |(id, step)| Arg::Object(planned_step(id, &step)))
}

/// For [`BuildShared`].
pub(crate) type RemainingSteps = Mutex<Remaining>;
