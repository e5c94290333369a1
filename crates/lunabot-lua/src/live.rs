//! Live objects as callbacks see them: fields are a snapshot, methods act at once (lua-api § 2, "Objects").

use crate::convert::Reader;
use crate::origin::raise;
use crate::shape::Shape;
use crate::state::Shared;
use crate::values::to_lua;
use futures::FutureExt;
use lunabot_model::kind::nearest;
use lunabot_model::{Arg, BoxFuture, Json, LiveObject, Properties, ScriptObject};
use mlua::{AnyUserData, Lua, MetaMethod, MultiValue, Table, UserData, UserDataMethods, Value};
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
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

/// An argument of a call as a Lua value.
pub(crate) fn arg_to_lua(
    lua: &Lua,
    shared: &Shared,
    arg: Arg,
    instance: Option<&AnyUserData>,
) -> mlua::Result<Value> {
    match arg {
        Arg::Value(json) => to_lua(lua, shared, &json),
        Arg::Bytes(bytes) => Ok(Value::String(lua.create_string(bytes)?)),
        Arg::Object(object) if object.class == "master" => {
            Ok(Value::Table(shared.prelude_table("master_table")?))
        }
        Arg::Object(object) => Live::make(lua, object, instance.cloned()),
        Arg::List(objects) => {
            let list = lua.create_table_with_capacity(objects.len(), 0)?;
            for object in objects {
                list.raw_push(Live::make(lua, object, None)?)?;
            }
            Ok(Value::Table(list))
        }
        Arg::Properties(live, values) => {
            Ok(Value::UserData(lua.create_userdata(Props { live, values: RefCell::new(values) })?))
        }
    }
}

/// Arguments of a method as JSON; those at the end that are nil are left out.
pub(crate) fn args_to_json(lua: &Lua, args: MultiValue) -> mlua::Result<Vec<Json>> {
    let shared = Shared::of(lua);
    let mut reader = Reader::new(lua, &shared);
    let mut all: Vec<Json> =
        args.iter().map(|v| reader.value(v, &Shape::ANY, true).unwrap_or(Json::Null)).collect();
    if let Some(problem) = reader.problems.first() {
        return Err(raise(lua, format!("{}: {}", problem.path, problem.message)));
    }
    while all.last().is_some_and(Json::is_null) && args.get(all.len() - 1).is_some_and(Value::is_nil) {
        all.pop();
    }
    Ok(all)
}

/// A [`ScriptObject`] as a Lua value.
pub(crate) struct Live {
    object: ScriptObject,
    /// The declared object whose class has further methods, for `self` of a method.
    instance: Option<AnyUserData>,
}

impl Live {
    fn make(lua: &Lua, object: ScriptObject, instance: Option<AnyUserData>) -> mlua::Result<Value> {
        Ok(Value::UserData(lua.create_userdata(Live { object, instance })?))
    }

    pub fn key(&self) -> &str {
        &self.object.key
    }

    fn index(&self, lua: &Lua, name: &str) -> mlua::Result<Value> {
        let object = &self.object;
        if let Some(value) = object.field(name) {
            return self.field(lua, &value);
        }
        if object.methods.contains(&name) {
            return method(lua, name);
        }
        if let Some((_, child)) = object.children.iter().find(|(known, _)| *known == name) {
            return Live::make(lua, child.clone(), None);
        }
        if let Some(instance) = &self.instance {
            return mlua::ObjectLike::get(instance, name);
        }
        if object.assignable.contains(&name) {
            return Ok(Value::Nil);
        }
        Err(raise(lua, format!("{} has no {name}{}", object.class, self.hint(name))))
    }

    fn hint(&self, name: &str) -> String {
        let object = &self.object;
        let all = object.all_fields();
        let fields = all.as_object().into_iter().flat_map(|map| map.keys().map(String::as_str));
        let children = object.children.iter().map(|(name, _)| *name);
        let near = nearest(name, fields.chain(object.methods.iter().copied()).chain(children));
        near.map_or(String::new(), |near| format!(", did you mean {near}?"))
    }

    fn field(&self, lua: &Lua, value: &Json) -> mlua::Result<Value> {
        match value.get("$properties") {
            Some(properties) => properties_to_lua(lua, properties, self.object.handle.clone()),
            None => to_lua(lua, &Shared::of(lua), value),
        }
    }

    fn assign(&mut self, lua: &Lua, name: &str, value: &Value) -> mlua::Result<()> {
        let object = &mut self.object;
        if !object.assignable.contains(&name) {
            let near = nearest(name, object.assignable.iter().copied());
            let hint = near.map_or(String::new(), |near| format!(", did you mean {near}?"));
            return Err(raise(lua, format!("{}.{name} cannot be assigned{hint}", object.class)));
        }
        let json = args_to_json(lua, MultiValue::from_iter([value.clone()]))?.pop().unwrap_or(Json::Null);
        object.handle.set(name, json.clone()).map_err(|error| raise(lua, error))?;
        if let Json::Object(fields) = &mut object.fields {
            fields.insert(name.to_string(), json);
        }
        Ok(())
    }
}

impl UserData for Live {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::Index, |lua, this, name: Value| match name {
            Value::String(name) => this.index(lua, &name.to_string_lossy()),
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

/// Properties as they are on the wire: name → value and source.
pub(crate) fn properties_to_lua(lua: &Lua, wire: &Json, live: Arc<dyn LiveObject>) -> mlua::Result<Value> {
    let values = serde_json::from_value(wire.clone()).map_err(|error| raise(lua, error))?;
    Ok(Value::UserData(lua.create_userdata(Props { live, values: RefCell::new(values) })?))
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

fn method(lua: &Lua, name: &str) -> mlua::Result<Value> {
    let known: Table = lua.named_registry_value(METHODS)?;
    let found: Value = known.raw_get(name)?;
    if !found.is_nil() {
        return Ok(found);
    }
    let shared_name: Arc<str> = name.into();
    let function = lua.create_async_function(move |lua, (this, args): (Value, MultiValue)| {
        let name = shared_name.clone();
        async move { call_method(&lua, &this, &name, args).await }
    })?;
    known.raw_set(name, &function)?;
    Ok(Value::Function(function))
}

async fn call_method(lua: &Lua, this: &Value, name: &str, args: MultiValue) -> mlua::Result<Value> {
    let handle = match this.as_userdata().and_then(|u| u.borrow::<Live>().ok()) {
        Some(live) => live.object.handle.clone(),
        None => return Err(raise(lua, format!("call it with a colon: x:{name}(…)"))),
    };
    let args = args_to_json(lua, args)?;
    let shared = Shared::of(lua);
    let answer = Outside::new(&shared, handle.call(name, args)).await;
    let answer = answer.map_err(|error| raise(lua, error))?;
    match answer.get("$properties") {
        Some(properties) => properties_to_lua(lua, properties, handle),
        None => to_lua(lua, &shared, &answer),
    }
}

/// Properties: values readable by name, and methods (lua-api § 2).
pub(crate) struct Props {
    live: Arc<dyn LiveObject>,
    values: RefCell<Properties>,
}

/// Fixed names, which win over properties of the same name in the short form.
const PROPS_METHODS: [&str; 7] =
    ["getProperty", "hasProperty", "getPropertySource", "asDict", "asList", "setProperty", "render"];
const PROPS_FIELDS: [&str; 4] = ["build", "files", "sourcestamps", "changes"];

impl Props {
    pub fn as_dict(&self) -> serde_json::Map<String, Json> {
        self.values.borrow().as_dict()
    }

    fn index(&self, lua: &Lua, name: &str) -> mlua::Result<Value> {
        let shared = Shared::of(lua);
        if PROPS_METHODS.contains(&name) {
            return Ok(Value::Function(shared.prelude(&format!("props_{name}"))?));
        }
        if PROPS_FIELDS.contains(&name) {
            // Known to the caller without waiting.
            let answer = self.live.call("field", vec![name.into()]).now_or_never();
            let json = answer.and_then(Result::ok).unwrap_or(Json::Null);
            return to_lua(lua, &shared, &json);
        }
        self.values.borrow().get(name).map_or(Ok(Value::Nil), |json| to_lua(lua, &shared, json))
    }
}

impl UserData for Props {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_meta_method(MetaMethod::Index, |lua, this, name: Value| match name {
            Value::String(name) => this.index(lua, &name.to_string_lossy()),
            _ => Ok(Value::Nil),
        });
        methods.add_meta_method(
            MetaMethod::NewIndex,
            |lua, _, (name, _): (String, Value)| -> mlua::Result<()> {
                Err(raise(lua, format!("write p:setProperty({name:?}, value, source)")))
            },
        );
        methods.add_meta_method(MetaMethod::Pairs, |lua, this, ()| walk(lua, &Json::Object(this.as_dict())));
        methods.add_meta_method(MetaMethod::ToString, |_, _, ()| Ok("properties"));
    }
}

fn props(lua: &Lua, this: &Value, method: &str) -> mlua::Result<mlua::UserDataRef<Props>> {
    let found = this.as_userdata().and_then(|object| object.borrow::<Props>().ok());
    found.ok_or_else(|| raise(lua, format!("call it with a colon: p:{method}(…)")))
}

/// Methods of properties, entered into the prelude under `props_NAME`.
pub(crate) fn add_methods(lua: &Lua, prelude: &Table) -> mlua::Result<()> {
    let get = lua.create_function(|lua, (this, name, default): (Value, String, Value)| {
        let props = props(lua, &this, "getProperty")?;
        let values = props.values.borrow();
        values.get(&name).map_or(Ok(default), |json| to_lua(lua, &Shared::of(lua), json))
    })?;
    prelude.raw_set("props_getProperty", get)?;
    let has = lua.create_function(|lua, (this, name): (Value, String)| {
        Ok(props(lua, &this, "hasProperty")?.values.borrow().contains(&name))
    })?;
    prelude.raw_set("props_hasProperty", has)?;
    let source = lua.create_function(|lua, (this, name): (Value, String)| {
        let props = props(lua, &this, "getPropertySource")?;
        let source = props.values.borrow().property(&name).map(|property| property.source.clone());
        Ok(source)
    })?;
    prelude.raw_set("props_getPropertySource", source)?;
    let dict = lua.create_function(|lua, this: Value| {
        let dict = props(lua, &this, "asDict")?.as_dict();
        to_lua(lua, &Shared::of(lua), &Json::Object(dict))
    })?;
    prelude.raw_set("props_asDict", dict)?;
    let list = lua.create_function(|lua, this: Value| {
        let props = props(lua, &this, "asList")?;
        let values = props.values.borrow();
        let triple = |(name, property): (&str, &lunabot_model::Property)| {
            serde_json::json!([name, property.value, property.source])
        };
        let mut all: Vec<Json> = values.iter().map(triple).collect();
        all.sort_by(|a, b| a[0].as_str().cmp(&b[0].as_str()));
        to_lua(lua, &Shared::of(lua), &Json::Array(all))
    })?;
    prelude.raw_set("props_asList", list)?;
    prelude.raw_set("props_setProperty", lua.create_async_function(set_property)?)?;
    prelude.raw_set("props_render", lua.create_async_function(render)?)
}

async fn set_property(lua: Lua, (this, args): (Value, MultiValue)) -> mlua::Result<()> {
    let json = args_to_json(&lua, args)?;
    let live = props(&lua, &this, "setProperty")?.live.clone();
    act(&lua, live.call("setProperty", json.clone())).await?;
    if let [Json::String(name), rest @ ..] = json.as_slice() {
        let source = rest.get(1).and_then(Json::as_str).unwrap_or_default();
        let value = rest.first().cloned().unwrap_or(Json::Null);
        props(&lua, &this, "setProperty")?.values.borrow_mut().set_runtime(name, value, source);
    }
    Ok(())
}

async fn render(lua: Lua, (this, args): (Value, MultiValue)) -> mlua::Result<Value> {
    let json = args_to_json(&lua, args)?;
    let live = props(&lua, &this, "render")?.live.clone();
    let answer = act(&lua, live.call("render", json)).await?;
    to_lua(&lua, &Shared::of(&lua), &answer)
}

async fn act(lua: &Lua, call: BoxFuture<'_, Result<Json, String>>) -> mlua::Result<Json> {
    Outside::new(&Shared::of(lua), call).await.map_err(|error| raise(lua, error))
}
