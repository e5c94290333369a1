//! `changes.ChangeSource`, `changes.PollingChangeSource`: sources of classes of the configuration (02.004–02.007).

mod handle;
mod params;

use crate::change_sources::Mounts;
use crate::kinds::{ChangeSourceKind, checked};
use crate::poller_params::CategoryOption;
use crate::source::{PollTimes, Poller, SourceContext, SourceError};
use async_trait::async_trait;
use handle::{Adding, Handle, METHODS};
use lunabot_data::Memory;
use lunabot_model::class::{ClassOf, SERVE};
use lunabot_model::script::{CallSite, Instance};
use lunabot_model::{AnyObject, Arg, Callback, Json, Problem, ScriptObject};
use params::{CHANGE_SOURCE, ChangeSourceParams, POLLING, PollingParams};
use std::sync::{Arc, OnceLock};
use tokio::sync::{Mutex, Notify};

/// How long one poll may take.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(600);

/// See [`ChangeSourceKind`].
pub const SOURCE: ChangeSourceKind = ChangeSourceKind { kind: &CHANGE_SOURCE, default_name, build };
/// See [`ChangeSourceKind`].
pub const POLLER: ChangeSourceKind = ChangeSourceKind { kind: &POLLING, default_name, build: build_poller };

fn default_name(object: &AnyObject) -> String {
    let class = object.class.as_ref().and_then(|class| class["name"].as_str());
    class.unwrap_or(&object.kind).to_string()
}

fn build(object: &AnyObject) -> Result<Arc<dyn Poller>, Vec<Problem>> {
    let ChangeSourceParams { category, change_fn, .. } = checked(object)?;
    let never = std::time::Duration::ZERO;
    let times = PollTimes { interval: never, at_launch: false, delay: (never, never) };
    made(object, "activate", Options { times, category, change_fn })
}

fn build_poller(object: &AnyObject) -> Result<Arc<dyn Poller>, Vec<Problem>> {
    let params: PollingParams = checked(object)?;
    let times = params.common().times();
    let PollingParams { category, change_fn, .. } = params;
    made(object, "poll", Options { times, category, change_fn })
}

fn made(object: &AnyObject, wanted: &str, options: Options) -> Result<Arc<dyn Poller>, Vec<Problem>> {
    let told = |message: String| vec![Problem::new("", message)];
    let class = object.class.as_ref().map(ClassOf::read).transpose().map_err(told)?;
    let class = class.filter(|class| class.hook(wanted).is_some());
    let Some(class) = class else {
        return Err(told(format!("does nothing by itself: extend it with a method {wanted}")));
    };
    Ok(Arc::new(OwnSource {
        object: object.clone(),
        class,
        options,
        instance: Mutex::new(None),
        wanted: Arc::new(Notify::new()),
        mounts: OnceLock::new(),
    }))
}

/// The options of both bases.
struct Options {
    times: PollTimes,
    category: Option<CategoryOption>,
    change_fn: Option<Callback>,
}

struct OwnSource {
    object: AnyObject,
    class: ClassOf,
    options: Options,
    instance: Mutex<Option<Arc<Instance>>>,
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
    async fn this(&self, cx: &SourceContext) -> Result<Arc<Instance>, SourceError> {
        let mut instance = self.instance.lock().await;
        if let Some(instance) = &*instance {
            return Ok(instance.clone());
        }
        Ok(instance.insert(self.begin(cx).await?).clone())
    }

    async fn begin(&self, cx: &SourceContext) -> Result<Arc<Instance>, SourceError> {
        let mut fields = self.object.args.as_object().cloned().unwrap_or_default();
        let params = cx.params(&self.class).await?;
        fields.extend(params.as_object().cloned().unwrap_or_default());
        fields.insert("name".into(), cx.name.as_str().into());
        let mounts = self.mounts.get_or_init(|| Arc::new(Mounts::new(cx.served.clone())));
        let handle = Arc::new(Handle {
            memory: Memory { data: cx.data().clone(), object: cx.name.clone(), class: cx.class },
            wanted: self.wanted.clone(),
            mounts: mounts.clone(),
            intake: cx.intake.downgrade(),
            serve: self.class.hook(SERVE).cloned(),
            instance: OnceLock::new(),
        });
        let keep = cx.script().keep();
        let live = ScriptObject {
            children: vec![("master", Arg::Object(self.master(cx, keep.id())))],
            ..ScriptObject::new("changesource", "changesource", fields.into(), handle.clone())
                .with_methods(METHODS)
        };
        let instance = Arc::new(Instance { keep, of: self.object.id, live });
        // Nobody else has set it.
        let _ = handle.instance.set(Arc::downgrade(&instance));
        if let Some(callback) = self.class.hook("before_start") {
            let args = vec![Arg::Instance(instance.clone())];
            cx.script().call(callback, CallSite::new("before_start", cx.concerns()), args).await?;
        }
        Ok(instance)
    }

    /// `self.master`: what is subscribed to by it ends with the source, and changes that are added by it go through the
    /// options of the source.
    fn master(&self, cx: &SourceContext, scope: u64) -> ScriptObject {
        let adding = Adding {
            intake: cx.intake.downgrade(),
            category: self.options.category.clone(),
            change_fn: self.options.change_fn.clone(),
            concerns: cx.concerns(),
        };
        let master = ScriptObject::new("master", "master", Json::Null, Arc::new(adding));
        ScriptObject { scope, ..master.with_methods(&["addChange"]) }
    }

    /// Calls a method of the class, if it has it.
    async fn hook(&self, cx: &SourceContext, method: &str, endless: bool) -> Result<Json, SourceError> {
        let Some(callback) = self.class.hook(method) else { return Ok(Json::Null) };
        let args = vec![Arg::Instance(self.this(cx).await?)];
        let site = CallSite::new(method, cx.concerns());
        let site = if endless { site.endless() } else { site };
        Ok(cx.script().call(callback, site, args).await?)
    }
}

#[async_trait]
impl Poller for OwnSource {
    fn times(&self) -> PollTimes {
        self.options.times
    }

    fn describe(&self) -> String {
        self.class.name.clone()
    }

    async fn described(&self, cx: &SourceContext) -> Option<String> {
        match self.hook(cx, "describe", false).await {
            Ok(Json::String(text)) => Some(text),
            // An error is told by the host.
            Ok(Json::Null) | Err(_) => None,
            Ok(other) => {
                if let Some(callback) = self.class.hook("describe") {
                    let told = format!("describe returned {}; return a text", cx.script().shown(&other));
                    cx.script().nonsense(callback, CallSite::new("describe", cx.concerns()), &told);
                }
                None
            }
        }
    }

    async fn check(&self, _: &SourceContext) -> Result<(), SourceError> {
        Ok(())
    }

    async fn activate(&self, cx: &SourceContext) -> Result<(), SourceError> {
        let activated = self.hook(cx, "activate", false).await;
        if activated.is_err() {
            // What the attempt began ends with its object; the next one has a new object.
            self.unmount(true);
            self.instance.lock().await.take();
        }
        activated.map(drop)
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
                let told = format!("poll did not end within {} s", PATIENCE.as_secs());
                if let Some(callback) = self.class.hook("poll") {
                    cx.script().late(callback, CallSite::new("poll", cx.concerns()), &told);
                }
                Err(SourceError::Other(told))
            }
        }
    }
}
