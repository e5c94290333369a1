//! Objects of classes of the configuration that act for as long as the master wants: services, schedulers, and fields of
//! forms for as long as one form is read (lua-api § 3).

use super::args::{Args, NOTHING, Reply, value};
use lunabot_data::Memory;
use lunabot_model::render::ServiceScope;
use lunabot_model::script::{CallSite, Instance, LiveObject};
use lunabot_model::{
    AnyObject, Arg, ClassOf, Clock, Json, ScriptError, ScriptHost, ScriptObject, SecretSource,
};
use std::sync::Arc;
use std::time::Duration;

/// Before what failed is tried again at first; twice as long each further time.
pub(crate) const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// At most.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// So long one that is stopped is waited for.
const FAREWELL: Duration = Duration::from_secs(15);

/// An object that is declared, with what its methods need. It keeps the interpreter of its generation, and no build of it.
pub(crate) struct Own {
    /// `service`, `scheduler`, `field`.
    pub what: &'static str,
    pub name: String,
    /// `service NAME`, for messages.
    pub concerns: String,
    pub object: AnyObject,
    pub class: ClassOf,
    pub host: Arc<dyn ScriptHost>,
    pub secrets: Arc<dyn SecretSource>,
}

/// One that acts. What it has begun in the interpreter ends with this.
pub(crate) struct Acting {
    own: Arc<Own>,
    instance: Arc<Instance>,
}

impl Own {
    /// A fresh `self`, which can do `methods`; `handle` carries them out, and must not hold the interpreter.
    pub async fn begin(
        self: &Arc<Self>,
        methods: &'static [&'static str],
        handle: Arc<dyn LiveObject>,
    ) -> Result<Acting, ScriptError> {
        let mut fields = self.object.args.as_object().cloned().unwrap_or_default();
        let scope = ServiceScope {
            script: self.host.clone(),
            secrets: self.secrets.clone(),
            concerns: self.concerns.clone(),
        };
        let params = scope.params(&self.class).await?;
        fields.extend(params.as_object().cloned().unwrap_or_default());
        fields.insert("name".into(), self.name.as_str().into());
        let keep = self.host.keep();
        let master = ScriptObject::master(keep.id());
        let live = ScriptObject {
            children: vec![("master", Arg::Object(master))],
            ..ScriptObject::new(self.what, self.what, fields.into(), handle).with_methods(methods)
        };
        let instance = Arc::new(Instance { keep, of: self.object.id, live });
        let acting = Acting { own: self.clone(), instance };
        acting.hook("before_start", Vec::new()).await?;
        Ok(acting)
    }
}

impl Acting {
    /// Whether the class has this method.
    pub fn has(&self, method: &str) -> bool {
        self.own.class.hook(method).is_some()
    }

    /// Calls a method, if the class has it.
    pub async fn hook(&self, method: &str, args: Vec<Arg>) -> Result<Json, ScriptError> {
        let Some(callback) = self.own.class.hook(method) else { return Ok(Json::Null) };
        let this = std::iter::once(Arg::Instance(self.instance.clone()));
        let site = CallSite::new(method, self.own.concerns.as_str());
        self.own.host.call(callback, site, this.chain(args).collect()).await
    }

    /// Calls the method that ends what it does, until it succeeds, but not for ever.
    pub async fn farewell(self, method: &str, clock: &dyn Clock) {
        let attempts = async {
            let mut pause = FIRST_PAUSE;
            // The host tells of the error.
            while self.hook(method, Vec::new()).await.is_err() {
                clock.sleep(pause).await;
                pause *= 2;
            }
        };
        tokio::select! {
            () = attempts => {}
            () = clock.sleep(FAREWELL) => {
                tracing::error!("{method} of {} did not succeed; it is given up", self.own.concerns);
            }
        }
    }
}

/// `getState(key, default)` of such an object.
pub(crate) async fn recalled(memory: &Memory, mut args: Args) -> Reply {
    match memory.get(&args.text("key")?).await.map_err(|error| error.to_string())? {
        Some(found) => value(found),
        None => Ok(args.take("default").unwrap_or(NOTHING)),
    }
}

/// `setState(key, value)`. Stored when it returns.
pub(crate) async fn remembered(memory: &Memory, mut args: Args) -> Reply {
    let key = args.text("key")?;
    let value = args.maybe("value")?.unwrap_or(Json::Null);
    memory.set(&key, value).await.map_err(|error| error.to_string())?;
    Ok(NOTHING)
}
