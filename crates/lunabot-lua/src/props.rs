//! Properties as functions see them: values readable by name, and methods (lua-api § 2).

use crate::live::{Outside, arg_to_lua, args_to_json, walk};
use crate::origin::raise;
use crate::state::Shared;
use crate::values::to_lua;
use futures::FutureExt;
use lunabot_model::{Arg, Json, LiveObject, Properties};
use mlua::{FromLua, Lua, MetaMethod, MultiValue, Table, UserData, UserDataMethods, Value};
use serde::Deserialize;
use std::cell::RefCell;
use std::sync::Arc;

/// Properties as they are on the wire: name → value and source.
pub(crate) fn properties_to_lua(lua: &Lua, wire: &Json, live: Arc<dyn LiveObject>) -> mlua::Result<Value> {
    let values = Properties::deserialize(wire).map_err(|error| raise(lua, error))?;
    make(lua, live, values)
}

/// Properties: values readable by name, and methods (lua-api § 2).
pub(crate) struct Props {
    live: Arc<dyn LiveObject>,
    values: RefCell<Properties>,
}

/// Makes them.
pub(crate) fn make(lua: &Lua, live: Arc<dyn LiveObject>, values: Properties) -> mlua::Result<Value> {
    Ok(Value::UserData(lua.create_userdata(Props { live, values: RefCell::new(values) })?))
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
            let answer = self.live.invoke("field", vec![Arg::Value(name.into())]).now_or_never();
            return answer.and_then(Result::ok).map_or(Ok(Value::Nil), |arg| arg_to_lua(lua, &shared, arg));
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
    let get = lua.create_function(|lua, (this, name, default): (Value, Value, Value)| {
        let props = props(lua, &this, "getProperty")?;
        let name = String::from_lua(name, lua)?;
        let values = props.values.borrow();
        values.get(&name).map_or(Ok(default), |json| to_lua(lua, &Shared::of(lua), json))
    })?;
    prelude.raw_set("props_getProperty", get)?;
    let has = lua.create_function(|lua, (this, name): (Value, Value)| {
        let props = props(lua, &this, "hasProperty")?;
        let name = String::from_lua(name, lua)?;
        let there = props.values.borrow().contains(&name);
        Ok(there)
    })?;
    prelude.raw_set("props_hasProperty", has)?;
    let source = lua.create_function(|lua, (this, name): (Value, Value)| {
        let props = props(lua, &this, "getPropertySource")?;
        let name = String::from_lua(name, lua)?;
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
    act(&lua, &live, "setProperty", json.clone()).await?;
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
    let answer = act(&lua, &live, "render", json).await?;
    to_lua(&lua, &Shared::of(&lua), &answer)
}

async fn act(lua: &Lua, live: &Arc<dyn LiveObject>, method: &str, args: Vec<Json>) -> mlua::Result<Json> {
    let args = args.into_iter().map(Arg::Value).collect();
    let answer = Outside::new(&Shared::of(lua), live.invoke(method, args)).await;
    answer.map_err(|error| raise(lua, error))?.into_json().map_err(|error| raise(lua, error))
}
