//! The kind of remote commands that functions make (05.037).

use lunabot_model::kind::{Category, Params, check_as, schema_of};
use lunabot_model::{Json, Kind, Problem, Results};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// `util.RemoteCommand`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoteCommandParams {
    /// What the worker is to do: `shell stat glob listdir mkdir rmdir` …
    pub remote_command: String,
    /// Its arguments, under the names of the PB protocol; paths are relative to the builder's folder.
    #[serde(default)]
    pub args: BTreeMap<String, Json>,
    /// Keys of updates that are dropped.
    #[serde(default)]
    pub ignore_updates: Vec<String>,
    /// Keep its standard output as `stdout`.
    #[serde(default, rename = "collectStdout")]
    pub collect_stdout: bool,
    /// Keep its standard error as `stderr`.
    #[serde(default, rename = "collectStderr")]
    pub collect_stderr: bool,
    /// Exit status → result; others are FAILURE. Default: 0 is SUCCESS.
    #[serde(default, rename = "decodeRC")]
    pub decode_rc: Option<BTreeMap<i64, i64>>,
    /// The log of a step that its output goes to; default `stdio`.
    #[serde(default, rename = "stdioLogName")]
    pub stdio_log_name: Option<String>,
}

impl RemoteCommandParams {
    /// 05.038.
    pub fn decoded(&self) -> BTreeMap<i64, Results> {
        let Some(codes) = &self.decode_rc else { return BTreeMap::from([(0, Results::Success)]) };
        codes.iter().filter_map(|(rc, code)| Some((*rc, Results::from_code(*code)?))).collect()
    }
}

impl Params for RemoteCommandParams {
    fn validate(&self) -> Vec<Problem> {
        let codes = self.decode_rc.iter().flat_map(|map| map.values());
        codes
            .filter(|code| Results::from_code(**code).is_none())
            .map(|code| {
                Problem::new("decodeRC", format!("{code} is no result; write util.WARNINGS and the like"))
            })
            .collect()
    }
}

pub const REMOTE_COMMAND: Kind = Kind {
    namespace: "util",
    name: "RemoteCommand",
    aliases: &[],
    category: Category::Command,
    positional: &[
        "remote_command",
        "args",
        "ignore_updates",
        "collectStdout",
        "collectStderr",
        "decodeRC",
        "stdioLogName",
    ],
    flat: false,
    doc: "A command for a worker, made and run inside a function: worker:run(util.RemoteCommand{\"stat\", {file = \"x\"}}).",
    schema: schema_of::<RemoteCommandParams>,
    check: check_as::<RemoteCommandParams>,
    callbacks: &[],
    extensible: false,
};

/// The kinds of this room that declare commands.
pub static KINDS: &[Kind] = &[REMOTE_COMMAND];
