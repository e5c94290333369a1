//! Reading JSON that was a Lua table where nobody said yet what it is (lua-api § 1, "Values").
//!
//! Lua has one table where JSON has two: `{}` became the empty object, and `{[1] = …}` a list. [`FromLua`] gives the
//! reader what it asks for: an empty table is the empty list too, and a list is a map with the keys 1…n. What is
//! flattened is so by [`spliced`].

use crate::Json;
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Error as _, IntoDeserializer, Visitor};
use serde::{Deserializer, forward_to_deserialize_any};
use serde_json::{Error, Map};

/// A value to read from.
#[derive(Debug, Clone, Copy)]
pub struct FromLua<'a>(pub &'a Json);

impl FromLua<'_> {
    /// Reads a `T`. The error has no path; see [`crate::kind::read`] for one that has.
    pub fn read<T: DeserializeOwned>(self) -> Result<T, Error> {
        T::deserialize(self)
    }
}

/// The items of a list of texts or objects: lists inside it are spliced in, `false` items dropped.
pub fn spliced(items: &[Json]) -> Vec<&Json> {
    let mut all = Vec::with_capacity(items.len());
    for item in items {
        match item {
            Json::Array(inner) => all.extend(spliced(inner)),
            Json::Object(map) if map.is_empty() => {}
            Json::Bool(false) => {}
            other => all.push(other),
        }
    }
    all
}

/// What is wrong with a table that has whole numbers as keys where a list is wanted; `None`: it has others.
pub fn hole_in(map: &Map<String, Json>) -> Option<String> {
    let mut keys = map.keys().map(|key| key.parse::<i64>().ok()).collect::<Option<Vec<i64>>>()?;
    keys.sort_unstable();
    let first = *keys.first()?;
    if first < 1 {
        return Some(format!("expected items 1…n, got the position {first}"));
    }
    let missing = (1..).zip(&keys).find(|(want, got)| want != *got)?.0;
    Some(format!("item {missing} is nil (write `x or false` for an item that may be missing)"))
}

impl<'de> IntoDeserializer<'de, Error> for FromLua<'de> {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

fn list<'de, V: Visitor<'de>>(items: &'de [Json], visitor: V) -> Result<V::Value, Error> {
    let mut items = SeqDeserializer::new(items.iter().map(FromLua));
    let read = visitor.visit_seq(&mut items)?;
    items.end().map(|()| read)
}

fn map<'de, V: Visitor<'de>, K: Into<Key>>(
    pairs: impl Iterator<Item = (K, &'de Json)>,
    visitor: V,
) -> Result<V::Value, Error> {
    let mut pairs = MapDeserializer::new(pairs.map(|(key, value)| (key.into(), FromLua(value))));
    let read = visitor.visit_map(&mut pairs)?;
    pairs.end().map(|()| read)
}

impl<'de> Deserializer<'de> for FromLua<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Json::Array(items) => list(items, visitor),
            Json::Object(pairs) => map(pairs.iter(), visitor),
            plain => plain.deserialize_any(visitor),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Json::Object(pairs) if pairs.is_empty() => list(&[], visitor),
            Json::Object(pairs) => match hole_in(pairs) {
                Some(hole) => Err(Error::custom(hole)),
                None => self.deserialize_any(visitor),
            },
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Json::Array(items) => map((1..).zip(items), visitor),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        tuple tuple_struct struct identifier ignored_any
    }
}

/// The key of a map: a text, or the number that it is written as.
struct Key(String);

impl From<&String> for Key {
    fn from(text: &String) -> Self {
        Key(text.clone())
    }
}

impl From<i64> for Key {
    fn from(number: i64) -> Self {
        Key(number.to_string())
    }
}

impl IntoDeserializer<'_, Error> for Key {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! numbers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.0.parse::<i64>() {
                Ok(number) => visitor.visit_i64(number),
                Err(_) => visitor.visit_string(self.0),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for Key {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_string(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let text: serde::de::value::StringDeserializer<Error> = self.0.into_deserializer();
        text.deserialize_enum(name, variants, visitor)
    }

    numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }

    forward_to_deserialize_any! {
        bool f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier
        ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;
    use std::collections::BTreeMap;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Whole {
        list: Option<Vec<String>>,
        #[serde(default)]
        codes: BTreeMap<i64, bool>,
        free: Option<Json>,
    }

    fn read(value: Json) -> Result<Whole, String> {
        FromLua(&value).read().map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_table_is_what_its_reader_wants() {
        let read = read(json!({"list": {}, "codes": [], "free": {}})).unwrap();
        assert_eq!(read, Whole { list: Some(vec![]), codes: BTreeMap::new(), free: Some(json!({})) });
    }

    #[test]
    fn numbers_are_keys_of_maps_and_no_holes_of_lists() {
        let codes = |codes: Json| read(json!({"codes": codes})).unwrap().codes;
        assert_eq!(codes(json!({"0": true, "4": false})), BTreeMap::from([(0, true), (4, false)]));
        assert_eq!(codes(json!([true, false])), BTreeMap::from([(1, true), (2, false)]));
        for (list, told) in [
            (json!({"2": "b"}), "item 1 is nil"),
            (json!({"0": "b"}), "got the position 0"),
            (json!({"a": "b"}), "expected a sequence"),
            (json!("b"), "expected a sequence"),
        ] {
            let error = read(json!({"list": list})).unwrap_err();
            assert!(error.contains(told), "{list}: {error}");
        }
        assert!(read(json!({"codes": {"x": true}})).unwrap_err().contains("expected i64"));
    }

    #[test]
    fn lists_are_spliced_into_each_other() {
        let items = json!(["a", {}, false, [["b"], {}, []], {"k": 1}, null, 0]);
        let found: Vec<Json> = spliced(items.as_array().unwrap()).into_iter().cloned().collect();
        assert_eq!(json!(found), json!(["a", "b", {"k": 1}, null, 0]));
    }
}
