//! What differs between two configurations, in words (lua-api § 5, 01.011).
//!
//! Things are matched by name. Equal ones are not touched; the rest is started, stopped or changed. The reason names
//! options, never their values: those may be secrets.

use lunabot_model::config::{Config, DeclaredBuilder};
use lunabot_model::object::same;
use lunabot_model::reporters;
use lunabot_model::{AnyObject, Json};
use std::collections::BTreeMap;

/// How many reasons a line gives before it says "and more".
const REASONS: usize = 3;

/// What becomes of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Start,
    Stop,
    /// With the options that differ.
    Change(Vec<String>),
    Stay,
}

/// Whether it is still to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tense {
    Would,
    Did,
}

/// One thing of a configuration and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// `builder`, `worker`, `change source` …
    pub what: &'static str,
    pub name: String,
    pub verdict: Verdict,
}

/// Everything that a reload would do, in a stable order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    pub items: Vec<Item>,
}

impl Plan {
    /// Compares the running configuration with its successor.
    pub fn between(old: &Config, new: &Config) -> Plan {
        let mut plan = Plan::default();
        plan.compare("setting", settings(old), settings(new));
        plan.compare("project", objects(&old.projects), objects(&new.projects));
        plan.compare("codebase", objects(&old.codebases), objects(&new.codebases));
        plan.compare("worker", objects(&old.workers), objects(&new.workers));
        plan.compare("builder", builders(&old.builders), builders(&new.builders));
        plan.compare("scheduler", objects(&old.schedulers), objects(&new.schedulers));
        plan.compare("change source", objects(&old.change_sources), objects(&new.change_sources));
        plan.compare("service", objects(&old.services), objects(&new.services));
        plan
    }

    fn compare(&mut self, what: &'static str, old: BTreeMap<String, Json>, new: BTreeMap<String, Json>) {
        for (name, before) in &old {
            let verdict = match new.get(name) {
                None => Verdict::Stop,
                Some(after) if same(before, after) => Verdict::Stay,
                Some(after) => Verdict::Change(reasons(before, after)),
            };
            self.items.push(Item { what, name: name.clone(), verdict });
        }
        let started = new.into_keys().filter(|name| !old.contains_key(name));
        self.items.extend(started.map(|name| Item { what, name, verdict: Verdict::Start }));
    }

    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.items.iter().all(|item| item.verdict == Verdict::Stay)
    }

    /// The builders that are configured no longer.
    pub fn removed_builders(&self) -> impl Iterator<Item = &str> {
        let gone = |item: &&Item| item.what == "builder" && item.verdict == Verdict::Stop;
        self.items.iter().filter(gone).map(|item| item.name.as_str())
    }

    /// A line per thing that differs, and one that counts the rest: what would be done, or what was.
    pub fn lines(&self, tense: Tense) -> Vec<String> {
        let differs = self.items.iter().filter(|item| item.verdict != Verdict::Stay);
        let mut lines: Vec<String> = differs.map(|item| item.line(tense)).collect();
        let mut stays: BTreeMap<&str, usize> = BTreeMap::new();
        for item in self.items.iter().filter(|item| item.verdict == Verdict::Stay && item.what != "setting") {
            *stays.entry(item.what).or_default() += 1;
        }
        if !stays.is_empty() {
            let counts =
                stays.iter().map(|(what, n)| format!("{n} {what}{}", if *n == 1 { "" } else { "s" }));
            lines.push(format!("unchanged: {}", counts.collect::<Vec<_>>().join(", ")));
        }
        lines
    }
}

impl Item {
    fn line(&self, tense: Tense) -> String {
        let Item { what, name, verdict } = self;
        let (would, did, why) = match verdict {
            Verdict::Start => ("start", "started", String::new()),
            Verdict::Stop => ("stop", "stopped", String::new()),
            Verdict::Stay => ("keep", "kept", String::new()),
            Verdict::Change(why) if why.is_empty() => ("change", "changed", String::new()),
            Verdict::Change(why) => ("change", "changed", format!(": {}", why.join(", "))),
        };
        let verb = if tense == Tense::Would { would } else { did };
        format!("{verb} {what} {name}{why}")
    }
}

/// The name by which a declared object is matched: its own, or what its kind takes for one.
pub fn name_of(object: &AnyObject) -> String {
    if object.kind == reporters::REPORTER {
        return reporters::name_of(object);
    }
    let text = |option| object.arg(option).and_then(Json::as_str).map(str::to_string);
    let class = || object.class.as_ref()?.get("name")?.as_str().map(str::to_string);
    text("name").or_else(|| text("repourl")).or_else(class).unwrap_or_else(|| object.kind.clone())
}

fn objects(list: &[AnyObject]) -> BTreeMap<String, Json> {
    list.iter().map(|object| (name_of(object), json(object))).collect()
}

fn builders(list: &[DeclaredBuilder]) -> BTreeMap<String, Json> {
    list.iter().map(|builder| (builder.config.name.clone(), json(&builder.config))).collect()
}

/// Keys of the configuration that are no lists of things.
fn settings(config: &Config) -> BTreeMap<String, Json> {
    let all = [
        ("title", json(&config.title)),
        ("titleURL", json(&config.title_url)),
        ("buildbotURL", json(&config.buildbot_url)),
        ("secretsProviders", json(&config.secrets_providers)),
        ("protocols", json(&config.protocols)),
        ("db", json(&config.db_url)),
        ("www", json(&config.www)),
        ("lua", json(&config.lua)),
        ("properties", json(&config.properties)),
        ("collapseRequests", json(&config.collapse_requests)),
        ("prioritizeBuilders", json(&config.prioritize_builders)),
        ("select_next_worker", json(&config.select_next_worker)),
        ("codebaseGenerator", json(&config.codebase_generator)),
        ("revlink", json(&config.revlink)),
        ("logEncoding", json(&config.log_encoding)),
        ("logCompressionMethod", json(&config.log_compression)),
        ("logMaxSize", json(&config.log_max_size)),
        ("logMaxTailSize", json(&config.log_max_tail_size)),
    ];
    all.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}

/// Everything that is declared in a configuration.
pub fn declared_values(config: &Config) -> Vec<Json> {
    let lists = [
        &config.workers,
        &config.schedulers,
        &config.change_sources,
        &config.services,
        &config.projects,
        &config.codebases,
    ];
    let mut all: Vec<Json> = lists.into_iter().flatten().map(json).collect();
    all.extend(config.builders.iter().map(|builder| json(&builder.config)));
    all.extend(settings(config).into_values());
    all
}

/// Everything in a configuration was read from JSON and can be written as such.
fn json(value: &impl serde::Serialize) -> Json {
    serde_json::to_value(value).unwrap_or(Json::Null)
}

/// Where two versions of a thing differ: `` `factory.steps[2].command` ``, or that it is of another kind.
fn reasons(before: &Json, after: &Json) -> Vec<String> {
    let mut found = Vec::new();
    differences(before, after, String::new(), &mut found);
    let more = found.len() > REASONS;
    found.truncate(REASONS);
    if more {
        found.push("and more".to_string());
    }
    found
}

fn differences(before: &Json, after: &Json, path: String, found: &mut Vec<String>) {
    if found.len() > REASONS || same(before, after) {
        return;
    }
    match (before, after) {
        (Json::Object(a), Json::Object(b)) if a.contains_key("$fn") && b.contains_key("$fn") => {
            let at = after.pointer("/$fn/at").and_then(Json::as_str).unwrap_or_default();
            // A function that is a setting is named by that.
            let (named, of) = match path.as_str() {
                "" => (String::new(), String::new()),
                path => (format!(" `{path}`"), format!(" of `{path}`")),
            };
            found.push(match upvalues(before, after).as_slice() {
                [] => format!("function{named} ({at})"),
                [one] => format!("upvalue {one}{of} changed ({at})"),
                several => format!("upvalues {}{of} changed ({at})", several.join(", ")),
            });
        }
        (Json::Object(a), Json::Object(b)) if a.get("$kind") != b.get("$kind") => {
            found.push(format!("{} is another kind", quoted(&path)));
        }
        (Json::Object(a), Json::Object(b)) => {
            let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys.into_iter().filter(|key| *key != "$id" && *key != "$at") {
                if let ("$class", Some(a), Some(b)) = (key.as_str(), a.get(key), b.get(key)) {
                    of_class(a, b, &path, found);
                    continue;
                }
                let inner = if key == "$args" { path.clone() } else { join(&path, key) };
                let get = |map: &serde_json::Map<String, Json>| map.get(key).cloned().unwrap_or(Json::Null);
                differences(&get(a), &get(b), inner, found);
            }
        }
        (Json::Array(a), Json::Array(b)) if a.len() == b.len() => {
            for (n, (a, b)) in a.iter().zip(b).enumerate() {
                differences(a, b, format!("{path}[{}]", n + 1), found);
            }
        }
        (Json::Array(a), Json::Array(b)) => {
            found.push(format!("{} has {} items instead of {}", quoted(&path), b.len(), a.len()));
        }
        _ if path.is_empty() => {}
        _ => found.push(quoted(&path)),
    }
}

/// Methods by their names, then the rest of what a class says.
fn of_class(before: &Json, after: &Json, path: &str, found: &mut Vec<String>) {
    let told = found.len();
    differences(&before["hooks"], &after["hooks"], path.to_string(), found);
    let rest = |class: &Json| {
        let mut class = class.clone();
        class
            .as_object_mut()
            .into_iter()
            .for_each(|class| class.retain(|key, _| !matches!(key.as_str(), "hooks" | "fingerprint")));
        class
    };
    differences(&rest(before), &rest(after), path.to_string(), found);
    if found.len() == told && !same(before, after) {
        let of = if path.is_empty() { String::new() } else { format!(" of `{path}`") };
        found.push(format!("the class{of}"));
    }
}

/// The upvalues by which two versions of a function differ, if its code is the same.
fn upvalues(before: &Json, after: &Json) -> Vec<String> {
    let parts = |function: &Json| -> BTreeMap<String, String> {
        let print = function.pointer("/$fn/fingerprint").and_then(Json::as_str).unwrap_or_default();
        let parts = print.split(';').skip(1).filter_map(|part| part.split_once('='));
        parts.map(|(name, hash)| (name.to_string(), hash.to_string())).collect()
    };
    let (before, after) = (parts(before), parts(after));
    if before.get("") != after.get("") {
        return Vec::new();
    }
    let differ = after.into_iter().filter(|(name, hash)| before.get(name) != Some(hash));
    differ.map(|(name, _)| name).collect()
}

fn join(path: &str, key: &str) -> String {
    match (path, key) {
        ("", key) => key.to_string(),
        (path, key) => format!("{path}.{key}"),
    }
}

fn quoted(path: &str) -> String {
    if path.is_empty() { "it".to_string() } else { format!("`{path}`") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn scheduler(name: &str, timer: i64, fingerprint: &str) -> AnyObject {
        let function = json!({"$fn": {"id": timer, "generation": timer, "fingerprint": fingerprint, "at": "master.lua:7"}});
        let args = json!({"name": name, "treeStableTimer": timer, "fileIsImportant": function});
        AnyObject {
            kind: "schedulers.AnyBranchScheduler".into(),
            id: 1,
            at: "master.lua:5".into(),
            class: None,
            args,
        }
    }

    fn config(schedulers: Vec<AnyObject>) -> Config {
        Config { schedulers, ..Config::default() }
    }

    #[test]
    fn only_what_differs_is_named_and_why() {
        let old = config(vec![
            scheduler("a", 1, "x"),
            scheduler("b", 1, "x"),
            scheduler("c", 1, "x"),
            scheduler("f", 1, "x"),
        ]);
        let mut other = scheduler("f", 1, "y");
        other.id = 99;
        let new = config(vec![scheduler("a", 2, "x"), other, scheduler("d", 1, "x"), scheduler("b", 1, "x")]);
        let expected = [
            "change scheduler a: `treeStableTimer`",
            "stop scheduler c",
            "change scheduler f: function `fileIsImportant` (master.lua:7)",
            "start scheduler d",
            "unchanged: 1 scheduler",
        ];
        assert_eq!(Plan::between(&old, &new).lines(Tense::Would), expected);
        assert!(Plan::between(&old, &old).is_empty());
    }

    #[test]
    fn functions_that_are_settings_are_told_by_their_upvalues() {
        let with = |print: &str| {
            let function =
                json!({"$fn": {"id": 1, "generation": 1, "fingerprint": print, "at": "master.lua:7"}});
            let prioritize_builders = lunabot_model::Callback::from_json(&function);
            Config { prioritize_builders, ..Config::default() }
        };
        let lines = |before, after| Plan::between(&with(before), &with(after)).lines(Tense::Would);
        let changed = "change setting prioritizeBuilders: upvalue V06 changed (master.lua:7)";
        assert_eq!(lines("a;=c;V06=1", "b;=c;V06=2"), [changed]);
        let other = "change setting prioritizeBuilders: function (master.lua:7)";
        assert_eq!(lines("a;=c;V06=1", "b;=d;V06=1"), [other]);
    }

    #[test]
    fn values_are_never_shown() {
        let worker = |password: &str| AnyObject {
            kind: "worker.Worker".into(),
            args: json!({"name": "w", "password": password}),
            ..scheduler("w", 1, "x")
        };
        let old = Config { workers: vec![worker("old secret")], ..Config::default() };
        let new = Config { workers: vec![worker("new secret")], title: "T".into(), ..Config::default() };
        let lines = Plan::between(&old, &new).lines(Tense::Would);
        assert_eq!(lines, ["change setting title", "change worker w: `password`"]);
    }
}
