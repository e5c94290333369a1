//! Which changes pass a `util.ChangeFilter` (reference 03.027, 03.028).
//!
//! [`ChangeFilter::values_match`] is pure; [`ChangeFilter::matches`] also asks the filter's functions, first and in the
//! reference's order, through the script host.

use crate::kinds::filters::{BranchValues, ChangeFilterParams, Values};
use crate::kinds::gerrit_filter::{EVENT_TYPE, GerritChangeFilterParams, TARGET};
use crate::resources::Change;
use crate::script::{CallSite, Inert};
use crate::{AnyObject, Arg, Callback, Json, Properties, ScriptHost, ScriptObject, pattern};
use regex::Regex;
use serde::Deserialize;
use std::sync::Arc;

/// The kinds that [`ChangeFilter::read`] takes.
pub const FILTERS: &[&str] = &["util.ChangeFilter", "util.GerritChangeFilter"];

/// A filter ready to use.
#[derive(Debug, Clone, Default)]
pub struct ChangeFilter {
    /// Option, function, and what it is asked about.
    functions: Vec<(&'static str, Callback, Subject)>,
    rules: Vec<(Subject, Rule)>,
}

/// What of a change is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Subject {
    Change,
    Project,
    Codebase,
    Repository,
    Category,
    Branch,
    Property(String),
}

/// A condition on one value.
#[derive(Debug, Clone)]
pub(crate) enum Rule {
    /// The value is one of these, or (`false`) none of these. `None` is the branch nil.
    In(Vec<Option<String>>, bool),
    /// One of the patterns matches, or (`false`) none does. A missing value matches no pattern.
    Matches(Vec<Regex>, bool),
}

impl Rule {
    pub fn patterns(patterns: &[String], wanted: bool) -> Result<Self, String> {
        let patterns = patterns.iter().map(|p| pattern::anchored(p)).collect::<Result<_, _>>()?;
        Ok(Rule::Matches(patterns, wanted))
    }

    pub fn holds(&self, value: Option<&str>) -> bool {
        match self {
            Rule::In(values, wanted) => values.iter().any(|v| v.as_deref() == value) == *wanted,
            Rule::Matches(patterns, wanted) => {
                value.is_some_and(|value| patterns.iter().any(|p| p.is_match(value))) == *wanted
            }
        }
    }
}

impl ChangeFilter {
    /// Reads an object of one of the [`FILTERS`].
    pub fn read(object: &AnyObject) -> Result<Self, String> {
        let told = |error: serde_json::Error| error.to_string();
        match object.kind.as_str() {
            "util.ChangeFilter" => Self::new(&ChangeFilterParams::deserialize(&object.args).map_err(told)?),
            "util.GerritChangeFilter" => {
                Self::gerrit(&GerritChangeFilterParams::deserialize(&object.args).map_err(told)?)
            }
            other => Err(format!("expected a util.ChangeFilter, not a {other}")),
        }
    }

    /// 02.023: the branch and the type are those of the event.
    fn gerrit(p: &GerritChangeFilterParams) -> Result<Self, String> {
        let mut filter = Self::new(&p.common)?;
        let (kind, target) = (Subject::Property(EVENT_TYPE.into()), Subject::Property(TARGET.into()));
        let (event, none) = (&p.event, &Values(None));
        for (option, function, subject) in
            [("branch_fn", &p.branch_fn, &target), ("eventtype_fn", &event.eventtype_fn, &kind)]
        {
            filter.functions.extend(function.iter().map(|f| (option, f.clone(), subject.clone())));
        }
        filter.values(&kind, (&event.eventtype, none), (&event.eventtype_re, none))?;
        filter.branches(&target, &p.branch, &p.branch_not_eq);
        filter.values(&target, (none, none), (&p.branch_re, &p.branch_not_re))?;
        Ok(filter)
    }

    pub fn new(p: &ChangeFilterParams) -> Result<Self, String> {
        let mut filter = ChangeFilter::default();
        for (option, function, subject) in [
            ("filter_fn", &p.filter_fn, Subject::Change),
            ("project_fn", &p.project_fn, Subject::Project),
            ("codebase_fn", &p.codebase_fn, Subject::Codebase),
            ("repository_fn", &p.repository_fn, Subject::Repository),
            ("category_fn", &p.category_fn, Subject::Category),
            ("branch_fn", &p.branch_fn, Subject::Branch),
        ] {
            filter.functions.extend(function.iter().map(|f| (option, f.clone(), subject.clone())));
        }
        let branch_re = (&p.branch_re, &p.branch_not_re);
        filter.values(
            &Subject::Project,
            (&p.project, &p.project_not_eq),
            (&p.project_re, &p.project_not_re),
        )?;
        filter.values(
            &Subject::Codebase,
            (&p.codebase, &p.codebase_not_eq),
            (&p.codebase_re, &p.codebase_not_re),
        )?;
        let repository = (&p.repository, &p.repository_not_eq);
        filter.values(&Subject::Repository, repository, (&p.repository_re, &p.repository_not_re))?;
        filter.values(
            &Subject::Category,
            (&p.category, &p.category_not_eq),
            (&p.category_re, &p.category_not_re),
        )?;
        filter.branches(&Subject::Branch, &p.branch, &p.branch_not_eq);
        filter.values(&Subject::Branch, (&Values(None), &Values(None)), branch_re)?;
        for (map, wanted) in [(&p.property_eq, true), (&p.property_not_eq, false)] {
            for (name, values) in map {
                filter.equal(Subject::Property(name.clone()), values, wanted);
            }
        }
        for (map, wanted) in [(&p.property_re, true), (&p.property_not_re, false)] {
            for (name, values) in map {
                filter.pattern(Subject::Property(name.clone()), values, wanted)?;
            }
        }
        Ok(filter)
    }

    fn values(
        &mut self,
        subject: &Subject,
        (eq, not_eq): (&Values, &Values),
        (re, not_re): (&Values, &Values),
    ) -> Result<(), String> {
        self.equal(subject.clone(), eq, true);
        self.equal(subject.clone(), not_eq, false);
        self.pattern(subject.clone(), re, true)?;
        self.pattern(subject.clone(), not_re, false)
    }

    fn equal(&mut self, subject: Subject, values: &Values, wanted: bool) {
        if let Some(values) = &values.0 {
            self.rules.push((subject, Rule::In(values.iter().cloned().map(Some).collect(), wanted)));
        }
    }

    fn branches(&mut self, subject: &Subject, eq: &BranchValues, not_eq: &BranchValues) {
        for (values, wanted) in [(eq, true), (not_eq, false)] {
            if let Some(values) = &values.0 {
                self.rules.push((subject.clone(), Rule::In(values.clone(), wanted)));
            }
        }
    }

    fn pattern(&mut self, subject: Subject, values: &Values, wanted: bool) -> Result<(), String> {
        if let Some(values) = &values.0 {
            self.rules.push((subject, Rule::patterns(values, wanted)?));
        }
        Ok(())
    }

    /// Adds the condition that the branch is one of these; `None` is the branch nil (schedulers' `branch`).
    #[must_use]
    pub fn with_branches(mut self, branches: Vec<Option<String>>) -> Self {
        self.rules.push((Subject::Branch, Rule::In(branches, true)));
        self
    }

    /// Adds the condition that the category is one of these (schedulers' `categories`).
    #[must_use]
    pub fn with_categories(mut self, categories: Vec<String>) -> Self {
        self.rules.push((Subject::Category, Rule::In(categories.into_iter().map(Some).collect(), true)));
        self
    }

    /// The conditions on values alone.
    pub fn values_match(&self, change: &Change) -> bool {
        self.rules.iter().all(|(subject, rule)| {
            let value = value_of(change, subject);
            rule.holds(value.as_deref())
        })
    }

    /// All conditions. `concerns` names the scheduler in errors of functions; such an error is "no match".
    pub async fn matches(&self, change: &Change, host: &dyn ScriptHost, concerns: &str) -> bool {
        for (option, function, subject) in &self.functions {
            let arg = match subject {
                Subject::Change => Arg::Object(change_object(change)),
                other => Arg::Value(value_of(change, other).map_or(Json::Null, |v| v.into_owned().into())),
            };
            let site = CallSite::new(*option, concerns);
            if decide(host, function, site, vec![arg]).await != Some(true) {
                return false;
            }
        }
        self.values_match(change)
    }
}

/// Calls a function that decides: true, false, or nil for false. `None` after an error, which the host has recorded.
pub async fn decide(
    host: &dyn ScriptHost,
    function: &Callback,
    site: CallSite,
    args: Vec<Arg>,
) -> Option<bool> {
    match host.call(function, site.clone(), args).await {
        Ok(Json::Bool(decision)) => Some(decision),
        Ok(Json::Null) => Some(false),
        Ok(other) => {
            let (name, shown) = (&site.callback, host.shown(&other));
            let text = format!("{name} returned {shown}; return util.truthy(v) or v ~= nil");
            host.nonsense(function, site, &text);
            None
        }
        Err(_) => None,
    }
}

fn value_of<'c>(change: &'c Change, subject: &Subject) -> Option<std::borrow::Cow<'c, str>> {
    match subject {
        Subject::Change => None,
        Subject::Project => Some(change.project.as_str().into()),
        Subject::Codebase => Some(change.codebase.as_str().into()),
        Subject::Repository => Some(change.repository.as_str().into()),
        Subject::Category => change.category.as_deref().map(Into::into),
        Subject::Branch => change.branch.as_deref().map(Into::into),
        Subject::Property(name) => property_text(&change.properties, name),
    }
}

fn property_text<'c>(properties: &'c Properties, name: &str) -> Option<std::borrow::Cow<'c, str>> {
    match properties.get(name)? {
        Json::Null => None,
        Json::String(text) => Some(text.as_str().into()),
        other => Some(crate::percent::text(other).into()),
    }
}

/// A change as functions of the configuration see it (lua-api § 2): the resource with `who` and `properties` as values.
pub fn change_object(change: &Change) -> ScriptObject {
    let mut fields = serde_json::to_value(change).unwrap_or_default();
    fields["who"] = change.author.as_str().into();
    let properties = fields["properties"].take();
    fields["properties"] = serde_json::json!({"$properties": properties});
    ScriptObject::new("change", format!("change-{}", change.changeid), fields, Arc::new(Inert))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::CallbackRef;
    use crate::{BoxFuture, Kind, ScriptError};
    use serde_json::json;
    use std::sync::Mutex;

    fn change(changed: Json) -> Change {
        let mut fields = json!({
            "changeid": 1, "parent_changeids": [], "author": "joe", "committer": null, "files": [], "comments": "",
            "revision": null, "when_timestamp": 0, "branch": "b", "category": "c", "revlink": null,
            "properties": {"k": ["v", "Change"], "n": [3, "Change"]}, "repository": "r", "project": "p",
            "codebase": "cb",
            "sourcestamp": {"ssid": 1, "revision": null, "branch": null, "repository": "", "project": "",
                            "codebase": "", "patch": null, "created_at": 0}});
        fields.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
        serde_json::from_value(fields).unwrap()
    }

    fn filter(args: Json) -> ChangeFilter {
        let object = json!({"$kind": "util.ChangeFilter", "$id": 1, "$at": "m.lua:1", "$args": args});
        ChangeFilter::read(&AnyObject::from_json(&object).unwrap()).unwrap()
    }

    #[test]
    fn truth_table_03_027_03_028() {
        for (args, changed, want) in [
            (json!({}), json!({}), true),
            (json!({"branch": null}), json!({}), false),
            (json!({"branch": null}), json!({"branch": null}), true),
            (json!({"branch": ["b", null]}), json!({"branch": null}), true),
            (json!({"branch_not_eq": null}), json!({"branch": null}), false),
            (json!({"branch_not_eq": null}), json!({}), true),
            (json!({"branch": "b"}), json!({}), true),
            (json!({"branch": ["a", "b"]}), json!({}), true),
            (json!({"category": null}), json!({}), true),
            (json!({"category": "c"}), json!({"category": null}), false),
            (json!({"category_not_eq": ["c", "d"]}), json!({}), false),
            (json!({"category_not_eq": ["e", "d"]}), json!({}), true),
            (json!({"project_re": "x"}), json!({"project": "axb"}), false),
            (json!({"project_re": "x"}), json!({"project": "xb"}), true),
            (json!({"project_re": ["a", "x"]}), json!({"project": "xb"}), true),
            (json!({"project_not_re": ["a", "x"]}), json!({"project": "xb"}), false),
            (json!({"project_not_re": ["a", "y"]}), json!({"project": "xb"}), true),
            (json!({"project_re": ""}), json!({}), true),
            (json!({"project": ""}), json!({"project": ""}), true),
            (json!({"project": []}), json!({}), false),
            (json!({"branch_re": ".*"}), json!({"branch": null}), false),
            (json!({"branch_not_re": ".*"}), json!({"branch": null}), true),
            (json!({"repository": "r", "codebase": "cb", "branch_re": "b$"}), json!({}), true),
            (json!({"repository": "r", "codebase": "other"}), json!({}), false),
            (json!({"property_eq": {"k": "v"}}), json!({}), true),
            (json!({"property_eq": {"k": ["a", "v"]}}), json!({}), true),
            (json!({"property_eq": {"q": "v"}}), json!({}), false),
            (json!({"property_not_eq": {"q": "v"}}), json!({}), true),
            (json!({"property_not_eq": {"k": "v"}}), json!({}), false),
            (json!({"property_re": {"k": ["a", "v|w"]}}), json!({}), true),
            (json!({"property_re": {"q": "v"}}), json!({}), false),
            (json!({"property_not_re": {"q": "v"}}), json!({}), true),
            (json!({"property_not_re": {"k": ["v"]}}), json!({}), false),
        ] {
            assert_eq!(filter(args.clone()).values_match(&change(changed.clone())), want, "{args} {changed}");
        }
    }

    #[test]
    fn a_filter_of_gerrits_changes_looks_at_the_event_02_023() {
        let properties =
            json!({"event.type": ["patchset-created", "Change"], "event.change.branch": ["main", "Change"]});
        let review = json!({"branch": "refs/changes/1/1/1", "properties": properties});
        for (args, want) in [
            (json!({}), true),
            (json!({"branch": "main", "eventtype": "patchset-created"}), true),
            (json!({"branch": ["x", "main"], "eventtype_re": "patch|ref"}), true),
            (json!({"branch": "refs/changes/1/1/1"}), false),
            (json!({"branch_not_eq": "main"}), false),
            (json!({"branch_re": "ma"}), true),
            (json!({"branch_not_re": "ma"}), false),
            (json!({"eventtype": "ref-updated"}), false),
            (json!({"eventtype": ["ref-updated", "patchset-created"], "project": "p"}), true),
            (json!({"eventtype": "patchset-created", "project": "q"}), false),
        ] {
            let object =
                json!({"$kind": "util.GerritChangeFilter", "$id": 1, "$at": "m.lua:1", "$args": args});
            let filter = ChangeFilter::read(&AnyObject::from_json(&object).unwrap()).unwrap();
            assert_eq!(filter.values_match(&change(review.clone())), want, "{args}");
        }
        let problems = crate::kind::check_as::<GerritChangeFilterParams>(
            &json!({"eventtype_re": "(", "branch_re": "["}),
        );
        assert_eq!(
            problems.iter().map(|p| p.path.as_str()).collect::<Vec<_>>(),
            ["eventtype_re", "branch_re"]
        );
        let problems = crate::kind::check_as::<GerritChangeFilterParams>(&json!({"evnttype": "x"}));
        assert!(problems[0].message.starts_with("unknown option"), "{problems:?}");
    }

    /// Answers with what the function's number stands for; remembers who was asked.
    #[derive(Default)]
    struct Host(Mutex<Vec<String>>);

    impl ScriptHost for Host {
        fn call<'a>(
            &'a self,
            callback: &'a Callback,
            site: CallSite,
            args: Vec<Arg>,
        ) -> BoxFuture<'a, Result<Json, ScriptError>> {
            self.0.lock().unwrap().push(format!("{} {args:?}", site.callback));
            let answers = [json!(true), json!(false), json!(null), json!("yes")];
            Box::pin(std::future::ready(Ok(answers[callback.id as usize].clone())))
        }
        fn nonsense(&self, _: &Callback, site: CallSite, message: &str) {
            self.0.lock().unwrap().push(format!("nonsense {}: {message}", site.concerns));
        }
        fn generation(&self) -> u64 {
            1
        }
    }

    fn function(id: u64) -> Json {
        let inner = CallbackRef { id, generation: 1, fingerprint: String::new(), at: "m.lua:1".into() };
        serde_json::to_value(Callback::new(inner)).unwrap()
    }

    fn ask(args: Json) -> (bool, Vec<String>) {
        let host = Host::default();
        let answer =
            futures::executor::block_on(filter(args).matches(&change(json!({})), &host, "scheduler s"));
        (answer, host.0.into_inner().unwrap())
    }

    #[test]
    fn functions_come_first_and_in_order_03_027() {
        let yes = function(0);
        let all = json!({"branch_fn": yes, "filter_fn": yes, "category_fn": yes, "codebase_fn": yes,
                         "project_fn": yes, "repository_fn": yes, "branch": "no"});
        let (answer, asked) = ask(all);
        assert!(!answer);
        assert_eq!(
            asked,
            [
                "filter_fn [change change-1]",
                "project_fn [\"p\"]",
                "codebase_fn [\"cb\"]",
                "repository_fn [\"r\"]",
                "category_fn [\"c\"]",
                "branch_fn [\"b\"]"
            ]
        );
        assert!(!ask(json!({"branch_fn": function(1)})).0);
        assert!(!ask(json!({"branch_fn": function(2)})).0);
    }

    #[test]
    fn a_result_that_is_no_decision_is_recorded_and_no_match() {
        let (answer, asked) = ask(json!({"branch_fn": function(3)}));
        assert!(!answer);
        assert_eq!(
            asked[1],
            "nonsense scheduler s: branch_fn returned \"yes\"; return util.truthy(v) or v ~= nil"
        );
    }

    #[test]
    fn patterns_are_judged_when_loaded() {
        let kind: &Kind = crate::kinds::KINDS.iter().find(|kind| kind.name == "ChangeFilter").unwrap();
        let problems = (kind.check)(&json!({"branch_re": "(", "property_re": {"k": ["a", "(?!b)"]}}));
        assert_eq!(problems[0].path, "branch_re");
        assert_eq!(problems[1].path, "property_re.k");
        assert!(problems[1].message.contains("look-around"));
        let problems = (kind.check)(&json!({"branch_eq": "x"}));
        assert!(problems[0].message.starts_with("unknown option"), "{problems:?}");
        assert!(
            (kind.check)(&json!({"project": 3}))[0].message.contains("expected a text or a list of texts")
        );
    }
}
