//! What was found when a builder with waiting requests was looked at and no build could start.

use crate::locks::Key;
use lunabot_model::WorkerId;

/// Why a worker takes no build of a builder (07.016).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Cause {
    /// It is not configured any more.
    Gone,
    Disconnected,
    Graceful,
    /// It has builds of an instance that is lost.
    Lingering,
    Paused,
    Downtime,
    Quarantined,
    /// It has a build of the builder already (07.020).
    Building,
    /// `max_builds`.
    Full,
    /// It is kept for a question about another builder.
    Asked,
    /// For want of a lock.
    Locked,
}

impl Cause {
    pub const ALL: [Cause; 11] = [
        Cause::Gone,
        Cause::Disconnected,
        Cause::Graceful,
        Cause::Lingering,
        Cause::Paused,
        Cause::Downtime,
        Cause::Quarantined,
        Cause::Building,
        Cause::Full,
        Cause::Asked,
        Cause::Locked,
    ];

    /// What is said of a worker.
    pub const fn told(self) -> &'static str {
        match self {
            Cause::Gone => "not configured any more",
            Cause::Disconnected => "not connected",
            Cause::Graceful => "stopping",
            Cause::Lingering => "still ending the builds of an instance that is lost",
            Cause::Paused => "paused",
            Cause::Downtime => "in its downtime",
            Cause::Quarantined => "in quarantine",
            Cause::Building => "busy with a build of this builder",
            Cause::Full => "busy",
            Cause::Asked => "kept for another builder, about which a function is being asked",
            Cause::Locked => "without a lock that is needed",
        }
    }
}

/// So many workers are told by name.
const NAMED: usize = 3;

/// The causes of all workers of a builder, in the space of a few.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Causes {
    /// Where there are no more of them.
    named: [Option<(WorkerId, Cause)>; NAMED],
    counts: [u16; Cause::ALL.len()],
}

impl Causes {
    pub fn add(&mut self, worker: WorkerId, cause: Cause) {
        match self.total() {
            known if known < NAMED => self.named[known] = Some((worker, cause)),
            NAMED => self.named = [None; NAMED],
            _ => {}
        }
        let count = &mut self.counts[cause as usize];
        *count = count.saturating_add(1);
    }

    pub fn total(&self) -> usize {
        self.counts.iter().map(|count| usize::from(*count)).sum()
    }

    pub fn count(&self, cause: Cause) -> usize {
        usize::from(self.counts[cause as usize])
    }

    /// `w1 is paused, w2 is not connected`; of many workers, how many have each cause.
    pub fn told(&self, name: impl Fn(WorkerId) -> String) -> String {
        let named =
            self.named.iter().flatten().map(|(id, cause)| format!("{} is {}", name(*id), cause.told()));
        let mut parts: Vec<String> = named.collect();
        if parts.is_empty() {
            let counted = Cause::ALL.into_iter().filter(|cause| self.count(*cause) > 0);
            parts = counted.map(|cause| format!("{} {}", self.count(cause), cause.told())).collect();
        }
        match parts.as_slice() {
            [] => "the builder has no worker".into(),
            _ => parts.join(", "),
        }
    }
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// No worker takes a build.
    Workers(Causes),
    /// Locks of the master that the builder wants are not available.
    Locks(Box<[Key]>),
    /// `prioritizeBuilders` left it out.
    LeftOut,
}

/// Computed locks of a request that are not available; none: all are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Computed {
    /// Where the build would run.
    pub worker: WorkerId,
    pub lacking: Box<[Key]>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_workers_are_named_and_many_counted() {
        let mut causes = Causes::default();
        let told = |causes: &Causes| causes.told(|id| format!("w{id}"));
        assert_eq!(told(&causes), "the builder has no worker");
        causes.add(1, Cause::Paused);
        causes.add(2, Cause::Disconnected);
        assert_eq!(told(&causes), "w1 is paused, w2 is not connected");
        for worker in 3..100 {
            causes.add(worker, Cause::Disconnected);
        }
        assert_eq!((told(&causes), causes.total()), ("98 not connected, 1 paused".into(), 99));
    }
}
