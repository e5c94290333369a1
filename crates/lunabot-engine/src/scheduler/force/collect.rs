//! From what was posted to values: validation of each field, errors collected by full name (03.032, 03.037–03.048).

use super::own::Parsed;
use super::parameter::{Group, Parameter, Role, Shape};
use super::validate::Judged;
use lunabot_data::new::{NewPatch, NewSourceStamp};
use lunabot_model::percent::text;
use lunabot_model::{Json, pattern};
use serde_json::{Map, json};
use std::collections::BTreeMap;

/// What a form yields.
#[derive(Debug, Default)]
pub(super) struct Collected<'a> {
    pub posted: Map<String, Json>,
    parsed: Parsed,
    pub errors: Map<String, Json>,
    pub stamps: BTreeMap<&'a str, NewSourceStamp>,
    /// Values that functions have to judge.
    pub judged: Vec<Judged>,
}

impl<'a> Collected<'a> {
    pub fn new(posted: Map<String, Json>, parsed: Parsed) -> Self {
        Collected { posted, parsed, ..Collected::default() }
    }

    /// The value of a single field; `None` after an error, which is noted.
    pub fn field(&mut self, parameter: &Parameter, parent: Option<&str>) -> Option<Json> {
        let full_name = parameter.full_name(parent).unwrap_or_default();
        let parsed = self.parsed.remove(&full_name);
        match parsed.unwrap_or_else(|| entered(parameter, &full_name, &self.posted)) {
            Ok(value) => {
                self.note(parameter, full_name, &value);
                Some(value)
            }
            Err(error) => {
                self.errors.insert(full_name, error.into());
                None
            }
        }
    }

    /// Remembers a value that a function has to judge.
    fn note(&mut self, parameter: &Parameter, full_name: String, value: &Json) {
        if let Some(function) = parameter.validate.clone() {
            self.judged.push(Judged { full_name, value: value.clone(), function });
        }
    }

    /// Adds the values of a parameter, whatever it is, to a table.
    pub fn add(&mut self, table: &mut Map<String, Json>, parameter: &'a Parameter, parent: Option<&str>) {
        let Shape::Group(group) = &parameter.shape else {
            if let Some(value) = self.field(parameter, parent)
                && !(value.is_null())
            {
                table.insert(parameter.name.clone(), value);
            }
            return;
        };
        let full_name = parameter.full_name(parent);
        let values = self.group(group, full_name.as_deref());
        if parameter.validate.is_some() {
            self.note(parameter, full_name.clone().unwrap_or_default(), &Json::Object(values.clone()));
        }
        match &group.role {
            Role::Table if parameter.name.is_empty() => table.extend(values),
            Role::Table => drop(table.insert(parameter.name.clone(), Json::Object(values))),
            Role::Codebase(codebase) => drop(self.stamps.insert(codebase, stamp(codebase, &values))),
            Role::AnyProperty => self.any_property(table, &full_name.unwrap_or_default(), &values),
        }
    }

    fn group(&mut self, group: &'a Group, full_name: Option<&str>) -> Map<String, Json> {
        let mut values = Map::new();
        for field in &group.fields {
            self.add(&mut values, field, full_name);
        }
        values
    }

    /// 03.046.
    fn any_property(&mut self, table: &mut Map<String, Json>, full_name: &str, values: &Map<String, Json>) {
        let part = |name: &str| values.get(name).map(text).unwrap_or_default();
        let (name, value) = (part("name"), part("value"));
        if name.is_empty() {
            return;
        }
        let matches = |pattern: &str, text: &str| pattern::anchored(pattern).is_ok_and(|p| p.is_match(text));
        if matches(r"[\w./~:-]*$", &name) && matches(r"[ \w./~:-]*$", &value) {
            table.insert(name, value.into());
        } else {
            let error = format!("bad property name='{name}', value='{value}'");
            self.errors.insert(full_name.into(), error.into());
        }
    }
}

/// The checked value of a field, of what was posted.
pub(super) fn entered(p: &Parameter, full_name: &str, posted: &Map<String, Json>) -> Result<Json, String> {
    value(p, full_name, &given(posted.get(full_name)))
}

/// What was posted as a list; a single blank text is nothing.
fn given(posted: Option<&Json>) -> Vec<Json> {
    match posted {
        None => Vec::new(),
        Some(Json::Array(items)) if !matches!(&items[..], [Json::String(_)]) => items.clone(),
        Some(Json::Array(items)) => given(items.first()),
        Some(Json::String(text)) if text.trim().is_empty() => Vec::new(),
        Some(one) => vec![one.clone()],
    }
}

/// The checked value of a field (03.037).
fn value(p: &Parameter, full_name: &str, posted: &[Json]) -> Result<Json, String> {
    if matches!(p.shape, Shape::Fixed) {
        return Ok(p.default.clone());
    }
    let mut values = posted.to_vec();
    if values.is_empty() {
        if p.required {
            return Err(format!("'{}' needs to be specified", p.label));
        }
        values = match (&p.default, p.multiple) {
            (Json::Array(items), true) => items.clone(),
            (Json::String(text), true) if text.is_empty() => Vec::new(),
            (default, _) => vec![default.clone()],
        };
    }
    if !p.multiple {
        values.truncate(1);
    }
    if values.iter().any(Json::is_null) || values.is_empty() && !p.multiple {
        return Err(format!("need {full_name}: no default provided by config"));
    }
    check(p, &values)?;
    let parsed = values.iter().map(|value| parse(p, full_name, value)).collect::<Result<Vec<_>, _>>()?;
    Ok(if p.multiple { parsed.into() } else { parsed.into_iter().next().unwrap_or_default() })
}

/// `regex` and `maxsize`.
fn check(p: &Parameter, values: &[Json]) -> Result<(), String> {
    let regex = p.regex()?;
    for value in values.iter().map(text) {
        if regex.as_ref().is_some_and(|regex| !regex.is_match(&value)) {
            let pattern = p.pattern().unwrap_or_default();
            return Err(format!("{}:'{value}' does not match pattern '{pattern}'", p.label));
        }
        let length = value.chars().count() as u64;
        if let Some(max) = p.maxsize.filter(|max| length > *max) {
            return Err(format!("{}: is too large {length} > {max}", p.label));
        }
    }
    Ok(())
}

fn parse(p: &Parameter, full_name: &str, value: &Json) -> Result<Json, String> {
    match &p.shape {
        Shape::Int { .. } => {
            integer(value).ok_or_else(|| format!("{}: '{}' is not a whole number", p.label, text(value)))
        }
        Shape::Bool => Ok((*value == true).into()),
        Shape::Choice { choices, strict } => {
            let chosen = text(value);
            if *strict && !choices.contains(&chosen) {
                let all = text(&json!(choices));
                return Err(format!("'{chosen}' does not belong to list of available choices '{all}'"));
            }
            Ok(chosen.into())
        }
        Shape::Worker { choices, strict, any, .. } => {
            let chosen = text(value);
            if *strict && !choices.contains(&chosen) {
                let all = text(&json!(choices));
                return Err(format!("'{chosen}' does not belong to list of available choices '{all}'"));
            }
            // No property: any worker will do.
            Ok(if chosen == *any { Json::Null } else { chosen.into() })
        }
        Shape::UserName { need_email: true, .. } => {
            let name = text(value);
            if !name.is_empty() && !has_address(&name) {
                return Err(format!(
                    "{full_name}: please fill in email address in the form 'User <email@email.com>'"
                ));
            }
            Ok(name.into())
        }
        Shape::Text { .. } | Shape::Area { .. } | Shape::UserName { .. } | Shape::File => {
            Ok(text(value).into())
        }
        Shape::Fixed | Shape::Group(_) => Ok(value.clone()),
    }
}

/// A number, whole or cut, or a text that holds a whole one.
fn integer(value: &Json) -> Option<Json> {
    match value {
        Json::Number(n) => {
            n.as_i64().or_else(|| n.as_f64().filter(|f| f.abs() < 9e15).map(|f| f as i64)).map(Json::from)
        }
        Json::String(text) => text.trim().parse::<i64>().ok().map(Json::from),
        _ => None,
    }
}

/// Whether a text holds `someone@host.domain`.
fn has_address(text: &str) -> bool {
    text.split(|c: char| c.is_whitespace() || "<>,;".contains(c)).any(|word| {
        word.split_once('@').is_some_and(|(user, host)| {
            let inner = host.trim_matches('.');
            !user.is_empty() && inner == host && host.contains('.') && !host.contains('@')
        })
    })
}

/// 03.047, 03.048. What is not asked for is as if nothing had been entered.
fn stamp(codebase: &str, values: &Map<String, Json>) -> NewSourceStamp {
    let part = |name: &str| values.get(name).map(text).unwrap_or_default();
    NewSourceStamp {
        revision: Some(part("revision")),
        branch: Some(part("branch")),
        repository: part("repository"),
        project: part("project"),
        codebase: codebase.to_string(),
        patch: values.get("patch").and_then(patch),
    }
}

/// A patch without a body is none.
fn patch(values: &Json) -> Option<NewPatch> {
    let part = |name: &str| values[name].as_str().unwrap_or_default().to_string();
    let body = part("body").into_bytes();
    (!body.is_empty()).then(|| NewPatch {
        body,
        level: values["level"].as_i64().unwrap_or(1),
        subdir: part("subdir"),
        author: part("author"),
        comment: part("comment"),
    })
}
