//! A function that is called once for each of many things.

use crate::support::{Folder, HEAD, function};
use lunabot_lua::Loaded;
use lunabot_model::script::CallSite;
use lunabot_model::{Arg, Callback, Json, LiveObject, ScriptError, ScriptErrorKind, ScriptObject};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

async fn call_each(
    loaded: &Loaded,
    callback: &Callback,
    common: Vec<Arg>,
    count: i64,
) -> Vec<Result<Json, ScriptError>> {
    let site = CallSite::new("collapseRequests", "builder b");
    let each = (1..=count).map(|number| Arg::Value(number.into())).collect();
    loaded.host.call_each(callback, site, common, each).await
}

fn values(answers: Vec<Result<Json, ScriptError>>) -> Vec<Json> {
    answers.into_iter().map(|answer| answer.unwrap_or_else(|error| panic!("{error}"))).collect()
}

/// Makes its field when it is asked.
#[derive(Default)]
struct Asked(AtomicUsize);

impl LiveObject for Asked {
    fn field(&self, name: &str) -> Option<Json> {
        let asked = || self.0.fetch_add(1, Ordering::SeqCst);
        (name == "source").then(asked).map(|_| json!({"branch": "main", "names": ["a"]}))
    }
}

#[tokio::test]
async fn what_a_call_writes_into_a_common_field_is_gone_in_the_next() {
    let (loaded, callback) = function(
        r#"function(new, number)
  local source = new.source
  assert(source.branch == "main" and source.seen == nil and #source.names == 1)
  source.branch, source.seen, source.names[2] = "changed", true, "b"
  return number
end"#,
    )
    .await;
    let handle = Arc::new(Asked::default());
    let common = ScriptObject::new("buildrequest", "buildrequest:1", Json::Null, handle.clone());
    let answers = call_each(&loaded, &callback, vec![Arg::Object(common)], 3).await;
    assert_eq!(values(answers), [1, 2, 3]);
    assert_eq!(handle.0.load(Ordering::SeqCst), 1, "the master is asked once");
}

#[tokio::test]
async fn calls_that_wait_do_so_at_the_same_time_and_answers_keep_their_order() {
    // Each waits until all run; those that came last end first.
    let (loaded, callback) = function(
        r#"function(number)
  if number == 3 then return "at once" end
  running = (running or 0) + 1
  while running < 5 do util.sleep(0.001) end
  while number + (ended or 0) < 6 do util.sleep(0.001) end
  ended = (ended or 0) + (number == 4 and 2 or 1)
  return number
end"#,
    )
    .await;
    let answers = values(call_each(&loaded, &callback, Vec::new(), 6).await);
    assert_eq!(answers, [json!(1), json!(2), json!("at once"), json!(4), json!(5), json!(6)]);
}

#[tokio::test]
async fn each_call_has_its_own_error_and_its_own_time() {
    let body = r#"
c.lua = {callback_cpu_seconds = 0.2}
c.prioritizeBuilders = function(number)
  if number == 2 then error "two" end
  if number == 3 then while true do end end
  local until_then = os.clock() + 0.12
  while os.clock() < until_then do end
  return number
end
return c"#;
    let folder = Folder::new(&format!("{HEAD}{body}"));
    let loaded = folder.load().await.unwrap_or_else(|failure| panic!("{failure}"));
    let callback = loaded.config.prioritize_builders.clone().unwrap();
    let answers = call_each(&loaded, &callback, Vec::new(), 4).await;
    let kinds: Vec<_> = answers.iter().map(|answer| answer.as_ref().map_err(|error| error.kind)).collect();
    let (raise, cpu) = (ScriptErrorKind::Raise, ScriptErrorKind::Cpu);
    assert_eq!(kinds, [Ok(&json!(1)), Err(raise), Err(cpu), Ok(&json!(4))]);
    let row = &folder.records.profile()[0];
    assert_eq!((row.calls, row.errors), (4, 2));
    assert_eq!(folder.records.errors().len(), 2);
}
