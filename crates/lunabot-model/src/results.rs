//! Result codes and the rules that combine them (reference 05.001–05.003, 05.006).

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How a step, build, request or buildset ended. On the wire and in the database the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Results {
    Success = 0,
    Warnings = 1,
    Failure = 2,
    Skipped = 3,
    Exception = 4,
    Retry = 5,
    Cancelled = 6,
}

use Results::{Cancelled, Exception, Failure, Retry, Skipped, Success, Warnings};

/// Worst first; a skipped step is the best result there is.
const WORST_FIRST: [Results; 7] = [Cancelled, Retry, Exception, Failure, Warnings, Success, Skipped];

impl Results {
    pub const ALL: [Results; 7] = [Success, Warnings, Failure, Skipped, Exception, Retry, Cancelled];

    /// The number used in the database and the API.
    pub const fn code(self) -> i64 {
        self as i64
    }

    /// The result with this number, if there is one.
    pub fn from_code(code: i64) -> Option<Results> {
        usize::try_from(code).ok().and_then(|index| Self::ALL.get(index).copied())
    }

    /// What a function says by its number, however that is written (`2.0` is FAILURE too).
    pub fn from_json(code: &serde_json::Value) -> Option<Results> {
        let number = code.as_f64()?;
        Self::ALL.into_iter().find(|results| results.code() as f64 == number)
    }

    /// `success`, `warnings`, `failure`, `skipped`, `exception`, `retry`, `cancelled`.
    pub const fn name(self) -> &'static str {
        match self {
            Success => "success",
            Warnings => "warnings",
            Failure => "failure",
            Skipped => "skipped",
            Exception => "exception",
            Retry => "retry",
            Cancelled => "cancelled",
        }
    }

    /// The worse of two results (05.002).
    pub fn worst(self, other: Results) -> Results {
        WORST_FIRST.into_iter().find(|r| *r == self || *r == other).unwrap_or(self)
    }
}

impl std::fmt::Display for Results {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Results {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_i64(self.code())
    }
}

impl<'de> Deserialize<'de> for Results {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let code = i64::deserialize(d)?;
        Results::from_code(code)
            .ok_or_else(|| serde::de::Error::custom(format!("{code} is not a result: 0 to 6 are")))
    }
}

impl schemars::JsonSchema for Results {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Results".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "integer", "minimum": 0, "maximum": 6})
    }
}

/// The flags of a step that decide what its result does to the build (05.003, 05.004).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResultFlags {
    pub halt_on_failure: bool,
    pub flunk_on_failure: bool,
    pub flunk_on_warnings: bool,
    pub warn_on_failure: bool,
    pub warn_on_warnings: bool,
}

impl Default for ResultFlags {
    /// The defaults of a plain step: a failure fails the build and the build goes on.
    fn default() -> Self {
        ResultFlags {
            halt_on_failure: false,
            flunk_on_failure: true,
            flunk_on_warnings: false,
            warn_on_failure: false,
            warn_on_warnings: false,
        }
    }
}

/// What one step's result makes of the build's: the new overall result, and whether the build ends
/// (only steps with `alwaysRun` still run then).
pub fn combine(overall: Results, step: Results, flags: ResultFlags) -> (Results, bool) {
    let graded = |flunk: bool, warn: bool| match (flunk, warn) {
        (true, _) => Failure,
        (false, true) => Warnings,
        (false, false) => Success,
    };
    let (contribution, terminate) = match step {
        Failure => (graded(flags.flunk_on_failure, flags.warn_on_failure), flags.halt_on_failure),
        Warnings => (graded(flags.flunk_on_warnings, flags.warn_on_warnings), false),
        Exception | Retry | Cancelled => (step, true),
        Success | Skipped => (step, false),
    };
    (overall.worst(contribution), terminate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worst_of_every_pair_05_002() {
        for (i, worse) in WORST_FIRST.into_iter().enumerate() {
            for better in &WORST_FIRST[i..] {
                assert_eq!(worse.worst(*better), worse);
                assert_eq!(better.worst(worse), worse);
            }
        }
    }

    #[test]
    fn failure_is_graded_by_the_flags_05_003() {
        let none = ResultFlags { flunk_on_failure: false, ..ResultFlags::default() };
        assert_eq!(combine(Success, Failure, ResultFlags::default()), (Failure, false));
        assert_eq!(combine(Success, Failure, none), (Success, false));
        assert_eq!(
            combine(Success, Failure, ResultFlags { warn_on_failure: true, ..none }),
            (Warnings, false)
        );
        assert_eq!(combine(Success, Failure, ResultFlags { halt_on_failure: true, ..none }), (Success, true));
        assert_eq!(
            combine(Failure, Warnings, ResultFlags { flunk_on_warnings: true, ..none }),
            (Failure, false)
        );
        assert_eq!(combine(Warnings, Exception, none), (Exception, true));
        assert_eq!(combine(Success, Skipped, none), (Success, false));
    }
}
