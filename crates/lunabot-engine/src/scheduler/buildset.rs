//! From "build this" to a buildset: source stamps, properties, builders and priority (03.001, 03.005–03.008).

use super::params::{Codebases, Priority};
use super::{Surroundings, state_key};
use crate::logs::Masks;
use crate::scripts::change_fields;
use lunabot_data::DataError;
use lunabot_data::new::{NewBuildset, NewSourceStamp, Patience, Settled, StampRef, StateKey};
use lunabot_model::render::{RenderContext, RenderError, render};
use lunabot_model::resources::{Change, SourceStamp};
use lunabot_model::script::{CallSite, LiveObject};
use lunabot_model::{
    AnyObject, Arg, BoxFuture, BuildId, BuildRequestId, BuilderId, BuildsetId, Callback, Json, Properties,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What every scheduler's buildsets have in common.
#[derive(Debug, Clone)]
pub(super) struct Common {
    pub name: String,
    /// `builderNames` as written.
    pub builder_names: Json,
    pub properties: BTreeMap<String, Json>,
    pub priority: Priority,
    /// How long its requests may wait.
    pub patience: Patience,
}

/// The ids of a buildset and of the request of each builder.
pub(super) type Added = (BuildsetId, BTreeMap<BuilderId, BuildRequestId>);

/// One buildset to make.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub reason: String,
    /// By codebase; sorted when the buildset is made.
    pub stamps: Vec<(StampRef, SourceStamp)>,
    pub changes: Vec<Change>,
    /// Properties that the scheduler's own do not come from, e.g. of a force form; the scheduler's own win (03.007).
    pub properties: Properties,
    /// Builders, where the scheduler does not use all of its own.
    pub only_builders: Option<Vec<BuilderId>>,
    /// Overrides the scheduler's own priority.
    pub priority: Option<i64>,
    /// Counts where the scheduler has no priority of its own.
    pub inherited_priority: Option<i64>,
    /// What others call it.
    pub external_idstring: Option<String>,
    /// Some build waits for the result.
    pub waited_for: bool,
    pub parent_buildid: Option<BuildId>,
    pub parent_relationship: Option<String>,
    pub settled: Option<Settled>,
}

/// The state that holds when a scheduler last made a buildset.
pub(super) fn last_acted(scheduler: &str) -> StateKey {
    state_key(scheduler, "Schedulers", "last_acted")
}

/// Why a buildset was not added.
#[derive(Debug, thiserror::Error)]
pub(super) enum AddError {
    #[error(transparent)]
    Render(#[from] RenderError),
    #[error(transparent)]
    Data(#[from] DataError),
}

impl Common {
    /// Makes a buildset and stores it: durable when it returns.
    pub async fn add(&self, around: &Surroundings, wanted: Wanted) -> Result<Added, AddError> {
        let buildset = self.buildset(around, wanted).await?;
        let added = around.data.add_buildset(buildset).await?;
        around.agenda.acted(&self.name, around.clock.now().secs());
        Ok(added)
    }

    /// The names of its builders that there are, while nothing is known of a buildset.
    pub async fn offered(&self, around: &Surroundings) -> Result<Vec<String>, RenderError> {
        let cx = BuildsetContext {
            around: around.clone(),
            concerns: self.concerns(),
            properties: Properties::new(),
            stamps: Vec::new(),
            changes: Vec::new(),
            masks: Arc::default(),
        };
        let mut names = self.rendered_names(&cx).await?;
        names.retain(|name| around.builders.contains_key(name));
        Ok(names)
    }

    /// Renders and joins everything. The error names what could not be rendered.
    pub async fn buildset(&self, around: &Surroundings, wanted: Wanted) -> Result<NewBuildset, RenderError> {
        let mut properties = wanted.properties;
        properties.update(&Properties::from_plain(&self.properties, "Scheduler"));
        properties.set("scheduler", self.name.as_str(), "Scheduler");
        for change in &wanted.changes {
            properties.update(&change.properties);
        }
        let mut settled = wanted.settled.unwrap_or_default();
        settled.state.push((last_acted(&self.name), around.clock.now().secs().into()));
        let stamps: Vec<SourceStamp> = wanted.stamps.iter().map(|(_, stamp)| stamp.clone()).collect();
        let mut cx = BuildsetContext {
            around: around.clone(),
            concerns: self.concerns(),
            properties,
            stamps,
            changes: wanted.changes.iter().map(change_fields).collect(),
            masks: Arc::default(),
        };
        let (builderids, names) = match wanted.only_builders {
            Some(ids) => (ids, names_of(&self.builder_names).unwrap_or_default()),
            None => {
                let names = self.rendered_names(&cx).await?;
                (around.builder_ids(&names), names)
            }
        };
        cx.properties = rendered_properties(&cx).await?;
        let priority = match (wanted.priority, &self.priority, wanted.inherited_priority) {
            (Some(priority), ..) => priority,
            (None, Priority::Zero, Some(inherited)) => inherited,
            (None, ..) => self.priority(around, names, &wanted.changes).await,
        };
        Ok(NewBuildset {
            scheduler: self.name.clone(),
            reason: wanted.reason,
            external_idstring: wanted.external_idstring,
            sourcestamps: wanted.stamps.into_iter().map(|(stamp, _)| stamp).collect(),
            properties: cx.properties,
            builderids,
            priority,
            waited_for: wanted.waited_for,
            parent_buildid: wanted.parent_buildid,
            parent_relationship: wanted.parent_relationship,
            settled: Some(settled),
            patience: self.patience,
            ..NewBuildset::default()
        })
    }

    pub fn concerns(&self) -> String {
        format!("scheduler {}", self.name)
    }

    /// The names of the builders, as they are for a buildset to come.
    async fn rendered_names(&self, cx: &BuildsetContext) -> Result<Vec<String>, RenderError> {
        let rendered = render(&self.builder_names, cx).await?;
        names_of(&rendered).ok_or_else(|| {
            let got = cx.around.host.shown(&rendered);
            let text = format!("builderNames of scheduler {} yielded {got}, not a list of names", self.name);
            if let Some(function) = Callback::first_in(&self.builder_names) {
                cx.nonsense(&function, &text);
            }
            RenderError::new(text)
        })
    }

    async fn priority(&self, around: &Surroundings, names: Vec<String>, changes: &[Change]) -> i64 {
        let function = match &self.priority {
            Priority::Zero => return 0,
            Priority::Fixed(priority) => return *priority,
            Priority::Function(function) => function,
        };
        let mut by_codebase: BTreeMap<&str, Vec<Json>> = BTreeMap::new();
        for change in changes {
            by_codebase.entry(&change.codebase).or_default().push(change_fields(change));
        }
        let by_codebase = serde_json::to_value(by_codebase).unwrap_or_default();
        let site = CallSite::new("priority", self.concerns());
        let args = vec![Arg::Value(names.into()), Arg::Value(by_codebase)];
        match around.host.call(function, site.clone(), args).await {
            Ok(Json::Null | Json::Bool(false)) => 0,
            Ok(value) => value.as_i64().or_else(|| whole(&value)).unwrap_or_else(|| {
                around.host.nonsense(function, site, &format!("priority returned {value}, not an integer"));
                0
            }),
            Err(_) => 0,
        }
    }
}

fn whole(value: &Json) -> Option<i64> {
    value.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < 9e15).map(|f| f as i64)
}

/// A text or a list of texts, lists inside it dissolved and `false` left out.
fn names_of(value: &Json) -> Option<Vec<String>> {
    match value {
        Json::String(name) => Some(vec![name.clone()]),
        Json::Array(items) => {
            let mut names = Vec::new();
            for item in items.iter().filter(|item| !matches!(item, Json::Bool(false) | Json::Null)) {
                for name in names_of(item)? {
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
            }
            Some(names)
        }
        Json::Object(map) if map.is_empty() => Some(Vec::new()),
        _ => None,
    }
}

/// What is stored names secrets and does not hold them; the build fetches them itself.
async fn rendered_properties(cx: &BuildsetContext) -> Result<Properties, RenderError> {
    let mut rendered = Vec::with_capacity(cx.properties.len());
    for (name, property) in cx.properties.iter() {
        rendered.push((name, property, render(&property.value, cx).await?));
    }
    // Only now are all the secrets known.
    let sealed = rendered.into_iter().map(|(name, property, value)| {
        let sealed = cx.masks.sealed(&value, &cx.concerns);
        let value = sealed.map_err(|held| RenderError::new(format!("the property {name} {held}")))?;
        Ok((name, lunabot_model::Property { value, ..property.clone() }))
    });
    sealed.collect()
}

/// The source stamps of a buildset for changes (03.005): of each codebase the newest change's, or the defaults.
/// `last` holds what `createAbsoluteSourceStamps` remembers (03.009).
pub(super) fn stamps_for_changes(
    codebases: &Codebases,
    changes: &[Change],
    last: &BTreeMap<String, super::absolute::LastRevision>,
) -> Vec<(StampRef, SourceStamp)> {
    let of_codebase = |(codebase, defaults): (&String, &super::params::CodebaseDefaults)| {
        let newest = changes.iter().filter(|c| c.codebase == *codebase).max_by_key(|c| c.changeid);
        if let Some(change) = newest {
            return (StampRef::Id(change.sourcestamp.ssid), change.sourcestamp.clone());
        }
        let last = last.get(codebase);
        new_stamp(NewSourceStamp {
            revision: last.map_or_else(|| defaults.revision.clone(), |last| last.revision.clone()),
            branch: last.map_or_else(|| defaults.branch.clone(), |last| last.branch.clone()),
            repository: last.map_or_else(
                || defaults.repository.clone().unwrap_or_default(),
                |last| last.repository.clone(),
            ),
            codebase: codebase.clone(),
            ..NewSourceStamp::default()
        })
    };
    codebases.0.iter().map(of_codebase).collect()
}

/// A source stamp to be, with the form in which renderables see it.
pub(super) fn new_stamp(stamp: NewSourceStamp) -> (StampRef, SourceStamp) {
    let seen = SourceStamp {
        ssid: 0,
        revision: stamp.revision.clone(),
        branch: stamp.branch.clone(),
        repository: stamp.repository.clone(),
        project: stamp.project.clone(),
        codebase: stamp.codebase.clone(),
        patch: None,
        created_at: 0,
    };
    (StampRef::New(stamp), seen)
}

/// What renderables of a scheduler see: the buildset to come.
#[derive(Clone)]
struct BuildsetContext {
    around: Surroundings,
    concerns: String,
    properties: Properties,
    stamps: Vec<SourceStamp>,
    changes: Vec<Json>,
    /// The secrets that were asked for.
    masks: Arc<Masks>,
}

/// What functions see of it (lua-api § 2): `props.sourcestamps`, `props.changes`, `props:render`.
struct BuildsetHandle(BuildsetContext);

impl LiveObject for BuildsetHandle {
    fn call<'a>(&'a self, method: &'a str, args: Vec<Json>) -> BoxFuture<'a, Result<Json, String>> {
        Box::pin(async move {
            match (method, args.as_slice()) {
                ("field", [Json::String(name)]) => match name.as_str() {
                    "sourcestamps" => Ok(serde_json::to_value(&self.0.stamps).unwrap_or_default()),
                    "changes" => Ok(Json::Array(self.0.changes.clone())),
                    other => Err(format!("there is no {other} outside a build")),
                },
                ("render", [value]) => render(value, &self.0).await.map_err(|error| error.to_string()),
                ("setProperty", _) => Err("properties can be set in a build only".into()),
                _ => Err(format!("no method {method}; there is render")),
            }
        })
    }

    fn set(&self, field: &str, _: Json) -> Result<(), String> {
        Err(format!("{field} cannot be assigned"))
    }
}

impl BuildsetContext {
    fn site(&self) -> CallSite {
        CallSite::new("renderer", self.concerns.as_str())
    }
}

impl RenderContext for BuildsetContext {
    fn properties(&self) -> Properties {
        self.properties.clone()
    }

    fn property(&self, name: &str) -> Option<Json> {
        self.properties.get(name).cloned()
    }

    fn source_stamp(&self, codebase: &str) -> Option<SourceStamp> {
        self.stamps.iter().find(|stamp| stamp.codebase == codebase).cloned()
    }

    fn worker_info(&self, _: &str) -> Option<Json> {
        None
    }

    fn secret<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, String>> {
        Box::pin(self.masks.ask(self.around.secrets.as_ref(), name))
    }

    fn token<'a>(&'a self, declared: &'a AnyObject, options: Json) -> BoxFuture<'a, Result<String, String>> {
        Box::pin(self.masks.mint(self.around.secrets.as_ref(), declared, options))
    }

    fn call<'a>(
        &'a self,
        callback: &'a Callback,
        with_properties: bool,
        args: Vec<Json>,
    ) -> BoxFuture<'a, Result<Json, RenderError>> {
        Box::pin(async move {
            let mut all = Vec::with_capacity(args.len() + 1);
            if with_properties {
                let handle = BuildsetHandle(self.clone());
                all.push(Arg::Properties(Arc::new(handle), self.properties.clone()));
            }
            all.extend(args.into_iter().map(Arg::Value));
            let called = self.around.host.call(callback, self.site(), all).await;
            called.map_err(RenderError::from)
        })
    }

    fn nonsense(&self, callback: &Callback, text: &str) {
        self.around.host.nonsense(callback, self.site(), text);
    }

    fn build_url(&self) -> Option<String> {
        None
    }
}
