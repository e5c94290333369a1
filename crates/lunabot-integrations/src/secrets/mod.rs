//! Secret stores, asked in the order of the configuration; the first that knows a name wins (12.001, 12.007).

mod file;
mod own;

pub(crate) use file::text_of;
pub use file::{SECRET_IN_A_FILE, SecretInAFile};
pub use own::SECRET_PROVIDER_BASE;

use crate::change_sources::error_at;
use async_trait::async_trait;
use lunabot_model::config::ConfigError;
use lunabot_model::{AnyObject, BoxFuture, ScriptHost, SecretSource};
use std::path::Path;
use std::sync::Arc;

/// A store of secrets.
#[async_trait]
pub trait Provider: Send + Sync {
    /// The value, or `None` if the store does not know the name.
    async fn get(&self, name: &str) -> Result<Option<String>, String>;
}

/// The stores of one loaded configuration.
#[derive(Default)]
pub struct Secrets(Vec<(String, Box<dyn Provider>)>);

impl Secrets {
    /// Opens the declared stores; relative folders start at `base`. Collects every error.
    pub async fn load(
        declared: &[AnyObject],
        base: &Path,
        host: &Arc<dyn ScriptHost>,
    ) -> Result<Self, Vec<ConfigError>> {
        let (mut providers, mut errors) = (Vec::new(), Vec::new());
        for object in declared {
            match open(object, base, host).await {
                Ok(provider) => providers.push((object.kind.clone(), provider)),
                Err(found) => errors.extend(found.into_iter().map(|message| error_at(object, message))),
            }
        }
        if errors.is_empty() { Ok(Secrets(providers)) } else { Err(errors) }
    }
}

async fn open(
    object: &AnyObject,
    base: &Path,
    host: &Arc<dyn ScriptHost>,
) -> Result<Box<dyn Provider>, Vec<String>> {
    if object.kind == SECRET_PROVIDER_BASE.path() {
        return Ok(Box::new(own::OwnProvider::open(object, host).map_err(|error| vec![error])?));
    }
    if object.kind != SECRET_IN_A_FILE.path() {
        return Err(vec!["this secret store is not supported yet".into()]);
    }
    let params = object.typed().map_err(|e| vec![e.to_string()])?.args;
    Ok(Box::new(SecretInAFile::load(params, base).await?))
}

impl SecretSource for Secrets {
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, String>> {
        Box::pin(async move {
            for (kind, provider) in &self.0 {
                let found = provider.get(name).await.map_err(|e| format!("{kind}: secret {name}: {e}"))?;
                if found.is_some() {
                    return Ok(found);
                }
            }
            Ok(None)
        })
    }
}
