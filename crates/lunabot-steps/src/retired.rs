//! Steps of tools that are gone: their names are known, and their errors name what to write instead (06.055).

use crate::common::step_kind;
use lunabot_model::kind::{Params, schema_of};
use lunabot_model::{Json, Kind, Problem};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Whatever is given, it is not looked at.
#[derive(Debug, Deserialize, JsonSchema)]
struct AnyOptions {
    #[serde(flatten)]
    #[expect(dead_code, reason = "so that nothing is an unknown option")]
    options: BTreeMap<String, Json>,
}

impl Params for AnyOptions {}

macro_rules! retired {
    ($($name:literal => $instead:literal;)*) => {
        /// The kinds.
        pub const RETIRED: &[Kind] = &[
            $(Kind {
                callbacks: &[],
                ..step_kind($name, &[], concat!("Not supported: ", $instead), schema_of::<AnyOptions>, |_: &Json| {
                    vec![Problem::new("", concat!("is not supported: ", $instead))]
                })
            },)*
        ];
    };
}

retired! {
    "HLint" => "Lore is gone; write a steps.ShellCommand for the checker in its place";
    "MaxQ" => "MaxQ is gone; write a steps.ShellCommand for the tool in its place";
    "BuildEPYDoc" => "epydoc is gone; write a steps.WarningCountingShellCommand{command = {\"make\", \"epydocs\"}, \
                      warningPattern = \".*(Warning|Error): .*\"}";
    "RemovePYCs" => "write steps.ShellCommand{command = {\"find\", \".\", \"-name\", \"*.pyc\", \"-delete\"}}";
    "MTR" => "Buildbot removed it too; write a steps.Test with a warningPattern for mysql-test-run";
}
