//! What a master makes of the scenario, with everything left out that is never the same twice.

use crate::peer::Peer;
use anyhow::{Context as _, Result};
use futures::future::BoxFuture;
use serde_json::{Map, Value, json};

/// Forces every builder once, one after the other; builder → what its builds became.
pub async fn run(peer: &Peer, scenario: &Value, only: Option<&str>) -> Result<Map<String, Value>> {
    let builders = scenario.as_array().context("the scenario is a list")?;
    let mut all = Map::new();
    for builder in builders {
        let name = builder["name"].as_str().context("a builder has a name")?;
        if only.is_some_and(|only| only != name) {
            continue;
        }
        let stops = builder["action"] == "stop";
        let build = force(peer, name, stops).await.with_context(|| name.to_string())?;
        all.insert(name.to_string(), record(peer, build).await.with_context(|| name.to_string())?);
    }
    Ok(all)
}

async fn force(peer: &Peer, builder: &str, stops: bool) -> Result<i64> {
    let params = json!({"builderNames": [builder], "username": "Joe <joe@example.org>", "reason": "compare"});
    let answer = peer.control("forceschedulers/force", "force", params).await?;
    let request = answer[1].as_object().and_then(|map| map.values().next()).and_then(Value::as_i64);
    let request = request.with_context(|| format!("no request in {answer}"))?;
    if stops {
        let builds = peer
            .until(&format!("builds?buildrequestid={request}"), |b| b["builds"][0]["buildid"].is_i64())
            .await?;
        let build = builds["builds"][0]["buildid"].as_i64().unwrap_or_default();
        let begun = |steps: &Value| steps["steps"].as_array().is_some_and(|s| s.len() > 1);
        let steps = peer.until(&format!("builds/{build}/steps"), begun).await?;
        // Stopped before its command says something, it would be another story.
        let speaks = |logs: &Value| logs["logs"][0]["num_lines"].as_i64().is_some_and(|lines| lines > 0);
        peer.until(&format!("steps/{}/logs", steps["steps"][1]["stepid"]), speaks).await?;
        peer.control(&format!("builds/{build}"), "stop", json!({"reason": "enough"})).await?;
    }
    peer.until(&format!("buildrequests/{request}"), |r| r["buildrequests"][0]["complete"] == true).await?;
    let builds = peer.get(&format!("builds?buildrequestid={request}")).await?;
    builds["builds"][0]["buildid"].as_i64().context("no build")
}

/// A build, its steps and logs, and the builds that it triggered.
fn record<'a>(peer: &'a Peer, id: i64) -> BoxFuture<'a, Result<Value>> {
    Box::pin(async move {
        let build = peer.get(&format!("builds/{id}")).await?["builds"][0].clone();
        let mut steps = Vec::new();
        for step in peer.get(&format!("builds/{id}/steps")).await?["steps"].as_array().into_iter().flatten() {
            steps.push(step_record(peer, step).await?);
        }
        let properties = peer.get(&format!("builds/{id}/properties")).await?["properties"][0].clone();
        let normal = Normal::new(peer);
        Ok(json!({
            "results": build["results"], "state_string": normal.text(build["state_string"].as_str().unwrap_or_default()),
            "properties": normal.value(&properties), "steps": steps,
        }))
    })
}

async fn step_record(peer: &Peer, step: &Value) -> Result<Value> {
    let normal = Normal::new(peer);
    let mut logs = Vec::new();
    let found = peer.get(&format!("steps/{}/logs", step["stepid"])).await?;
    for log in found["logs"].as_array().into_iter().flatten() {
        let text = peer.contents(log["logid"].as_i64().unwrap_or_default()).await?;
        logs.push(json!({
            "name": log["name"], "slug": log["slug"], "type": log["type"], "complete": log["complete"],
            "text": normal.text(&text),
        }));
    }
    Ok(json!({
        "number": step["number"], "name": step["name"], "results": step["results"], "hidden": step["hidden"],
        "state_string": normal.text(step["state_string"].as_str().unwrap_or_default()),
        "urls": normal.value(&step["urls"]), "logs": logs,
    }))
}

/// Leaves out what differs from run to run: folders, times, process ids.
struct Normal(Vec<String>);

impl Normal {
    fn new(peer: &Peer) -> Self {
        let dir = peer.dir.path();
        let real = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
        Normal(vec![real.to_string_lossy().into_owned(), dir.to_string_lossy().into_owned()])
    }

    fn value(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.text(text).into(),
            Value::Array(items) => items.iter().map(|item| self.value(item)).collect(),
            Value::Object(map) => {
                Value::Object(map.iter().map(|(k, v)| (k.clone(), self.value(v))).collect())
            }
            other => other.clone(),
        }
    }

    fn text(&self, text: &str) -> String {
        let mut text = text.to_string();
        for folder in &self.0 {
            text = text.replace(folder.as_str(), "DIR");
        }
        let lines = text.split('\n').map(|line| match line.split_once("elapsedTime=") {
            Some((before, _)) => format!("{before}elapsedTime=T"),
            None => without_address(line),
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// Addresses of objects in Python's texts.
fn without_address(line: &str) -> String {
    match line.split_once(" at 0x") {
        Some((before, after)) => {
            let rest = after.trim_start_matches(|c: char| c.is_ascii_hexdigit());
            format!("{before} at 0xADDRESS{rest}")
        }
        None => line.to_string(),
    }
}
