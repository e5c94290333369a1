//! `changes.ChangeSource`, `changes.PollingChangeSource`: sources of classes of the configuration (02.004–02.007).

use crate::change_sources::Mounts;
use crate::kinds::{ChangeSourceKind, checked};
use crate::poller_params::{Common, default_interval, no_time, poller_kind};
use crate::source::{PollTimes, Poller, SourceContext, SourceError};
use async_trait::async_trait;
use lunabot_data::Data;
use lunabot_data::new::StateKey;
use lunabot_model::class::{ClassOf, SERVE};
use lunabot_model::kind::{Params, check_as, schema_of};
use lunabot_model::script::{CallSite, Inert, Instance, LiveObject};
use lunabot_model::{
    AnyObject, Arg, BoxFuture, Callback, Duration, Json, Kind, Problem, ScriptHost, ScriptObject,
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::{Arc, OnceLock, Weak};
use tokio::sync::{Notify, OnceCell};

/// How long one poll may take.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(600);

/// `changes.ChangeSource`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeSourceParams {
    /// Its name, under which its state is kept. Default: the name of the class.
    #[serde(default)]
    #[allow(dead_code, reason = "the manager of the sources reads it before they are made")]
    pub name: Option<String>,
}

impl Params for ChangeSourceParams {}

/// `changes.PollingChangeSource`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PollingParams {
    /// Its name, under which its state is kept. Default: the name of the class.
    #[serde(default)]
    #[allow(dead_code, reason = "the manager of the sources reads it before they are made")]
    pub name: Option<String>,
    /// Seconds between polls; 0: only when asked to. Default 600.
    #[serde(default = "default_interval", rename = "pollInterval")]
    pub poll_interval: Duration,
    /// Poll once at start, without waiting for the interval to pass.
    #[serde(default, rename = "pollAtLaunch")]
    pub poll_at_launch: bool,
    /// Bounds of a random delay before each poll, in seconds.
    #[serde(default = "no_time", rename = "pollRandomDelayMin")]
    pub poll_random_delay_min: Duration,
    #[serde(default = "no_time", rename = "pollRandomDelayMax")]
    pub poll_random_delay_max: Duration,
}

impl PollingParams {
    fn common(&self) -> Common<'_> {
        Common {
            interval: self.poll_interval,
            at_launch: self.poll_at_launch,
            delay: (self.poll_random_delay_min, self.poll_random_delay_max),
            category: None,
            change_fn: None,
        }
    }
}

impl Params for PollingParams {
    fn validate(&self) -> Vec<Problem> {
        self.common().problems()
    }
}

static CHANGE_SOURCE: Kind = Kind {
    extensible: true,
    ..poller_kind(
        "ChangeSource",
        &[],
        "The base of change sources of your own: extend it with activate and deactivate.",
        schema_of::<ChangeSourceParams>,
        check_as::<ChangeSourceParams>,
        &[],
    )
};

static POLLING: Kind = Kind {
    extensible: true,
    ..poller_kind(
        "PollingChangeSource",
        &[],
        "The base of pollers of your own: extend it with poll.",
        schema_of::<PollingParams>,
        check_as::<PollingParams>,
        &[],
    )
};

/// See [`ChangeSourceKind`].
pub const SOURCE: ChangeSourceKind = ChangeSourceKind { kind: &CHANGE_SOURCE, default_name, build };
/// See [`ChangeSourceKind`].
pub const POLLER: ChangeSourceKind = ChangeSourceKind { kind: &POLLING, default_name, build: build_poller };

fn default_name(object: &AnyObject) -> String {
    let class = object.class.as_ref().and_then(|class| class["name"].as_str());
    class.unwrap_or(&object.kind).to_string()
}

fn build(object: &AnyObject) -> Result<Arc<dyn Poller>, Vec<Problem>> {
    checked::<ChangeSourceParams>(object)?;
    let never = std::time::Duration::ZERO;
    let times = PollTimes { interval: never, at_launch: false, delay: (never, never) };
    made(object, times, "activate")
}

fn build_poller(object: &AnyObject) -> Result<Arc<dyn Poller>, Vec<Problem>> {
    let params: PollingParams = checked(object)?;
    made(object, params.common().times(), "poll")
}

fn made(object: &AnyObject, times: PollTimes, wanted: &str) -> Result<Arc<dyn Poller>, Vec<Problem>> {
    let told = |message: String| vec![Problem::new("", message)];
    let class = object.class.as_ref().map(ClassOf::read).transpose().map_err(told)?;
    let class = class.filter(|class| class.hook(wanted).is_some());
    let Some(class) = class else {
        return Err(told(format!("does nothing by itself: extend it with a method {wanted}")));
    };
    let wanted = Arc::new(Notify::new());
    let mounts = OnceLock::new();
    Ok(Arc::new(OwnSource {
        object: object.clone(),
        class,
        times,
        instance: OnceCell::new(),
        wanted,
        mounts,
    }))
}

struct OwnSource {
    object: AnyObject,
    class: ClassOf,
    times: PollTimes,
    instance: OnceCell<Arc<Instance>>,
    /// `self:force()` was called.
    wanted: Arc<Notify>,
    /// What it serves, once it acts.
    mounts: OnceLock<Arc<Mounts>>,
}

impl Drop for OwnSource {
    fn drop(&mut self) {
        // Functions of the configuration may hold on to `self`, and so to the handle.
        self.unmount(false);
    }
}

impl OwnSource {
    fn unmount(&self, again: bool) {
        if let Some(mounts) = self.mounts.get() {
            mounts.clear(again);
        }
    }

    /// `self`: one for as long as the source runs under this configuration.
    async fn this(&self, cx: &SourceContext) -> Result<&Arc<Instance>, SourceError> {
        self.instance
            .get_or_try_init(|| async {
                let mut fields = self.object.args.as_object().cloned().unwrap_or_default();
                let params = cx.render(&self.class.params).await?;
                fields.extend(params.as_object().cloned().unwrap_or_default());
                fields.insert("name".into(), cx.name.as_str().into());
                let mounts = self.mounts.get_or_init(|| Arc::new(Mounts::new(cx.served.clone())));
                let handle = Arc::new(Handle {
                    data: cx.data().clone(),
                    name: cx.name.clone(),
                    class: cx.class,
                    wanted: self.wanted.clone(),
                    mounts: mounts.clone(),
                    script: Arc::downgrade(cx.script()),
                    serve: self.class.hook(SERVE).cloned(),
                    instance: OnceLock::new(),
                });
                let master = ScriptObject::new("master", "master", Json::Null, Arc::new(Inert));
                let live = ScriptObject {
                    children: vec![("master", Arg::Object(master))],
                    ..ScriptObject::new("changesource", "changesource", fields.into(), handle.clone())
                        .with_methods(METHODS)
                };
                let instance = Arc::new(Instance { keep: cx.script().keep(), of: self.object.id, live });
                // Nobody else has set it.
                let _ = handle.instance.set(Arc::downgrade(&instance));
                if let Some(callback) = self.class.hook("before_start") {
                    let args = vec![Arg::Instance(instance.clone())];
                    cx.script().call(callback, CallSite::new("before_start", cx.concerns()), args).await?;
                }
                Ok(instance)
            })
            .await
    }

    /// Calls a method of the class, if it has it.
    async fn hook(&self, cx: &SourceContext, method: &str, endless: bool) -> Result<Json, SourceError> {
        let Some(callback) = self.class.hook(method) else { return Ok(Json::Null) };
        let args = vec![Arg::Instance(self.this(cx).await?.clone())];
        let site = CallSite::new(method, cx.concerns());
        let site = if endless { site.endless() } else { site };
        Ok(cx.script().call(callback, site, args).await?)
    }
}

#[async_trait]
impl Poller for OwnSource {
    fn times(&self) -> PollTimes {
        self.times
    }

    fn describe(&self) -> String {
        self.class.name.clone()
    }

    async fn described(&self, cx: &SourceContext) -> Option<String> {
        match self.hook(cx, "describe", false).await {
            Ok(Json::String(text)) => Some(text),
            // An error is told by the host.
            Ok(_) | Err(_) => None,
        }
    }

    async fn check(&self, _: &SourceContext) -> Result<(), SourceError> {
        Ok(())
    }

    async fn activate(&self, cx: &SourceContext) -> Result<(), SourceError> {
        // What an attempt that failed served is served anew.
        self.unmount(true);
        self.hook(cx, "activate", false).await.map(drop)
    }

    async fn deactivate(&self, cx: &SourceContext) -> Result<(), SourceError> {
        self.unmount(false);
        self.hook(cx, "deactivate", false).await.map(drop)
    }

    fn is_active(&self) -> bool {
        true
    }

    async fn arrived(&self) {
        self.wanted.notified().await;
    }

    async fn poll(&self, cx: &SourceContext) -> Result<(), SourceError> {
        tokio::select! {
            polled = self.hook(cx, "poll", true) => polled.map(drop),
            () = cx.clock.sleep(PATIENCE) => {
                Err(SourceError::Other(format!("poll did not end within {} s", PATIENCE.as_secs())))
            }
        }
    }
}

/// `spawn`, and of `serve` the function, stay with the script host.
const METHODS: &[&str] =
    &["getState", "setState", "force", "spawn", "serve", "activate", "deactivate", "describe"];

/// What the methods act on.
struct Handle {
    data: Data,
    name: String,
    class: &'static str,
    wanted: Arc<Notify>,
    mounts: Arc<Mounts>,
    /// The interpreter, which may hold this.
    script: Weak<dyn ScriptHost>,
    /// What is called for requests that it serves.
    serve: Option<Callback>,
    /// What is called is a method of; it holds this.
    instance: OnceLock<Weak<Instance>>,
}

impl LiveObject for Handle {
    fn call<'a>(&'a self, method: &'a str, args: Vec<Json>) -> BoxFuture<'a, Result<Json, String>> {
        Box::pin(async move {
            match (method, args.as_slice()) {
                ("getState", [Json::String(key)] | [Json::String(key), _]) => {
                    let found =
                        self.data.get_state(&self.key(key)).await.map_err(|error| error.to_string())?;
                    Ok(found.unwrap_or_else(|| args.get(1).cloned().unwrap_or_default()))
                }
                ("getState", _) => Err("getState(key, default): key: expected a text".into()),
                ("setState", [Json::String(key), rest @ ..]) if rest.len() <= 1 => {
                    let value = rest.first().cloned().unwrap_or_default();
                    let stored = self.data.set_state(&self.key(key), value).await;
                    stored.map_err(|error| error.to_string())?.await.map_err(|error| error.to_string())?;
                    Ok(Json::Null)
                }
                ("setState", _) => Err("setState(key, value): key: expected a text".into()),
                ("force", []) => {
                    self.wanted.notify_one();
                    Ok(Json::Null)
                }
                ("activate" | "deactivate", _) => Ok(Json::Null),
                ("describe", _) => Ok(self.name.as_str().into()),
                ("serve", [Json::String(path), Json::String(at)]) => self.serve(path, at).map(Json::String),
                _ => Err(format!("{method} takes no arguments")),
            }
        })
    }
}

impl Handle {
    /// `at`: where the function for the path was written.
    fn serve(&self, path: &str, at: &str) -> Result<String, String> {
        let parts = self.serve.as_ref().zip(self.instance.get());
        let (callback, instance) = parts.ok_or("serve works once it acts: in activate")?;
        let script = self.script.upgrade().ok_or("the configuration is gone")?;
        let callback = callback.written_at(at);
        let path = self.mounts.add(path, &self.name, &script, callback, instance.clone())?;
        tracing::info!("change source {} serves /change_hook/custom/{path}", self.name);
        Ok(path)
    }

    fn key(&self, name: &str) -> StateKey {
        StateKey { object: self.name.clone(), class: self.class.into(), name: name.into() }
    }
}
