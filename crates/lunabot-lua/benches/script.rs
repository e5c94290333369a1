//! What a callback costs, and the load of a configuration of 1 000 builders.

#![expect(clippy::unwrap_used, reason = "a benchmark")]

#[path = "../tests/script/support.rs"]
#[expect(dead_code, reason = "shared with the tests")]
mod support;

use criterion::{Criterion, criterion_group, criterion_main};
use lunabot_model::resources::{Change, SourceStamp};
use lunabot_model::script::{CallSite, Inert, LiveObject};
use lunabot_model::{Arg, Json, Properties, ScriptObject};
use serde_json::json;
use std::sync::Arc;

const MANY: &str = r#"
for i = 1, 1000 do
  local g = util.BuildFactory{}
  g:addStep(steps.Git{command = "incremental"})
  g:addStep(steps.ShellCommand{name = "build", command = {"make", "-j", "4", "all"}, timeout = 600})
  g:addStep(steps.ShellCommand{name = "test", command = {"make", util.Interpolate "%(prop:branch)s"}, env = {A = "b"}})
  c.builders[i + 1] = util.BuilderConfig{name = "b" .. i, workernames = {"local"}, factory = g, tags = {"t" .. i % 10},
    canStartBuild = function(builder, wfb, request) return builder.name ~= "x" end}
end
local names = {"one"}
for i = 1, 1000 do names[i + 1] = "b" .. i end
c.schedulers = { schedulers.ForceScheduler{name = "force", builderNames = names} }
"#;

fn builder() -> ScriptObject {
    let fields = json!({"name": "b", "builderid": 1, "tags": ["a"], "building": []});
    ScriptObject::new("builder", "b", fields, Arc::new(Inert))
}

fn calls(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (loaded, callback) =
        runtime.block_on(support::function("function(b, p) return b.name ~= 'x' and p.x == 1 end"));
    let site = CallSite::new("canStartBuild", "builder b");
    let mut properties = Properties::new();
    properties.set("x", 1, "Change");
    let args = || vec![Arg::Object(builder()), Arg::Properties(Arc::new(Inert), properties.clone())];
    c.bench_function("one call, there and back", |b| {
        b.iter(|| runtime.block_on(loaded.host.call(&callback, site.clone(), args())).unwrap());
    });
    c.bench_function("100 calls at once", |b| {
        b.iter(|| {
            let calls = (0..100).map(|_| loaded.host.call(&callback, site.clone(), args()));
            runtime.block_on(futures::future::join_all(calls))
        });
    });
}

/// What a line costs that an observer in Lua looks at.
fn lines(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let counter = "function(self, line) if line:find('FNURRRGH!', 1, true) then n = (n or 0) + 1 end end";
    let (loaded, callback) = runtime.block_on(support::function(counter));
    let site = CallSite::new("outLineReceived", "step s of builder b");
    let text: String = (0..10_000).map(|i| format!("test number {i} of many says ... FNURRRGH!\n")).collect();
    let mut group = c.benchmark_group("observer");
    group.throughput(criterion::Throughput::Elements(10_000));
    group.bench_function("10 000 lines", |b| {
        b.iter(|| {
            let args = vec![Arg::Object(builder()), Arg::Lines(text.clone())];
            runtime.block_on(loaded.host.call(&callback, site.clone(), args)).unwrap()
        });
    });
    group.finish();
}

/// A request whose fields are made when they are read, as those of the master's are.
struct Request {
    stamp: SourceStamp,
    changes: Vec<Change>,
}

impl LiveObject for Request {
    fn field(&self, name: &str) -> Option<Json> {
        let mut source = serde_json::to_value(&self.stamp).ok().filter(|_| name == "source")?;
        source["changes"] = self.changes.iter().map(fields_of).collect();
        Some(source)
    }
}

fn fields_of(change: &Change) -> Json {
    let mut fields = serde_json::to_value(change).unwrap();
    fields["properties"] = json!({"$properties": change.properties});
    fields
}

fn stamp(ssid: i64) -> SourceStamp {
    SourceStamp {
        ssid,
        branch: Some("main".into()),
        revision: None,
        repository: "https://example.org/project.git".into(),
        project: "project".into(),
        codebase: String::new(),
        patch: None,
        created_at: 1_700_000_000,
    }
}

fn change(changeid: i64) -> Change {
    Change {
        changeid,
        parent_changeids: vec![changeid - 1],
        author: "A. U. Thor <author@example.org>".into(),
        committer: None,
        files: vec!["src/main.c".into(), "README".into()],
        comments: "Says what it does".into(),
        revision: Some(format!("{changeid:040x}")),
        when_timestamp: 1_700_000_000,
        branch: Some("main".into()),
        category: None,
        revlink: None,
        properties: Properties::new(),
        repository: "https://example.org/project.git".into(),
        project: "project".into(),
        codebase: String::new(),
        sourcestamp: stamp(changeid),
    }
}

fn request(id: i64, changes: usize) -> Arg {
    let changes = (0..changes).map(|_| change(id)).collect();
    let handle = Arc::new(Request { stamp: stamp(id), changes });
    Arg::Object(ScriptObject::new("buildrequest", format!("buildrequest:{id}"), Json::Null, handle))
}

/// What a call costs of a function that decides what collapses.
fn collapsing(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let rule = "function(master, builder, new, old) return new.source.branch == old.source.branch end";
    let (loaded, callback) = runtime.block_on(support::function(rule));
    let site = CallSite::new("collapseRequests", "builder b");
    let mut group = c.benchmark_group("collapse");
    group.throughput(criterion::Throughput::Elements(64));
    for (what, changes) in [("64 requests", 0), ("64 requests of one change each", 1)] {
        let master = ScriptObject::new("master", "master", json!({}), Arc::new(Inert));
        let common = vec![Arg::Object(master), Arg::Object(builder()), request(100, changes)];
        let olders: Vec<Arg> = (0..64).map(|id| request(id, changes)).collect();
        group.bench_function(what, |b| {
            b.iter(|| {
                let each = loaded.host.call_each(&callback, site.clone(), common.clone(), olders.clone());
                let answers = runtime.block_on(each);
                assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|same| *same == true)));
            });
        });
    }
    group.finish();
}

fn loading(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let folder = support::Folder::new(&format!("{}{MANY}return c\n", support::HEAD));
    let mut group = c.benchmark_group("load");
    group.sample_size(10);
    group.bench_function("1000 builders of three steps", |b| {
        b.iter(|| runtime.block_on(folder.load()).unwrap_or_else(|failure| panic!("{failure}")));
    });
    group.bench_function("one builder", |b| b.iter(|| runtime.block_on(support::load(""))));
}

criterion_group!(benches, calls, collapsing, lines, loading);
criterion_main!(benches);
