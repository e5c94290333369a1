//! What something that the configuration declares remembers: `getState`, `setState` (14.028).

use crate::new::{StateKey, StateValue};
use crate::{Data, DataError};
use lunabot_model::{Callback, Json};

/// The memory of one object. It survives restarts.
#[derive(Clone)]
pub struct Memory {
    pub data: Data,
    /// Its name.
    pub object: String,
    pub class: &'static str,
}

impl Memory {
    /// `None`: nothing was stored, or it was forgotten: in Lua, to store nil is to forget.
    pub async fn get(&self, key: &str) -> Result<Option<StateValue>, DataError> {
        Ok(self.data.get_state(&self.key(key)).await?.filter(|value| !value.is_null()))
    }

    /// Stored when it returns.
    pub async fn set(&self, key: &str, value: StateValue) -> Result<(), DataError> {
        if let Some(why) = Callback::not_to_be_stored(&value) {
            return Err(DataError::BadQuery(format!("{key}: {why}")));
        }
        self.data.set_state(&self.key(key), value).await?.await
    }

    /// `getState(key, default)` and `setState(key, value)` as functions call them; `None`: it is another method.
    pub async fn call(&self, method: &str, args: &[Json]) -> Option<Result<Json, String>> {
        let told = |error: DataError| error.to_string();
        match (method, args) {
            ("getState", [Json::String(key), default @ ..]) if default.len() <= 1 => {
                let default = || default.first().cloned().unwrap_or_default();
                Some(self.get(key).await.map(|found| found.unwrap_or_else(default)).map_err(told))
            }
            ("setState", [Json::String(key), value @ ..]) if value.len() <= 1 => {
                let value = value.first().cloned().unwrap_or_default();
                Some(self.set(key, value).await.map(|()| Json::Null).map_err(told))
            }
            ("getState", [] | [_, _, _, ..]) => {
                Some(Err("getState(key, default): takes a key and a default".into()))
            }
            ("setState", [] | [_, _, _, ..]) => {
                Some(Err("setState(key, value): takes a key and a value".into()))
            }
            ("getState", _) => Some(Err("getState(key, default): key: expected a text".into())),
            ("setState", _) => Some(Err("setState(key, value): key: expected a text".into())),
            _ => None,
        }
    }

    fn key(&self, name: &str) -> StateKey {
        StateKey { object: self.object.clone(), class: self.class.into(), name: name.into() }
    }
}
