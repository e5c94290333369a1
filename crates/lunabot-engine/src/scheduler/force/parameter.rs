//! One form for all parameters: what a field is, and how `/forceschedulers` shows it (03.034, 03.035).

use super::choices::Known;
use super::kinds::*;
use lunabot_model::kind::Problem;
use lunabot_model::{AnyObject, Callback, Json, pattern};
use regex::Regex;
use serde_json::json;
use std::collections::BTreeSet;

/// A parameter.
#[derive(Debug, Clone)]
pub struct Parameter {
    pub name: String,
    pub label: String,
    tablabel: String,
    tooltip: String,
    /// Null: there is none (03.037).
    pub default: Json,
    pub required: bool,
    pub multiple: bool,
    /// As written.
    pattern: Option<String>,
    pub hide: bool,
    pub maxsize: Option<u64>,
    autopopulate: Option<Json>,
    /// Finds out what can be chosen.
    pub ask: Option<Callback>,
    /// Why that failed the last time.
    ask_error: Option<String>,
    /// Judges the value.
    pub validate: Option<Callback>,
    /// As declared, where its class is the configuration's.
    pub own: Option<AnyObject>,
    pub shape: Shape,
    /// Mistakes found while it was put together.
    faults: Vec<Problem>,
}

/// What kind of field it is.
#[derive(Debug, Clone)]
pub enum Shape {
    Text {
        size: i64,
    },
    Area {
        cols: i64,
        rows: i64,
        size: i64,
    },
    Int {
        size: i64,
    },
    Bool,
    Fixed,
    UserName {
        size: i64,
        need_email: bool,
    },
    Choice {
        choices: Vec<String>,
        strict: bool,
    },
    /// `any` leaves it open; `own`: the choices are the configuration's own.
    Worker {
        choices: Vec<String>,
        strict: bool,
        any: String,
        own: bool,
    },
    File,
    Group(Group),
}

/// Several fields together.
#[derive(Debug, Clone)]
pub struct Group {
    pub role: Role,
    pub fields: Vec<Parameter>,
    layout: String,
    columns: i64,
}

/// What becomes of a group's values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// A table under its name, or the parent's (03.045).
    Table,
    /// One property with an entered name (03.046).
    AnyProperty,
    /// The source stamp of this codebase (03.047).
    Codebase(String),
}

/// Largest file of a FileParameter (03.044).
const FILE_SIZE: u64 = 10 * 1024 * 1024;

impl Parameter {
    /// Reads a declared parameter. The error says that it is none.
    pub fn read(object: &AnyObject) -> Result<Parameter, String> {
        fn of<P: serde::de::DeserializeOwned + Into<Parameter>>(
            object: &AnyObject,
        ) -> Result<Parameter, String> {
            P::deserialize(&object.args).map(Into::into).map_err(|error| error.to_string())
        }
        let shaped = |shape: Shape| of::<PlainOptions>(object).map(|parameter| parameter.shaped(shape));
        match object.kind.as_str() {
            "util.StringParameter" => of::<StringOptions>(object),
            super::own::KIND if object.class.is_none() => {
                Err("is the base of parameters of your own: extend it, or use util.StringParameter".into())
            }
            super::own::KIND => of::<StringOptions>(object)
                .map(|parameter| Parameter { own: Some(object.clone()), ..parameter }),
            "util.TextParameter" => of::<TextOptions>(object),
            "util.IntParameter" => of::<IntOptions>(object),
            "util.BooleanParameter" => shaped(Shape::Bool),
            "util.FixedParameter" => shaped(Shape::Fixed),
            "util.FileParameter" => shaped(Shape::File),
            "util.AnyPropertyParameter" => of::<PlainOptions>(object).map(Parameter::into_any_property),
            "util.UserNameParameter" => of::<UserNameOptions>(object),
            "util.ChoiceStringParameter" => of::<ChoiceOptions>(object),
            "util.WorkerChoiceParameter" => of::<WorkerChoiceOptions>(object),
            "util.NestedParameter" => of::<NestedOptions>(object),
            "util.CodebaseParameter" => of::<CodebaseOptions>(object),
            "util.PatchParameter" => of::<PatchOptions>(object),
            other => Err(format!("expected a parameter, not a {other}")),
        }
    }

    /// A parameter with the given name and nothing else said.
    pub fn plain(name: &str, label: &str, default: Json, shape: Shape) -> Parameter {
        let options = PlainOptions {
            name: name.into(),
            label: Some(label.into()),
            default: Some(default),
            ..PlainOptions::default()
        };
        Parameter::from(options).shaped(shape)
    }

    /// A group that is only shown as one.
    pub fn group(name: &str, label: &str, role: Role, fields: Vec<Parameter>) -> Parameter {
        let columns = default_columns(&fields);
        let group = Group { role, fields, layout: "vertical".into(), columns };
        Parameter::plain(name, label, "".into(), Shape::Group(group))
    }

    fn shaped(mut self, shape: Shape) -> Parameter {
        match (&shape, &self.default) {
            (Shape::Bool, Json::String(text)) if text.is_empty() => self.default = false.into(),
            (Shape::Int { .. }, Json::String(text)) if text.is_empty() => self.default = 0.into(),
            _ => {}
        }
        let whole = |value: &Json| value.is_i64() || value.is_null();
        let several = self.default.as_array().filter(|_| self.multiple);
        if matches!(shape, Shape::Int { .. })
            && !several.map_or_else(|| whole(&self.default), |all| all.iter().all(Json::is_i64))
        {
            self.faults
                .push(Problem::new("default", format!("expected a whole number, not {}", self.default)));
        }
        match shape {
            Shape::Fixed => self.hide = true,
            Shape::File => self.maxsize = self.maxsize.or(Some(FILE_SIZE)),
            _ => {}
        }
        self.shape = shape;
        self
    }

    fn into_any_property(self) -> Parameter {
        let field = |name, label| Parameter::plain(name, label, "".into(), Shape::Text { size: 10 });
        let fields = vec![field("name", "Name:"), field("value", "Value:")];
        let mut whole = Parameter::group(&self.name, &self.label, Role::AnyProperty, fields);
        // Upstream shows the group without a label of its own.
        if whole.label == self.name {
            (whole.label, whole.tablabel) = (String::new(), String::new());
        }
        Parameter { shape: whole.shape, label: whole.label, tablabel: whole.tablabel, ..self }
    }

    /// Offers these workers wherever one is to be chosen.
    pub fn offer(&mut self, workers: &BTreeSet<String>) {
        match &mut self.shape {
            Shape::Worker { choices, own: false, any, .. } => {
                *choices = std::iter::once(any.clone()).chain(workers.iter().cloned()).collect();
            }
            Shape::Group(group) => group.fields.iter_mut().for_each(|field| field.offer(workers)),
            _ => {}
        }
    }

    /// This parameter and all inside it.
    pub fn each<'a>(&'a self, see: &mut dyn FnMut(&'a Parameter)) {
        see(self);
        if let Shape::Group(group) = &self.shape {
            group.fields.iter().for_each(|field| field.each(see));
        }
    }

    /// Puts in what the functions for choices have found.
    pub fn choose(&mut self, known: &dyn Fn(&Callback) -> Known) {
        match (&mut self.shape, &self.ask) {
            (Shape::Choice { choices, .. } | Shape::Worker { choices, .. }, Some(ask)) => {
                Known { choices: *choices, error: self.ask_error } = known(ask);
            }
            (Shape::Group(group), _) => group.fields.iter_mut().for_each(|field| field.choose(known)),
            _ => {}
        }
    }

    /// What serde cannot see.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = self.faults.clone();
        if let Err(error) = self.regex() {
            problems.push(Problem::new("regex", error));
        }
        problems
    }

    /// The compiled `regex`.
    pub fn regex(&self) -> Result<Option<Regex>, String> {
        self.pattern.as_deref().map(pattern::anchored).transpose()
    }

    /// The `regex` as written.
    pub fn pattern(&self) -> Option<&str> {
        self.pattern.as_deref()
    }

    /// Its name in a force call, inside a parent of the name `parent` (03.035).
    pub fn full_name(&self, parent: Option<&str>) -> Option<String> {
        match (parent, self.name.as_str()) {
            (None, "") => None,
            (Some(parent), "") => Some(parent.to_string()),
            (None, name) => Some(name.to_string()),
            (Some(parent), name) => Some(format!("{parent}_{name}")),
        }
    }

    /// Its description for clients (03.034).
    pub fn spec(&self, parent: Option<&str>) -> Json {
        let full_name = self.full_name(parent);
        let mut spec = json!({
            "name": self.name, "fullName": full_name, "label": self.label, "tablabel": self.tablabel,
            "type": self.shape.type_name(), "default": self.default, "required": self.required,
            "multiple": self.multiple, "regex": null, "hide": self.hide, "maxsize": self.maxsize,
            "autopopulate": self.autopopulate, "tooltip": self.tooltip,
        });
        let more = match &self.shape {
            Shape::Text { size } | Shape::Int { size } => json!({"size": size}),
            Shape::Area { cols, rows, size } => json!({"cols": cols, "rows": rows, "size": size}),
            Shape::UserName { size, need_email } => json!({"size": size, "need_email": need_email}),
            Shape::Choice { choices, strict } | Shape::Worker { choices, strict, .. } => {
                let mut more = json!({"choices": choices, "strict": strict});
                if let Some(error) = &self.ask_error {
                    more["choices_error"] = error.as_str().into();
                }
                more
            }
            Shape::Bool | Shape::Fixed | Shape::File => json!({}),
            Shape::Group(group) => {
                let fields: Vec<Json> = group.fields.iter().map(|f| f.spec(full_name.as_deref())).collect();
                json!({"layout": group.layout, "columns": group.columns, "fields": fields})
            }
        };
        if let (Some(spec), Json::Object(more)) = (spec.as_object_mut(), more) {
            spec.extend(more);
        }
        spec
    }
}

impl Shape {
    fn type_name(&self) -> &'static str {
        match self {
            Shape::Text { .. } => "text",
            Shape::Area { .. } => "textarea",
            Shape::Int { .. } => "int",
            Shape::Bool => "bool",
            Shape::Fixed => "fixed",
            Shape::UserName { .. } => "username",
            Shape::Choice { .. } | Shape::Worker { .. } => "list",
            Shape::File => "file",
            Shape::Group(_) => "nested",
        }
    }
}

fn default_columns(fields: &[Parameter]) -> i64 {
    if fields.iter().filter(|field| !field.hide).count() >= 4 { 2 } else { 1 }
}

/// The options that all structs of options share.
macro_rules! common {
    ($options:expr, $name:expr, $label:expr, $shape:expr) => {{
        let (name, label): (String, Option<String>) = ($name, $label);
        let label = $options.label.clone().or(label).unwrap_or_else(|| name.clone());
        Parameter {
            tablabel: $options.tablabel.clone().unwrap_or_else(|| label.clone()),
            label,
            name,
            tooltip: $options.tooltip.clone(),
            default: $options.default.clone().unwrap_or_else(|| "".into()),
            required: $options.required,
            multiple: $options.multiple,
            pattern: $options.regex.clone(),
            hide: $options.hide,
            maxsize: $options.maxsize,
            autopopulate: $options.autopopulate.clone(),
            ask: None,
            ask_error: None,
            validate: $options.validate.clone(),
            own: None,
            shape: Shape::Fixed,
            faults: Vec::new(),
        }
        .shaped($shape)
    }};
}

impl From<PlainOptions> for Parameter {
    fn from(o: PlainOptions) -> Self {
        common!(o, o.name.clone(), None, Shape::Text { size: 10 })
    }
}

impl From<StringOptions> for Parameter {
    fn from(o: StringOptions) -> Self {
        common!(o, o.name.clone(), None, Shape::Text { size: o.size.unwrap_or(10) })
    }
}

impl From<IntOptions> for Parameter {
    fn from(o: IntOptions) -> Self {
        common!(o, o.name.clone(), None, Shape::Int { size: o.size.unwrap_or(10) })
    }
}

impl From<TextOptions> for Parameter {
    fn from(o: TextOptions) -> Self {
        let (cols, rows) = (o.cols.unwrap_or(80), o.rows.unwrap_or(20));
        common!(o, o.name.clone(), None, Shape::Area { cols, rows, size: o.size.unwrap_or(10) })
    }
}

impl From<UserNameOptions> for Parameter {
    fn from(o: UserNameOptions) -> Self {
        let name = o.name.clone().unwrap_or_else(|| "username".into());
        let shape = Shape::UserName { size: o.size.unwrap_or(30), need_email: o.need_email.unwrap_or(true) };
        common!(o, name, Some("Your name:".into()), shape)
    }
}

/// Where only a choice is taken there must be one. Otherwise any text is, also where none is offered.
fn nothing_to_choose(choices: &[String], ask: Option<&Callback>, strict: bool) -> Vec<Problem> {
    let text = "is empty: list what can be chosen, give a function that finds it out, or take any text with strict = false";
    let none = strict && choices.is_empty() && ask.is_none();
    none.then(|| Problem::new("choices", text)).into_iter().collect()
}

impl From<ChoiceOptions> for Parameter {
    fn from(o: ChoiceOptions) -> Self {
        let (choices, ask) = o.choices.clone().split();
        let strict = o.strict.unwrap_or(true);
        let faults = nothing_to_choose(&choices, ask.as_ref(), strict);
        let shape = Shape::Choice { choices, strict };
        Parameter { ask, faults, ..common!(o, o.name.clone(), None, shape) }
    }
}

impl From<WorkerChoiceOptions> for Parameter {
    fn from(o: WorkerChoiceOptions) -> Self {
        let any = o.any_sentinel.clone().unwrap_or_else(|| "-any-".into());
        let own = o.choices.is_some();
        let (choices, ask) = match o.choices.clone() {
            Some(choices) => choices.split(),
            None => (vec![any.clone()], None),
        };
        let default = o.default.clone().unwrap_or_else(|| any.as_str().into());
        let o = WorkerChoiceOptions { default: Some(default), ..o };
        let strict = o.strict.unwrap_or(true);
        let faults = nothing_to_choose(&choices, ask.as_ref(), strict);
        let shape = Shape::Worker { choices, strict, any, own };
        let name = o.name.clone().unwrap_or_else(|| "workername".into());
        Parameter { ask, faults, ..common!(o, name, None, shape) }
    }
}

impl From<NestedOptions> for Parameter {
    fn from(o: NestedOptions) -> Self {
        let mut faults = Vec::new();
        let mut fields = Vec::new();
        for (index, field) in o.fields.iter().enumerate() {
            match Parameter::read(field) {
                Ok(field) => fields.push(field),
                Err(error) => faults.push(Problem::new(format!("fields[{index}]"), error)),
            }
        }
        let group = group_of(Role::Table, fields, (&o.layout, o.columns), &mut faults);
        let mut parameter = common!(o, o.name.clone(), None, group);
        parameter.faults.extend(faults);
        parameter
    }
}

fn group_of(
    role: Role,
    fields: Vec<Parameter>,
    (layout, columns): (&Option<String>, Option<i64>),
    faults: &mut Vec<Problem>,
) -> Shape {
    let columns = columns.unwrap_or_else(|| default_columns(&fields));
    if !(1..=4).contains(&columns) {
        faults.push(Problem::new("columns", "a group has 1 to 4 columns"));
    }
    let layout = layout.clone().unwrap_or_else(|| "vertical".into());
    if !["vertical", "simple", "tabs"].contains(&layout.as_str()) {
        faults.push(Problem::new("layout", "a layout is vertical, simple or tabs"));
    }
    Shape::Group(Group { role, fields, layout, columns })
}

impl From<CodebaseOptions> for Parameter {
    fn from(o: CodebaseOptions) -> Self {
        let mut faults = Vec::new();
        let mut fields = Vec::new();
        for (name, label, given) in [
            ("branch", "Branch:", &o.branch),
            ("project", "Project:", &o.project),
            ("repository", "Repository:", &o.repository),
            ("revision", "Revision:", &o.revision),
        ] {
            match sub_field(name, label, given.as_ref()) {
                Ok(field) => fields.extend(field),
                Err(error) => faults.push(Problem::new(name, error)),
            }
        }
        // What a patch consists of is wide.
        let usual = if o.patch.is_some() { 1 } else { default_columns(&fields) };
        let columns = o.columns.unwrap_or(usual);
        match o.patch.as_ref().map(Parameter::read) {
            Some(Ok(mut patch)) => {
                if patch.name.is_empty() {
                    patch.name = "patch".into();
                }
                fields.push(patch);
            }
            Some(Err(error)) => faults.push(Problem::new("patch", error)),
            None => {}
        }
        let role = Role::Codebase(o.codebase.clone());
        let group = group_of(role, fields, (&o.layout, Some(columns)), &mut faults);
        let label = if o.codebase.is_empty() { String::new() } else { format!("Codebase: {}", o.codebase) };
        let mut parameter =
            common!(o, o.name.clone().unwrap_or_else(|| o.codebase.clone()), Some(label), group);
        parameter.faults.extend(faults);
        parameter
    }
}

/// A sub-field of a codebase: a parameter, a fixed text, or null for none.
fn sub_field(name: &str, label: &str, given: Option<&Json>) -> Result<Option<Parameter>, String> {
    match given {
        None => Ok(Some(Parameter::plain(name, label, "".into(), Shape::Text { size: 10 }))),
        Some(Json::Null | Json::Bool(false)) => Ok(None),
        Some(Json::String(text)) => {
            Ok(Some(Parameter::plain(name, name, text.as_str().into(), Shape::Fixed)))
        }
        Some(other) => {
            let object = AnyObject::from_json(other)
                .ok_or_else(|| format!("expected a parameter, a text or util.null, not {other}"))?;
            // Its place decides what it is, not the name that it was given.
            Parameter::read(&object).map(|field| Some(Parameter { name: name.into(), ..field }))
        }
    }
}

impl From<PatchOptions> for Parameter {
    fn from(o: PatchOptions) -> Self {
        let text =
            |name, default: &str| Parameter::plain(name, name, default.into(), Shape::Text { size: 10 });
        let fields = vec![
            Parameter::plain("body", "body", "".into(), Shape::File),
            Parameter::plain("level", "level", 1.into(), Shape::Int { size: 10 }),
            text("author", ""),
            text("comment", ""),
            text("subdir", "."),
        ];
        let mut faults = Vec::new();
        let group = group_of(Role::Table, fields, (&o.layout, o.columns.or(Some(1))), &mut faults);
        let mut parameter = common!(o, o.name.clone().unwrap_or_else(|| "patch".into()), None, group);
        parameter.faults.extend(faults);
        parameter
    }
}
