//! In which order builders are looked at (reference 07.010, 07.011, 07.013).

use super::builder::Builder;
use super::explain::Look;
use super::machine::{Asked, Effect, Machine, Question, Stopping};
use lunabot_model::{BuilderId, Mono};
use std::collections::BTreeSet;

impl Machine {
    /// Looks at every builder that something happened to, in order.
    pub(super) fn settle(&mut self, now: Mono, effects: &mut Vec<Effect>) {
        if self.stopping == Stopping::Quick || self.ordering.is_some() || self.dirty.is_empty() {
            return;
        }
        let mut batch = std::mem::take(&mut self.dirty);
        batch.retain(|id| self.waiting.contains(id));
        if !self.prioritize {
            self.offer_by_rank(now, batch, effects);
            return;
        }
        if batch.is_empty() {
            return;
        }
        batch.append(&mut self.left_out);
        batch.retain(|id| self.waiting.contains(id));
        self.put(Asked::ForOrder, Question::Order(batch.iter().copied().collect()), effects);
        (self.ordering, self.ordering_since) = (Some(batch), now);
    }

    pub(super) fn ordered(&mut self, now: Mono, order: Option<Vec<BuilderId>>, effects: &mut Vec<Effect>) {
        let mut batch = self.ordering.take().unwrap_or_default();
        // Others that came meanwhile may go before those that were asked about. Once: somebody may always come.
        let others = self.dirty.iter().any(|id| self.waiting.contains(id) && !batch.contains(id));
        self.reordering = others && !self.reordering;
        if self.reordering {
            self.dirty.append(&mut batch);
            return;
        }
        let Some(order) = order else {
            return self.offer_by_rank(now, batch, effects);
        };
        for builder in &order {
            if batch.remove(builder) {
                self.offer(now, *builder, effects);
            }
        }
        for id in &batch {
            if let Some(builder) = self.builders.get_mut(id) {
                builder.looks.note(now, Look::LeftOut, |_| true);
            }
        }
        self.left_out = batch;
        self.last_order = order;
    }

    /// 07.013.
    fn offer_by_rank(&mut self, now: Mono, batch: BTreeSet<BuilderId>, effects: &mut Vec<Effect>) {
        let mut ready: Vec<BuilderId> = batch.into_iter().filter(|id| self.can_look(now, *id)).collect();
        ready.sort_by(|a, b| {
            let rank = |id| self.builders.get(id).map(Builder::rank);
            rank(a).cmp(&rank(b))
        });
        for builder in ready {
            self.offer(now, builder, effects);
        }
    }
}
