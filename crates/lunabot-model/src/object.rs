//! The plain form of what a configuration declares.
//!
//! The script host turns every Lua value into JSON. Three tagged objects carry what JSON lacks:
//!
//! * a declared object: `{"$kind": "steps.ShellCommand", "$id": 12, "$at": "master.lua:12", "$args": {…}}`
//!   (`$id` is one number per object made, so a lock used twice is one lock; an object of an extended class
//!   adds `"$class": {"name": …, "fingerprint": …, "hooks": {"run": {"$fn": …}}}`),
//! * a function: `{"$fn": {"id": 3, "generation": 1, "fingerprint": "…", "at": "master.lua:40"}}`,
//! * `util.null` where it differs from "not given": JSON `null` (an option not given is absent).
//!
//! Renderables (`util.Property`, `util.Interpolate` …) are declared objects like any other; see [`crate::render`].

use crate::from_lua::hole_in;
use crate::{FromLua, Json, spliced};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;

/// A function of the configuration, lifted out: an id that [`crate::ScriptHost::call`] takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callback {
    #[serde(rename = "$fn")]
    inner: CallbackRef,
}

/// See [`Callback`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CallbackRef {
    /// Valid within its generation only.
    pub id: u64,
    /// The number of the loaded configuration that it belongs to.
    pub generation: u64,
    /// Up to the first `;` equal for functions that do the same: decides whether a reload changed something. The rest
    /// tells its parts, `NAME=HASH`: its code, which has no name, and its upvalues.
    pub fingerprint: String,
    /// `master.lua:40`.
    pub at: String,
}

impl Callback {
    pub fn new(inner: CallbackRef) -> Self {
        Callback { inner }
    }

    /// The same, told of with another place: that of the function which it calls.
    pub fn written_at(&self, at: &str) -> Self {
        Callback { inner: CallbackRef { at: at.into(), ..self.inner.clone() } }
    }

    /// Reads a callback out of a JSON value, if it is one.
    pub fn from_json(value: &Json) -> Option<Self> {
        Deserialize::deserialize(value).ok()
    }

    /// The first function in a value of the configuration, at any depth.
    pub fn first_in(value: &Json) -> Option<Self> {
        match value {
            Json::Array(items) => items.iter().find_map(Self::first_in),
            Json::Object(map) => Self::from_json(value).or_else(|| map.values().find_map(Self::first_in)),
            _ => None,
        }
    }

    /// Why a value cannot be stored, if it holds a function: that lasts no longer than the configuration that it is in.
    pub fn not_to_be_stored(value: &Json) -> Option<String> {
        let function = Self::first_in(value)?;
        Some(format!("the function at {} cannot be stored; give what it yields", function.at))
    }

    /// A message about the function, with the place where it is written, unless the message begins with one.
    pub fn placed(&self, message: &str) -> String {
        let mut parts = message.splitn(3, ':');
        let in_file = parts.next().is_some_and(|file| file.ends_with(".lua"));
        let line = parts.next().and_then(|line| line.trim().parse::<u32>().ok());
        if in_file && line.is_some() || self.at.is_empty() {
            return message.into();
        }
        format!("{}: {message}", self.at)
    }
}

impl std::ops::Deref for Callback {
    type Target = CallbackRef;
    fn deref(&self) -> &CallbackRef {
        &self.inner
    }
}

impl JsonSchema for Callback {
    fn schema_name() -> Cow<'static, str> {
        "Callback".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object", "x-callback": true})
    }
}

/// A declared object whose parameters are not looked into yet.
pub type AnyObject = Object<Json>;

/// A declared object: kind, identity, origin and parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object<T> {
    /// `namespace.Name` of the kind, e.g. `steps.ShellCommand`. For an extended class, of its built-in base.
    #[serde(rename = "$kind")]
    pub kind: String,
    /// One number per object made while the configuration was loaded.
    #[serde(rename = "$id")]
    pub id: u64,
    /// `file:line` of the constructor's caller.
    #[serde(rename = "$at")]
    pub at: String,
    /// The class of the configuration that it is an instance of, if it is one of an extended class.
    #[serde(rename = "$class", default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Json>,
    /// The options as written, by name.
    #[serde(rename = "$args")]
    pub args: T,
}

impl AnyObject {
    /// Reads an object out of a JSON value, if it is one.
    pub fn from_json(value: &Json) -> Option<Self> {
        value.get("$kind")?;
        Deserialize::deserialize(value).ok()
    }

    /// The option `name`, if it was given.
    pub fn arg(&self, name: &str) -> Option<&Json> {
        self.args.get(name)
    }

    /// The object with its parameters read into their struct.
    pub fn typed<T: serde::de::DeserializeOwned>(&self) -> Result<Object<T>, serde_json::Error> {
        Ok(Object {
            kind: self.kind.clone(),
            id: self.id,
            at: self.at.clone(),
            class: self.class.clone(),
            args: FromLua(&self.args).read()?,
        })
    }
}

impl<T> JsonSchema for Object<T> {
    fn schema_name() -> Cow<'static, str> {
        "Object".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object", "x-object": true})
    }
}

/// What of a function's fingerprint counts: the rest of it tells what differs.
fn print_of(function: &Json) -> Option<&str> {
    function.get("fingerprint")?.as_str()?.split(';').next()
}

/// Whether two values declare the same: equal but for identities, origins and the ids of functions
/// (their fingerprints count), and for the order of keys. This decides what a reload touches (lua-api § 5, 01.011).
pub fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Json::Object(a), Json::Object(b)) => {
            if let (Some(a), Some(b)) = (a.get("$fn"), b.get("$fn")) {
                return print_of(a) == print_of(b);
            }
            let counted = |key: &&String| *key != "$id" && *key != "$at";
            a.keys().filter(counted).count() == b.keys().filter(counted).count()
                && a.iter()
                    .filter(|(key, _)| counted(key))
                    .all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        _ => a == b,
    }
}

/// What marks a table as an object or a function of the configuration. Values from outside must not bear them.
pub const MARKS: [&str; 2] = ["$kind", "$fn"];

/// Whether a value holds a renderable or a function, at any depth.
pub fn is_dynamic(value: &Json) -> bool {
    match value {
        Json::Array(items) => items.iter().any(is_dynamic),
        Json::Object(map) => MARKS.iter().any(|mark| map.contains_key(*mark)) || map.values().any(is_dynamic),
        _ => false,
    }
}

/// A value for people to read: what names a secret (`util.Secret`, what makes a token, or a `util.Interpolate` of such alone) is
/// `<name>`, as it is in logs (04.039). Other objects stay what they are.
pub fn with_secrets_named(value: &Json) -> Json {
    if !is_dynamic(value) {
        return value.clone();
    }
    match value {
        Json::Array(items) => items.iter().map(with_secrets_named).collect(),
        Json::Object(map) => named(value).unwrap_or_else(|| {
            map.iter().map(|(key, item)| (key.clone(), with_secrets_named(item))).collect()
        }),
        plain => plain.clone(),
    }
}

fn named(value: &Json) -> Option<Json> {
    let args = value.get("$args")?;
    match value.get("$kind")?.as_str()? {
        "util.Secret" => Some(format!("<{}>", args.get("secret_name")?.as_str()?).into()),
        "util.Interpolate" => {
            let mut parts = args.get("fmtstring")?.as_str()?.split("%(");
            let mut text = parts.next()?.to_string();
            for part in parts {
                let (what, rest) = part.split_once(")s")?;
                match what.split_once(':')? {
                    ("secret", name) => text.push_str(&format!("<{name}>")),
                    ("kw", name) => text.push_str(named(args.get(name)?)?.as_str()?),
                    _ => return None,
                }
                text.push_str(rest);
            }
            Some(text.replace("%%", "%").into())
        }
        kind => Some(format!("<{}>", token_name(kind)?).into()),
    }
}

/// The name by which tokens are shown that objects of this kind yield; `None`: they are no tokens.
pub fn token_name(kind: &str) -> Option<&str> {
    let name = kind.strip_prefix("util.")?;
    matches!(name, "jwt" | "GitHubAppToken").then_some(name)
}

/// An option that may be written as a value of type `T` or as a renderable that yields one (04.034–04.038).
///
/// [`crate::render::render`] turns `source` into plain JSON; [`Renderable::read`] then reads that as `T`.
#[derive(Debug, Clone, PartialEq)]
pub struct Renderable<T> {
    source: Json,
    marker: std::marker::PhantomData<fn() -> T>,
}

impl<T: serde::de::DeserializeOwned> Renderable<T> {
    /// What was written.
    pub fn source(&self) -> &Json {
        &self.source
    }

    /// Reads a rendered value. The error says what was expected.
    pub fn read(rendered: &Json) -> Result<T, serde_json::Error> {
        FromLua(rendered).read()
    }

    /// The value, where nothing has to be rendered.
    pub fn literal(&self) -> Option<T> {
        if is_dynamic(&self.source) { None } else { FromLua(&self.source).read().ok() }
    }
}

impl<T> From<Json> for Renderable<T> {
    fn from(source: Json) -> Self {
        Renderable { source, marker: std::marker::PhantomData }
    }
}

impl<T> Serialize for Renderable<T> {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.source.serialize(s)
    }
}

impl<'de, T: serde::de::DeserializeOwned> Deserialize<'de> for Renderable<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let source = Json::deserialize(d)?;
        if !is_dynamic(&source) {
            FromLua(&source).read::<T>().map_err(D::Error::custom)?;
        }
        Ok(source.into())
    }
}

impl<T: JsonSchema> JsonSchema for Renderable<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Renderable_{}", T::schema_name()).into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = T::json_schema(generator);
        schema.insert("x-renderable".into(), true.into());
        schema
    }
}

/// A length of time: seconds, or text such as `"7d 12h"` (units `w d h m s`, sums separated by blanks).
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Duration(pub f64);

impl Duration {
    pub fn secs(self) -> f64 {
        self.0
    }

    /// As a standard duration; negative lengths are zero.
    pub fn std(self) -> std::time::Duration {
        std::time::Duration::try_from_secs_f64(self.0.max(0.0)).unwrap_or(std::time::Duration::MAX)
    }

    /// Reads `"1h 30m"`. The error says what is wrong with which word.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut total = 0.0;
        let mut words = text.split_whitespace().peekable();
        if words.peek().is_none() {
            return Err("an empty text is not a duration; write seconds or \"1h 30m\"".into());
        }
        for word in words {
            let (number, unit) =
                word.split_at(word.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(word.len()));
            let scale = match unit {
                "" | "s" => 1.0,
                "m" | "min" => 60.0,
                "h" => 3600.0,
                "d" => 86_400.0,
                "w" => 604_800.0,
                _ => return Err(format!("unknown unit in \"{word}\"; units are w d h m s")),
            };
            total +=
                number.parse::<f64>().map_err(|_| format!("\"{word}\" is not a number with a unit"))? * scale;
        }
        Ok(Duration(total))
    }
}

impl Serialize for Duration {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_f64(self.0)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match Json::deserialize(d)? {
            Json::Number(n) => Ok(Duration(n.as_f64().unwrap_or(f64::MAX))),
            Json::String(text) => Duration::parse(&text).map_err(D::Error::custom),
            other => {
                Err(D::Error::custom(format!("expected seconds or a text such as \"1h 30m\", not {other}")))
            }
        }
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": ["number", "string"], "x-duration": true})
    }
}

/// One text or a list of texts; lists inside it are spliced in, `false` items dropped.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct StringOrList(pub Vec<String>);

/// Names of builders, workers, tags: the same form.
pub type Names = StringOrList;

impl<'de> Deserialize<'de> for StringOrList {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let expected =
            |what: &Json| D::Error::custom(format!("expected a text or a list of texts, not {what}"));
        match Json::deserialize(d)? {
            Json::String(one) => Ok(StringOrList(vec![one])),
            Json::Array(items) => {
                let texts = spliced(&items).into_iter().map(|item| match item {
                    Json::String(text) => Ok(text.clone()),
                    other => Err(expected(other)),
                });
                Ok(StringOrList(texts.collect::<Result<_, _>>()?))
            }
            Json::Object(map) if map.is_empty() => Ok(StringOrList::default()),
            Json::Object(map) => {
                let hole = hole_in(&map).map(D::Error::custom);
                Err(hole.unwrap_or_else(|| expected(&Json::Object(map))))
            }
            other => Err(expected(&other)),
        }
    }
}

impl JsonSchema for StringOrList {
    fn schema_name() -> Cow<'static, str> {
        "StringOrList".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sameness_ignores_identity_and_counts_fingerprints() {
        let object = |id: u64, line: u32, print: &str| {
            json!({"$kind": "steps.X", "$id": id, "$at": format!("m.lua:{line}"),
                   "$args": {"f": {"$fn": {"id": id, "generation": 1, "fingerprint": print, "at": "m.lua:1"}}}})
        };
        assert!(same(&object(1, 1, "a"), &object(2, 9, "a")));
        assert!(!same(&object(1, 1, "a"), &object(1, 1, "b")));
        let map = |text: &str| serde_json::from_str::<Json>(text).unwrap();
        assert!(same(&map(r#"{"a": 1, "b": 2}"#), &map(r#"{"b": 2, "a": 1}"#)));
        assert!(!same(&map(r#"{"a": 1, "b": 2}"#), &map(r#"{"b": 2, "c": 1}"#)));
        assert!(!same(&map(r#"{"a": 1}"#), &map(r#"{"a": 1, "c": 1}"#)));
    }

    #[test]
    fn durations_read_sums_and_name_what_is_wrong() {
        assert_eq!(Duration::parse("7d 12h"), Ok(Duration(648_000.0)));
        assert!(Duration::parse("3x").unwrap_err().contains("unknown unit"));
        assert!(Duration::parse("").is_err());
    }

    #[test]
    fn row_04_039_secrets_are_named_to_people() {
        let object = |kind: &str, args: Json| json!({"$kind": kind, "$id": 0, "$at": "t", "$args": args});
        let format = |format: &str| object("util.Interpolate", json!({"fmtstring": format}));
        let property = object("util.Property", json!({"key": "x"}));
        for (value, shown) in [
            (json!("x"), json!("x")),
            (object("util.GitHubAppToken", json!({"key": "text"})), json!("<GitHubAppToken>")),
            (
                object(
                    "util.Interpolate",
                    json!({"fmtstring": "Bearer %(kw:t)s", "t": object("util.jwt", json!({}))}),
                ),
                json!("Bearer <jwt>"),
            ),
            (object("util.Secret", json!({"secret_name": "pw"})), json!("<pw>")),
            (json!([{"k": format("100%% %(secret:a)s, %(secret:b)s!")}]), json!([{"k": "100% <a>, <b>!"}])),
            (format("%(secret:a)s %(prop:b)s"), format("%(secret:a)s %(prop:b)s")),
            (property.clone(), property),
        ] {
            assert_eq!(with_secrets_named(&value), shown);
        }
    }

    #[test]
    fn a_literal_is_checked_when_read_and_a_renderable_later() {
        assert!(serde_json::from_value::<Renderable<i64>>(json!("no")).is_err());
        let dynamic = json!({"$kind": "util.Property", "$id": 1, "$at": "m.lua:1", "$args": {"key": "n"}});
        assert_eq!(serde_json::from_value::<Renderable<i64>>(dynamic).unwrap().literal(), None);
    }
}
