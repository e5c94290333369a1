//! `steps.MakeDirectory`, `steps.RemoveDirectory`, `steps.CopyDirectory` (06.038).

use crate::common::{step_kind, text};
use crate::transfer::run;
use async_trait::async_trait;
use lunabot_engine::command::{Dict, RemoteCommand, names};
use lunabot_engine::step::{
    OwnChecks, Results, Step, StepContext, StepDefaults, StepError, StepKind, given, present, read,
};
use lunabot_engine::step_params;
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::{Duration, Json, Renderable, StringOrList};

/// Seconds without output after which a copy is given up, where the step does not say.
const COPY_TIMEOUT: f64 = 120.0;

step_params! {
    /// Makes a directory on the worker.
    pub struct MakeDirectoryParams {
        /// The directory, relative to the builder's folder: `"build/out"`. Its parents are made too.
        pub dir: Renderable<StringOrList>,
    }
}

impl OwnChecks for MakeDirectoryParams {}

/// Declares the step.
pub static MAKE_DIRECTORY: StepKind = StepKind {
    kind: step_kind(
        "MakeDirectory",
        &["dir"],
        "Makes a directory on the worker, or each of several; one that is there already is fine.",
        schema_of::<MakeDirectoryParams>,
        check_as::<MakeDirectoryParams>,
    ),
    defaults: StepDefaults::named("MakeDirectory").halting().described("Creating", "Created"),
    build: |rendered| {
        let params: MakeDirectoryParams = read(rendered)?;
        of_dirs(names::MKDIR, &params.dir, "Create failed.")
    },
};

step_params! {
    /// Removes a directory on the worker.
    pub struct RemoveDirectoryParams {
        /// The directory (or file), relative to the builder's folder: `"build/out"`; or a list of them.
        pub dir: Renderable<StringOrList>,
    }
}

impl OwnChecks for RemoveDirectoryParams {}

/// Declares the step.
pub static REMOVE_DIRECTORY: StepKind = StepKind {
    kind: step_kind(
        "RemoveDirectory",
        &["dir"],
        "Removes a directory on the worker with all that is in it, or each of several.",
        schema_of::<RemoveDirectoryParams>,
        check_as::<RemoveDirectoryParams>,
    ),
    defaults: StepDefaults::named("RemoveDirectory").halting().described("Deleting", "Deleted"),
    build: |rendered| {
        let params: RemoveDirectoryParams = read(rendered)?;
        of_dirs(names::RMDIR, &params.dir, "Delete failed.")
    },
};

step_params! {
    /// Copies a directory on the worker.
    pub struct CopyDirectoryParams {
        /// What is copied, relative to the builder's folder.
        pub src: Renderable<String>,
        /// What it becomes, relative to the builder's folder.
        pub dest: Renderable<String>,
        /// Seconds without output after which the copy is given up; `util.null`: never. Default 120.
        #[schemars(extend("default" = 120))]
        #[serde(default, deserialize_with = "present")]
        pub timeout: Option<Renderable<Option<Duration>>>,
        /// Seconds in all after which it is given up. Default: never.
        #[serde(rename = "maxTime")]
        pub max_time: Option<Renderable<Option<Duration>>>,
    }
}

impl OwnChecks for CopyDirectoryParams {}

/// Declares the step.
pub static COPY_DIRECTORY: StepKind = StepKind {
    kind: step_kind(
        "CopyDirectory",
        &["src", "dest", "timeout", "maxTime"],
        "Copies a directory on the worker with all that is in it.",
        schema_of::<CopyDirectoryParams>,
        check_as::<CopyDirectoryParams>,
    ),
    defaults: StepDefaults::named("CopyDirectory").halting().described("Copying", "Copied"),
    build: copy,
};

fn copy(rendered: &Json) -> Result<Box<dyn Step>, StepError> {
    let params: CopyDirectoryParams = read(rendered)?;
    let (src, dest) = (text("src", &params.src)?, text("dest", &params.dest)?);
    let timeout = match &params.timeout {
        None => Some(COPY_TIMEOUT),
        timeout => given(timeout).flatten().map(Duration::secs),
    };
    let args = Dict::new().with("fromdir", src.as_str()).with("todir", dest.as_str());
    let args =
        args.with("timeout", timeout).with("maxTime", given(&params.max_time).flatten().map(Duration::secs));
    let failed = format!("Copying {src} to {dest} failed.");
    Ok(Box::new(Commands {
        name: names::CPDIR,
        all: vec![args],
        failed,
        done: Some(format!("Copied {src} to {dest}")),
    }))
}

fn of_dirs(
    name: &'static str,
    dirs: &Renderable<StringOrList>,
    failed: &str,
) -> Result<Box<dyn Step>, StepError> {
    let unreadable = || StepError::Exception("dir: not a text or a list of texts".into());
    let dirs = dirs.literal().ok_or_else(unreadable)?.0;
    // One command for each: not every worker takes a list.
    let all = dirs.iter().map(|dir| Dict::new().with("dir", dir.as_str())).collect();
    Ok(Box::new(Commands { name, all, failed: failed.into(), done: None }))
}

/// A command about directories, once or more often; the first failure is the last.
struct Commands {
    name: &'static str,
    /// Its arguments, for each time.
    all: Vec<Dict>,
    failed: String,
    /// What is said of success, if it is more than the class says.
    done: Option<String>,
}

#[async_trait]
impl Step for Commands {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        cx.check_worker_has_command(self.name)?;
        for args in &self.all {
            let args = args.clone().with("logEnviron", false);
            let results = run(cx, RemoteCommand::new(self.name, args)).await?.results();
            if results != Results::Success {
                return Ok(results);
            }
        }
        Ok(Results::Success)
    }

    fn result_summary(&self, results: Results) -> Option<String> {
        match results {
            Results::Failure => Some(self.failed.clone()),
            Results::Success => self.done.clone(),
            _ => None,
        }
    }
}
