//! Builders, requests and the master as functions of the configuration see them (lua-api § 2, reference 07.012, 07.015).

use crate::distributor::{Actor, Queue};
use crate::plan::BuilderPlan;
use lunabot_data::new::PendingRequest;
use lunabot_model::resources::Change;
use lunabot_model::script::{Inert, LiveObject};
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

pub(crate) fn builder_object(view: &BuilderView) -> ScriptObject {
    let config = &view.plan.config;
    let fields = json!({
        "name": config.name, "builderid": view.plan.id, "tags": config.tags, "description": config.description,
        "project": config.project, "building": view.building, "old_building": [],
        "config": {
            "name": config.name, "workernames": config.workers(), "tags": config.tags, "project": config.project,
            "description": config.description, "builddir": config.builddir, "properties": config.properties,
            "env": config.env,
        },
    });
    ScriptObject {
        class: "builder",
        key: format!("builder:{}", view.plan.id),
        fields,
        children: Vec::new(),
        methods: &[
            "getOldestRequestTime",
            "getNewestCompleteTime",
            "getHighestPriority",
            "get_highest_priority",
        ],
        assignable: &[],
        handle: Arc::new(view.clone()),
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
}

/// 07.015.
pub(crate) fn request_object(
    builder: &BuilderView,
    request: &PendingRequest,
    changes: &[Change],
) -> ScriptObject {
    let row = &request.request;
    let mut fields = serde_json::to_value(row).unwrap_or_default();
    let stamps = request.buildset.sourcestamps.iter().map(|stamp| {
        let mut value = serde_json::to_value(stamp).unwrap_or_default();
        let of_stamp = changes.iter().filter(|change| change.codebase == stamp.codebase);
        value["changes"] = of_stamp.map(change_fields).collect();
        (stamp.codebase.clone(), value)
    });
    let stamps: Vec<(String, Json)> = stamps.collect();
    let first = stamps.first().map_or_else(|| json!({}), |(_, stamp)| stamp.clone());
    let sources: serde_json::Map<String, Json> = stamps.into_iter().collect();
    let more = json!({
        "id": row.buildrequestid, "bsid": row.buildsetid, "buildername": builder.plan.config.name,
        "submittedAt": row.submitted_at, "waitedFor": row.waited_for,
        "reason": request.buildset.reason, "properties": {"$properties": request.properties},
        "sources": sources, "source": first, "buildset": request.buildset,
        "parent_buildid": request.buildset.parent_buildid,
        "changes": changes.iter().map(change_fields).collect::<Vec<_>>(),
    });
    if let (Json::Object(all), Json::Object(more)) = (&mut fields, more) {
        all.extend(more);
    }
    ScriptObject {
        class: "buildrequest",
        key: format!("buildrequest:{}", row.buildrequestid),
        fields,
        children: Vec::new(),
        methods: &[],
        assignable: &[],
        handle: Arc::new(Inert),
    }
}

pub(super) fn change_fields(change: &Change) -> Json {
    let mut fields = serde_json::to_value(change).unwrap_or_default();
    fields["who"] = change.author.as_str().into();
    fields["properties"] = json!({"$properties": change.properties});
    fields
}

/// `lunabot.master`, as an argument; the script host puts its own object in its place.
pub(crate) fn master_object() -> ScriptObject {
    ScriptObject {
        class: "master",
        key: "master".into(),
        fields: json!({}),
        children: Vec::new(),
        methods: &[],
        assignable: &[],
        handle: Arc::new(Inert),
    }
}

/// The id in an answer that refers to an object of this sort.
pub(crate) fn id_of(answer: &Json, sort: &str) -> Option<i64> {
    let key = answer.get("$ref")?.as_str()?;
    key.strip_prefix(sort)?.strip_prefix(':')?.parse().ok()
}
