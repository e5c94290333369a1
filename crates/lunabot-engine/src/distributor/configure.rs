//! Bringing the distributor in line with a configuration (reference 07.028; lua-api § 5).

use super::builder::{Asks, Builder, BuilderSetup, Queue};
use super::explain::Ring;
use super::machine::Machine;
use super::worker::{Worker, WorkerSetup};
use lunabot_model::{BuilderId, Mono, WorkerId};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

impl Machine {
    pub(super) fn configure(
        &mut self,
        now: Mono,
        builders: Vec<BuilderSetup>,
        workers: Vec<(WorkerSetup, bool)>,
        prioritize: bool,
    ) {
        self.drop_questions();
        self.prioritize = prioritize;
        let kept: BTreeSet<WorkerId> = workers.iter().map(|(setup, _)| setup.id).collect();
        self.workers.retain(|id, worker| kept.contains(id) || worker.running > 0);
        for (id, worker) in &mut self.workers {
            worker.builders = Arc::default();
            if !kept.contains(id) {
                worker.setup.downtime = None;
            }
        }
        for (setup, paused) in workers {
            match self.workers.get_mut(&setup.id) {
                Some(worker) => {
                    if worker.setup.downtime.is_none() && setup.downtime.is_some() {
                        worker.since = now;
                    }
                    worker.setup = setup;
                }
                None => {
                    self.workers.insert(setup.id, Worker::new(setup, paused, now));
                }
            }
        }
        for builder in self.builders.values_mut() {
            builder.configured = false;
        }
        for setup in builders {
            self.configure_builder(setup);
        }
        // Those of the past stay only while something of theirs is left (07.028).
        self.builders.retain(|_, b| b.configured || !b.queue.is_empty() || !b.busy.is_empty());
        self.dirty.extend(&self.waiting);
    }

    /// What functions of the generation before are still asked is asked anew: one that waits must not hold up anybody any
    /// more. Every builder that waits is looked at after this.
    fn drop_questions(&mut self) {
        self.forget_questions();
        self.ordering = None;
        self.reordering = false;
        let searching: Vec<BuilderId> = self.choices.keys().copied().collect();
        for builder in searching {
            self.release(builder);
            self.choices.remove(&builder);
        }
    }

    fn configure_builder(&mut self, setup: BuilderSetup) {
        for worker in &setup.workers {
            self.with_builder_on(*worker, setup.id);
        }
        let known = self.known(setup.id);
        known.setup = setup;
        known.configured = true;
    }

    fn with_builder_on(&mut self, worker: WorkerId, builder: BuilderId) {
        self.with(worker, |worker| {
            Arc::make_mut(&mut worker.builders).insert(builder);
        });
    }

    /// The builder with this id, made without a configuration if it has none.
    pub(super) fn known(&mut self, id: BuilderId) -> &mut Builder {
        self.builders.entry(id).or_insert_with(|| {
            let setup = BuilderSetup { id, name: String::new(), workers: Vec::new(), asks: Asks::default() };
            Builder {
                setup,
                queue: Queue::default(),
                busy: BTreeSet::new(),
                configured: false,
                looks: Ring::default(),
                computed: HashMap::new(),
            }
        })
    }
}
