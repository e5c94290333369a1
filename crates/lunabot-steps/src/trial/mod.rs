//! `steps.Trial` (06.054).

mod command;
mod report;

use crate::common::{no_command, run_observed, step_kind};
use async_trait::async_trait;
use command::Tests;
use lunabot_engine::step::{
    HasShell, Logfile, OwnChecks, Results, ShellOptions, Step, StepContext, StepDefaults, StepError,
    StepKind, given, read,
};
use lunabot_engine::step_params;
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::{Json, Problem, Renderable, StringOrList};
use report::Report;
use std::collections::BTreeMap;

/// The most jobs, each of which has three logs.
const MAX_JOBS: i64 = 256;

step_params! {
    /// Runs Twisted's trial.
    pub struct TrialParams: shell {
        /// `--reactor`.
        pub reactor: Option<Renderable<Option<String>>>,
        /// The interpreter, with its options as further items.
        pub python: Option<Renderable<StringOrList>>,
        /// The program. Default `trial`.
        #[schemars(extend("default" = "trial"))]
        pub trial: Option<Renderable<String>>,
        /// Put in front of `PYTHONPATH`; required, `util.null`: nothing is.
        #[serde(deserialize_with = "lunabot_engine::step::present", default)]
        pub testpath: Option<Renderable<Option<String>>>,
        /// What is tested: a text or a list.
        pub tests: Option<Renderable<StringOrList>>,
        /// In its place: the tests of the Python files that the build's changes touch.
        #[serde(rename = "testChanges")]
        pub test_changes: Option<Renderable<bool>>,
        /// `--recurse`.
        pub recurse: Option<Renderable<bool>>,
        /// `--random=0`.
        pub randomly: Option<Renderable<bool>>,
        /// Options of the program that say how it reports. Default `--reporter=bwverbose`.
        #[schemars(extend("default" = "--reporter=bwverbose"))]
        #[serde(rename = "trialMode")]
        pub trial_mode: Option<Renderable<StringOrList>>,
        /// Further options.
        #[serde(rename = "trialArgs")]
        pub trial_args: Option<Renderable<StringOrList>>,
        /// `--jobs`; each job has logs of its own.
        pub jobs: Option<Renderable<Option<i64>>>,
    }
}

impl OwnChecks for TrialParams {
    fn problems(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = no_command(&self.command).into_iter().collect();
        if self.testpath.is_none() {
            problems.push(Problem::new("", "testpath is missing; util.null leaves PYTHONPATH as it is"));
        }
        if self.tests.is_none() && self.test_changes.is_none() {
            problems.push(Problem::new("", "one of tests and testChanges must be given"));
        }
        let words = given(&self.python).unwrap_or_default().0.into_iter().map(|word| ("python", word));
        for (option, word) in words.chain(given(&self.trial).map(|word| ("trial", word))) {
            if word.contains(' ') {
                let message =
                    format!("{word:?} has a blank; write a list, such as {{\"python\", \"-Wall\"}}");
                problems.push(Problem::new(option, message));
            }
        }
        if given(&self.jobs).flatten().is_some_and(|jobs| !(1..=MAX_JOBS).contains(&jobs)) {
            problems.push(Problem::new("jobs", format!("expected a number from 1 to {MAX_JOBS}")));
        }
        problems
    }
}

/// Declares the step.
pub static TRIAL: StepKind = StepKind {
    kind: step_kind(
        "Trial",
        &[
            "reactor",
            "python",
            "trial",
            "testpath",
            "tests",
            "testChanges",
            "recurse",
            "randomly",
            "trialMode",
            "trialArgs",
            "jobs",
        ],
        "Runs Twisted's trial and reads its report: how many tests passed, failed or were skipped; what it prints of \
         failures is the log `problems`.",
        schema_of::<TrialParams>,
        check_as::<TrialParams>,
    ),
    defaults: StepDefaults::named("trial").described("testing", "tests"),
    build: |rendered| {
        let params: TrialParams = read(rendered)?;
        let mut options = params.shell()?;
        let jobs = given(&params.jobs).flatten();
        if options.logfiles.is_empty() || jobs.is_some() {
            options.logfiles = logfiles(jobs);
        }
        if let Some(path) = given(&params.testpath).flatten() {
            add_python_path(&mut options.env, &path);
        }
        let reactor = given(&params.reactor).flatten().filter(|reactor| !reactor.is_empty());
        let described = params.description.is_some();
        Ok(Box::new(Trial { options, tests: Tests::of(&params), reactor, described, said: None }))
    },
};

/// Logs of the program, one set for each job.
fn logfiles(jobs: Option<i64>) -> BTreeMap<String, Logfile> {
    let Some(jobs) = jobs else {
        return BTreeMap::from([("test.log".into(), Logfile::Path("_trial_temp/test.log".into()))]);
    };
    let files = |job: i64| {
        ["test", "err", "out"]
            .map(|log| (format!("{log}.{job}.log"), Logfile::Path(format!("_trial_temp/{job}/{log}.log"))))
    };
    (0..jobs).flat_map(files).collect()
}

fn add_python_path(env: &mut BTreeMap<String, Json>, path: &str) {
    let mut paths = match env.remove("PYTHONPATH") {
        None | Some(Json::Null) => Vec::new(),
        Some(Json::Array(paths)) => paths,
        Some(one) => vec![one],
    };
    if !paths.iter().any(|known| known == path) {
        paths.insert(0, path.into());
    }
    env.insert("PYTHONPATH".into(), paths.into());
}

struct Trial {
    options: ShellOptions,
    tests: Tests,
    reactor: Option<String>,
    /// `description` was given.
    described: bool,
    said: Option<String>,
}

#[async_trait]
impl Step for Trial {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        if let Some(reactor) = self.reactor.as_ref().filter(|_| !self.described) {
            cx.set_summary(&format!("testing ({reactor})"));
        }
        self.options.command = Some(self.tests.command(self.reactor.as_deref(), cx.build()));
        let (command, report) = run_observed(cx, &self.options, Report::default()).await?;
        report.problems.add_log(cx, "problems").await?;
        if !report.warnings.is_empty() {
            let lines: Vec<&str> = report.warnings.iter().map(String::as_str).collect();
            cx.add_complete_log("warnings", &lines.join("\n")).await?;
        }
        if command.interrupted {
            return Ok(Results::Cancelled);
        }
        let (results, said) = report.verdict(command.did_fail(), self.reactor.as_deref());
        self.said = Some(said);
        Ok(results)
    }

    fn description_done(&self, _: Option<&str>) -> Option<String> {
        self.said.clone()
    }
}
