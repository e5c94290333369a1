//! A class of latent workers of the configuration: its methods, and what `self` is in them (reference 08.038, 08.039, 08.048).

use super::kind::LatentSpec;
use super::machine::STOP_WITHIN;
use super::terms::{Call, Failure};
use crate::Generation;
use crate::step::with_traceback;
use lunabot_model::render::ServiceScope;
use lunabot_model::script::{CallSite, Inert, Instance, LiveObject};
use lunabot_model::{Arg, BoxFuture, Json, Properties, ScriptError, ScriptErrorKind, ScriptObject};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::OnceCell;

/// The largest table, in bytes of JSON, that `start_instance` may return.
const MAX_INSTANCE: usize = 64 * 1024;

/// What is known of a worker's instance; it outlives reloads.
#[derive(Default)]
pub(crate) struct Current(Mutex<Known>);

#[derive(Default, Clone)]
struct Known {
    instance: Json,
    password: Json,
}

impl Current {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `start_instance` has returned; null: nothing yet.
    pub fn instance(&self) -> Json {
        self.known().instance.clone()
    }

    pub fn set_instance(&self, instance: Json) {
        self.known().instance = instance;
    }

    /// There is no instance; the next one has this password.
    pub fn begin(&self, password: &str) {
        *self.known() = Known { instance: Json::Null, password: password.into() };
    }

    pub fn clear(&self) {
        *self.known() = Known::default();
    }
}

/// A latent worker of one generation.
pub(crate) struct LatentClass {
    pub generation: Arc<Generation>,
    pub spec: Arc<LatentSpec>,
    pub current: Arc<Current>,
    this: OnceCell<Arc<Instance>>,
}

impl LatentClass {
    pub fn new(generation: &Arc<Generation>, spec: &Arc<LatentSpec>, current: Arc<Current>) -> Self {
        LatentClass { generation: generation.clone(), spec: spec.clone(), current, this: OnceCell::new() }
    }

    /// `worker NAME`, for messages.
    pub fn concerns(&self) -> String {
        format!("worker {}", self.spec.params.name)
    }

    /// 08.042. What it has returned is known from then on, even what it must not return: `stop_instance` may need it.
    pub async fn start(&self, build: ScriptObject) -> Result<(), Failure> {
        let answer = self.endless("start_instance", Arg::Object(build)).await.map_err(failure_of)?;
        if matches!(answer, Json::Bool(true) | Json::Object(_) | Json::Array(_)) {
            self.current.set_instance(answer.clone());
        }
        match &answer {
            Json::Bool(true) => Ok(()),
            Json::Bool(false) => Err(Failure::new("start_instance returned false: it cannot start one now")),
            Json::Object(_) | Json::Array(_) if answer.to_string().len() > MAX_INSTANCE => {
                let text = format!(
                    "start_instance returned more than {MAX_INSTANCE} bytes; return what tells the instance"
                );
                Err(Failure::new(self.nonsense("start_instance", text)))
            }
            Json::Object(_) | Json::Array(_) => Ok(()),
            Json::Null | Json::Number(_) | Json::String(_) => Err(Failure::new(self.nonsense(
                "start_instance",
                self.wrong("start_instance", &answer, "true, false or a table"),
            ))),
        }
    }

    /// 08.045. What it returns does not count.
    pub async fn stop(&self, fast: bool) -> Result<(), String> {
        let stopped = self.endless("stop_instance", Arg::Value(fast.into())).await;
        stopped.map(drop).map_err(|error| error.message)
    }

    /// 08.042. A check that breaks says nothing about the instance.
    pub async fn check(&self) -> Result<(), String> {
        let Ok(answer) = self.call("check_instance", None, false).await else { return Ok(()) };
        match &answer {
            Json::Bool(true) => Ok(()),
            Json::Bool(false) => Err("check_instance returned false".into()),
            Json::Array(items) => match items.as_slice() {
                [Json::Bool(true), ..] => Ok(()),
                [Json::Bool(false), Json::String(why), ..] => Err(why.clone()),
                _ => self.odd_check(&answer),
            },
            Json::Null | Json::Number(_) | Json::String(_) | Json::Object(_) => self.odd_check(&answer),
        }
    }

    fn odd_check(&self, answer: &Json) -> Result<(), String> {
        let told = self.wrong("check_instance", answer, "true, or false and a text");
        self.nonsense("check_instance", told);
        Ok(())
    }

    /// 08.048. Where the class does not say, every build suits.
    pub async fn suits(&self, properties: Properties) -> Result<bool, ScriptError> {
        if self.spec.class.hook("isCompatibleWithBuild").is_none() {
            return Ok(true);
        }
        let properties = Arg::Properties(Arc::new(Inert), properties);
        match self.call("isCompatibleWithBuild", Some(properties), false).await? {
            Json::Bool(suits) => Ok(suits),
            Json::Null => Ok(false),
            other => {
                let message = self.wrong("isCompatibleWithBuild", &other, "true, false or nil");
                let message = self.nonsense("isCompatibleWithBuild", message);
                Err(ScriptError { kind: ScriptErrorKind::Nonsense, message, traceback: String::new() })
            }
        }
    }

    /// Where a method is written: `master.lua:40`.
    pub fn place(&self, method: &str) -> &str {
        self.spec.class.hook(method).map_or("", |callback| callback.at.as_str())
    }

    /// Bounded by whoever waits for it.
    async fn endless(&self, method: &'static str, arg: Arg) -> Result<Json, ScriptError> {
        self.call(method, Some(arg), true).await
    }

    async fn call(&self, method: &'static str, arg: Option<Arg>, endless: bool) -> Result<Json, ScriptError> {
        let Some(callback) = self.spec.class.hook(method) else { return Ok(Json::Bool(true)) };
        let this = Arg::Instance(self.this().await?.clone());
        let site = CallSite::new(method, self.concerns());
        let site = if endless { site.endless() } else { site };
        self.generation.host.call(callback, site, std::iter::once(this).chain(arg).collect()).await
    }

    /// A call was dropped because it took its time.
    pub fn was_late(&self, call: Call) {
        let (method, limit) = match call {
            Call::Start => (
                "start_instance",
                format!("{} s (missing_timeout)", self.spec.settings().missing.as_secs_f64()),
            ),
            Call::Stop => ("stop_instance", format!("{} s", STOP_WITHIN.as_secs())),
            Call::Check => return,
        };
        let Some(callback) = self.spec.class.hook(method) else { return };
        let told = format!("{method} did not end within {limit}");
        self.generation.host.late(callback, CallSite::new(method, self.concerns()), &told);
    }

    fn nonsense(&self, method: &'static str, told: String) -> String {
        let Some(callback) = self.spec.class.hook(method) else { return told };
        self.generation.host.nonsense(callback, CallSite::new(method, self.concerns()), &told);
        callback.placed(&told)
    }

    fn wrong(&self, method: &str, answer: &Json, expected: &str) -> String {
        format!("{method} returned {}; return {expected}", self.generation.host.shown(answer))
    }

    /// `self`: one for as long as the worker runs under this configuration.
    async fn this(&self) -> Result<&Arc<Instance>, ScriptError> {
        self.this.get_or_try_init(|| self.make()).await
    }

    async fn make(&self) -> Result<Arc<Instance>, ScriptError> {
        let LatentSpec { object, class, params } = &*self.spec;
        let mut fields = object.args.as_object().cloned().unwrap_or_default();
        fields.remove("password");
        let scope = ServiceScope {
            script: self.generation.host.clone(),
            secrets: self.generation.secrets.clone(),
            concerns: self.concerns(),
        };
        let own = scope.params(class).await?;
        fields.extend(own.as_object().cloned().unwrap_or_default());
        fields.insert("workername".into(), params.name.as_str().into());
        fields.insert("masterFQDN".into(), params.master_fqdn.clone().unwrap_or_else(fqdn).into());
        let master = ScriptObject::master(0);
        let handle = Arc::new(Handle(self.current.clone()));
        let live = ScriptObject {
            children: vec![("master", Arg::Object(master))],
            ..ScriptObject::new("latentworker", "latentworker", fields.into(), handle).with_methods(METHODS)
        };
        let host = &self.generation.host;
        let instance = Arc::new(Instance { keep: host.keep(), of: object.id, live });
        if let Some(callback) = class.hook("before_start") {
            let site = CallSite::new("before_start", self.concerns());
            host.call(callback, site, vec![Arg::Instance(instance.clone())]).await?;
        }
        Ok(instance)
    }
}

/// 08.047: who gives up (`util.fail`) says that trying again is of no use.
fn failure_of(error: ScriptError) -> Failure {
    let hopeless = error.kind == ScriptErrorKind::Failed;
    let why = if hopeless { error.message } else { with_traceback(error.message, &error.traceback) };
    Failure { hopeless, why }
}

/// The master's name for others: the host name of its machine.
pub(crate) fn fqdn() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "localhost".into(),
        name => name.into(),
    }
}

/// What the base says of itself.
const METHODS: &[&str] = &["start_instance", "stop_instance", "check_instance", "isCompatibleWithBuild"];

/// What is new with each instance.
struct Handle(Arc<Current>);

impl LiveObject for Handle {
    fn call<'a>(&'a self, method: &'a str, _: Vec<Json>) -> BoxFuture<'a, Result<Json, String>> {
        Box::pin(std::future::ready(match method {
            "check_instance" | "isCompatibleWithBuild" => Ok(true.into()),
            _ => Err(format!("worker.AbstractLatentWorker has no {method} of its own")),
        }))
    }

    fn field(&self, name: &str) -> Option<Json> {
        let known = self.0.known();
        match name {
            "instance" => Some(known.instance.clone()),
            "password" => Some(known.password.clone()),
            _ => None,
        }
    }
}
