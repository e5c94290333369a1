//! Secrets of a simulated master: no provider is asked.

use lunabot_lua::Records;
use lunabot_model::object::token_name;
use lunabot_model::{BoxFuture, Json, SecretSource, Time, Token};
use std::collections::HashMap;
use std::future::ready;
use std::sync::{Arc, Mutex, PoisonError};

/// Every secret has a value that is made up, unless the test says another, or that nobody knows it.
pub struct Secrets {
    known: Mutex<HashMap<String, Option<String>>>,
    records: Arc<Records>,
}

impl Secrets {
    pub fn new(records: Arc<Records>) -> Self {
        Secrets { known: Mutex::default(), records }
    }

    pub fn set(&self, name: &str, value: Option<String>) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(name.into(), value);
    }

    /// The value of a secret, which is shown as `<shown>` from now on.
    fn told(&self, name: &str, shown: &str) -> Option<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        let value = known.unwrap_or_else(|| Some(format!("value of {name}")));
        value.inspect(|value| self.records.learn(shown, value))
    }
}

impl SecretSource for Secrets {
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, String>> {
        Box::pin(ready(Ok(self.told(name, name))))
    }

    /// As a secret with the kind's name.
    fn token<'a>(&'a self, kind: &'a str, _: Json) -> BoxFuture<'a, Result<Token, String>> {
        let text = self.told(kind, token_name(kind).unwrap_or(kind));
        let token = text.map(|text| Token { text, expires: Time(i64::MAX) });
        Box::pin(ready(token.ok_or_else(|| "there is no token, says the test".into())))
    }
}
