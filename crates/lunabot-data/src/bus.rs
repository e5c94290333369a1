//! The event bus: topics, patterns, bounded queues.
//!
//! A subscriber that does not keep up loses events and is told how many, so that it can read the data again; it
//! never costs unbounded memory and never slows the publisher.

use lunabot_model::{Event, Json, Pattern, Payload, Topic};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::sync::Notify;

/// Events that wait for one subscriber; past this they are dropped and counted.
const QUEUE: usize = 4096;
/// The same for the size of their payloads; one alone may be larger.
const QUEUE_BYTES: usize = 16 << 20;

/// The in-process bus; cheap to clone.
#[derive(Clone, Default)]
pub struct Bus {
    index: Arc<RwLock<Index>>,
}

/// Subscriptions by the first two parts of their patterns (`*` where any will do), so that an event is compared with
/// few of them.
#[derive(Default)]
struct Index {
    by_prefix: HashMap<Box<str>, HashMap<Box<str>, Vec<Entry>>>,
    next: u64,
    /// How many events were delivered; held while one is.
    delivered: Mutex<u64>,
}

struct Entry {
    subscription: u64,
    pattern: Pattern,
    queue: Arc<Queue>,
}

/// The events that wait for one subscriber.
struct Queue {
    waiting: Mutex<Waiting>,
    wake: Notify,
}

#[derive(Default)]
struct Waiting {
    events: VecDeque<Event>,
    /// What their payloads keep in memory, roughly.
    bytes: usize,
    /// The number of the event that came last, so that it comes once however many patterns match.
    last: u64,
    lost: u64,
    closed: bool,
}

fn key(pattern: &Pattern, index: usize) -> &str {
    pattern.part(index).unwrap_or("*")
}

impl Index {
    fn add(&mut self, subscription: u64, pattern: Pattern, queue: &Arc<Queue>) {
        let (first, second) = (key(&pattern, 0).into(), key(&pattern, 1).into());
        let entry = Entry { subscription, pattern, queue: queue.clone() };
        self.by_prefix.entry(first).or_default().entry(second).or_default().push(entry);
    }

    fn remove(&mut self, subscription: u64, pattern: &Pattern) {
        let (first, second) = (key(pattern, 0), key(pattern, 1));
        let Some(seconds) = self.by_prefix.get_mut(first) else { return };
        if let Some(entries) = seconds.get_mut(second) {
            entries.retain(|entry| entry.subscription != subscription || entry.pattern != *pattern);
            if entries.is_empty() {
                seconds.remove(second);
            }
        }
        if seconds.is_empty() {
            self.by_prefix.remove(first);
        }
    }

    /// Once to each subscriber, however many of its patterns match.
    fn deliver(&self, event: &Event) {
        let mut number = self.delivered.lock().unwrap_or_else(PoisonError::into_inner);
        *number += 1;
        for entry in self.matching(&event.topic) {
            entry.queue.push(event, *number);
        }
    }

    fn matching<'a>(&'a self, topic: &'a Topic) -> impl Iterator<Item = &'a Entry> {
        let (first, second) = (topic.part(0).unwrap_or(""), topic.part(1).unwrap_or("*"));
        let firsts = [first, "*"].into_iter().filter_map(|key| self.by_prefix.get(key));
        let seconds = move |map: &'a HashMap<Box<str>, Vec<Entry>>| {
            let other = (second != "*").then(|| map.get("*")).flatten();
            map.get(second).into_iter().chain(other).flatten()
        };
        firsts.flat_map(seconds).filter(move |entry| entry.pattern.matches(topic))
    }
}

impl Bus {
    /// Subscribes to the topics that match any of `patterns`, from now on.
    pub fn subscribe(&self, patterns: Vec<Pattern>) -> Subscription {
        let queue = Arc::new(Queue { waiting: Mutex::default(), wake: Notify::new() });
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        index.next += 1;
        let id = index.next;
        for pattern in &patterns {
            index.add(id, pattern.clone(), &queue);
        }
        drop(index);
        Subscription { id, patterns, queue, bus: self.clone() }
    }

    /// Announces an event. Only updates, after their commit, and control actions do this.
    pub fn publish(&self, event: Event) {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        index.deliver(&event);
    }

    /// Whether anyone listens to topics that begin with this word: asked before topics are even made.
    pub(crate) fn listens_to(&self, first: &str) -> bool {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        index.by_prefix.contains_key("*") || index.by_prefix.contains_key(first)
    }

    /// Announces one thing under several topics; the payload, of about this weight, is made only if somebody looks at it.
    pub(crate) fn publish_lazily(
        &self,
        topics: Vec<Topic>,
        weight: usize,
        payload: impl FnOnce() -> Json + Send + 'static,
    ) {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        let wanted: Vec<Topic> = topics.into_iter().filter(|t| index.matching(t).next().is_some()).collect();
        if wanted.is_empty() {
            return;
        }
        let payload = Arc::new(Payload::lazy(weight, payload));
        for topic in wanted {
            index.deliver(&Event { topic, payload: payload.clone() });
        }
    }

    /// Ends all subscriptions, after what is queued.
    pub(crate) fn close(&self) {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        for entry in index.by_prefix.values().flat_map(HashMap::values).flatten() {
            entry.queue.waiting.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
            entry.queue.wake.notify_one();
        }
    }
}

impl Queue {
    fn push(&self, event: &Event, number: u64) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut waiting.last, number) == number {
            return;
        }
        // Once something is lost, all is dropped until the subscriber knows: it reads the data again then.
        let bytes = waiting.bytes + event.payload.weight();
        let full = waiting.events.len() >= QUEUE || (bytes > QUEUE_BYTES && !waiting.events.is_empty());
        if waiting.lost > 0 || full {
            waiting.lost += 1;
            return;
        }
        waiting.bytes = bytes;
        waiting.events.push_back(event.clone());
        drop(waiting);
        self.wake.notify_one();
    }

    fn pop(&self) -> Next {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match waiting.events.pop_front() {
            Some(event) => {
                waiting.bytes -= event.payload.weight();
                Next::Delivery(Delivery::Event(event))
            }
            None if waiting.lost > 0 => Next::Delivery(Delivery::Lagged(std::mem::take(&mut waiting.lost))),
            None if waiting.closed => Next::Closed,
            None => Next::Nothing,
        }
    }
}

enum Next {
    Delivery(Delivery),
    Closed,
    Nothing,
}

/// One subscriber's queue.
pub struct Subscription {
    id: u64,
    patterns: Vec<Pattern>,
    queue: Arc<Queue>,
    bus: Bus,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut index = self.bus.index.write().unwrap_or_else(PoisonError::into_inner);
        self.patterns.iter().for_each(|pattern| index.remove(self.id, pattern));
    }
}

/// What a subscription yields.
#[derive(Debug, Clone)]
pub enum Delivery {
    Event(Event),
    /// So many events were dropped since the last delivery: read the data again.
    Lagged(u64),
}

impl Subscription {
    /// Takes events of one more pattern, from now on; false: it took them already.
    pub fn add(&mut self, pattern: Pattern) -> bool {
        if self.patterns.contains(&pattern) {
            return false;
        }
        let mut index = self.bus.index.write().unwrap_or_else(PoisonError::into_inner);
        index.add(self.id, pattern.clone(), &self.queue);
        self.patterns.push(pattern);
        true
    }

    /// Takes no more events of a pattern; false: it never did. What is queued stays.
    pub fn remove(&mut self, pattern: &Pattern) -> bool {
        let Some(place) = self.patterns.iter().position(|known| known == pattern) else { return false };
        self.patterns.swap_remove(place);
        self.bus.index.write().unwrap_or_else(PoisonError::into_inner).remove(self.id, pattern);
        true
    }

    /// How many patterns it has.
    pub fn patterns(&self) -> usize {
        self.patterns.len()
    }

    /// A delivery that need not be waited for.
    pub fn ready(&mut self) -> Option<Delivery> {
        match self.queue.pop() {
            Next::Delivery(delivery) => Some(delivery),
            Next::Closed | Next::Nothing => None,
        }
    }

    /// The next delivery; `None` when the bus is gone. Cancel-safe.
    pub async fn next(&mut self) -> Option<Delivery> {
        loop {
            match self.queue.pop() {
                Next::Delivery(delivery) => return Some(delivery),
                Next::Closed => return None,
                Next::Nothing => self.queue.wake.notified().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(path: &str, n: i64) -> Event {
        Event { topic: Topic::parse(path), payload: Arc::new(Json::from(n).into()) }
    }

    async fn values(subscription: &mut Subscription, count: usize) -> Vec<String> {
        let mut seen = Vec::new();
        for _ in 0..count {
            seen.push(match subscription.next().await.unwrap() {
                Delivery::Event(event) => event.payload.to_string(),
                Delivery::Lagged(n) => format!("lost {n}"),
            });
        }
        seen
    }

    #[tokio::test]
    async fn wildcards_and_several_patterns_deliver_each_event_once_15_010() {
        let bus = Bus::default();
        let patterns = ["builds/*/finished", "builds/12/*", "*/*/x"].map(Pattern::parse).to_vec();
        let mut subscription = bus.subscribe(patterns);
        for (path, n) in [
            ("builds/12/finished", 1),
            ("builds/13/finished", 2),
            ("builds/13/new", 3),
            ("steps/1/x", 4),
            ("a/b", 5),
        ] {
            bus.publish(event(path, n));
        }
        assert_eq!(values(&mut subscription, 3).await, ["1", "2", "4"]);
    }

    #[tokio::test]
    async fn patterns_come_and_go() {
        let bus = Bus::default();
        let mut subscription = bus.subscribe(Vec::new());
        let (all, twelve) = (Pattern::parse("builds/*/new"), Pattern::parse("builds/12/*"));
        assert!(
            subscription.add(all.clone())
                && subscription.add(twelve.clone())
                && !subscription.add(all.clone())
        );
        bus.publish(event("builds/12/new", 1));
        assert!(subscription.remove(&all) && !subscription.remove(&all));
        bus.publish(event("builds/13/new", 2));
        bus.publish(event("builds/12/new", 3));
        assert_eq!(
            (values(&mut subscription, 2).await, subscription.patterns()),
            (vec!["1".into(), "3".into()], 1)
        );
        drop(subscription);
        assert!(bus.index.read().unwrap().by_prefix.is_empty());
    }

    #[tokio::test]
    async fn who_lags_is_told_how_much_was_lost_and_then_goes_on() {
        let bus = Bus::default();
        let mut subscription = bus.subscribe(vec![Pattern::parse("a/*")]);
        for n in 0..QUEUE as i64 + 3 {
            bus.publish(event("a/b", n));
        }
        let seen = values(&mut subscription, QUEUE + 1).await;
        assert_eq!(seen[QUEUE], "lost 3");
        bus.publish(event("a/b", 7));
        assert_eq!(values(&mut subscription, 1).await, ["7"]);
    }

    #[tokio::test]
    async fn large_events_wait_up_to_a_size_and_one_alone_whatever_its_size() {
        let bus = Bus::default();
        let mut subscription = bus.subscribe(vec![Pattern::parse("a/*")]);
        let large = |bytes: usize| Event {
            topic: Topic::parse("a/b"),
            payload: Arc::new(Json::from("x".repeat(bytes)).into()),
        };
        let mut deliveries = async |count: usize| {
            let mut lengths = Vec::new();
            for _ in 0..count {
                lengths.push(match subscription.next().await.unwrap() {
                    Delivery::Event(event) => event.payload.as_str().unwrap().len(),
                    Delivery::Lagged(lost) => lost as usize,
                });
            }
            lengths
        };
        bus.publish(large(QUEUE_BYTES));
        bus.publish(large(1));
        assert_eq!(deliveries(2).await, [QUEUE_BYTES, 1], "the second is lost");
        let quarter = QUEUE_BYTES / 8;
        (0..6).for_each(|_| bus.publish(large(quarter)));
        assert_eq!(deliveries(4).await, [quarter, quarter, quarter, 3]);
        bus.publish(large(quarter));
        assert_eq!(deliveries(1).await, [quarter], "what was read counts no more");
    }

    #[test]
    fn a_dropped_subscription_leaves_nothing_behind() {
        let bus = Bus::default();
        drop(bus.subscribe(vec![Pattern::parse("builds/*/new"), Pattern::parse("*/1")]));
        assert!(!bus.listens_to("builds"));
    }
}
