//! Events: what happened, announced after it was committed (reference 09.085–09.098).

use crate::Json;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

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
}

/// A message's JSON, written as text once however many listen.
#[derive(Debug)]
pub struct Payload {
    value: Json,
    text: OnceLock<Box<str>>,
}

impl From<Json> for Payload {
    fn from(value: Json) -> Self {
        Payload { value, text: OnceLock::new() }
    }
}

impl Deref for Payload {
    type Target = Json;

    fn deref(&self) -> &Json {
        &self.value
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text.get_or_init(|| self.value.to_string().into()))
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
        assert_eq!((topic.to_string().as_str(), topic.id(1)), ("builds/12/finished", Some(12)));
    }
}
