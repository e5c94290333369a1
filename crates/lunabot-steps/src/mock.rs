//! `steps.Mock`, `steps.MockBuildSRPM`, `steps.MockRebuild` (06.057).

use crate::common::{command_of, no_command, step_kind};
use async_trait::async_trait;
use lunabot_engine::step::{
    Channel, CommandLine, CommandOutput, HasBase, HasShell, LineObserver, Logfile, OwnChecks, Results,
    ShellOptions, Step, StepContext, StepDefaults, StepError, StepKind, given, read,
};
use lunabot_engine::step_params;
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::{Json, Problem, Renderable};
use regex::Regex;
use std::sync::LazyLock;

/// What mock writes beside its results.
const LOGS: [&str; 3] = ["build.log", "root.log", "state.log"];

step_params! {
    /// Runs mock.
    pub struct MockParams: shell {
        /// The configuration of the chroot.
        pub root: Renderable<String>,
        /// The folder of the results.
        pub resultdir: Option<Renderable<Option<String>>>,
    }
}

step_params! {
    /// Builds a source package in a mock chroot.
    pub struct MockBuildSrpmParams: shell {
        /// The configuration of the chroot.
        pub root: Renderable<String>,
        /// The folder of the results.
        pub resultdir: Option<Renderable<Option<String>>>,
        /// The `.spec` file.
        pub spec: Renderable<String>,
        /// The folder of the sources. Default `.`.
        #[schemars(extend("default" = "."))]
        pub sources: Option<Renderable<String>>,
    }
}

step_params! {
    /// Rebuilds a source package in a mock chroot.
    pub struct MockRebuildParams: shell {
        /// The configuration of the chroot.
        pub root: Renderable<String>,
        /// The folder of the results.
        pub resultdir: Option<Renderable<Option<String>>>,
        /// The source package.
        pub srpm: Renderable<String>,
    }
}

fn filled<C>(command: &Option<C>, required: &[(&str, &Renderable<String>)]) -> Vec<Problem> {
    let empty = required.iter().filter(|(_, option)| option.literal().is_some_and(|text| text.is_empty()));
    let empty = empty.map(|(name, _)| Problem::new(*name, "must not be empty"));
    no_command(command).into_iter().chain(empty).collect()
}

impl OwnChecks for MockParams {
    fn problems(&self) -> Vec<Problem> {
        filled(&self.command, &[("root", &self.root)])
    }
}

impl OwnChecks for MockBuildSrpmParams {
    fn problems(&self) -> Vec<Problem> {
        filled(&self.command, &[("root", &self.root), ("spec", &self.spec)])
    }
}

impl OwnChecks for MockRebuildParams {
    fn problems(&self) -> Vec<Problem> {
        filled(&self.command, &[("root", &self.root), ("srpm", &self.srpm)])
    }
}

/// Declares the step.
pub static MOCK: StepKind = StepKind {
    kind: step_kind(
        "Mock",
        &["root", "resultdir"],
        "Runs mock; its logs are logs of the step, and while it runs the step says what mock is at.",
        schema_of::<MockParams>,
        check_as::<MockParams>,
    ),
    defaults: StepDefaults::named("mock").halting(),
    build: |rendered| {
        let params: MockParams = read(rendered)?;
        Ok(Box::new(Mock::new(&params, &params.root, &params.resultdir, "running", Vec::new())?))
    },
};

/// Declares the step.
pub static MOCK_BUILD_SRPM: StepKind = StepKind {
    kind: step_kind(
        "MockBuildSRPM",
        &["spec", "sources"],
        "Builds a source package in a mock chroot; the property `srpm` is its name.",
        schema_of::<MockBuildSrpmParams>,
        check_as::<MockBuildSrpmParams>,
    ),
    defaults: StepDefaults::named("mockbuildsrpm").halting().described("mock buildsrpm", "mock buildsrpm"),
    build: build_srpm,
};

fn build_srpm(rendered: &Json) -> Result<Box<dyn Step>, StepError> {
    let params: MockBuildSrpmParams = read(rendered)?;
    let sources = given(&params.sources).filter(|dir| !dir.is_empty()).unwrap_or_else(|| ".".into());
    let spec = params.spec.literal().unwrap_or_default();
    let words = ["--buildsrpm".into(), "--spec".into(), spec, "--sources".into(), sources];
    let mock = Mock::new(&params, &params.root, &params.resultdir, "mock buildsrpm", words.into())?;
    Ok(Box::new(Mock { described: true, srpm: true, ..mock }))
}

/// Declares the step.
pub static MOCK_REBUILD: StepKind = StepKind {
    kind: step_kind(
        "MockRebuild",
        &["srpm"],
        "Rebuilds a source package in a mock chroot.",
        schema_of::<MockRebuildParams>,
        check_as::<MockRebuildParams>,
    ),
    defaults: StepDefaults::named("mock").halting().described("mock rebuilding srpm", "mock rebuild srpm"),
    build: |rendered| {
        let params: MockRebuildParams = read(rendered)?;
        let words = vec!["--rebuild".into(), params.srpm.literal().unwrap_or_default()];
        let mock = Mock::new(&params, &params.root, &params.resultdir, "mock rebuilding srpm", words)?;
        Ok(Box::new(Mock { described: true, ..mock }))
    },
};

struct Mock {
    options: ShellOptions,
    /// Where its logs are, below the workdir.
    logs: Vec<String>,
    description: String,
    /// The class or the configuration says what was done.
    described: bool,
    /// Look for the name of the source package.
    srpm: bool,
}

impl Mock {
    fn new<P: HasShell + HasBase>(
        params: &P,
        root: &Renderable<String>,
        resultdir: &Option<Renderable<Option<String>>>,
        description: &str,
        more: Vec<String>,
    ) -> Result<Self, StepError> {
        let mut words = vec!["mock".into(), "--root".into(), root.literal().unwrap_or_default()];
        let resultdir = given(resultdir).flatten().filter(|dir| !dir.is_empty());
        if let Some(dir) = &resultdir {
            words.extend(["--resultdir".into(), dir.clone()]);
        }
        words.extend(more);
        let path = |log: &str| resultdir.as_ref().map_or(log.to_string(), |dir| format!("{dir}/{log}"));
        let logs: Vec<String> = LOGS.iter().map(|log| path(log)).collect();
        let mut options = params.shell()?;
        options.command = Some(command_of(words));
        let files = LOGS.iter().zip(&logs);
        options.logfiles.extend(files.map(|(name, path)| ((*name).into(), Logfile::Path(path.clone()))));
        let base = params.base();
        let own = given(&base.description).map(|words| words.0.join(" "));
        Ok(Mock {
            options,
            logs,
            description: own.unwrap_or_else(|| description.into()),
            described: base.description_done.is_some(),
            srpm: false,
        })
    }
}

#[async_trait]
impl Step for Mock {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        let workdir = self.options.workdir.as_deref().unwrap_or_else(|| cx.workdir());
        for log in &self.logs {
            cx.run_rmdir(&cx.join_path(&[workdir, log]), None).await?;
        }
        let state = State { cx: cx.clone(), description: self.description.clone() };
        cx.observe_lines("state.log", state).await;
        if self.srpm {
            cx.observe_lines("stdio", Wrote(cx.clone())).await;
        }
        let command = cx.make_remote_shell_command(&self.options, CommandOutput::default()).await?;
        Ok(cx.run_command(command).await?.results())
    }

    fn result_summary(&self, _: Results) -> Option<String> {
        self.options.command.as_ref().filter(|_| !self.described).map(CommandLine::summary)
    }
}

/// Reads `state.log`: what mock is at is said behind the description.
struct State {
    cx: StepContext,
    description: String,
}

static STATE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("(Start|Finish): (.*)$").expect("a constant pattern"));

impl LineObserver for State {
    fn line(&mut self, _: Channel, line: &str) {
        let Some(found) = STATE.captures(line.trim()) else { return };
        match &found[1] {
            "Start" => self.cx.set_summary(&format!("{} [{}]", self.description, &found[2])),
            _ => self.cx.set_summary(&self.description),
        }
    }
}

/// Finds the source package.
struct Wrote(StepContext);

static WROTE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"Wrote: .*/([^/]*\.src\.rpm)").expect("a constant pattern"));

impl LineObserver for Wrote {
    fn line(&mut self, _: Channel, line: &str) {
        if let Some(found) = WROTE.captures(line) {
            self.0.set_property("srpm", found[1].into(), "MockBuildSRPM");
        }
    }
}
