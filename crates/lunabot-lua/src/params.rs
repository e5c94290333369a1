//! `params`: what a class of the configuration takes besides the options of its base (lua-api § 3).

use crate::class::{Class, Extended};
use crate::construct::Written;
use crate::convert::{Reader, words};
use crate::instances::read_only;
use crate::shape::{Form, Shape};
use crate::state::Shared;
use crate::values::to_lua;
use lunabot_model::kind::nearest;
use lunabot_model::{Category, Json, Problem};
use mlua::{Lua, Table, Value};
use serde_json::{Map, json};

/// What may be said of a parameter.
const WORDS: &[&str] = &["type", "choices", "default", "required", "renderable", "doc"];

const TYPES: &[&str] = &[
    "string", "integer", "number", "boolean", "duration", "list", "map", "function", "step", "secret", "any",
];

/// One parameter as it was declared.
pub(crate) struct Param {
    pub name: String,
    spec: Table,
}

/// The parameters of one object, read.
#[derive(Default)]
pub(crate) struct Values {
    pub json: Map<String, Json>,
    pub lua: Vec<(String, Value)>,
}

/// Those that one class adds, as far as they are declared at all.
fn own(extended: &Extended) -> Vec<Param> {
    let Ok(Value::Table(declared)) = extended.fields.raw_get::<Value>("params") else { return Vec::new() };
    let mut all: Vec<Param> = declared
        .pairs::<Value, Value>()
        .flatten()
        .filter_map(|(name, spec)| match (name, spec) {
            (Value::String(name), Value::Table(spec)) => Some(Param { name: name.to_string_lossy(), spec }),
            _ => None,
        })
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// The names of those that one class adds.
pub(crate) fn names(extended: &Extended) -> impl Iterator<Item = String> {
    own(extended).into_iter().map(|param| param.name)
}

/// All of a class, each with how many classes above the most special one declares it.
fn all(class: &Class) -> Vec<(usize, Param)> {
    let mut all: Vec<(usize, Param)> = Vec::new();
    for (depth, extended) in class.chain().enumerate() {
        for param in own(extended) {
            if !all.iter().any(|(_, known)| known.name == param.name) {
                all.push((depth, param));
            }
        }
    }
    all
}

/// Whether a class has a parameter of this name.
pub(crate) fn declares(class: &Class, name: &str) -> bool {
    let declared = |one: &Extended| one.fields.raw_get::<Table>("params").ok()?.raw_get::<Value>(name).ok();
    class.chain().filter_map(declared).any(|spec| !spec.is_nil())
}

/// Takes the parameters out of what was written, and checks them. One that is not written is what the most special class
/// says under its name, or else its default.
pub(crate) fn take(
    lua: &Lua,
    shared: &Shared,
    class: &Class,
    given: &mut Written,
    problems: &mut Vec<Problem>,
) -> mlua::Result<Values> {
    let mut values = Values::default();
    for (depth, param) in all(class) {
        let place = given.named.iter().position(|(known, _)| *known == param.name);
        let written = place.map_or(Value::Nil, |place| given.named.swap_remove(place).1);
        let nothing = is_nothing(&written, &param);
        let value = match nothing {
            true => param.otherwise(class, depth)?,
            false => written,
        };
        if value.is_nil() && param.flag("required") {
            problems.push(Problem::new(&param.name, "is missing"));
        }
        let read = param.read(lua, shared, &param.name, &value, problems);
        let exact = read.as_ref().filter(|_| param.is_exact() && !value.is_userdata());
        let value = exact.map_or(Ok(value), |json| to_lua(lua, shared, json))?;
        // What is said in the class is shared by its objects.
        let value = if nothing { read_only(shared, &class.path(), &param.name, value)? } else { value };
        values.json.extend(read.map(|read| (param.name.clone(), read)));
        values.lua.push((param.name, value));
    }
    Ok(values)
}

/// `util.null` means nothing, where it is no value of its own.
fn is_nothing(value: &Value, param: &Param) -> bool {
    value.is_nil() || *value == Value::NULL && !param.shape().allows_null()
}

/// The names of parameters that are lists.
pub(crate) fn lists(class: &Class) -> Vec<String> {
    let lists = all(class).into_iter().filter(|(_, param)| param.kind().as_deref() == Some("list"));
    let mut names: Vec<String> = lists.map(|(_, param)| param.name).collect();
    names.sort_unstable();
    names
}

/// What parameters must be that are computed when they are needed, by name.
pub(crate) fn types(class: &Class) -> Map<String, Json> {
    let computed = all(class).into_iter().filter(|(_, param)| param.shape().renderable);
    let mut types: Map<String, Json> =
        computed.map(|(_, param)| (param.name.clone(), param.told())).collect();
    types.sort_keys();
    types
}

/// What is wrong with what one class declares, and with its defaults for what its bases declare.
pub(crate) fn judge(lua: &Lua, shared: &Shared, class: &Class) -> mlua::Result<Vec<Problem>> {
    let (mut problems, Some(extended)) = (Vec::new(), &class.extended) else { return Ok(Vec::new()) };
    let declared = match extended.fields.raw_get("params")? {
        Value::Nil => lua.create_table()?,
        Value::Table(declared) => declared,
        other => {
            let told = format!("expected {{name = {{type = …}}}}, got {}", words(&other));
            return Ok(vec![Problem::new("params", told)]);
        }
    };
    for pair in declared.pairs::<Value, Value>() {
        let (name, spec) = pair?;
        judge_one(lua, shared, class, &name, &spec, &mut problems)?;
    }
    for (_, param) in all(class) {
        let value: Value = extended.fields.raw_get(param.name.as_str())?;
        param.read(lua, shared, &param.name, &value, &mut problems);
    }
    problems.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(problems)
}

fn judge_one(
    lua: &Lua,
    shared: &Shared,
    class: &Class,
    name: &Value,
    spec: &Value,
    problems: &mut Vec<Problem>,
) -> mlua::Result<()> {
    let Some(name) = name.as_string().map(mlua::LuaString::to_string_lossy).filter(|name| is_name(name))
    else {
        let told = format!("a parameter has a name that self.NAME reads, got {}", words(name));
        problems.push(Problem::new("params", told));
        return Ok(());
    };
    let path = format!("params.{name}");
    let Value::Table(spec) = spec else {
        let told = format!("expected a table, such as {{type = \"string\"}}, got {}", words(spec));
        problems.push(Problem::new(path, told));
        return Ok(());
    };
    let param = Param { name, spec: spec.clone() };
    problems.extend(taken(shared, class, &param.name).map(|told| Problem::new(&path, told)));
    problems.extend(differs(class, &param).map(|told| Problem::new(&path, told)));
    let told = param.mistakes()?;
    let good = told.is_empty();
    problems.extend(told.into_iter().map(|told| Problem::new(&path, told)));
    if good {
        param.read(lua, shared, &format!("{path}.default"), &spec.raw_get("default")?, problems);
    }
    Ok(())
}

/// Why a parameter cannot be declared anew as it is: what the base's methods read would be something else.
fn differs(class: &Class, param: &Param) -> Option<String> {
    let base = &class.extended.as_ref()?.parent;
    let (_, known) = all(base).into_iter().find(|(_, known)| known.name == param.name)?;
    let (of_base, own) = (known.kind().unwrap_or_else(|| "any".into()), param.kind()?);
    let narrower = [("any", own.as_str()), ("number", "integer"), ("string", "secret")];
    if of_base == own || narrower.contains(&(&of_base, &own)) {
        return None;
    }
    let base = base.path();
    Some(format!("is {own} here, but {of_base} in {base}, whose methods read it; use another name"))
}

fn is_name(text: &str) -> bool {
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    plain && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

/// Why a parameter cannot have a name: something else is read or called under it.
fn taken(shared: &Shared, class: &Class, name: &str) -> Option<String> {
    let kind = class.kind;
    if crate::extend::SPECIAL.contains(&name) {
        return Some("is a word of classes; use another name".into());
    }
    if shared.fields(kind).get(name).is_some() {
        let path = kind.path();
        return Some(format!("is an option of {path}; write its default beside params: {name} = …"));
    }
    let hook = lunabot_model::class::hooks(kind.category).iter().any(|hook| hook.name == name);
    let member = || crate::stubs::members(kind.category).any(|member| member == name);
    let method = || crate::declared::methods_of(kind).any(|method| method == name);
    (hook || method() || member()).then(|| format!("self.{name} is something else already; use another name"))
}

impl Param {
    fn kind(&self) -> Option<String> {
        let Ok(Value::String(kind)) = self.spec.raw_get("type") else { return None };
        Some(kind.to_string_lossy())
    }

    fn flag(&self, word: &str) -> bool {
        matches!(self.spec.raw_get(word), Ok(Value::Boolean(true)))
    }

    fn has(&self, word: &str) -> bool {
        self.spec.raw_get::<Value>(word).is_ok_and(|value| !value.is_nil())
    }

    /// What it may be; anything where that is not told well, which is an error of its class.
    fn shape(&self) -> Shape {
        let secret = self.kind().as_deref() == Some("secret");
        match self.form() {
            Ok(form) => Shape { renderable: secret || self.flag("renderable"), ..Shape::plain(form) },
            Err(_) => Shape::ANY,
        }
    }

    fn form(&self) -> Result<Form, String> {
        let plain = |form| Box::new(Shape::plain(form));
        let kind = self.kind();
        Ok(match kind.as_deref() {
            kind if self.has("choices") => self.choices(kind)?,
            Some("string" | "secret") => Form::Text { regex: false },
            Some("integer") => Form::Integer,
            Some("number") => Form::Number,
            Some("boolean") => Form::Bool,
            Some("duration") => Form::Duration,
            Some("list") => Form::List(plain(Form::Any)),
            Some("map") => Form::Map(plain(Form::Any)),
            Some("function") => Form::Callback,
            Some("step") => Form::Object,
            None | Some("any") => Form::Any,
            Some(other) => {
                let hint = hint(other, TYPES);
                let types = TYPES.join(" ");
                return Err(format!("unknown type {other} of a parameter{hint}; types are {types}"));
            }
        })
    }

    /// `choices`: all texts, or all numbers, as the type wants.
    fn choices(&self, kind: Option<&str>) -> Result<Form, String> {
        let (numbers, texts) = (self.numbers(), self.texts());
        let whole = |numbers: &Vec<f64>| numbers.iter().all(|number| number.fract() == 0.0);
        match (kind, texts, numbers) {
            (_, Some(none), _) if none.is_empty() => Err("choices are none".into()),
            (None | Some("string" | "any"), Some(texts), _) => Ok(Form::Choice(texts)),
            (None | Some("any" | "number"), _, Some(numbers)) => Ok(Form::OneOf(numbers)),
            (Some("integer"), _, Some(numbers)) if whole(&numbers) => Ok(Form::OneOf(numbers)),
            (Some("string"), None, _) => Err("choices of a string are a list of texts".into()),
            (Some("integer" | "number"), ..) => {
                Err("choices of this parameter are a list of numbers that fit its type".into())
            }
            (Some(kind), ..) if TYPES.contains(&kind) && kind != "any" => {
                Err(format!("a parameter of the type {kind} has no choices"))
            }
            _ => Err("choices are a list of texts or a list of numbers".into()),
        }
    }

    /// `choices`, if all are numbers. Lua itself would take some texts for numbers, and numbers for texts.
    fn numbers(&self) -> Option<Vec<f64>> {
        let number = |value: &Value| match value {
            Value::Integer(number) => Some(*number as f64),
            Value::Number(number) => Some(*number),
            _ => None,
        };
        self.spec.raw_get::<Vec<Value>>("choices").ok()?.iter().map(number).collect()
    }

    /// The same for texts.
    fn texts(&self) -> Option<Vec<String>> {
        let all = self.spec.raw_get::<Vec<Value>>("choices").ok()?;
        all.iter().map(|value| Some(value.as_string()?.to_string_lossy())).collect()
    }

    /// Type and choices, for values that are computed later.
    fn told(&self) -> Json {
        let choices = match (self.numbers(), self.texts()) {
            (Some(numbers), _) => json!(numbers),
            (None, texts) => json!(texts.unwrap_or_default()),
        };
        json!({"type": self.kind().unwrap_or_default(), "choices": choices})
    }

    /// What is wrong with the declaration itself.
    fn mistakes(&self) -> mlua::Result<Vec<String>> {
        let mut all = Vec::new();
        for pair in self.spec.pairs::<Value, Value>() {
            let (word, value) = pair?;
            let word = match &word {
                Value::String(word) => word.to_string_lossy(),
                other => words(other),
            };
            if !WORDS.contains(&word.as_str()) {
                all.push(format!("a parameter has no {word}{}", hint(&word, WORDS)));
            }
            let wanted = match word.as_str() {
                "required" | "renderable" if !value.is_boolean() => "true or false",
                "type" | "doc" if !value.is_string() => "a text",
                _ => continue,
            };
            all.push(format!("{word}: expected {wanted}, got {}", words(&value)));
        }
        if self.flag("required") && self.has("default") {
            all.push("is required, so that its default is never used: drop one of both".into());
        }
        all.extend(self.form().err());
        all.sort();
        Ok(all)
    }

    /// What it is where nothing is written.
    fn otherwise(&self, class: &Class, depth: usize) -> mlua::Result<Value> {
        for extended in class.chain().take(depth + 1) {
            let value: Value = extended.fields.raw_get(self.name.as_str())?;
            if !value.is_nil() {
                return Ok(value);
            }
        }
        self.spec.raw_get("default")
    }

    /// Whether what is written otherwise is read as one kind of number.
    fn is_exact(&self) -> bool {
        matches!(self.kind().as_deref(), Some("duration" | "integer"))
    }

    /// A value as JSON: a duration in seconds, a whole number without a fraction.
    fn read(
        &self,
        lua: &Lua,
        shared: &Shared,
        path: &str,
        value: &Value,
        problems: &mut Vec<Problem>,
    ) -> Option<Json> {
        let (mut reader, shape) = (Reader::new(lua, shared), self.shape());
        reader.unrendered = !shape.renderable && matches!(shape.form, Form::List(_) | Form::Map(_));
        let mut read = reader.option(path, value, &shape);
        problems.append(&mut reader.problems);
        if self.kind().as_deref() == Some("step") {
            read = read.filter(|json| crate::convert::fits(shared, json, Category::Step, path, problems));
        }
        if let Some(json) = read.as_mut().filter(|_| self.is_exact()) {
            lunabot_model::class::exact(&self.kind().unwrap_or_default(), json);
        }
        // -1 often stands for "for ever".
        let negative = |json: &Json| json.as_f64().is_some_and(|seconds| seconds < 0.0 && seconds != -1.0);
        if self.kind().as_deref() == Some("duration") && read.as_ref().is_some_and(negative) {
            problems.push(Problem::new(path, "expected a duration of 0 seconds or more, or -1"));
        }
        read
    }
}

fn hint(word: &str, names: &[&'static str]) -> String {
    nearest(word, names.iter().copied()).map_or(String::new(), |near| format!(", did you mean {near}?"))
}
