//! Events: what happened, announced after it was committed (reference 09.085–09.098).

use crate::Json;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// A routing key: a tuple of texts, written `builds/12/finished`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic(Arc<[Box<str>]>);

impl Topic {
    /// The parts may be texts or numbers: `Topic::new(&[&"builds", &12, &"finished"])`.
    pub fn new(parts: &[&dyn fmt::Display]) -> Self {
        Topic(parts.iter().map(|part| part.to_string().into_boxed_str()).collect())
    }

    /// Splits a path at its slashes. A part that holds a slash itself needs [`Topic::from_parts`].
    pub fn parse(path: &str) -> Self {
        Topic(path.split('/').map(Into::into).collect())
    }

    pub fn from_parts<I: IntoIterator<Item = S>, S: Into<Box<str>>>(parts: I) -> Self {
        Topic(parts.into_iter().map(Into::into).collect())
    }

    pub fn parts(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(|part| &**part)
    }

    pub fn part(&self, index: usize) -> Option<&str> {
        self.0.get(index).map(|part| &**part)
    }

    /// The id at `index`, where that part is a number.
    pub fn id(&self, index: usize) -> Option<i64> {
        self.part(index)?.parse().ok()
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("/"))
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topic({self})")
    }
}

/// A filter over topics of one length; `*` stands for any one part.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern(Vec<Option<Box<str>>>);

impl Pattern {
    pub fn parse(path: &str) -> Self {
        Self::from_parts(path.split('/'))
    }

    pub fn from_parts<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
        Pattern(parts.into_iter().map(|part| (part != "*").then(|| part.into())).collect())
    }

    /// The text wanted at `index`; `None`: any.
    pub fn part(&self, index: usize) -> Option<&str> {
        self.0.get(index)?.as_deref()
    }

    pub fn matches(&self, topic: &Topic) -> bool {
        self.0.len() == topic.0.len()
            && self
                .0
                .iter()
                .zip(topic.0.iter())
                .all(|(want, have)| want.as_ref().is_none_or(|want| want == have))
    }

    /// Whether a topic can fit both.
    pub fn overlaps(&self, other: &Pattern) -> bool {
        let same = |(a, b): (&Option<Box<str>>, &Option<Box<str>>)| a.is_none() || b.is_none() || a == b;
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(same)
    }
}

/// What a value costs beside its texts.
const VALUE: usize = 64;

/// A message's JSON: made when it is first looked at, and written as text once, however many listen.
pub struct Payload {
    value: OnceLock<Json>,
    make: Mutex<Option<Make>>,
    weight: usize,
    text: OnceLock<Box<str>>,
}

type Make = Box<dyn FnOnce() -> Json + Send>;

impl From<Json> for Payload {
    fn from(value: Json) -> Self {
        let weight = Self::weight_of(&value);
        Payload { value: value.into(), make: Mutex::default(), weight, text: OnceLock::new() }
    }
}

impl Payload {
    /// One that `make` makes where somebody looks at it; `weight`: see there.
    pub fn lazy(weight: usize, make: impl FnOnce() -> Json + Send + 'static) -> Self {
        let make = Mutex::new(Some(Box::new(make) as Make));
        Payload { value: OnceLock::new(), make, weight, text: OnceLock::new() }
    }

    /// Bytes that it keeps in memory, with its text, roughly.
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// The same of a value.
    pub fn weight_of(value: &Json) -> usize {
        let rest = match value {
            // As value and as text.
            Json::String(text) => 2 * text.len(),
            Json::Array(items) => items.iter().map(Self::weight_of).sum(),
            Json::Object(map) => {
                map.iter().map(|(name, value)| 2 * name.len() + Self::weight_of(value)).sum()
            }
            Json::Null | Json::Bool(_) | Json::Number(_) => 0,
        };
        VALUE + rest
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({self})")
    }
}

impl Deref for Payload {
    type Target = Json;

    fn deref(&self) -> &Json {
        self.value.get_or_init(|| {
            let make = self.make.lock().unwrap_or_else(PoisonError::into_inner).take();
            make.map_or(Json::Null, |make| make())
        })
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text.get_or_init(|| (**self).to_string().into()))
    }
}

/// One message on the bus. The payload is the resource as GET returns it, without properties (09.098).
#[derive(Debug, Clone)]
pub struct Event {
    pub topic: Topic,
    pub payload: Arc<Payload>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_part_by_part() {
        let topic = Topic::new(&[&"builds", &12, &"finished"]);
        assert!(Pattern::parse("builds/*/finished").matches(&topic));
        assert!(Pattern::parse("*/*/*").matches(&topic));
        assert!(!Pattern::parse("builds/*").matches(&topic));
        assert!(!Pattern::parse("builds/13/finished").matches(&topic));
        let finished = Pattern::parse("builds/*/finished");
        assert!(finished.overlaps(&Pattern::parse("*/12/*")) && finished.overlaps(&finished));
        assert!(
            !finished.overlaps(&Pattern::parse("*/12/new")) && !finished.overlaps(&Pattern::parse("*/*"))
        );
        assert_eq!((topic.to_string().as_str(), topic.id(1)), ("builds/12/finished", Some(12)));
    }
}
