//! The side of the script host that other threads see: sends calls to the interpreter's thread and bounds them.

use crate::load::LoadOptions;
use crate::profile::Spent;
use crate::records::Records;
use crate::serve::{Answer, Job, Reply};
use futures::future::{Either, select};
use lunabot_model::config::LuaLimits;
use lunabot_model::script::{CallSite, Keep};
use lunabot_model::{
    Arg, BoxFuture, Callback, Clock, Instance, Json, ScriptError, ScriptErrorKind, ScriptHost,
};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Calls that wait for the interpreter's thread; further callers wait to be let in.
pub(crate) const MAX_QUEUE: usize = 1024;
/// How much longer than its deadline a call may take, where the thread itself does not come back.
const GRACE: Duration = Duration::from_secs(5);

/// In place of the id of a [`Keep`], which are from 1: another generation serves.
pub(crate) const SUPERSEDED: u64 = 0;
/// The same: no build belongs to this generation any more.
pub(crate) const RETIRED: u64 = u64::MAX;

/// Implements [`ScriptHost`] for one generation.
pub(crate) struct Caller {
    jobs: mpsc::Sender<Job>,
    /// Ids of [`Keep`]s that have ended.
    ended: mpsc::UnboundedSender<u64>,
    next_keep: AtomicU64,
    clock: Arc<dyn Clock>,
    records: Arc<Records>,
    generation: u64,
    longest: Duration,
}

impl Caller {
    pub fn new(
        options: &LoadOptions,
        limits: &LuaLimits,
        jobs: mpsc::Sender<Job>,
        ended: mpsc::UnboundedSender<u64>,
    ) -> Self {
        options.records.serves(options.generation, &jobs);
        Caller {
            jobs,
            ended,
            next_keep: AtomicU64::new(1),
            clock: options.clock.clone(),
            records: options.records.clone(),
            generation: options.generation,
            longest: limits.callback_timeout.std().saturating_add(GRACE),
        }
    }

    /// `wrap` says where the answers go. The error is that there is none.
    async fn ask<T>(
        &self,
        callback: &Callback,
        endless: bool,
        args: Vec<Arg>,
        wrap: impl FnOnce(oneshot::Sender<T>) -> Reply,
    ) -> Result<T, ScriptError> {
        let jobs = self.door(callback)?;
        let gone = |_| failed(ScriptErrorKind::Gone, "the script host ended".into());
        let exchange = async {
            let (reply, answer) = oneshot::channel();
            // Where it is not taken, its reply is dropped.
            let _ = jobs.send(Job { id: callback.id, endless, args, reply: wrap(reply) }).await;
            answer.await.map_err(gone)
        };
        if endless {
            return exchange.await;
        }
        match select(std::pin::pin!(exchange), self.clock.sleep(self.longest)).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => {
                let message = format!("{}: the script host does not come back", callback.at);
                Err(failed(ScriptErrorKind::Deadline, message))
            }
        }
    }

    /// What goes on over a reload, as schedulers do, hands functions of its own generation to newer ones.
    fn door(&self, callback: &Callback) -> Result<Cow<'_, mpsc::Sender<Job>>, ScriptError> {
        if callback.generation == self.generation {
            return Ok(Cow::Borrowed(&self.jobs));
        }
        self.records.door(callback.generation).map(Cow::Owned).ok_or_else(|| {
            let message = "is of a configuration that does not serve any more".into();
            failed(ScriptErrorKind::Gone, message)
        })
    }

    /// Counts calls that have ended, each after this time.
    fn count(&self, callback: &Callback, site: &CallSite, answers: &[Answer], total: Duration) {
        // Those that were turned away were not called.
        let called = |answer: &&Answer| {
            let suspended = |error: &ScriptError| matches!(error.kind, ScriptErrorKind::Suspended(_));
            !answer.result.as_ref().is_err_and(suspended)
        };
        let spent = |answer: &Answer| Spent { total, busy: answer.busy, failed: answer.result.is_err() };
        let spent: Vec<Spent> = answers.iter().filter(called).map(spent).collect();
        metrics::histogram!("lunabot_callback_seconds", "callback" => site.callback.clone())
            .record_many(total.as_secs_f64(), spent.len());
        self.records.called(site, &callback.at, spent, &*self.clock);
    }

    /// What came of a call, for whoever wanted it.
    fn given(&self, callback: &Callback, site: &CallSite, answer: Answer) -> Result<Json, ScriptError> {
        answer.result.map_err(|error| {
            let error = placed(callback, error);
            if error.kind.is_fault() {
                self.tell(callback, site, &error);
            }
            // Whoever gets it may tell people.
            self.records.concealed(&error)
        })
    }

    fn tell(&self, callback: &Callback, site: &CallSite, error: &ScriptError) {
        let CallSite { callback: name, concerns, .. } = site;
        let ScriptError { message, traceback, .. } =
            self.records.failed(site, error, &callback.at, &*self.clock);
        if traceback.is_empty() {
            tracing::error!("callback {name} of {concerns}: {message}");
        } else {
            tracing::error!("callback {name} of {concerns}: {message}\n{traceback}");
        }
    }
}

/// An error that does not know its place (the memory is used up, something waits where it cannot) is told at the function.
fn placed(callback: &Callback, error: ScriptError) -> ScriptError {
    match error.kind.is_fault() {
        true => ScriptError { message: callback.placed(&error.message), ..error },
        false => error,
    }
}

fn failed(kind: ScriptErrorKind, message: String) -> ScriptError {
    ScriptError { kind, message, traceback: String::new() }
}

impl ScriptHost for Caller {
    fn call<'a>(
        &'a self,
        callback: &'a Callback,
        site: CallSite,
        args: Vec<Arg>,
    ) -> BoxFuture<'a, Result<Json, ScriptError>> {
        Box::pin(async move {
            let started = self.clock.mono();
            let answer = self.ask(callback, site.endless, args, Reply::One).await;
            let answer = answer.unwrap_or_else(|error| Answer::at_once(Err(error)));
            self.count(callback, &site, std::slice::from_ref(&answer), self.clock.mono() - started);
            self.given(callback, &site, answer)
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
            let (started, count) = (self.clock.mono(), each.len());
            let answers = self.ask(callback, site.endless, common, |reply| Reply::Each(each, reply)).await;
            let answers = answers
                .unwrap_or_else(|error| (0..count).map(|_| Answer::at_once(Err(error.clone()))).collect());
            // Each had its share.
            let total = (self.clock.mono() - started) / u32::try_from(count.max(1)).unwrap_or(u32::MAX);
            self.count(callback, &site, &answers, total);
            answers.into_iter().map(|answer| self.given(callback, &site, answer)).collect()
        })
    }

    fn nonsense(&self, callback: &Callback, site: CallSite, message: &str) {
        let error = failed(ScriptErrorKind::Nonsense, callback.placed(message));
        self.tell(callback, &site, &error);
    }

    fn late(&self, callback: &Callback, site: CallSite, message: &str) {
        let error = failed(ScriptErrorKind::Deadline, callback.placed(message));
        self.tell(callback, &site, &error);
    }

    fn conceal<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.records.conceal(text)
    }

    fn generation(&self) -> u64 {
        self.generation
    }

    fn introduce(&self, instance: Arc<Instance>) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            // Id 0 is no function: the arguments are all there is.
            let reply = Reply::One(reply);
            let job = Job { id: 0, endless: true, args: vec![Arg::Instance(instance)], reply };
            if self.jobs.send(job).await.is_ok() {
                let _ = answer.await;
            }
        })
    }

    fn superseded(&self) {
        let _ = self.ended.send(SUPERSEDED);
    }

    fn retired(&self) {
        let _ = self.ended.send(RETIRED);
    }

    fn keep(&self) -> Keep {
        let ended = self.ended.clone();
        // Where the host has ended, nothing is remembered any more.
        Keep::new(self.next_keep.fetch_add(1, Ordering::Relaxed), move |id| {
            let _ = ended.send(id);
        })
    }
}
