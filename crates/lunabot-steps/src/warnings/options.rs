//! The options of steps that count warnings.

use super::suppress::{Suppression, SuppressionEntry};
use super::{ENTER, LEAVE, PATTERN, WarningExtractor, WarningOptions, pattern_problem};
use lunabot_engine::step::{StepError, given};
use lunabot_model::{Problem, Renderable, pattern};
use regex::Regex;

/// Declares the options of a step that runs a command and counts its warnings, as
/// [`lunabot_engine::step_params!`] with `: shell` does, with those of counting.
macro_rules! warning_params {
    ($(#[$attr:meta])* pub struct $name:ident { $($own:tt)* }) => {
        lunabot_engine::step_params! {
            $(#[$attr])*
            pub struct $name: shell {
                /// A line that matches, from its beginning, is a warning; `util.null`: nothing is counted.
                #[serde(rename = "warningPattern", default, deserialize_with = "lunabot_engine::step::present")]
                pub warning_pattern: Option<lunabot_model::Renderable<Option<String>>>,
                /// What finds file, line and text of a warning, for suppressions: `util.warnExtractWholeLine` (the
                /// default), `util.warnExtractFromRegexpGroups`, or a function of step, line and match.
                #[serde(rename = "warningExtractor")]
                pub warning_extractor: Option<$crate::warnings::WarningExtractor>,
                /// More warnings make the step fail.
                #[serde(rename = "maxWarnCount")]
                pub max_warn_count: Option<lunabot_model::Renderable<Option<i64>>>,
                /// A line that matches anywhere enters the directory of its first group. Default: GNU make's.
                #[serde(rename = "directoryEnterPattern")]
                pub directory_enter_pattern: Option<lunabot_model::Renderable<Option<String>>>,
                /// A line that matches anywhere leaves the last directory entered. Default: GNU make's.
                #[serde(rename = "directoryLeavePattern")]
                pub directory_leave_pattern: Option<lunabot_model::Renderable<Option<String>>>,
                /// A file on the worker, below the workdir, with lines `FILE-RE : WARNING-RE : FIRST-LAST`: warnings that
                /// are not counted.
                #[serde(rename = "suppressionFile")]
                pub suppression_file: Option<lunabot_model::Renderable<Option<String>>>,
                /// The same as a list of `{file_re, warning_re, first, last}`; `util.null` stands for any.
                #[serde(rename = "suppressionList")]
                pub suppression_list: Option<lunabot_model::Renderable<Vec<$crate::warnings::SuppressionEntry>>>,
                $($own)*
            }
        }

        impl $crate::warnings::HasWarnings for $name {
            fn warning_params(&self) -> $crate::warnings::WarningParams<'_> {
                $crate::warnings::WarningParams {
                    pattern: &self.warning_pattern,
                    extractor: &self.warning_extractor,
                    max: &self.max_warn_count,
                    enter: &self.directory_enter_pattern,
                    leave: &self.directory_leave_pattern,
                    suppression_file: &self.suppression_file,
                    suppression_list: &self.suppression_list,
                }
            }
        }
    };
}
pub(crate) use warning_params;

/// A struct of options that has those of counting; made by `warning_params!`.
pub(crate) trait HasWarnings {
    fn warning_params(&self) -> WarningParams<'_>;

    /// What is wrong with them already.
    fn warning_problems(&self) -> Vec<Problem> {
        self.warning_params().problems()
    }

    /// The options with their defaults, once they are rendered.
    fn warnings(&self) -> Result<WarningOptions, StepError> {
        self.warning_params().options(PATTERN)
    }
}

type Text = Option<Renderable<Option<String>>>;

/// The options of counting, as written or rendered.
pub(crate) struct WarningParams<'a> {
    pub pattern: &'a Text,
    pub extractor: &'a Option<WarningExtractor>,
    pub max: &'a Option<Renderable<Option<i64>>>,
    pub enter: &'a Text,
    pub leave: &'a Text,
    pub suppression_file: &'a Text,
    pub suppression_list: &'a Option<Renderable<Vec<SuppressionEntry>>>,
}

impl WarningParams<'_> {
    fn problems(&self) -> Vec<Problem> {
        let patterns = [
            ("warningPattern", self.pattern),
            ("directoryEnterPattern", self.enter),
            ("directoryLeavePattern", self.leave),
        ];
        let patterns = patterns
            .into_iter()
            .filter_map(|(name, option)| pattern_problem(name, given(option).flatten().as_deref()));
        let entries = given(self.suppression_list).unwrap_or_default();
        let entries = entries.iter().enumerate().filter_map(|(at, entry)| {
            let error = Suppression::new(entry).err()?;
            Some(Problem::new(format!("suppressionList[{at}]"), error))
        });
        patterns.chain(entries).collect()
    }

    /// The options; `pattern` is what counts as a warning where they do not say.
    pub fn options(&self, pattern: &str) -> Result<WarningOptions, StepError> {
        let written = given(self.pattern).unwrap_or_else(|| Some(pattern.into()));
        let entries = given(self.suppression_list).unwrap_or_default();
        let suppressions: Result<_, String> = entries.iter().map(Suppression::new).collect();
        Ok(WarningOptions {
            pattern: written
                .map(|written| pattern::anchored(&written).map_err(|e| fault("warningPattern", e)))
                .transpose()?,
            extractor: self.extractor.clone().unwrap_or_default(),
            max: given(self.max).flatten(),
            enter: directory("directoryEnterPattern", self.enter, ENTER)?,
            leave: directory("directoryLeavePattern", self.leave, LEAVE)?,
            suppression_file: given(self.suppression_file).flatten().filter(|file| !file.is_empty()),
            suppressions: suppressions.map_err(|e| fault("suppressionList", e))?,
        })
    }
}

fn directory(name: &str, option: &Text, default: &str) -> Result<Regex, StepError> {
    let written = given(option).flatten().filter(|written| !written.is_empty());
    pattern::search(written.as_deref().unwrap_or(default)).map_err(|e| fault(name, e))
}

fn fault(name: &str, error: String) -> StepError {
    StepError::Exception(format!("{name}: {error}"))
}
