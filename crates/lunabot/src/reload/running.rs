//! What a reload means for builds that run: they go on, but for those on a worker that another takes the place of.

use super::diff::name_of;
use lunabot_model::config::Config;
use lunabot_model::{AnyObject, Json};
use std::collections::BTreeMap;

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
pub fn lines(old: &Config, new: &Config, running: &[(String, String)]) -> Vec<String> {
    let (before, after) = (workers(old), workers(new));
    let (mut lines, mut on) = (Vec::new(), 0);
    for (worker, build) in running {
        match fate(before.get(worker), after.get(worker)) {
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

fn fate(before: Option<&&AnyObject>, after: Option<&&AnyObject>) -> Fate {
    let Some(after) = after else { return Fate::Leaves };
    let folder = |worker: &AnyObject| worker.arg("workdir").and_then(Json::as_str).map(str::to_owned);
    match before {
        Some(before) if before.kind != after.kind => Fate::Replaced,
        Some(before) if after.kind == LOCAL && folder(before) != folder(after) => Fate::Replaced,
        Some(_) | None => Fate::Stays,
    }
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

    #[test]
    fn builds_are_interrupted_only_where_their_worker_is_replaced() {
        let old = config(&[
            (LOCAL, json!({"name": "a"})),
            (LOCAL, json!({"name": "b"})),
            (LOCAL, json!({"name": "c"})),
            (LOCAL, json!({"name": "d"})),
        ]);
        let new = config(&[
            (LOCAL, json!({"name": "a", "max_builds": 2})),
            (LOCAL, json!({"name": "b", "workdir": "elsewhere"})),
            ("worker.Worker", json!({"name": "c"})),
        ]);
        let running: Vec<(String, String)> =
            ["a", "b", "c", "d"].map(|worker| (worker.into(), format!("of {worker} #1"))).into();
        assert_eq!(
            lines(&old, &new, &running),
            [
                "interrupt of b #1 on worker b; it is built again",
                "interrupt of c #1 on worker c; it is built again",
                "worker d leaves when of d #1 has ended",
                "2 other builds go on",
            ]
        );
        assert_eq!(lines(&old, &new, &running[..1]), ["interrupt nothing: 1 build goes on"]);
        assert_eq!(lines(&old, &new, &[]), ["interrupt nothing: no build runs"]);
    }
}
