//! Runs one scenario of builds on Buildbot 4.3.0 and on Lunabot, each with the same buildbot-worker, and lists every difference in results, steps, texts,
//! properties and logs.
//!
//! ```sh
//! cargo run -p lunabot-tests --bin compare -- [--only BUILDER] [--python PYTHON] [--json FILE]
//! ```
//!
//! Buildbot comes from its package registry into `target/peers`, once. The scenario is `tests/compare/scenario.json`;
//! both configurations beside it read it. Differences that are meant are listed, with reasons, in
//! `tests/compare/expected.json`; any other makes the exit status 1.

mod diff;
mod peer;
mod record;

use anyhow::{Context as _, Result, bail};
use lunabot_tests::project_root;
use serde_json::Value;
use std::path::PathBuf;
use std::process::ExitCode;

/// What is asked on the command line.
struct Args {
    only: Option<String>,
    python: String,
    json: Option<PathBuf>,
}

fn args() -> Result<Args> {
    let mut args = Args { only: None, python: "python3".into(), json: None };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let mut value = || given.next().with_context(|| format!("{name} needs a value"));
        match name.as_str() {
            "--only" => args.only = Some(value()?),
            "--python" => args.python = value()?,
            "--json" => args.json = Some(value()?.into()),
            _ => bail!("usage: compare [--only BUILDER] [--python PYTHON] [--json FILE]"),
        }
    }
    Ok(args)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    let args = args()?;
    let folder = project_root().join("tests/compare");
    let read = |name: &str| -> Result<Value> {
        let text = std::fs::read_to_string(folder.join(name)).with_context(|| name.to_string())?;
        serde_json::from_str(&text).with_context(|| name.to_string())
    };
    let scenario = read("scenario.json")?;
    let expected = read("expected.json")?;
    let ours = peer::Peer::lunabot(&folder, &args.python).await?;
    let left = record::run(&ours, &scenario, args.only.as_deref()).await.context("Lunabot")?;
    drop(ours);
    let theirs = peer::Peer::buildbot(&folder, &args.python).await?;
    let right = record::run(&theirs, &scenario, args.only.as_deref()).await.context("Buildbot")?;
    drop(theirs);
    if let Some(file) = args.json {
        let both = serde_json::json!({"buildbot": right, "lunabot": left});
        std::fs::write(file, serde_json::to_string_pretty(&both)?)?;
    }
    let found = diff::differences(&right, &left);
    let unexpected = diff::report(&found, &expected);
    Ok(if unexpected == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
