//! Splicing the options that all steps share into a step's own struct.
//!
//! `serde(flatten)` and `deny_unknown_fields` exclude each other, so a macro writes the shared fields into the struct:
//! one flat struct per step, whose "did you mean" and positional names then need nothing special. What reads the shared
//! options and tells their schema is there once ([`super::split`]), not once per step: that is most of what compiling
//! the steps would cost.

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
        impl $name {
            fn shell_problems(&self) -> Vec<lunabot_model::Problem> {
                $crate::step::HasShell::shell_params(self).problems()
            }
        }

        $crate::step_params!(@struct [$(#[$attr])*] $name shell true {
            command: $crate::step::CommandLine,
            env: std::collections::BTreeMap<String, lunabot_model::Json>,
            want_stdout: bool,
            want_stderr: bool,
            use_pty: bool,
            logfiles: std::collections::BTreeMap<String, $crate::step::Logfile>,
            lazylogfiles: bool,
            timeout: Option<lunabot_model::Duration>,
            max_time: Option<lunabot_model::Duration>,
            max_lines: Option<i64>,
            log_environ: bool,
            interrupt_signal: String,
            sigterm_time: Option<lunabot_model::Duration>,
            initial_stdin: Option<String>,
            decode_rc: std::collections::BTreeMap<i64, $crate::step::Results>,
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
        impl $name {
            fn shell_problems(&self) -> Vec<lunabot_model::Problem> {
                Vec::new()
            }
        }

        $crate::step_params!(@struct [$(#[$attr])*] $name shell false {} { $($own)* });
    };
    (@struct [$($attr:tt)*] $name:ident $shell:ident $wanted:literal { $($field:ident: $type:ty,)* } {
        $($(#[$meta:meta])* $vis:vis $own:ident: $own_type:ty),* $(,)?
    }) => {
        $($attr)*
        #[derive(Debug, Clone)]
        pub struct $name {
            pub name: Option<$crate::step::Renderable<String>>,
            pub halt_on_failure: Option<$crate::step::Renderable<bool>>,
            pub flunk_on_failure: Option<$crate::step::Renderable<bool>>,
            pub flunk_on_warnings: Option<$crate::step::Renderable<bool>>,
            pub warn_on_failure: Option<$crate::step::Renderable<bool>>,
            pub warn_on_warnings: Option<$crate::step::Renderable<bool>>,
            pub always_run: Option<$crate::step::Renderable<bool>>,
            pub do_step_if: Option<$crate::step::Switch>,
            pub hide_step_if: Option<$crate::step::Switch>,
            pub description: Option<$crate::step::Renderable<lunabot_model::StringOrList>>,
            pub description_done: Option<$crate::step::Renderable<lunabot_model::StringOrList>>,
            pub description_suffix: Option<$crate::step::Renderable<lunabot_model::StringOrList>>,
            pub locks: Option<lunabot_model::Json>,
            pub log_encoding: Option<$crate::step::LogEncoding>,
            pub update_build_summary_policy: Option<$crate::step::SummaryPolicy>,
            pub use_progress: Option<bool>,
            pub progress_metrics: Option<lunabot_model::StringOrList>,
            pub workdir: Option<$crate::step::Renderable<String>>,
            $(pub $field: Option<$crate::step::Renderable<$type>>,)*
            $($vis $own: $own_type,)*
        }

        const _: () = {
            $($attr)*
            #[derive(serde::Deserialize, schemars::JsonSchema)]
            struct Own {
                $($(#[$meta])* $own: $own_type,)*
            }

            impl<'de> serde::Deserialize<'de> for $name {
                fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                    let (base, $shell, own) = $crate::step::split::<D, Own>(d, $wanted)?;
                    let _ = &$shell;
                    let Own { $($own),* } = own;
                    Ok($name {
                        name: base.name,
                        halt_on_failure: base.halt_on_failure,
                        flunk_on_failure: base.flunk_on_failure,
                        flunk_on_warnings: base.flunk_on_warnings,
                        warn_on_failure: base.warn_on_failure,
                        warn_on_warnings: base.warn_on_warnings,
                        always_run: base.always_run,
                        do_step_if: base.do_step_if,
                        hide_step_if: base.hide_step_if,
                        description: base.description,
                        description_done: base.description_done,
                        description_suffix: base.description_suffix,
                        locks: base.locks,
                        log_encoding: base.log_encoding,
                        update_build_summary_policy: base.update_build_summary_policy,
                        use_progress: base.use_progress,
                        progress_metrics: base.progress_metrics,
                        workdir: base.workdir,
                        $($field: $shell.$field,)*
                        $($own,)*
                    })
                }
            }

            impl schemars::JsonSchema for $name {
                fn schema_name() -> std::borrow::Cow<'static, str> {
                    stringify!($name).into()
                }
                fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                    let own = <Own as schemars::JsonSchema>::json_schema(generator);
                    $crate::step::joined_schema(own, $wanted, generator)
                }
            }
        };

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
                problems.extend(self.shell_problems());
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
