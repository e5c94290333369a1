//! `lunabot checkconfig`: every mistake of a configuration, without starting anything (16.007).
//!
//! It is loaded a second time with tables walked the other way round: what differs then depends on an order that Lua does
//! not promise, and is warned of.

use crate::basedir::BaseDir;
use crate::cli::Checkconfig;
use crate::clock::SystemClock;
use crate::reload::diff::{Item, Plan, Verdict, name_of};
use crate::reload::generation::{Generation, Loader};
use crate::ui;
use anyhow::{Context as _, Result};
use lunabot_lua::{LoadFailure, Records};
use lunabot_model::config::Config;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

pub fn run(args: &Checkconfig) -> Result<ExitCode> {
    let base = find(&args.place)?;
    let loader = Loader::new(base, Arc::new(SystemClock::new()), Arc::new(Records::default()));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let (loaded, reversed, missing) = runtime.block_on(async {
        let loaded = loader.check(false).await;
        let reversed = if loaded.is_ok() { loader.check(true).await.ok() } else { None };
        let missing = match &loaded {
            Ok(generation) => loader.placed(generation.missing_secrets().await),
            Err(_) => Vec::new(),
        };
        (loaded, reversed, missing)
    });
    match loaded {
        Err(failure) => {
            report(&failure);
            Ok(ExitCode::FAILURE)
        }
        Ok(generation) => {
            generation.warnings.iter().for_each(|warning| ui::err(&format!("warning: {warning}")));
            // Here they may be unknown, where the master runs they must not.
            let refused = "a master would not take this configuration up";
            missing.iter().for_each(|secret| ui::err(&format!("warning: {secret}; {refused}")));
            reversed.iter().for_each(|reversed| warn_of_order(&generation, reversed));
            if !args.quiet.quiet {
                ui::out("Config file is good!");
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// A file is a configuration, a folder holds one.
fn find(place: &Path) -> Result<BaseDir> {
    if place.is_file() {
        let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        return BaseDir::existing(folder, Some(place));
    }
    BaseDir::existing(place, None)
}

fn report(failure: &LoadFailure) {
    ui::err("Configuration Errors:");
    failure.errors.iter().for_each(|error| ui::err(&format!("  {error}")));
}

fn warn_of_order(straight: &Generation, reversed: &Generation) {
    for item in Plan::between(straight.config(), reversed.config()).items {
        let what = match &item.verdict {
            Verdict::Stay => continue,
            Verdict::Change(options) if !options.is_empty() => format!(": {}", options.join(", ")),
            Verdict::Change(_) | Verdict::Start | Verdict::Stop => String::new(),
        };
        let place = place_of(straight.config(), &item).map_or(String::new(), |at| format!("{at}: "));
        ui::err(&format!(
            "warning: {place}{} {}{what} depends on the order of `pairs`",
            item.what, item.name
        ));
    }
}

/// Where it was declared: `master.lua:12`.
fn place_of<'a>(config: &'a Config, item: &Item) -> Option<&'a str> {
    if item.what == "builder" {
        let builder = config.builders.iter().find(|builder| builder.config.name == item.name);
        return builder.map(|builder| builder.at.as_str());
    }
    let objects = match item.what {
        "project" => &config.projects,
        "codebase" => &config.codebases,
        "worker" => &config.workers,
        "scheduler" => &config.schedulers,
        "change source" => &config.change_sources,
        "service" => &config.services,
        _ => return None,
    };
    objects.iter().find(|object| name_of(object) == item.name).map(|object| object.at.as_str())
}
