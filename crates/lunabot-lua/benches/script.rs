//! What a callback costs, and the load of a configuration of 1 000 builders.

#![expect(clippy::unwrap_used, reason = "a benchmark")]

#[path = "../tests/script/support.rs"]
#[expect(dead_code, reason = "shared with the tests")]
mod support;

use criterion::{Criterion, criterion_group, criterion_main};
use lunabot_model::script::{CallSite, Inert};
use lunabot_model::{Arg, Properties, ScriptObject};
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

criterion_group!(benches, calls, lines, loading);
criterion_main!(benches);
