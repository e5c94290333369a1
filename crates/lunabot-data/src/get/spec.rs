//! What the API says of itself (09.024, 09.025): each path with what it answers, made from the declarations that answer it.

use lunabot_db::endpoints::{self, Target};
use lunabot_db::resources::{Codebase, TestResult, TestResultSet};
use lunabot_db::{Decl, Resource};
use lunabot_model::Json;
use lunabot_model::resources::*;
use lunabot_model::result_spec::{FieldKind, FieldSpec};
use serde_json::{Map, json};

pub(super) const FIELDS: &[FieldSpec] = &[
    FieldSpec { name: "path", kind: FieldKind::Text },
    FieldSpec { name: "type", kind: FieldKind::Text },
    FieldSpec { name: "plural", kind: FieldKind::Text },
    FieldSpec { name: "type_spec", kind: FieldKind::Json },
];

/// Fields and their types.
type Fields = Vec<(&'static str, &'static str)>;

/// All paths, in the order of their texts.
pub(super) fn all() -> Vec<Json> {
    let mut specs: Vec<Json> = endpoints::endpoints().iter().map(|e| spec(&e.pattern, e.target)).collect();
    specs.sort_by(|a, b| a["path"].as_str().cmp(&b["path"].as_str()));
    specs
}

fn spec(path: &str, target: Target) -> Json {
    let (name, plural) = names(target);
    json!({"path": path, "type": name, "plural": plural, "type_spec": type_spec(name)})
}

/// A target's type, and the key of its answers.
fn names(target: Target) -> (&'static str, &'static str) {
    match target {
        Target::Masters => ("master", "masters"),
        Target::Builders => ("builder", "builders"),
        Target::Builds => ("build", "builds"),
        Target::BuildRequests => ("buildrequest", "buildrequests"),
        Target::Buildsets => ("buildset", "buildsets"),
        Target::SourceStamps => ("sourcestamp", "sourcestamps"),
        Target::Changes | Target::BuildChanges => ("change", "changes"),
        Target::Steps => ("step", "steps"),
        Target::Logs => ("log", "logs"),
        Target::Workers => ("worker", "workers"),
        Target::Schedulers => ("scheduler", "schedulers"),
        Target::ChangeSources => ("changesource", "changesources"),
        Target::Projects => ("project", "projects"),
        Target::Codebases => ("codebase", "codebases"),
        Target::BuildData | Target::BuildDataValue => ("build_data", "build_data"),
        Target::TestResultSets => ("test_result_set", "test_result_sets"),
        Target::TestResults => ("test_result", "test_results"),
        Target::ForceSchedulers | Target::ForceScheduler | Target::ForceSchedulersOfBuilder => {
            ("forcescheduler", "forceschedulers")
        }
        Target::BuildProperties | Target::BuildsetProperties => ("sourcedproperties", "properties"),
        Target::BuildPropertyList | Target::BuildsetPropertyList | Target::ChangePropertyList => {
            ("_property", "_properties")
        }
        Target::LogContents | Target::LogRaw | Target::LogRawInline => ("logchunk", "logchunks"),
        Target::RootLinks => ("rootlink", "rootlinks"),
        Target::Specs => ("spec", "specs"),
    }
}

fn of(decl: &'static Decl) -> Fields {
    decl.fields.iter().map(|field| (field.name, field.api)).collect()
}

/// What a type that is made of others holds.
fn fields(name: &str) -> Option<Fields> {
    Some(match name {
        "master" => of(Master::DECL),
        "builder" => of(Builder::DECL),
        "build" => of(Build::DECL),
        "buildrequest" => of(BuildRequest::DECL),
        "buildset" => of(Buildset::DECL),
        "sourcestamp" => of(SourceStamp::DECL),
        "change" => of(Change::DECL),
        "step" => of(Step::DECL),
        "log" => of(Log::DECL),
        "worker" => of(Worker::DECL),
        "scheduler" => of(Scheduler::DECL),
        "changesource" => of(ChangeSource::DECL),
        "project" => of(Project::DECL),
        "codebase" => of(Codebase::DECL),
        "build_data" => of(BuildData::DECL),
        "test_result_set" => of(TestResultSet::DECL),
        "test_result" => of(TestResult::DECL),
        "forcescheduler" => vec![
            ("name", "identifier"),
            ("button_name", "string"),
            ("label", "string"),
            ("builder_names", "[identifier]"),
            ("enabled", "boolean"),
            ("all_fields", "[jsonobject]"),
        ],
        "patch" => vec![
            ("patchid", "integer"),
            ("body", "binary"),
            ("level", "integer"),
            ("subdir", "string"),
            ("author", "string"),
            ("comment", "string"),
        ],
        "_property" => vec![("name", "string"), ("source", "string"), ("value", "jsonobject")],
        "logchunk" => vec![("logid", "integer"), ("firstline", "integer"), ("content", "string")],
        "master_id" => vec![("masterid", "integer")],
        "master_builder" => vec![("masterid", "integer"), ("builderid", "integer")],
        "Url" => vec![("name", "string"), ("url", "string")],
        "rootlink" => vec![("name", "string")],
        "spec" => {
            vec![("path", "string"), ("type", "string"), ("plural", "string"), ("type_spec", "jsonobject")]
        }
        _ => return None,
    })
}

/// A type as it is told: named, a list, or an entity with its fields.
fn type_spec(api: &'static str) -> Json {
    let (name, nullable) = api.strip_suffix('?').map_or((api, false), |name| (name, true));
    let mut told = Map::new();
    if nullable {
        told.insert("can_be_null".into(), true.into());
    }
    if let Some(of) = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        told.insert("type".into(), "list".into());
        told.insert("of".into(), type_spec(of));
    } else if let Some(fields) = fields(name) {
        let fields = fields
            .into_iter()
            .map(|(name, api)| json!({"name": name, "type": told_type(api), "type_spec": type_spec(api)}));
        told.insert("type".into(), name.into());
        told.insert("fields".into(), fields.collect());
    } else {
        told.insert("name".into(), name.into());
    }
    Json::Object(told)
}

/// The same in a word.
fn told_type(api: &str) -> String {
    let (name, nullable) = api.strip_suffix('?').map_or((api, false), |name| (name, true));
    let name = if name.starts_with('[') { "list" } else { name };
    if nullable { format!("{name} or None") } else { name.to_owned() }
}
