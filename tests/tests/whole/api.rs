//! The REST API beside Buildbot's: one life on both masters, every path and many queries asked of both (09b–09e).
//!
//! The configurations, the questions and the differences that are meant are in `tests/compare/api/`. A difference that
//! is not listed there fails, and so does one that is listed and not there.

#[path = "api/answer.rs"]
mod answer;
#[path = "api/differ.rs"]
mod differ;

use crate::workers::port;
use answer::{Asker, Question};
use anyhow::{Context, Result, ensure};
use lunabot_tests::{Buildbot, Master, StockWorker, project_root};
use serde_json::{Value, json};
use std::time::Duration;

/// Between looks at something that has no event on one of the masters.
const LOOK: Duration = Duration::from_millis(100);
const LOOKS: usize = 900;

#[tokio::test]
async fn rows_09_025_to_09_084_the_api_answers_as_buildbots() -> Result<()> {
    let folder = project_root().join("tests/compare/api");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).with_context(|| name.to_owned());
    let questions = Question::read_all(&read("questions.txt")?)?;

    let mut ours = Master::start(&read("master.lua")?).await?;
    let worker = StockWorker::start("pb", port(&mut ours, "pb").await?, "w1", "pass").await?;
    let mut asker = Asker::new(ours.base(), &[ours.dir(), worker.dir()])?;
    live(&mut asker).await.with_context(|| ours.log())?;
    let left = asker.ask_all(&questions).await?;
    drop((ours, worker));

    let theirs = Buildbot::start(&read("master.cfg")?).await?;
    // A worker that comes too early comes again much later.
    theirs.running().await?;
    let worker = StockWorker::start("pb", theirs.port(), "w1", "pass").await?;
    let mut asker = Asker::new(theirs.base(), &[theirs.dir(), worker.dir()])?;
    live(&mut asker).await.with_context(|| theirs.log())?;
    let right = asker.ask_all(&questions).await?;

    let told = differ::compare(&questions, &right, &left, &serde_json::from_str(&read("expected.json")?)?)?;
    ensure!(told.is_empty(), "{} complaints:\n{}", told.len(), told.join("\n"));
    Ok(())
}

/// What happens on each master before it is asked: changes, builds good and bad, a rebuild, requests that wait or are
/// cancelled.
async fn live(asker: &mut Asker) -> Result<()> {
    asker.learn().await?;
    let id = |name: &str| asker.builder(name).with_context(|| name.to_owned());
    let (alpha, zeta) = (id("alpha")?.to_string(), id("zeta")?.to_string());
    let asker = &*asker;
    asker.until("workers/w1", |workers| workers["workers"][0]["connected_to"] != json!([])).await?;
    for change in [
        &[
            ("author", "Ann <ann@x.org>"),
            ("revision", "r1"),
            ("branch", "main"),
            ("project", "app"),
            ("files", r#"["a.txt", "b/c.txt"]"#),
        ][..],
        &[
            ("author", "Bob"),
            ("revision", "r2"),
            ("branch", "main"),
            ("project", "app"),
            ("category", "c1"),
            ("committer", "Ann <ann@x.org>"),
        ],
        &[
            ("author", "Bob"),
            ("comments", "elsewhere\nwith two lines"),
            ("project", "other"),
            ("repository", "http://r/x"),
            ("properties", r#"{"p": [1]}"#),
        ],
    ] {
        asker.change(change).await?;
        quiet(asker).await?;
    }
    force(asker, json!({"builderid": alpha, "count": 5, "reason": "because", "username": "Joe <joe@x.org>"}))
        .await?;
    quiet(asker).await?;
    force(asker, json!({"builderNames": ["beta/x y"], "priority": 3})).await?;
    quiet(asker).await?;
    asker.control("builds/1", "rebuild", json!({})).await?;
    quiet(asker).await?;
    let cancelled = force(asker, json!({"builderid": zeta})).await?;
    asker.control(&format!("buildrequests/{cancelled}"), "cancel", json!({"reason": "no need"})).await?;
    let path = format!("buildrequests/{cancelled}");
    asker.until(&path, |found| found["buildrequests"][0]["complete"] == true).await?;
    force(asker, json!({"builderid": zeta, "priority": 7, "must": "yes"})).await?;
    Ok(())
}

async fn force(asker: &Asker, params: Value) -> Result<i64> {
    let answer = asker.control("forceschedulers/force", "force", params).await?;
    let request = answer[1].as_object().and_then(|map| map.values().next()).and_then(Value::as_i64);
    request.with_context(|| format!("no request in {answer}"))
}

/// Waits until nothing waits or runs, and that was so for a while: a change becomes a request a moment later.
async fn quiet(asker: &Asker) -> Result<()> {
    let mut calm = 0;
    for _ in 0..LOOKS {
        let open = asker.get("buildrequests?complete=false").await?;
        calm = if open["buildrequests"] == json!([]) { calm + 1 } else { 0 };
        if calm > 5 {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    anyhow::bail!("builds do not end")
}
