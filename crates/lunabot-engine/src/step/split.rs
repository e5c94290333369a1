//! Reading a step's table of options: the shared ones are taken out, its own struct gets the rest.

use super::{BaseStepParams, ShellParams};
use lunabot_model::{FromLua, Json};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::value::StringDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, Error, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, forward_to_deserialize_any};
use std::marker::PhantomData;

/// The options of every step, those of a command (as by default where `shell` is false), and the step's own.
pub fn split<'de, D: Deserializer<'de>, Own: DeserializeOwned>(
    d: D,
    shell: bool,
) -> Result<(BaseStepParams, ShellParams, Own), D::Error> {
    d.deserialize_map(Whole { shell, own: PhantomData })
}

impl ShellParams {
    /// Options of a command alone. The error begins with the name of the option.
    pub(crate) fn read(options: &Json) -> Result<Self, String> {
        /// No options of its own.
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}

        let mut track = serde_path_to_error::Track::new();
        let options = serde_path_to_error::Deserializer::new(FromLua(options), &mut track);
        match split::<_, Nothing>(options, true) {
            Ok((base, shell, Nothing {})) => Ok(ShellParams { workdir: base.workdir, ..shell }),
            Err(error) => Err(format!("{}: {error}", track.path())),
        }
    }
}

struct Whole<Own> {
    shell: bool,
    own: PhantomData<Own>,
}

impl<'de, Own: DeserializeOwned> Visitor<'de> for Whole<Own> {
    type Value = (BaseStepParams, ShellParams, Own);

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a table of options")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let (mut base, mut shell) = (BaseStepParams::default(), ShellParams::default());
        let wanted = self.shell.then_some(&mut shell);
        let own = Own::deserialize(Rest { map, base: &mut base, shell: wanted, names: &[] })?;
        Ok((base, shell, own))
    }
}

/// The table without the shared options, which go where they belong on the way.
struct Rest<'p, A> {
    map: A,
    base: &'p mut BaseStepParams,
    shell: Option<&'p mut ShellParams>,
    /// The step's own options.
    names: &'static [&'static str],
}

impl<A> Rest<'_, A> {
    /// In the words of serde, with all names.
    fn unknown<E: Error>(&self, name: &str) -> E {
        let shell = if self.shell.is_some() { ShellParams::NAMES } else { &[] };
        let known = BaseStepParams::NAMES.iter().chain(shell).chain(self.names);
        let known: Vec<String> = known.map(|name| format!("`{name}`")).collect();
        E::custom(format_args!("unknown field `{name}`, expected one of {}", known.join(", ")))
    }
}

impl<'de, A: MapAccess<'de>> Deserializer<'de> for Rest<'_, A> {
    type Error = A::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, A::Error> {
        visitor.visit_map(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        visitor.visit_map(Rest { names, ..self })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Rest<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(name) = self.map.next_key::<String>()? {
            // A step's own option goes before a shared one of the same name.
            if self.names.contains(&name.as_str()) {
                let name: StringDeserializer<A::Error> = name.into_deserializer();
                return seed.deserialize(name).map(Some);
            }
            let taken = self.base.take(&name, &mut self.map)?
                || match &mut self.shell {
                    Some(shell) => shell.take(&name, &mut self.map)?,
                    None => false,
                };
            if !taken {
                return Err(self.unknown(&name));
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

/// The schema of a step's own options, with that of the shared ones.
pub fn joined_schema(mut own: Schema, shell: bool, generator: &mut SchemaGenerator) -> Schema {
    let mut shared = vec![BaseStepParams::json_schema(generator)];
    if shell {
        shared.push(ShellParams::json_schema(generator));
    }
    let all = own.ensure_object();
    all.insert("additionalProperties".into(), false.into());
    let properties = all.entry("properties").or_insert_with(|| serde_json::json!({}));
    for more in shared.iter_mut().filter_map(|schema| schema.get_mut("properties")?.as_object_mut()) {
        for (name, option) in std::mem::take(more) {
            if let Some(properties) = properties.as_object_mut() {
                properties.entry(name).or_insert(option);
            }
        }
    }
    own
}
