//! What is said of workers, of locks, and of the builds that have them.

use super::look::{Cause, Causes};
use super::tell::{Line, Teller};
use crate::distributor::Run;
use crate::locks::{Holder, Key};
use lunabot_model::explanation::RuleAnswer;
use lunabot_model::{BuilderId, WorkerId};

/// So many are told one by one; the others are counted.
const TOLD: usize = 50;
/// So many workers are told in a line.
const IN_A_LINE: usize = 3;

/// The workers of a builder.
pub(super) struct Workers {
    pub answers: Vec<RuleAnswer>,
    /// Nothing that is said of workers keeps the builder from one of them.
    pub free: bool,
    pub causes: Causes,
}

impl Teller<'_> {
    pub(super) fn workers(&self, builder: BuilderId, ids: &[WorkerId]) -> Workers {
        let mut workers = Workers { answers: Vec::new(), free: false, causes: Causes::default() };
        for (number, id) in ids.iter().enumerate() {
            let cause = self.cause(builder, *id);
            match cause {
                Some(cause) => workers.causes.add(*id, cause),
                None => workers.free = true,
            }
            if number < TOLD {
                workers.answers.push(self.worker(builder, *id, cause));
            }
        }
        if ids.len() > TOLD {
            let text = format!("and {} more workers", ids.len() - TOLD);
            workers.answers.push(RuleAnswer::new("worker", text));
        }
        workers
    }

    /// As the search for a worker sees it (07.016).
    fn cause(&self, builder: BuilderId, id: WorkerId) -> Option<Cause> {
        let machine = &self.actor.machine;
        let Some(worker) = machine.worker(id) else { return Some(Cause::Gone) };
        let building = machine.builder(builder).is_some_and(|builder| builder.busy.contains(&id));
        let lacks = || {
            // What is lacking everywhere is told once.
            machine.desk.lacking_everywhere(builder).is_empty()
                && !machine.desk.lacking_on(builder, id).is_empty()
        };
        let locked = || lacks().then_some(Cause::Locked);
        worker.cause(builder, building).or_else(locked)
    }

    fn worker(&self, builder: BuilderId, id: WorkerId, cause: Option<Cause>) -> RuleAnswer {
        let (text, since) = self.worker_text(builder, id, cause);
        RuleAnswer {
            worker: Some(self.worker_name(id)),
            blocks: cause.is_some(),
            since,
            until: self.until(id, cause),
            ..RuleAnswer::new("worker", text)
        }
    }

    /// When what keeps builds from a worker ends by itself.
    fn until(&self, id: WorkerId, cause: Option<Cause>) -> Option<i64> {
        let worker = self.actor.machine.worker(id)?;
        match cause? {
            Cause::Quarantined => worker.quarantine.until.map(|at| self.wall_at(at)),
            Cause::Downtime => worker.setup.downtime,
            _ => None,
        }
    }

    fn worker_text(&self, builder: BuilderId, id: WorkerId, cause: Option<Cause>) -> Line {
        let Some(cause) = cause else { return ("is free".into(), None) };
        let state = self.actor.machine.worker(id);
        let since = state.map(|worker| self.wall_at(worker.since));
        let max = state.and_then(|worker| worker.setup.max_builds).unwrap_or_default();
        match cause {
            Cause::Paused => {
                let why = self.actor.services.data.pause_reason(id).filter(|why| !why.trim().is_empty());
                (format!("is paused{}", why.map(|why| format!(": {why}")).unwrap_or_default()), since)
            }
            Cause::Disconnected => {
                (format!("is {}", cause.told()), state.map(|worker| self.wall_at(worker.connection_since)))
            }
            Cause::Quarantined => {
                let why = state.and_then(|worker| worker.quarantine.told());
                let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
                (format!("is {}{why}", cause.told()), since)
            }
            Cause::Graceful | Cause::Lingering | Cause::Downtime => (format!("is {}", cause.told()), since),
            Cause::Building => (
                format!("has a build of this builder: {}", self.builds(id, |run| run.builder == builder)),
                self.begun(id, |run| run.builder == builder),
            ),
            Cause::Full => (
                format!("has all builds it may have (max_builds = {max}): {}", self.builds(id, |_| true)),
                self.begun(id, |_| true),
            ),
            Cause::Asked => (format!("is {}", cause.told()), self.asked_since(id)),
            Cause::Locked => {
                let (text, since) = self.locks(builder, &self.actor.machine.desk.lacking_on(builder, id));
                (format!("lacks a lock: {text}"), since)
            }
            Cause::Gone => (format!("is {}", cause.told()), None),
        }
    }

    /// `runtests #41, docs #7`, of the builds on a worker.
    fn builds(&self, worker: WorkerId, wanted: impl Fn(&Run) -> bool) -> String {
        let runs = self.actor.runs.on_worker(worker).filter(|run| wanted(run));
        let mut names: Vec<String> = runs.map(|run| self.run_name(run)).collect();
        names.sort();
        match names.as_slice() {
            [] => "one is being started".into(),
            _ => names.join(", "),
        }
    }

    /// When the newest of the builds on a worker began: since then it has them all.
    fn begun(&self, worker: WorkerId, wanted: impl Fn(&Run) -> bool) -> Option<i64> {
        let runs = self.actor.runs.on_worker(worker).filter(|run| wanted(run));
        runs.map(|run| self.wall_at(run.since)).max()
    }

    /// Since when a worker is kept for questions about other builders.
    fn asked_since(&self, worker: WorkerId) -> Option<i64> {
        let machine = &self.actor.machine;
        let asking = machine.worker(worker)?.asked_by.iter().filter_map(|id| machine.choices.get(id));
        asking.filter_map(|choice| Some(self.wall_at(choice.open_question()?.since))).max()
    }

    fn run_name(&self, run: &Run) -> String {
        let stored = run.build.and_then(|build| self.actor.services.data.running_build(build));
        stored.unwrap_or_else(|| format!("a build of {}", self.builder_name(run.builder)))
    }

    /// What keeps a builder from all workers, in a line.
    pub(super) fn no_worker(&self, builder: BuilderId, ids: &[WorkerId], causes: &Causes) -> Line {
        let offline = || self.actor.offline_since(builder);
        match (ids, causes.count(Cause::Disconnected)) {
            ([], _) => ("the builder has no worker".into(), None),
            ([only], 1) => (format!("worker {} is not connected", self.worker_name(*only)), offline()),
            (all, away) if all.len() == away => {
                (format!("none of its {away} workers is connected"), offline())
            }
            (few, _) if few.len() <= IN_A_LINE => {
                let causes: Vec<_> = few.iter().map(|id| (*id, self.cause(builder, *id))).collect();
                let lines: Vec<Line> =
                    causes.iter().map(|(id, cause)| self.worker_text(builder, *id, *cause)).collect();
                let named = causes.iter().zip(&lines).map(|((id, cause), (text, _))| {
                    format!("{} {text}{}", self.worker_name(*id), self.told_until(*id, *cause))
                });
                let since = lines.first().and_then(|(_, since)| *since).filter(|_| few.len() == 1);
                (format!("worker {}", named.collect::<Vec<_>>().join("; ")), since)
            }
            _ => (format!("no worker takes it: {}", causes.told(|id| self.worker_name(id))), None),
        }
    }

    /// ` until …`, where that is known.
    fn told_until(&self, id: WorkerId, cause: Option<Cause>) -> String {
        let until = self.until(id, cause);
        until.map(|until| format!(" until {}", lunabot_model::clock::ctime(until))).unwrap_or_default()
    }

    /// `lock "db" is held by runtests #41`, and since when; `builder`: the one that lacks it.
    pub(super) fn locks(&self, builder: BuilderId, keys: &[Key]) -> Line {
        let (texts, times): (Vec<String>, Vec<Option<i64>>) =
            keys.iter().map(|key| self.lock(builder, key)).unzip();
        (texts.join("; "), times.into_iter().flatten().min())
    }

    fn lock(&self, builder: BuilderId, key: &Key) -> Line {
        let users = self.actor.machine.desk.users(key);
        let mut parts = Vec::new();
        let held = users.holders.iter().map(|(holder, _)| *holder);
        parts.extend(self.by("is held by", held));
        parts.extend(self.by("is about to be taken by", users.promised.iter().copied()));
        if users.waiting > 0 {
            parts.push(format!("{} that run wait for it", counted(users.waiting, "build")));
        }
        if parts.is_empty() {
            parts.push("is not available".into());
        }
        let since = users.holders.first().map(|(_, since)| self.wall_at(*since));
        if users.max > 1 {
            let wanted = self.actor.machine.desk.wanted(builder, key);
            let wanted = wanted.map(|wanted| format!(", {wanted} wanted")).unwrap_or_default();
            parts.push(format!("{} of {} taken{wanted}", users.taken.min(users.max.into()), users.max));
        }
        (format!("{key} {}", parts.join(", ")), since)
    }

    fn by(&self, verb: &str, holders: impl Iterator<Item = Holder>) -> Option<String> {
        let mut names: Vec<String> = holders.map(|holder| self.holder_name(holder)).collect();
        names.dedup();
        let more = names.len().saturating_sub(IN_A_LINE);
        names.truncate(IN_A_LINE);
        let more = if more > 0 { format!(" and {}", counted(more, "other build")) } else { String::new() };
        (!names.is_empty()).then(|| format!("{verb} {}{more}", names.join(", ")))
    }

    fn holder_name(&self, holder: Holder) -> String {
        let (Holder::Build { builder, worker } | Holder::Slot { builder, worker }) = holder else {
            return "a step".into();
        };
        match self.actor.runs.on_worker(worker).find(|run| run.builder == builder) {
            Some(run) => format!("{} on {}", self.run_name(run), self.worker_name(worker)),
            None => format!("a build of {} on {}", self.builder_name(builder), self.worker_name(worker)),
        }
    }
}

/// `1 build`, `2 builds`.
pub(super) fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
