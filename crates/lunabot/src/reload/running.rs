//! What a reload means for builds that run: they go on, but for those on a worker that another takes the place of.

use super::diff::name_of;
use crate::wiring::local_worker::Folders;
use lunabot_model::config::Config;
use lunabot_model::{AnyObject, Json};
use std::collections::BTreeMap;
use std::path::Path;

const LOCAL: &str = "worker.LocalWorker";

/// What becomes of a worker's builds.
enum Fate {
    Stays,
    /// It leaves when they have ended.
    Leaves,
    /// They are interrupted.
    Replaced,
}

/// A line for each build that would not just go on, and one that counts the others. `running`: each with its worker.
pub fn lines(old: &Config, new: &Config, running: &[(String, String)], folders: &Folders) -> Vec<String> {
    let (before, after) = (workers(old), workers(new));
    let (mut lines, mut on) = (Vec::new(), 0);
    for (worker, build) in running {
        match fate(worker, before.get(worker), after.get(worker), folders) {
            Fate::Stays => on += 1,
            Fate::Leaves => {
                on += 1;
                lines.push(format!("worker {worker} leaves when {build} has ended"));
            }
            Fate::Replaced => {
                lines.push(format!("interrupt {build} on worker {worker}; it is built again"));
            }
        }
    }
    let interrupted = on < running.len();
    lines.push(match (on, interrupted) {
        (0, true) => "no other build runs".into(),
        (0, false) => "interrupt nothing: no build runs".into(),
        (on, true) => format!("{on} other build{} on", goes(on)),
        (on, false) => format!("interrupt nothing: {on} build{} on", goes(on)),
    });
    lines
}

fn goes(count: usize) -> &'static str {
    if count == 1 { " goes" } else { "s go" }
}

fn workers(config: &Config) -> BTreeMap<String, &AnyObject> {
    config.workers.iter().map(|worker| (name_of(worker), worker)).collect()
}

fn fate(worker: &str, before: Option<&&AnyObject>, after: Option<&&AnyObject>, folders: &Folders) -> Fate {
    let Some(after) = after else { return Fate::Leaves };
    let folder = |object: &AnyObject| folders.of(worker, object.arg("workdir").and_then(Json::as_str));
    let moves = |from: &Path| after.kind == LOCAL && folder(after) != from;
    let replaced = match (before, folders.running.get(worker)) {
        (Some(before), _) => before.kind != after.kind || moves(&folder(before)),
        // It leaves, and comes back.
        (None, Some(local)) => after.kind != LOCAL || moves(local),
        (None, None) => after.kind == LOCAL,
    };
    if replaced { Fate::Replaced } else { Fate::Stays }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(workers: &[(&str, Json)]) -> Config {
        let worker = |(kind, args): &(&str, Json)| AnyObject {
            kind: (*kind).into(),
            id: 1,
            at: "master.lua:5".into(),
            class: None,
            args: args.clone(),
        };
        Config { workers: workers.iter().map(worker).collect(), ..Config::default() }
    }

    fn builds(workers: &[&str]) -> Vec<(String, String)> {
        workers.iter().map(|worker| ((*worker).to_owned(), format!("of {worker} #1"))).collect()
    }

    /// These run, in the folders that they have by themselves.
    fn folders(local: &[&str]) -> Folders {
        let mut folders = Folders { home: "/m".into(), ..Folders::default() };
        folders.running = local.iter().map(|name| ((*name).to_owned(), folders.of(name, None))).collect();
        folders
    }

    #[test]
    fn builds_are_interrupted_only_where_their_worker_is_replaced() {
        let old = config(&[
            (LOCAL, json!({"name": "a"})),
            (LOCAL, json!({"name": "b"})),
            (LOCAL, json!({"name": "c"})),
            (LOCAL, json!({"name": "d"})),
            (LOCAL, json!({"name": "e"})),
        ]);
        let new = config(&[
            (LOCAL, json!({"name": "a", "max_builds": 2})),
            (LOCAL, json!({"name": "b", "workdir": "elsewhere"})),
            ("worker.Worker", json!({"name": "c"})),
            (LOCAL, json!({"name": "e", "workdir": "workers/e"})),
        ]);
        let running = builds(&["a", "b", "c", "d", "e"]);
        let folders = folders(&["a", "b", "c", "d", "e"]);
        assert_eq!(
            lines(&old, &new, &running, &folders),
            [
                "interrupt of b #1 on worker b; it is built again",
                "interrupt of c #1 on worker c; it is built again",
                "worker d leaves when of d #1 has ended",
                "3 other builds go on",
            ]
        );
        assert_eq!(lines(&old, &new, &running[..1], &folders), ["interrupt nothing: 1 build goes on"]);
        assert_eq!(lines(&old, &new, &[], &folders), ["interrupt nothing: no build runs"]);
    }

    /// They are in the configuration that is to come, and not in the one that serves.
    #[test]
    fn builds_on_workers_that_leave_are_interrupted_where_another_comes() {
        let new = config(&[
            (LOCAL, json!({"name": "same"})),
            (LOCAL, json!({"name": "told", "workdir": "/m/workers/told"})),
            (LOCAL, json!({"name": "moved", "workdir": "elsewhere"})),
            ("worker.Worker", json!({"name": "away"})),
            (LOCAL, json!({"name": "home"})),
            ("worker.Worker", json!({"name": "remote"})),
        ]);
        let running = builds(&["same", "told", "moved", "away", "home", "remote"]);
        assert_eq!(
            lines(&Config::default(), &new, &running, &folders(&["same", "told", "moved", "away"])),
            [
                "interrupt of moved #1 on worker moved; it is built again",
                "interrupt of away #1 on worker away; it is built again",
                "interrupt of home #1 on worker home; it is built again",
                "3 other builds go on",
            ]
        );
    }
}
