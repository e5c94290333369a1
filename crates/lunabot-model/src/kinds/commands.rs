//! Kinds that stand inside the commands of steps (reference 04.041, 06.002, 06.004).
//!
//! Both are renderables that yield themselves, rendered: a plain table that says under [`SELF`] what it is.

use super::renderables::renderable;
use crate::kind::{Kind, Params, Problem, check_as, schema_of};
use crate::{Json, Renderable};
use schemars::JsonSchema;
use serde::Deserialize;

/// The key under which what such a renderable yields names its kind.
pub const SELF: &str = "$as";

/// `util.Obfuscated` (04.041).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObfuscatedParams {
    /// The word that the program gets.
    pub real: Renderable<String>,
    /// What is shown in its place, in logs and texts.
    pub fake: Renderable<String>,
}

impl Params for ObfuscatedParams {}

/// `util.ShellArg` (06.004).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShellArgParams {
    /// A list of words, or a text for the shell; one that is empty or false is left out of its sequence.
    pub command: Renderable<Json>,
    /// The log for its output; without it: `stdio`.
    pub logname: Option<Renderable<Option<String>>>,
    /// A failure ends the sequence.
    #[serde(rename = "haltOnFailure")]
    pub halt_on_failure: Option<Renderable<bool>>,
    /// A failure makes the step fail.
    #[serde(rename = "flunkOnFailure")]
    pub flunk_on_failure: Option<Renderable<bool>>,
    /// Warnings make the step fail.
    #[serde(rename = "flunkOnWarnings")]
    pub flunk_on_warnings: Option<Renderable<bool>>,
    /// A failure gives the step warnings.
    #[serde(rename = "warnOnFailure")]
    pub warn_on_failure: Option<Renderable<bool>>,
    /// Warnings give the step warnings.
    #[serde(rename = "warnOnWarnings")]
    pub warn_on_warnings: Option<Renderable<bool>>,
}

impl Params for ShellArgParams {
    fn validate(&self) -> Vec<Problem> {
        let written = self.command.source();
        let empty = written.as_object().is_some_and(serde_json::Map::is_empty);
        let fits = written.is_string() || written.is_array() || empty || crate::object::is_dynamic(written);
        if fits || *written == Json::Bool(false) {
            Vec::new()
        } else {
            vec![Problem::new("command", format!("expected a text or a list of texts, got {written}"))]
        }
    }
}

pub const OBFUSCATED: Kind = renderable(
    "Obfuscated",
    &["real", "fake"],
    "A word of a command that the worker runs as it is and shows as something else.",
    schema_of::<ObfuscatedParams>,
    check_as::<ObfuscatedParams>,
);

pub const SHELL_ARG: Kind = renderable(
    "ShellArg",
    &["command", "logname"],
    "One command of a steps.ShellSequence, with a log and result flags of its own.",
    schema_of::<ShellArgParams>,
    check_as::<ShellArgParams>,
);
