//! Whether a builder could start anything now; why not is noted for those who ask.

use super::explain::{Cause, Causes, Look};
use super::machine::Machine;
use crate::locks::Key;
use lunabot_model::{BuilderId, Mono};

impl Machine {
    /// Whether a search could find a worker now; one that is only asked for by others remembers the builder.
    pub(super) fn can_look(&mut self, now: Mono, id: BuilderId) -> bool {
        let Some((any, lacking)) = self.look(now, id, true) else { return false };
        if !any {
            self.desk.wait(id, lacking);
        }
        any
    }

    /// Whether a worker could take a build now, and the locks that keep others from it. What is found where none could is
    /// noted. `begins`: a search would begin, and does so later where workers are only asked for by others. One that has
    /// ended does not wait for that: two builders would ask in turn without end.
    fn look(&mut self, now: Mono, id: BuilderId, begins: bool) -> Option<(bool, Vec<Key>)> {
        let mut lacking = self.desk.lacking_everywhere(id);
        if lacking.is_empty() {
            lacking = self.kept(id).into_iter().map(|(key, _)| key).collect();
        }
        let builder = self.builders.get_mut(&id)?;
        if !builder.configured || builder.queue.is_empty() {
            return None;
        }
        if !lacking.is_empty() {
            builder.looks.note(now, Look::Locks(lacking.clone().into()), |_| true);
            return Some((false, lacking));
        }
        let (mut any, mut causes) = (false, Causes::default());
        for worker_id in &builder.setup.workers {
            let worker = self.workers.get_mut(worker_id);
            let building = builder.busy.contains(worker_id);
            let mut cause = worker.as_ref().map_or(Some(Cause::Gone), |worker| worker.cause(id, building));
            if cause.is_none() {
                let locked = self.desk.lacking_on(id, *worker_id);
                cause = (!locked.is_empty()).then_some(Cause::Locked);
                lacking.extend(locked);
            } else if let (Some(Cause::Asked), Some(worker), true) = (cause, worker, begins) {
                worker.passed_over.insert(id);
            }
            match cause {
                Some(cause) => causes.add(*worker_id, cause),
                None => any = true,
            }
        }
        match any {
            true => builder.looks.end(now),
            false => builder.looks.note(now, Look::Workers(causes), |_| true),
        }
        Some((any, lacking))
    }

    /// A search ended with requests left: what it lacks brings the builder back.
    pub(super) fn wait_for_locks(&mut self, now: Mono, id: BuilderId) {
        if let Some((_, lacking)) = self.look(now, id, false) {
            self.desk.wait(id, lacking);
        }
    }
}
