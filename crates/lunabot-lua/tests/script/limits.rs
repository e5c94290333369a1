//! Callbacks that misbehave are bounded, and others go on meanwhile.

use crate::support::{call, function_with, load};
use lunabot_model::ScriptErrorKind::{self, Cpu, Deadline, Memory, Raise, Suspended};
use lunabot_model::script::CallSite;

const LIMITS: &str = "c.lua = {callback_cpu_seconds = 0.1, callback_timeout = 300, memory_limit = '64 MB'}";

async fn fails(body: &str) -> (ScriptErrorKind, String) {
    let (loaded, callback) = function_with(body, LIMITS).await;
    let error = call(&loaded, &callback, vec![]).await.unwrap_err();
    (error.kind, error.message)
}

#[tokio::test]
async fn runaways_are_stopped_whatever_they_do() {
    let table = [
        ("function() while true do end end", Cpu),
        ("function() while true do pcall(function() while true do end end) end end", Cpu),
        ("function() while true do pcall(pcall, error) end end", Cpu),
        ("function() local t = {3, 1, 2} table.sort(t, function(a, b) while true do end end) end", Cpu),
        (
            "function() while true do pcall(table.sort, {3, 1, 2}, function() while true do end end) end end",
            Cpu,
        ),
        ("function() return (('x'):gsub('x', function() while true do end end)) end", Cpu),
        ("function() coroutine.wrap(function() while true do end end)() end", Cpu),
        (
            "function() while true do coroutine.resume(coroutine.create(function() while true do end end)) end end",
            Cpu,
        ),
        (
            "function() local t <close> = setmetatable({}, {__close = function() while true do end end}) while true do end end",
            Cpu,
        ),
        ("function() return (('a'):rep(20000):find('a*a*a*b')) end", Cpu),
        ("function() while true do pcall(string.gsub, ('a'):rep(20000), '.-.-.-b', '') end end", Cpu),
        ("function() for x in ('a'):rep(20000):gmatch('a+a+a+b') do end end", Cpu),
        (
            "function() local t <close> = setmetatable({}, {__close = function() while true do end end}) table.sort({3, 1, 2}, function() while true do end end) end",
            Cpu,
        ),
        (
            "function() local t <close> = setmetatable({}, {__close = function() while true do end end}) error('no') end",
            Cpu,
        ),
        (
            "function() local co = coroutine.create(function() local t <close> = setmetatable({}, {__close = function() while true do end end}) table.sort({3, 1, 2}, function() while true do end end) end) coroutine.resume(co) coroutine.close(co) end",
            Cpu,
        ),
        ("function() xpcall(error, function() while true do end end) end", Cpu),
        ("function() while true do xpcall(error, function() while true do end end) end end", Cpu),
        ("function() local function r() pcall(r) return r() end return r() end", Cpu),
        ("function() error 'no' end", Raise),
        ("function() return nil + 1 end", Raise),
        ("function() return function() end end", ScriptErrorKind::Nonsense),
    ];
    for (body, kind) in table {
        let (got, message) = fails(body).await;
        assert_eq!(got, kind, "{body}: {message}");
    }
}

/// Where it is interrupted often, sometimes that comes just when it yields: that is no wait, which would give it its budget
/// anew. And errors take their time to come out of what catches them.
#[tokio::test]
async fn runaways_with_much_time_are_stopped_too() {
    let limits = "c.lua = {callback_cpu_seconds = 1, callback_timeout = 300}";
    for body in [
        "function() local f = coroutine.wrap(function() while true do end end) f() return 0 end",
        "function() local function r(n) pcall(r, n + 1) return r(n + 1) end return r(1) end",
    ] {
        let (loaded, callback) = function_with(body, limits).await;
        let error = call(&loaded, &callback, vec![]).await.unwrap_err();
        assert_eq!(error.kind, Cpu, "{body}: {}", error.message);
    }
}

/// What is dropped while it catches does not count for the next function, which may have its coroutine.
#[tokio::test]
async fn pcall_within_pcall_has_a_bound_that_ends_with_it() {
    let body = r#"function()
  for _ = 1, 200 do
    local task = util.spawn(function() pcall(pcall, util.sleep, 1000) end)
    util.sleep(0)
    task:cancel()
  end
  return util.gather({1, 2, 3}, function()
    local deepest = 0
    local function deeper(n)
      deepest = n
      local ok, told = pcall(deeper, n + 1)
      if not ok then error(told, 0) end
    end
    local ok, told = pcall(deeper, 1)
    return {ok, told, deepest}
  end)
end"#;
    let (loaded, callback) = function_with(body, "").await;
    let told = call(&loaded, &callback, vec![]).await.unwrap();
    let each = serde_json::json!([false, "master.lua:19: pcall within pcall, more than 150 deep", 150]);
    assert_eq!(told, serde_json::json!([each, each, each]));
}

/// Whatever ends a function: its variables are closed.
#[tokio::test]
async fn what_is_to_be_closed_is_closed() {
    let body = r#"(function()
  local open = 0
  local meta = {__close = function() open = open - 1 end}
  local function holds(fn)
    open = open + 1
    local slot <close> = setmetatable({}, meta)
    fn()
  end
  return function(wait)
    if wait == "now" then return open end
    local task = util.spawn(function() holds(function() util.sleep(1000) end) end)
    local other = util.spawn(function() holds(function() util.sleep(1000) end) end)
    util.wait_any{other, util.spawn(function() util.sleep(0) end)}
    task:cancel()
    other:cancel()
    pcall(holds, error)
    holds(function() util.sleep(1000) end)
  end
end)()"#;
    let (loaded, callback) = function_with(body, "c.lua = {callback_timeout = 0.3}").await;
    let error = call(&loaded, &callback, vec![]).await.unwrap_err();
    assert_eq!(error.kind, Deadline, "{error}");
    let now = lunabot_model::Arg::Value("now".into());
    assert_eq!(call(&loaded, &callback, vec![now]).await.unwrap(), 0);
}

/// A few calls of functions of the host, each of which is over before the hook runs once, or runs for ever.
#[tokio::test]
async fn functions_of_the_host_are_stopped_too() {
    let made = |count: &str, item: &str, body: &str| {
        format!(
            "(function() local t = {{}} for i = 1, {count} do t[i] = {item} end return function() {body} end end)()"
        )
    };
    let table = [
        "function() local line = ('a'):rep(40) return line:match(('a?'):rep(40) .. line .. 'b') end".into(),
        "function() local text = ('a'):rep(1e6) return text:match(('a'):rep(1e5) .. 'b') end".into(),
        "function() local text = ('a'):rep(2000) for i = 1, 100 do text:match('a*b') end end".into(),
        "function() local text = ('x'):rep(1e6) for i = 1, 200 do util.sha256(text) end end".into(),
        "function() local text = ('x'):rep(1e6) for i = 1, 200 do util.base64_encode(text) end end".into(),
        "function() for i = 1, 150 do local s = ('x'):rep(1e7) end end".into(),
        "function() local s = ('x'):rep(1e6) for i = 1, 200 do utf8.len(s) end end".into(),
        "function() return (''):rep(1e15) end".into(),
        "function() table.move({}, 1, 1e15, 2) end".into(),
        made("2e4", "''", "for i = 1, 900 do table.concat(t) end"),
        made("1e5", "(i * 7919) % 1000003", "table.sort(t)"),
    ];
    for body in table {
        let (loaded, callback) = function_with(&body, LIMITS).await;
        let ended = call(&loaded, &callback, vec![]).await;
        if body.contains("('')") {
            assert_eq!(ended.unwrap(), "");
        } else {
            let error = ended.expect_err(&body);
            assert_eq!(error.kind, Cpu, "{body}: {}", error.message);
        }
    }
}

/// Where the hook interrupts a function just before it waits, what it waits for must still wake it.
#[tokio::test]
async fn functions_that_compute_and_wait_in_turn_all_end() {
    for (many, times) in [(4, 80), (40, 8)] {
        let body = format!(
            r#"function()
  local items = {{}}
  for i = 1, {many} do items[i] = i end
  local ended = util.gather(items, function(n)
    for i = 1, {times} do
      local t = {{}}
      for j = 1, 1500 + 100 * (i % 7) do t[j] = -j end
      table.sort(t)
      util.sleep(0.0005)
    end
    return n
  end)
  return #ended
end"#
        );
        let (loaded, callback) = function_with(&body, "").await;
        let calls = (0..4).map(|_| call(&loaded, &callback, vec![]));
        let answers = futures::future::join_all(calls).await;
        assert!(answers.into_iter().all(|answer| answer.unwrap() == many));
    }
}

#[tokio::test]
async fn what_fills_the_memory_is_stopped() {
    let limits = "c.lua = {callback_cpu_seconds = 20, memory_limit = '64 MB'}";
    let body = "function() local t = {} while true do t[#t + 1] = ('x'):rep(1000000) .. #t end end";
    let (loaded, callback) = function_with(body, limits).await;
    assert_eq!(call(&loaded, &callback, vec![]).await.unwrap_err().kind, Memory);
}

#[tokio::test]
async fn stock_functions_for_much_do_what_they_did_for_little() {
    load(
        r#"
local t, reversed = {}, {}
for i = 1, 3000 do t[i], reversed[3001 - i] = i, i end
table.sort(reversed)
assert(util.equal(t, reversed) and #table.concat(t) == 10893 and table.concat(t, ",", 2999) == "2999,3000")
local moved = table.move(t, 1, 3000, 2, {0})
assert(moved[1] == 0 and moved[2] == 1 and moved[3001] == 3000 and moved[3002] == nil)
table.move(t, 1, 3000, 3)
assert(t[2] == 2 and t[3] == 1 and t[3002] == 3000)
table.move(t, 3, 3002, 1)
assert(t[1] == 1 and t[3000] == 3000)
assert(("ab"):rep(2, ",") == "ab,ab" and (""):rep(3, ",") == ",," and (""):rep(-1, ",") == "" and (""):rep(5) == "")
table.insert(t, 1, 7)
assert(t[1] == 7 and t[2] == 1 and table.remove(t, 1) == 7 and t[1] == 1 and table.remove(t) == 3000)
assert(not pcall(table.move, {}, 1, 5000, 1.5) and not pcall(table.insert, t, 1, 2, 3))
assert(utf8.len(("ä"):rep(40000)) == 40000 and utf8.offset(("ä"):rep(40000), 3) == 5)
"#,
    )
    .await;
}

#[tokio::test]
async fn a_callback_that_waits_for_ever_meets_its_deadline() {
    for body in ["function() util.sleep(1000) end", "function() while true do util.sleep(0.01) end end"] {
        let (loaded, callback) = function_with(body, "c.lua = {callback_timeout = 0.2}").await;
        assert_eq!(call(&loaded, &callback, vec![]).await.unwrap_err().kind, Deadline);
    }
}

#[tokio::test]
async fn endless_recursion_overflows_the_stack_of_lua_alone() {
    let body = "function() local function f() return 1 + f() end return f() end";
    let (loaded, callback) = function_with(body, "c.lua = {callback_cpu_seconds = 20}").await;
    let error = call(&loaded, &callback, vec![]).await.unwrap_err();
    assert!(error.kind == Raise && error.message.contains("stack overflow"), "{error}");
}

#[tokio::test]
async fn an_error_names_its_place() {
    let (_, message) = fails("function()\n  local x\n  x.y = 1 end").await;
    assert_eq!(message, "master.lua:11: attempt to index a nil value (local 'x')");
    let (_, message) = fails("function() table.sort({2, 1}, function() util.sleep(1) end) end").await;
    assert!(
        message.starts_with("master.lua:9: cannot wait here, inside a comparator of table.sort"),
        "{message}"
    );
    let (_, message) = fails("function()\n  while true do end end").await;
    assert!(message.starts_with("master.lua:10: computed longer than 0.1 s"), "{message}");
}

#[tokio::test]
async fn others_go_on_while_one_runs_away() {
    let loaded = load(
        "c.lua = {callback_cpu_seconds = 2}\nc.prioritizeBuilders = function() while true do end end
c.select_next_worker = function(a) return a + 1 end",
    )
    .await;
    let (bad, good) = (
        loaded.config.prioritize_builders.clone().unwrap(),
        loaded.config.select_next_worker.clone().unwrap(),
    );
    let site = || CallSite::new("x", "y");
    let mut stuck = loaded.host.call(&bad, site(), vec![]);
    let mut answers = 0;
    // Every one of these is answered before the runaway has used up its time.
    while answers < 50 {
        let args = vec![lunabot_model::Arg::Value(1.into())];
        let quick = loaded.host.call(&good, site(), args);
        match futures::future::select(&mut stuck, quick).await {
            futures::future::Either::Left((end, _)) => panic!("ended first: {end:?}"),
            futures::future::Either::Right((answer, _)) => assert_eq!(answer.unwrap(), 2),
        }
        answers += 1;
    }
    assert_eq!(stuck.await.unwrap_err().kind, Cpu);
}

#[tokio::test]
async fn a_callback_that_exceeds_its_limits_again_and_again_is_suspended() {
    let (loaded, callback) = function_with("function() while true do end end", LIMITS).await;
    for round in 1..=3 {
        let error = call(&loaded, &callback, vec![]).await.unwrap_err();
        let told = "it is not called for 30 s, as it exceeded its limits 3 times in a row";
        assert_eq!((error.kind, error.message.contains(told)), (Cpu, round == 3), "{error}");
    }
    let error = call(&loaded, &callback, vec![]).await.unwrap_err();
    assert!(matches!(error.kind, Suspended(left) if left.as_secs() < 30), "{error:?}");
    assert!(
        error.message.contains("master.lua:") && error.message.contains("not called for another"),
        "{error}"
    );
}
