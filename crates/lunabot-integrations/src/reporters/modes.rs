//! Which builds are reported: modes (11.009–11.011).

use lunabot_model::{Json, Names, Results};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;

/// One reason to report a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Change,
    Failing,
    Passing,
    Problem,
    Warnings,
    Exception,
    Cancelled,
}

use Mode::{Cancelled, Change, Exception, Failing, Passing, Problem, Warnings};

impl Mode {
    const ALL: [Mode; 7] = [Change, Failing, Passing, Problem, Warnings, Exception, Cancelled];

    pub const fn name(self) -> &'static str {
        match self {
            Change => "change",
            Failing => "failing",
            Passing => "passing",
            Problem => "problem",
            Warnings => "warnings",
            Exception => "exception",
            Cancelled => "cancelled",
        }
    }

    /// Whether a build with this result, after one with that, is reported.
    fn wants(self, results: Results, previous: Option<Results>) -> bool {
        match self {
            Change => previous.is_some_and(|previous| previous != results),
            Failing => results == Results::Failure,
            Passing => results == Results::Success,
            Problem => {
                results == Results::Failure && previous.is_some_and(|previous| previous != Results::Failure)
            }
            Warnings => results == Results::Warnings,
            Exception => results == Results::Exception,
            Cancelled => results == Results::Cancelled,
        }
    }
}

/// The modes of a generator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Modes(pub Vec<Mode>);

impl Default for Modes {
    fn default() -> Self {
        Modes(vec![Failing, Passing, Warnings])
    }
}

impl Modes {
    pub fn has(&self, mode: Mode) -> bool {
        self.0.contains(&mode)
    }

    /// Whether the build before counts.
    pub fn looks_back(&self) -> bool {
        self.has(Change) || self.has(Problem)
    }

    pub fn wants(&self, results: Results, previous: Option<Results>) -> bool {
        self.0.iter().any(|mode| mode.wants(results, previous))
    }

    pub fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|mode| mode.name()).collect()
    }

    fn read(written: &Json) -> Result<Modes, String> {
        match written.as_str() {
            Some("all") => return Ok(Modes(vec![Failing, Passing, Warnings, Exception, Cancelled])),
            Some("warnings") => return Ok(Modes(vec![Warnings, Failing])),
            _ => {}
        }
        let names = Names::deserialize(written).map_err(|error| error.to_string())?.0;
        let mode = |name: &String| {
            Mode::ALL.into_iter().find(|mode| mode.name() == name).ok_or_else(|| match name.as_str() {
                "all" => "\"all\" stands for itself: write mode = \"all\", not in a list".to_owned(),
                other => {
                    let known: Vec<&str> = Mode::ALL.iter().map(|mode| mode.name()).collect();
                    let hint = lunabot_model::kind::nearest(other, known.iter().copied())
                        .map_or(String::new(), |near| format!(", did you mean \"{near}\"?"));
                    format!("\"{other}\" is no mode{hint}; there are \"all\", {}", known.join(", "))
                }
            })
        };
        if names.is_empty() {
            return Err("is empty: no build would be reported".into());
        }
        names.iter().map(mode).collect::<Result<_, _>>().map(Modes)
    }
}

impl<'de> Deserialize<'de> for Modes {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Modes::read(&Json::deserialize(d)?).map_err(D::Error::custom)
    }
}

impl JsonSchema for Modes {
    fn schema_name() -> Cow<'static, str> {
        "Modes".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn row_11_009_modes_are_read() {
        for (written, names) in [
            (json!("all"), &["failing", "passing", "warnings", "exception", "cancelled"][..]),
            (json!("warnings"), &["warnings", "failing"]),
            (json!("change"), &["change"]),
            (json!(["problem", "exception"]), &["problem", "exception"]),
        ] {
            assert_eq!(Modes::read(&written).unwrap().names(), names);
        }
        for (written, told) in [
            (json!("failling"), "did you mean \"failing\"?"),
            (json!(["all"]), "stands for itself"),
            (json!([]), "is empty"),
            (json!(3), "expected a text or a list of texts"),
        ] {
            assert!(Modes::read(&written).unwrap_err().contains(told), "{written}");
        }
    }

    #[test]
    fn row_11_010_modes_decide_by_the_result_and_the_one_before() {
        use Results::*;
        let every = Results::ALL.into_iter().map(Some).chain([None]);
        for previous in every {
            for results in Results::ALL {
                for (mode, wanted) in [
                    (Mode::Failing, results == Failure),
                    (Mode::Passing, results == Success),
                    (Mode::Warnings, results == Warnings),
                    (Mode::Exception, results == Exception),
                    (Mode::Cancelled, results == Cancelled),
                    (Mode::Change, previous.is_some() && previous != Some(results)),
                    (Mode::Problem, results == Failure && !matches!(previous, None | Some(Failure))),
                ] {
                    let modes = Modes(vec![mode]);
                    assert_eq!(modes.wants(results, previous), wanted, "{mode:?} {results:?} {previous:?}");
                }
            }
        }
    }
}
