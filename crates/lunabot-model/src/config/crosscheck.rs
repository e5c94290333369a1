//! Checks across sections: names that must exist, names that must be unique (01.004–01.009, 01.019).

use super::read::{error, error_at};
use super::{Config, ConfigError, protocols};
use crate::locks::{LockId, LockScope, LockUse};
use crate::reporters::{self, REPORTER};
use crate::{AnyObject, Json, kind};
use serde_json::Map;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// Adds every mistake found. Sections that could not be read are judged by their keys in `table` alone.
pub(super) fn check(config: &Config, table: &Map<String, Json>, errors: &mut Vec<ConfigError>) {
    presence(config, table, errors);
    names(config, errors);
    builders(config, table, errors);
    codebases(config, errors);
    super::idle::check(config, errors);
    services(config, table, errors);
    schedulers(config, table, errors);
    locks(config, errors);
    protocols::check(config, errors);
    triggers(config, table, errors);
    upstreams(config, table, errors);
    // Who is missing can be told only where everybody present could be read.
    if errors.is_empty() {
        builders_without_schedulers(config, errors);
    }
}

/// 01.004. A section that has mistakes of its own is not missing.
fn presence(config: &Config, table: &Map<String, Json>, errors: &mut Vec<ConfigError>) {
    let empty = |key: &str| {
        table.get(key).is_none_or(|v| v.as_array().is_none_or(Vec::is_empty) && v.get("$kind").is_none())
    };
    if config.workers.is_empty() && empty("workers") {
        errors.push(error(
            "workers",
            "no workers are configured; the simplest is c.workers = { worker.LocalWorker{\"local\"} }",
        ));
    }
    if config.builders.is_empty() && empty("builders") {
        errors.push(error("builders", "no builders are configured"));
    }
}

/// A section whose list has gaps: nobody can be said to be missing from it.
fn has_gaps(table: &Map<String, Json>, key: &str) -> bool {
    table.get(key).and_then(Json::as_array).is_some_and(|items| items.iter().any(Json::is_null))
}

fn name_of(object: &AnyObject) -> Option<&str> {
    object.arg("name").and_then(Json::as_str)
}

/// Its name; that of its class, where it is a service of one and has no other.
fn service_name(object: &AnyObject) -> Option<Cow<'_, str>> {
    if object.kind == REPORTER {
        return Some(reporters::name_of(object).into());
    }
    let of_class = || object.class.as_ref()?.get("name")?.as_str();
    name_of(object).or_else(|| of_class().filter(|_| object.kind == OWN_SERVICE)).map(Cow::Borrowed)
}

/// Names within one section are unique (01.005, 01.007, 01.009), those of workers also well formed (01.019).
fn names(config: &Config, errors: &mut Vec<ConfigError>) {
    let sections: [(&str, &[AnyObject]); 4] = [
        ("worker", &config.workers),
        ("scheduler", &config.schedulers),
        ("change source", &config.change_sources),
        ("project", &config.projects),
    ];
    for (what, objects) in sections {
        let named = objects.iter().filter_map(|o| Some((name_of(o)?, o.at.as_str(), o.kind.as_str())));
        duplicates(what, named, errors);
    }
    let services: Vec<_> = config.services.iter().filter_map(|o| Some((service_name(o)?, o))).collect();
    let named = services.iter().map(|(name, o)| (&**name, o.at.as_str(), o.kind.as_str()));
    duplicates("service", named, errors);
    let named = config.builders.iter().map(|b| (b.config.name.as_str(), b.at.as_str(), "util.BuilderConfig"));
    duplicates("builder", named, errors);
    for worker in &config.workers {
        if let Some(wrong) = name_of(worker).and_then(worker_name_problem) {
            errors.push(error_at(&worker.at, worker.kind.clone(), wrong));
        }
    }
}

fn duplicates<'a>(
    what: &str,
    named: impl Iterator<Item = (&'a str, &'a str, &'a str)>,
    errors: &mut Vec<ConfigError>,
) {
    let mut seen: HashMap<&str, &str> = HashMap::new();
    for (name, at, kind) in named {
        if let Some(first) = seen.insert(name, at) {
            errors.push(error_at(
                at,
                kind,
                format!("{what} name '{name}' used multiple times, first at {first}"),
            ));
        }
    }
}

/// 01.019.
fn worker_name_problem(name: &str) -> Option<String> {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_' || c == '-' || c == '.' || c >= '\u{a0}';
    let good =
        name.chars().next().is_some_and(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit());
    if !good {
        return Some(format!(
            "the worker name '{name}' must be of letters, digits, '_', '-' and '.', and not begin with a digit"
        ));
    }
    if name.chars().count() > 50 {
        return Some(format!("the worker name '{name}' is longer than 50 characters"));
    }
    ["debug", "change", "status"].contains(&name).then(|| format!("the worker name '{name}' is reserved"))
}

/// Workers, folders and projects of builders (01.007).
fn builders(config: &Config, table: &Map<String, Json>, errors: &mut Vec<ConfigError>) {
    let workers: Vec<&str> = config.workers.iter().filter_map(name_of).collect();
    let projects: Vec<&str> = config.projects.iter().filter_map(name_of).collect();
    let mut folders: HashMap<&str, &str> = HashMap::new();
    for builder in &config.builders {
        let name = &builder.config.name;
        let wanted = if has_gaps(table, "workers") { Vec::new() } else { builder.config.workers() };
        for worker in wanted {
            if !workers.contains(&worker.as_str()) {
                let text =
                    format!("builder '{name}' uses unknown worker '{worker}'{}", hint(&worker, &workers));
                errors.push(error_at(&builder.at, "util.BuilderConfig", text));
            }
        }
        if let Some(project) = builder.config.project.as_deref().filter(|p| !projects.contains(p)) {
            let text =
                format!("builder '{name}' uses unknown project '{project}'{}", hint(project, &projects));
            errors.push(error_at(&builder.at, "util.BuilderConfig", text));
        }
        let folder = builder.config.builddir.as_deref().unwrap_or(name);
        if let Some(other) = folders.insert(folder, name).filter(|other| *other != name) {
            let text = format!("builder '{name}' has the builddir '{folder}' of builder '{other}'");
            errors.push(error_at(&builder.at, "util.BuilderConfig", text));
        }
    }
}

/// Each codebase, also that of a change source, is in a project that is there, once (01.023, 02.012).
fn codebases(config: &Config, errors: &mut Vec<ConfigError>) {
    let projects: Vec<&str> = config.projects.iter().filter_map(name_of).collect();
    let of_sources = config.change_sources.iter().filter_map(|source| source.arg("codebase"));
    let of_sources: Vec<AnyObject> = of_sources.filter_map(AnyObject::from_json).collect();
    let mut seen: HashMap<(&str, &str), &str> = HashMap::new();
    for (listed, codebase) in
        config.codebases.iter().map(|c| (true, c)).chain(of_sources.iter().map(|c| (false, c)))
    {
        let Some(project) = codebase.arg("project").and_then(Json::as_str) else { continue };
        let name = name_of(codebase).unwrap_or_default();
        let mut tell = |text: String| errors.push(error_at(&codebase.at, codebase.kind.clone(), text));
        if !projects.contains(&project) {
            let hint = hint(project, &projects);
            tell(format!("codebase '{name}' names the unknown project '{project}'{hint}"));
        }
        if listed && let Some(first) = seen.insert((project, name), &codebase.at) {
            tell(format!("codebase '{name}' of project '{project}' is there twice, first at {first}"));
        }
    }
}

/// Locks of one kind and name are one lock, so all that declare it must agree on how much of it there is (05.063).
fn locks(config: &Config, errors: &mut Vec<ConfigError>) {
    let mut seen: HashMap<LockId, LockUse> = HashMap::new();
    let mut told: HashSet<String> = HashSet::new();
    for found in config.locks() {
        let Some(first) = seen.get(&found.lock) else {
            seen.insert(found.lock.clone(), found);
            continue;
        };
        if first.counts != found.counts && told.insert(found.at.clone()) {
            let text = format!(
                "{} is declared with other counts than at {}; declare it once and use it in both places",
                found.lock, first.at
            );
            errors.push(error_at(&found.at, kind_of(&found.lock), text));
        }
    }
}

fn kind_of(lock: &LockId) -> &'static str {
    match lock.scope {
        LockScope::Master => "util.MasterLock",
        LockScope::Worker => "util.WorkerLock",
    }
}

fn hint(wanted: &str, known: &[&str]) -> String {
    match kind::nearest(wanted, known.iter().copied()) {
        Some(near) => format!(", did you mean '{near}'?"),
        None if known.is_empty() => String::new(),
        None => {
            let mut told: Vec<&str> = Vec::new();
            for name in known {
                if told.len() < 10 && !told.contains(name) {
                    told.push(name);
                }
            }
            format!("; there are {}", told.join(", "))
        }
    }
}

/// The builders that a scheduler names, if they are plain texts.
fn builder_names(scheduler: &AnyObject) -> Option<Vec<&str>> {
    let names = scheduler.arg("builderNames")?.as_array()?;
    names.iter().map(Json::as_str).collect()
}

/// Names of all that were declared, also of builders that have mistakes.
fn declared_builders(table: &Map<String, Json>) -> impl Iterator<Item = &str> {
    let declared = table.get("builders").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    declared.iter().filter_map(|b| b.get("$args").unwrap_or(b).get("name")?.as_str())
}

/// 01.005; names that are computed later cannot be judged.
fn schedulers(config: &Config, table: &Map<String, Json>, errors: &mut Vec<ConfigError>) {
    if has_gaps(table, "builders") {
        return;
    }
    let known: Vec<&str> = declared_builders(table).collect();
    let set: HashSet<&str> = known.iter().copied().collect();
    for scheduler in &config.schedulers {
        if scheduler.kind == "schedulers.BaseBasicScheduler" && scheduler.class.is_none() {
            let text = "is the base of schedulers of your own: extend it, or use schedulers.SingleBranchScheduler or \
                        schedulers.AnyBranchScheduler";
            errors.push(error_at(&scheduler.at, scheduler.kind.clone(), text));
        }
        let items =
            scheduler.arg("builderNames").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        for builder in items.iter().filter_map(Json::as_str).filter(|name| !set.contains(name)) {
            let name = name_of(scheduler).unwrap_or_default();
            let text = format!("Unknown builder '{builder}' in scheduler '{name}'{}", hint(builder, &known));
            errors.push(error_at(&scheduler.at, scheduler.kind.clone(), text));
        }
    }
}

/// What Trigger steps name (06.045); names that are computed later are judged when the step runs.
fn triggers(config: &Config, table: &Map<String, Json>, errors: &mut Vec<ConfigError>) {
    if has_gaps(table, "schedulers") {
        return;
    }
    let kinds: HashMap<&str, &AnyObject> =
        config.schedulers.iter().filter_map(|object| Some((name_of(object)?, object))).collect();
    let known: Vec<&str> = config.schedulers.iter().filter_map(name_of).collect();
    let steps = config.builders.iter().flat_map(|builder| &builder.factory.steps);
    let mut judged = HashSet::new();
    for step in steps.filter(|step| step.kind == "steps.Trigger" && judged.insert(step.id)) {
        let named = match step.arg("schedulerNames") {
            Some(Json::Array(items)) => items.iter().filter_map(Json::as_str).collect(),
            Some(Json::String(one)) => vec![one.as_str()],
            _ => Vec::new(),
        };
        for name in named {
            let text = match kinds.get(name) {
                None => format!("unknown scheduler '{name}'{}", hint(name, &known)),
                Some(object) if !object.kind.ends_with("Triggerable") => format!(
                    "scheduler '{name}' at {} is a {}, which cannot be triggered; use a schedulers.Triggerable",
                    object.at, object.kind
                ),
                Some(_) => continue,
            };
            errors.push(error_at(&step.at, step.kind.clone(), text));
        }
    }
}

/// Whom Dependents follow (03.015), where it is named.
fn upstreams(config: &Config, table: &Map<String, Json>, errors: &mut Vec<ConfigError>) {
    if has_gaps(table, "schedulers") {
        return;
    }
    let known: Vec<&str> = config.schedulers.iter().filter_map(name_of).collect();
    for scheduler in config.schedulers.iter().filter(|object| object.kind == "schedulers.Dependent") {
        let upstream = scheduler.arg("upstream");
        let object = upstream.and_then(|upstream| upstream.pointer("/$args/name"));
        let Some(name) = object.or(upstream).and_then(Json::as_str).filter(|name| !known.contains(name))
        else {
            continue;
        };
        let text = match object {
            Some(_) => format!("upstream '{name}' is not among c.schedulers"),
            None => format!("unknown upstream scheduler '{name}'{}", hint(name, &known)),
        };
        errors.push(error_at(&scheduler.at, scheduler.kind.clone(), text));
    }
}

/// Services that watch builders name them in their filters (03.025, 03.026).
const WATCHERS: [&str; 2] = ["util.OldBuildCanceller", "util.FailingBuildsetCanceller"];

/// What a class of the configuration extends to be a service (01.024).
const OWN_SERVICE: &str = "util.BuildbotService";

/// A service of one's own has a name. One without a class is told as idle.
fn own_service(service: &AnyObject) -> Option<&'static str> {
    let nameless = service.class.is_some() && service_name(service).as_deref() == Some(OWN_SERVICE);
    nameless.then_some("name is missing; give it one, or give its class one: Base:extend(\"Name\", {…})")
}

/// What belongs into `c.services`, and the builders that are named there.
fn services(config: &Config, table: &Map<String, Json>, errors: &mut Vec<ConfigError>) {
    let known: Vec<&str> = declared_builders(table).collect();
    for service in &config.services {
        let watches = WATCHERS.contains(&service.kind.as_str());
        if !watches && !service.kind.starts_with("reporters.") && service.kind != OWN_SERVICE {
            let text = format!("a {} does not belong into services", service.kind);
            errors.push(error_at(&service.at, service.kind.clone(), text));
        }
        let wrong = own_service(service).filter(|_| service.kind == OWN_SERVICE);
        errors.extend(wrong.map(|wrong| error_at(&service.at, service.kind.clone(), wrong)));
        let filters = service.arg("filters").and_then(Json::as_array).filter(|_| watches);
        if !has_gaps(table, "workers") {
            let workers: Vec<&str> = config.workers.iter().filter_map(name_of).collect();
            for (generator, worker) in reporters::named_workers(service) {
                if !workers.contains(&worker.as_str()) {
                    let text = format!("workers: unknown worker '{worker}'{}", hint(&worker, &workers));
                    errors.push(error_at(&generator.at, generator.kind.clone(), text));
                }
            }
        }
        if has_gaps(table, "builders") {
            continue;
        }
        for (generator, builder) in reporters::named_builders(service) {
            if !known.contains(&builder.as_str()) {
                let text = format!("builders: unknown builder '{builder}'{}", hint(&builder, &known));
                errors.push(error_at(&generator.at, generator.kind.clone(), text));
            }
        }
        for builder in filters.into_iter().flatten().flat_map(named_in) {
            if !known.contains(&builder) {
                let text = format!("filters: unknown builder '{builder}'{}", hint(builder, &known));
                errors.push(error_at(&service.at, service.kind.clone(), text));
            }
        }
    }
}

/// The builders that a filter names: texts, and lists of texts, before the filter of source stamps.
fn named_in(filter: &Json) -> Vec<&str> {
    let parts = filter.as_array().into_iter().flatten();
    let lists = parts.flat_map(|part| match part {
        Json::Array(names) => names.as_slice(),
        one => std::slice::from_ref(one),
    });
    lists.filter_map(Json::as_str).collect()
}

/// 01.004, skipped wholesale where a scheduler computes its builders.
fn builders_without_schedulers(config: &Config, errors: &mut Vec<ConfigError>) {
    let Some(named) = config.schedulers.iter().map(builder_names).collect::<Option<Vec<_>>>() else { return };
    let named: HashSet<&str> = named.into_iter().flatten().collect();
    let idle = config.builders.iter().filter(|b| !named.contains(&b.config.name.as_str()));
    for builder in idle {
        let text = format!(
            "builder '{}' has no scheduler to drive it; name it in a scheduler's builderNames",
            builder.config.name
        );
        errors.push(error_at(&builder.at, "util.BuilderConfig", text));
    }
}
