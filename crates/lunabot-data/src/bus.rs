//! The event bus: topics, patterns, bounded queues.
//!
//! A subscriber that does not keep up loses events and is told how many, so that it can read the data again; it
//! never costs unbounded memory and never slows the publisher.

use lunabot_model::{Event, Pattern};

/// The in-process bus; cheap to clone.
#[derive(Clone)]
pub struct Bus {}

impl Bus {
    /// Subscribes to the topics that match any of `patterns`, from now on.
    pub fn subscribe(&self, patterns: Vec<Pattern>) -> Subscription {
        let _ = patterns;
        todo!()
    }

    /// Announces an event. Only updates, after their commit, and control actions do this.
    pub fn publish(&self, event: Event) {
        let _ = event;
        todo!()
    }
}

/// One subscriber's queue.
pub struct Subscription {}

/// What a subscription yields.
#[derive(Debug, Clone)]
pub enum Delivery {
    Event(Event),
    /// So many events were dropped since the last delivery: read the data again.
    Lagged(u64),
}

impl Subscription {
    /// The next delivery; `None` when the bus is gone. Cancel-safe.
    pub async fn next(&mut self) -> Option<Delivery> {
        todo!()
    }
}
