//! What is wanted of logs: all, none, or those of some names (11.013, 11.020).

use lunabot_model::{Json, Names};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// True, false, or names of what is wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Wanted {
    #[default]
    Nothing,
    All,
    /// Of logs: `stdio`, or `compile.stdio` for that of one step.
    Named(Vec<String>),
}

impl Wanted {
    pub fn log(&self, step: &str, log: &str) -> bool {
        match self {
            Wanted::Nothing => false,
            Wanted::All => true,
            Wanted::Named(names) => names.iter().any(|name| name == log || *name == format!("{step}.{log}")),
        }
    }
}

impl<'de> Deserialize<'de> for Wanted {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match Json::deserialize(d)? {
            Json::Bool(true) => Ok(Wanted::All),
            Json::Bool(false) | Json::Null => Ok(Wanted::Nothing),
            names => Names::deserialize(names)
                .map(|names| Wanted::Named(names.0))
                .map_err(|_| D::Error::custom("expected true, false or a list of names of logs")),
        }
    }
}

impl JsonSchema for Wanted {
    fn schema_name() -> Cow<'static, str> {
        "Wanted".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [
            {"type": "boolean"}, {"type": "string"}, {"type": "array", "items": {"type": "string"}},
        ]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_11_020_logs_are_wanted_by_their_names() {
        for (wanted, yes) in [
            (Wanted::All, true),
            (Wanted::Nothing, false),
            (Wanted::Named(vec!["stdio".into()]), true),
            (Wanted::Named(vec!["compile.stdio".into()]), true),
            (Wanted::Named(vec!["test.stdio".into(), "ompile.stdio".into()]), false),
        ] {
            assert_eq!(wanted.log("compile", "stdio"), yes, "{wanted:?}");
        }
    }
}
