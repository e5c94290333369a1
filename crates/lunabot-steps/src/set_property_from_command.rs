//! `steps.SetPropertyFromCommand` (06.009, 06.010).

use crate::common::{DO_STEP_IF, HIDE_STEP_IF, python_text, step_kind};
use async_trait::async_trait;
use lunabot_engine::command::FinishedCommand;
use lunabot_engine::step::{
    CommandLine, CommandOutput, HasShell, LOG_ENCODING, OwnChecks, Results, ShellOptions, Step, StepContext,
    StepDefaults, StepError, StepKind, given, read,
};
use lunabot_engine::step_params;
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::kinds::locks::LOCKS;
use lunabot_model::{Arg, Callback, CallbackSpec, Json, Kind, Problem, Renderable};
use serde_json::Map;

/// Where the properties say they come from.
const SOURCE: &str = "SetPropertyFromCommand Step";

step_params! {
    /// Runs a program and makes properties of its output.
    pub struct SetPropertyFromCommandParams: shell {
        /// The property that takes the program's standard output.
        pub property: Option<Renderable<String>>,
        /// `function(rc, stdout, stderr)` that returns a table of properties; in place of `property`.
        pub extract_fn: Option<Callback>,
        /// Leave out blanks and line breaks around the output. Default true.
        #[schemars(extend("default" = true))]
        pub strip: Option<Renderable<bool>>,
        /// Use standard output. Default true.
        #[schemars(extend("default" = true))]
        #[serde(rename = "includeStdout")]
        pub include_stdout: Option<Renderable<bool>>,
        /// Give standard error to `extract_fn`, which gets it anyway; not together with `property`.
        #[serde(rename = "includeStderr")]
        pub include_stderr: Option<Renderable<bool>>,
    }
}

impl OwnChecks for SetPropertyFromCommandParams {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.property.is_some() == self.extract_fn.is_some() {
            problems.push(Problem::new("", "exactly one of property and extract_fn must be given"));
        }
        if self.command.is_none() {
            problems.push(Problem::new("", "command is missing"));
        }
        if self.property.is_some() && given(&self.include_stderr) == Some(true) {
            let message = "a property takes standard output only; use extract_fn for standard error";
            problems.push(Problem::new("includeStderr", message));
        }
        problems
    }
}

/// Declares the step.
pub static SET_PROPERTY_FROM_COMMAND: StepKind = StepKind {
    kind: Kind {
        callbacks: &[
            DO_STEP_IF,
            HIDE_STEP_IF,
            LOG_ENCODING,
            LOCKS,
            CallbackSpec {
                option: "extract_fn",
                args: "rc, stdout, stderr",
                returns: "a table of properties",
                on_error: "EXCEPTION of the step",
            },
        ],
        ..step_kind(
            "SetPropertyFromCommand",
            &["property", "extract_fn", "strip", "includeStdout", "includeStderr"],
            "Runs a program and sets a property to what it prints, or several to what a function makes of it.",
            schema_of::<SetPropertyFromCommandParams>,
            check_as::<SetPropertyFromCommandParams>,
        )
    },
    defaults: StepDefaults::named("setproperty"),
    build,
};

struct SetPropertyFromCommand {
    options: ShellOptions,
    property: Option<String>,
    extract_fn: Option<Callback>,
    strip: bool,
    include_stdout: bool,
    described: bool,
    /// Names of the properties that were set.
    set: Vec<String>,
}

fn build(rendered: &Json) -> Result<Box<dyn Step>, StepError> {
    let params: SetPropertyFromCommandParams = read(rendered)?;
    Ok(Box::new(SetPropertyFromCommand {
        options: params.shell()?,
        property: given(&params.property),
        extract_fn: params.extract_fn.clone(),
        strip: given(&params.strip).unwrap_or(true),
        include_stdout: given(&params.include_stdout).unwrap_or(true),
        described: params.description_done.is_some(),
        set: Vec::new(),
    }))
}

#[async_trait]
impl Step for SetPropertyFromCommand {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        let output = CommandOutput { collect_stdout: true, collect_stderr: true, ..CommandOutput::default() };
        let command = cx.make_remote_shell_command(&self.options, output).await?;
        let command = cx.run_command(command).await?;
        let results = command.results();
        if matches!(results, Results::Failure | Results::Cancelled) {
            return Ok(results);
        }
        let properties = self.properties(&command, cx).await?;
        for (name, value) in &properties {
            cx.set_property(name, value.clone(), SOURCE);
            self.set.push(name.clone());
        }
        let mut lines: Vec<String> =
            properties.iter().map(|(name, value)| format!("{name}: {}", shown(value))).collect();
        lines.sort();
        cx.add_complete_log("property changes", &lines.join("\n")).await?;
        Ok(results)
    }

    fn result_summary(&self, _: Results) -> Option<String> {
        self.options.command.as_ref().filter(|_| !self.described).map(CommandLine::summary)
    }

    fn description_done(&self, _: Option<&str>) -> Option<String> {
        match &self.set[..] {
            [] => None,
            [one] => Some(format!("property '{one}' set")),
            several => Some(format!("{} properties set", several.len())),
        }
    }
}

impl SetPropertyFromCommand {
    /// What the output makes of properties.
    async fn properties(
        &self,
        command: &FinishedCommand,
        cx: &StepContext,
    ) -> Result<Map<String, Json>, StepError> {
        let stdout = if self.include_stdout { command.stdout.as_str() } else { "" };
        if let Some(name) = &self.property {
            let value = if self.strip { stdout.trim() } else { stdout };
            return Ok(Map::from_iter([(name.clone(), Json::from(value))]));
        }
        let Some(extract_fn) = &self.extract_fn else { return Ok(Map::new()) };
        let args = [Json::from(command.rc), Json::from(stdout), Json::from(command.stderr.as_str())];
        match cx.call(extract_fn, "extract_fn", args.into_iter().map(Arg::Value).collect()).await? {
            Json::Object(properties) => Ok(properties),
            Json::Array(empty) if empty.is_empty() => Ok(Map::new()),
            other => {
                let got = cx.shown(&other);
                let text = format!("extract_fn returned {got}; return a table of properties, {{}} for none");
                Err(cx.nonsense(extract_fn, "extract_fn", text))
            }
        }
    }
}

/// A value in the log `property changes`: texts in quotes, as Buildbot shows them.
fn shown(value: &Json) -> String {
    match value {
        Json::String(text) => python_text(text),
        other => other.to_string(),
    }
}
