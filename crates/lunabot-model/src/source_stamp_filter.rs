//! Which source stamps pass a `util.SourceStampFilter` (reference 03.029).

use crate::change_filter::{Rule, decide};
use crate::kinds::filters::SourceStampFilterParams;
use crate::resources::SourceStamp;
use crate::script::CallSite;
use crate::{AnyObject, Arg, Callback, Json, ScriptHost};
use serde::Deserialize;

/// A filter ready to use.
#[derive(Debug, Clone, Default)]
pub struct SourceStampFilter {
    filter_fn: Option<Callback>,
    rules: Vec<(Subject, Rule)>,
}

#[derive(Debug, Clone, Copy)]
enum Subject {
    Project,
    Codebase,
    Repository,
    Branch,
}

impl SourceStampFilter {
    /// Reads a `util.SourceStampFilter` object.
    pub fn read(object: &AnyObject) -> Result<Self, String> {
        if object.kind != "util.SourceStampFilter" {
            return Err(format!("expected a util.SourceStampFilter, not a {}", object.kind));
        }
        let params = SourceStampFilterParams::deserialize(&object.args).map_err(|error| error.to_string())?;
        Self::new(&params)
    }

    pub fn new(p: &SourceStampFilterParams) -> Result<Self, String> {
        let mut rules = Vec::new();
        for (subject, eq, not_eq) in [
            (Subject::Project, &p.project_eq, &p.project_not_eq),
            (Subject::Codebase, &p.codebase_eq, &p.codebase_not_eq),
            (Subject::Repository, &p.repository_eq, &p.repository_not_eq),
        ] {
            for (values, wanted) in [(eq, true), (not_eq, false)] {
                let all = values.0.iter().map(|all| all.iter().cloned().map(Some).collect());
                rules.extend(all.map(|all| (subject, Rule::In(all, wanted))));
            }
        }
        for (values, wanted) in [(&p.branch_eq, true), (&p.branch_not_eq, false)] {
            rules.extend(values.0.iter().map(|all| (Subject::Branch, Rule::In(all.clone(), wanted))));
        }
        for (subject, re, not_re) in [
            (Subject::Project, &p.project_re, &p.project_not_re),
            (Subject::Codebase, &p.codebase_re, &p.codebase_not_re),
            (Subject::Repository, &p.repository_re, &p.repository_not_re),
            (Subject::Branch, &p.branch_re, &p.branch_not_re),
        ] {
            for (values, wanted) in [(re, true), (not_re, false)] {
                if let Some(values) = &values.0 {
                    rules.push((subject, Rule::patterns(values, wanted)?));
                }
            }
        }
        Ok(SourceStampFilter { filter_fn: p.filter_fn.clone(), rules })
    }

    /// The conditions on values alone.
    pub fn values_match(&self, stamp: &SourceStamp) -> bool {
        self.rules.iter().all(|(subject, rule)| {
            rule.holds(match subject {
                Subject::Project => Some(&stamp.project),
                Subject::Codebase => Some(&stamp.codebase),
                Subject::Repository => Some(&stamp.repository),
                Subject::Branch => stamp.branch.as_deref(),
            })
        })
    }

    /// All conditions. `concerns` names the owner in errors of the function; such an error is "no match".
    pub async fn matches(&self, stamp: &SourceStamp, host: &dyn ScriptHost, concerns: &str) -> bool {
        if let Some(function) = &self.filter_fn {
            let arg: Json = serde_json::to_value(stamp).unwrap_or_default();
            let site = CallSite::new("filter_fn", concerns);
            if decide(host, function, site, vec![Arg::Value(arg)]).await != Some(true) {
                return false;
            }
        }
        self.values_match(stamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn filter(args: Json) -> SourceStampFilter {
        let object = json!({"$kind": "util.SourceStampFilter", "$id": 1, "$at": "m.lua:1", "$args": args});
        SourceStampFilter::read(&AnyObject::from_json(&object).unwrap()).unwrap()
    }

    #[test]
    fn row_03_029_the_truth_table() {
        let stamp = |branch: Json| -> SourceStamp {
            serde_json::from_value(
                json!({"ssid": 1, "revision": null, "branch": branch, "repository": "r", "project": "p",
                "codebase": "cb", "patch": null, "created_at": 0}),
            )
            .unwrap()
        };
        for (args, branch, want) in [
            (json!({}), json!("b"), true),
            (json!({"branch_eq": "b"}), json!("b"), true),
            (json!({"branch_eq": ["a", "c"]}), json!("b"), false),
            (json!({"branch_eq": null}), json!(null), true),
            (json!({"branch_eq": null}), json!("b"), false),
            (json!({"branch_not_eq": ["a", "b"]}), json!("b"), false),
            (json!({"branch_re": "feature/.*"}), json!("feature/x"), true),
            (json!({"branch_re": ["x", "y"]}), json!("feature/x"), false),
            (json!({"branch_not_re": ".*"}), json!(null), true),
            (json!({"branch_re": ".*"}), json!(null), false),
            (json!({"project_eq": "p", "repository_re": "r$", "codebase_not_eq": "x"}), json!("b"), true),
            (json!({"project_eq": "q"}), json!("b"), false),
            (json!({"repository_not_re": "r"}), json!("b"), false),
            (json!({"codebase_eq": []}), json!("b"), false),
        ] {
            assert_eq!(filter(args.clone()).values_match(&stamp(branch.clone())), want, "{args} {branch}");
        }
    }

    #[test]
    fn mistakes_are_found_when_loaded() {
        let kind = crate::kinds::KINDS.iter().find(|kind| kind.name == "SourceStampFilter").unwrap();
        assert_eq!((kind.check)(&json!({"branch_re": "("}))[0].path, "branch_re");
        assert!((kind.check)(&json!({"branch": "x"}))[0].message.contains("did you mean branch_"));
    }
}
