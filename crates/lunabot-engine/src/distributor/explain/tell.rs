//! Tells why requests wait, as things are now.

use super::look::Look;
use super::remark::{Remark, Verdict};
use super::ring::Entry;
use super::workers::{Workers, counted};
use crate::distributor::Suits;
use crate::distributor::actor::Actor;
use crate::distributor::builder::{Builder, Waiting};
use crate::distributor::choice::Open;
use crate::distributor::deadlines::Why;
use lunabot_model::explanation::{Explanation, RequestState, RuleAnswer};
use lunabot_model::{BuildRequestId, BuilderId, Callback, Mono, WorkerId};
use std::collections::HashMap;

/// Builders that wait are compared with at most so many others.
const COMPARED: usize = 1000;
/// So many builders that go before are named.
const NAMED: usize = 3;

/// A text, and since when it is so (seconds since 1970).
pub(super) type Line = (String, Option<i64>);

/// See the module.
pub(super) struct Teller<'a> {
    pub actor: &'a Actor,
    now: Mono,
    /// Microseconds since 1970.
    wall: i64,
}

/// What is the same for all requests of a builder.
struct OfBuilder {
    answers: Vec<RuleAnswer>,
    summary: Option<Line>,
}

impl Actor {
    /// Of those that wait, or are being started.
    pub(in crate::distributor) fn explain(
        &self,
        requests: &[BuildRequestId],
    ) -> HashMap<BuildRequestId, Explanation> {
        let clock = &self.services.clock;
        let teller = Teller { actor: self, now: clock.mono(), wall: clock.now().0 };
        let mut builders = HashMap::new();
        let told = requests.iter().filter_map(|id| Some((*id, teller.request(*id, &mut builders)?)));
        told.collect()
    }
}

impl Teller<'_> {
    /// Seconds since 1970.
    pub fn wall_at(&self, at: Mono) -> i64 {
        let micros = |d: std::time::Duration| i64::try_from(d.as_micros()).unwrap_or(i64::MAX);
        (self.wall - micros(self.now - at) + micros(at - self.now)).div_euclid(1_000_000)
    }

    pub fn worker_name(&self, id: WorkerId) -> String {
        self.actor.machine.worker(id).map_or_else(|| "?".into(), |worker| worker.setup.name.clone())
    }

    pub fn builder_name(&self, id: BuilderId) -> String {
        let configured = self.actor.builders.get(&id).map(|builder| builder.config.name.clone());
        configured.unwrap_or_else(|| self.actor.services.data.builder_name(id))
    }

    fn request(
        &self,
        id: BuildRequestId,
        builders: &mut HashMap<BuilderId, OfBuilder>,
    ) -> Option<Explanation> {
        let row = &self.actor.details.get(id)?.request;
        if !self.actor.machine.waits(id) && !self.actor.machine.takes(id) {
            // It was stored a moment ago, and is not announced yet.
            return None;
        }
        let builder = row.builderid;
        let shared = builders.entry(builder).or_insert_with(|| self.of_builder(builder));
        let mut answers = Vec::new();
        answers.extend(self.stopping(builder, id));
        answers.extend(shared.answers.iter().cloned());
        let own = self.of_request(builder, id);
        let (summary, since) = self.summary(id, &answers, shared, &own);
        answers.extend(own);
        Some(Explanation {
            buildrequestid: id,
            builderid: builder,
            builder: self.builder_name(builder),
            state: RequestState::Pending,
            summary,
            since: since.map(|since| since.max(row.submitted_at)),
            submitted_at: row.submitted_at,
            collapsed_into: None,
            answers,
            history: self.history(builder, id, row.submitted_at),
        })
    }

    fn waiting(&self, builder: BuilderId, id: BuildRequestId) -> Option<(&Builder, &Waiting)> {
        let builder = self.actor.machine.builder(builder)?;
        Some((builder, builder.queue.get(id)?))
    }

    /// 07.029.
    fn stopping(&self, builder: BuilderId, id: BuildRequestId) -> Option<RuleAnswer> {
        let (_, waiting) = self.waiting(builder, id)?;
        let stops = !self.actor.machine.may_offer(waiting.parent);
        let since = Some(self.wall_at(self.actor.machine.stopping_since));
        let text = "is stopping: it starts no new builds";
        stops.then(|| RuleAnswer { since, ..RuleAnswer::new("master", text) }.blocking())
    }

    fn of_builder(&self, id: BuilderId) -> OfBuilder {
        let machine = &self.actor.machine;
        let Some(builder) = machine.builder(id).filter(|builder| builder.configured) else {
            let text = "is not configured any more; cancel the request, or configure it again";
            let answer = RuleAnswer::new("builder", text).blocking();
            return OfBuilder { summary: Some((answer.told(), None)), answers: vec![answer] };
        };
        let ids = &builder.setup.workers;
        let Workers { mut answers, free, causes } = self.workers(id, ids);
        let mut summary = (!free).then(|| self.no_worker(id, ids, &causes));
        let lacking = machine.desk.lacking_everywhere(id);
        if !lacking.is_empty() {
            let (text, since) = self.locks(id, &lacking);
            summary = summary.or_else(|| Some((text.clone(), since)));
            answers.push(RuleAnswer { since, ..RuleAnswer::new("lock", text) }.blocking());
        }
        for (key, other) in machine.kept(id) {
            let other = machine.builder(other).map_or("", |other| other.setup.name.as_str());
            let text = format!(
                "{key} is kept for builder {other}, which goes before and needs more of it than is free"
            );
            summary = summary.or_else(|| Some((text.clone(), None)));
            answers.push(RuleAnswer::new("lock", text).blocking());
        }
        let order = self.order(id, builder, free);
        if let Some(order) = order.as_ref().filter(|order| order.blocks && summary.is_none()) {
            summary = Some((order.told(), order.since));
        }
        answers.extend(order);
        OfBuilder { answers, summary }
    }

    /// Where the builder is among those that wait (07.011, 07.013).
    fn order(&self, id: BuilderId, builder: &Builder, free: bool) -> Option<RuleAnswer> {
        let machine = &self.actor.machine;
        if machine.prioritize {
            let function = self.actor.generation.as_ref()?.config.prioritize_builders.as_ref()?;
            let answer = |text: &str| RuleAnswer {
                at: Some(function.at.clone()),
                ..RuleAnswer::new("prioritizeBuilders", text)
            };
            if machine.left_out.contains(&id) {
                let left_out = |entry: &&Entry<Look>| entry.answer == Look::LeftOut;
                let since = builder.looks.iter().find(left_out).map(|entry| self.wall_at(entry.since));
                return Some(RuleAnswer { since, ..answer("left the builder out") }.blocking());
            }
            if machine.ordering.as_ref().is_some_and(|batch| batch.contains(&id)) {
                let since = Some(self.wall_at(machine.ordering_since));
                let text = "is being asked for the order of builders";
                return Some(RuleAnswer { since, ..answer(text) }.blocking());
            }
            if free {
                return None;
            }
            if self.order_failed(id) {
                return self.before(builder);
            }
            let order = &machine.last_order;
            let place = order.iter().position(|other| *other == id).unwrap_or(0);
            let of = |id: &BuilderId| machine.builder(*id).filter(|other| other.configured);
            let ahead = order[..place].iter().filter(|other| machine.waiting.contains(other));
            if let Some(text) = self.sharing(builder, ahead.take(COMPARED).filter_map(of).collect(), BEFORE) {
                return Some(answer(&format!("said that {text}")).blocking());
            }
            let others = machine.waiting.iter().filter(|other| **other != id);
            let text = self.sharing(builder, others.take(COMPARED).filter_map(of).collect(), AS_WELL)?;
            return Some(answer(&format!("says who goes first once a worker is free: {text}")));
        }
        if free { None } else { self.before(builder) }
    }

    /// Whether `prioritizeBuilders` failed when it was last asked about a builder.
    fn order_failed(&self, builder: BuilderId) -> bool {
        let mut holds = self.actor.remarks.of_builder(builder).filter(|entry| entry.until.is_none());
        let failed = |verdict: &Verdict| matches!(verdict, Verdict::Failed(_));
        holds.any(|entry| entry.answer.rule == "prioritizeBuilders" && failed(&entry.answer.verdict))
    }

    /// The builders for the same workers that go before by the default order (07.013).
    fn before(&self, builder: &Builder) -> Option<RuleAnswer> {
        let machine = &self.actor.machine;
        let id = builder.setup.id;
        let goes_before =
            |other: &&Builder| other.configured && other.setup.id != id && other.rank() < builder.rank();
        let others = machine.waiting.iter().take(COMPARED).filter_map(|other| machine.builder(*other));
        let mut before: Vec<&Builder> = others.filter(goes_before).collect();
        before.sort_by(|a, b| a.rank().cmp(&b.rank()));
        Some(RuleAnswer::new("queue", self.sharing(builder, before, BEFORE)?).blocking())
    }

    /// Those of some builders that may use the same workers, in words; `None`: there are none.
    fn sharing(&self, builder: &Builder, others: Vec<&Builder>, does: [&str; 2]) -> Option<String> {
        let machine = &self.actor.machine;
        let workers: Vec<_> = builder.setup.workers.iter().filter_map(|id| machine.worker(*id)).collect();
        let shares = |other: &Builder| workers.iter().any(|worker| worker.builders.contains(&other.setup.id));
        let before: Vec<&Builder> = others.into_iter().filter(|other| shares(other)).collect();
        let names: Vec<&str> = before.iter().take(NAMED).map(|other| other.setup.name.as_str()).collect();
        let more = if before.len() > NAMED { ", …" } else { "" };
        let does = does[usize::from(before.len() != 1)];
        let others = counted(before.len(), "other builder");
        let text = format!("{others} that may use the same workers {does}: {}{more}", names.join(", "));
        (!before.is_empty()).then_some(text)
    }

    /// What concerns one request, in the order in which it is asked.
    fn of_request(&self, builder: BuilderId, id: BuildRequestId) -> Vec<RuleAnswer> {
        let mut answers = Vec::new();
        if let Some((state, waiting)) = self.waiting(builder, id) {
            answers.extend(place(state, waiting));
        } else {
            answers.push(RuleAnswer::new("build", "a build is being started"));
        }
        let remarks = &self.actor.remarks;
        // That it gave an order is told with what the order is.
        let told = |entry: &&Entry<Remark>| entry.answer.verdict != Verdict::Ordered;
        let chosen = remarks.of_builder(builder).filter(|entry| entry.until.is_none()).filter(told);
        answers.extend(chosen.map(|entry| self.remark(entry, Some(id))));
        if let Some(state) = self.actor.machine.builder(builder) {
            answers.extend(self.computed(state, id));
        }
        let own = remarks.of_request(id).filter(|entry| entry.until.is_none());
        answers.extend(own.map(|entry| self.remark(entry, Some(id))));
        answers.extend(self.open_question(builder, id));
        answers.extend(self.deadline(id));
        answers
    }

    /// Computed locks that were not available when they were asked for (05.062).
    fn computed(&self, builder: &Builder, id: BuildRequestId) -> Vec<RuleAnswer> {
        let entries = builder.computed.get(&id).into_iter().flat_map(super::ring::Ring::iter);
        let lacking = entries.filter(|entry| entry.until.is_none() && !entry.answer.lacking.is_empty());
        let answer = |entry: &Entry<super::Computed>| {
            let (text, since) = self.locks(builder.setup.id, &entry.answer.lacking);
            let worker = Some(self.worker_name(entry.answer.worker));
            RuleAnswer { worker, since, ..RuleAnswer::new("lock", text) }.blocking()
        };
        lacking.map(answer).collect()
    }

    /// A function that is being asked now.
    pub(super) fn open_question(&self, builder: BuilderId, id: BuildRequestId) -> Option<RuleAnswer> {
        let open = self.actor.machine.choices.get(&builder)?.open_question()?;
        let about = open.request.is_none_or(|request| request == id);
        let (rule, at) = self.function(builder, &open);
        about.then(|| RuleAnswer {
            worker: open.worker.map(|worker| self.worker_name(worker)),
            since: Some(self.wall_at(open.since)),
            blocks: true,
            at,
            ..RuleAnswer::new(rule, "is being asked")
        })
    }

    /// The option whose function is asked, and where the function is.
    fn function(&self, builder: BuilderId, open: &Open) -> (&'static str, Option<String>) {
        let Some(plan) = self.actor.builders.get(&builder) else { return (open.rule, None) };
        let (config, global) = (&plan.config, &plan.generation.config);
        let at = |function: &Option<Callback>| function.as_ref().map(|function| function.at.clone());
        match open.rule {
            "nextBuild" => (open.rule, at(&config.next_build)),
            "nextWorker" if config.next_worker.is_none() => {
                ("select_next_worker", at(&global.select_next_worker))
            }
            "nextWorker" => (open.rule, at(&config.next_worker)),
            "canStartBuild" => (open.rule, at(&config.can_start_build)),
            "locks" => (open.rule, at(&config.locks.as_ref().and_then(Callback::first_in))),
            "isCompatibleWithBuild" => match open.worker.map(|worker| self.actor.suits(worker)) {
                Some(Suits::Ask(class)) => (open.rule, Some(class.place(open.rule).into())),
                _ => (open.rule, None),
            },
            rule => (rule, None),
        }
    }

    fn deadline(&self, id: BuildRequestId) -> Option<RuleAnswer> {
        let (at, why) = self.actor.deadlines.of(id)?;
        let answer = match why {
            Why::Expired => RuleAnswer::new("requestTimeout", "cancels it"),
            Why::Offline(_) => {
                RuleAnswer::new("ignoreOfflineWorkersTimeout", "skips it, unless a worker connects before")
            }
        };
        Some(RuleAnswer { until: Some(at), ..answer })
    }

    /// What a function answered, as far as it concerns `request`.
    pub(super) fn remark(&self, entry: &Entry<Remark>, request: Option<BuildRequestId>) -> RuleAnswer {
        let Remark { rule, worker, verdict, at } = &entry.answer;
        let (text, blocks) = match verdict {
            Verdict::Yes => ("returned true".into(), false),
            Verdict::No => ("returned false".into(), true),
            Verdict::None => ("returned nil".into(), true),
            Verdict::Request(chosen) if Some(*chosen) == request => ("chose this request".into(), false),
            Verdict::Request(chosen) => (format!("chose request {chosen}"), true),
            Verdict::Worker(chosen) => (format!("chose worker {}", self.worker_name(*chosen)), false),
            Verdict::Failed(error) if *rule == "prioritizeBuilders" => {
                (format!("failed: {error}; builders go by the default order"), false)
            }
            Verdict::Failed(error) => (format!("failed: {error}"), true),
            Verdict::Ordered => ("gave an order".into(), false),
        };
        RuleAnswer {
            worker: worker.map(|worker| self.worker_name(worker)),
            blocks,
            at: Some(at.to_string()),
            ..self.given(entry, RuleAnswer::new(rule, text))
        }
    }

    /// With the times at which it was given.
    pub(super) fn given<T>(&self, entry: &Entry<T>, answer: RuleAnswer) -> RuleAnswer {
        RuleAnswer {
            since: Some(self.wall_at(entry.since)),
            last_at: Some(self.wall_at(entry.last)),
            until: entry.until.map(|at| self.wall_at(at)),
            times: entry.times,
            ..answer
        }
    }

    /// What matters most.
    fn summary(
        &self,
        id: BuildRequestId,
        first: &[RuleAnswer],
        shared: &OfBuilder,
        own: &[RuleAnswer],
    ) -> Line {
        if !self.actor.machine.waits(id) {
            return ("a build is being started".into(), None);
        }
        if let Some(stopping) = first.first().filter(|answer| answer.rule == "master") {
            return (stopping.told(), stopping.since);
        }
        if let Some(line) = &shared.summary {
            return line.clone();
        }
        // Of two functions the one that was asked later has the last word.
        let functions = own.iter().rev().filter(|answer| answer.blocks && answer.rule != "queue");
        let queue = own.iter().filter(|answer| answer.blocks);
        match functions.chain(queue).next() {
            Some(answer) => (answer.told(), answer.since),
            None => ("a worker is free: it is about to start".into(), None),
        }
    }
}

/// What one other builder does, and what several do.
const BEFORE: [&str; 2] = ["goes before", "go before"];
const AS_WELL: [&str; 2] = ["waits as well", "wait as well"];

/// Where a request is in its builder's queue (07.014).
fn place(builder: &Builder, waiting: &Waiting) -> Option<RuleAnswer> {
    if builder.setup.asks.next_build {
        return None;
    }
    let priority = match waiting.priority {
        0 => String::new(),
        priority => format!(" (priority {priority})"),
    };
    Some(match builder.queue.ahead_of(waiting) {
        0 => RuleAnswer::new("queue", format!("it is the next request of the builder{priority}")),
        ahead => {
            let before = counted(ahead, "request");
            let go = if ahead == 1 { "goes" } else { "go" };
            let first = builder.queue.by_priority().take(NAMED.min(ahead)).map(|other| other.id.to_string());
            let first = first.collect::<Vec<_>>().join(", ");
            let more = if ahead > NAMED { ", …" } else { "" };
            let text = format!("{before} of the builder {go} before it{priority}: {first}{more}");
            RuleAnswer::new("queue", text).blocking()
        }
    })
}
