//! What was found and answered while a request waited.

use super::look::{Computed, Look};
use super::ring::Entry;
use super::tell::Teller;
use crate::locks::listed;
use lunabot_model::explanation::RuleAnswer;
use lunabot_model::{BuildRequestId, BuilderId};

impl Teller<'_> {
    /// Oldest first; nothing from before the request was made.
    pub(super) fn history(&self, builder: BuilderId, id: BuildRequestId, submitted: i64) -> Vec<RuleAnswer> {
        let mut all = Vec::new();
        if let Some(state) = self.actor.machine.builder(builder) {
            let past = self.actor.machine.past(id).cloned().unwrap_or_default();
            let past = past.and(&state.looks, state.computed.get(&id));
            all.extend(past.looks.iter().map(|entry| self.look(entry)));
            all.extend(past.computed.iter().map(|entry| self.computed_then(entry)));
        }
        let remarks = &self.actor.remarks;
        let given = remarks.of_builder(builder).chain(remarks.of_request(id));
        all.extend(given.map(|entry| self.remark(entry, Some(id))));
        all.extend(self.open_question(builder, id));
        all.retain(|answer| answer.until.is_none_or(|until| until >= submitted));
        for answer in &mut all {
            answer.since = answer.since.map(|since| since.max(submitted));
        }
        all.sort_by_key(|answer| (answer.since, answer.last_at));
        all
    }

    fn look(&self, entry: &Entry<Look>) -> RuleAnswer {
        let answer = match &entry.answer {
            Look::Workers(causes) => RuleAnswer::new("worker", causes.told(|id| self.worker_name(id))),
            Look::Locks(keys) => RuleAnswer::new("lock", format!("{} not available", listed(keys))),
            Look::LeftOut => RuleAnswer::new("prioritizeBuilders", "left the builder out"),
        };
        self.given(entry, answer.blocking())
    }

    fn computed_then(&self, entry: &Entry<Computed>) -> RuleAnswer {
        let Computed { worker, lacking } = &entry.answer;
        let answer = match lacking.is_empty() {
            true => RuleAnswer::new("lock", "all computed locks available"),
            false => RuleAnswer::new("lock", format!("{} not available", listed(lacking))).blocking(),
        };
        self.given(entry, RuleAnswer { worker: Some(self.worker_name(*worker)), ..answer })
    }
}
