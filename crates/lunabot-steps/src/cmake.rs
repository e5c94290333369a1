//! `steps.CMake` (06.012).

use crate::common::{command_of, no_command, step_kind};
use crate::shell_command::ShellCommand;
use lunabot_engine::step::{HasShell, OwnChecks, StepDefaults, StepError, StepKind, given, read};
use lunabot_engine::step_params;
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::{Json, Problem, Renderable, StringOrList};
use std::collections::BTreeMap;

step_params! {
    /// Runs CMake.
    pub struct CMakeParams: shell {
        /// The source or build tree.
        pub path: Option<Renderable<Option<String>>>,
        /// `-G`.
        pub generator: Option<Renderable<Option<String>>>,
        /// `-Dname=value` for each.
        pub definitions: Option<Renderable<BTreeMap<String, Json>>>,
        /// Further words.
        pub options: Option<Renderable<StringOrList>>,
        /// The program. Default `cmake`.
        #[schemars(extend("default" = "cmake"))]
        pub cmake: Option<Renderable<String>>,
    }
}

impl OwnChecks for CMakeParams {
    fn problems(&self) -> Vec<Problem> {
        no_command(&self.command).into_iter().collect()
    }
}

/// Declares the step.
pub static CMAKE: StepKind = StepKind {
    kind: step_kind(
        "CMake",
        &["path", "generator", "definitions", "options", "cmake"],
        "Runs CMake: `cmake -G generator -Dname=value … options … path`. A failure ends the build.",
        schema_of::<CMakeParams>,
        check_as::<CMakeParams>,
    ),
    defaults: StepDefaults::named("cmake").halting().described("running cmake", "cmake"),
    build: |rendered| {
        let params: CMakeParams = read(rendered)?;
        let mut options = params.shell()?;
        options.command = Some(command_of(words(&params)?));
        Ok(Box::new(ShellCommand { options, described: true }))
    },
};

fn words(params: &CMakeParams) -> Result<Vec<String>, StepError> {
    let filled =
        |option: &Option<Renderable<Option<String>>>| given(option).flatten().filter(|text| !text.is_empty());
    let mut words = vec![given(&params.cmake).unwrap_or_else(|| "cmake".into())];
    if let Some(generator) = filled(&params.generator) {
        words.extend(["-G".into(), generator]);
    }
    for (name, value) in given(&params.definitions).unwrap_or_default() {
        words.push(format!("-D{name}={}", plain(&name, &value)?));
    }
    words.extend(given(&params.options).unwrap_or_default().0);
    words.extend(filled(&params.path));
    Ok(words)
}

/// A value as CMake reads it.
fn plain(name: &str, value: &Json) -> Result<String, StepError> {
    match value {
        Json::String(text) => Ok(text.clone()),
        Json::Number(number) => Ok(number.to_string()),
        Json::Bool(truth) => Ok(if *truth { "ON" } else { "OFF" }.into()),
        other => Err(StepError::Exception(format!("definitions: {name} must be a text, not {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn row_06_012_the_words_of_the_command() {
        let all = json!({
            "path": "src", "generator": "Ninja", "options": ["-Wno-dev"], "cmake": "cmake3",
            "definitions": {"A": "x y", "B": 3, "C": true},
        });
        for (args, want) in [
            (json!({}), vec!["cmake"]),
            (json!({"path": ""}), vec!["cmake"]),
            (all, vec!["cmake3", "-G", "Ninja", "-DA=x y", "-DB=3", "-DC=ON", "-Wno-dev", "src"]),
        ] {
            assert_eq!(words(&serde_json::from_value(args).unwrap()).unwrap(), want);
        }
    }
}
