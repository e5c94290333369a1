//! `lunabot test`: the tests of a configuration (lua-api § 6).

use crate::basedir::{BaseDir, CONFIG_NAME};
use crate::cli::Test;
use crate::simulation::{Outcome, Place, Runner};
use crate::ui;
use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// How names of files of tests end.
const ENDING: &str = "_test.lua";
/// A folder that is looked through too.
const FOLDER: &str = "tests";
/// There is nothing to run, as for a command line that cannot be read.
const MISUSE: u8 = 2;

pub fn run(args: &Test) -> Result<ExitCode> {
    let places = match places(args) {
        Ok(places) => places,
        Err(error) => {
            ui::err(&format!("lunabot: {error:#}"));
            return Ok(ExitCode::from(MISUSE));
        }
    };
    let runner = Runner { filter: args.filter.clone(), timeout: Duration::from_secs(args.timeout) };
    let mut tally = Tally::default();
    for place in &places {
        if places.len() > 1 && !args.quiet.quiet {
            ui::out(&format!("{}:", place.test_file.display()));
        }
        runner.run(place, |outcome| tally.tell(&outcome, args.quiet.quiet))?;
    }
    Ok(tally.end(args))
}

/// How many tests there were.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
}

impl Tally {
    fn tell(&mut self, outcome: &Outcome, quiet: bool) {
        if outcome.failure.is_empty() {
            self.passed += 1;
            if !quiet {
                ui::out(&format!("ok {}", outcome.name));
                outcome.warnings.iter().for_each(|line| ui::out(&format!("  warning: {line}")));
            }
            return;
        }
        self.failed += 1;
        ui::out(&format!("FAILED {} ({})", outcome.name, outcome.at));
        outcome.failure.iter().for_each(|line| ui::out(&format!("  {line}")));
    }

    fn end(&self, args: &Test) -> ExitCode {
        let Tally { passed, failed } = self;
        if passed + failed == 0 {
            let text = match &args.filter {
                Some(filter) => format!("no test has \"{filter}\" in its name"),
                None => "the files declare no tests; write t.test(\"name\", function(m) … end)".into(),
            };
            ui::err(&format!("lunabot: {text}"));
            return ExitCode::from(MISUSE);
        }
        if !args.quiet.quiet || *failed > 0 {
            ui::out(&format!("{passed} passed, {failed} failed"));
        }
        super::exit(*failed == 0)
    }
}

/// What is to be run, in the order of the command line.
fn places(args: &Test) -> Result<Vec<Place>> {
    let mut files = Vec::new();
    for place in &args.places {
        if place.is_dir() {
            let found = in_folder(place)?;
            if found.is_empty() {
                bail!(
                    "{} holds no files NAME{ENDING}; how they are written: docs/testing.md",
                    place.display()
                );
            }
            files.extend(found);
        } else if place.is_file() {
            files.push(place.clone());
        } else {
            bail!("{} is neither a file of tests nor a folder", place.display());
        }
    }
    files.iter().map(|file| place_of(file, args.config.as_deref())).collect()
}

fn in_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in [folder.to_owned(), folder.join(FOLDER)].iter().filter(|folder| folder.is_dir()) {
        let entries =
            std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
        for entry in entries {
            let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.ends_with(ENDING) && path.is_file() {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The configuration that a file of tests is about.
fn place_of(file: &Path, config: Option<&Path>) -> Result<Place> {
    let test_file = file.canonicalize().with_context(|| format!("cannot read {}", file.display()))?;
    let above =
        || test_file.ancestors().skip(1).map(|folder| folder.join(CONFIG_NAME)).find(|path| path.is_file());
    let Some(config) = config.map(Path::to_owned).or_else(above) else {
        bail!(
            "there is no {CONFIG_NAME} beside {} or in a folder above it; name the configuration: --config FILE",
            file.display()
        );
    };
    let folder = config.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(Place { base: BaseDir::existing(folder, Some(&config))?, test_file })
}
