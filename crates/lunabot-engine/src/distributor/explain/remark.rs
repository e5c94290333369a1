//! What functions of the configuration answered when they were asked about a request.

use super::ring::{Entry, Ring};
use lunabot_model::text::shortened_to;
use lunabot_model::{BuildRequestId, BuilderId, Mono, WorkerId};
use std::collections::HashMap;

/// Longest error that is kept, in characters.
const LONGEST: usize = 300;

/// An answer in general.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Yes,
    No,
    /// Nothing of what it could choose from.
    None,
    Request(BuildRequestId),
    Worker(WorkerId),
    /// It failed, or answered something else; what is done then is documented.
    Failed(Box<str>),
    /// `prioritizeBuilders` gave an order.
    Ordered,
}

impl Verdict {
    pub fn failed(error: &str) -> Self {
        Verdict::Failed(shortened_to(LONGEST, error).into())
    }
}

/// What a function answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The option: `canStartBuild`.
    pub rule: &'static str,
    /// What it was asked about, if it was one.
    pub worker: Option<WorkerId>,
    pub verdict: Verdict,
    /// Where the function is: `master.lua:40`.
    pub at: Box<str>,
}

/// A remark with what it belongs to.
#[derive(Debug)]
pub struct Noted {
    pub builder: BuilderId,
    /// `None`: all that wait for the builder.
    pub request: Option<BuildRequestId>,
    pub remark: Remark,
}

/// Remarks about what waits now.
#[derive(Default)]
pub struct Remarks {
    requests: HashMap<BuildRequestId, Ring<Remark>>,
    builders: HashMap<BuilderId, Ring<Remark>>,
}

impl Remarks {
    pub fn note(&mut self, now: Mono, noted: Noted) {
        let ring = match noted.request {
            Some(request) => self.requests.entry(request).or_default(),
            None => self.builders.entry(noted.builder).or_default(),
        };
        let (rule, worker) = (noted.remark.rule, noted.remark.worker);
        ring.note(now, noted.remark, |other| other.rule == rule && other.worker == worker);
    }

    /// Another configuration: nothing that was answered holds any longer.
    pub fn end_all(&mut self, now: Mono) {
        let rings = self.requests.values_mut().chain(self.builders.values_mut());
        rings.for_each(|ring| ring.end(now));
    }

    /// A build of it begins: nothing that was answered holds any longer.
    pub fn end_request(&mut self, now: Mono, request: BuildRequestId) {
        if let Some(ring) = self.requests.get_mut(&request) {
            ring.end(now);
        }
    }

    pub fn forget_request(&mut self, request: BuildRequestId) {
        self.requests.remove(&request);
    }

    pub fn forget_builder(&mut self, builder: BuilderId) {
        self.builders.remove(&builder);
    }

    pub fn of_request(&self, request: BuildRequestId) -> impl DoubleEndedIterator<Item = &Entry<Remark>> {
        self.requests.get(&request).into_iter().flat_map(Ring::iter)
    }

    pub fn of_builder(&self, builder: BuilderId) -> impl DoubleEndedIterator<Item = &Entry<Remark>> {
        self.builders.get(&builder).into_iter().flat_map(Ring::iter)
    }
}
