//! How long builds, logs and build data are kept: rules per builder, tag and result.

use crate::glob::matches;
use crate::kind::Problem;
use crate::{Duration, Names, Results};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One rule. Of several, the first that fits a build counts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// Names of builders, `*` and `?` as in file names; absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub builders: Option<Names>,
    /// Builders with one of these tags.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Names>,
    /// Builds with one of these results.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub results: Option<Vec<Results>>,
    /// How long the texts of logs are kept after the end of the build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs: Option<Duration>,
    /// How long build data are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_data: Option<Duration>,
    /// How long builds are kept at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub builds: Option<Duration>,
    /// The newest so many builds of each builder stay whole, however old they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<i64>,
}

impl Rule {
    pub fn logs_secs(&self) -> Option<f64> {
        self.logs.map(Duration::secs)
    }

    pub fn build_data_secs(&self) -> Option<f64> {
        self.build_data.map(Duration::secs)
    }

    pub fn builds_secs(&self) -> Option<f64> {
        self.builds.map(Duration::secs)
    }

    /// The number of newest builds that stay; one always does.
    pub fn keep(&self) -> i64 {
        self.keep.unwrap_or(1).max(1)
    }

    /// Nothing younger than this many seconds is touched.
    pub fn shortest(&self) -> Option<f64> {
        [self.logs_secs(), self.build_data_secs(), self.builds_secs()]
            .into_iter()
            .flatten()
            .min_by(f64::total_cmp)
    }

    /// Whether it speaks of a build.
    pub fn fits(&self, builder: &str, tags: &[String], results: Option<Results>) -> bool {
        let named =
            self.builders.as_ref().is_none_or(|names| names.0.iter().any(|glob| matches(glob, builder)));
        let tagged = self.tags.as_ref().is_none_or(|wanted| wanted.0.iter().any(|tag| tags.contains(tag)));
        let ended = self.results.as_ref().is_none_or(|all| results.is_some_and(|one| all.contains(&one)));
        named && tagged && ended
    }

    /// The same builds, of which nothing is taken: those that it fits are its business, not that of rules after it.
    pub fn sparing(&self) -> Rule {
        let Rule { builders, tags, results, .. } = self.clone();
        Rule { builders, tags, results, ..Rule::default() }
    }

    /// What types cannot say; `path` names the rule.
    pub fn problems(&self, path: &str) -> Vec<Problem> {
        let mut problems = Vec::new();
        let horizons = [("logs", self.logs), ("build_data", self.build_data), ("builds", self.builds)];
        for (name, horizon) in horizons {
            if horizon.is_some_and(|horizon| horizon.secs() < 0.0) {
                problems.push(Problem::new(format!("{path}.{name}"), "must not be negative"));
            }
        }
        if self.shortest().is_none() && self.keep.is_none() {
            problems.push(Problem::new(
                path,
                "keeps everything; give logs, build_data or builds a time, or keep",
            ));
        }
        if self.keep.is_some_and(|keep| keep < 1) {
            problems.push(Problem::new(
                format!("{path}.keep"),
                "is 1 at least: the numbers of builds go on from the newest",
            ));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_rule_fits_by_name_tag_and_result() {
        let rule: Rule = serde_json::from_value(
            json!({"builders": ["linux-*", "mac"], "tags": "nightly", "results": [0], "logs": "30d"}),
        )
        .unwrap();
        let tags = |tag: &str| [tag.to_string()];
        assert!(rule.fits("linux-x86", &tags("nightly"), Some(Results::Success)));
        assert!(rule.fits("mac", &tags("nightly"), Some(Results::Success)));
        assert!(!rule.fits("mac2", &tags("nightly"), Some(Results::Success)));
        assert!(!rule.fits("mac", &tags("daily"), Some(Results::Success)));
        assert!(!rule.fits("mac", &tags("nightly"), Some(Results::Failure)));
        assert!(Rule::default().fits("x", &[], None));
        assert_eq!(rule.shortest(), Some(30.0 * 86_400.0));
    }

    #[test]
    fn globs() {
        for (glob, text, wanted) in [
            ("*", "", true),
            ("a*b", "ab", true),
            ("a*b", "axxb", true),
            ("a*b", "axxbc", false),
            ("?", "", false),
            ("*a*a*", "aaa", true),
            ("x", "xx", false),
        ] {
            assert_eq!(matches(glob, text), wanted, "{glob} {text}");
        }
    }

    #[test]
    fn a_rule_without_effect_is_a_mistake() {
        assert_eq!(Rule::default().problems("retention[1]").len(), 1);
        let wrong = Rule { keep: Some(0), logs: Some(Duration(-1.0)), ..Rule::default() };
        assert_eq!(wrong.problems("retention[1]").len(), 2);
    }
}
