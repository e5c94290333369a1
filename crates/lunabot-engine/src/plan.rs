//! A generation, worked out: builders and workers with their ids, steps with their kinds.

use crate::Generation;
use crate::step::{BaseStepParams, StepKind};
use crate::worker::latent::{ABSTRACT, LatentParams, LatentSpec};
use crate::worker::{LocalWorkerParams, REMOTE, RemoteWorkerParams};
use lunabot_model::config::{BuilderConfig, Collapse, DeclaredBuilder};
use lunabot_model::downtime::{Downtime, DowntimeOption};
use lunabot_model::locks::LockUse;
use lunabot_model::{AnyObject, BuilderId, ClassOf, FromLua, Id, Json, Renderable, WorkerId};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The configuration names something the engine does not know; the text names the place.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(crate) struct PlanError(pub String);

/// A builder of one generation.
pub(crate) struct BuilderPlan {
    pub generation: Arc<Generation>,
    pub id: BuilderId,
    pub project_id: Option<Id>,
    pub config: BuilderConfig,
    /// The factory's (05.035).
    pub workdir: Option<Renderable<String>>,
    /// The factory's class of builds, if it is one of the configuration's own (05.017).
    pub build_class: Option<AnyObject>,
    /// Whether its builds are measured (05.065).
    pub use_progress: bool,
    pub steps: Vec<Arc<PlannedStep>>,
    pub workers: Vec<WorkerId>,
}

impl BuilderPlan {
    /// What decides about collapsing: the builder's, else the master's; `None`: the default rule (07.002).
    pub fn collapse(&self) -> Option<&Collapse> {
        self.config.collapse_requests.as_ref().or(self.generation.config.collapse_requests.as_ref())
    }

    /// Folder below the worker's base directory.
    pub fn workerbuilddir(&self) -> String {
        let named = self.config.workerbuilddir.clone().or_else(|| self.config.builddir.clone());
        named.unwrap_or_else(|| safe_name(&self.config.name))
    }
}

/// A step of a factory.
pub(crate) struct PlannedStep {
    pub kind: &'static StepKind,
    /// The options as written.
    pub args: Json,
    pub base: BaseStepParams,
    /// Whether anything in the options has to be rendered.
    pub dynamic: bool,
    /// `master.lua:12`.
    pub at: String,
    /// `$id` of the declared object.
    pub id: u64,
    /// Of the configuration, if it is one of its own.
    pub class: Option<ClassOf>,
    /// Whether its kind has the options of a command.
    pub has_shell: bool,
}

impl PlannedStep {
    /// Its name as far as it is known before it runs.
    pub fn name(&self) -> String {
        let given = self.base.name.as_ref().and_then(lunabot_model::Renderable::literal);
        given.unwrap_or_else(|| self.kind.defaults.name.to_string())
    }

    /// Its options as functions read them: as they were rendered, else their defaults; nil where there is none.
    pub fn readable(&self, rendered: &Json) -> Json {
        let mut all = (*self.kind.unset()).clone();
        all.extend(rendered.as_object().cloned().unwrap_or_default());
        all.into()
    }
}

/// A worker of one generation.
pub(crate) struct WorkerPlan {
    pub id: WorkerId,
    pub name: String,
    /// `None`: unlimited.
    pub max_builds: Option<usize>,
    /// Claimed while a build on it is prepared (05.061).
    pub locks: Vec<LockUse>,
    /// Times at which it gets no builds.
    pub downtime: Option<Downtime>,
    pub properties: BTreeMap<String, Json>,
    pub default_properties: BTreeMap<String, Json>,
    /// Of one that is started when it is needed.
    pub latent: Option<Arc<LatentSpec>>,
}

/// The name with characters that do not belong in a folder's name replaced.
pub(crate) fn safe_name(name: &str) -> String {
    let unsafe_ones = "\t !#$%&'()*+,./:;<=>?@[\\]^{|}~";
    name.chars().map(|c| if unsafe_ones.contains(c) { '_' } else { c }).collect()
}

/// The steps of a builder. The error names the place.
pub(crate) fn steps_of(
    builder: &DeclaredBuilder,
    registry: &HashMap<&'static str, &'static StepKind>,
) -> Result<Vec<Arc<PlannedStep>>, PlanError> {
    builder.factory.steps.iter().map(|step| plan_step(step, registry).map(Arc::new)).collect()
}

pub(crate) fn plan_step(
    step: &AnyObject,
    registry: &HashMap<&'static str, &'static StepKind>,
) -> Result<PlannedStep, PlanError> {
    let name = step.kind.strip_prefix("steps.").unwrap_or(&step.kind);
    let fault = |text: String| PlanError(format!("{}: {}: {text}", step.at, step.kind));
    let Some(kind) = registry.get(name) else {
        return Err(fault("no such step".into()));
    };
    let class = step.class.as_ref().map(ClassOf::read).transpose().map_err(&fault)?;
    let shell = || (kind.kind.schema)().pointer("/properties/decodeRC").is_some();
    let base = FromLua(&step.args).read().map_err(|error| fault(error.to_string()))?;
    let params = class.as_ref().map(|class| &class.params);
    let dynamic = [Some(&step.args), params].into_iter().flatten().any(lunabot_model::object::is_dynamic);
    Ok(PlannedStep {
        kind,
        args: step.args.clone(),
        base,
        dynamic,
        at: step.at.clone(),
        id: step.id,
        has_shell: class.is_some() && shell(),
        class,
    })
}

/// Reads a declared worker; the id is filled in later.
pub(crate) fn worker_of(object: &AnyObject) -> Result<WorkerPlan, PlanError> {
    let wrong = |text| PlanError(format!("{}: {}: {text}", object.at, object.kind));
    let plan = |name,
                max_builds: Option<u32>,
                properties,
                default_properties,
                locks: Option<Json>,
                downtime: Option<DowntimeOption>| {
        let locks = locks.as_ref().map(lunabot_model::locks::uses).transpose().map_err(wrong)?;
        Ok(WorkerPlan {
            downtime: downtime.map(|option| option.read()).transpose().map_err(wrong)?,
            id: 0,
            name,
            locks: locks.unwrap_or_default(),
            max_builds: max_builds.filter(|most| *most > 0).map(|most| most as usize),
            properties,
            default_properties,
            latent: None,
        })
    };
    if object.kind == ABSTRACT {
        let p: LatentParams = worker_params(object)?;
        let spec = LatentSpec::read(object, p.clone());
        let spec = spec.map_err(wrong)?;
        let planned = plan(p.name, p.max_builds, p.properties, p.default_properties, p.locks, p.downtime)?;
        return Ok(WorkerPlan { latent: Some(Arc::new(spec)), ..planned });
    }
    if object.kind == REMOTE {
        let p: RemoteWorkerParams = worker_params(object)?;
        return plan(p.name, p.max_builds, p.properties, p.default_properties, p.locks, p.downtime);
    }
    let p: LocalWorkerParams = worker_params(object)?;
    plan(p.name, p.max_builds, p.properties, p.default_properties, p.locks, p.downtime)
}

/// The options of a declared worker. The error names the place.
pub(crate) fn worker_params<T: serde::de::DeserializeOwned>(object: &AnyObject) -> Result<T, PlanError> {
    FromLua(&object.args)
        .read()
        .map_err(|error| PlanError(format!("{}: {}: {error}", object.at, object.kind)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_named_after_builders_without_unsafe_characters() {
        assert_eq!(safe_name("linux/x86 64.debug-1_a"), "linux_x86_64_debug-1_a");
    }
}
