//! Secrets of a simulated master: no provider is asked.

use lunabot_lua::Records;
use lunabot_model::{BoxFuture, Json, SecretSource, Time, Token};
use std::collections::HashMap;
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
}

impl SecretSource for Secrets {
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, String>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        let value = known.unwrap_or_else(|| Some(format!("value of {name}")));
        if let Some(value) = &value {
            self.records.learn(name, value);
        }
        Box::pin(std::future::ready(Ok(value)))
    }

    /// As a secret with the kind's name.
    fn token<'a>(&'a self, kind: &'a str, _: Json) -> BoxFuture<'a, Result<Token, String>> {
        Box::pin(async move {
            let text = self.get(kind).await?.ok_or("there is no token, says the test")?;
            Ok(Token { text, expires: Time(i64::MAX) })
        })
    }
}
