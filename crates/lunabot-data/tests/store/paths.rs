//! Every path with every field, and what is said of bad ones.

use crate::support::*;
use lunabot_data::new::LogText;
use lunabot_data::{Answer, Data, DataError};
use lunabot_model::Json;
use lunabot_model::resources::LogType;

/// A store in which every path of the API finds something.
async fn filled(data: &Data) {
    let project = lunabot_data::new::ProjectDecl { name: "p".into(), slug: "p".into(), ..Default::default() };
    data.sync_projects(&[project]).await.unwrap();
    let codebase =
        lunabot_data::new::CodebaseDecl { name: "k".into(), slug: "k".into(), project: "p".into() };
    data.sync_codebases(&[codebase]).await.unwrap();
    let commit = lunabot_data::new::NewCommit { revision: "r".into(), ..Default::default() };
    data.add_commit(1, "main", commit).await.unwrap();
    let (builder, worker) = configured(data).await;
    data.sync_schedulers(&["s".into()]).await.unwrap();
    data.sync_change_sources(&["c".into()]).await.unwrap();
    let change = lunabot_data::new::NewChange { author: "a".into(), ..Default::default() };
    data.add_change(change).await.unwrap();
    let (_, requests) = data.add_buildset(buildset(&[builder])).await.unwrap();
    let (build, _) = data.add_build(new_build(builder, requests[&builder], worker)).await.unwrap();
    data.set_build_data(build.buildid, "d", vec![1, 2], "s").await.unwrap().detach();
    let (step, _) = data.add_step(build.buildid, "st", "").await.unwrap();
    let (log, _) = data.add_log(step.stepid, "l", LogType::Text).await.unwrap();
    data.append_log(log.logid, LogText("x\n".into())).await.unwrap().detach();
    data.flush().await.unwrap();
}

/// A path that fits a pattern.
fn example(pattern: &str) -> String {
    let part = |part: &str| {
        match part {
            "n:build_number" => "1",
            "n:step_number" => "0",
            "i:step_name" => "st",
            "i:log_slug" => "l",
            "i:build_data_name" => "d",
            "s:buildername" => "b",
            "s:name" => "w",
            "s:projectname" => "p",
            "i:codebasename" => "k",
            "s:revision" => "r",
            "i:schedulername" => "f",
            other if other.starts_with("n:") => "1",
            other if other.contains(':') => "none",
            other => return other.to_owned(),
        }
        .to_owned()
    };
    pattern.split('/').map(part).collect::<Vec<_>>().join("/")
}

pub async fn every_path_and_every_field_can_be_asked(place: Place) {
    let data = place.open().await;
    filled(&data).await;
    for endpoint in lunabot_db::endpoints::endpoints() {
        let path = example(&endpoint.pattern);
        match data.get(&path, "").await {
            Ok(Answer::List { items, total, .. }) => {
                assert_eq!(total, i64::try_from(items.len()).ok(), "{path}");
                for item in &items {
                    every_field(&data, &path, item).await;
                }
            }
            Ok(Answer::One { .. }) => {
                let kept = data.get_json(&path, "", false).await.unwrap().unwrap().body;
                assert!(kept.starts_with(b"{"), "{path}");
            }
            Ok(Answer::Raw) => drop(data.raw(&path).await.unwrap()),
            Err(DataError::NotFound(text)) => {
                assert!(text.starts_with("not found while getting from endpoint for /"), "{text}");
                let absent = ["forceschedulers", "test_result_sets"];
                assert!(absent.iter().any(|part| path.contains(part)), "{path}: {text}");
            }
            Err(error) => panic!("{path}: {error}"),
        }
    }
}

/// Filters and orders by each field of a row find that row.
async fn every_field(data: &Data, path: &str, item: &Json) {
    for (name, value) in item.as_object().unwrap() {
        let text = match value {
            Json::Number(n) => n.to_string(),
            Json::Bool(b) => b.to_string(),
            Json::String(s) => s.clone(),
            _ => {
                if value.is_null() {
                    let _ = data.get(path, &format!("order=-{name}")).await;
                }
                continue;
            }
        };
        for query in [
            format!("{name}={text}&order={name}"),
            format!("{name}__in={text}&{name}__in={text}&order=-{name}"),
            format!("{name}__contains={text}&limit=5&offset=0"),
            format!("{name}__le={text}&{name}__ge={text}&field={name}"),
        ] {
            // A truth value is not searched for substrings, and has no order.
            if value.is_boolean() && (query.contains("contains") || query.contains("__le")) {
                continue;
            }
            assert!(!list(data, path, &query).await.is_empty(), "{path}?{query}");
        }
        let none = list(data, path, &format!("{name}__ne={text}")).await;
        assert!(!none.contains(item), "{path}: {name}__ne");
    }
}

pub async fn errors_have_their_texts(place: Place) {
    let data = place.open().await;
    filled(&data).await;
    for (path, query, text) in [
        ("nothing/here", "", "Invalid path: nothing/here"),
        ("builds/", "", "Invalid path: builds/"),
        (
            "builds/77",
            "",
            "not found while getting from endpoint for /builds/n:buildid with arguments {'buildid': 77}",
        ),
        ("builds", "field=x", "no such field 'x'"),
        ("builds", "foo=1", "unrecognized query parameter 'foo'"),
        ("builds", "number=x", "invalid filter value for number"),
        ("builds", "limit=x", "invalid limit"),
        ("builds", "offset=x", "invalid offset"),
        ("builds", "field=number&order=buildid", "cannot order on un-selected fields"),
        ("builds", "field=number&buildid=1", "cannot filter on un-selected fields"),
        ("builds/1", "number=1", "this is not a collection"),
    ] {
        assert_eq!(data.get(path, query).await.unwrap_err().to_string(), text);
    }
    assert!(data.get("builds", "x__foo=1").await.is_ok(), "09.065");
    let injected = "state_string=x'%3BDROP TABLE builds--";
    assert!(list(&data, "builds", injected).await.is_empty());
    assert_eq!(list(&data, "builds", "").await.len(), 1);
}

/// Both engines accept every statement.
pub async fn every_statement_can_be_prepared(place: Place) {
    assert_eq!(open_store(&place).await.prepare_all().await, [""; 0]);
}
