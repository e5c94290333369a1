//! The keys of one builder's requests, where `util.collapse_by` decides: each is asked for once under a configuration.

use lunabot_model::{BuildRequestId, BuilderId};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Keys that were asked for.
pub(crate) struct Keyed {
    pub builder: BuilderId,
    /// The configuration that was asked.
    pub generation: u64,
    pub keys: Vec<(BuildRequestId, Option<String>)>,
    pub of: Of,
}

/// Which group is wanted.
#[derive(Clone)]
pub(crate) enum Of {
    /// That of this request.
    Request(BuildRequestId),
    Key(Arc<str>),
}

/// See the module.
#[derive(Default)]
pub(super) struct Keys {
    generation: u64,
    unasked: BTreeSet<BuildRequestId>,
    /// `None`: being asked, or it never collapses.
    of: HashMap<BuildRequestId, Option<Arc<str>>>,
    groups: HashMap<Arc<str>, BTreeSet<BuildRequestId>>,
}

impl Keys {
    pub fn add(&mut self, id: BuildRequestId) {
        if !self.of.contains_key(&id) {
            self.unasked.insert(id);
        }
    }

    pub fn remove(&mut self, id: BuildRequestId) {
        self.unasked.remove(&id);
        let Some(Some(key)) = self.of.remove(&id) else { return };
        if let Some(group) = self.groups.get_mut(&key) {
            group.remove(&id);
            if group.is_empty() {
                self.groups.remove(&key);
            }
        }
    }

    /// Those whose keys are to be asked now; they count as asked. `all`: every request of the builder.
    pub fn ask(&mut self, generation: u64, all: &BTreeSet<BuildRequestId>) -> Vec<BuildRequestId> {
        if self.generation != generation {
            *self = Keys { generation, unasked: all.clone(), ..Keys::default() };
        }
        let unasked = std::mem::take(&mut self.unasked);
        self.of.extend(unasked.iter().map(|id| (*id, None)));
        unasked.into_iter().collect()
    }

    /// Notes what was answered about requests that are still there, unless it is out of date.
    pub fn learn(&mut self, keyed: Keyed) {
        if keyed.generation != self.generation {
            return;
        }
        for (id, key) in keyed.keys {
            if let (Some(place), Some(key)) = (self.of.get_mut(&id), key) {
                let key: Arc<str> = key.into();
                *place = Some(key.clone());
                self.groups.entry(key).or_default().insert(id);
            }
        }
    }

    /// The key, and all that have it, by id.
    pub fn group(&self, of: &Of) -> Option<(&Arc<str>, &BTreeSet<BuildRequestId>)> {
        let key = match of {
            Of::Request(id) => self.of.get(id)?.as_ref()?,
            Of::Key(key) => key,
        };
        self.groups.get_key_value(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyed(generation: u64, keys: &[(i64, &str)]) -> Keyed {
        let keys = keys.iter().map(|(id, key)| (*id, Some((*key).to_string()))).collect();
        Keyed { builder: 1, generation, keys, of: Of::Request(1) }
    }

    fn ids(keys: &Keys, of: Of) -> Option<Vec<BuildRequestId>> {
        keys.group(&of).map(|(_, ids)| ids.iter().copied().collect())
    }

    #[test]
    fn each_is_asked_once_until_the_configuration_changes() {
        let (mut keys, mut all) = (Keys::default(), BTreeSet::from([1, 2]));
        assert_eq!(keys.ask(1, &all), [1, 2], "those that waited before too");
        keys.learn(keyed(1, &[(1, "a"), (2, "a")]));
        all.insert(3);
        keys.add(3);
        assert_eq!(keys.ask(1, &all), [3]);
        assert!(ids(&keys, Of::Request(3)).is_none(), "not answered yet");
        keys.learn(keyed(1, &[(3, "a")]));
        assert_eq!(ids(&keys, Of::Request(3)), Some(vec![1, 2, 3]));
        keys.remove(2);
        assert_eq!(ids(&keys, Of::Key("a".into())), Some(vec![1, 3]), "whoever had it first");
        assert_eq!(keys.ask(2, &BTreeSet::from([1, 3])), [1, 3], "asked again");
        keys.learn(keyed(1, &[(1, "a")]));
        assert!(ids(&keys, Of::Request(1)).is_none(), "an answer of the old configuration");
    }
}
