//! `lunabot explain`: why does a request wait, or what became of it?

use crate::basedir::BaseDir;
use crate::cli::Why;
use crate::clock::SystemClock;
use crate::control::{Ask, client};
use crate::pidfile::PidFile;
use crate::ui;
use anyhow::{Context as _, Result, bail};
use lunabot_model::clock::ctime;
use lunabot_model::explanation::{Explanation, RequestState, RuleAnswer};
use lunabot_model::text::duration;
use lunabot_model::{Clock as _, Json};
use std::process::ExitCode;
use std::time::Duration;

/// How long the master may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Exit status 1: there is no such request, or no master.
pub fn run(args: &Why) -> Result<ExitCode> {
    let told = match &args.url {
        Some(url) => elsewhere(url, args.request)?,
        None => here(args)?,
    };
    if args.json {
        ui::out(&serde_json::to_string_pretty(&told)?);
    } else {
        lines(&told, SystemClock::new().now().secs()).iter().for_each(|line| ui::out(line));
    }
    Ok(ExitCode::SUCCESS)
}

/// The master of a folder, by its socket: whoever may control it need not log in.
fn here(args: &Why) -> Result<Explanation> {
    let base = BaseDir::new(&args.place.dir, None)?;
    if PidFile::holder(&base.pid_file())?.is_none() {
        bail!(
            "no master runs in {}; name its folder after the request, or its address with --url",
            base.dir().display()
        );
    }
    let outcome = client::ask_all(&base.socket(), Ask::Why { request: args.request }, PATIENCE)?;
    let text = outcome.lines.join("\n");
    if !outcome.ok {
        bail!("{text}");
    }
    serde_json::from_str(&text).context("the running master speaks another version of Lunabot")
}

/// A master elsewhere, by its API.
fn elsewhere(url: &str, request: i64) -> Result<Explanation> {
    let address = format!("{}/api/v2/buildrequests/{request}/explanation", url.trim_end_matches('/'));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let (status, body) = runtime.block_on(async {
        let client = lunabot_net::http::builder().timeout(PATIENCE).build()?;
        let asked = client.get(&address).header("accept", "application/json");
        let answer = asked.send().await.with_context(|| format!("cannot ask {address}"))?;
        anyhow::Ok((answer.status(), answer.text().await?))
    })?;
    let body: Json = serde_json::from_str(&body)
        .with_context(|| format!("{address} answered {status}, and not as a master of Lunabot does"))?;
    if let Some(error) = body["error"].as_str() {
        bail!("{address} answered {status}: {error}");
    }
    serde_json::from_value(body["explanations"][0].clone())
        .with_context(|| format!("{address} answered something that is no explanation"))
}

fn lines(told: &Explanation, now: i64) -> Vec<String> {
    let state = match told.state {
        RequestState::Pending => format!("has waited for {}", duration(now - told.submitted_at)),
        RequestState::Building => "is being built".into(),
        RequestState::Complete => "is complete".into(),
    };
    let since = told.since.map(|since| format!(", since {}", moment(since, now))).unwrap_or_default();
    let mut lines = vec![
        format!("request {} of builder {} {state}", told.buildrequestid, told.builder),
        format!("  {}{since}", told.summary),
    ];
    let sections = [("asked, and what holds now:", &told.answers), ("over time:", &told.history)];
    for (title, answers) in sections.into_iter().filter(|(_, answers)| !answers.is_empty()) {
        lines.push(title.into());
        lines.extend(answers.iter().map(|answer| line(answer, now)));
    }
    lines
}

fn line(answer: &RuleAnswer, now: i64) -> String {
    let mut text = format!("  {} {}", if answer.blocks { "✕" } else { "·" }, answer.told());
    if answer.times > 1 {
        text.push_str(&format!(", {} times", answer.times));
    }
    if let Some(since) = answer.since {
        text.push_str(&format!(", since {}", moment(since, now)));
    }
    if let Some(until) = answer.until {
        text.push_str(&format!(", until {}", moment(until, now)));
    }
    text
}

/// `Sat Nov 28 23:42:33 2026 (3 m 2 s ago)`.
fn moment(at: i64, now: i64) -> String {
    let distance =
        if at <= now { format!("{} ago", duration(now - at)) } else { format!("in {}", duration(at - now)) };
    format!("{} ({distance})", ctime(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_tells_how_often_and_from_when_to_when() {
        let answer = RuleAnswer {
            worker: Some("w1".into()),
            since: Some(100),
            until: Some(160),
            times: 3,
            at: Some("master.lua:4".into()),
            ..RuleAnswer::new("canStartBuild", "returned false").blocking()
        };
        let text = line(&answer, 130);
        assert!(
            text.starts_with("  ✕ canStartBuild returned false for worker w1 (master.lua:4), 3 times"),
            "{text}"
        );
        assert!(text.contains("(30 s ago), until") && text.ends_with("(in 30 s)"), "{text}");
    }
}
