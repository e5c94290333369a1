//! What reporters work with, and the objects of the configuration that they ask.

use super::working::Working;
use lunabot_data::{Data, DataError};
use lunabot_model::class::ClassOf;
use lunabot_model::render::{RenderError, ServiceScope};
use lunabot_model::script::{CallSite, Instance, LiveObject};
use lunabot_model::{
    AnyObject, Arg, Callback, Json, ScriptError, ScriptErrorKind, ScriptHost, ScriptObject, SecretSource,
    Templates,
};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::OnceCell;

/// What is said of the master itself.
#[derive(Debug, Clone, Default)]
pub struct Site {
    pub title: String,
    /// Ends in a slash.
    pub url: String,
}

/// What one reporter works with.
#[derive(Clone)]
pub(crate) struct Means {
    pub data: Data,
    pub script: Arc<dyn ScriptHost>,
    pub secrets: Arc<dyn SecretSource>,
    pub templates: Arc<dyn Templates>,
    /// As the newest configuration has it.
    pub site: Arc<RwLock<Site>>,
    /// `reporter NAME`, for messages.
    pub concerns: String,
    pub working: Working,
}

/// Why something was not reported.
#[derive(Debug)]
pub(crate) enum Fault {
    /// A function failed; the script host has told it.
    Script(ScriptError),
    /// A renderable of the reporter could not be rendered.
    Render(RenderError),
    /// Something else, in words.
    Other(String),
}

impl Fault {
    /// A function was not called, and may be after so long: nothing was tried.
    pub fn suspended(&self) -> Option<Duration> {
        match self {
            Fault::Script(ScriptError { kind: ScriptErrorKind::Suspended(left), .. }) => Some(*left),
            Fault::Render(error) => error.suspended(),
            Fault::Script(_) | Fault::Other(_) => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Script(error) => error.fmt(f),
            Fault::Render(error) => error.fmt(f),
            Fault::Other(text) => f.write_str(text),
        }
    }
}

impl From<ScriptError> for Fault {
    fn from(error: ScriptError) -> Self {
        Fault::Script(error)
    }
}

impl From<RenderError> for Fault {
    fn from(error: RenderError) -> Self {
        Fault::Render(error)
    }
}

impl From<DataError> for Fault {
    fn from(error: DataError) -> Self {
        Fault::Other(error.to_string())
    }
}

impl From<String> for Fault {
    fn from(text: String) -> Self {
        Fault::Other(text)
    }
}

impl Means {
    pub fn site(&self) -> Site {
        self.site.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn scope(&self) -> ServiceScope {
        ServiceScope {
            script: self.script.clone(),
            secrets: self.secrets.clone(),
            concerns: self.concerns.clone(),
        }
    }

    pub async fn call(&self, callback: &Callback, what: &str, args: Vec<Arg>) -> Result<Json, Fault> {
        let _waits = self.working.pause();
        Ok(self.script.call(callback, CallSite::new(what, self.concerns.as_str()), args).await?)
    }

    /// An answer that `what` must not give.
    pub fn nonsense(&self, callback: &Callback, what: &str, message: &str) -> Fault {
        self.script.nonsense(callback, CallSite::new(what, self.concerns.as_str()), message);
        Fault::Other(message.to_owned())
    }
}

/// `lunabot.master`; what is subscribed to by it ends with `scope`.
pub(crate) fn master(scope: u64) -> Arg {
    Arg::Object(ScriptObject::master(scope))
}

/// A declared reporter, generator or formatter, with its `self` if its class is the configuration's.
pub(crate) struct Thing {
    pub object: AnyObject,
    class: Option<ClassOf>,
    instance: OnceCell<Arc<Instance>>,
}

impl Thing {
    /// The error is ours: the script host wrote the class.
    pub fn read(object: &AnyObject) -> Result<Thing, String> {
        let class = object.class.as_ref().map(ClassOf::read).transpose()?;
        Ok(Thing { object: object.clone(), class, instance: OnceCell::new() })
    }

    pub fn has_class(&self) -> bool {
        self.class.is_some()
    }

    pub fn hook(&self, name: &str) -> Option<&Callback> {
        self.class.as_ref()?.hook(name)
    }

    /// What it is to a function: the same `self` every time, or the object as declared.
    pub async fn this(&self, means: &Means, live: impl FnOnce() -> Live) -> Result<Arg, Fault> {
        let Some(class) = &self.class else {
            return Ok(Arg::Value(serde_json::json!(self.object)));
        };
        // Only who makes it works; whoever else wants it waits for that.
        let _waits = means.working.pause();
        let made = self.instance.get_or_try_init(|| self.begin(means, class, live())).await?;
        Ok(Arg::Instance(made.clone()))
    }

    async fn begin(&self, means: &Means, class: &ClassOf, live: Live) -> Result<Arc<Instance>, Fault> {
        let _works = means.working.begin();
        let mut fields = self.object.args.as_object().cloned().unwrap_or_default();
        let params = {
            let _waits = means.working.pause();
            means.scope().params(class).await?
        };
        fields.extend(params.as_object().cloned().unwrap_or_default());
        fields.extend(live.fields);
        let keep = means.script.keep();
        let object = ScriptObject {
            children: vec![("master", master(keep.id()))],
            ..ScriptObject::new(
                live.what,
                format!("{} {}", live.what, self.object.id),
                fields.into(),
                live.handle,
            )
            .with_methods(live.methods)
        };
        let instance = Arc::new(Instance { keep, of: self.object.id, live: object });
        if let Some(callback) = class.hook("before_start") {
            means.call(callback, "before_start", vec![Arg::Instance(instance.clone())]).await?;
        }
        Ok(instance)
    }
}

/// What the master lends a `self`.
pub(crate) struct Live {
    /// `reporter`, `generator`, `formatter`.
    pub what: &'static str,
    pub fields: serde_json::Map<String, Json>,
    pub methods: &'static [&'static str],
    pub handle: Arc<dyn LiveObject>,
}
