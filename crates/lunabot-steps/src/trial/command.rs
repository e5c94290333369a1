//! The command line of trial.

use super::TrialParams;
use crate::common::command_of;
use lunabot_engine::step::{BuildInfo, CommandLine, given};
use std::collections::BTreeSet;

/// What is to be tested and how.
#[derive(Debug)]
pub struct Tests {
    /// The words before `--reactor`.
    program: Vec<String>,
    recurse: bool,
    randomly: bool,
    args: Vec<String>,
    jobs: Option<i64>,
    /// `None`: what the build's changes touch.
    tests: Option<Vec<String>>,
}

impl Tests {
    pub fn of(params: &TrialParams) -> Self {
        let list = |option| given::<lunabot_model::StringOrList>(option).map(|list| list.0);
        let mut program = list(&params.python).unwrap_or_default();
        program
            .push(given(&params.trial).filter(|trial| !trial.is_empty()).unwrap_or_else(|| "trial".into()));
        program.extend(list(&params.trial_mode).unwrap_or_else(|| vec!["--reporter=bwverbose".into()]));
        let of_changes = given(&params.test_changes) == Some(true);
        Tests {
            program,
            recurse: given(&params.recurse) == Some(true),
            randomly: given(&params.randomly) == Some(true),
            args: list(&params.trial_args).unwrap_or_default(),
            jobs: given(&params.jobs).flatten(),
            tests: (!of_changes).then(|| list(&params.tests).unwrap_or_default()),
        }
    }

    pub fn command(&self, reactor: Option<&str>, build: &BuildInfo) -> CommandLine {
        let mut words = self.program.clone();
        words.extend(self.recurse.then(|| "--recurse".to_string()));
        words.extend(reactor.map(|reactor| format!("--reactor={reactor}")));
        words.extend(self.randomly.then(|| "--random=0".to_string()));
        words.extend(self.args.iter().cloned());
        words.extend(self.jobs.map(|jobs| format!("--jobs={jobs}")));
        match &self.tests {
            Some(tests) => words.extend(tests.iter().cloned()),
            None => words.extend(touched(build).into_iter().map(|file| format!("--testmodule={file}"))),
        }
        command_of(words)
    }
}

/// The Python files that the build's changes touch.
fn touched(build: &BuildInfo) -> BTreeSet<&str> {
    let files = build.changes.iter().flat_map(|change| &change.files);
    files.map(String::as_str).filter(|file| file.ends_with(".py")).collect()
}
