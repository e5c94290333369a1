//! `schedulers.ForceScheduler` (reference 3d): a form, and buildsets made from what is entered into it.

mod choices;
mod collect;
pub mod kinds;
mod own;
pub mod parameter;
#[cfg(test)]
mod tests;
mod validate;

use super::Surroundings;
use super::buildset::{Common, Wanted, new_stamp};
use super::params::{Priority, format_names};
use collect::Collected;
use kinds::ForceParams;
use lunabot_data::ControlError;
use lunabot_data::new::{NewSourceStamp, Patience};
use lunabot_model::kind::Problem;
use lunabot_model::resources::ForceScheduler;
use lunabot_model::{AnyObject, BuilderId, Callback, Json, Properties, percent, spliced};
use parameter::{Parameter, Role, Shape};
use serde::Deserialize;
use serde_json::Map;
use std::collections::{BTreeMap, BTreeSet};

/// The source of the properties of a form (03.033).
pub const SOURCE: &str = "Force Build Form";

const DEFAULT_REASON_STRING: &str = "A build was forced by '%(owner)s': %(reason)s";

/// A force scheduler of the configuration that is in force.
pub(super) struct Force {
    pub common: Common,
    params: ForceParams,
    form: Form,
    found: choices::Found,
    around: Surroundings,
}

/// The parameters of a force scheduler, read.
#[derive(Debug, Clone)]
pub(super) struct Form {
    username: Parameter,
    reason: Parameter,
    priority: Parameter,
    codebases: Vec<Parameter>,
    properties: Vec<Parameter>,
}

impl Form {
    /// Reads the parameters; all mistakes together.
    pub fn read(params: &ForceParams) -> Result<Form, Vec<Problem>> {
        let mut problems = check_plain(params);
        let mut asked = |option: &str, given: &Option<AnyObject>, default: Parameter| match given {
            None => default,
            Some(object) => read_parameter(option, object, &mut problems).unwrap_or(default),
        };
        let username_shape = Shape::UserName { size: 30, need_email: true };
        let username = Parameter::plain("username", "Your name:", "".into(), username_shape);
        let reason = Parameter::plain("reason", "reason", "force build".into(), Shape::Text { size: 20 });
        let priority = Parameter::plain("priority", "priority", 0.into(), Shape::Int { size: 10 });
        let username = asked("username", &params.username, username);
        let reason = asked("reason", &params.reason, reason);
        let priority = asked("priority", &params.priority, priority);
        if !matches!(priority.shape, Shape::Int { .. }) {
            problems.push(Problem::new("priority", "expected a util.IntParameter"));
        }
        let codebases = read_codebases(params.codebases.as_deref(), &mut problems);
        let mut properties = Vec::new();
        for (index, object) in params.properties.iter().enumerate() {
            properties.extend(read_parameter(&format!("properties[{index}]"), object, &mut problems));
        }
        problems.extend(twice(&properties));
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Form { username, reason, priority, codebases, properties })
    }

    /// Offers these workers wherever one is to be chosen (03.043).
    fn offer(&mut self, workers: &BTreeSet<String>) {
        self.properties.iter_mut().for_each(|parameter| parameter.offer(workers));
    }

    fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        [&self.username, &self.reason, &self.priority]
            .into_iter()
            .chain(&self.codebases)
            .chain(&self.properties)
    }

    /// The functions that find out what can be chosen.
    fn functions(&self) -> Vec<&Callback> {
        let mut all = Vec::new();
        self.parameters().for_each(|parameter| parameter.each(&mut |inner| all.extend(&inner.ask)));
        all
    }

    /// The form with the choices that its functions have found.
    fn with_choices(&self, found: &choices::Found) -> Form {
        let mut form = self.clone();
        let asked = [&mut form.username, &mut form.reason, &mut form.priority].into_iter();
        for parameter in asked.chain(&mut form.codebases).chain(&mut form.properties) {
            parameter.choose(&|function| found.of(function));
        }
        form
    }

    /// Checks what was posted. The error is a table of full name → text (03.032).
    fn fill(&self, posted: Map<String, Json>, parsed: own::Parsed) -> Result<Filled, Json> {
        let owner = first_text(posted.get("owner")).filter(|owner| !owner.is_empty() && owner != "anonymous");
        let mut form = Collected::new(posted, parsed);
        let reason = form.field(&self.reason, None);
        let owner = owner.map(Json::from).or_else(|| form.field(&self.username, None));
        let priority = form.field(&self.priority, None);
        let mut values = Map::new();
        for parameter in self.codebases.iter().chain(&self.properties) {
            form.add(&mut values, parameter, None);
        }
        if !form.errors.is_empty() {
            return Err(Json::Object(form.errors));
        }
        let text = |value: Option<Json>| value.map(|value| percent::text(&value)).unwrap_or_default();
        Ok(Filled {
            owner: text(owner),
            reason: text(reason),
            priority: priority.and_then(|priority| priority.as_i64()).unwrap_or(0),
            values,
            stamps: form.stamps.into_values().collect(),
            judged: form.judged,
        })
    }

    /// `all_fields` (03.034).
    fn spec(&self) -> Vec<Json> {
        let asked = vec![self.username.clone(), self.reason.clone(), self.priority.clone()];
        let asked = Parameter::group("", "", Role::Table, asked);
        std::iter::once(&asked).chain(&self.codebases).chain(&self.properties).map(|p| p.spec(None)).collect()
    }
}

/// A form, filled in and checked.
#[derive(Debug)]
struct Filled {
    owner: String,
    reason: String,
    priority: i64,
    values: Map<String, Json>,
    stamps: Vec<NewSourceStamp>,
    /// Values that functions have to judge.
    judged: Vec<validate::Judged>,
}

impl Filled {
    /// 03.033.
    fn properties(&self) -> Properties {
        let mut properties = Properties::new();
        for (name, value) in &self.values {
            properties.set(name.as_str(), value.clone(), SOURCE);
        }
        properties.set("reason", self.reason.as_str(), SOURCE);
        properties.set("owner", self.owner.as_str(), SOURCE);
        properties
    }
}

fn check_plain(params: &ForceParams) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut chars = params.name.chars();
    let first = chars.next().is_some_and(|c| c.is_alphabetic() || c == '_');
    if !first || !chars.all(|c| c.is_alphanumeric() || c == '_' || c == '-') {
        let text = "must be an identifier: a letter or '_', then letters, digits, '_' and '-'";
        problems.push(Problem::new("name", text));
    }
    if let Err(error) = reason_text(params, "", "") {
        problems.push(Problem::new("reasonString", error));
    }
    problems
}

fn reason_text(params: &ForceParams, owner: &str, reason: &str) -> Result<String, String> {
    let format = params.reason_string.as_deref().unwrap_or(DEFAULT_REASON_STRING);
    format_names(format, &[("owner", owner), ("reason", reason)])
}

fn read_parameter(path: &str, object: &AnyObject, problems: &mut Vec<Problem>) -> Option<Parameter> {
    Parameter::read(object).map_err(|error| problems.push(Problem::new(path, error))).ok()
}

/// Parameters that have the name of one before them: one of both would be lost.
fn twice(properties: &[Parameter]) -> Vec<Problem> {
    let mut known = BTreeSet::new();
    let again =
        properties.iter().filter(|parameter| !parameter.name.is_empty() && !known.insert(&parameter.name));
    let told = |parameter: &Parameter| format!("two parameters have the name {}", parameter.name);
    again.map(|parameter| Problem::new("properties", told(parameter))).collect()
}

fn read_codebases(given: Option<&[Json]>, problems: &mut Vec<Problem>) -> Vec<Parameter> {
    let named = |codebase: &str| {
        let options = kinds::CodebaseOptions { codebase: codebase.into(), ..Default::default() };
        Parameter::from(options)
    };
    let mut problem = |path: String, message: &str| problems.push(Problem::new(path, message));
    let Some(given) = given else { return vec![named("")] };
    if given.is_empty() {
        let text = "cannot be empty; write {util.CodebaseParameter{\"\", hide = true}} for a hidden one";
        problem("codebases".into(), text);
    }
    let mut all = Vec::new();
    for (index, item) in spliced(given).into_iter().enumerate() {
        let object = AnyObject::from_json(item).filter(|object| object.kind == "util.CodebaseParameter");
        match (item, object) {
            (Json::String(name), _) => all.push(named(name)),
            (_, Some(object)) => all.extend(Parameter::read(&object)),
            _ => problem(format!("codebases[{index}]"), "expected a text or a util.CodebaseParameter"),
        }
    }
    all
}

impl Force {
    pub fn read(object: &AnyObject, around: &Surroundings) -> Result<Force, String> {
        let params = ForceParams::deserialize(&object.args).map_err(|error| error.to_string())?;
        let mut form = Form::read(&params).map_err(|problems| {
            problems.into_iter().map(|p| format!("{}: {}", p.path, p.message)).collect::<Vec<_>>().join("; ")
        })?;
        form.offer(&around.workers_of(&params.builder_names.0));
        let common = Common {
            name: params.name.clone(),
            builder_names: params.builder_names.0.clone().into(),
            properties: BTreeMap::new(),
            priority: Priority::Zero,
            patience: Patience::of(params.request_timeout, params.ignore_offline_workers_timeout),
        };
        Ok(Force { common, params, form, found: choices::Found::default(), around: around.clone() })
    }

    /// Finds out what can be chosen, where a function says that. Whether one was asked.
    pub async fn refresh(&self) -> bool {
        self.found.refresh(&self.form, &self.around, &self.common.name).await
    }

    /// As the API lists it (09.014).
    pub fn resource(&self, enabled: bool) -> ForceScheduler {
        let or_name = |given: &Option<String>| {
            given.clone().filter(|text| !text.is_empty()).unwrap_or_else(|| self.params.name.clone())
        };
        ForceScheduler {
            name: self.params.name.clone(),
            button_name: or_name(&self.params.button_name),
            label: or_name(&self.params.label),
            builder_names: self.params.builder_names.0.clone(),
            enabled,
            all_fields: self.form.with_choices(&self.found).spec(),
        }
    }

    /// The control action `force` (03.032, 03.033).
    pub async fn force(&self, params: &Json) -> Result<Json, ControlError> {
        let posted = params.as_object().cloned().unwrap_or_default();
        let builders = self.builders(&posted)?;
        self.refresh().await;
        let form = self.form.with_choices(&self.found);
        let parsed = own::parsed(&form, &posted, &self.around, &self.common.name).await;
        let filled = form.fill(posted, parsed).map_err(ControlError::InvalidParams)?;
        let judged = validate::judge(&filled, &self.around, &self.common.name).await;
        let wanted = Wanted {
            reason: reason_text(&self.params, &filled.owner, &filled.reason)
                .map_err(ControlError::Internal)?,
            properties: judged.map_err(ControlError::InvalidParams)?,
            stamps: filled.stamps.into_iter().map(new_stamp).collect(),
            only_builders: Some(builders),
            priority: Some(filled.priority),
            ..Wanted::default()
        };
        let added = self.common.add(&self.around, wanted).await;
        let (bsid, requests) = added.map_err(|error| ControlError::Internal(error.to_string()))?;
        let requests: BTreeMap<String, i64> = requests.into_iter().map(|(b, r)| (b.to_string(), r)).collect();
        Ok(serde_json::json!([bsid, requests]))
    }

    /// The builders that are meant: those named, or the one with the id, or all; only allowed ones count.
    fn builders(&self, posted: &Map<String, Json>) -> Result<Vec<BuilderId>, ControlError> {
        let allowed = &self.params.builder_names.0;
        let mut wanted: Vec<BuilderId> = match posted.get("builderNames") {
            None | Some(Json::Null) => self.around.builder_ids(allowed),
            Some(Json::Array(names)) => self.around.builder_ids(&only_allowed(allowed, names)),
            Some(name) => self.around.builder_ids(&only_allowed(allowed, std::slice::from_ref(name))),
        };
        if let Some(id) = posted.get("builderid").filter(|id| !id.is_null()) {
            let id = first_text(Some(id)).and_then(|id| id.parse::<BuilderId>().ok());
            wanted.retain(|builder| Some(*builder) == id);
        }
        if wanted.is_empty() {
            let text = format!(
                "builderNames not specified or not supported: {} may force {allowed:?}",
                self.params.name
            );
            return Err(ControlError::InvalidParams(text.into()));
        }
        Ok(wanted)
    }
}

fn only_allowed(allowed: &[String], names: &[Json]) -> Vec<String> {
    allowed.iter().filter(|name| names.iter().any(|n| n.as_str() == Some(name))).cloned().collect()
}

fn first_text(value: Option<&Json>) -> Option<String> {
    match value? {
        Json::Array(items) => first_text(items.first()),
        Json::Null => None,
        other => Some(percent::text(other)),
    }
}
