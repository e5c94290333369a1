//! A build as functions of the configuration see it (lua-api § 2 and § 3, reference 05.016).

use super::args::{Args, Method, NOTHING, Reply, call, methods, names, value};
use super::objects::{change_fields, config_fields};
use crate::build::scripted::show_next;
use crate::build::{BuildShared, PropertiesHandle};
use crate::distributor::info_json;
use crate::plan::PlannedStep;
use crate::worker::WorkerHandle;
use lunabot_model::resources::{Change, SourceStamp};
use lunabot_model::script::{Inert, LiveObject};
use lunabot_model::{AnyObject, Arg, BoxFuture, CallError, Json, Properties, ScriptObject, spliced};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock, Weak};

pub(super) static METHODS: &[Method<BuildShared>] = methods! {
    "getProperty"("name", "default*") => get_property,
    "hasProperty"("name") => has_property,
    "setProperty"("name", "value*", "source") => set_property,
    "getProperties"() => get_properties,
    "render"("value*") => render,
    "summaryValues"("name") => summary_values,
    "allChanges"() => all_changes,
    "allFiles"() => all_files,
    "blamelist"() => blamelist,
    "getSourceStamp"("codebase") => get_source_stamp,
    "getAllSourceStamps"() => get_all_source_stamps,
    "addStepsAfterCurrentStep"("steps*") => add_steps_after_current,
    "addStepsAfterLastStep"("steps*") => add_steps_after_last,
    "finish"("result") => finish,
    "setupBuild"() => set_up,
    "getNextStep"("last") => next_step,
};
/// `getSummaryStatistic` is said in Lua, in terms of `summaryValues`.
static NAMES: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| names(&[METHODS]).into_iter().chain(["getSummaryStatistic"]).collect());

pub(crate) fn build_object(shared: &BuildShared) -> ScriptObject {
    let build = &shared.info;
    let fields = json!({
        "buildid": build.buildid, "number": build.number, "reason": build.reason, "builderid": build.builderid,
        "builder": builder_fields(shared),
        "url": build.url, "results": null,
    });
    let handle = Arc::new(BuildHandle(Weak::clone(&shared.itself)));
    ScriptObject {
        scope: shared.scope(),
        children: vec![("worker", worker_of(shared))],
        ..ScriptObject::new("build", format!("build:{}", build.buildid), fields, handle).with_methods(&NAMES)
    }
}

/// The worker of a build.
pub(super) fn worker_of(build: &BuildShared) -> Arg {
    let worker = &build.worker;
    let mut properties = Properties::from_plain(&build.worker_plan.properties, "Worker");
    properties.set("workername", worker.name.as_str(), "Worker");
    let fields = json!({
        "name": worker.name, "workername": worker.name, "workerid": worker.id,
        "properties": {"$properties": properties},
    });
    let handle = Arc::new(BuildWorker(Arc::downgrade(worker)));
    Arg::Object(ScriptObject::new("worker", format!("worker:{}", worker.id), fields, handle))
}

/// What a worker says of itself is told where it is asked for: a latent one may have yet to come.
struct BuildWorker(Weak<WorkerHandle>);

impl LiveObject for BuildWorker {
    fn field(&self, name: &str) -> Option<Json> {
        let worker = self.0.upgrade()?;
        let info = worker.link.info();
        match name {
            "info" => Some(info_json(info)),
            "worker_basedir" => Some(info.basedir.clone().into()),
            "worker_system" => Some(info.system.clone().into()),
            _ => None,
        }
    }
}

fn builder_fields(build: &BuildShared) -> Json {
    let config = &build.builder.config;
    json!({
        "name": config.name, "builderid": build.info.builderid, "tags": config.tags, "description": config.description,
        "project": config.project, "config": config_fields(config),
    })
}

/// What the methods act on. It does not keep the build alive.
struct BuildHandle(Weak<BuildShared>);

impl LiveObject for BuildHandle {
    fn invoke<'a>(&'a self, method: &'a str, args: Vec<Arg>) -> BoxFuture<'a, Result<Arg, CallError>> {
        Box::pin(async move {
            let build = self.0.upgrade().ok_or("the build has ended")?;
            if let Some(of_properties) = of_properties(&build, method, &args) {
                return Ok(of_properties);
            }
            call(&[METHODS], &*build, method, args).await
        })
    }

    fn renders(&self) -> bool {
        true
    }

    fn field(&self, name: &str) -> Option<Json> {
        let build = self.0.upgrade()?;
        match name {
            "properties" => Some(json!({"$properties": build.properties().all()})),
            _ => None,
        }
    }
}

async fn get_property(build: &BuildShared, mut args: Args) -> Reply {
    let found = build.properties().all().get(&args.text("name")?).cloned();
    value(match found {
        Some(found) => found,
        None => args.maybe::<Json>("default")?.unwrap_or_default(),
    })
}

async fn has_property(build: &BuildShared, mut args: Args) -> Reply {
    value(build.properties().all().contains(&args.text("name")?))
}

async fn set_property(build: &BuildShared, mut args: Args) -> Reply {
    let (name, new) = (args.text("name")?, args.value("value")?);
    let source = args.maybe::<String>("source")?.unwrap_or_else(|| "Unknown".into());
    build.properties().set(&name, new, &source)?;
    Ok(NOTHING)
}

async fn get_properties(build: &BuildShared, _: Args) -> Reply {
    let handle = PropertiesHandle(Weak::clone(&build.itself));
    Ok(Arg::Properties(Arc::new(handle), build.properties().all().clone()))
}

async fn render(build: &BuildShared, mut args: Args) -> Reply {
    let rendered =
        lunabot_model::render::render(&args.maybe::<Json>("value")?.unwrap_or_default(), build).await;
    value(rendered.map_err(|error| error.to_string())?)
}

/// The values of a statistic, in the order of the steps.
async fn summary_values(build: &BuildShared, mut args: Args) -> Reply {
    let name = args.text("name")?;
    let values = build.statistics().all(&name);
    value(values)
}

fn changes_of(build: &BuildShared) -> Json {
    build.info.changes.iter().map(change_fields).collect()
}

/// Each file once, in the order of the changes.
fn files_of(changes: &[Change]) -> Json {
    let mut seen = BTreeSet::new();
    let all = changes.iter().flat_map(|change| &change.files);
    all.filter(|file| seen.insert(*file)).map(|file| Json::from(file.as_str())).collect()
}

/// What is asked of an object for the sake of its properties: a field that they have besides.
pub(super) fn of_properties(build: &BuildShared, method: &str, args: &[Arg]) -> Option<Arg> {
    match (method, args) {
        ("field", [Arg::Value(Json::String(name))]) => props_field(build, name),
        _ => None,
    }
}

/// What Properties of a build have besides: `build`, `files`, `sourcestamps` and `changes` (lua-api § 2).
pub(crate) fn props_field(build: &BuildShared, name: &str) -> Option<Arg> {
    Some(match name {
        "build" => Arg::Object(build_object(build)),
        "files" => Arg::Value(files_of(&build.info.changes)),
        "sourcestamps" => Arg::Value(stamps_of(build)),
        "changes" => Arg::Value(changes_of(build)),
        _ => return None,
    })
}

async fn all_changes(build: &BuildShared, _: Args) -> Reply {
    value(changes_of(build))
}

async fn all_files(build: &BuildShared, _: Args) -> Reply {
    value(files_of(&build.info.changes))
}

async fn blamelist(build: &BuildShared, _: Args) -> Reply {
    let authors = authors(&build.info.changes, &build.info.sourcestamps);
    value(authors.into_iter().map(Json::from).collect::<Vec<Json>>())
}

fn stamp_fields(build: &BuildShared, stamp: &SourceStamp) -> Json {
    let mut fields = serde_json::to_value(stamp).unwrap_or_default();
    let own = build.info.changes.iter().filter(|change| change.codebase == stamp.codebase);
    fields["changes"] = own.map(change_fields).collect();
    fields
}

fn stamps_of(build: &BuildShared) -> Json {
    build.info.sourcestamps.iter().map(|stamp| stamp_fields(build, stamp)).collect()
}

async fn get_source_stamp(build: &BuildShared, mut args: Args) -> Reply {
    let codebase = args.maybe::<String>("codebase")?.unwrap_or_default();
    let stamp = build.info.sourcestamp(&codebase).map(|stamp| stamp_fields(build, stamp));
    value(stamp.unwrap_or_default())
}

async fn get_all_source_stamps(build: &BuildShared, _: Args) -> Reply {
    value(stamps_of(build))
}

/// The steps of a list, or one.
fn planned(build: &BuildShared, args: &mut Args) -> Result<Vec<Arc<PlannedStep>>, CallError> {
    let given: Json = args.need("steps")?;
    let given = [given];
    let wrong = || args.wrong("steps: expected a list of steps");
    let objects = spliced(&given).into_iter().map(|item| AnyObject::from_json(item).ok_or_else(wrong));
    let objects: Vec<AnyObject> = objects.collect::<Result<_, _>>()?;
    objects.iter().map(|object| Ok(build.plan(object)?)).collect()
}

async fn add_steps_after_current(build: &BuildShared, mut args: Args) -> Reply {
    let steps = planned(build, &mut args)?;
    build.remaining().add_first(steps);
    Ok(NOTHING)
}

async fn add_steps_after_last(build: &BuildShared, mut args: Args) -> Reply {
    let steps = planned(build, &mut args)?;
    build.remaining().add_last(steps);
    Ok(NOTHING)
}

/// The build ends with this or worse: only steps with `alwaysRun` still run.
async fn finish(build: &BuildShared, mut args: Args) -> Reply {
    build.remaining().finish = Some(args.results("result")?);
    Ok(NOTHING)
}

/// The class of all builds has nothing to set up.
async fn set_up(_: &BuildShared, _: Args) -> Reply {
    Ok(NOTHING)
}

/// The next step of those that are left.
async fn next_step(build: &BuildShared, mut args: Args) -> Reply {
    args.take("last");
    Ok(show_next(build))
}

/// A step that was not run yet, as a build's class sees it.
pub(crate) fn planned_step(id: u64, step: &PlannedStep) -> ScriptObject {
    let mut fields = step.args.as_object().cloned().unwrap_or_default();
    fields.insert("name".into(), step.name().into());
    ScriptObject::new("plannedstep", format!("planned:{id}"), fields.into(), Arc::new(Inert))
}

/// Who wrote the changes and the patches, each once.
fn authors(changes: &[Change], stamps: &[SourceStamp]) -> BTreeSet<String> {
    let patches = stamps.iter().filter_map(|stamp| stamp.patch.as_ref()).map(|patch| patch.author.clone());
    let all = changes.iter().map(|change| change.author.clone()).chain(patches);
    all.filter(|name| !name.is_empty()).collect()
}
