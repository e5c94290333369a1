//! Locks as a configuration writes them (reference 05.055–05.057, 05.062).

use crate::support::{HEAD_LINES, call, errors, function_with, load};
use lunabot_model::locks::{LockMode, uses};

/// The locks of the builder when it has the option `locks = VALUE`.
async fn locks(value: &str) -> Vec<String> {
    let extra = format!(
        "local db, cpu = util.MasterLock{{'db', 3}}, util.WorkerLock{{'cpu', maxCountForWorker = {{local = 2}}}}\n\
         c.builders[1] = c.builders[1]:with{{locks = {value}}}"
    );
    let loaded = load(&extra.replace("{local =", "{['local'] =")).await;
    let option = loaded.config.builders[0].config.locks.clone().unwrap_or_default();
    let told = uses(&option).unwrap();
    let mode = |m| if m == LockMode::Counting { "counting" } else { "exclusive" };
    told.iter().map(|u| format!("{} {} {}/{}", u.lock, mode(u.mode), u.count, u.counts.most())).collect()
}

#[tokio::test]
async fn row_05_057_locks_are_given_bare_or_as_an_access() {
    for (value, expected) in [
        ("db", &["lock \"db\" counting 1/3"][..]),
        ("{db, {false, cpu}}", &["lock \"db\" counting 1/3", "worker lock \"cpu\" counting 1/2"]),
        ("{db:access('counting', 2)}", &["lock \"db\" counting 2/3"]),
        ("{db:access('counting', {count = 0})}", &["lock \"db\" counting 0/3"]),
        ("{db:access('exclusive')}", &["lock \"db\" exclusive 1/3"]),
        ("{cpu:access{mode = 'exclusive'}}", &["worker lock \"cpu\" exclusive 1/2"]),
        ("{db:with{maxCount = db.maxCount + cpu.maxCount}}", &["lock \"db\" counting 1/4"]),
        ("nil", &[]),
    ] {
        assert_eq!(locks(value).await, expected, "{value}");
    }
}

#[tokio::test]
async fn row_05_057_mistakes_with_locks_are_told_with_their_place() {
    let cases = [
        (
            "local l = util.MasterLock{'a'}:access('shared')",
            "lock:access: mode: expected \"counting\" or \"exclusive\"",
        ),
        ("local l = util.MasterLock{'a'}:access()", "lock:access: mode is missing"),
        (
            "local l = util.MasterLock{'a'}:access('exclusive', 2)",
            "lock:access: count: an exclusive access has the count 1, got 2",
        ),
        (
            "local l = util.MasterLock{'a'}:access('counting', {cuont = 2})",
            "lock:access: cuont: unknown option, did you mean count?",
        ),
        (
            "local l = util.MasterLock{'a'}:access('counting', 2)",
            "lock:access: count: asks for 2 of lock \"a\", of which there is at most 1",
        ),
        (
            "local l = util.MasterLock{'a', maxCount = -1}",
            "util.MasterLock: maxCount: expected 0 or more, got -1",
        ),
        (
            "local l = util.MasterLock{'a', maxcount = 2}",
            "util.MasterLock: maxcount: unknown option, did you mean maxCount?",
        ),
        (
            "c.builders[1] = c.builders[1]:with{locks = 'a'}",
            "util.BuilderConfig: locks: expected an object or a list of objects or a function, got the text \"a\"",
        ),
        (
            "c.builders[1] = c.builders[1]:with{locks = {f}}",
            "util.BuilderConfig: locks: expected a lock, got a util.BuildFactory",
        ),
    ];
    for (extra, expected) in cases {
        let told = errors(extra).await;
        let expected = format!("master.lua:{}: {expected}", HEAD_LINES + 1);
        assert!(told.len() == 1 && told[0].starts_with(&expected), "{told:?} for {extra}");
    }
    let told = errors("local l = util.MasterLock{'a'}\nl.access('counting')").await;
    assert!(told[0].contains("call it with a colon: x:access(…)"), "{told:?}");
}

#[tokio::test]
async fn row_05_063_one_lock_declared_twice_with_other_counts_cites_both_places() {
    let extra = "c.builders[1] = c.builders[1]:with{\n  locks = {util.MasterLock{'db', 2}}}\n\
                 c.builders[2] = c.builders[1]:with{name = 'two', locks = util.MasterLock{'db', 3}}\n\
                 c.schedulers[1] = c.schedulers[1]:with{builderNames = {'one', 'two'}}";
    let expected = format!(
        "master.lua:{}: util.MasterLock: lock \"db\" is declared with other counts than at master.lua:{}; \
         declare it once and use it in both places",
        HEAD_LINES + 3,
        HEAD_LINES + 2
    );
    assert_eq!(errors(extra).await, [expected]);
}

#[tokio::test]
async fn row_05_062_a_function_may_return_locks_and_accesses() {
    let body = "function() return {db:access('counting', 2), cpu} end";
    let (loaded, callback) =
        function_with(body, "local db, cpu = util.MasterLock{'db', 3}, util.WorkerLock{'cpu'}").await;
    let told = uses(&call(&loaded, &callback, Vec::new()).await.unwrap()).unwrap();
    assert_eq!((told.len(), told[0].count, told[0].counts.max), (2, 2, 3));
}
