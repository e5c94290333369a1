//! Lua values to JSON, guided by what the option wants (lua-api § 1, "Values").

use crate::class::ClassRef;
use crate::construct::construct;
use crate::declared::Declared;
use crate::live::Live;
use crate::modules::Placeholder;
use crate::props::Props;
use crate::shape::{Fields, Form, ITEMS, Shape};
use crate::state::Shared;
use lunabot_model::kind::nearest;
use lunabot_model::object::MARKS;
use lunabot_model::text::named;
use lunabot_model::{Category, Duration, Json, Problem};
use mlua::{AnyUserData, Lua, LuaSerdeExt, Table, Value};
use serde_json::Map;

/// Tables inside tables that are followed.
const MAX_DEPTH: usize = 64;
/// Values that one argument may hold.
const MAX_VALUES: usize = 2_000_000;
const TOO_LARGE: &str = "too large: a value holds two million others at most";

/// Turns Lua values into JSON and collects what is wrong with them.
pub(crate) struct Reader<'a> {
    pub lua: &'a Lua,
    pub shared: &'a Shared,
    pub problems: Vec<Problem>,
    /// Something inside is the placeholder of an error that was already told.
    pub poisoned: bool,
    /// Functions are welcome where the shape does not know about them.
    pub functions: bool,
    /// Renderables are not welcome where the shape does not know about them: nobody renders them.
    pub unrendered: bool,
    /// Inside a value that is rendered: of objects, only renderables are welcome where the shape does not want others.
    rendered: bool,
    /// What objects that a function made are kept for by whom they are handed to; 0: nobody keeps them.
    pub scope: u64,
    path: Vec<Step>,
    values: usize,
}

/// One part of a path.
#[derive(Clone)]
enum Step {
    Name(String),
    /// Counted from 1, as in Lua.
    Item(i64),
}

impl<'a> Reader<'a> {
    pub fn new(lua: &'a Lua, shared: &'a Shared) -> Self {
        let path = Vec::new();
        Reader {
            lua,
            shared,
            problems: Vec::new(),
            poisoned: false,
            functions: false,
            unrendered: false,
            rendered: false,
            scope: 0,
            path,
            values: 0,
        }
    }

    /// Reads the value of the option `name`; `None`: nothing usable was given.
    pub fn option(&mut self, name: &str, value: &Value, shape: &Shape) -> Option<Json> {
        self.path.push(Step::Name(name.to_string()));
        let read = self.value(value, shape, shape.renderable);
        self.path.pop();
        read
    }

    pub fn problem(&mut self, message: impl Into<String>) -> Option<Json> {
        self.problems.push(Problem::new(self.place(), message));
        None
    }

    fn place(&self) -> String {
        let mut text = String::new();
        for step in &self.path {
            match step {
                Step::Item(number) => text.push_str(&format!("[{number}]")),
                Step::Name(name) => {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push_str(&named(name));
                }
            }
        }
        text
    }

    /// Reads a value; `renderable`: one may stand in its place.
    pub fn value(&mut self, value: &Value, shape: &Shape, renderable: bool) -> Option<Json> {
        self.values += 1;
        if self.path.len() > MAX_DEPTH || self.values > MAX_VALUES {
            let what = if self.values > MAX_VALUES { TOO_LARGE } else { "nested too deeply, or a circle" };
            return self.problem(what);
        }
        let outer = self.rendered;
        self.rendered |= shape.rendered;
        let read = self.of_type(value, shape, renderable || shape.renderable);
        self.rendered = outer;
        read
    }

    fn of_type(&mut self, value: &Value, shape: &Shape, renderable: bool) -> Option<Json> {
        match value {
            Value::Nil => None,
            Value::LightUserData(pointer) if pointer.0.is_null() => {
                if shape.allows_null() {
                    Some(Json::Null)
                } else {
                    None
                }
            }
            Value::Boolean(flag) if shape.allows(|f| matches!(f, Form::Any | Form::Bool)) => {
                Some(Json::Bool(*flag))
            }
            Value::Integer(number) => self.integer(*number, shape),
            Value::Number(number) => self.number(*number, shape),
            Value::String(text) => self.text(text, shape),
            Value::Table(table) => self.table(table, shape, renderable),
            Value::Function(function) => self.function(function, shape),
            Value::UserData(object) => self.userdata(object, shape, renderable),
            other => self.mismatch(shape, words(other)),
        }
    }

    fn mismatch(&mut self, shape: &Shape, got: String) -> Option<Json> {
        self.problem(format!("expected {}, got {got}", shape.words()))
    }

    fn integer(&mut self, number: i64, shape: &Shape) -> Option<Json> {
        let fits = |f: &Form| match f {
            Form::OneOf(all) => all.contains(&(number as f64)),
            other => matches!(other, Form::Any | Form::Integer | Form::Number | Form::Duration),
        };
        if shape.allows(fits) { Some(number.into()) } else { self.number_for_text(shape, number.to_string()) }
    }

    fn number(&mut self, number: f64, shape: &Shape) -> Option<Json> {
        if !number.is_finite() {
            return self.problem(format!("expected {}, got {number}", shape.words()));
        }
        let fits = |f: &Form| match f {
            Form::OneOf(all) => all.contains(&number),
            other => matches!(other, Form::Any | Form::Number | Form::Duration),
        };
        if shape.allows(fits) {
            return Some(number.into());
        }
        if shape.allows(|f| *f == Form::Integer) && number.fract() == 0.0 && number.abs() < 9.0e15 {
            return Some(Json::from(number as i64));
        }
        self.number_for_text(shape, number.to_string())
    }

    fn number_for_text(&mut self, shape: &Shape, digits: String) -> Option<Json> {
        let mode = matches!(self.path.last(), Some(Step::Name(name)) if name == "mode");
        if mode && shape.allows(|f| matches!(f, Form::Text { .. })) {
            let digits = digits.trim_start_matches('0');
            return self.problem(format!(
                "expected a text, got a number; Lua has no octal numbers, write mode = \"0{digits}\""
            ));
        }
        self.mismatch(shape, format!("the number {digits}"))
    }

    fn text(&mut self, text: &mlua::LuaString, shape: &Shape) -> Option<Json> {
        let Ok(text) = text.to_str() else {
            return self.problem("expected text in UTF-8, got other bytes");
        };
        let text: &str = &text;
        for choice in shape.choices() {
            match &choice.form {
                Form::Any | Form::Text { regex: false } => return Some(text.into()),
                Form::Text { regex: true } => {
                    self.judge_pattern(text);
                    return Some(text.into());
                }
                Form::Choice(all) if all.iter().any(|one| one == text) => return Some(text.into()),
                Form::Duration => {
                    return match Duration::parse(text) {
                        Ok(_) => Some(text.into()),
                        Err(error) => self.problem(error),
                    };
                }
                _ => {}
            }
        }
        let all = shape.choices().iter().flat_map(|choice| match &choice.form {
            Form::Choice(all) => all.as_slice(),
            _ => &[],
        });
        let hint = nearest(text, all.map(String::as_str))
            .map_or(String::new(), |n| format!(", did you mean \"{n}\"?"));
        self.mismatch(
            shape,
            format!("the text \"{}\"{hint}", shorten(&self.shared.options.records.conceal(text))),
        )
    }

    fn judge_pattern(&mut self, text: &str) {
        let lua_like = ["%d", "%s", "%w", "%a"].iter().find(|class| text.contains(**class));
        if let Some(class) = lua_like {
            let at = crate::origin::origin(self.lua);
            let place = self.place();
            let message = format!("{class} means nothing in a regular expression; write \\{}", &class[1..]);
            self.shared.warn(&at, &place, message);
        }
    }

    fn function(&mut self, function: &mlua::Function, shape: &Shape) -> Option<Json> {
        if !self.functions && !shape.allows(|f| *f == Form::Callback) {
            return self.problem(format!("takes no function; expected {}", shape.words()));
        }
        let id = self.shared.lifted.lift(function);
        Some(self.callback_json(id))
    }

    pub fn callback_json(&self, id: u64) -> Json {
        callback_json(self.shared, id)
    }

    fn userdata(&mut self, object: &AnyUserData, shape: &Shape, renderable: bool) -> Option<Json> {
        if let Ok(declared) = object.borrow::<Declared>() {
            return self.declared(object, &declared, shape, renderable);
        }
        if object.is::<Placeholder>() {
            self.poisoned = true;
            return shape.allows_null().then_some(Json::Null);
        }
        if let Ok(class) = object.borrow::<ClassRef>() {
            return self.class(&class, shape, renderable);
        }
        if let Ok(live) = object.borrow::<Live>() {
            return Some(serde_json::json!({"$ref": live.key()}));
        }
        if let Ok(props) = object.borrow::<Props>() {
            return Some(Json::Object(props.as_dict()));
        }
        self.mismatch(shape, "an object that cannot be used here".into())
    }

    fn declared(
        &mut self,
        object: &AnyUserData,
        declared: &Declared,
        shape: &Shape,
        renderable: bool,
    ) -> Option<Json> {
        self.poisoned |= declared.poisoned;
        let fits = match declared.kind.category {
            Category::Renderable => renderable || !self.unrendered && shape.allows(|f| *f == Form::Any),
            _ => shape.allows(|f| *f == Form::Object || *f == Form::Any && !self.rendered),
        };
        if fits {
            if let Err(message) = declared.keep(self.shared, object, self.scope) {
                return self.problem(message);
            }
            return Some(declared.json(self.shared, Some(object)));
        }
        let what = declared.kind.path();
        if declared.kind.category == Category::Renderable {
            return self.mismatch(shape, format!("{what}, but this option is not rendered"));
        }
        self.mismatch(shape, what)
    }

    /// A class given where an object is expected is called with `{}`.
    fn class(&mut self, class: &ClassRef, shape: &Shape, renderable: bool) -> Option<Json> {
        let name = class.0.path();
        let free = match class.0.kind.category {
            Category::Renderable => renderable,
            _ => !self.rendered && shape.allows(|f| *f == Form::Any),
        };
        if !free && !shape.allows(|f| *f == Form::Object) {
            return self.mismatch(shape, format!("the class {name}; an object of it is {name}{{…}}"));
        }
        match construct(self.lua, self.shared, &class.0, mlua::MultiValue::new()) {
            Ok(object) => self.userdata(&object, shape, renderable),
            Err(error) => self.problem(crate::failure::message_of(&error)),
        }
    }

    fn table(&mut self, table: &Table, shape: &Shape, renderable: bool) -> Option<Json> {
        let original = crate::instances::original(self.shared, table);
        let table = original.as_ref().unwrap_or(table);
        if (renderable || shape.allows(|f| *f == Form::Any))
            && let Some(made) = crate::custom::renderable(self.lua, self.shared, table)
        {
            return match made {
                Ok(object) => self.userdata(&object, shape, !self.unrendered),
                Err(error) => self.problem(crate::failure::message_of(&error)),
            };
        }
        let parts = match self.parts(table) {
            Ok(parts) => parts,
            Err(told) => return self.problem(told),
        };
        // What came from outside, e.g. as JSON, must not pass for an object or a function of the configuration.
        if let Some((name, _)) = parts.named.iter().find(|(name, _)| MARKS.contains(&name.as_str())) {
            let message = format!("{name} is a name that only the master gives; use another");
            return self.problem(message);
        }
        if let Some(item) = list_shape(shape, &parts) {
            return self.list(parts, &item, renderable);
        }
        if let Some(fields) = struct_shape(shape) {
            return self.record(parts, fields, renderable);
        }
        let map = shape.choices().iter().find_map(|choice| match &choice.form {
            Form::Map(inner) => Some((false, (**inner).clone())),
            Form::Numbered(inner) => Some((true, (**inner).clone())),
            _ => None,
        });
        if let Some((numbers, inner)) = map {
            if let Some((number, _)) = parts.items.first().filter(|_| !numbers) {
                return self.problem(format!("expected a table with names, got an item {number}"));
            }
            return self.map(parts, &inner, renderable);
        }
        if shape.allows(|f| *f == Form::Any) {
            return self.free(parts, renderable);
        }
        let got = if parts.items.is_empty() { "a table with names" } else { "a list" };
        self.mismatch(shape, got.to_string())
    }

    fn parts(&self, table: &Table) -> Result<Parts, String> {
        if table.raw_len() > MAX_VALUES {
            return Err(TOO_LARGE.into());
        }
        let mut parts = Parts {
            is_list: table.metatable().is_some_and(|meta| meta == self.lua.array_metatable()),
            ..Parts::default()
        };
        let mut good = true;
        let each = table.for_each(|key: Value, value: Value| {
            match key {
                Value::Integer(number) => parts.items.push((number, value)),
                Value::String(name) => match name.to_str() {
                    Ok(name) => parts.named.push((name.to_string(), value)),
                    Err(_) => good = false,
                },
                _ => good = false,
            }
            Ok(())
        });
        each.map_err(|error| crate::failure::message_of(&error))?;
        parts.items.sort_by_key(|(number, _)| *number);
        let order = crate::documents::order_of(self.lua, table);
        match order {
            Some(order) => {
                parts.named.sort_by_key(|(name, _)| order.get(name).copied().unwrap_or(usize::MAX));
            }
            None => parts.named.sort_by(|a, b| a.0.cmp(&b.0)),
        }
        good.then_some(parts).ok_or_else(|| "keys must be texts or whole numbers".into())
    }

    fn free(&mut self, parts: Parts, renderable: bool) -> Option<Json> {
        if !parts.items.is_empty() && !parts.named.is_empty() {
            let name = parts.named.first().map_or("", |(name, _)| name).to_string();
            return self.problem(format!("mixes items 1…n and names ({name}); use one of both"));
        }
        // Whoever wants a list of it tells what is wrong with the numbers.
        let numbered = parts.items.first().is_some_and(|(number, _)| *number != 1);
        if (parts.items.is_empty() || numbered) && !parts.is_list {
            return self.map(parts, &Shape { renderable, ..Shape::ANY }, renderable);
        }
        self.list(parts, &Shape { renderable, ..Shape::ANY }, renderable)
    }

    fn list(&mut self, parts: Parts, item: &Shape, renderable: bool) -> Option<Json> {
        if let Some((name, _)) = parts.named.first() {
            let name = name.clone();
            return self.problem(format!("expected a list, got a table with the name {name}"));
        }
        let mut all = Vec::with_capacity(parts.items.len());
        self.items(parts, item, renderable, &mut all);
        Some(Json::Array(all))
    }

    fn items(&mut self, parts: Parts, item: &Shape, renderable: bool, all: &mut Vec<Json>) {
        // Lists of texts or objects are flattened, and `false` in them is dropped; what may hold lists is not.
        let flat = !item.allows(|f| matches!(f, Form::Any | Form::List(_)));
        let keeps_false = item.allows(|f| matches!(f, Form::Any | Form::Bool));
        for (expected, (number, value)) in (1i64..).zip(parts.items) {
            if number != expected {
                self.hole(number, expected);
                return;
            }
            self.path.push(Step::Item(number));
            match &value {
                Value::Boolean(false) if !keeps_false => {}
                Value::Table(inner) if flat => self.spliced(inner, item, renderable, all),
                _ => {
                    // `util.null` keeps its place, so that nothing shifts.
                    let read = self.value(&value, item, renderable);
                    let null = matches!(&value, Value::LightUserData(p) if p.0.is_null());
                    all.extend(read.or((null && !flat).then_some(Json::Null)));
                }
            }
            self.path.pop();
        }
    }

    fn hole(&mut self, number: i64, expected: i64) {
        let message = if number < 1 {
            format!("expected items 1…n, got the position {number}")
        } else {
            format!("item {expected} is nil (write `x or false` for an item that may be missing)")
        };
        self.problem(message);
    }

    fn spliced(&mut self, table: &Table, item: &Shape, renderable: bool, all: &mut Vec<Json>) {
        match self.parts(table) {
            Ok(parts) if parts.named.is_empty() && self.path.len() <= MAX_DEPTH => {
                self.items(parts, item, renderable, all);
            }
            _ => {
                let read = self.value(&Value::Table(table.clone()), item, renderable);
                all.extend(read);
            }
        }
    }

    fn map(&mut self, parts: Parts, inner: &Shape, renderable: bool) -> Option<Json> {
        let mut map = Map::new();
        let numbered = parts.items.into_iter().map(|(number, value)| (number.to_string(), value));
        for (name, value) in numbered.chain(parts.named) {
            self.path.push(Step::Name(name.clone()));
            let null = matches!(&value, Value::LightUserData(p) if p.0.is_null());
            let read = self.value(&value, inner, renderable).or(null.then_some(Json::Null));
            self.path.pop();
            if let Some(read) = read {
                map.insert(name, read);
            }
        }
        Some(Json::Object(map))
    }

    fn record(&mut self, parts: Parts, fields: &Fields, renderable: bool) -> Option<Json> {
        let mut map = Map::new();
        if let Some((number, _)) = parts.items.first() {
            let Some(Form::List(item)) = fields.get(ITEMS).map(|field| &field.shape.form) else {
                return self.problem(format!("expected a table with names, got an item {number}"));
            };
            let items = Parts { items: parts.items, ..Parts::default() };
            map.extend(self.list(items, item, renderable).map(|list| (ITEMS.to_string(), list)));
        }
        for (name, value) in parts.named {
            self.path.push(Step::Name(name.clone()));
            let read = match fields.shape(&name) {
                Some(shape) => self.value(&value, shape, renderable),
                None => self.problem(unknown_option(&name, fields)),
            };
            self.path.pop();
            if let Some(read) = read {
                map.insert(name, read);
            }
        }
        Some(Json::Object(map))
    }
}

/// A table, taken apart: items in order of their number, names in order.
#[derive(Default)]
pub(crate) struct Parts {
    pub items: Vec<(i64, Value)>,
    pub named: Vec<(String, Value)>,
    /// Made by `util.list`.
    is_list: bool,
}

/// `unknown option, did you mean timeout?`
pub(crate) fn unknown_option(name: &str, fields: &Fields) -> String {
    match nearest(name, fields.names()) {
        Some(near) => format!("unknown option, did you mean {near}?"),
        None => "unknown option".to_string(),
    }
}

/// Whether an object is of a category; it is told if not.
pub(crate) fn fits(
    shared: &Shared,
    object: &Json,
    category: Category,
    path: &str,
    problems: &mut Vec<Problem>,
) -> bool {
    let Some(name) = object["$kind"].as_str() else { return true };
    let fits = shared.kind(name).is_some_and(|kind| kind.category == category);
    if !fits {
        let wanted = if category == Category::Observer { "an observer" } else { "a step" };
        problems.push(Problem::new(path, format!("expected {wanted}, got {name}")));
    }
    fits
}

/// The tagged form of a lifted function; its fingerprint follows when the file has returned.
pub(crate) fn callback_json(shared: &Shared, id: u64) -> Json {
    let at = shared.lifted.at(id);
    let generation = shared.options.generation;
    serde_json::json!({"$fn": {"id": id, "generation": generation, "fingerprint": "", "at": at}})
}

fn list_shape(shape: &Shape, parts: &Parts) -> Option<Shape> {
    let list = shape.choices().iter().find_map(|choice| match &choice.form {
        Form::List(item) => Some(&**item),
        _ => None,
    })?;
    let other = shape.allows(|f| matches!(f, Form::Map(_) | Form::Numbered(_) | Form::Struct(_) | Form::Any));
    (parts.named.is_empty() || !other).then(|| list.clone())
}

fn struct_shape(shape: &Shape) -> Option<&Fields> {
    shape.choices().iter().find_map(|choice| match &choice.form {
        Form::Struct(fields) => Some(fields),
        _ => None,
    })
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= 40 {
        return text.to_string();
    }
    text.chars().take(37).chain("...".chars()).collect()
}

/// `the text "x"`, `a list` …: what was given instead.
pub(crate) fn words(value: &Value) -> String {
    match value {
        Value::Nil => "nil".into(),
        Value::Boolean(flag) => flag.to_string(),
        Value::Integer(number) => format!("the number {number}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the text \"{}\"", shorten(&text.to_string_lossy())),
        Value::Table(_) => "a table".into(),
        Value::Function(_) => "a function".into(),
        Value::Thread(_) => "a coroutine".into(),
        _ => "an object".into(),
    }
}
