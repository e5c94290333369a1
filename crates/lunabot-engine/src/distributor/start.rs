//! Starting builds and seeing them end.

use super::Event;
use super::actor::Actor;
use super::messages::Message;
use super::running::Run;
use super::worker::Why;
use crate::build::{BuildJob, Orders, Outcome, run_build};
use crate::worker::latent;
use futures::FutureExt;
use lunabot_data::{Ack, Data};
use lunabot_model::{BuildId, BuildRequestId, BuilderId, Results, WorkerId};
use std::panic::AssertUnwindSafe;
use tokio::sync::{oneshot, watch};

impl Actor {
    /// 07c item 7: the claim is ours, the build begins.
    pub fn start(&mut self, request: BuildRequestId, builder: BuilderId, worker: WorkerId) {
        let parts = (self.builders.get(&builder), self.workers.get(&worker), self.handle_of(worker));
        let (Some(plan), Some(worker_plan), Some(handle)) = parts else {
            return self.not_started(request, builder, worker);
        };
        let (plan, worker_plan, handle) = (plan.clone(), worker_plan.clone(), handle.clone());
        let Some(details) = self.let_go(request) else {
            return self.not_started(request, builder, worker);
        };
        let stop = self.cancelled.remove(&request).map(|reason| (reason, Results::Cancelled));
        let (orders, receiver) = watch::channel(Orders { count: u64::from(stop.is_some()), stop });
        let (since, waited_for) = (self.services.clock.mono(), details.request.waited_for);
        let run = Run { builder, worker, waited_for, since, build: None, orders };
        if run.orders.borrow().stop.is_some() {
            // A receiver sees only what is sent after it was made.
            run.orders.send_modify(|orders| orders.count += 1);
        }
        self.runs.insert(request, run);
        self.tell_latent(worker, latent::Event::Begun(request));
        metrics::gauge!("lunabot_builds_running").set(self.runs.len() as f64);
        let (added, id) = oneshot::channel();
        let job = BuildJob {
            services: self.services.clone(),
            builder: plan,
            worker_plan,
            worker: handle,
            request: details,
            orders: receiver,
            added,
        };
        self.watch_build(request, job, id);
    }

    fn watch_build(&self, request: BuildRequestId, job: BuildJob, id: oneshot::Receiver<BuildId>) {
        let (inbox, data) = (self.inbox.clone(), self.services.data.clone());
        self.spawn(async move {
            let announce = async {
                let build = id.await.ok()?;
                // The engine may have stopped meanwhile.
                let _ = inbox.send(Message::BuildAdded { request, build }).await;
                Some(build)
            };
            let (ran, build) = futures::join!(AssertUnwindSafe(run_build(job)).catch_unwind(), announce);
            let (outcome, why) = match ran {
                Ok(ended) => ended,
                Err(_) => (after_panic(&data, request, build).await, None),
            };
            Some(Message::BuildEnded { request, outcome, why })
        });
    }

    /// The configuration or the worker went away between claim and start.
    fn not_started(&mut self, request: BuildRequestId, builder: BuilderId, worker: WorkerId) {
        self.unclaim(request);
        let outcome = Outcome { results: Results::Retry, unprepared: false };
        self.event(Event::Ended { builder, worker, outcome, why: None });
    }

    /// `why`: what to say of it, should it put its worker into quarantine.
    pub fn ended(&mut self, request: BuildRequestId, outcome: Outcome, why: Option<Box<str>>) {
        let Some(run) = self.runs.remove(request) else { return };
        metrics::counter!("lunabot_builds_total", "results" => outcome.results.name()).increment(1);
        metrics::gauge!("lunabot_builds_running").set(self.runs.len() as f64);
        if outcome.results != Results::Retry {
            self.forget(request);
        }
        self.newest_complete.insert(run.builder, self.services.clock.now().secs());
        if let Some(build) = run.build {
            self.event(Event::Over(build));
        }
        self.tell_latent(run.worker, latent::Event::Over(request));
        let name = self.services.data.builder_name(run.builder);
        let why = why.map(|why| format!("builder {name}: {why}").into());
        self.event(Event::Ended { builder: run.builder, worker: run.worker, outcome, why });
        let configured = self.workers.contains_key(&run.worker);
        if !configured && self.runs.on_worker(run.worker).next().is_none() {
            self.drop_if_needless(run.worker);
        }
        self.tell_quarantine(run.worker, outcome);
        let stop = run.orders.borrow().stop.clone();
        if let (Results::Retry, Some((reason, Results::Cancelled))) = (outcome.results, stop) {
            // It was cancelled when its build had already come to its end.
            self.retire(request, Results::Cancelled, reason);
        } else if outcome.results == Results::Retry {
            // It may have been announced before this end was known, and passed over as running.
            self.load(Some(vec![request]));
        }
    }
}

impl Actor {
    /// Operators wonder why a worker takes no builds.
    fn tell_quarantine(&self, worker: WorkerId, outcome: Outcome) {
        let (Some(_), Some(state)) = (Why::of(outcome), self.machine.worker(worker)) else { return };
        let (Some(until), Some(why)) = (state.quarantine.until, state.quarantine.told()) else { return };
        let seconds = (until - self.services.clock.mono()).as_millis().div_ceil(1000) as u64;
        tracing::warn!(worker = state.setup.name, seconds, "quarantine: {why}; unpausing the worker ends it");
    }
}

/// A defect of the master ended the build's actor: build and request are closed all the same.
async fn after_panic(data: &Data, request: BuildRequestId, build: Option<BuildId>) -> Outcome {
    let results = Results::Exception;
    let stored = async {
        if let Some(build) = build {
            data.finish_build(build, results, "build exception").await?.detach();
        }
        data.complete_requests(&[request], results).await.map(Ack::detach)
    };
    if let Err(error) = stored.await {
        tracing::error!(request, "could not store the end of the build: {error}");
    }
    Outcome { results, unprepared: false }
}
