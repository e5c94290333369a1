//! What a path is about: its builder, its owner, its worker.

use crate::pages::read;
use lunabot_data::Data;
use lunabot_model::Json;
use lunabot_model::resources::{Build, BuildRequest, Builder, Buildset, Log, Step, Worker};
use serde::de::DeserializeOwned;
use serde_json::json;

/// An endpoint of the data API, and an action on it; reading is the action `get`.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Without a slash at its beginning: `builds/5`.
    pub path: &'a str,
    pub action: &'a str,
    pub params: &'a Json,
}

/// What is known of it.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// `builds`, `forceschedulers` …: what the action is done to, or what is read.
    pub kind: String,
    /// Everything on the path, the last of which is what the path gives.
    pub kinds: Vec<String>,
    /// Those it is about: one, or those that are forced. Empty: it is about none.
    pub builders: Vec<String>,
    /// The property `owner` of the buildset.
    pub owner: Option<String>,
    pub scheduler: Option<String>,
    pub worker: Option<String>,
    /// What the worker says of who looks after it.
    pub admin: Option<String>,
}

impl Facts {
    /// What functions of the configuration see.
    pub fn to_json(&self, asked: &Asked<'_>) -> Json {
        let builder = match self.builders.as_slice() {
            [one] => Some(one),
            _ => None,
        };
        let mut table = json!({"path": asked.path, "kind": self.kind, "builders": self.builders});
        let texts = [
            ("builder", builder),
            ("owner", self.owner.as_ref()),
            ("scheduler", self.scheduler.as_ref()),
            ("worker", self.worker.as_ref()),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                table[name] = text.as_str().into();
            }
        }
        table
    }

    /// Without the store: what the path itself says.
    pub fn of_path(asked: &Asked<'_>) -> Facts {
        let parts = parts(asked.path);
        let named = |at: usize| parts.get(at).filter(|part| part.parse::<i64>().is_err()).cloned();
        let kinds = kinds(&parts);
        let kind = kinds.last().cloned().unwrap_or_default();
        let mut facts = Facts { kind, kinds, ..Facts::default() };
        match parts.first().map(String::as_str) {
            Some("builders") => facts.builders.extend(named(1)),
            Some("schedulers") => facts.scheduler = named(1),
            Some("forceschedulers") => {
                facts.scheduler = named(1);
                let builders = asked.params.get("builderNames").and_then(Json::as_array);
                facts
                    .builders
                    .extend(builders.into_iter().flatten().filter_map(Json::as_str).map(str::to_owned));
            }
            Some("workers") => facts.worker = named(1),
            _ => {}
        }
        facts
    }

    /// Everything that is known. What does not exist leaves gaps; the action itself will say so.
    pub async fn read(asked: &Asked<'_>, data: &Data) -> Facts {
        let mut facts = Facts::of_path(asked);
        let parts = parts(asked.path);
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let reader = Reader(data);
        match parts.as_slice() {
            ["builders", builder, "builds", number, ..] => {
                let path = format!("builders/{}/builds/{}", read::part(builder), read::part(number));
                reader.build(&mut facts, reader.one(&path).await).await;
            }
            ["builders", _, "workers", worker, ..] => reader.worker(&mut facts, worker).await,
            ["builders", builder, ..] => {
                let found = reader.one::<Builder>(&format!("builders/{}", read::part(builder))).await;
                facts.builders = found.map(|builder| vec![builder.name]).unwrap_or(facts.builders);
            }
            ["builds", id, ..] => {
                reader.build(&mut facts, reader.one(&format!("builds/{}", read::part(id))).await).await;
            }
            ["buildrequests", id, ..] => {
                reader
                    .request(&mut facts, reader.one(&format!("buildrequests/{}", read::part(id))).await)
                    .await;
            }
            ["buildsets", id, ..] => {
                let set: Option<Buildset> = reader.one(&format!("buildsets/{}", read::part(id))).await;
                facts.owner = reader.owner(set.map(|set| set.bsid)).await;
            }
            ["steps", id, ..] => reader.step(&mut facts, id).await,
            ["logs", id, ..] => {
                let log: Option<Log> = reader.one(&format!("logs/{}", read::part(id))).await;
                if let Some(log) = log {
                    reader.step(&mut facts, &log.stepid.to_string()).await;
                }
            }
            ["test_result_sets", id, ..] => {
                let path = format!("test_result_sets/{}", read::part(id));
                if let Some(builder) =
                    reader.one::<Json>(&path).await.and_then(|set| set["builderid"].as_i64())
                {
                    reader.builder(&mut facts, builder).await;
                }
            }
            ["workers", worker, ..] => reader.worker(&mut facts, worker).await,
            ["forceschedulers", name, ..] => reader.forced(&mut facts, name, asked.params).await,
            _ => {}
        }
        facts
    }
}

/// A path as the data room reads it, in one form however it was written: parts are decoded once, numbers have no leading
/// zeros, and nothing only says which master. A `/` or `%` of a name stays encoded.
pub fn canonical(path: &str) -> String {
    let plain = |part: String| {
        let digits = part.strip_prefix('+').unwrap_or(&part);
        let number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        match part.parse::<i64>() {
            Ok(n) if number => n.to_string(),
            _ => encoded(&part),
        }
    };
    parts(path).into_iter().map(plain).collect::<Vec<_>>().join("/")
}

/// One part of a canonical path.
pub fn encoded(part: &str) -> String {
    part.replace('%', "%25").replace('/', "%2F")
}

/// The parts of a path, decoded, without what only says which master.
fn parts(path: &str) -> Vec<String> {
    let decode = |part: &str| percent_encoding::percent_decode_str(part).decode_utf8_lossy().into_owned();
    let mut all: Vec<String> = path.split('/').map(decode).collect();
    if all.len() > 2 && all[0] == "masters" {
        all.drain(..2);
    }
    all
}

/// Words of paths that name what is below them; the first of a path always does.
const KINDS: &[(&str, &str)] = &[
    ("branches", "branches"),
    ("builders", "builders"),
    ("buildrequests", "buildrequests"),
    ("builds", "builds"),
    ("changes", "changes"),
    ("changesources", "changesources"),
    ("codebases", "codebases"),
    ("commits", "commits"),
    ("data", "build_data"),
    ("forceschedulers", "forceschedulers"),
    ("logs", "logs"),
    ("results", "test_results"),
    ("schedulers", "schedulers"),
    ("sourcestamps", "sourcestamps"),
    ("steps", "steps"),
    ("test_result_sets", "test_result_sets"),
    ("triggered_builds", "builds"),
    ("workers", "workers"),
];

/// The collections that a path leads through: `builders/2/builds` is about both.
fn kinds(parts: &[String]) -> Vec<String> {
    let named =
        |word: &String| KINDS.iter().find(|(known, _)| known == word).map(|(_, kind)| kind.to_string());
    let below = parts.iter().skip(2).step_by(2).filter_map(named);
    let mut all: Vec<String> = parts.first().cloned().into_iter().chain(below).collect();
    all.dedup();
    all
}

struct Reader<'a>(&'a Data);

impl Reader<'_> {
    async fn one<T: DeserializeOwned>(&self, path: &str) -> Option<T> {
        read::maybe(self.0, path).await.ok().flatten()
    }

    async fn builder(&self, facts: &mut Facts, id: i64) {
        let builder = self.one::<Builder>(&format!("builders/{id}")).await;
        facts.builders = builder.into_iter().map(|builder| builder.name).collect();
    }

    async fn build(&self, facts: &mut Facts, build: Option<Build>) {
        let Some(build) = build else { return };
        self.builder(facts, build.builderid).await;
        let request = self.one::<BuildRequest>(&format!("buildrequests/{}", build.buildrequestid)).await;
        facts.owner = self.owner(request.map(|request| request.buildsetid)).await;
    }

    async fn request(&self, facts: &mut Facts, request: Option<BuildRequest>) {
        let Some(request) = request else { return };
        self.builder(facts, request.builderid).await;
        facts.owner = self.owner(Some(request.buildsetid)).await;
    }

    async fn step(&self, facts: &mut Facts, id: &str) {
        if let Some(step) = self.one::<Step>(&format!("steps/{}", read::part(id))).await {
            self.build(facts, self.one(&format!("builds/{}", step.buildid)).await).await;
        }
    }

    async fn owner(&self, buildset: Option<i64>) -> Option<String> {
        let properties = self.one::<Json>(&format!("buildsets/{}/properties", buildset?)).await?;
        properties.get("owner")?.get(0)?.as_str().map(str::to_owned)
    }

    async fn worker(&self, facts: &mut Facts, worker: &str) {
        let worker = self.one::<Worker>(&format!("workers/{}", read::part(worker))).await;
        if let Some(worker) = worker {
            facts.admin = worker.workerinfo.get("admin").and_then(Json::as_str).map(str::to_owned);
            facts.worker = Some(worker.name);
        }
    }

    /// The builders that a force is about: those of the scheduler that are named, and have the id, where these are given.
    async fn forced(&self, facts: &mut Facts, name: &str, params: &Json) {
        // Not by its path: that waits for functions which say what can be chosen, of whatever scheduler.
        let Some(scheduler) = self.0.force_scheduler(name) else { return };
        let mut named = scheduler.builder_names.clone();
        match params.get("builderNames") {
            Some(Json::Array(names)) => named.retain(|b| names.iter().any(|n| n.as_str() == Some(b))),
            None | Some(Json::Null) => {}
            Some(name) => named.retain(|b| name.as_str() == Some(b)),
        }
        if let Some(id) = first_text(params.get("builderid")) {
            let wanted = match id.parse::<i64>() {
                Ok(id) => self.one::<Builder>(&format!("builders/{id}")).await.map(|builder| builder.name),
                Err(_) => None,
            };
            named.retain(|builder| Some(builder) == wanted.as_ref());
        }
        // Whoever asks for none of them is judged as if for all: nothing may hang on what is odd about the question.
        facts.builders = if named.is_empty() { scheduler.builder_names } else { named };
    }
}

/// As the scheduler reads it.
fn first_text(value: Option<&Json>) -> Option<String> {
    match value? {
        Json::Array(items) => first_text(items.first()),
        Json::Null => None,
        Json::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_form_however_it_is_written() {
        for (written, read) in [
            ("builders/1", "builders/1"),
            ("builders/%31", "builders/1"),
            ("%62uilders/+01", "builders/1"),
            ("masters/1/builders/2", "builders/2"),
            ("masters/1", "masters/1"),
            ("builders/a%2Fb", "builders/a%2Fb"),
            ("builders/a%2fb%20c", "builders/a%2Fb c"),
            ("builders/%2531", "builders/%2531"),
            ("builders/a%252Fb", "builders/a%252Fb"),
            ("builders//1", "builders//1"),
            ("builders/-01", "builders/-01"),
        ] {
            assert_eq!(canonical(written), read, "{written}");
            assert_eq!(canonical(read), read, "{written}");
        }
    }

    #[test]
    fn every_collection_on_a_path_counts() {
        for (path, wanted) in [
            ("builds/3", "builds"),
            ("workers/1/builds", "workers builds"),
            ("builders/2/builds/3/steps/builds/logs/stdio/raw", "builders builds steps logs"),
            ("builds/1/triggered_builds", "builds"),
            ("codebases/1/commit_range/5/6/commits_common_parent", "codebases"),
            ("metrics", "metrics"),
        ] {
            assert_eq!(kinds(&parts(path)).join(" "), wanted, "{path}");
        }
    }
}
