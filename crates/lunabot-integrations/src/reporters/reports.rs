//! Reports as reporters get them (11.003): tables of body, subject, type, results, builds and the like.

use super::details::{properties_in, wired};
use super::formatters::Message;
use super::formatters::kinds::BodyType;
use super::wanted::Wanted;
use lunabot_model::{Json, Properties, Results};
use serde_json::{Map, json};
use std::collections::BTreeSet;

/// A report in the making: the words about several builds come together (11.016).
#[derive(Default)]
pub(crate) struct Draft {
    body: Json,
    body_type: Option<BodyType>,
    subject: Option<String>,
    extra_info: Map<String, Json>,
    pub users: BTreeSet<String>,
    builds: Vec<Json>,
    patches: Vec<Json>,
    logs: Vec<Json>,
}

impl Draft {
    /// Types must agree, bodies follow each other, the first subject counts.
    pub fn merge(&mut self, message: Message) -> Result<(), String> {
        let Message { body, body_type, subject, extra_info } = message;
        if *self.body_type.get_or_insert(body_type) != body_type {
            return Err(format!(
                "messages of several types ({} and {}) cannot be one report",
                self.body_type.unwrap_or_default().name(),
                body_type.name()
            ));
        }
        self.body = match (self.body.take(), body) {
            (Json::Null, body) | (body, Json::Null) => body,
            (Json::String(a), Json::String(b)) => Json::String(a + &b),
            (Json::Array(mut a), Json::Array(b)) => {
                a.extend(b);
                a.into()
            }
            _ => {
                return Err(
                    "bodies of several builds must all be texts or all be lists to be one report".into()
                );
            }
        };
        self.subject = self.subject.take().or(subject);
        for (name, more) in extra_info.as_object().into_iter().flatten() {
            match (self.extra_info.get_mut(name), more) {
                (Some(Json::Object(known)), Json::Object(more)) => known.extend(more.clone()),
                _ => drop(self.extra_info.insert(name.clone(), more.clone())),
            }
        }
        Ok(())
    }

    /// A build, with what of it goes beside the words (11.013).
    pub fn add(&mut self, build: &Json, patch: bool, add_logs: &Wanted) {
        self.builds.push(build.clone());
        if patch {
            let stamps = build["buildset"]["sourcestamps"].as_array().into_iter().flatten();
            self.patches.extend(stamps.map(|stamp| stamp["patch"].clone()).filter(|patch| !patch.is_null()));
        }
        let steps = build["steps"].as_array().into_iter().flatten();
        let logs = steps.flat_map(|step| step["logs"].as_array().into_iter().flatten());
        let wanted = |log: &&Json| {
            let name = |field: &str| log[field].as_str().unwrap_or_default();
            let all = *add_logs == Wanted::Nothing;
            log.get("content").is_some() && (all || add_logs.log(name("stepname"), name("name")))
        };
        self.logs.extend(logs.filter(wanted).cloned());
    }

    /// The whole; `subject`: where no message has one.
    pub fn report(self, subject: Option<String>, results: Option<Results>, set: &Json) -> Json {
        json!({
            "body": self.body,
            "subject": self.subject.or(subject),
            "type": self.body_type.unwrap_or_default().name(),
            "results": results,
            "builds": self.builds,
            "buildset": set,
            "users": self.users,
            "patches": self.patches,
            "logs": self.logs,
            "extra_info": (!self.extra_info.is_empty()).then_some(self.extra_info),
        })
    }
}

/// 11.018.
pub(crate) fn of_worker(message: Message, name: &str, notify: &[Json]) -> Json {
    json!({
        "body": message.body,
        "subject": message.subject,
        "type": message.body_type.name(),
        "results": null,
        "builds": [],
        "buildset": null,
        "users": notify,
        "patches": [],
        "logs": [],
        "extra_info": message.extra_info,
        "worker": name,
    })
}

/// What a class of the configuration returned, if it is a report or nothing. The error says what it is instead.
///
/// `shown`: how a value is shown.
pub(crate) fn checked(
    answer: Json,
    known: &[Json],
    shown: impl Fn(&Json) -> String,
) -> Result<Option<Json>, String> {
    let mut report = match answer {
        Json::Null => return Ok(None),
        Json::Object(report) => report,
        other => {
            return Err(format!(
                "{}, which is no report; return a table {{body = …, builds = …}}, or nil",
                shown(&other)
            ));
        }
    };
    for name in ["builds", "users", "patches", "logs"] {
        match report.get_mut(name) {
            None => drop(report.insert(name.into(), json!([]))),
            Some(Json::Array(_)) => {}
            Some(empty @ Json::Object(_)) if empty.as_object().is_some_and(Map::is_empty) => {
                *empty = json!([]);
            }
            Some(_) => return Err(format!("a report whose {name} is no list")),
        }
    }
    for build in report.get_mut("builds").and_then(Json::as_array_mut).into_iter().flatten() {
        if !build.is_object() {
            return Err("a report with something in builds that is no table".into());
        }
        rewire(build, known);
    }
    Ok(Some(Json::Object(report)))
}

/// Properties that came back as plain values are properties again. Their sources are those that they had.
pub(crate) fn rewire(build: &mut Json, known: &[Json]) {
    let Some(Json::Object(values)) = build.get("properties") else { return };
    if values.contains_key("$properties") {
        return;
    }
    let before = known
        .iter()
        .find(|one| one["buildid"] == build["buildid"] && one["buildrequestid"] == build["buildrequestid"]);
    let before = before.and_then(properties_in).unwrap_or_default();
    let mut properties = Properties::new();
    for (name, value) in values {
        let source = before.property(name).filter(|property| property.value == *value);
        properties.set(name, value.clone(), source.map_or("Report", |property| property.source.as_str()));
    }
    build["properties"] = wired(&properties);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &Json) -> String {
        lunabot_model::text::returned(value, &str::to_owned)
    }

    fn message(body: Json, body_type: BodyType, extra: Json) -> Message {
        Message { body, body_type, subject: None, extra_info: extra }
    }

    #[test]
    fn row_11_016_messages_come_together() {
        let mut draft = Draft::default();
        let first = message(json!("a"), BodyType::Plain, json!({"x": {"a": 1, "b": 1}}));
        draft.merge(Message { subject: Some("first".into()), ..first }).unwrap();
        let second = message(json!("b"), BodyType::Plain, json!({"x": {"b": 2}, "y": {}}));
        draft.merge(Message { subject: Some("second".into()), ..second }).unwrap();
        assert!(
            draft
                .merge(message(json!("c"), BodyType::Html, Json::Null))
                .unwrap_err()
                .contains("several types")
        );
        assert!(draft.merge(message(json!([]), BodyType::Plain, Json::Null)).unwrap_err().contains("lists"));
        let report = draft.report(Some("default".into()), Some(Results::Failure), &json!({"bsid": 1}));
        assert_eq!(
            (&report["subject"], &report["type"], &report["results"]),
            (&json!("first"), &json!("plain"), &json!(2))
        );
        assert_eq!(report["extra_info"], json!({"x": {"a": 1, "b": 2}, "y": {}}));
        let mut lists = Draft::default();
        lists.merge(message(json!([1]), BodyType::Json, Json::Null)).unwrap();
        lists.merge(message(json!([2]), BodyType::Json, Json::Null)).unwrap();
        let report = lists.report(Some("default".into()), None, &Json::Null);
        assert_eq!(report["subject"], "default");
    }

    #[test]
    fn row_11_013_logs_and_patches_go_beside_the_words() {
        let log = |name: &str, content: bool| {
            let mut log = json!({"stepname": "make", "name": name});
            if content {
                log["content"] = json!({"content": "o\n"});
            }
            log
        };
        let build = json!({
            "buildset": {"sourcestamps": [{"patch": {"body": "p"}}, {"patch": null}]},
            "steps": [{"logs": [log("stdio", true), log("err", true), log("other", false)]}, {}],
        });
        for (patch, add_logs, patches, logs) in [
            (false, Wanted::Nothing, 0, 2),
            (true, Wanted::All, 1, 2),
            (true, Wanted::Named(vec!["make.stdio".into()]), 1, 1),
            (false, Wanted::Named(vec!["other".into()]), 0, 0),
        ] {
            let mut draft = Draft::default();
            draft.add(&build, patch, &add_logs);
            let report = draft.report(None, None, &Json::Null);
            let count = |name: &str| report[name].as_array().map(Vec::len);
            assert_eq!((count("patches"), count("logs")), (Some(patches), Some(logs)), "{add_logs:?}");
        }
    }

    #[test]
    fn row_11_019_what_a_class_returns_is_a_report_or_nothing() {
        assert_eq!(checked(Json::Null, &[], shown), Ok(None));
        let known =
            json!({"buildid": 1, "properties": {"$properties": {"x": [1, "Build"], "y": [2, "Build"]}}});
        let answer =
            json!({"body": "b", "users": {}, "builds": [{"buildid": 1, "properties": {"x": 1, "y": 3}}]});
        let report = checked(answer, &[known], shown).unwrap().unwrap();
        let wired = json!({"x": [1, "Build"], "y": [3, "Report"]});
        assert_eq!(report["builds"][0]["properties"]["$properties"], wired);
        assert_eq!((&report["users"], &report["logs"]), (&json!([]), &json!([])));
        for (answer, told) in [
            (json!("text"), "no report"),
            (json!({"builds": 1}), "builds is no list"),
            (json!({"builds": [1]}), "no table"),
        ] {
            assert!(checked(answer, &[], shown).unwrap_err().contains(told));
        }
        assert!(checked("x".repeat(10_000).into(), &[], shown).unwrap_err().len() < 200);
    }
}
