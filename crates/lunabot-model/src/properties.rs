//! Properties: named JSON values that remember where they came from (reference 04.001–04.006).

use crate::Json;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

/// One value and its source, e.g. `Change`, `Scheduler`, `Builder`, `Force Build Form`.
#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    pub value: Json,
    pub source: String,
    /// Set while a build ran; a rebuild leaves such properties out (04.003).
    pub runtime: bool,
}

/// A set of properties. On the wire an object of name → `[value, source]` (09.019).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Properties(BTreeMap<String, Property>);

impl Properties {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn get(&self, name: &str) -> Option<&Json> {
        self.0.get(name).map(|p| &p.value)
    }

    pub fn property(&self, name: &str) -> Option<&Property> {
        self.0.get(name)
    }

    /// The value as text, if it is text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Json::as_str)
    }

    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Sets a value; a later one replaces an earlier one, source included.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Json>, source: impl Into<String>) {
        self.insert(name, Property { value: value.into(), source: source.into(), runtime: false });
    }

    /// Sets a value that a running build made (04.003).
    pub fn set_runtime(
        &mut self,
        name: impl Into<String>,
        value: impl Into<Json>,
        source: impl Into<String>,
    ) {
        self.insert(name, Property { value: value.into(), source: source.into(), runtime: true });
    }

    pub fn insert(&mut self, name: impl Into<String>, property: Property) {
        self.0.insert(name.into(), property);
    }

    /// Adds all of `other`; its values win.
    pub fn update(&mut self, other: &Properties) {
        self.0.extend(other.0.iter().map(|(name, p)| (name.clone(), p.clone())));
    }

    /// Adds those of `other` whose names are still absent (`defaultProperties`).
    pub fn update_missing(&mut self, other: &Properties) {
        for (name, property) in &other.0 {
            self.0.entry(name.clone()).or_insert_with(|| property.clone());
        }
    }

    /// Properties of an option such as `c.properties`: plain values that share one source.
    pub fn from_plain(values: &BTreeMap<String, Json>, source: &str) -> Self {
        let mut all = Properties::new();
        for (name, value) in values {
            all.set(name.clone(), value.clone(), source);
        }
        all
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Property)> {
        self.0.iter().map(|(name, p)| (name.as_str(), p))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Name → value, without sources.
    pub fn as_dict(&self) -> serde_json::Map<String, Json> {
        self.0.iter().map(|(name, p)| (name.clone(), p.value.clone())).collect()
    }
}

impl<N: Into<String>> FromIterator<(N, Property)> for Properties {
    fn from_iter<I: IntoIterator<Item = (N, Property)>>(all: I) -> Self {
        Properties(all.into_iter().map(|(name, property)| (name.into(), property)).collect())
    }
}

impl Serialize for Properties {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.0.iter().map(|(name, p)| (name, (&p.value, &p.source))))
    }
}

impl<'de> Deserialize<'de> for Properties {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let pairs: BTreeMap<String, (Json, String)> = BTreeMap::deserialize(d)
            .map_err(|e| D::Error::custom(format!("properties are name: [value, source]: {e}")))?;
        let all = pairs.into_iter();
        Ok(Properties(
            all.map(|(name, (value, source))| (name, Property { value, source, runtime: false })).collect(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_values_win_and_defaults_only_fill_gaps() {
        let (mut a, mut b) = (Properties::new(), Properties::new());
        a.set("x", 1, "Change");
        b.set("x", 2, "Builder");
        b.set("y", 3, "Builder");
        let mut defaulted = a.clone();
        defaulted.update_missing(&b);
        assert_eq!((defaulted.get("x"), defaulted.get("y")), (Some(&Json::from(1)), Some(&Json::from(3))));
        a.update(&b);
        assert_eq!(serde_json::to_string(&a).unwrap(), r#"{"x":[2,"Builder"],"y":[3,"Builder"]}"#);
    }
}
