//! Files and documents. Every file that is read is known to the master; errors name file and line.

use crate::convert::Reader;
use crate::documents;
use crate::limits::Limits;
use crate::origin::raise;
use crate::shape::Shape;
use crate::state::Shared;
use lunabot_model::Json;
use mlua::{Lua, LuaString, Table, Value};
use std::io::Write as _;

/// Reads a document; the error begins with its line, if that is known.
type Parse = fn(&str) -> Result<Json, (Option<usize>, String)>;

pub(super) fn add(lua: &Lua, util: &Table) -> mlua::Result<()> {
    util.raw_set(
        "read_file",
        lua.create_function(|lua, name: String| lua.create_string(read(lua, &name)?))?,
    )?;
    util.raw_set(
        "write_file",
        lua.create_function(|lua, (name, text): (String, LuaString)| {
            let path = Shared::of(lua).root.join(&name);
            std::fs::write(path, text.as_bytes()).map_err(|error| raise(lua, format!("{name}: {error}")))
        })?,
    )?;
    util.raw_set("append_file", lua.create_function(append)?)?;
    util.raw_set("to_json", lua.create_function(to_json)?)?;
    util.raw_set("render", lua.create_function(render)?)?;
    let formats: [(&str, Parse); 3] = [("json", json), ("yaml", yaml), ("toml", toml_document)];
    for (name, parse) in formats {
        let load = lua.create_function(move |lua, file: String| {
            let bytes = read(lua, &file)?;
            document(lua, &file, &bytes, parse)
        })?;
        util.raw_set(format!("load_{name}"), load)?;
        let from_text =
            lua.create_function(move |lua, text: LuaString| document(lua, "", &text.as_bytes(), parse))?;
        util.raw_set(format!("parse_{name}"), from_text)?;
    }
    Ok(())
}

fn read(lua: &Lua, name: &str) -> mlua::Result<Vec<u8>> {
    Shared::of(lua).read_file(name).map_err(|error| raise(lua, format!("{name}: {error}")))
}

fn append(lua: &Lua, (name, text): (String, LuaString)) -> mlua::Result<()> {
    let path = Shared::of(lua).root.join(&name);
    let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
    let written = file.and_then(|mut file| file.write_all(&text.as_bytes()));
    written.map_err(|error| raise(lua, format!("{name}: {error}")))
}

fn document(lua: &Lua, file: &str, bytes: &[u8], parse: Parse) -> mlua::Result<Value> {
    Limits::before(lua, bytes.len())?;
    let text = std::str::from_utf8(bytes).map_err(|_| raise(lua, format!("{file}: not UTF-8")))?;
    match parse(text) {
        Ok(json) => documents::to_lua(lua, &json),
        Err((line, message)) => {
            let line = line.map_or(String::new(), |line| format!("{line}"));
            let place =
                [file, &line].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(":");
            let place = if file.is_empty() && !place.is_empty() { format!("line {place}") } else { place };
            Err(raise(lua, if place.is_empty() { message } else { format!("{place}: {message}") }))
        }
    }
}

fn json(text: &str) -> Result<Json, (Option<usize>, String)> {
    serde_json::from_str(text).map_err(|error| {
        let message = error.to_string();
        let message = message.rsplit_once(" at line ").map_or(message.clone(), |(text, _)| text.to_string());
        (Some(error.line()), message)
    })
}

fn yaml(text: &str) -> Result<Json, (Option<usize>, String)> {
    let wrong = |error: serde_yaml_ng::Error| {
        let line = error.location().map(|place| place.line());
        (line, error.to_string())
    };
    let mut value: serde_yaml_ng::Value = serde_yaml_ng::from_str(text).map_err(wrong)?;
    value.apply_merge().map_err(wrong)?;
    Ok(from_yaml(value))
}

fn from_yaml(value: serde_yaml_ng::Value) -> Json {
    use serde_yaml_ng::Value as Yaml;
    match value {
        Yaml::Null => Json::Null,
        Yaml::Bool(flag) => flag.into(),
        Yaml::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => integer.into(),
            (None, float) => float.into(),
        },
        Yaml::String(text) => text.into(),
        Yaml::Sequence(items) => items.into_iter().map(from_yaml).collect(),
        Yaml::Mapping(map) => {
            let name = |key: Yaml| match from_yaml(key) {
                Json::String(text) => text,
                other => other.to_string(),
            };
            Json::Object(map.into_iter().map(|(key, value)| (name(key), from_yaml(value))).collect())
        }
        Yaml::Tagged(tagged) => from_yaml(tagged.value),
    }
}

fn toml_document(text: &str) -> Result<Json, (Option<usize>, String)> {
    let table: toml::Table = toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        (line, error.message().to_string())
    })?;
    Ok(from_toml(toml::Value::Table(table)))
}

fn from_toml(value: toml::Value) -> Json {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(flag) => flag.into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(items) => items.into_iter().map(from_toml).collect(),
        toml::Value::Table(map) => {
            Json::Object(map.into_iter().map(|(key, value)| (key, from_toml(value))).collect())
        }
    }
}

fn json_of(lua: &Lua, shared: &Shared, name: &str, value: &Value) -> mlua::Result<Json> {
    let mut reader = Reader::new(lua, shared);
    let json = reader.option(name, value, &Shape::ANY).unwrap_or(Json::Null);
    match reader.problems.first() {
        Some(problem) => Err(raise(lua, format!("{}: {}", problem.path, problem.message))),
        None => Ok(json),
    }
}

/// `util.render(template, vars)`.
fn render(lua: &Lua, (name, vars): (String, Option<Table>)) -> mlua::Result<String> {
    let shared = Shared::of(lua);
    let vars = vars.map_or(Value::Nil, Value::Table);
    let vars = json_of(lua, &shared, "vars", &vars)?;
    shared.options.templates.render(&shared.root, &name, vars).map_err(|error| raise(lua, error))
}

fn to_json(lua: &Lua, (value, options): (Value, Option<Table>)) -> mlua::Result<String> {
    let shared = Shared::of(lua);
    let json = json_of(lua, &shared, "value", &value)?;
    let indented = options.map(|table| table.raw_get::<bool>("indent")).transpose()?.unwrap_or(false);
    let text = if indented { serde_json::to_string_pretty(&json) } else { serde_json::to_string(&json) };
    let text = text.map_err(|error| raise(lua, error))?;
    Limits::before(lua, text.len())?;
    Ok(text)
}
