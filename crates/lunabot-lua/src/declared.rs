//! Declared objects as Lua values: options readable, factories open until the file has returned, renderables with
//! operators.

use crate::class::Class;
use crate::construct::{Options, Written, finish, read, report};
use crate::convert::{Reader, words};
use crate::copies::Given;
use crate::origin::{Origin, no_more, origin, raise};
use crate::shape::Shape;
use crate::state::{Factory, Shared};
use crate::values::to_lua;
use futures::future::AbortHandle;
use lunabot_model::kind::nearest;
use lunabot_model::{Category, Json, Kind, Problem, ScriptObject};
use mlua::{
    AnyUserData, Function, Lua, LuaString, MetaMethod, MultiValue, Table, UserData, UserDataMethods, Value,
};
use serde_json::{Map, json};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

/// An object that a constructor made.
pub(crate) struct Declared {
    pub kind: &'static Kind,
    pub class: Rc<Class>,
    pub id: u64,
    pub at: Origin,
    pub args: RefCell<Map<String, Json>>,
    /// Something in it is wrong, and that is already told.
    pub poisoned: bool,
    /// Of objects of extended classes: their own fields, `params` included.
    pub fields: Option<Table>,
    /// The values of `params`.
    pub params: RefCell<Map<String, Json>>,
    /// Observers of a step that its `init` has given to its base.
    pub observers: RefCell<Map<String, Json>>,
    /// Of objects of extended classes: what they were made of.
    pub given: RefCell<Option<Rc<Given>>>,
    /// `Base.init` ran.
    pub ready: Cell<bool>,
    /// A function made it, after the file was loaded.
    pub serving: bool,
    /// Of an instance: the fields of the object that it is an instance of, which others read as well.
    pub proto: Option<Table>,
    /// Of an object that acts: what the master lends it.
    pub live: RefCell<Option<ScriptObject>>,
    /// What `self:spawn` has started, and whether it has ended by itself; it ends with the object.
    pub tasks: RefCell<Vec<(AbortHandle, Rc<Cell<bool>>)>>,
    /// Functions of `self:serve`, by path.
    pub served: RefCell<HashMap<String, Function>>,
    /// It acted, and does no more.
    pub over: Cell<bool>,
}

impl Declared {
    pub fn make(
        lua: &Lua,
        shared: &Shared,
        class: &Rc<Class>,
        at: Origin,
        options: Options,
    ) -> mlua::Result<AnyUserData> {
        let declared = Declared {
            kind: class.kind,
            class: class.clone(),
            id: shared.new_id(),
            at,
            args: RefCell::new(options.args),
            poisoned: options.poisoned,
            fields: class.extended.as_ref().map(|_| lua.create_table()).transpose()?,
            params: RefCell::default(),
            observers: RefCell::default(),
            given: RefCell::default(),
            ready: Cell::new(class.extended.is_none()),
            serving: !shared.loading(),
            proto: None,
            live: RefCell::default(),
            tasks: RefCell::default(),
            served: RefCell::default(),
            over: Cell::new(false),
        };
        lua.create_userdata(declared)
    }

    /// The tagged form. Of a factory, whose steps may still change, only the shell: [`crate::finish`] fills it in.
    pub fn json(&self, shared: &Shared, object: Option<&AnyUserData>) -> Json {
        if self.kind.category == Category::Factory && shared.loading() {
            if let Some(object) = object {
                let mut factories = shared.factories.borrow_mut();
                let again = factories.contains_key(&self.id);
                factories.insert(self.id, Factory { object: object.clone(), again });
            }
            return self.tagged(shared, Map::new());
        }
        self.tagged(shared, self.args.borrow().clone())
    }

    fn tagged(&self, shared: &Shared, args: Map<String, Json>) -> Json {
        let mut json = json!({"$kind": self.kind.path(), "$id": self.id, "$at": self.at.to_string()});
        if let Some(class) = crate::extend::class_json(shared, self) {
            json["$class"] = class;
        }
        json["$args"] = Json::Object(args);
        json
    }

    /// The Lua value of an object that was nested in the options of another.
    pub fn from_json(lua: &Lua, shared: &Shared, map: &Map<String, Json>) -> mlua::Result<Value> {
        let id = map.get("$id").and_then(Json::as_u64).unwrap_or(0);
        if let Some(factory) = shared.factories.borrow().get(&id) {
            return Ok(Value::UserData(factory.object.clone()));
        }
        if let Some(object) = shared.instances.declared(id) {
            return Ok(Value::UserData(object));
        }
        let name = map.get("$kind").and_then(Json::as_str).unwrap_or_default();
        let Some(kind) = shared.kind(name) else { return Ok(Value::Nil) };
        let at = map.get("$at").and_then(Json::as_str).unwrap_or_default();
        let (file, line) = at.rsplit_once(':').unwrap_or((at, ""));
        let declared = Declared {
            kind,
            class: Class::of(shared, kind),
            id,
            at: Origin { file: file.into(), line: line.parse().ok() },
            args: RefCell::new(map.get("$args").and_then(Json::as_object).cloned().unwrap_or_default()),
            poisoned: false,
            fields: None,
            params: RefCell::default(),
            observers: RefCell::default(),
            given: RefCell::default(),
            ready: Cell::new(true),
            serving: !shared.loading(),
            proto: None,
            live: RefCell::default(),
            tasks: RefCell::default(),
            served: RefCell::default(),
            over: Cell::new(false),
        };
        Ok(Value::UserData(lua.create_userdata(declared)?))
    }

    fn index(&self, lua: &Lua, name: &str) -> mlua::Result<Value> {
        let shared = Shared::of(lua);
        if let Some(fields) = &self.fields {
            let own: Value = fields.raw_get(name)?;
            if !own.is_nil() {
                return Ok(own);
            }
        }
        if let Some(found) = self.acting(lua, name)? {
            return Ok(found);
        }
        if let Some(value) = self.args.borrow().get(name) {
            return to_lua(lua, &shared, value);
        }
        let inherited = self.class.field(name)?;
        if !inherited.is_nil() {
            return crate::instances::read_only(&shared, &self.class.path(), name, inherited);
        }
        if methods_of(self.kind).any(|method| method == name) {
            return Ok(Value::Function(shared.prelude(&format!("object_{name}"))?));
        }
        let fields = shared.fields(self.kind);
        match fields.get(name) {
            Some(field) => field.default.as_ref().map_or(Ok(Value::Nil), |json| to_lua(lua, &shared, json)),
            // It says that it cannot be called yet.
            None if self.kind.category == Category::Step && WHILE_IT_RUNS.contains(&name) => {
                crate::live::method(lua, name)
            }
            None if self.fields.is_some() => Ok(Value::Nil),
            None => {
                let methods: Vec<&str> = methods_of(self.kind).collect();
                let hint = nearest(name, fields.names().chain(methods.iter().copied()))
                    .map_or(String::new(), |near| format!(", did you mean {near}?"));
                Err(raise(lua, format!("{} has no option {name}{hint}", self.kind.path())))
            }
        }
    }

    fn assign(&self, lua: &Lua, name: &str, value: Value) -> mlua::Result<()> {
        let shared = Shared::of(lua);
        if let Some(live) = &*self.live.borrow() {
            return self.assign_acting(lua, live, name, &value);
        }
        let option = shared.fields(self.kind).shape(name).is_some();
        if self.kind.category == Category::Factory && (option || self.fields.is_none()) && shared.loading() {
            self.want_init(lua, name)?;
            return self.set_option(lua, &shared, name, value);
        }
        match &self.fields {
            Some(fields) if !option => fields.raw_set(name, value),
            _ => {
                let path = self.class.path();
                let message = format!(
                    "{path}: options do not change after it is made; X:with{{{name} = …}} makes a changed copy"
                );
                Err(raise(lua, message))
            }
        }
    }

    /// What is done to a factory before its base's `init` would be lost.
    fn want_init(&self, lua: &Lua, what: &str) -> mlua::Result<()> {
        match self.ready.get() {
            true => Ok(()),
            false => Err(raise(lua, format!("{what}: call Base.init(self, {{…}}) first"))),
        }
    }

    fn set_option(&self, lua: &Lua, shared: &Shared, name: &str, value: Value) -> mlua::Result<()> {
        let written = Written { positional: Vec::new(), named: vec![(name.to_string(), value)] };
        let (new, mut problems, poisoned) = read(lua, shared, self.kind, written);
        if problems.is_empty() && !poisoned {
            let judged = (self.kind.check)(&Json::Object(new.clone())).into_iter();
            problems.extend(judged.filter(|problem| problem.path == name));
        }
        report(lua, shared, &self.class.path(), &origin(lua), &problems)?;
        self.args.borrow_mut().remove(name);
        self.args.borrow_mut().extend(new);
        Ok(())
    }
}

/// Methods of a step that runs which are likely to be tried in its `init`.
const WHILE_IT_RUNS: &[&str] = &[
    "addLogObserver",
    "addLog",
    "addURL",
    "getProperty",
    "setProperty",
    "render",
    "setStatistic",
    "makeRemoteShellCommand",
    "runCommand",
];

pub(crate) fn methods_of(kind: &Kind) -> impl Iterator<Item = &'static str> + use<> {
    let own: &[&str] = match kind.category {
        Category::Factory => &["addStep", "addSteps", "withSecrets"],
        Category::Renderable => &["eq", "ne", "lt", "le", "gt", "ge", "in_", "not_", "withArgs"],
        Category::Lock => &["access"],
        _ => &[],
    };
    own.iter().copied().chain(["with"])
}

impl UserData for Declared {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::Index, |lua, this, name: Value| {
            // The quick way, for what an observer counts line by line.
            let own = this.own(&name)?;
            match name {
                _ if !own.is_nil() => Ok(own),
                Value::String(name) => this.index(lua, &name.to_string_lossy()),
                _ => Ok(Value::Nil),
            }
        });
        methods.add_meta_method(MetaMethod::NewIndex, |lua, this, (name, value): (LuaString, Value)| {
            if this.assign_again(&name, &value)? {
                return Ok(());
            }
            this.assign(lua, &name.to_string_lossy(), value)
        });
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| {
            Ok(format!("{} ({})", this.class.path(), this.at))
        });
        methods.add_meta_method(MetaMethod::Pairs, |lua, this, ()| {
            crate::live::walk(lua, &Json::Object(this.args.borrow().clone()))
        });
        methods.add_meta_function(MetaMethod::Eq, |lua, (a, b): (Value, Value)| equal(lua, &a, &b));
        let operators = [
            (MetaMethod::Concat, "concat"),
            (MetaMethod::Add, "add"),
            (MetaMethod::Sub, "sub"),
            (MetaMethod::Mul, "mul"),
            (MetaMethod::Div, "div"),
            (MetaMethod::IDiv, "idiv"),
            (MetaMethod::Mod, "mod"),
        ];
        for (method, op) in operators {
            methods.add_meta_function(method, move |lua, (left, right): (Value, Value)| {
                operator(lua, op, &left, &right)
            });
        }
    }
}

fn equal(lua: &Lua, a: &Value, b: &Value) -> mlua::Result<bool> {
    let (Some(a), Some(b)) = (declared(a), declared(b)) else { return Ok(false) };
    if a.kind.category == Category::Renderable {
        let message = "== compares the objects, not what they will be; write a:eq(b)";
        Shared::of(lua).warn(&origin(lua), &a.kind.path(), message);
    }
    Ok(a.id == b.id)
}

fn declared(value: &Value) -> Option<mlua::UserDataRef<Declared>> {
    value.as_userdata()?.borrow::<Declared>().ok()
}

/// A renderable that applies an operator when it is rendered.
pub(crate) fn operator(lua: &Lua, op: &str, left: &Value, right: &Value) -> mlua::Result<AnyUserData> {
    let shared = Shared::of(lua);
    let known = [left, right].into_iter().filter_map(declared).next();
    let renderable = known.as_ref().is_some_and(|d| d.kind.category == Category::Renderable);
    let Some(kind) = shared.kind("util.BinaryOp").filter(|_| renderable) else {
        let name = known.map_or_else(String::new, |d| d.kind.path());
        return Err(raise(lua, format!("{name} has no operator {op}; only renderables have operators")));
    };
    let mut reader = Reader::new(lua, &shared);
    let mut args = Map::from_iter([("op".to_string(), Json::from(op))]);
    for (name, value) in [("left", left), ("right", right)] {
        if let Some(read) = reader.option(name, value, &Shape::ANY) {
            args.insert(name.to_string(), read);
        }
    }
    let class = Class::of(&shared, kind);
    let at = origin(lua);
    let options = finish(kind, args, reader.problems, reader.poisoned);
    report(lua, &shared, &class.path(), &at, &options.problems)?;
    Declared::make(lua, &shared, &class, at, options)
}

/// Methods of objects, entered into the prelude under `object_NAME`.
pub(crate) fn add_methods(lua: &Lua, prelude: &Table) -> mlua::Result<()> {
    for op in ["eq", "ne", "lt", "le", "gt", "ge", "in_", "not_"] {
        let name = op.trim_end_matches('_');
        let method = lua.create_function(move |lua, (left, right): (Value, Value)| {
            receiver(lua, &left, op)?;
            operator(lua, name, &left, &right)
        })?;
        prelude.raw_set(format!("object_{op}"), method)?;
    }
    prelude.raw_set(
        "object_addStep",
        lua.create_function(|lua, (this, step, more): (Value, Value, MultiValue)| {
            no_more(lua, &more, "addStep takes one step; for several write f:addSteps{s1, s2}")?;
            add_steps(lua, &this, "addStep", vec![step])
        })?,
    )?;
    prelude.raw_set(
        "object_addSteps",
        lua.create_function(|lua, (this, steps, more, others): (Value, Value, Value, MultiValue)| {
            no_more(lua, &others, "addSteps takes one list of steps: f:addSteps({s1, s2})")?;
            let more = match more {
                Value::Nil => None,
                Value::Table(more) => Some(more),
                _ => return Err(raise(lua, "addSteps takes one list of steps: f:addSteps({s1, s2})")),
            };
            let steps = step_list(lua, &steps, 0)?;
            crate::secrets::add_steps(lua, &this, steps, more)
        })?,
    )?;
    prelude.raw_set("object_withSecrets", lua.create_async_function(crate::secrets::with_secrets)?)?;
    prelude.raw_set("object_with", lua.create_function(with)?)?;
    prelude.raw_set("object_withArgs", lua.create_function(with_args)?)?;
    prelude.raw_set("object_access", lua.create_function(access)?)
}

pub(crate) fn receiver(lua: &Lua, this: &Value, method: &str) -> mlua::Result<AnyUserData> {
    let fits = |object: &AnyUserData| {
        object.borrow::<Declared>().is_ok_and(|d| methods_of(d.kind).any(|known| known == method))
    };
    match this {
        Value::UserData(object) if fits(object) => Ok(object.clone()),
        _ => Err(raise(lua, format!("call it with a colon: x:{method}(…)"))),
    }
}

/// Lists of steps in lists of steps that are followed.
const MAX_NESTED: usize = 64;

/// The items of a list of steps, lists inside it spliced in, without `false`. What is no list without holes is told, and
/// adds nothing.
fn step_list(lua: &Lua, steps: &Value, depth: usize) -> mlua::Result<Vec<Value>> {
    let told = |message: String| {
        let problem = Problem::new("steps", message);
        report(lua, &Shared::of(lua), "util.BuildFactory:addSteps", &origin(lua), &[problem])?;
        Ok(Vec::new())
    };
    let Value::Table(table) = steps else {
        return told(format!("expected a list of steps, got {}", words(steps)));
    };
    let mut items = Vec::new();
    for pair in table.pairs::<Value, Value>() {
        match pair? {
            (Value::Integer(place), value) => items.push((place, value)),
            (name, _) => return told(format!("expected a list of steps, got a table with {}", words(&name))),
        }
    }
    items.sort_by_key(|(place, _)| *place);
    if let Some((place, _)) = (1..).zip(&items).find(|(place, item)| *place != item.0) {
        return told(format!("item {place} is nil (write `x or false` for an item that may be missing)"));
    }
    let mut all = Vec::with_capacity(items.len());
    for (_, value) in items {
        match value {
            Value::Boolean(false) => {}
            Value::Table(_) if depth < MAX_NESTED => all.extend(step_list(lua, &value, depth + 1)?),
            other => all.push(other),
        }
    }
    Ok(all)
}

pub(crate) fn add_steps(lua: &Lua, this: &Value, method: &str, steps: Vec<Value>) -> mlua::Result<()> {
    let object = receiver(lua, this, method)?;
    let factory = object.borrow::<Declared>()?;
    let shared = Shared::of(lua);
    if !shared.loading() {
        return Err(raise(lua, "a factory changes only while the configuration is loaded"));
    }
    factory.want_init(lua, method)?;
    for step in steps {
        let mut reader = Reader::new(lua, &shared);
        let shape = Shape::plain(crate::shape::Form::Object);
        let read = match &step {
            Value::UserData(_) => reader.option("step", &step, &shape),
            other => {
                reader.problems.push(Problem::new("step", format!("expected a step, got {}", words(other))));
                None
            }
        };
        let is_step =
            |json: &Json| crate::convert::fits(&shared, json, Category::Step, "step", &mut reader.problems);
        let read = read.filter(is_step);
        let path = format!("{}:{method}", factory.class.path());
        report(lua, &shared, &path, &origin(lua), &reader.problems)?;
        if let Some(json) = read {
            let mut args = factory.args.borrow_mut();
            if let Json::Array(all) = args.entry("steps").or_insert_with(|| json!([])) {
                all.push(json);
            }
        }
    }
    Ok(())
}

/// `X:with{k = v}`: a changed copy.
fn with(lua: &Lua, (this, changes, more): (Value, Value, MultiValue)) -> mlua::Result<AnyUserData> {
    let object = receiver(lua, &this, "with")?;
    no_more(lua, &more, "with takes one table: X:with{name = …}")?;
    let Value::Table(changes) = changes else {
        let got = words(&changes);
        return Err(raise(lua, format!("with takes one table, got {got}: X:with{{name = …}}")));
    };
    let old = object.borrow::<Declared>()?;
    let shared = Shared::of(lua);
    let written = crate::construct::written(&old.class, MultiValue::from_iter([Value::Table(changes)]))
        .map_err(|message| raise(lua, message))?;
    if old.class.extended.is_some() {
        return crate::copies::changed(lua, &shared, &old, written);
    }
    let removed: Vec<String> =
        written.named.iter().filter(|(_, v)| *v == Value::NULL).map(|(name, _)| name.clone()).collect();
    let (new, problems, poisoned) = read(lua, &shared, old.kind, written);
    let mut args = old.args.borrow().clone();
    args.retain(|name, _| !removed.contains(name));
    args.extend(new);
    let options = finish(old.kind, args, problems, poisoned || old.poisoned);
    let at = origin(lua);
    report(lua, &shared, &old.class.path(), &at, &options.problems)?;
    Declared::make(lua, &shared, &old.class, at, options)
}

/// `r:withArgs(a, b, {k = v})` of a renderer (04.030).
fn with_args(lua: &Lua, (this, args): (Value, MultiValue)) -> mlua::Result<AnyUserData> {
    let object = receiver(lua, &this, "withArgs")?;
    let old = object.borrow::<Declared>()?;
    let shared = Shared::of(lua);
    if shared.fields(old.kind).get("kwargs").is_none() {
        return Err(raise(lua, format!("{} has no method withArgs", old.kind.path())));
    }
    let mut args: Vec<Value> = args.into_iter().collect();
    let mut reader = Reader::new(lua, &shared);
    let mut all = old.args.borrow().clone();
    let last = args.last().and_then(Value::as_table).filter(|t| t.raw_len() == 0 && !t.is_empty()).cloned();
    if let Some(table) = last {
        args.pop();
        if let (Some(Json::Object(new)), Json::Object(kwargs)) = (
            reader.option("kwargs", &Value::Table(table), &Shape::ANY),
            all.entry("kwargs").or_insert_with(|| json!({})),
        ) {
            kwargs.extend(new);
        }
    }
    for value in &args {
        let read = reader.option("args", value, &Shape::ANY).unwrap_or(Json::Null);
        if let Json::Array(list) = all.entry("args").or_insert_with(|| json!([])) {
            list.push(read);
        }
    }
    let options = finish(old.kind, all, reader.problems, reader.poisoned);
    let at = origin(lua);
    report(lua, &shared, &old.kind.path(), &at, &options.problems)?;
    Declared::make(lua, &shared, &old.class, at, options)
}

/// `lock:access("counting", 2)`, `lock:access("counting", {count = 2})` (05.057).
fn access(lua: &Lua, (this, args): (Value, MultiValue)) -> mlua::Result<AnyUserData> {
    let object = receiver(lua, &this, "access")?;
    let shared = Shared::of(lua);
    let Some(kind) = shared.kind("util.LockAccess") else {
        return Err(raise(lua, "access to locks is not supported yet"));
    };
    let mut written = Written { positional: vec![Value::UserData(object)], named: Vec::new() };
    for value in args {
        match value {
            Value::Table(keywords) => {
                for pair in keywords.pairs::<String, Value>() {
                    written.named.push(pair?);
                }
            }
            Value::Nil => {}
            other => written.positional.push(other),
        }
    }
    let class = Class::of(&shared, kind);
    let at = origin(lua);
    let options = crate::construct::options(lua, &shared, kind, written);
    report(lua, &shared, "lock:access", &at, &options.problems)?;
    Declared::make(lua, &shared, &class, at, options)
}
