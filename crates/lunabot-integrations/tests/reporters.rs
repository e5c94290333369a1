//! Reporters in their manager, on a real database.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use lunabot_data::{Data, OpenOptions};
use lunabot_integrations::Secrets;
use lunabot_integrations::reporters::{Declared, Reporters, Site};
use lunabot_model::script::{CallSite, ScriptErrorKind};
use lunabot_model::{AnyObject, Arg, BoxFuture, Callback, Json, ScriptError, ScriptHost, Templates};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::{RealClock, eventually, function};

/// How long the function of the reporter is suspended.
const SUSPENSION: Duration = Duration::from_millis(300);

/// A host whose functions are suspended at the first calls.
#[derive(Default)]
struct Suspending {
    calls: AtomicUsize,
}

impl ScriptHost for Suspending {
    fn call<'a>(
        &'a self,
        _: &'a Callback,
        _: CallSite,
        _: Vec<Arg>,
    ) -> BoxFuture<'a, Result<Json, ScriptError>> {
        let kind = ScriptErrorKind::Suspended(SUSPENSION);
        let suspended = ScriptError { kind, message: "not called".into(), traceback: String::new() };
        let early = self.calls.fetch_add(1, Ordering::SeqCst) < 2;
        Box::pin(async move { if early { Err(suspended) } else { Ok(Json::Null) } })
    }
    fn nonsense(&self, _: &Callback, _: CallSite, message: &str) {
        panic!("{message}");
    }
    fn generation(&self) -> u64 {
        1
    }
}

#[derive(Debug)]
struct Words;

impl Templates for Words {
    fn render(&self, _: &Path, _: &str, _: Json) -> Result<String, String> {
        Ok("words".into())
    }
    fn fill(&self, _: &str, _: bool, _: Json) -> Result<String, String> {
        Ok("words".into())
    }
    fn judge(&self, _: &str) -> Result<(), String> {
        Ok(())
    }
}

fn object(id: u64, kind: &str, args: Json) -> Json {
    json!({"$kind": kind, "$id": id, "$at": "master.lua:3", "$args": args})
}

/// One that delivers by a function; or one of a class, a parameter of which a function computes.
fn reporter(of_class: bool) -> AnyObject {
    let generator = object(1, "reporters.WorkerMissingGenerator", json!({"workers": "all"}));
    let args = json!({"name": "x", "retry_for": 0, "generators": [generator]});
    let mut reporter = object(2, "reporters.ReporterBase", args);
    if of_class {
        let computed = object(3, "util.renderer", json!({"fn": function("renderer")}));
        let hooks = json!({"sendMessage": function("sendMessage")});
        reporter["$class"] = json!({"name": "X", "hooks": hooks, "params": {"p": computed}});
    } else {
        reporter["$args"]["send"] = function("send");
    }
    AnyObject::from_json(&reporter).unwrap()
}

/// What is suspended was not called: that is no attempt, of which this reporter makes one.
#[tokio::test]
async fn a_reporter_whose_function_is_suspended_waits() {
    // Two calls are turned away.
    assert_eq!(calls(reporter(false)).await, 3);
    assert_eq!(calls(reporter(true)).await, 4);
}

/// How often functions are called until something is delivered.
async fn calls(reporter: AnyObject) -> usize {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Arc::new(RealClock::new()));
    let options = OpenOptions {
        url: "sqlite:///state.sqlite".into(),
        basedir: dir.path().into(),
        master_name: "test:/".into(),
        clock: clock.clone(),
    };
    let data = Data::open(options).await.unwrap();
    let (host, reporters) = (Arc::new(Suspending::default()), Reporters::new(data.clone(), clock));
    let declared = Declared {
        services: vec![reporter],
        site: Site::default(),
        script: host.clone(),
        secrets: Arc::new(Secrets::default()),
        templates: Arc::new(Words),
    };
    reporters.apply(&declared).await.unwrap();
    let row = json!({"name": "away", "notify": ["ops@example.org"], "last_connection": "never"});
    data.report_missing_worker(1, &row).await.unwrap();
    let rests = || async { reporters.status().await.pop().filter(|(_, how)| how.contains("failing")) };
    assert_eq!(eventually("a rest", rests).await.1, "failing: not called; 1 to be delivered");
    let well = || async { reporters.status().await.pop().filter(|(_, how)| how == "well") };
    eventually("a delivery", well).await;
    reporters.stop().await;
    host.calls.load(Ordering::SeqCst)
}
