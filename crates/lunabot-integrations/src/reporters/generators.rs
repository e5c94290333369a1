//! Generators as declared: what they look at, and how they are limited (11.008–11.018).

use super::formatters::{Formatter, fixed};
use super::kinds::{
    BuildRequestParams, BuildSetCombinedParams, BuildSetStatusParams, BuildStartEndParams, BuildStatusParams,
    Chosen, WorkerMissingParams,
};
use super::means::Thing;
use super::modes::Modes;
use lunabot_data::{Happening, Wish};
use lunabot_model::{AnyObject, Json, Names, Properties};
use serde_json::json;

/// What a generator does by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Status,
    StartEnd,
    Request,
    Set,
    SetCombined,
    WorkerMissing,
}

/// A generator as declared.
pub(crate) struct Generator {
    pub thing: Thing,
    pub way: Way,
    pub chosen: Chosen,
    pub modes: Modes,
    pub happenings: Vec<Happening>,
    pub formatter: Formatter,
    /// At the beginning of a build, where that is another.
    pub start_formatter: Option<Formatter>,
}

impl Generator {
    /// The error says what is wrong; the script host has checked the options before.
    pub fn read(object: &AnyObject) -> Result<Generator, String> {
        fn chosen<T: serde::de::DeserializeOwned + Into<Chosen>>(
            object: &AnyObject,
        ) -> Result<Chosen, String> {
            object.typed::<T>().map(|typed| typed.args.into()).map_err(|error| error.to_string())
        }
        let (way, chosen) = match object.kind.as_str() {
            "reporters.BuildStatusGenerator" => (Way::Status, chosen::<BuildStatusParams>(object)?),
            "reporters.BuildStartEndStatusGenerator" => {
                (Way::StartEnd, chosen::<BuildStartEndParams>(object)?)
            }
            "reporters.BuildRequestGenerator" => (Way::Request, chosen::<BuildRequestParams>(object)?),
            "reporters.BuildSetStatusGenerator" => (Way::Set, chosen::<BuildSetStatusParams>(object)?),
            "reporters.BuildSetCombinedStatusGenerator" => {
                (Way::SetCombined, chosen::<BuildSetCombinedParams>(object)?)
            }
            "reporters.WorkerMissingGenerator" => {
                (Way::WorkerMissing, chosen::<WorkerMissingParams>(object)?)
            }
            other => return Err(format!("a {other} makes no reports")),
        };
        let thing = Thing::read(object)?;
        let formatter = match &chosen.formatter {
            Some(object) => Formatter::read(object)?,
            None => default_formatter(way),
        };
        let start_formatter = match (&chosen.start_formatter, way) {
            (Some(object), _) => Some(Formatter::read(object)?),
            (None, Way::StartEnd) => Some(default_start()),
            (None, _) => None,
        };
        for formatter in std::iter::once(&formatter).chain(&start_formatter) {
            formatter.fits(way == Way::WorkerMissing)?;
        }
        if chosen.wanted_event_keys.is_some() && thing.hook("generate").is_none() {
            return Err("wanted_event_keys: is for classes with a generate of their own; extend it".into());
        }
        let happenings = match chosen.happenings()? {
            Some(happenings) => happenings,
            None => default_happenings(way, chosen.report_new),
        };
        let modes = chosen.mode.clone().unwrap_or_default();
        Ok(Generator { thing, way, chosen, modes, happenings, formatter, start_formatter })
    }

    /// What is written to the outbox for it. What a class decides by itself is asked of everything.
    pub fn wish(&self) -> Wish {
        let decides =
            ["generate", "is_message_needed_by_props"].iter().any(|name| self.thing.hook(name).is_some());
        let names = |names: &Option<Names>| names.as_ref().filter(|_| !decides).map(|names| names.0.clone());
        Wish {
            happenings: self.happenings.clone(),
            builders: names(&self.chosen.builders),
            tags: names(&self.chosen.tags),
        }
    }

    /// Its formatters by the object that they are.
    pub fn formatter_of(&self, id: u64) -> Option<&Formatter> {
        std::iter::once(&self.formatter)
            .chain(&self.start_formatter)
            .find(|formatter| formatter.thing.object.id == id)
    }

    /// 11.012.
    pub fn needed_by_props(&self, builder: &Json, properties: &Properties) -> bool {
        let Chosen { tags, builders, schedulers, branches, .. } = &self.chosen;
        let tagged =
            |tag: &String| builder["tags"].as_array().is_some_and(|tags| tags.iter().any(|t| t == tag));
        let has = |names: &Option<Names>, value: Option<&str>| {
            names.as_ref().is_none_or(|names| value.is_some_and(|value| names.0.iter().any(|n| n == value)))
        };
        tags.as_ref().is_none_or(|tags| tags.0.iter().any(tagged))
            && has(builders, builder["name"].as_str())
            && has(schedulers, properties.text("scheduler"))
            && has(branches, properties.text("branch"))
    }

    /// Whether properties decide.
    pub fn asks_properties(&self) -> bool {
        self.chosen.schedulers.is_some() || self.chosen.branches.is_some()
    }

    /// Whether a worker is one of those that it reports.
    pub fn needs_worker(&self, name: &str) -> bool {
        self.chosen.workers.as_ref().is_none_or(|names| names.0.iter().any(|n| n == "all" || n == name))
    }
}

/// The other default is object 0; no declared object has so high a number.
const START: u64 = 1 << 52;

fn default_start() -> Formatter {
    let mut start = fixed("Build started.");
    start.thing.object.id = START;
    start
}

fn default_formatter(way: Way) -> Formatter {
    match way {
        Way::Status | Way::Set | Way::SetCombined => Formatter::default_of("MessageFormatter", json!({})),
        Way::StartEnd => fixed("Build done."),
        Way::Request => fixed("Build pending."),
        Way::WorkerMissing => Formatter::default_of("MessageFormatterMissingWorker", json!({})),
    }
}

fn default_happenings(way: Way, report_new: bool) -> Vec<Happening> {
    use Happening::{BuildFinished, BuildNew, BuildsetComplete, RequestCancelled, RequestNew, WorkerMissing};
    match way {
        Way::Status if report_new => vec![BuildNew, BuildFinished],
        Way::Status => vec![BuildFinished],
        Way::StartEnd => vec![BuildNew, BuildFinished],
        Way::Request => vec![RequestNew, RequestCancelled],
        Way::Set | Way::SetCombined => vec![BuildsetComplete],
        Way::WorkerMissing => vec![WorkerMissing],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generator(kind: &str, args: Json) -> Result<Generator, String> {
        let object = AnyObject {
            kind: format!("reporters.{kind}"),
            id: 1,
            at: "master.lua:1".into(),
            class: None,
            args,
        };
        Generator::read(&object)
    }

    #[test]
    fn row_11_012_builds_are_chosen_by_tags_builders_schedulers_and_branches() {
        let builder = json!({"name": "b", "tags": ["fast", "ci"]});
        let mut properties = Properties::new();
        properties.set("scheduler", "nightly", "Scheduler");
        properties.set("branch", "main", "Build");
        for (args, needed) in [
            (json!({}), true),
            (json!({"tags": ["slow", "ci"]}), true),
            (json!({"tags": ["slow"]}), false),
            (json!({"builders": ["a", "b"]}), true),
            (json!({"builders": "a"}), false),
            (json!({"schedulers": ["nightly"], "branches": ["main"]}), true),
            (json!({"schedulers": ["force"], "branches": ["main"]}), false),
            (json!({"branches": ["other"]}), false),
            (json!({"tags": []}), false),
        ] {
            let found = generator("BuildStatusGenerator", args.clone()).unwrap();
            assert_eq!(found.needed_by_props(&builder, &properties), needed, "{args}");
        }
        let found = generator("BuildStatusGenerator", json!({"branches": ["main"]})).unwrap();
        assert!(!found.needed_by_props(&builder, &Properties::new()));
    }

    #[test]
    fn formatters_are_found_by_their_objects_and_fit() {
        let both = generator("BuildStartEndStatusGenerator", json!({})).unwrap();
        let start = both.start_formatter.as_ref().map(|start| start.thing.object.id);
        assert_eq!(both.formatter_of(0).map(|one| &one.thing.object), Some(&both.formatter.thing.object));
        assert_eq!(start.and_then(|id| both.formatter_of(id)).map(|one| one.thing.object.id), start);
        assert!(both.formatter_of(7).is_none());
        let formatter = |kind: &str, args: Json| json!({"message_formatter": {"$kind": format!("reporters.{kind}"), "$id": 2, "$at": "m:1", "$args": args}});
        for (kind, args, told) in [
            (
                "BuildStatusGenerator",
                formatter("MessageFormatterMissingWorker", json!({})),
                Some("about workers"),
            ),
            ("WorkerMissingGenerator", formatter("MessageFormatter", json!({})), Some("has no template")),
            ("WorkerMissingGenerator", formatter("MessageFormatter", json!({"template": "x"})), None),
            ("WorkerMissingGenerator", formatter("MessageFormatterMissingWorker", json!({})), None),
        ] {
            let found = generator(kind, args).err();
            assert_eq!(found.is_some(), told.is_some(), "{kind}: {found:?}");
            assert!(found.unwrap_or_default().contains(told.unwrap_or_default()), "{kind}");
        }
    }

    #[test]
    fn generators_look_at_what_they_report() {
        for (kind, args, wanted) in [
            ("BuildStatusGenerator", json!({}), &["builds/*/finished"][..]),
            ("BuildStatusGenerator", json!({"report_new": true}), &["builds/*/new", "builds/*/finished"]),
            ("BuildStartEndStatusGenerator", json!({}), &["builds/*/new", "builds/*/finished"]),
            ("BuildRequestGenerator", json!({}), &["buildrequests/*/new", "buildrequests/*/cancel"]),
            ("BuildSetStatusGenerator", json!({}), &["buildsets/*/complete"]),
            ("WorkerMissingGenerator", json!({}), &["workers/*/missing"]),
        ] {
            let found = generator(kind, args).unwrap();
            let patterns: Vec<String> = found.happenings.iter().map(|one| one.pattern()).collect();
            assert_eq!(patterns, wanted, "{kind}");
        }
        let alone = generator("BuildStatusGenerator", json!({"wanted_event_keys": ["builds/*/new"]}));
        assert!(alone.err().unwrap().contains("extend it"));
    }
}
