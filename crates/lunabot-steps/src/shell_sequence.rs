//! `steps.ShellSequence` (06.004).

use crate::common::{no_command, step_kind};
use async_trait::async_trait;
use lunabot_engine::step::{
    CommandLine, CommandOutput, HasShell, OwnChecks, Results, ShellOptions, Step, StepContext, StepDefaults,
    StepError, StepKind, given, read,
};
use lunabot_engine::step_params;
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::kinds::commands::{SELF, ShellArgParams};
use lunabot_model::results::{ResultFlags, combine};
use lunabot_model::{AnyObject, FromLua, Json, Problem, Renderable, render, spliced};

step_params! {
    /// Runs several programs, one after the other.
    pub struct ShellSequenceParams: shell {
        /// What is run: a list of `util.ShellArg`, or a renderable that yields one.
        pub commands: Renderable<Vec<Json>>,
    }
}

impl OwnChecks for ShellSequenceParams {
    fn problems(&self) -> Vec<Problem> {
        let written = self.commands.source().as_array().map(|items| spliced(items)).unwrap_or_default();
        let wrong = written.into_iter().enumerate().filter(|(_, item)| !may_be_shell_arg(item));
        let wrong = wrong.map(|(at, item)| {
            Problem::new(format!("commands[{at}]"), format!("expected a util.ShellArg, got {item}"))
        });
        no_command(&self.command).into_iter().chain(wrong).collect()
    }
}

/// Whether it is one, rendered or not, or may yield one.
fn may_be_shell_arg(item: &Json) -> bool {
    match AnyObject::from_json(item) {
        Some(object) => !matches!(object.kind.as_str(), "util.Obfuscated" | "util.Interpolate"),
        None => item.get(SELF).is_some_and(|kind| kind == "util.ShellArg"),
    }
}

/// Declares the step.
pub static SHELL_SEQUENCE: StepKind = StepKind {
    kind: step_kind(
        "ShellSequence",
        &["commands"],
        "Runs several programs in order, each with a log and result flags of its own; the step's result is what a \
         build would make of theirs.",
        schema_of::<ShellSequenceParams>,
        check_as::<ShellSequenceParams>,
    ),
    defaults: StepDefaults::named("generic"),
    build: |rendered| {
        let params: ShellSequenceParams = read(rendered)?;
        let described = params.description_done.is_some();
        let commands = params.commands.literal().unwrap_or_default();
        let commands = spliced(&commands).into_iter().map(Part::of).collect::<Result<Vec<_>, _>>()?;
        Ok(Box::new(ShellSequence { options: params.shell()?, commands, described }))
    },
};

struct ShellSequence {
    /// The command is the one that ran last.
    options: ShellOptions,
    commands: Vec<Part>,
    described: bool,
}

/// One command of the sequence.
struct Part {
    /// `None`: rendered to nothing, it is left out.
    command: Option<CommandLine>,
    logname: Option<String>,
    flags: ResultFlags,
}

impl Part {
    /// Reads a rendered `util.ShellArg`.
    fn of(rendered: &Json) -> Result<Self, StepError> {
        let fault = |text: String| StepError::Exception(format!("commands: {text}"));
        let Json::Object(mut options) = rendered.clone() else {
            return Err(fault(format!("expected a util.ShellArg, got {rendered}")));
        };
        options.remove(SELF);
        let params: ShellArgParams =
            FromLua(&Json::Object(options)).read().map_err(|error| fault(error.to_string()))?;
        let command = params.command.source();
        let command = if render::truthy(command) {
            Some(FromLua(command).read().map_err(|error| fault(error.to_string()))?)
        } else {
            None
        };
        let flag = |option: &Option<Renderable<bool>>, default| {
            option.as_ref().map_or(default, |option| render::truthy(option.source()))
        };
        let flags = ResultFlags {
            halt_on_failure: flag(&params.halt_on_failure, false),
            flunk_on_failure: flag(&params.flunk_on_failure, true),
            flunk_on_warnings: flag(&params.flunk_on_warnings, false),
            warn_on_failure: flag(&params.warn_on_failure, false),
            warn_on_warnings: flag(&params.warn_on_warnings, false),
        };
        Ok(Part { command, logname: given(&params.logname).flatten(), flags })
    }
}

#[async_trait]
impl Step for ShellSequence {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        let mut overall = Results::Success;
        for part in &self.commands {
            let Some(line) = &part.command else { continue };
            self.options.command = Some(line.clone());
            let output = CommandOutput {
                stdio_log_name: Some(part.logname.clone().unwrap_or_else(|| "stdio".into())),
                ..CommandOutput::default()
            };
            let command = cx.make_remote_shell_command(&self.options, output).await?;
            let (result, terminate) = combine(overall, cx.run_command(command).await?.results(), part.flags);
            overall = result;
            if terminate {
                break;
            }
        }
        Ok(overall)
    }

    fn result_summary(&self, _: Results) -> Option<String> {
        self.options.command.as_ref().filter(|_| !self.described).map(CommandLine::summary)
    }
}
