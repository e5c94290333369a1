//! A running step, and its build, as functions of its options see them (lua-api § 2 and § 3, reference 05.016, 05.029).

use super::objects::change_fields;
use crate::build::{BuildShared, PropertiesHandle};
use crate::step::StepContext;
use lunabot_model::resources::{Change, SourceStamp};
use lunabot_model::script::LiveObject;
use lunabot_model::{BoxFuture, Json, ScriptObject};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

const STEP_METHODS: &[&str] =
    &["getProperty", "hasProperty", "setProperty", "getProperties", "getStatistic", "hasStatistic"];

const BUILD_METHODS: &[&str] = &[
    "getProperty",
    "hasProperty",
    "setProperty",
    "getProperties",
    "allChanges",
    "allFiles",
    "blamelist",
    "getSourceStamp",
    "getAllSourceStamps",
];

/// The step, with these fields besides its own.
pub(crate) fn step_object(cx: &StepContext, more: Json) -> ScriptObject {
    let properties = json!({"$properties": cx.properties()});
    let build = &cx.0.build;
    let handle = Arc::new(StepHandle { build: build.itself.clone(), step: cx.name().to_string() });
    let mut fields = json!({
        "name": cx.name(), "workdir": cx.workdir(), "stopped": cx.is_interrupted(), "results": null,
        "worker": worker_fields(build), "properties": properties,
    });
    if let (Json::Object(all), Json::Object(more)) = (&mut fields, more) {
        all.extend(more);
    }
    ScriptObject {
        class: "step",
        key: "step".into(),
        fields,
        children: vec![("build", object_of(build, &properties, handle.clone()))],
        methods: STEP_METHODS,
        assignable: &[],
        handle,
    }
}

/// A build before its steps (05b item 3).
pub(crate) fn build_object(build: &BuildShared) -> ScriptObject {
    let properties = json!({"$properties": build.properties().all()});
    let handle = Arc::new(StepHandle { build: build.itself.clone(), step: String::new() });
    object_of(build, &properties, handle)
}

fn object_of(shared: &BuildShared, properties: &Json, handle: Arc<StepHandle>) -> ScriptObject {
    let build = &shared.info;
    ScriptObject {
        class: "build",
        key: "build".into(),
        fields: json!({
            "buildid": build.buildid, "number": build.number, "reason": build.reason, "builderid": build.builderid,
            "builder": {"name": build.builder, "builderid": build.builderid}, "worker": worker_fields(shared),
            "results": null, "url": build.url, "properties": properties,
        }),
        children: Vec::new(),
        methods: BUILD_METHODS,
        assignable: &[],
        handle,
    }
}

fn worker_fields(build: &BuildShared) -> Json {
    let info = build.worker.link.info();
    json!({"name": build.info.worker, "worker_basedir": info.basedir, "worker_system": info.system})
}

/// What the methods act on. It does not keep the build alive.
struct StepHandle {
    build: Weak<BuildShared>,
    step: String,
}

impl LiveObject for StepHandle {
    fn call<'a>(&'a self, method: &'a str, args: Vec<Json>) -> BoxFuture<'a, Result<Json, String>> {
        Box::pin(async move {
            let build = self.build.upgrade().ok_or("the build has ended")?;
            match method {
                "setProperty" | "render" => PropertiesHandle(self.build.clone()).call(method, args).await,
                "getProperty" | "hasProperty" | "getProperties" => property(&build, method, &args),
                "getStatistic" | "hasStatistic" => self.statistic(&build, method, &args),
                _ => about(&build, method, &args),
            }
        })
    }

    fn set(&self, field: &str, _: Json) -> Result<(), String> {
        Err(format!("{field} cannot be assigned here"))
    }
}

impl StepHandle {
    fn statistic(&self, build: &BuildShared, method: &str, args: &[Json]) -> Result<Json, String> {
        let name = name_of(method, args)?;
        let statistics = build.statistics();
        let value = statistics.get(&self.step, name);
        Ok(match method {
            "hasStatistic" => value.is_some().into(),
            _ => value.cloned().unwrap_or_else(|| args.get(1).cloned().unwrap_or_default()),
        })
    }
}

/// As they are now, not as they were when the function was called.
fn property(build: &BuildShared, method: &str, args: &[Json]) -> Result<Json, String> {
    let store = build.properties();
    if method == "getProperties" {
        return Ok(json!({"$properties": store.all()}));
    }
    let value = store.all().get(name_of(method, args)?);
    Ok(match method {
        "hasProperty" => value.is_some().into(),
        _ => value.cloned().unwrap_or_else(|| args.get(1).cloned().unwrap_or_default()),
    })
}

fn name_of<'a>(method: &str, args: &'a [Json]) -> Result<&'a str, String> {
    args.first().and_then(Json::as_str).ok_or_else(|| format!("{method} takes a name"))
}

/// What the build builds.
fn about(build: &BuildShared, method: &str, args: &[Json]) -> Result<Json, String> {
    let info = &build.info;
    let stamp = |stamp: &SourceStamp| {
        let mut fields = serde_json::to_value(stamp).unwrap_or_default();
        let own = info.changes.iter().filter(|change| change.codebase == stamp.codebase);
        fields["changes"] = own.map(change_fields).collect();
        fields
    };
    match method {
        "allChanges" => Ok(info.changes.iter().map(change_fields).collect()),
        "allFiles" => {
            Ok(info.changes.iter().flat_map(|change| change.files.clone()).map(Json::from).collect())
        }
        "blamelist" => Ok(authors(&info.changes, &info.sourcestamps).into_iter().map(Json::from).collect()),
        "getAllSourceStamps" => Ok(info.sourcestamps.iter().map(stamp).collect()),
        "getSourceStamp" => {
            let codebase = args.first().and_then(Json::as_str).unwrap_or_default();
            Ok(info.sourcestamp(codebase).map(stamp).unwrap_or_default())
        }
        _ => Err(format!("no method {method}")),
    }
}

/// Who wrote the changes and the patches, each once.
fn authors(changes: &[Change], stamps: &[SourceStamp]) -> BTreeSet<String> {
    let patches = stamps.iter().filter_map(|stamp| stamp.patch.as_ref()).map(|patch| patch.author.clone());
    let all = changes.iter().map(|change| change.author.clone()).chain(patches);
    all.filter(|name| !name.is_empty()).collect()
}
