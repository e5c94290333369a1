//! What the web offers as an OpenAPI 3.1 document, at `/api/openapi.json`, and a page to read it.

use crate::error::PageError;
use crate::pages::{Asked, Page, Shown};
use crate::router::App;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use lunabot_model::Json;
use serde_json::{Map, json};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// What is beside `/api/v2`: method, path, what it is, the types of its answer.
const BESIDE: &[(&str, &str, &str, &str)] = &[
    // Indented, and as text, for who does not ask for JSON.
    ("get", "/api", "Versions of the API and their addresses", "application/json text/plain"),
    ("get", "/api/openapi.json", "This document", "application/json"),
    ("get", "/sse/listen/{pattern}", "Events as they happen, e.g. builds/*/finished", "text/event-stream"),
    ("get", "/avatar", "The picture of a person, by email", ""),
    ("post", "/change_hook/{dialect}", "Reports changes, in the words of a forge", "text/plain"),
    (
        "get",
        "/plugins/badges/{builder}.svg",
        "How a builder's newest build went, as a picture",
        "image/svg+xml",
    ),
    ("get", "/plugins/badges/{builder}.png", "The same as PNG", "image/png"),
    ("get", "/metrics", "Counters in Prometheus' text format", "text/plain"),
    ("get", "/livez", "Whether the process works", "text/plain"),
    ("get", "/readyz", "Whether the master serves", "text/plain"),
];

static DOCUMENT: LazyLock<Json> = LazyLock::new(make);
static TEXT: LazyLock<String> = LazyLock::new(|| DOCUMENT.to_string());

/// The document; its addresses are relative to where it lies.
pub fn document() -> &'static Json {
    &DOCUMENT
}

fn make() -> Json {
    let (mut paths, components) = lunabot_data::openapi();
    for (method, path, what, kind) in BESIDE {
        let mut operation = json!({
            "operationId": path.replace(['/', '.'], "_").replace(['{', '}'], ""),
            "summary": what,
            "tags": ["beside"],
            "responses": {"default": beside(what, kind), "4XX": {"$ref": "#/components/responses/error"}},
        });
        if let Some((_, rest)) = path.split_once('{') {
            let name = rest.split('}').next().unwrap_or_default();
            let schema = json!({"type": "string", "minLength": 1});
            operation["parameters"] =
                json!([{"name": name, "in": "path", "required": true, "schema": schema}]);
        }
        paths.insert((*path).to_owned(), json!({*method: operation}));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Lunabot",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Reading and control of a master. /api/v2 answers as Buildbot's does.",
        },
        "servers": [{"url": "../"}],
        "paths": paths,
        "components": components,
    })
}

fn beside(what: &str, kind: &str) -> Json {
    let mut response = json!({"description": what});
    if !kind.is_empty() {
        response["content"] =
            kind.split(' ').map(|kind| (kind.to_owned(), json!({}))).collect::<Map<_, _>>().into();
    }
    response
}

/// `/api/openapi.json`.
pub async fn openapi() -> Response {
    let headers = [
        (header::CONTENT_TYPE, super::JSON_TYPE),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
    ];
    (headers, TEXT.as_str()).into_response()
}

/// `/api/docs`.
pub async fn docs(State(app): State<Arc<App>>, asked: Asked) -> Response {
    show(&app, &asked).shown(&app, &asked)
}

fn show(app: &App, asked: &Asked) -> Result<Response, PageError> {
    let groups = groups();
    let schemas = types();
    let data = view! { groups, schemas };
    let page = Page { template: "api.html", title: "API".into(), nav: "health", live: Vec::new(), data };
    app.page(asked, page)
}

/// Operations by tag: `{method, path, summary, actions, plain}`; `plain`: may be followed as a link.
fn groups() -> BTreeMap<String, Vec<Json>> {
    let mut groups: BTreeMap<String, Vec<Json>> = BTreeMap::new();
    for (path, item) in document()["paths"].as_object().into_iter().flatten() {
        let methods = ["get", "post"].into_iter().filter_map(|method| Some((method, item.get(method)?)));
        for (method, operation) in methods {
            let tag = operation["tags"][0].as_str().unwrap_or_default().to_owned();
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let names: Vec<&str> = parameters.filter_map(parameter_name).collect();
            let plain = method == "get" && !path.contains('{') && !path.starts_with("/avatar");
            groups.entry(tag).or_default().push(json!({
                "method": method.to_uppercase(), "path": path.trim_start_matches('/'), "summary": operation["summary"],
                "parameters": names, "plain": plain,
            }));
        }
    }
    groups
}

/// `#/components/parameters/order_of_build` → `order`.
fn parameter_name(parameter: &Json) -> Option<&str> {
    let name = parameter.get("name").or_else(|| parameter.get("$ref"))?.as_str()?;
    name.rsplit('/').next()?.split("_of_").next()
}

/// The fields of each type: name and type in a word.
fn types() -> BTreeMap<String, Vec<(String, String)>> {
    let schemas = document()["components"]["schemas"].as_object().cloned().unwrap_or_default();
    let fields = |schema: &Json| {
        let properties: Map<String, Json> = schema["properties"].as_object().cloned().unwrap_or_default();
        properties.iter().map(|(name, schema)| (name.clone(), in_a_word(schema))).collect()
    };
    schemas.iter().map(|(name, schema)| (name.clone(), fields(schema))).collect()
}

fn in_a_word(schema: &Json) -> String {
    if let Some(name) = schema["$ref"].as_str() {
        return name.rsplit('/').next().unwrap_or_default().to_owned();
    }
    match (schema["type"].as_str(), schema["anyOf"].as_array()) {
        (Some("array"), _) => format!("list of {}", in_a_word(&schema["items"])),
        (Some(name), _) => name.to_owned(),
        (None, Some(any)) => any.iter().map(in_a_word).collect::<Vec<_>>().join(" or "),
        (None, None) => "anything".into(),
    }
}
