//! The same declarations as an OpenAPI 3.1 document: for generators of clients, tests and people.

use super::spec;
use lunabot_db::endpoints::{self, Endpoint, Target};
use lunabot_model::Json;
use lunabot_model::result_spec::FieldKind;
use serde_json::{Map, json};
use std::collections::{BTreeMap, BTreeSet};

/// What selects rows by a field, beside the bare name, which is the same as `eq`.
const COMPARING: &[&str] = &["eq", "ne", "lt", "le", "gt", "ge", "in", "notin", "contains"];
/// Actions of a resource, each with its parameters as JSON schemas (09.079–09.083).
const ACTIONS: &[(Target, &[(&str, &str)])] = &[
    (Target::Builds, &[("stop", REASON), ("rebuild", "{}")]),
    (Target::BuildRequests, &[("cancel", REASON), ("set_priority", r#"{"priority": {"type": "integer"}}"#)]),
    (Target::ForceScheduler, &[("force", FORCE)]),
    (Target::Schedulers, &[("enable", r#"{"enabled": {"type": "boolean"}}"#)]),
    (Target::Workers, &[("stop", REASON), ("kill", REASON), ("pause", REASON), ("unpause", REASON)]),
];
const REASON: &str = r#"{"reason": {"type": "string"}}"#;
const FORCE: &str = r#"{"builderid": {"type": ["integer", "string"]},
    "builderNames": {"type": "array", "items": {"type": "string"}}, "reason": {"type": "string"}}"#;

/// The actions that may be posted to a path, below `/api/v2/`; none: it has no actions, or leads nowhere.
pub fn actions_of(path: &str) -> Vec<&'static str> {
    let found = super::path::find(path).ok().filter(|found| found.endpoint.single);
    let known = found.and_then(|found| ACTIONS.iter().find(|(target, _)| *target == found.endpoint.target));
    known.into_iter().flat_map(|(_, actions)| actions.iter().map(|(name, _)| *name)).collect()
}

/// The paths below `/api/v2` and the schemas of all that they answer, as `paths` and `components` of a document.
pub fn openapi() -> (Map<String, Json>, Json) {
    let mut shapes: BTreeMap<String, Vec<&Endpoint>> = BTreeMap::new();
    for endpoint in endpoints::endpoints() {
        let words = endpoint.pattern.split('/').map(|part| if part.contains(':') { "{}" } else { part });
        shapes.entry(words.collect::<Vec<_>>().join("/")).or_default().push(endpoint);
    }
    let paths = shapes.values().map(|same| path(same)).collect();
    (paths, components())
}

/// Endpoints that differ only in how they name things, as one path.
fn path(same: &[&Endpoint]) -> (String, Json) {
    let (mut words, mut parameters) = (vec!["/api/v2".to_owned()], Vec::new());
    let count = same[0].pattern.split('/').filter(|part| !part.is_empty()).count();
    for index in 0..count {
        let mut parts: Vec<&str> = same.iter().filter_map(|e| e.pattern.split('/').nth(index)).collect();
        parts.dedup();
        if !parts[0].contains(':') {
            words.push(parts[0].to_owned());
            continue;
        }
        let parameter = path_parameter(&parts);
        words.push(format!("{{{}}}", parameter["name"].as_str().unwrap_or_default()));
        parameters.push(parameter);
    }
    let address = words.join("/");
    let mut item = Map::new();
    if !parameters.is_empty() {
        item.insert("parameters".into(), parameters.into());
    }
    item.insert("get".into(), reading(same[0], &address));
    if let Some((target, actions)) = ACTIONS.iter().find(|(target, _)| *target == same[0].target)
        && same[0].single
    {
        item.insert("post".into(), acting(*target, actions, &address));
    }
    (address, item.into())
}

/// A part of a path that is a number, a name, or either.
fn path_parameter(parts: &[&str]) -> Json {
    let (mut names, mut schemas): (Vec<&str>, Vec<Json>) = (Vec::new(), Vec::new());
    for (kind, name) in parts.iter().filter_map(|part| part.split_once(':')) {
        let schema = match kind {
            "n" => json!({"type": "integer", "format": "int64"}),
            "i" => json!({"$ref": "#/components/schemas/identifier"}),
            _ => json!({"type": "string", "minLength": 1}),
        };
        if !names.contains(&name) {
            names.push(name);
            schemas.push(schema);
        }
    }
    let schema = if schemas.len() == 1 { schemas.remove(0) } else { json!({"anyOf": schemas}) };
    json!({"name": names.join("_or_"), "in": "path", "required": true, "schema": schema})
}

fn reading(endpoint: &Endpoint, address: &str) -> Json {
    let (name, plural) = spec::names(endpoint.target);
    let what = if endpoint.single { format!("One {name}") } else { format!("All {plural} there") };
    json!({
        "operationId": format!("get{}", identifier_of(address)),
        "summary": what,
        "tags": [plural],
        "parameters": query_parameters(endpoint, name, plural),
        "responses": {
            "200": {"description": what, "content": content(endpoint.target, name, plural)},
            "400": {"$ref": "#/components/responses/error"},
            "404": {"$ref": "#/components/responses/error"},
        },
    })
}

fn query_parameters(endpoint: &Endpoint, name: &str, plural: &str) -> Vec<Json> {
    let parameter = |name: &str| json!({"$ref": format!("#/components/parameters/{name}")});
    match endpoint.target {
        Target::LogRaw | Target::LogRawInline | Target::BuildDataValue => return Vec::new(),
        Target::BuildProperties | Target::BuildsetProperties => return Vec::new(),
        Target::LogContents => return ["limit", "offset"].map(parameter).to_vec(),
        _ => {}
    }
    let mut all = vec![parameter(&format!("field_of_{name}"))];
    if matches!(plural, "builds" | "buildrequests") {
        all.push(parameter("property"));
    }
    if !endpoint.single {
        let of = [format!("order_of_{name}"), format!("filter_of_{name}")];
        all.extend(of.iter().map(|name| parameter(name)));
        all.extend(["limit", "offset"].map(parameter));
    }
    all
}

fn content(target: Target, name: &str, plural: &str) -> Json {
    let raw = |kind: &str| json!({kind: {"schema": {"type": "string"}}});
    match target {
        Target::LogRaw | Target::LogRawInline => {
            json!({"text/plain": {"schema": {"type": "string"}}, "text/html": {"schema": {"type": "string"}}})
        }
        Target::BuildDataValue => raw("application/octet-stream"),
        _ => {
            let schema = json!({
                "type": "object",
                "required": [plural, "meta"],
                "properties": {
                    plural: {"type": "array", "items": {"$ref": format!("#/components/schemas/{name}")}},
                    "meta": {"$ref": "#/components/schemas/meta"},
                },
                "additionalProperties": false,
            });
            json!({"application/json": {"schema": schema}, "text/plain": {"schema": {"type": "string"}}})
        }
    }
}

fn acting(target: Target, actions: &[(&str, &str)], address: &str) -> Json {
    let calls = actions.iter().map(|(method, params)| {
        let params: Json = serde_json::from_str(params).unwrap_or_default();
        json!({
            "type": "object",
            "required": ["jsonrpc", "method", "id", "params"],
            "properties": {
                "jsonrpc": {"const": "2.0"},
                "method": {"const": method},
                "id": {"type": ["string", "integer", "null"]},
                "params": {"type": "object", "properties": params},
            },
        })
    });
    let names: Vec<&str> = actions.iter().map(|(method, _)| *method).collect();
    let failure = json!({"$ref": "#/components/responses/failure"});
    json!({
        "operationId": format!("control{}", identifier_of(address)),
        "summary": format!("Actions: {}", names.join(", ")),
        "tags": [spec::names(target).1],
        "requestBody": {
            "required": true,
            "content": {"application/json": {"schema": {"oneOf": calls.collect::<Vec<_>>()}}},
        },
        "responses": {
            "200": {
                "description": "Done",
                "content": {"application/json": {"schema": {
                    "type": "object",
                    "required": ["id", "jsonrpc", "result"],
                    "properties": {"id": {}, "jsonrpc": {"const": "2.0"}, "result": {}},
                }}},
            },
            "400": failure, "403": failure, "404": failure, "501": failure,
        },
    })
}

/// `/api/v2/builds/{buildid}` → `_builds_buildid`.
fn identifier_of(address: &str) -> String {
    let below = address.trim_start_matches("/api/v2").replace(['/', '.'], "_");
    below.replace(['{', '}'], "")
}

fn components() -> Json {
    let names: BTreeSet<(&str, &str)> =
        endpoints::endpoints().iter().map(|e| spec::names(e.target)).collect();
    let (mut schemas, mut parameters) = (Map::new(), Map::new());
    schemas
        .insert("identifier".into(), json!({"type": "string", "pattern": r"^[a-zA-Z_\-][a-zA-Z0-9._\-]*$"}));
    schemas.insert(
        "meta".into(),
        json!({
            "type": "object", "properties": {"total": {"type": "integer"}}, "additionalProperties": false,
        }),
    );
    schemas.insert("sourcedproperties".into(), sourced_properties());
    for (name, _) in names {
        add_schema(name, &mut schemas);
        if spec::fields(name).is_some() {
            add_parameters(name, &mut parameters);
        }
    }
    let count = |name: &str, what: &str| {
        let schema = json!({"type": "integer", "minimum": 0});
        json!({"name": name, "in": "query", "description": what, "schema": schema})
    };
    parameters.insert(
        "limit".into(),
        count("limit", "How many, after filters and order; of a log, how many lines"),
    );
    parameters
        .insert("offset".into(), count("offset", "How many are left out before; of a log, the first line"));
    parameters.insert(
        "property".into(),
        json!({
            "name": "property", "in": "query", "description": "Properties to include; * stands for all",
            "schema": {"type": "array", "items": {"type": "string"}},
        }),
    );
    json!({"schemas": schemas, "parameters": parameters, "responses": {
        "error": {
            "description": "What is wrong, in words",
            "content": {"text/plain": {"schema": {"type": "string"}}},
        },
        "failure": {
            "description": "What is wrong, in words or by parameter",
            "content": {
                "application/json": {"schema": {"type": "object", "required": ["error"]}},
                "text/plain": {"schema": {"type": "string"}},
            },
        },
    }})
}

fn sourced_properties() -> Json {
    let pair =
        json!({"type": "array", "prefixItems": [{}, {"type": "string"}], "minItems": 2, "maxItems": 2});
    json!({"type": "object", "description": "Name → value and source", "additionalProperties": pair})
}

/// A type with all types in it.
fn add_schema(name: &'static str, schemas: &mut Map<String, Json>) {
    let Some(fields) = spec::fields(name) else { return };
    if schemas.contains_key(name) {
        return;
    }
    schemas.insert(name.into(), Json::Null);
    let mut properties = Map::new();
    for (field, api) in fields {
        let inner = spec::parts(api).0;
        add_schema(spec::item(inner).unwrap_or(inner), schemas);
        properties.insert(field.into(), schema(api));
    }
    // Not all are there where `field` chooses some.
    schemas.insert(
        name.into(),
        json!({"type": "object", "properties": properties, "additionalProperties": false}),
    );
}

fn schema(api: &'static str) -> Json {
    let (name, nullable) = spec::parts(api);
    let of = match name {
        "integer" | "datetime" => json!({"type": "integer", "format": "int64"}),
        "boolean" => json!({"type": "boolean"}),
        "number" => json!({"type": "number"}),
        // Names of older configurations need not be identifiers.
        "string" | "identifier" | "binary" => json!({"type": "string"}),
        "jsonobject" => return json!({}),
        _ => match spec::item(name) {
            Some(item) => json!({"type": "array", "items": schema(item)}),
            None => json!({"$ref": format!("#/components/schemas/{name}")}),
        },
    };
    if nullable { json!({"anyOf": [of, {"type": "null"}]}) } else { of }
}

fn add_parameters(name: &'static str, parameters: &mut Map<String, Json>) {
    let kinds = spec::kinds(name);
    let query = |name: &str, what: &str, schema: Json| json!({"name": name, "in": "query", "description": what, "schema": schema});
    let fields: Vec<&str> = kinds.iter().map(|(field, _)| *field).collect();
    let chosen = json!({"type": "array", "items": {"enum": fields}});
    parameters.insert(format!("field_of_{name}"), query("field", "Only these fields", chosen));
    let plain = kinds
        .iter()
        .filter(|(_, kind)| !matches!(kind, FieldKind::Json | FieldKind::Ints | FieldKind::Texts));
    let keys: Vec<String> = plain.flat_map(|(field, _)| [(*field).to_owned(), format!("-{field}")]).collect();
    let order = json!({"type": "array", "items": {"enum": keys}});
    parameters.insert(format!("order_of_{name}"), query("order", "Sort by these, - for descending", order));
    let filters: Map<String, Json> = kinds.iter().flat_map(|(field, kind)| filters(field, *kind)).collect();
    let mut filter = query(
        "filter",
        "Conditions: FIELD or FIELD__eq, __ne, __lt, __le, __gt, __ge, __in, __notin, __contains; the same name again adds a value",
        json!({"type": "object", "properties": filters, "additionalProperties": false}),
    );
    filter["style"] = "form".into();
    filter["explode"] = true.into();
    parameters.insert(format!("filter_of_{name}"), filter);
}

/// What may be asked of a field.
fn filters(field: &str, kind: FieldKind) -> Vec<(String, Json)> {
    let integer = json!({"type": "integer", "format": "int64"});
    let (schema, operators): (Json, &[&str]) = match kind {
        FieldKind::Json => return Vec::new(),
        FieldKind::Ints => return vec![(format!("{field}__contains"), integer)],
        FieldKind::Texts => return vec![(format!("{field}__contains"), json!({"type": "string"}))],
        FieldKind::Bool => (json!({"type": "boolean"}), &["eq", "ne"]),
        FieldKind::Int => (integer, COMPARING),
        FieldKind::Text => (json!({"type": "string"}), COMPARING),
        FieldKind::Identifier => (json!({"$ref": "#/components/schemas/identifier"}), COMPARING),
    };
    let with = operators.iter().map(|operator| format!("{field}__{operator}"));
    std::iter::once(field.to_owned()).chain(with).map(|name| (name, schema.clone())).collect()
}
