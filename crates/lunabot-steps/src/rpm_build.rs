//! `steps.RpmBuild` (06.057).

use crate::common::{no_command, run_observed, step_kind};
use crate::kept::Kept;
use async_trait::async_trait;
use lunabot_engine::step::{
    Channel, CommandLine, HasShell, LineObserver, OwnChecks, Results, ShellOptions, Step, StepContext,
    StepDefaults, StepError, StepKind, given, read,
};
use lunabot_engine::step_params;
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::{Json, Problem, Renderable};
use std::collections::BTreeMap;

step_params! {
    /// Builds RPM packages.
    pub struct RpmBuildParams: shell {
        /// The `.spec` file.
        pub specfile: Renderable<String>,
        /// `_topdir`. This and the next five: default `` `pwd` ``.
        pub topdir: Option<Renderable<String>>,
        /// `_builddir`.
        pub builddir: Option<Renderable<String>>,
        /// `_rpmdir`.
        pub rpmdir: Option<Renderable<String>>,
        /// `_sourcedir`.
        pub sourcedir: Option<Renderable<String>>,
        /// `_specdir`.
        pub specdir: Option<Renderable<String>>,
        /// `_srcrpmdir`.
        pub srcrpmdir: Option<Renderable<String>>,
        /// `dist`. Default `.el6`.
        #[schemars(extend("default" = ".el6"))]
        pub dist: Option<Renderable<String>>,
        /// Further definitions.
        pub define: Option<Renderable<BTreeMap<String, Json>>>,
        /// Not supported: counted in a file beside the master.
        #[serde(rename = "autoRelease")]
        pub auto_release: Option<bool>,
        /// Define `_revision` as the property `got_revision`.
        #[serde(rename = "vcsRevision")]
        pub vcs_revision: Option<Renderable<bool>>,
    }
}

impl OwnChecks for RpmBuildParams {
    fn problems(&self) -> Vec<Problem> {
        let release = (self.auto_release == Some(true)).then(|| {
            let message = "not supported; define = {_release = util.Property \"buildnumber\"} counts too";
            Problem::new("autoRelease", message)
        });
        let empty = self.specfile.literal().filter(String::is_empty);
        let empty = empty.map(|_| Problem::new("specfile", "must not be empty"));
        no_command(&self.command).into_iter().chain(release).chain(empty).collect()
    }
}

/// Declares the step.
pub static RPM_BUILD: StepKind = StepKind {
    kind: step_kind(
        "RpmBuild",
        &[
            "specfile",
            "topdir",
            "builddir",
            "rpmdir",
            "sourcedir",
            "specdir",
            "srcrpmdir",
            "dist",
            "define",
            "autoRelease",
            "vcsRevision",
        ],
        "Builds source and binary RPM packages with `rpmbuild -ba`; what it did and what went wrong are logs.",
        schema_of::<RpmBuildParams>,
        check_as::<RpmBuildParams>,
    ),
    defaults: StepDefaults::named("rpmbuilder").halting().described("RPMBUILD", "RPMBUILD"),
    build: |rendered| {
        let params: RpmBuildParams = read(rendered)?;
        Ok(Box::new(RpmBuild { options: params.shell()?, params }))
    },
};

struct RpmBuild {
    options: ShellOptions,
    params: RpmBuildParams,
}

/// The command, a text for the shell: the defaults of the folders are commands of it.
fn command(params: &RpmBuildParams, revision: Option<String>) -> String {
    let folders = [
        ("_topdir", &params.topdir),
        ("_builddir", &params.builddir),
        ("_rpmdir", &params.rpmdir),
        ("_sourcedir", &params.sourcedir),
        ("_specdir", &params.specdir),
        ("_srcrpmdir", &params.srcrpmdir),
    ];
    let here = |option| given(option).unwrap_or_else(|| "`pwd`".to_string());
    let folders = folders.into_iter().map(|(name, option)| (name.to_string(), here(option)));
    let own = given(&params.define).unwrap_or_default().into_iter().map(|(name, value)| match value {
        Json::String(text) => (name, text),
        other => (name, other.to_string()),
    });
    let revision = revision.map(|revision| ("_revision".to_string(), revision));
    let dist = ("dist".to_string(), given(&params.dist).unwrap_or_else(|| ".el6".into()));
    let all = folders.chain(own).chain(revision).chain([dist]);
    let defines: String = all.map(|(name, value)| format!(" --define \"{name} {value}\"")).collect();
    format!("rpmbuild{defines} -ba {}", params.specfile.literal().unwrap_or_default())
}

/// What the program said.
#[derive(Debug, Default)]
struct Seen {
    done: Kept,
    errors: Kept,
}

const DONE: [&str; 8] = [
    "Provides:",
    "Requires(",
    "Requires:",
    "Checking for unpackaged",
    "Wrote:",
    "Executing(%",
    "+ ",
    "Processing files:",
];
const ERRORS: [&str; 3] = ["   ", "RPM build errors:", "error: "];

impl LineObserver for Seen {
    fn line(&mut self, _: Channel, line: &str) {
        if DONE.iter().any(|begin| line.starts_with(begin)) {
            self.done.add(line);
        }
        if ERRORS.iter().any(|begin| line.starts_with(begin)) {
            self.errors.add(line);
        }
    }
}

#[async_trait]
impl Step for RpmBuild {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        let wanted = given(&self.params.vcs_revision) == Some(true);
        let revision = cx.get_property("got_revision").filter(|_| wanted);
        let revision = revision.and_then(|value| value.as_str().map(str::to_string));
        self.options.command = Some(CommandLine::Text(command(&self.params, revision)));
        let (command, seen) = run_observed(cx, &self.options, Seen::default()).await?;
        seen.done.add_log_anyway(cx, "RPM Command Log").await?;
        seen.errors.add_log(cx, "RPM Errors").await?;
        Ok(command.results())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn row_06_057_the_command_of_rpm_build() {
        let params = |args| serde_json::from_value::<RpmBuildParams>(args).unwrap();
        let folders = |dir: &str| {
            ["topdir", "builddir", "rpmdir", "sourcedir", "specdir", "srcrpmdir"]
                .map(|name| format!(" --define \"_{name} {dir}\""))
                .concat()
        };
        let plain = command(&params(json!({"specfile": "foo.spec"})), None);
        assert_eq!(plain, format!("rpmbuild{} --define \"dist .el6\" -ba foo.spec", folders("`pwd`")));
        let own = params(json!({"specfile": "f.spec", "dist": ".el9", "define": {"a": 1, "b": "x"}}));
        let own = command(&own, Some("abc".into()));
        let want =
            "--define \"a 1\" --define \"b x\" --define \"_revision abc\" --define \"dist .el9\" -ba f.spec";
        assert!(own.ends_with(want), "{own}");
    }
}
