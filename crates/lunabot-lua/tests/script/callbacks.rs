//! What callbacks see and what they may do.

use crate::support::{Folder, HEAD, call, function};
use lunabot_model::script::{CallSite, Inert};
use lunabot_model::{Arg, BoxFuture, Json, LiveObject, Properties, ScriptObject};
use serde_json::json;
use std::sync::{Arc, Mutex};

/// Remembers what was asked of it.
#[derive(Default)]
struct Recorder(Mutex<Vec<String>>);

impl LiveObject for Recorder {
    fn call<'a>(&'a self, method: &'a str, args: Vec<Json>) -> BoxFuture<'a, Result<Json, String>> {
        Box::pin(async move {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            self.0.lock().unwrap().push(format!("{method} {}", Json::Array(args.clone())));
            if method == "refuse" { Err("not now".into()) } else { Ok(args.into()) }
        })
    }
    fn set(&self, field: &str, value: Json) -> Result<(), String> {
        self.0.lock().unwrap().push(format!("{field} = {value}"));
        Ok(())
    }
}

fn worker(key: &str, handle: Arc<dyn LiveObject>) -> ScriptObject {
    let child = ScriptObject::new("builder", "b1", json!({"name": "runtests"}), Arc::new(Inert));
    let fields = json!({"name": key, "quarantine_timeout": 10, "gone": null,
                       "properties": {"$properties": {"os": ["linux", "Worker"]}}});
    ScriptObject {
        children: vec![("builder", Arg::Object(child))],
        assignable: &["quarantine_timeout"],
        ..ScriptObject::new("worker", key, fields, handle).with_methods(&["pause", "refuse"])
    }
}

#[tokio::test]
async fn objects_have_fields_methods_children_and_assignable_fields() {
    let (loaded, callback) = function(
        r#"function(ws)
  local w = ws[2]
  assert(w.name == "w2" and w.gone == nil and w.builder.name == "runtests")
  assert(w.properties.os == "linux" and w.properties:getPropertySource "os" == "Worker")
  assert(w == ws[2] and w ~= ws[1])
  w.quarantine_timeout = 60
  assert(w.quarantine_timeout == 60)
  local answer = w:pause("tired", {a = 1})
  assert(answer[1] == "tired" and answer[2].a == 1)
  local ok, err = pcall(w.refuse, w)
  assert(not ok and tostring(err):find("not now"), err)
  return w, {set_properties = {x = w.builder}}
end"#,
    )
    .await;
    let recorder = Arc::new(Recorder::default());
    let objects = vec![worker("w1", Arc::new(Inert)), worker("w2", recorder.clone())];
    let answer = call(&loaded, &callback, vec![Arg::List(objects)]).await.unwrap();
    assert_eq!(answer, json!([{"$ref": "w2"}, {"set_properties": {"x": {"$ref": "b1"}}}]));
    let asked = recorder.0.lock().unwrap().clone();
    assert_eq!(asked, ["quarantine_timeout = 60", "pause [\"tired\",{\"a\":1}]", "refuse []"]);
}

#[tokio::test]
async fn mistakes_with_objects_are_told_with_the_nearest_name() {
    for (body, expected) in [
        ("function(w) return w.nam end", "master.lua:9: worker has no nam, did you mean name?"),
        ("function(w) w.name = 1 end", "master.lua:9: worker.name cannot be assigned"),
        ("function(w) w.pause() end", "master.lua:9: call it with a colon: x:pause(…)"),
        ("function(w) w:refuse() end", "master.lua:9: not now"),
    ] {
        let (loaded, callback) = function(body).await;
        let args = vec![Arg::Object(worker("w", Arc::new(Recorder::default())))];
        let error = call(&loaded, &callback, args).await.unwrap_err();
        assert_eq!(error.message, expected);
    }
}

#[tokio::test]
async fn properties_are_read_by_name_and_set_by_method() {
    let (loaded, callback) = function(
        r#"function(p)
  assert(p.x == 1 and p.none == nil and p:getProperty("none", "d") == "d" and p:hasProperty "x")
  p:setProperty("y", {1, 2}, "me")
  assert(p.y[2] == 2)
  local names = {}
  for name in pairs(p) do names[#names + 1] = name end
  table.sort(names)
  return p:asDict(), names, p:render(util.Property "x")
end"#,
    )
    .await;
    let mut properties = Properties::new();
    properties.set("x", 1, "Change");
    let recorder = Arc::new(Recorder::default());
    let answer = call(&loaded, &callback, vec![Arg::Properties(recorder, properties)]).await.unwrap();
    assert_eq!(answer[0], json!({"x": 1, "y": [1, 2]}));
    assert_eq!(answer[1], json!(["x", "y"]));
    assert_eq!(answer[2][0]["$kind"], "util.Property");
}

#[tokio::test]
async fn several_things_are_done_at_once() {
    let (loaded, callback) = function(
        r#"function()
  local m, busy, most = util.mutex(), 0, 0
  local results = util.gather({1, 2, 3}, function(n)
    busy = busy + 1
    most = math.max(most, busy)
    util.sleep(0.01)
    m:with(function() util.sleep(0.001) end)
    busy = busy - 1
    return n * 2
  end)
  local task = util.spawn(function() util.sleep(0.001) return "done" end)
  local ordered = util.sort_by({3, 1, 2}, function(n) util.sleep(0.001) return n end, {reverse = true})
  return {results, most, task:wait(), ordered}
end"#,
    )
    .await;
    let answer = call(&loaded, &callback, vec![]).await.unwrap();
    assert_eq!(answer, json!([[2, 4, 6], 3, "done", [3, 2, 1]]));
}

#[tokio::test]
async fn a_mutex_does_not_keep_who_was_given_up_while_he_had_it() {
    let (loaded, callback) = function(
        r#"function()
  local m = util.mutex()
  local function give_up()
    local task = util.spawn(function()
      coroutine.wrap(function() m:with(function() util.sleep(1000) end) end)()
    end)
    util.sleep(0.01)
    task:cancel()
  end
  give_up()
  -- It is free as soon as the coroutine is collected, for which there must be something to collect.
  local free = util.spawn(function() return m:with(function() return "free" end) end)
  local garbage = util.spawn(function()
    while true do
      local t = {}
      for i = 1, 1000 do t[i] = {tostring(i)} end
      util.sleep(0.001)
    end
  end)
  local key, value = util.wait_any{free = free, garbage = garbage}
  return value
end"#,
    )
    .await;
    assert_eq!(call(&loaded, &callback, vec![]).await.unwrap(), json!("free"));
}

#[tokio::test]
async fn a_mutex_does_not_wait_for_itself_and_a_task_gives_all_results() {
    let (loaded, callback) = function(
        r#"function()
  local m = util.mutex()
  local ok, told = pcall(function() return m:with(function() return m:with(function() end) end) end)
  local again = m:with(function() return "free" end)
  local function raises() m:with(function() error("out") end) end
  local raised = pcall(raises) or pcall(raises)
  return {ok, told:match("it would wait for itself"), again, raised, {util.spawn(function() return 1, 2, "x" end):wait()}}
end"#,
    )
    .await;
    let answer = call(&loaded, &callback, vec![]).await.unwrap();
    assert_eq!(
        answer.as_array().unwrap()[..4],
        [json!(false), json!("it would wait for itself"), json!("free"), json!(false)]
    );
    assert_eq!(answer[4], json!([1, 2, "x"]));
}

/// Of a call that belongs to no object.
#[tokio::test]
async fn a_watch_ends_with_the_call_that_began_it() {
    let text = r#"c.prioritizeBuilders = function(name)
  local heard
  local watch = util.watch("flags", function(path, paths)
    if name == "raises" then error("oh") end
    heard = util.concat({path}, paths)
  end)
  util.write_file("flags", name)
  while not heard do util.sleep(0.01) end
  if name == "stops" then watch:stop() watch:stop() end
  return heard
end
return c
"#;
    let folder = Folder::new(&format!("{HEAD}{text}"));
    let loaded = folder.load().await.unwrap();
    let callback = loaded.config.prioritize_builders.clone().unwrap();
    for name in ["stops", "goes on"] {
        let answer = call(&loaded, &callback, vec![Arg::Value(name.into())]).await.unwrap();
        assert_eq!(answer, json!(["flags", "flags"]), "{name}");
    }
    assert!(folder.records.errors().is_empty());
    let endless = call(&loaded, &callback, vec![Arg::Value("raises".into())]);
    let told = async {
        while folder.records.errors().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        answer = endless => panic!("{answer:?}"),
        () = told => {}
    }
    let errors = folder.records.errors();
    let told = (errors[0].callback.as_str(), errors[0].concerns.as_str(), errors[0].line);
    assert_eq!(told, ("watch", "whoever watches flags", Some(11)));
}

#[tokio::test]
async fn failures_are_listed_and_counted() {
    let folder = Folder::new(&format!("{HEAD}c.prioritizeBuilders = function() error('no') end\nreturn c\n"));
    let loaded = folder.load().await.unwrap();
    let callback = loaded.config.prioritize_builders.clone().unwrap();
    for _ in 0..3 {
        call(&loaded, &callback, vec![]).await.unwrap_err();
    }
    loaded.host.nonsense(&callback, CallSite::new("prioritizeBuilders", "the master"), "returned 3");
    let rows = folder.records.errors();
    assert_eq!(rows.len(), 2);
    let raised = rows.iter().find(|row| row.kind == "raise").unwrap();
    assert_eq!((raised.count, raised.file.as_str(), raised.line), (3, "master.lua", Some(8)));
    assert!(raised.traceback.contains("master.lua:8"), "{}", raised.traceback);
    let nonsense = rows.iter().find(|row| row.kind == "nonsense").unwrap();
    assert_eq!((nonsense.message.as_str(), nonsense.line), ("master.lua:8: returned 3", Some(8)));
}

#[tokio::test]
async fn renderables_are_made_in_callbacks_and_other_kinds_are_not() {
    let (loaded, callback) = function("function() return util.Interpolate('%(prop:x)s') end").await;
    let answer = call(&loaded, &callback, vec![]).await.unwrap();
    assert_eq!(
        (&answer["$kind"], &answer["$args"]["fmtstring"]),
        (&json!("util.Interpolate"), &json!("%(prop:x)s"))
    );
    let (loaded, callback) = function("function() return util.Property{} end").await;
    let error = call(&loaded, &callback, vec![]).await.unwrap_err();
    assert_eq!(error.message, "master.lua:9: util.Property: key is missing");
    let (loaded, callback) = function("function() return worker.Worker{'x'} end").await;
    let error = call(&loaded, &callback, vec![]).await.unwrap_err();
    assert_eq!(
        error.message,
        "master.lua:9: worker.Worker can only be made while the configuration is loaded"
    );
}

#[tokio::test]
async fn the_default_rule_for_collapsing_is_there() {
    let (loaded, callback) = function("util.BuildRequest.canBeCollapsed").await;
    let request = |id: i64, bsid: i64, stamp: Json, properties: Json| {
        let fields = json!({"id": id, "bsid": bsid, "properties": {"$properties": properties}, "sources": {"": stamp}});
        Arg::Object(ScriptObject::new("buildrequest", format!("r{id}"), fields, Arc::new(Inert)))
    };
    let master = || Arg::Object(ScriptObject::new("master", "master", json!({}), Arc::new(Inert)));
    let stamp = |branch: &str, revision: &str, changes: Json| json!({"repository": "r", "branch": branch, "project": "", "patch": null, "revision": revision, "changes": changes});
    let plain = || stamp("main", "1", json!([]));
    let none = || json!({});
    let table = [
        (request(2, 2, plain(), none()), request(1, 1, plain(), none()), true),
        (request(1, 1, plain(), none()), request(2, 2, plain(), none()), false),
        (request(2, 1, stamp("x", "1", json!([])), none()), request(1, 1, plain(), none()), true),
        (request(2, 2, stamp("x", "1", json!([])), none()), request(1, 1, plain(), none()), false),
        (request(2, 2, stamp("main", "2", json!([])), none()), request(1, 1, plain(), none()), false),
        (
            request(2, 2, stamp("main", "2", json!([1])), none()),
            request(1, 1, stamp("main", "1", json!([2])), none()),
            true,
        ),
        (request(2, 2, stamp("main", "1", json!([1])), none()), request(1, 1, plain(), none()), false),
        (request(2, 2, plain(), json!({"a": [1, "Scheduler"]})), request(1, 1, plain(), none()), false),
        (
            request(2, 2, plain(), json!({"scheduler": [1, "Scheduler"], "b": [1, "Owner"]})),
            request(1, 1, plain(), none()),
            true,
        ),
    ];
    for (number, (new, old, expected)) in table.into_iter().enumerate() {
        let answer = call(&loaded, &callback, vec![master(), new, old]).await.unwrap();
        assert_eq!(answer, json!(expected), "row {number}");
    }
}

/// What a master answers.
struct Port;

impl lunabot_model::script::MasterPort for Port {
    fn call<'a>(&'a self, op: &'a str, args: Vec<Json>) -> BoxFuture<'a, Result<Json, String>> {
        Box::pin(async move {
            match op {
                "data.get" => Ok(json!([args, {"properties": {"$properties": {"a": [1, "x"]}}}])),
                "state.get" if args[0] == "none" => Ok(json!(null)),
                "state.get" => Ok(json!(4)),
                _ => Err(format!("{op} is not known")),
            }
        })
    }
}

#[tokio::test]
async fn the_master_is_reached_from_callbacks() {
    let body = r#"function(master)
  assert(master == lunabot.master)
  local rows = master.data.get({"builders", 1}, {limit = 2})
  local ok, message = pcall(function() return master.data:get("builders") end)
  local ok2, message2 = pcall(master.data.updates.addChange, {})
  return {rows[1], rows[2].properties.a, master.state.get("k", 5) + master.state.get("none", 6), message, message2}
end"#;
    let folder = Folder::new(&format!("{HEAD}c.prioritizeBuilders = {body}\nreturn c\n"));
    let options = lunabot_lua::LoadOptions { master: Some(Arc::new(Port)), ..folder.options() };
    let loaded = lunabot_lua::Host::load(options).await.unwrap_or_else(|failure| panic!("{failure}"));
    let callback = loaded.config.prioritize_builders.clone().unwrap();
    let master = ScriptObject { class: "master", ..worker("master", Arc::new(Inert)) };
    let answer = call(&loaded, &callback, vec![Arg::Object(master)]).await.unwrap();
    assert_eq!((&answer[0], &answer[1]), (&json!([["builders", 1], {"limit": 2}]), &json!(1)));
    assert_eq!(answer[2], json!(10));
    assert_eq!(answer[3], "master.lua:11: is called with a dot, not a colon: master.data.get(…)");
    assert!(answer[4].as_str().unwrap().contains("data.updates.addChange is not known"), "{answer}");
}
