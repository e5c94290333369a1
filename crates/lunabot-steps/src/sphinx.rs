//! `steps.Sphinx` (06.053).

use crate::common::{command_of, no_command, run_observed, step_kind};
use crate::kept::Kept;
use async_trait::async_trait;
use lunabot_engine::step::{
    Channel, HasShell, LineObserver, OwnChecks, Results, ShellOptions, Step, StepContext, StepDefaults,
    StepError, StepKind, given, read,
};
use lunabot_engine::step_params;
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::{Json, Problem, Renderable, StringOrList};
use std::collections::BTreeMap;

/// What marks a warning.
const MARKS: [&str; 3] = ["WARNING", "ERROR", "SEVERE"];

step_params! {
    /// Builds documentation with Sphinx.
    pub struct SphinxParams: shell {
        /// The folder of the sources. Default `.`.
        #[schemars(extend("default" = "."))]
        pub sphinx_sourcedir: Option<Renderable<String>>,
        /// The folder of what is built.
        pub sphinx_builddir: Renderable<String>,
        /// `-b`: what is built, such as `html`.
        pub sphinx_builder: Option<Renderable<Option<String>>>,
        /// The program. Default `sphinx-build`.
        #[schemars(extend("default" = "sphinx-build"))]
        pub sphinx: Option<Renderable<String>>,
        /// `-t` for each.
        pub tags: Option<Renderable<StringOrList>>,
        /// `-D name=value` for each; `util.null`: `-D name`; true and false are 1 and 0.
        pub defines: Option<Renderable<BTreeMap<String, Json>>>,
        /// Warnings are errors.
        pub strict_warnings: Option<Renderable<bool>>,
        /// `incremental`, or `full`: what is known of earlier runs is not used.
        pub mode: Option<Renderable<String>>,
    }
}

impl OwnChecks for SphinxParams {
    fn problems(&self) -> Vec<Problem> {
        let mode = given(&self.mode).filter(|mode| mode != "full" && mode != "incremental");
        let mode = mode
            .map(|mode| Problem::new("mode", format!("expected \"incremental\" or \"full\", got {mode:?}")));
        no_command(&self.command).into_iter().chain(mode).collect()
    }
}

/// Declares the step.
pub static SPHINX: StepKind = StepKind {
    kind: step_kind(
        "Sphinx",
        &[
            "sphinx_sourcedir",
            "sphinx_builddir",
            "sphinx_builder",
            "sphinx",
            "tags",
            "defines",
            "strict_warnings",
            "mode",
        ],
        "Builds documentation with Sphinx; its warnings are a log, a statistic, and WARNINGS.",
        schema_of::<SphinxParams>,
        check_as::<SphinxParams>,
    ),
    defaults: StepDefaults::named("sphinx").halting().described("running sphinx", "sphinx"),
    build: |rendered| {
        let params: SphinxParams = read(rendered)?;
        let mut options = params.shell()?;
        options.command = Some(command_of(words(&params)));
        Ok(Box::new(Sphinx { options, name: String::new(), seen: None }))
    },
};

fn words(params: &SphinxParams) -> Vec<String> {
    let mut words = vec![given(&params.sphinx).unwrap_or_else(|| "sphinx-build".into())];
    if let Some(builder) = given(&params.sphinx_builder).flatten() {
        words.extend(["-b".into(), builder]);
    }
    for tag in given(&params.tags).unwrap_or_default().0 {
        words.extend(["-t".into(), tag]);
    }
    for (name, value) in given(&params.defines).unwrap_or_default() {
        let define = match value {
            Json::Null => name,
            Json::Bool(truth) => format!("{name}={}", u8::from(truth)),
            Json::String(text) => format!("{name}={text}"),
            other => format!("{name}={other}"),
        };
        words.extend(["-D".into(), define]);
    }
    if given(&params.mode).as_deref() == Some("full") {
        words.push("-E".into());
    }
    if given(&params.strict_warnings) == Some(true) {
        words.push("-W".into());
    }
    words.push(given(&params.sphinx_sourcedir).unwrap_or_else(|| ".".into()));
    words.extend(params.sphinx_builddir.literal());
    words
}

struct Sphinx {
    options: ShellOptions,
    name: String,
    seen: Option<Seen>,
}

/// What the program said.
#[derive(Debug, Default)]
struct Seen {
    success: bool,
    /// The next line is a warning that counted as an error.
    next_is_warning: bool,
    warnings: Kept,
}

impl LineObserver for Seen {
    fn line(&mut self, _: Channel, line: &str) {
        if line.starts_with("build succeeded") || line.starts_with("no targets are out of date.") {
            self.success = true;
        } else if line.starts_with("Warning, treated as error:") {
            self.next_is_warning = true;
        } else if std::mem::take(&mut self.next_is_warning) || MARKS.iter().any(|mark| line.contains(mark)) {
            self.warnings.add(line);
        }
    }
}

#[async_trait]
impl Step for Sphinx {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        self.name = cx.name().into();
        let (command, seen) = run_observed(cx, &self.options, Seen::default()).await?;
        seen.warnings.add_log(cx, "warnings").await?;
        cx.set_statistic("warnings", seen.warnings.count().into());
        let results = match (command.interrupted, seen.success, seen.warnings.count()) {
            (true, ..) => Results::Cancelled,
            (false, true, 0) => Results::Success,
            (false, true, _) => Results::Warnings,
            (false, false, _) => Results::Failure,
        };
        self.seen = Some(seen);
        Ok(results)
    }

    fn description_done(&self, _: Option<&str>) -> Option<String> {
        let seen = self.seen.as_ref()?;
        Some(format!("{} {} warnings", self.name, seen.warnings.count()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn row_06_053_the_words_of_the_command() {
        let all = json!({
            "sphinx_sourcedir": "doc", "sphinx_builddir": "out", "sphinx_builder": "html", "sphinx": "sb",
            "tags": ["a", "b"], "defines": {"x": null, "y": true, "z": 3, "w": "v"}, "strict_warnings": true,
            "mode": "full",
        });
        for (args, want) in [
            (json!({"sphinx_builddir": "out"}), "sphinx-build . out"),
            (all, "sb -b html -t a -t b -D w=v -D x -D y=1 -D z=3 -E -W doc out"),
        ] {
            assert_eq!(words(&serde_json::from_value(args).unwrap()).join(" "), want);
        }
    }
}
