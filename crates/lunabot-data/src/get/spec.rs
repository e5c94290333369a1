//! What the API says of itself (09.024, 09.025): each path with what it answers, made from the declarations that answer it.

use lunabot_db::endpoints::{self, Target};
use lunabot_db::resources::{TestResult, TestResultSet};
use lunabot_db::{Decl, Resource};
use lunabot_model::Json;
use lunabot_model::resources::*;
use lunabot_model::result_spec::{FieldKind, FieldSpec};
use serde_json::{Map, json};
use std::sync::LazyLock;

pub(super) const FIELDS: &[FieldSpec] = &[
    FieldSpec { name: "path", kind: FieldKind::Text },
    FieldSpec { name: "type", kind: FieldKind::Text },
    FieldSpec { name: "plural", kind: FieldKind::Text },
    FieldSpec { name: "type_spec", kind: FieldKind::Json },
];

/// The types that are tables.
const DECLARED: &[&Decl] = &[
    Master::DECL,
    Builder::DECL,
    Build::DECL,
    BuildRequest::DECL,
    Buildset::DECL,
    SourceStamp::DECL,
    Change::DECL,
    Step::DECL,
    Log::DECL,
    Worker::DECL,
    Scheduler::DECL,
    ChangeSource::DECL,
    Project::DECL,
    Codebase::DECL,
    Commit::DECL,
    Branch::DECL,
    BuildData::DECL,
    TestResultSet::DECL,
    TestResult::DECL,
];

/// Fields and their types.
type Fields = Vec<(&'static str, &'static str)>;

static ALL: LazyLock<Vec<Json>> = LazyLock::new(|| {
    let mut specs: Vec<Json> = endpoints::endpoints().iter().map(|e| spec(&e.pattern, e.target)).collect();
    specs.sort_by(|a, b| a["path"].as_str().cmp(&b["path"].as_str()));
    specs
});

/// All paths, in the order of their texts.
pub fn all() -> Vec<Json> {
    ALL.clone()
}

fn spec(path: &str, target: Target) -> Json {
    let (name, plural) = names(target);
    json!({"path": path, "type": name, "plural": plural, "type_spec": type_spec(name)})
}

/// A target's type, and the key of its answers.
pub(super) fn names(target: Target) -> (&'static str, &'static str) {
    if let Some(plural) = for_resource!(target, R => R::DECL.plural) {
        return (singular(plural), plural);
    }
    match target {
        Target::BuildChanges => ("change", "changes"),
        Target::BuildProgress => ("build_progress", "progress"),
        Target::CommitGraph => ("commit_graph", "commit_graphs"),
        Target::BuildDataValue => ("build_data", "build_data"),
        Target::ForceSchedulers | Target::ForceScheduler | Target::ForceSchedulersOfBuilder => {
            ("forcescheduler", "forceschedulers")
        }
        Target::Explanation => ("explanation", "explanations"),
        Target::BuildProperties | Target::BuildsetProperties => ("sourcedproperties", "properties"),
        Target::BuildPropertyList | Target::BuildsetPropertyList | Target::ChangePropertyList => {
            ("_property", "_properties")
        }
        Target::LogContents | Target::LogRaw | Target::LogRawInline => ("logchunk", "logchunks"),
        Target::Registered(plural) => (singular(plural), plural),
        Target::Specs => ("spec", "specs"),
        _ => ("rootlink", "rootlinks"),
    }
}

fn singular(plural: &'static str) -> &'static str {
    match plural {
        "branches" => "branch",
        _ => plural.strip_suffix('s').unwrap_or(plural),
    }
}

/// What a type that is made of others holds.
pub(super) fn fields(name: &str) -> Option<Fields> {
    if let Some(decl) = DECLARED.iter().find(|decl| singular(decl.plural) == name) {
        return Some(decl.fields.iter().map(|field| (field.name, field.api)).collect());
    }
    Some(match name {
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
        "build_progress" => vec![
            ("buildid", "integer"),
            ("elapsed", "integer"),
            ("expected", "integer?"),
            ("remaining", "integer?"),
            ("eta", "datetime?"),
            ("late", "integer"),
            ("basis", "integer"),
            ("steps", "[step_progress]"),
        ],
        "step_progress" => vec![
            ("name", "string"),
            ("complete", "boolean"),
            ("elapsed", "integer"),
            ("expected", "integer?"),
            ("metrics", "jsonobject"),
        ],
        "explanation" => vec![
            ("buildrequestid", "integer"),
            ("builderid", "integer"),
            ("builder", "string"),
            ("state", "string"),
            ("summary", "string"),
            ("since", "datetime?"),
            ("submitted_at", "datetime"),
            ("collapsed_into", "integer?"),
            ("answers", "[rule_answer]"),
            ("history", "[rule_answer]"),
        ],
        "rule_answer" => vec![
            ("rule", "string"),
            ("worker", "string?"),
            ("text", "string"),
            ("blocks", "boolean"),
            ("since", "datetime?"),
            ("last_at", "datetime?"),
            ("until", "datetime?"),
            ("times", "integer"),
            ("at", "string?"),
        ],
        "generation" => vec![
            ("number", "integer"),
            ("content_hash", "string"),
            ("loaded_at", "datetime"),
            ("current", "boolean"),
            ("errors", "[string]"),
        ],
        "script_error" => vec![
            ("callback", "string"),
            ("kind", "string"),
            ("concerns", "string"),
            ("file", "string"),
            ("line", "integer?"),
            ("message", "string"),
            ("traceback", "string"),
            ("count", "integer"),
            ("last_at", "datetime"),
        ],
        "callback" => vec![
            ("callback", "string"),
            ("concerns", "string"),
            ("file", "string"),
            ("line", "integer?"),
            ("calls", "integer"),
            ("errors", "integer"),
            ("total", "number"),
            ("p99", "number"),
            ("slowest", "number"),
            ("slowest_at", "datetime"),
            ("busy", "number"),
        ],
        "schedule" => vec![
            ("schedulerid", "integer"),
            ("name", "string"),
            ("kind", "string"),
            ("enabled", "boolean"),
            ("trigger", "string"),
            ("builder_names", "[string]"),
            ("next_at", "datetime?"),
            ("last_at", "datetime?"),
        ],
        "commit_graph" => vec![("common", "integer"), ("to1", "[integer]"), ("to2", "[integer]")],
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

/// The fields of a type as the query language sees them.
pub(super) fn kinds(name: &str) -> Vec<(&'static str, FieldKind)> {
    if let Some(decl) = DECLARED.iter().find(|decl| singular(decl.plural) == name) {
        return decl.fields.iter().map(|field| (field.name, field.kind)).collect();
    }
    let kind = |api: &'static str| match parts(api).0 {
        "integer" | "datetime" | "number" => FieldKind::Int,
        "boolean" => FieldKind::Bool,
        "string" => FieldKind::Text,
        "identifier" => FieldKind::Identifier,
        "[integer]" => FieldKind::Ints,
        "[string]" | "[identifier]" => FieldKind::Texts,
        _ => FieldKind::Json,
    };
    fields(name).into_iter().flatten().map(|(field, api)| (field, kind(api))).collect()
}

/// The fields of the items of a list that is registered.
pub(super) fn field_specs(plural: &'static str) -> Vec<FieldSpec> {
    kinds(singular(plural)).into_iter().map(|(name, kind)| FieldSpec { name, kind }).collect()
}

/// A type as it is told: named, a list, or an entity with its fields.
fn type_spec(api: &'static str) -> Json {
    let (name, nullable) = parts(api);
    let mut told = Map::new();
    if nullable {
        told.insert("can_be_null".into(), true.into());
    }
    if let Some(of) = item(name) {
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
fn told_type(api: &'static str) -> String {
    let (name, nullable) = parts(api);
    let name = item(name).map_or(name, |_| "list");
    if nullable { format!("{name} or None") } else { name.to_owned() }
}

/// A type without its `?`, and whether it had one.
pub(super) fn parts(api: &'static str) -> (&'static str, bool) {
    api.strip_suffix('?').map_or((api, false), |name| (name, true))
}

/// The type of a list's items.
pub(super) fn item(name: &'static str) -> Option<&'static str> {
    name.strip_prefix('[')?.strip_suffix(']')
}
