//! Builders, requests and the master as functions of the configuration see them (lua-api § 2, reference 07.012, 07.015).

use crate::build::Prospect;
use crate::distributor::{Actor, Queue};
use crate::plan::BuilderPlan;
use crate::scripts::RequestChanges;
use lunabot_data::new::PendingRequest;
use lunabot_model::config::BuilderConfig;
use lunabot_model::render::render;
use lunabot_model::resources::{Change, SourceStamp};
use lunabot_model::script::LiveObject;
use lunabot_model::{BoxFuture, BuilderId, Json, ScriptObject};
use serde_json::json;
use std::sync::Arc;

/// A builder at one moment.
#[derive(Clone)]
pub(crate) struct BuilderView {
    pub plan: Arc<BuilderPlan>,
    building: Vec<Json>,
    oldest_request: Option<i64>,
    newest_complete: Option<i64>,
    highest_priority: Option<i64>,
}

impl BuilderView {
    pub fn of(actor: &Actor, id: BuilderId) -> Option<Self> {
        let plan = actor.builders.get(&id)?.clone();
        let worker = |id| actor.workers.get(&id).map(|worker| worker.name.clone());
        let runs = actor.runs.of_builder(id);
        let queue = actor.machine.builder(id).map(|builder| &builder.queue);
        Some(BuilderView {
            building: runs
                .map(|run| json!({"buildid": run.build, "workername": worker(run.worker)}))
                .collect(),
            oldest_request: queue.and_then(Queue::oldest),
            highest_priority: queue.and_then(Queue::highest_priority),
            newest_complete: actor.newest_complete.get(&id).copied(),
            plan,
        })
    }
}

/// Stands for `math.huge`, which JSON cannot say.
const HUGE: f64 = f64::MAX;

/// `builder.config`.
pub(super) fn config_fields(config: &BuilderConfig) -> Json {
    json!({
        "name": config.name, "workernames": config.workers(), "tags": config.tags, "project": config.project,
        "description": config.description, "builddir": config.builddir, "properties": config.properties,
        "env": config.env,
    })
}

/// What a builder tells of itself.
const BUILDER_FIELDS: &[&str] =
    &["name", "builderid", "tags", "description", "project", "building", "old_building", "config"];

pub(crate) fn builder_object(view: &BuilderView) -> ScriptObject {
    ScriptObject {
        class: "builder",
        key: format!("builder:{}", view.plan.id),
        fields: Json::Null,
        children: Vec::new(),
        methods: &[
            "getOldestRequestTime",
            "getNewestCompleteTime",
            "getHighestPriority",
            "get_highest_priority",
        ],
        assignable: &[],
        handle: Arc::new(view.clone()),
        scope: 0,
    }
}

impl LiveObject for BuilderView {
    fn call<'a>(&'a self, method: &'a str, _: Vec<Json>) -> BoxFuture<'a, Result<Json, String>> {
        let or_huge = |time: Option<i64>, huge: f64| time.map_or(Json::from(huge), Json::from);
        let result = match method {
            "getOldestRequestTime" => Ok(or_huge(self.oldest_request, HUGE)),
            "getNewestCompleteTime" => Ok(or_huge(self.newest_complete, -HUGE)),
            "getHighestPriority" | "get_highest_priority" => Ok(or_huge(self.highest_priority, -HUGE)),
            _ => Err(format!("a builder has no method {method}")),
        };
        Box::pin(std::future::ready(result))
    }

    fn set(&self, field: &str, _: Json) -> Result<(), String> {
        Err(format!("{field} of a builder cannot be assigned"))
    }

    fn field(&self, name: &str) -> Option<Json> {
        let config = &self.plan.config;
        Some(match name {
            "name" => config.name.as_str().into(),
            "builderid" => self.plan.id.into(),
            "tags" => json!(config.tags),
            "description" => json!(config.description),
            "project" => json!(config.project),
            "building" => self.building.clone().into(),
            "old_building" => json!([]),
            "config" => config_fields(config),
            _ => return None,
        })
    }

    fn fields(&self) -> serde_json::Map<String, Json> {
        let known = BUILDER_FIELDS.iter().filter_map(|name| Some(((*name).to_owned(), self.field(name)?)));
        known.collect()
    }
}

/// A request as functions see it (07.015).
struct RequestView {
    builder: Arc<BuilderPlan>,
    request: Arc<PendingRequest>,
    changes: RequestChanges,
}

impl RequestView {
    fn stamp(&self, stamp: &SourceStamp) -> Json {
        let mut value = serde_json::to_value(stamp).unwrap_or_default();
        let changes = self.changes.of(&self.request);
        let of_stamp = changes.into_iter().filter(|change| change.codebase == stamp.codebase);
        value["changes"] = of_stamp.map(change_fields).collect();
        value
    }

    fn row(&self) -> serde_json::Map<String, Json> {
        match serde_json::to_value(&self.request.request) {
            Ok(Json::Object(row)) => row,
            _ => serde_json::Map::new(),
        }
    }
}

/// Beside those of the resource.
const REQUEST_FIELDS: &[&str] = &[
    "id",
    "bsid",
    "buildername",
    "submittedAt",
    "waitedFor",
    "reason",
    "properties",
    "sources",
    "source",
    "buildset",
    "parent_buildid",
    "changes",
];

impl RequestView {
    /// The build that it may become, as far as it is known.
    fn prospect(&self) -> Prospect {
        Prospect {
            builder: self.builder.clone(),
            worker: None,
            properties: self.request.properties.clone(),
            sourcestamps: self.request.buildset.sourcestamps.clone(),
        }
    }
}

impl LiveObject for RequestView {
    fn call<'a>(&'a self, method: &'a str, args: Vec<Json>) -> BoxFuture<'a, Result<Json, String>> {
        Box::pin(async move {
            match (method, args.as_slice()) {
                // Of its properties.
                ("render", [value]) => {
                    render(value, &self.prospect()).await.map_err(|error| error.to_string())
                }
                ("field", [Json::String(name)]) if matches!(name.as_str(), "sourcestamps" | "changes") => {
                    let of = if name == "changes" { "changes" } else { "sources" };
                    Ok(match self.field(of).unwrap_or_default() {
                        Json::Object(by_codebase) => {
                            by_codebase.into_iter().map(|(_, stamp)| stamp).collect()
                        }
                        list => list,
                    })
                }
                _ => Err(format!("a request has no method {method}")),
            }
        })
    }

    fn renders(&self) -> bool {
        true
    }

    fn set(&self, field: &str, _: Json) -> Result<(), String> {
        Err(format!("{field} of a request cannot be assigned"))
    }

    fn field(&self, name: &str) -> Option<Json> {
        let PendingRequest { request, buildset, properties, .. } = &*self.request;
        let stamps = &buildset.sourcestamps;
        Some(match name {
            "id" => request.buildrequestid.into(),
            "bsid" => request.buildsetid.into(),
            "buildername" => self.builder.config.name.as_str().into(),
            "submittedAt" => request.submitted_at.into(),
            "waitedFor" => request.waited_for.into(),
            "reason" => buildset.reason.as_str().into(),
            "properties" => json!({"$properties": properties}),
            "sources" => stamps.iter().map(|stamp| (stamp.codebase.clone(), self.stamp(stamp))).collect(),
            "source" => stamps.first().map_or_else(|| json!({}), |stamp| self.stamp(stamp)),
            "buildset" => json!(buildset),
            "parent_buildid" => json!(buildset.parent_buildid),
            "changes" => self.changes.of(&self.request).into_iter().map(change_fields).collect(),
            _ => return self.row().remove(name),
        })
    }

    fn fields(&self) -> serde_json::Map<String, Json> {
        let mut all = self.row();
        let more = REQUEST_FIELDS.iter().filter_map(|name| Some(((*name).to_string(), self.field(name)?)));
        all.extend(more);
        all
    }
}

/// 07.015.
pub(crate) fn request_object(
    builder: &BuilderView,
    request: &Arc<PendingRequest>,
    changes: &RequestChanges,
) -> ScriptObject {
    let view =
        RequestView { builder: builder.plan.clone(), request: request.clone(), changes: changes.clone() };
    let key = format!("buildrequest:{}", request.request.buildrequestid);
    ScriptObject::new("buildrequest", key, Json::Null, Arc::new(view))
}

pub(crate) fn change_fields(change: &Change) -> Json {
    let mut fields = serde_json::to_value(change).unwrap_or_default();
    fields["who"] = change.author.as_str().into();
    fields["properties"] = json!({"$properties": change.properties});
    fields
}

/// `lunabot.master`, as an argument; the script host puts its own object in its place.
pub(crate) fn master_object() -> ScriptObject {
    ScriptObject::master(0)
}

/// The id in an answer that refers to an object of this sort.
pub(crate) fn id_of(answer: &Json, sort: &str) -> Option<i64> {
    let key = answer.get("$ref")?.as_str()?;
    key.strip_prefix(sort)?.strip_prefix(':')?.parse().ok()
}
