//! `secrets.SecretProviderBase`: stores of classes of the configuration (12.001, lua-api § 3).

use super::Provider;
use async_trait::async_trait;
use lunabot_model::class::ClassOf;
use lunabot_model::kind::{Params, check_as, schema_of};
use lunabot_model::script::{CallSite, Inert, Instance};
use lunabot_model::{AnyObject, Arg, Category, Json, Kind, ScriptHost, ScriptObject};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// `secrets.SecretProviderBase`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnParams {}

impl Params for OwnParams {}

/// The base of stores of one's own.
pub const SECRET_PROVIDER_BASE: Kind = Kind {
    namespace: "secrets",
    name: "SecretProviderBase",
    aliases: &["Provider"],
    category: Category::Secret,
    positional: &[],
    flat: false,
    doc: "The base of secret stores of your own: extend it with get(self, name), which returns a text, or nil for a name \
          that it does not know.",
    schema: schema_of::<OwnParams>,
    check: check_as::<OwnParams>,
    callbacks: &[],
    extensible: true,
};

/// A store whose class is the configuration's.
pub struct OwnProvider {
    class: ClassOf,
    instance: Arc<Instance>,
    host: Arc<dyn ScriptHost>,
}

impl OwnProvider {
    /// The error says what would be right.
    pub fn open(object: &AnyObject, host: &Arc<dyn ScriptHost>) -> Result<Self, String> {
        let class = object.class.as_ref().map(ClassOf::read).transpose()?;
        let class = class.filter(|class| class.hook("get").is_some());
        let class = class.ok_or("does nothing by itself: extend it with a method get")?;
        let live = ScriptObject::new("secrets", "secrets", class.params.clone(), Arc::new(Inert));
        let instance = Arc::new(Instance { keep: host.keep(), of: object.id, live });
        Ok(OwnProvider { class, instance, host: host.clone() })
    }
}

#[async_trait]
impl Provider for OwnProvider {
    async fn get(&self, name: &str) -> Result<Option<String>, String> {
        let Some(callback) = self.class.hook("get") else { return Ok(None) };
        let site = CallSite::new("get", format!("secret store {}", self.class.name));
        let args = vec![Arg::Instance(self.instance.clone()), Arg::Value(name.into())];
        match self.host.call(callback, site.clone(), args).await.map_err(|error| error.message)? {
            Json::String(secret) => Ok(Some(secret)),
            Json::Null => Ok(None),
            // What it is instead may be a secret all the same.
            _ => {
                let text =
                    "get returned what is no text; return a text, or nil for a name that it does not know";
                self.host.nonsense(callback, site, text);
                Err(callback.placed(text))
            }
        }
    }
}
