//! Splicing the options that all steps share into a step's own struct.
//!
//! `serde(flatten)` and `deny_unknown_fields` exclude each other, so a macro writes the shared fields into the struct:
//! one flat struct per step, whose schema, "did you mean" and positional names then need nothing special.

use lunabot_model::{Callback, Json};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// Declares the options of a step. Use `pub struct XParams { … }` for a step with the options of
/// every step (05.004), `pub struct XParams: shell { … }` for one that also takes those of a command (05.043).
/// Own fields carry their own serde attributes; the struct derives what [`lunabot_model::kind::Params`] wants and gets
/// [`crate::step::HasBase`] (and [`crate::step::HasShell`]); implement [`crate::step::OwnChecks`] for it, empty if there
/// is nothing to check.
#[macro_export]
macro_rules! step_params {
    ($(#[$attr:meta])* pub struct $name:ident: shell { $($own:tt)* }) => {
        $crate::step_params!(@struct [$(#[$attr])*] $name {
            /// The program: a list of words, or a text for the shell.
            pub command: Option<$crate::step::Renderable<$crate::step::CommandLine>>,
            /// Environment variables; `util.null` removes one. Laid over the builder's.
            pub env: Option<$crate::step::Renderable<std::collections::BTreeMap<String, lunabot_model::Json>>>,
            /// Whether standard output is kept.
            pub want_stdout: Option<$crate::step::Renderable<bool>>,
            /// Whether standard error is kept.
            pub want_stderr: Option<$crate::step::Renderable<bool>>,
            /// Runs the program on a pseudo terminal.
            #[serde(rename = "usePTY")]
            pub use_pty: Option<$crate::step::Renderable<bool>>,
            /// Files to follow while the program runs: log name → path, or `{filename=, follow=}`.
            pub logfiles: Option<$crate::step::Renderable<std::collections::BTreeMap<String, $crate::step::Logfile>>>,
            /// Makes a log of `logfiles` only when it has content.
            pub lazylogfiles: Option<$crate::step::Renderable<bool>>,
            /// Seconds without output after which the program is killed; `util.null`: never. Default 1200.
            #[serde(default, deserialize_with = "lunabot_engine::step::present")]
            pub timeout: Option<$crate::step::Renderable<Option<lunabot_model::Duration>>>,
            /// Seconds after which the program is killed; default: never.
            #[serde(rename = "maxTime")]
            pub max_time: Option<$crate::step::Renderable<Option<lunabot_model::Duration>>>,
            /// Lines of output after which the program is killed.
            pub max_lines: Option<$crate::step::Renderable<Option<i64>>>,
            /// Whether the environment is written into the log.
            #[serde(rename = "logEnviron")]
            pub log_environ: Option<$crate::step::Renderable<bool>>,
            /// The signal that ends the program: `KILL`, `TERM` …
            #[serde(rename = "interruptSignal")]
            pub interrupt_signal: Option<$crate::step::Renderable<String>>,
            /// Seconds between a first SIGTERM and `interruptSignal`.
            #[serde(rename = "sigtermTime")]
            pub sigterm_time: Option<$crate::step::Renderable<Option<lunabot_model::Duration>>>,
            /// Text for the program's standard input.
            #[serde(rename = "initialStdin")]
            pub initial_stdin: Option<$crate::step::Renderable<Option<String>>>,
            /// Exit status → result; others are FAILURE.
            #[serde(rename = "decodeRC")]
            pub decode_rc: Option<$crate::step::Renderable<std::collections::BTreeMap<i64, $crate::step::Results>>>,
        } { $($own)* });

        impl $crate::step::HasShell for $name {
            fn shell_params(&self) -> $crate::step::ShellParams {
                $crate::step::ShellParams {
                    command: self.command.clone(),
                    workdir: self.workdir.clone(),
                    env: self.env.clone(),
                    want_stdout: self.want_stdout.clone(),
                    want_stderr: self.want_stderr.clone(),
                    use_pty: self.use_pty.clone(),
                    logfiles: self.logfiles.clone(),
                    lazylogfiles: self.lazylogfiles.clone(),
                    timeout: self.timeout.clone(),
                    max_time: self.max_time.clone(),
                    max_lines: self.max_lines.clone(),
                    log_environ: self.log_environ.clone(),
                    interrupt_signal: self.interrupt_signal.clone(),
                    sigterm_time: self.sigterm_time.clone(),
                    initial_stdin: self.initial_stdin.clone(),
                    decode_rc: self.decode_rc.clone(),
                }
            }
        }
    };
    ($(#[$attr:meta])* pub struct $name:ident { $($own:tt)* }) => {
        $crate::step_params!(@struct [$(#[$attr])*] $name {} { $($own)* });
    };
    (@struct [$($attr:tt)*] $name:ident { $($shell:tt)* } { $($own:tt)* }) => {
        $($attr)*
        #[derive(Debug, Clone, serde::Deserialize, schemars::JsonSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            /// Name of the step; made unique within its build.
            pub name: Option<$crate::step::Renderable<String>>,
            /// A failure ends the build; only steps with `alwaysRun` still run.
            #[serde(rename = "haltOnFailure")]
            pub halt_on_failure: Option<$crate::step::Renderable<bool>>,
            /// A failure makes the build fail.
            #[serde(rename = "flunkOnFailure")]
            pub flunk_on_failure: Option<$crate::step::Renderable<bool>>,
            /// Warnings make the build fail.
            #[serde(rename = "flunkOnWarnings")]
            pub flunk_on_warnings: Option<$crate::step::Renderable<bool>>,
            /// A failure gives the build warnings.
            #[serde(rename = "warnOnFailure")]
            pub warn_on_failure: Option<$crate::step::Renderable<bool>>,
            /// Warnings give the build warnings.
            #[serde(rename = "warnOnWarnings")]
            pub warn_on_warnings: Option<$crate::step::Renderable<bool>>,
            /// Runs even when the build has ended, except when the worker is lost.
            #[serde(rename = "alwaysRun")]
            pub always_run: Option<$crate::step::Renderable<bool>>,
            /// Whether the step runs at all; otherwise it is skipped.
            #[serde(rename = "doStepIf")]
            pub do_step_if: Option<$crate::step::Switch>,
            /// Whether the pages hide the step.
            #[serde(rename = "hideStepIf")]
            pub hide_step_if: Option<$crate::step::Switch>,
            /// What the step is doing.
            pub description: Option<$crate::step::Renderable<lunabot_model::StringOrList>>,
            /// What the step has done.
            #[serde(rename = "descriptionDone")]
            pub description_done: Option<$crate::step::Renderable<lunabot_model::StringOrList>>,
            /// Added to either.
            #[serde(rename = "descriptionSuffix")]
            pub description_suffix: Option<$crate::step::Renderable<lunabot_model::StringOrList>>,
            /// Locks held while the step runs: locks, accesses, or what yields them.
            #[schemars(schema_with = "lunabot_model::locks::option_schema")]
            pub locks: Option<lunabot_model::Json>,
            /// Encoding of what commands print: a name, or a function from bytes to text. Default: the configuration's.
            #[serde(rename = "logEncoding")]
            pub log_encoding: Option<$crate::step::LogEncoding>,
            /// Results for which the step's text is shown as the build's: true, false or a list of results.
            #[serde(rename = "updateBuildSummaryPolicy")]
            pub update_build_summary_policy: Option<$crate::step::SummaryPolicy>,
            /// Accepted; has no effect in Buildbot 4 either (05.031).
            #[serde(rename = "useProgress")]
            pub use_progress: Option<bool>,
            /// Accepted; has no effect in Buildbot 4 either (05.031).
            #[serde(rename = "progressMetrics")]
            pub progress_metrics: Option<lunabot_model::StringOrList>,
            /// Folder of its commands below the builder's; default: the factory's, or `build`.
            pub workdir: Option<$crate::step::Renderable<String>>,
            $($shell)*
            $($own)*
        }

        impl $crate::step::HasBase for $name {
            fn base(&self) -> $crate::step::BaseStepParams {
                $crate::step::BaseStepParams {
                    name: self.name.clone(),
                    halt_on_failure: self.halt_on_failure.clone(),
                    flunk_on_failure: self.flunk_on_failure.clone(),
                    flunk_on_warnings: self.flunk_on_warnings.clone(),
                    warn_on_failure: self.warn_on_failure.clone(),
                    warn_on_warnings: self.warn_on_warnings.clone(),
                    always_run: self.always_run.clone(),
                    do_step_if: self.do_step_if.clone(),
                    hide_step_if: self.hide_step_if.clone(),
                    description: self.description.clone(),
                    description_done: self.description_done.clone(),
                    description_suffix: self.description_suffix.clone(),
                    locks: self.locks.clone(),
                    log_encoding: self.log_encoding.clone(),
                    update_build_summary_policy: self.update_build_summary_policy.clone(),
                    use_progress: self.use_progress,
                    progress_metrics: self.progress_metrics.clone(),
                    workdir: self.workdir.clone(),
                }
            }
        }

        impl lunabot_model::kind::Params for $name {
            fn validate(&self) -> Vec<lunabot_model::Problem> {
                let mut problems = $crate::step::HasBase::base(self).problems();
                problems.extend($crate::step::OwnChecks::problems(self));
                problems
            }
        }
    };
}

/// Tells an option given as `util.null` from one not given: for `#[serde(default, deserialize_with = "present")]`.
pub fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Option<T>, D::Error> {
    T::deserialize(d).map(Some)
}

/// The value of a rendered option; `None` if it was not given (or could not have been rendered).
pub fn given<T: serde::de::DeserializeOwned>(option: &Option<lunabot_model::Renderable<T>>) -> Option<T> {
    option.as_ref().and_then(lunabot_model::Renderable::literal)
}

/// `doStepIf`, `hideStepIf`: true, false, a function, or a renderable.
#[derive(Debug, Clone, PartialEq)]
pub struct Switch(Json);

impl Switch {
    /// The function, if it is one.
    pub fn callback(&self) -> Option<Callback> {
        Callback::from_json(&self.0)
    }

    /// What was written, or what it was rendered to.
    pub fn source(&self) -> &Json {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Switch {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let source = Json::deserialize(d)?;
        Ok(Switch(source))
    }
}

impl JsonSchema for Switch {
    fn schema_name() -> Cow<'static, str> {
        "Switch".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"type": "boolean"}, {"x-callback": true}], "x-renderable": true})
    }
}

#[cfg(test)]
mod tests {
    use crate::step::{HasBase, HasShell, OwnChecks};
    use lunabot_model::kind::check_as;
    use serde_json::json;

    crate::step_params! {
        /// A sample.
        pub struct SampleParams: shell {
            /// Its own.
            pub strip: Option<bool>,
        }
    }
    impl OwnChecks for SampleParams {}

    #[test]
    fn row_05_021_unknown_options_name_the_nearest_shared_or_own() {
        for (wrong, near) in [("timout", "timeout"), ("haltonfailure", "haltOnFailure"), ("stripp", "strip")]
        {
            let problems = check_as::<SampleParams>(&json!({wrong: true}));
            assert_eq!(problems[0].message, format!("unknown option, did you mean {near}?"));
        }
        let problems = check_as::<SampleParams>(&json!({"locks": ["x"], "name": "x".repeat(51)}));
        assert_eq!(problems.len(), 2, "{problems:?}");
    }

    #[test]
    fn row_05_043_null_switches_the_timeout_off_and_absence_means_twenty_minutes() {
        let read = |args| serde_json::from_value::<SampleParams>(args).unwrap().shell().unwrap();
        assert_eq!(read(json!({})).timeout, Some(1200.0));
        assert_eq!(read(json!({"timeout": null})).timeout, None);
        assert_eq!(read(json!({"timeout": "2m"})).timeout, Some(120.0));
        let own: SampleParams = serde_json::from_value(json!({"strip": true})).unwrap();
        assert_eq!(own.strip, Some(true));
        let nested = read(json!({"command": ["make", ["-k", false], "all"]}));
        assert_eq!(nested.command.unwrap().summary(), "'make -k ...'");
    }

    #[test]
    fn row_04_026_names_are_measured_by_their_shortest_form() {
        let named = |format: &str| {
            let name =
                json!({"$kind": "util.Interpolate", "$id": 1, "$at": "m:1", "$args": {"fmtstring": format}});
            check_as::<SampleParams>(&json!({"name": name}))
        };
        assert_eq!(named(&("x".repeat(50) + "%(prop:y)s")), []);
        assert_eq!(named(&("x".repeat(51) + "%(prop:y)s"))[0].path, "name");
    }

    #[test]
    fn row_04_038_flags_may_be_renderables() {
        let property = json!({"$kind": "util.Property", "$id": 1, "$at": "m:1", "$args": {"key": "x"}});
        let params: SampleParams = serde_json::from_value(json!({"alwaysRun": property})).unwrap();
        assert_eq!(params.base().always_run.unwrap().literal(), None);
    }
}
