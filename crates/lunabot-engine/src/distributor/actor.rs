//! The actor around the distributor's [`Machine`]: receives, sleeps, performs.

use super::deadlines::Deadlines;
use super::details::Details;
use super::explain::Remarks;
use super::messages::{Message, Plan, lock_setup, setup_of, waiting, worker_setup};
use super::patience::Offline;
use super::running::Runs;
use super::units::Latents;
use super::{Effect, Event, Machine, Question, Waiting};
use crate::Generation;
use crate::build::Services;
use crate::collapse::{Against, Candidate};
use crate::distributor::retire;
use crate::engine::{EngineStatus, Stop};
use crate::locks::Holder;
use crate::locks::client::Progress;
use crate::plan::{BuilderPlan, WorkerPlan};
use crate::scripts::{Asked, BuilderView, Reply};
use crate::worker::WorkerHandle;
use lunabot_data::new::PendingRequest;
use lunabot_model::config::Collapse;
use lunabot_model::{BuildRequestId, BuilderId, Json, Mono, Results, WorkerId};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

/// How long running builds may take to end at a fast stop before their workers count as lost (07.029).
const FAST_STOP: Duration = Duration::from_secs(5);

/// How long to wait before a request is tried again whose claim the store refused with an error.
const CLAIM_AGAIN: Duration = Duration::from_secs(1);

/// What the actor owns.
pub(crate) struct Actor {
    pub machine: Machine,
    pub services: Arc<Services>,
    pub inbox: mpsc::Sender<Message>,
    pub generation: Option<Arc<Generation>>,
    pub builders: Arc<HashMap<BuilderId, Arc<BuilderPlan>>>,
    pub workers: HashMap<WorkerId, Arc<WorkerPlan>>,
    pub links: HashMap<WorkerId, Arc<WorkerHandle>>,
    pub(super) latents: Latents,
    /// Requests that wait, or whose claim is under way, with all that decisions need.
    pub details: Details,
    pub runs: Runs,
    /// Requests cancelled while their claim was under way: their builds stop at once (07.024).
    pub cancelled: HashMap<BuildRequestId, Arc<str>>,
    /// Completion of each builder's newest build, seconds since 1970 (07.012).
    pub newest_complete: HashMap<BuilderId, i64>,
    /// Who waits to be told about locks.
    pub lock_replies: HashMap<Holder, watch::Sender<Progress>>,
    pub(super) deadlines: Deadlines,
    pub(super) offline: Offline,
    pub(super) remarks: Remarks,
    /// When to look again whether a downtime of a worker begins or ends.
    pub(super) downtime_look: Option<Mono>,
    /// Ends the questions to functions of this generation.
    asking: CancellationToken,
    /// Builders that are looked at again when a function of theirs may be called again.
    suspended: HashSet<BuilderId>,
    claiming: HashSet<BuildRequestId>,
    /// Requests that are on their way back to the queue.
    giving_back: HashSet<BuildRequestId>,
    stop: Option<Stop>,
    stop_waiters: Vec<oneshot::Sender<()>>,
    /// When workers count as lost at a fast stop.
    give_up: Option<Mono>,
}

impl Actor {
    pub fn new(
        services: Arc<Services>,
        seed: u64,
        inbox: mpsc::Sender<Message>,
        newest_complete: HashMap<BuilderId, i64>,
        offline_since: Json,
    ) -> Self {
        let offline = Offline::new(offline_since, services.clock.now().secs());
        Actor {
            machine: Machine::new(seed),
            services,
            inbox,
            generation: None,
            builders: Arc::default(),
            workers: HashMap::new(),
            links: HashMap::new(),
            latents: Latents::default(),
            details: Details::default(),
            runs: Runs::default(),
            cancelled: HashMap::new(),
            newest_complete,
            lock_replies: HashMap::new(),
            deadlines: Deadlines::default(),
            offline,
            remarks: Remarks::default(),
            downtime_look: None,
            asking: CancellationToken::new(),
            suspended: HashSet::new(),
            claiming: HashSet::new(),
            giving_back: HashSet::new(),
            stop: None,
            stop_waiters: Vec::new(),
            give_up: None,
        }
    }

    /// Lives until the engine is dropped, and with it the last sender that is not the actor's own.
    pub async fn live(mut self, mut messages: mpsc::Receiver<Message>) {
        let clock = self.services.clock.clone();
        loop {
            let own = [
                self.machine.next_wake(),
                self.give_up,
                self.latents.next_wake(),
                self.next_deadline(),
                self.downtime_look,
            ];
            let wake = own.into_iter().flatten().min();
            let sleep = async {
                match wake {
                    Some(at) => clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                message = messages.recv() => match message {
                    Some(Message::Quit) | None => return,
                    Some(message) => self.receive(message),
                },
                () = sleep => {}
            }
            // Also between messages that come without a pause.
            if wake.is_some_and(|at| at <= clock.mono()) {
                self.wake();
            }
            self.answer_stop();
        }
    }

    fn wake(&mut self) {
        let now = self.services.clock.mono();
        let effects = self.machine.wake(now);
        self.perform(effects);
        self.wake_latents();
        self.end_overdue();
        if self.downtime_look.is_some_and(|at| at <= now) {
            self.turn_downtimes();
        }
        if self.give_up.is_some_and(|at| at <= now) {
            self.give_up = None;
            for link in self.links.values() {
                link.lost.cancel();
            }
        }
    }

    fn receive(&mut self, message: Message) {
        match message {
            Message::Apply { plan, reply } => self.apply(*plan, reply),
            Message::Attach { name, link, reply } => self.attach(&name, link, reply),
            Message::Ready(handle) => self.ready(&handle),
            Message::Detach { name, link } => self.detach(&name, &link),
            Message::Substantiate { worker, request, build, reply } => {
                self.substantiate(worker, request, build, reply);
            }
            Message::Latent { worker, call, event } => self.latent_answered(worker, call, event),
            Message::WantsToStop { name } => self.wants_to_stop(&name),
            Message::Announced(ids) => self.announced(ids),
            Message::Loaded(requests) => self.loaded(requests),
            Message::Reread => self.load(None),
            Message::Gone(ids) => self.gone(ids),
            Message::Collapse { new, reply } => self.collapse(new, reply),
            Message::Keyed { keyed, reply } => {
                // The buildset's maker may have gone away.
                let _ = reply.send(self.details.learn(keyed));
            }
            Message::Changed(requests) => self.changed(requests),
            Message::Answered { question, reply } => self.answered(question, reply),
            Message::Again(builder) => {
                self.suspended.remove(&builder);
                self.event(Event::Again(builder));
            }
            Message::Claimed { request, ours } => self.claimed(request, ours),
            Message::BuildAdded { request, build } => {
                self.runs.added(request, build);
                self.event(Event::Began(build));
            }
            Message::BuildEnded { request, outcome, why } => self.ended(request, outcome, why),
            Message::AskLocks { ask, reply } => self.ask_locks(ask, reply),
            Message::GiveUpLocks(holder) => self.give_up_locks(holder),
            Message::Explain { requests, reply } => {
                // Whoever asked may have gone away.
                let _ = reply.send(self.explain(&requests));
            }
            Message::Quarantines(reply) => {
                let _ = reply.send(self.machine.quarantines(self.services.clock.mono()));
            }
            Message::Downtimes(reply) => {
                let _ = reply.send(self.machine.downtimes());
            }
            Message::StopBuild { build, reason, results } => self.runs.stop_build(build, &reason, results),
            Message::StopRequest { request, reason } => self.stop_request(request, reason),
            Message::GivenBack(request) => self.given_back(request),
            Message::Priority { request, priority } => self.set_priority(request, priority),
            Message::Worker { worker, order, reply } => self.worker_order(worker, order, reply),
            Message::Stop { how, reply } => self.begin_stop(how, reply),
            Message::Status(reply) => {
                // A caller that went away wants no answer.
                let _ = reply.send(self.status());
            }
            Message::Quit => {}
        }
    }

    /// Tells the machine, and does what it wants.
    pub fn event(&mut self, event: Event) {
        let effects = self.machine.handle(self.services.clock.mono(), event);
        self.perform(effects);
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Ask { id, question } => self.ask(id, question),
                Effect::Claim(request) => self.claim(request),
                Effect::Start { request, builder, worker } => self.start(request, builder, worker),
                Effect::Unclaim(request) => self.unclaim(request),
                Effect::ShutDown(worker) => self.shut_down(worker),
                Effect::Lock { holder, news } => self.tell_lock(holder, news),
            }
        }
    }

    /// Work that reports back by message; the actor itself never waits.
    pub fn spawn(&self, work: impl Future<Output = Option<Message>> + Send + 'static) {
        let inbox = self.inbox.clone();
        tokio::spawn(async move {
            if let Some(message) = work.await {
                // The engine may have stopped meanwhile.
                let _ = inbox.send(message).await;
            }
        });
    }

    fn apply(&mut self, plan: Plan, reply: oneshot::Sender<()>) {
        std::mem::take(&mut self.asking).cancel();
        self.suspended.clear();
        self.remarks.end_all(self.services.clock.mono());
        let locks = lock_setup(&plan);
        self.workers = plan.workers.iter().map(|(worker, _)| (worker.id, worker.clone())).collect();
        self.configure_latents(&plan);
        self.builders = Arc::new(plan.builders.into_iter().map(|builder| (builder.id, builder)).collect());
        let prioritize = plan.generation.config.prioritize_builders.is_some();
        self.generation = Some(plan.generation);
        self.drop_unconfigured();
        self.tell_builders();
        let builders = self.builders.values().map(|builder| setup_of(builder)).collect();
        let now = self.services.clock.now().secs();
        let workers = plan.workers.iter().map(|(w, paused)| (worker_setup(w, now), *paused)).collect();
        self.event(Event::Configured { builders, workers, prioritize, locks });
        self.turn_downtimes();
        let known: Vec<BuilderId> = self.builders.keys().chain(self.offline_builders()).copied().collect();
        self.update_offline(known.iter().copied());
        known.into_iter().for_each(|builder| self.renew_deadlines(builder));
        // A caller that went away wants no answer.
        let _ = reply.send(());
    }

    /// Requests were announced: known ones wait from now on, others are read first.
    fn announced(&mut self, ids: Vec<BuildRequestId>) {
        let (known, unknown): (Vec<_>, Vec<_>) =
            ids.into_iter().partition(|id| self.details.get(*id).is_some());
        let known: Vec<Waiting> =
            known.iter().filter_map(|id| Some(waiting(self.details.get(*id)?))).collect();
        self.event(Event::Waiting(known));
        if !unknown.is_empty() {
            self.load(Some(unknown));
        }
    }

    /// Reads requests that wait: those named, or all.
    pub fn load(&self, only: Option<Vec<BuildRequestId>>) {
        let data = self.services.data.clone();
        self.spawn(async move {
            match data.pending_requests(only.as_deref()).await {
                Ok(requests) => Some(Message::Loaded(requests)),
                Err(error) => {
                    tracing::error!("could not read requests: {error}");
                    None
                }
            }
        });
    }

    fn loaded(&mut self, requests: Vec<PendingRequest>) {
        let mut all = Vec::with_capacity(requests.len());
        for request in requests {
            let id = request.request.buildrequestid;
            if self.claiming.contains(&id) || self.runs.is_running(id) {
                continue;
            }
            all.push(waiting(&request));
            self.keep(Arc::new(request));
        }
        self.event(Event::Waiting(all));
    }

    fn gone(&mut self, ids: Vec<BuildRequestId>) {
        for id in &ids {
            if !self.claiming.contains(id) && !self.runs.is_running(*id) {
                self.forget(*id);
            }
        }
        self.event(Event::Gone(ids));
    }

    /// Those that are known are replaced; whether and when they are offered stays as it was.
    fn changed(&mut self, requests: Vec<PendingRequest>) {
        for request in requests {
            if self.details.get(request.request.buildrequestid).is_some() {
                self.keep(Arc::new(request));
            }
        }
    }

    /// New requests, before they are announced, and what they are held against (07.003). From here on the next
    /// new request finds these; they are offered when they are announced.
    fn collapse(&mut self, new: Vec<PendingRequest>, reply: oneshot::Sender<Vec<Candidate>>) {
        let mut out = Vec::with_capacity(new.len());
        for request in new {
            out.extend(self.candidate(Arc::new(request)));
        }
        // The buildset's maker may have gone away.
        let _ = reply.send(out);
    }

    /// Nothing where the builder is not configured, or never collapses.
    fn candidate(&mut self, new: Arc<PendingRequest>) -> Option<Candidate> {
        let id = new.request.builderid;
        let plan = self.builders.get(&id).cloned();
        let rule = plan.as_ref().map(|plan| plan.collapse());
        let against = match rule {
            None | Some(Some(Collapse::Switch(false))) => {
                self.keep(new);
                return None;
            }
            Some(Some(Collapse::By(_))) => {
                self.keep(new.clone());
                let generation = plan.as_ref().map_or(0, |plan| plan.generation.number);
                Against::Keys(self.details.unasked(id, generation))
            }
            Some(Some(Collapse::Switch(true) | Collapse::Callback(_)) | None) => {
                let mut olders = self.details.of_builder(id);
                // It is among them where all that waits was read anew since it was stored.
                olders.retain(|old| old.request.buildrequestid != new.request.buildrequestid);
                self.keep(new.clone());
                Against::Olders(olders)
            }
        };
        Some(Candidate { new, builder: BuilderView::of(self, id)?, against })
    }

    fn ask(&self, id: u64, question: Question) {
        let Some(generation) = self.generation.clone() else { return };
        let asked = Asked::new(self, generation, question);
        let asking = self.asking.clone();
        self.spawn(async move {
            let reply = asking.run_until_cancelled_owned(asked.answer()).await?;
            Some(Message::Answered { question: id, reply })
        });
    }

    /// What a function said is kept as long as somebody may want to know.
    fn answered(&mut self, question: u64, reply: Reply) {
        let now = self.services.clock.mono();
        if let (Some(again), Some(noted)) = (reply.again, reply.noted.first()) {
            self.ask_again(noted.builder, again);
        }
        for noted in reply.noted {
            let wanted = match noted.request {
                Some(request) => self.details.get(request).is_some(),
                None => self.details.any(noted.builder),
            };
            if wanted {
                self.remarks.note(now, noted);
            }
        }
        self.event(Event::Answered { question, answer: reply.answer });
    }

    /// A function of the builder is suspended for so long: nothing else may happen by which it would be asked again.
    fn ask_again(&mut self, builder: BuilderId, left: Duration) {
        if !self.suspended.insert(builder) {
            return;
        }
        let (asking, clock) = (self.asking.clone(), self.services.clock.clone());
        self.spawn(async move {
            asking.run_until_cancelled_owned(clock.sleep(left)).await?;
            Some(Message::Again(builder))
        });
    }

    fn claim(&mut self, request: BuildRequestId) {
        self.claiming.insert(request);
        let (data, clock, inbox) =
            (self.services.data.clone(), self.services.clock.clone(), self.inbox.clone());
        self.spawn(async move {
            let ours = match data.claim(&[request]).await {
                Ok(ours) => ours,
                Err(error) => {
                    tracing::error!(request, "could not claim: {error}");
                    let _ = inbox.send(Message::Claimed { request, ours: false }).await;
                    clock.sleep(CLAIM_AGAIN).await;
                    return Some(Message::Announced(vec![request]));
                }
            };
            Some(Message::Claimed { request, ours })
        });
    }

    fn claimed(&mut self, request: BuildRequestId, ours: bool) {
        self.claiming.remove(&request);
        if !ours {
            self.forget(request);
            self.cancelled.remove(&request);
        }
        self.event(Event::Claimed { request, ours });
    }

    /// Gives a request back to the queue, unless it was cancelled meanwhile.
    pub fn unclaim(&mut self, request: BuildRequestId) {
        self.forget(request);
        let data = self.services.data.clone();
        let cancelled = self.cancelled.remove(&request).is_some();
        self.giving_back.insert(request);
        self.spawn(async move {
            let given_back = match cancelled {
                true => data.retire_request(request, Results::Cancelled).await,
                false => data.unclaim(&[request]).await,
            };
            match given_back {
                Ok(ack) => ack.detach(),
                Err(error) => tracing::error!(request, "could not give the request back: {error}"),
            }
            Some(Message::GivenBack(request))
        });
    }

    /// It can be claimed again, also by whoever cancelled it meanwhile.
    fn given_back(&mut self, request: BuildRequestId) {
        self.giving_back.remove(&request);
        if let Some(reason) = self.cancelled.remove(&request) {
            self.retire(request, Results::Cancelled, reason);
        }
    }

    /// Completes a request that waits; one that has been taken meanwhile is left alone.
    pub fn retire(&self, request: BuildRequestId, results: Results, reason: Arc<str>) {
        let data = self.services.data.clone();
        self.spawn(async move {
            match retire::retire(&data, request, results, &reason).await {
                Ok(true) => Some(Message::Gone(vec![request])),
                Ok(false) => None,
                Err(error) => {
                    tracing::error!(request, "could not complete the request: {error}");
                    None
                }
            }
        });
    }

    fn set_priority(&mut self, request: BuildRequestId, priority: i64) {
        let Some(details) = self.details.get(request) else { return };
        let mut changed = PendingRequest::clone(details);
        changed.request.priority = priority;
        let place = waiting(&changed);
        self.keep(Arc::new(changed));
        if self.machine.waits(request) {
            self.event(Event::Waiting(vec![place]));
        }
    }

    /// 07.024, second half: the request is claimed already.
    fn stop_request(&mut self, request: BuildRequestId, reason: Arc<str>) {
        if self.claiming.contains(&request) || self.giving_back.contains(&request) {
            self.cancelled.insert(request, reason);
        } else {
            self.runs.stop_request(request, &reason, Results::Cancelled);
        }
    }

    fn begin_stop(&mut self, how: Stop, reply: oneshot::Sender<()>) {
        self.stop_waiters.push(reply);
        let faster = how == Stop::Fast && self.stop != Some(Stop::Fast);
        if self.stop.is_none() || faster {
            self.stop = Some(how);
        }
        self.event(Event::Stopping { quick: self.stop == Some(Stop::Fast) });
        if faster {
            self.runs.stop_all("Master Shutdown");
            self.give_up = Some(self.services.clock.mono() + FAST_STOP);
        }
    }

    fn answer_stop(&mut self) {
        let Some(how) = self.stop else { return };
        if self.runs.is_empty()
            && self.claiming.is_empty()
            && self.giving_back.is_empty()
            && self.latents_are_down(how)
        {
            self.give_up = None;
            for waiter in self.stop_waiters.drain(..) {
                let _ = waiter.send(());
            }
        }
    }

    fn status(&self) -> EngineStatus {
        EngineStatus {
            generation: self.generation.as_ref().map_or(0, |generation| generation.number),
            builders: self.builders.len(),
            workers_connected: self.links.len(),
            workers_configured: self.workers.len(),
            builds_running: self.runs.len(),
            requests_pending: self.machine.pending(),
            stopping: self.stop.is_some(),
        }
    }
}
