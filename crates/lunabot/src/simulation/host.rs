//! The script host as a simulated master has it: calls are counted, and instances of latent workers connect.

use super::reported::Reported;
use lunabot_model::script::{CallSite, Instance, Keep};
use lunabot_model::{Arg, BoxFuture, Callback, Json, ScriptError, ScriptHost};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;

/// What becomes of the instance of a latent worker.
#[derive(Debug)]
pub enum Latent {
    Started(String),
    Stopped(String),
}

/// See the module.
pub struct CountingHost {
    inner: Arc<dyn ScriptHost>,
    calls: AtomicU64,
    reported: Arc<Reported>,
    latents: mpsc::UnboundedSender<Latent>,
}

impl CountingHost {
    /// Instances are told by the channel: as many as the configuration starts.
    pub fn new(inner: Arc<dyn ScriptHost>) -> (Arc<Self>, mpsc::UnboundedReceiver<Latent>) {
        let (latents, told) = mpsc::unbounded_channel();
        let (calls, reported) = (AtomicU64::new(0), Arc::default());
        (Arc::new(CountingHost { inner, calls, reported, latents }), told)
    }

    /// What reporters have delivered.
    pub fn reported(&self) -> &Arc<Reported> {
        &self.reported
    }

    /// Grows whenever a call begins or ends.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Calls a function without counting it.
    pub async fn quietly(&self, callback: &Callback, site: CallSite) -> Result<Json, ScriptError> {
        self.inner.call(callback, site, Vec::new()).await
    }

    fn count(&self) {
        self.calls.fetch_add(1, Ordering::SeqCst);
    }

    fn tell(&self, site: &CallSite, answer: &Result<Json, ScriptError>) {
        let Some(worker) = site.concerns.strip_prefix("worker ") else { return };
        let told = match (site.callback.as_str(), answer) {
            ("start_instance", Ok(Json::Bool(true) | Json::Object(_) | Json::Array(_))) => {
                Latent::Started(worker.into())
            }
            ("stop_instance", Ok(_)) => Latent::Stopped(worker.into()),
            _ => return,
        };
        // A master that has ended has no workers.
        let _ = self.latents.send(told);
    }
}

impl ScriptHost for CountingHost {
    fn call<'a>(
        &'a self,
        callback: &'a Callback,
        site: CallSite,
        args: Vec<Arg>,
    ) -> BoxFuture<'a, Result<Json, ScriptError>> {
        Box::pin(async move {
            self.count();
            let reports = Reported::of(&site, &args);
            let answer = self.inner.call(callback, site.clone(), args).await;
            self.count();
            self.tell(&site, &answer);
            if let Some(reports) = reports {
                self.reported.note(reports, &answer);
            }
            answer
        })
    }

    fn call_each<'a>(
        &'a self,
        callback: &'a Callback,
        site: CallSite,
        common: Vec<Arg>,
        each: Vec<Arg>,
    ) -> BoxFuture<'a, Vec<Result<Json, ScriptError>>> {
        Box::pin(async move {
            self.count();
            let answers = self.inner.call_each(callback, site, common, each).await;
            self.count();
            answers
        })
    }

    fn nonsense(&self, callback: &Callback, site: CallSite, message: &str) {
        self.inner.nonsense(callback, site, message);
    }

    fn late(&self, callback: &Callback, site: CallSite, message: &str) {
        self.inner.late(callback, site, message);
    }

    fn conceal<'a>(&self, text: &'a str) -> std::borrow::Cow<'a, str> {
        self.inner.conceal(text)
    }

    fn generation(&self) -> u64 {
        self.inner.generation()
    }

    fn introduce(&self, instance: Arc<Instance>) -> BoxFuture<'_, ()> {
        self.inner.introduce(instance)
    }

    fn keep(&self) -> Keep {
        self.inner.keep()
    }

    fn superseded(&self) {
        self.inner.superseded();
    }
}
