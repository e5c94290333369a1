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
        ("function() local t = {} while true do t[#t + 1] = ('x'):rep(1000000) .. #t end end", Memory),
        ("function() return (('a'):rep(20000):find('a*a*a*b')) end", Cpu),
        ("function() while true do pcall(string.gsub, ('a'):rep(20000), '.-.-.-b', '') end end", Cpu),
        ("function() for x in ('a'):rep(20000):gmatch('a+a+a+b') do end end", Cpu),
        ("function() error 'no' end", Raise),
        ("function() return nil + 1 end", Raise),
        ("function() return function() end end", ScriptErrorKind::Nonsense),
    ];
    for (body, kind) in table {
        let (got, message) = fails(body).await;
        assert_eq!(got, kind, "{body}: {message}");
    }
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
