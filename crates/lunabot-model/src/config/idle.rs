//! Objects of bases that do nothing without methods of a class: all are told, whatever section they are in.

use super::read::error_at;
use super::{Config, ConfigError};
use crate::AnyObject;

/// What such a base needs, by its kind.
const WANTED: &[(&str, &[&str])] = &[
    ("changes.ChangeSource", &["activate"]),
    ("changes.PollingChangeSource", &["poll"]),
    ("secrets.SecretProviderBase", &["get"]),
    ("steps.BuildStep", &["run"]),
    ("steps.ShellMixin", &["run"]),
    ("util.BuildbotService", &["startService"]),
    ("worker.AbstractLatentWorker", &["start_instance", "stop_instance"]),
];

/// Adds those that lack something.
pub(super) fn check(config: &Config, errors: &mut Vec<ConfigError>) {
    let sections = [&config.workers, &config.change_sources, &config.services, &config.secrets_providers];
    let steps = config.builders.iter().flat_map(|builder| &builder.factory.steps);
    for object in sections.into_iter().flatten().chain(steps) {
        let told = idle(object).filter(|told| !errors.contains(told));
        errors.extend(told);
    }
}

fn idle(object: &AnyObject) -> Option<ConfigError> {
    let (_, wanted) = WANTED.iter().find(|(kind, _)| *kind == object.kind)?;
    let class = object.class.as_ref();
    let has = |method: &str| class.is_some_and(|class| class["hooks"].get(method).is_some());
    let lacks: Vec<&str> = wanted.iter().copied().filter(|method| !has(method)).collect();
    if lacks.is_empty() {
        return None;
    }
    let s = if lacks.len() == 1 { "a method" } else { "the methods" };
    let what = format!("{s} {}", lacks.join(" and "));
    let name = class.and_then(|class| class["name"].as_str()).filter(|name| *name != object.kind);
    let told = match name {
        Some(_) => format!("does nothing by itself: give it {what}, before objects of it are made"),
        None => format!("does nothing by itself: extend it with {what}"),
    };
    Some(error_at(&object.at, name.unwrap_or(&object.kind), told))
}
