//! The form that starts builds by hand, made from the fields of a force scheduler (03.034).

use super::read;
use super::render::{Asked, Page, Shown};
use crate::auth::OrderError;
use crate::error::PageError;
use crate::origin::may_act;
use crate::router::App;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lunabot_data::ControlError;
use lunabot_model::Json;
use lunabot_model::resources::{Builder, ForceScheduler};
use serde::Serialize;
use serde_json::{Map, json};
use std::sync::Arc;

type Pairs = Vec<(String, String)>;

/// Groups nest no deeper in a form.
const MAX_DEPTH: usize = 8;

/// A field as the template shows it; a group has `fields`.
#[derive(Debug, Serialize)]
struct Field {
    name: String,
    label: String,
    /// `text`, `textarea`, `int`, `bool`, `list`, `group`, …: the spec's type.
    kind: String,
    required: bool,
    multiple: bool,
    tooltip: String,
    values: Vec<String>,
    choices: Vec<String>,
    size: i64,
    error: Option<String>,
    fields: Vec<Field>,
}

pub async fn form(
    State(app): State<Arc<App>>,
    Path((builder, name)): Path<(String, String)>,
    asked: Asked,
) -> Response {
    show(&app, &asked, &builder, &name, &Map::new(), None).await.shown(&app, &asked)
}

/// Starts the builds, or shows the form again with what is wrong beside each field (03.032).
pub async fn submit(
    State(app): State<Arc<App>>,
    Path((builder, name)): Path<(String, String)>,
    asked: Asked,
    headers: HeaderMap,
    Form(sent): Form<Pairs>,
) -> Response {
    if !may_act(&app.www.site.load(), &headers) {
        return app.error_page(&asked, &super::actions::foreign());
    }
    force(&app, &asked, &builder, &name, sent).await.shown(&app, &asked)
}

async fn force(
    app: &App,
    asked: &Asked,
    builder: &str,
    name: &str,
    sent: Pairs,
) -> Result<Response, PageError> {
    let scheduler: ForceScheduler =
        read::one(&app.www.data, &format!("forceschedulers/{}", read::part(name)), "").await?;
    let target: Builder = read::one(&app.www.data, &format!("builders/{}", read::part(builder)), "").await?;
    let mut params = Map::new();
    collect(&scheduler.all_fields, &sent, &mut params, 0);
    let mut call = params.clone();
    call.insert("builderid".into(), Json::from(target.builderid.to_string()));
    let path = format!("forceschedulers/{}", read::part(name));
    match app.order(&asked.user, &path, "force", Json::Object(call)).await {
        Err(OrderError::Control(ControlError::InvalidParams(errors))) => {
            let page = show(app, asked, builder, name, &params, Some(&errors)).await?;
            Ok((StatusCode::BAD_REQUEST, page).into_response())
        }
        Err(e) => Err(e.into()),
        Ok(result) => {
            let request = result.get(1).and_then(Json::as_object).and_then(|map| map.values().next());
            let to = match request.and_then(Json::as_i64) {
                Some(id) => format!("{}buildrequests/{id}", asked.root),
                None => format!("{}builders/{}", asked.root, target.builderid),
            };
            Ok((StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response())
        }
    }
}

async fn show(
    app: &App,
    asked: &Asked,
    builder: &str,
    name: &str,
    sent: &Map<String, Json>,
    errors: Option<&Json>,
) -> Result<Response, PageError> {
    let data = &app.www.data;
    let scheduler: ForceScheduler =
        read::one(data, &format!("forceschedulers/{}", read::part(name)), "").await?;
    let builder: Builder = read::one(data, &format!("builders/{}", read::part(builder)), "").await?;
    let given = |field: &str| {
        let in_url = || asked.get(field).map(Json::from);
        sent.get(field).cloned().or_else(in_url)
    };
    let fields = fields(&scheduler.all_fields, &given, errors, 0);
    let general = errors.filter(|e| !e.is_object()).map(Json::to_string);
    let failed = errors.is_some();
    let title = format!("{} on {}", scheduler.label, builder.name);
    let page = view! { scheduler, builder, fields, general, failed };
    app.page(asked, Page { template: "force.html", title, nav: "builders", live: Vec::new(), data: page })
}

fn text<'a>(spec: &'a Json, key: &str) -> &'a str {
    spec.get(key).and_then(Json::as_str).unwrap_or_default()
}

fn is(spec: &Json, key: &str) -> bool {
    spec.get(key).and_then(Json::as_bool).unwrap_or(false)
}

/// Fields that can be seen; a hidden or fixed one is the scheduler's business.
fn fields(
    specs: &[Json],
    given: &dyn Fn(&str) -> Option<Json>,
    errors: Option<&Json>,
    depth: usize,
) -> Vec<Field> {
    let visible = specs.iter().filter(|s| !is(s, "hide") && text(s, "type") != "fixed" && depth < MAX_DEPTH);
    let field = |spec: &Json| {
        let name = text(spec, "fullName").to_string();
        let nested = spec.get("fields").and_then(Json::as_array);
        let value = given(&name).or_else(|| spec.get("default").cloned()).unwrap_or(Json::Null);
        Field {
            label: Some(text(spec, "label"))
                .filter(|l| !l.is_empty())
                .unwrap_or(&name)
                .trim_end_matches(':')
                .to_string(),
            kind: if nested.is_some() { "group".into() } else { text(spec, "type").to_string() },
            required: is(spec, "required"),
            multiple: is(spec, "multiple"),
            tooltip: text(spec, "tooltip").to_string(),
            values: values(&value),
            choices: spec.get("choices").map(values).unwrap_or_default(),
            size: spec.get("size").and_then(Json::as_i64).unwrap_or(30).clamp(10, 60),
            error: errors
                .and_then(|e| e.get(&name))
                .or(spec.get("choices_error"))
                .filter(|error| !error.is_null())
                .map(shown_text),
            fields: nested.map(|specs| fields(specs, given, errors, depth + 1)).unwrap_or_default(),
            name,
        }
    };
    visible.map(field).filter(|f| f.kind != "group" || !f.fields.is_empty()).collect()
}

fn shown_text(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

fn values(value: &Json) -> Vec<String> {
    match value {
        Json::Null => Vec::new(),
        Json::Array(items) => items.iter().map(shown_text).collect(),
        other => vec![shown_text(other)],
    }
}

/// What the form sent, as the scheduler wants it: truth values, numbers, lists, texts.
fn collect(specs: &[Json], sent: &Pairs, params: &mut Map<String, Json>, depth: usize) {
    for spec in specs.iter().filter(|_| depth < MAX_DEPTH) {
        if let Some(nested) = spec.get("fields").and_then(Json::as_array) {
            collect(nested, sent, params, depth + 1);
            continue;
        }
        let name = text(spec, "fullName");
        if is(spec, "hide") || text(spec, "type") == "fixed" || name.is_empty() {
            continue;
        }
        let all: Vec<&str> = sent.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str()).collect();
        let value = match text(spec, "type") {
            "bool" => Json::Bool(all.contains(&"true")),
            _ if is(spec, "multiple") => json!(all),
            "int" => all.first().map_or(Json::Null, |v| number_or_text(v)),
            _ => all.first().map_or(Json::Null, |v| Json::from(v.replace("\r\n", "\n"))),
        };
        if !value.is_null() {
            params.insert(name.to_string(), value);
        }
    }
}

/// The scheduler says what is wrong with a text that is no number.
fn number_or_text(text: &str) -> Json {
    text.trim().parse::<i64>().map_or_else(|_| Json::from(text), Json::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn specs() -> Vec<Json> {
        vec![
            json!({"type": "nested", "fullName": "", "fields": [
                {"type": "text", "fullName": "reason", "label": "Reason", "default": "force build", "required": true},
                {"type": "int", "fullName": "priority", "default": 0},
                {"type": "username", "fullName": "username", "hide": true}]}),
            json!({"type": "bool", "fullName": "clean", "default": true}),
            json!({"type": "list", "fullName": "os", "choices": ["a", "b"], "multiple": true, "default": ["a"]}),
            json!({"type": "fixed", "fullName": "branch", "default": "main"}),
        ]
    }

    #[test]
    fn a_form_becomes_parameters_03_039() {
        let pairs = [
            ("reason", "x\r\ny"),
            ("priority", "7"),
            ("os", "a"),
            ("os", "b"),
            ("branch", "evil"),
            ("other", "1"),
        ];
        let sent = pairs.iter().map(|(k, v)| ((*k).to_string(), (*v).to_string())).collect();
        let mut params = Map::new();
        collect(&specs(), &sent, &mut params, 0);
        assert_eq!(
            Json::Object(params),
            json!({"reason": "x\ny", "priority": 7, "clean": false, "os": ["a", "b"]})
        );
    }

    #[test]
    fn fields_show_defaults_what_was_sent_and_errors_03_034() {
        let sent = json!({"reason": "mine"});
        let errors = json!({"priority": "Priority: not a number"});
        let given = |name: &str| sent.get(name).cloned();
        let mut specs = specs();
        specs[2]["choices_error"] = "master.lua:3: no answer".into();
        let all = fields(&specs, &given, Some(&errors), 0);
        assert_eq!(all[2].error.as_deref(), Some("master.lua:3: no answer"));
        assert_eq!(all.len(), 3, "a fixed field is not shown");
        assert_eq!(all[0].fields.len(), 2, "a hidden one neither");
        assert_eq!(all[0].fields[0].values, ["mine"]);
        assert_eq!(all[0].fields[1].error.as_deref(), Some("Priority: not a number"));
        assert_eq!((all[1].values.as_slice(), all[2].choices.len()), (&["true".to_string()][..], 2));
    }

    #[test]
    fn endless_nesting_is_cut() {
        let mut spec = json!({"type": "text", "fullName": "x"});
        for _ in 0..100 {
            spec = json!({"type": "nested", "fullName": "g", "fields": [spec]});
        }
        assert!(fields(&[spec], &|_| None, None, 0).is_empty());
    }
}
