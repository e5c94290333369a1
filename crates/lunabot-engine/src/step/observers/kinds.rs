//! The kinds of observers.

use lunabot_model::kind::{Category, Params, check_as, schema_of};
use lunabot_model::{Callback, CallbackSpec, Kind, Problem, Results, pattern};
use schemars::JsonSchema;
use serde::Deserialize;

/// `util.LogObserver`, `util.LogLineObserver`: their classes say what they do.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlainParams {}

impl Params for PlainParams {}

/// `util.BufferLogObserver`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BufferParams {
    /// Keep standard output, for `getStdout()`.
    #[serde(default = "yes", rename = "wantStdout")]
    pub want_stdout: bool,
    /// Keep standard error, for `getStderr()`.
    #[serde(default, rename = "wantStderr")]
    pub want_stderr: bool,
}

fn yes() -> bool {
    true
}

impl Params for BufferParams {}

/// `util.LineConsumerLogObserver`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsumerParams {
    /// Called once with an iterator over the lines: `for stream, line in lines do … end`; `stream` is `o`, `e` or `h`.
    #[serde(rename = "consumerFunction")]
    pub consumer_function: Callback,
}

impl Params for ConsumerParams {}

/// Where a pattern is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum On {
    Stdout,
    Stderr,
    Header,
    /// Standard output and standard error.
    Both,
}

/// `util.PatternObserver`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PatternParams {
    /// A regular expression; lines in which it is found count.
    #[schemars(extend("x-regex" = true))]
    pub pattern: String,
    /// Where: `stdout` (the default), `stderr`, `header` or `both`.
    #[serde(default)]
    pub on: Option<On>,
    /// The metric of the step's progress that becomes the number of lines.
    #[serde(default)]
    pub progress: Option<String>,
    /// The statistic of the step that becomes the number of lines.
    #[serde(default)]
    pub statistic: Option<String>,
    /// A link of the step: its name and its target, in which `%0` is what was found and `%1` its first group.
    #[serde(default)]
    pub url: Option<(String, String)>,
    /// The property that becomes the first group of the newest line, or what was found if there is no group.
    #[serde(default)]
    pub property: Option<String>,
    /// The log that the lines are copied to.
    #[serde(default)]
    pub log: Option<String>,
    /// The step's result is no better than this where a line was found.
    #[serde(default)]
    pub result: Option<Results>,
    /// From a line with this on nothing counts.
    #[serde(default)]
    #[schemars(extend("x-regex" = true))]
    pub until_pattern: Option<String>,
}

impl Params for PatternParams {
    fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let patterns = [("pattern", Some(&self.pattern)), ("until_pattern", self.until_pattern.as_ref())];
        for (name, pattern) in patterns {
            let wrong = pattern.and_then(|pattern| pattern::search(pattern).err());
            problems.extend(wrong.map(|error| Problem::new(name, error)));
        }
        let named = [&self.progress, &self.statistic, &self.property, &self.log];
        if named.iter().all(|option| option.is_none()) && self.url.is_none() && self.result.is_none() {
            let message =
                "says nothing of what to do; give one of progress statistic url property log result";
            problems.push(Problem::new("", message));
        }
        problems
    }
}

const fn kind(
    name: &'static str,
    positional: &'static [&'static str],
    doc: &'static str,
    schema: fn() -> schemars::Schema,
    check: fn(&lunabot_model::Json) -> Vec<Problem>,
) -> Kind {
    Kind {
        namespace: "util",
        name,
        aliases: &[],
        category: Category::Observer,
        positional,
        flat: false,
        doc,
        schema,
        check,
        callbacks: &[],
        extensible: true,
    }
}

const CONSUMER: &[CallbackSpec] = &[CallbackSpec {
    option: "consumerFunction",
    args: "lines",
    returns: "nothing",
    on_error: "EXCEPTION of the step",
}];

/// The kinds of this room that observe logs.
pub static KINDS: &[Kind] = &[
    kind(
        "LogObserver",
        &[],
        "Sees the text of a log as it comes: extend it with outReceived, errReceived, headerReceived and finishReceived.",
        schema_of::<PlainParams>,
        check_as::<PlainParams>,
    ),
    kind(
        "LogLineObserver",
        &[],
        "Sees the lines of a log: extend it with outLineReceived, errLineReceived, headerLineReceived and \
         finishReceived.",
        schema_of::<PlainParams>,
        check_as::<PlainParams>,
    ),
    kind(
        "BufferLogObserver",
        &["wantStdout", "wantStderr"],
        "Keeps what a log holds: getStdout() and getStderr() give it as one text.",
        schema_of::<BufferParams>,
        check_as::<BufferParams>,
    ),
    Kind {
        callbacks: CONSUMER,
        extensible: false,
        ..kind(
            "LineConsumerLogObserver",
            &["consumerFunction"],
            "Gives the lines of a log to a function: `for stream, line in lines do … end`.",
            schema_of::<ConsumerParams>,
            check_as::<ConsumerParams>,
        )
    },
    Kind {
        extensible: false,
        ..kind(
            "PatternObserver",
            &["pattern"],
            "Looks for a regular expression in the lines of a log, without a call into Lua for each.",
            schema_of::<PatternParams>,
            check_as::<PatternParams>,
        )
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pattern_that_cannot_do_what_it_is_to_do_is_a_mistake() {
        for (options, wanted) in [
            (json!({"pattern": "x"}), "says nothing of what to do"),
            (json!({"pattern": "(", "statistic": "n"}), "unclosed"),
        ] {
            let told = check_as::<PatternParams>(&options);
            assert!(told.len() == 1 && told[0].message.contains(wanted), "{options}: {told:?}");
        }
        assert_eq!(check_as::<PatternParams>(&json!({"pattern": "x", "statistic": "n"})), []);
    }
}
