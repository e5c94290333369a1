//! Live objects as callbacks see them: fields are a snapshot, methods act at once (lua-api § 2, "Objects").

use crate::convert::{Reader, callback_json};
use crate::declared::Declared;
use crate::failure::Marked;
use crate::origin::raise;
use crate::props::{self, properties_to_lua};
use crate::shape::Shape;
use crate::state::Shared;
use crate::values::to_lua;
use lunabot_model::kind::nearest;
use lunabot_model::{Arg, CallError, Callback, Json, ScriptErrorKind, ScriptObject};
use mlua::{AnyUserData, Lua, MetaMethod, MultiValue, Table, UserData, UserDataMethods, Value};
use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

/// In the registry: name → the function that calls the method of this name.
const METHODS: &str = "lunabot.live_methods";

/// Runs ports of the master in the context of the runtime that they belong to.
pub(crate) struct Outside<F> {
    inner: Pin<Box<F>>,
    handle: Option<tokio::runtime::Handle>,
}

impl<F: Future> Outside<F> {
    pub fn new(shared: &Shared, inner: F) -> Self {
        Outside { inner: Box::pin(inner), handle: shared.outside.clone() }
    }
}

impl<F: Future> Future for Outside<F> {
    type Output = F::Output;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let handle = self.handle.clone();
        let _entered = handle.as_ref().map(tokio::runtime::Handle::enter);
        self.inner.as_mut().poll(cx)
    }
}

/// An argument of a call, or what a method answers, as a Lua value.
pub(crate) fn arg_to_lua(lua: &Lua, shared: &Shared, arg: Arg) -> mlua::Result<Value> {
    match arg {
        Arg::Value(json) => to_lua(lua, shared, &json),
        Arg::Bytes(bytes) => Ok(Value::String(lua.create_string(bytes)?)),
        Arg::Lines(lines) => Ok(Value::String(lua.create_string(lines)?)),
        Arg::Object(object) if object.class == "master" && object.scope != 0 => {
            let scope = object.scope;
            let own = match object.methods.is_empty() {
                true => Value::Nil,
                false => Live::make(lua, ScriptObject { scope: 0, ..object })?,
            };
            shared.prelude("master_of")?.call((scope, own))
        }
        Arg::Object(object) if object.class == "master" => {
            Ok(Value::Table(shared.prelude_table("master_table")?))
        }
        Arg::Object(object) if object.class == "session" => {
            shared.prelude("session_of")?.call(to_lua(lua, shared, &object.fields)?)
        }
        Arg::Object(object) if object.class == "lines" => {
            let source = Live::make(lua, object)?;
            shared.prelude("lines_of")?.call(source)
        }
        Arg::Object(object) => Live::make(lua, object),
        Arg::Instance(instance) => crate::instances::value(lua, shared, &instance),
        Arg::List(objects) => {
            let list = lua.create_table_with_capacity(objects.len(), 0)?;
            for object in objects {
                list.raw_push(Live::make(lua, object)?)?;
            }
            Ok(Value::Table(list))
        }
        Arg::Properties(live, values) => props::make(lua, live, values),
        Arg::Function(callback) => {
            Ok(shared.lifted.get(callback.id).map_or(Value::Nil, |lifted| Value::Function(lifted.function)))
        }
    }
}

/// Arguments of a method as JSON; those at the end that are nil are left out.
pub(crate) fn args_to_json(lua: &Lua, args: MultiValue) -> mlua::Result<Vec<Json>> {
    let shared = Shared::of(lua);
    let mut reader = Reader::new(lua, &shared);
    let mut all: Vec<Json> =
        args.iter().map(|v| reader.value(v, &Shape::ANY, true).unwrap_or(Json::Null)).collect();
    told(lua, &reader)?;
    while all.last().is_some_and(Json::is_null) && args.get(all.len() - 1).is_some_and(Value::is_nil) {
        all.pop();
    }
    Ok(all)
}

fn told(lua: &Lua, reader: &Reader<'_>) -> mlua::Result<()> {
    match reader.problems.first() {
        Some(problem) if problem.path.is_empty() => Err(raise(lua, &problem.message)),
        Some(problem) => Err(raise(lua, format!("{}: {}", problem.path, problem.message))),
        None => Ok(()),
    }
}

/// Arguments of a method with what JSON cannot hold. Objects that are handed over are kept for `scope`.
fn args_of(lua: &Lua, method: &str, mut args: MultiValue, scope: u64) -> mlua::Result<Vec<Arg>> {
    while args.back().is_some_and(Value::is_nil) {
        args.pop_back();
    }
    let shared = Shared::of(lua);
    let mut reader = Reader::new(lua, &shared);
    reader.scope = scope;
    let mut all = Vec::with_capacity(args.len());
    for (number, value) in (1..).zip(&args) {
        let path = format!("{method}: argument {number}");
        all.push(match value {
            Value::String(text) if text.to_str().is_err() => Arg::Bytes(text.as_bytes().to_vec()),
            Value::Function(function) if scope != 0 => Arg::Function(lent(&shared, function, scope)?),
            // Given back as it was lent, in the call of a base's method.
            Value::Table(table) if is_master(&shared, table) => Arg::Object(ScriptObject::master(0)),
            Value::Table(table) if scope != 0 => Arg::Value(table_of(lua, &mut reader, table, &path)?),
            other => match live_of(other) {
                Some(object) => Arg::Object(object),
                None => Arg::Value(reader.option(&path, other, &Shape::ANY).unwrap_or(Json::Null)),
            },
        });
    }
    told(lua, &reader)?;
    Ok(all)
}

/// Whether it is `lunabot.master`, of whomever.
fn is_master(shared: &Shared, table: &Table) -> bool {
    let Ok(master) = shared.prelude_table("master_table") else { return false };
    let of = || table.metatable()?.raw_get::<Option<Table>>("__index").ok()?;
    *table == master || of().is_some_and(|whose| whose == master)
}

/// A function that is handed over, for as long as the scope lasts.
pub(crate) fn lent(shared: &Shared, function: &mlua::Function, scope: u64) -> mlua::Result<Callback> {
    let id = shared.lifted.lift_for(function, scope);
    Callback::from_json(&callback_json(shared, id)).ok_or_else(|| mlua::Error::runtime("no callback"))
}

/// A table, which may name arguments: functions are welcome in it, not deeper.
fn table_of(lua: &Lua, reader: &mut Reader<'_>, table: &Table, path: &str) -> mlua::Result<Json> {
    let whole = |reader: &mut Reader<'_>, table: &Table| {
        let value = Value::Table(table.clone());
        reader.option(path, &value, &Shape::ANY).unwrap_or(Json::Null)
    };
    if table.metatable().is_some() {
        return Ok(whole(reader, table));
    }
    let (mut functions, rest) = (Vec::new(), lua.create_table()?);
    for pair in table.pairs::<Value, Value>() {
        match pair? {
            (Value::String(name), Value::Function(function)) => {
                let lent = lent(reader.shared, &function, reader.scope)?;
                functions.push((name.to_string_lossy(), serde_json::json!(lent)));
            }
            (key, value) => rest.raw_set(key, value)?,
        }
    }
    if functions.is_empty() {
        return Ok(whole(reader, table));
    }
    let mut json = whole(reader, &rest);
    if let Json::Object(map) = &mut json {
        map.extend(functions);
    }
    Ok(json)
}

/// A [`ScriptObject`] as a Lua value.
pub(crate) struct Live {
    object: ScriptObject,
    /// Of one that several calls get: the fields that were read, which are asked for once.
    told: Option<RefCell<HashMap<String, Rc<Json>>>>,
}

impl Live {
    pub fn make(lua: &Lua, object: ScriptObject) -> mlua::Result<Value> {
        Ok(Value::UserData(lua.create_userdata(Live { object, told: None })?))
    }

    /// Several calls get this value.
    pub fn share(value: &Value) {
        if let Some(Ok(mut live)) = value.as_userdata().map(AnyUserData::borrow_mut::<Live>) {
            live.told = Some(RefCell::default());
        }
    }

    pub fn key(&self) -> &str {
        &self.object.key
    }

    fn index(&self, lua: &Lua, name: &str) -> mlua::Result<Value> {
        let object = &self.object;
        if let Some(found) = method_or_child(lua, object, name)? {
            return Ok(found);
        }
        match self.field(name, |value| field(lua, object, value)) {
            Some(found) => found,
            None if object.assignable.contains(&name) => Ok(Value::Nil),
            None => Err(raise(lua, missing(object, name))),
        }
    }

    fn field<T>(&self, name: &str, read: impl FnOnce(&Json) -> T) -> Option<T> {
        let Some(told) = &self.told else { return self.object.field(name).map(|value| read(&value)) };
        // Reading may run code of the configuration, when something is collected: nothing is borrowed then.
        let known = told.borrow().get(name).cloned();
        let value = match known {
            Some(value) => value,
            None => {
                let value = Rc::new(self.object.field(name)?.into_owned());
                told.borrow_mut().insert(name.to_string(), value.clone());
                value
            }
        };
        Some(read(&value))
    }

    fn assign(&mut self, lua: &Lua, name: &str, value: &Value) -> mlua::Result<()> {
        let object = &mut self.object;
        if !object.assignable.contains(&name) {
            let near = nearest(name, object.assignable.iter().copied());
            let hint = near.map_or(String::new(), |near| format!(", did you mean {near}?"));
            return Err(raise(lua, format!("{}.{name} cannot be assigned{hint}", object.class)));
        }
        let json = set(lua, object, name, value)?;
        if let Json::Object(fields) = &mut object.fields {
            fields.insert(name.to_string(), json);
        }
        if let Some(told) = &self.told {
            told.borrow_mut().remove(name);
        }
        Ok(())
    }
}

/// Assigns a field of the master's.
pub(crate) fn set(lua: &Lua, object: &ScriptObject, name: &str, value: &Value) -> mlua::Result<Json> {
    let json = args_to_json(lua, MultiValue::from_iter([value.clone()]))?.pop().unwrap_or(Json::Null);
    object.handle.set(name, json.clone()).map_err(|error| raise(lua, error))?;
    Ok(json)
}

/// A field, method or child of this name.
pub(crate) fn member(lua: &Lua, object: &ScriptObject, name: &str) -> mlua::Result<Option<Value>> {
    if let Some(found) = method_or_child(lua, object, name)? {
        return Ok(Some(found));
    }
    object.field(name).map(|value| field(lua, object, &value)).transpose()
}

fn method_or_child(lua: &Lua, object: &ScriptObject, name: &str) -> mlua::Result<Option<Value>> {
    if object.methods.contains(&name) {
        return method(lua, name).map(Some);
    }
    let child = object.children.iter().find(|(known, _)| *known == name);
    child.map(|(_, child)| arg_to_lua(lua, &Shared::of(lua), child.clone())).transpose()
}

fn missing(object: &ScriptObject, name: &str) -> String {
    if let Some(why) = object.handle.absent(name) {
        return format!("{name}: {why}");
    }
    let all = object.all_fields();
    let fields = all.as_object().into_iter().flat_map(|map| map.keys().map(String::as_str));
    let children = object.children.iter().map(|(name, _)| *name);
    let near = nearest(name, fields.chain(object.methods.iter().copied()).chain(children));
    let hint = near.map_or(String::new(), |near| format!(", did you mean {near}?"));
    format!("{} has no {name}{hint}", object.class)
}

fn field(lua: &Lua, object: &ScriptObject, value: &Json) -> mlua::Result<Value> {
    match value.get("$properties") {
        Some(properties) => properties_to_lua(lua, properties, object.handle.clone()),
        None => to_lua(lua, &Shared::of(lua), value),
    }
}

impl UserData for Live {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::Index, |lua, this, name: Value| match name {
            Value::String(name) => match name.to_str() {
                Ok(name) => this.index(lua, &name),
                Err(_) => this.index(lua, &name.to_string_lossy()),
            },
            _ => Ok(Value::Nil),
        });
        methods.add_meta_method_mut(MetaMethod::NewIndex, |lua, this, (name, value): (String, Value)| {
            this.assign(lua, &name, &value)
        });
        methods.add_meta_method(MetaMethod::Pairs, |lua, this, ()| walk(lua, &this.object.all_fields()));
        methods.add_meta_function(MetaMethod::Eq, |_, (a, b): (Value, Value)| {
            let key = |value: &Value| {
                let live = value.as_userdata()?.borrow::<Live>().ok()?;
                Some((live.object.class, live.object.key.clone()))
            };
            Ok(key(&a).is_some() && key(&a) == key(&b))
        });
        methods.add_meta_method(MetaMethod::ToString, |_, this, ()| {
            Ok(format!("{} {}", this.object.class, this.object.key))
        });
    }
}

/// `pairs` over the names and values of a plain object.
pub(crate) fn walk(lua: &Lua, fields: &Json) -> mlua::Result<(mlua::Function, Value, Value)> {
    let table = to_lua(lua, &Shared::of(lua), fields)?;
    Ok((lua.globals().get("next")?, table, Value::Nil))
}

/// Makes the registry of methods.
pub(crate) fn set_up(lua: &Lua) -> mlua::Result<()> {
    lua.set_named_registry_value(METHODS, lua.create_table()?)
}

/// The function that calls the method of this name, of whatever object.
pub(crate) fn method(lua: &Lua, name: &str) -> mlua::Result<Value> {
    let known: Table = lua.named_registry_value(METHODS)?;
    let found: Value = known.raw_get(name)?;
    if !found.is_nil() {
        return Ok(found);
    }
    // Some are said best in Lua, in terms of others.
    let of_prelude: Value = Shared::of(lua).prelude_table("live_methods")?.raw_get(name)?;
    if !of_prelude.is_nil() {
        known.raw_set(name, &of_prelude)?;
        return Ok(of_prelude);
    }
    let function = plain_method(lua, name)?;
    known.raw_set(name, &function)?;
    Ok(Value::Function(function))
}

/// The same without those of the prelude.
pub(crate) fn plain_method(lua: &Lua, name: &str) -> mlua::Result<mlua::Function> {
    let shared_name: Arc<str> = name.into();
    lua.create_async_function(move |lua, (this, args): (Value, MultiValue)| {
        let name = shared_name.clone();
        async move { call_method(&lua, &this, &name, args).await }
    })
}

/// What the master sees of a value.
pub(crate) fn live_of(value: &Value) -> Option<ScriptObject> {
    let object: &AnyUserData = value.as_userdata()?;
    if let Ok(live) = object.borrow::<Live>() {
        return Some(live.object.clone());
    }
    object.borrow::<Declared>().ok()?.live.borrow().clone()
}

async fn call_method(lua: &Lua, this: &Value, name: &str, args: MultiValue) -> mlua::Result<Value> {
    let Some(object) = live_of(this) else {
        return Err(raise(lua, no_receiver(this, name)));
    };
    if !object.methods.contains(&name) {
        // It is what another object's method was given.
        let message = format!("call it with a colon: x:{name}(…); a {} has no method {name}", object.class);
        return Err(raise(lua, message));
    }
    let args = args_of(lua, name, args, object.scope)?;
    let shared = Shared::of(lua);
    let answer = Outside::new(&shared, object.handle.invoke(name, args)).await;
    match answer.map_err(|error| raised(lua, error))? {
        Arg::Value(json) => field(lua, &object, &json),
        other => arg_to_lua(lua, &shared, other),
    }
}

fn no_receiver(this: &Value, name: &str) -> String {
    if let Some(class) = crate::class::class_of(this) {
        return format!("is called with a dot and the object: {}.{name}(self)", class.path());
    }
    let declared = this.as_userdata().and_then(|object| object.borrow::<Declared>().ok());
    match declared {
        Some(declared) => {
            let instead = match name {
                "addLogObserver" => {
                    "; in init write args.observers = {stdio = …} before Base.init(self, args)"
                }
                _ => "",
            };
            format!("{}: {name} works while it runs, not before{instead}", declared.class.path())
        }
        None => format!("call it with a colon: x:{name}(…)"),
    }
}

/// An error of a method, at the caller's line; of which kind it is, is known where nothing catches it.
fn raised(lua: &Lua, error: CallError) -> mlua::Error {
    match error.kind {
        ScriptErrorKind::Raise => raise(lua, error.message),
        kind => Marked::error(kind, error.message),
    }
}
