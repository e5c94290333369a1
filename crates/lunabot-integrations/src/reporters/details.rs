//! What is read of a build, a request or a buildset to report it (11.004): no more than is wanted.

use super::formatters::kinds::Common;
use super::means::Means;
use super::texts;
use super::wanted::Wanted;
use lunabot_data::{Answer, Data, DataError};
use lunabot_model::resources::SourceStamp;
use lunabot_model::{Json, Properties, Results};
use serde_json::json;
use std::collections::BTreeSet;

/// Of a longer log the last part is read, in bytes.
const LONGEST_LOG: usize = 1 << 20;
/// Of all logs of one report.
pub(crate) const LONGEST_LOGS: usize = 8 << 20;
/// Lines read at a time, at most: each may be a MiB long.
const LINES: i64 = 64;
/// Where what was read is longer, the next is one line again.
const LONG: usize = 64 << 10;

/// What is wanted of a build.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wants {
    pub properties: bool,
    pub steps: bool,
    pub logs: bool,
    pub logs_content: Wanted,
    /// Besides `logs_content`: those of `add_logs`.
    pub add_logs: Wanted,
    pub previous: bool,
}

impl Wants {
    pub fn of(common: &Common, add_logs: &Wanted) -> Self {
        Wants {
            properties: common.properties,
            steps: common.steps,
            logs: common.logs,
            logs_content: common.logs_content.clone(),
            add_logs: add_logs.clone(),
            previous: false,
        }
    }

    fn log(&self, step: &str, log: &str) -> bool {
        self.logs_content.log(step, log) || self.add_logs.log(step, log)
    }

    fn any_content(&self) -> bool {
        self.logs_content != Wanted::Nothing || self.add_logs != Wanted::Nothing
    }
}

/// Properties as functions are to see them: an object, whose changes are nobody else's.
pub(crate) fn wired(properties: &Properties) -> Json {
    json!({"$properties": properties, "$local": true})
}

/// The properties in a build as functions see it, or as one gave it back.
pub(crate) fn properties_in(build: &Json) -> Option<Properties> {
    serde_json::from_value(build.get("properties")?.get("$properties")?.clone()).ok()
}

/// A row, or the rows of a list; nothing: it is gone.
async fn get(data: &Data, path: &str, query: &str) -> Result<Option<Json>, DataError> {
    match data.get(path, query).await {
        Ok(Answer::One { item, .. }) => Ok(Some(item)),
        Ok(Answer::List { items, .. }) => Ok(Some(items.into())),
        Ok(Answer::Raw) | Err(DataError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn list(data: &Data, path: &str) -> Result<Vec<Json>, DataError> {
    match get(data, path, "").await? {
        Some(Json::Array(items)) => Ok(items),
        _ => Ok(Vec::new()),
    }
}

/// A build with all that belongs to it; nothing: it is gone. Its logs take their share of `room`.
pub(crate) async fn build(
    means: &Means,
    row: &Json,
    wants: &Wants,
    room: &mut usize,
) -> Result<Option<Json>, DataError> {
    let (data, mut build) = (&means.data, row.clone());
    let id = build["buildid"].clone();
    let Some(request) = get(data, &format!("buildrequests/{}", build["buildrequestid"]), "").await? else {
        return Ok(None);
    };
    if !around(means, &mut build, request).await? {
        return Ok(None);
    }
    build["url"] = texts::build_url(&means.site().url, &build["builderid"], &build["number"]).into();
    if wants.previous {
        build["prev_build"] = previous(data, &build).await?;
    }
    build["properties"] = Json::Null;
    if wants.properties {
        build["properties"] = wired(&properties_of(data, &build).await?);
    }
    if wants.steps || wants.logs || wants.any_content() {
        build["steps"] = steps(means, &id, &build, wants, room).await?.into();
    }
    Ok(Some(build))
}

/// A request as if it were a build (11.015); nothing: it is gone.
pub(crate) async fn request(means: &Means, row: &Json, cancelled: bool) -> Result<Option<Json>, DataError> {
    let mut build = as_build(row, cancelled);
    build["url"] = texts::request_url(&means.site().url, &row["buildrequestid"]).into();
    if !around(means, &mut build, row.clone()).await? {
        return Ok(None);
    }
    build["properties"] = wired(&properties_of(&means.data, &build).await?);
    Ok(Some(build))
}

/// What such a build has of its own, without its URL.
fn as_build(row: &Json, cancelled: bool) -> Json {
    json!({
        "buildrequestid": row["buildrequestid"],
        "builderid": row["builderid"],
        "number": null,
        "complete": cancelled,
        "complete_at": cancelled.then_some(&row["complete_at"]),
        "started_at": row["submitted_at"],
        // Mostly cancelled; skipped where the workers were away for too long.
        "results": cancelled.then_some(&row["results"]),
        "state_string": "",
    })
}

/// What both have: request, set, builder, and the build that they belong to; false: something is gone.
async fn around(means: &Means, build: &mut Json, request: Json) -> Result<bool, DataError> {
    let data = &means.data;
    let set = get(data, &format!("buildsets/{}", request["buildsetid"]), "").await?;
    let builder = get(data, &format!("builders/{}", build["builderid"]), "").await?;
    let (Some(set), Some(builder)) = (set, builder) else { return Ok(false) };
    (build["parentbuild"], build["parentbuilder"]) = (Json::Null, Json::Null);
    if let Some(parent) = set["parent_buildid"].as_i64()
        && let Some(parent) = get(data, &format!("builds/{parent}"), "").await?
    {
        build["parentbuilder"] =
            get(data, &format!("builders/{}", parent["builderid"]), "").await?.unwrap_or_default();
        build["parentbuild"] = parent;
    }
    (build["buildrequest"], build["buildset"], build["builder"]) = (request, set, builder);
    Ok(true)
}

/// A buildset with the builds of its requests; nothing: it is gone.
pub(crate) async fn buildset(means: &Means, id: &Json) -> Result<Option<(Json, Vec<Json>)>, DataError> {
    let data = &means.data;
    let Some(set) = get(data, &format!("buildsets/{id}"), "").await? else { return Ok(None) };
    let mut builds = Vec::new();
    let query = format!("buildsetid={id}&order=buildrequestid");
    let requests = get(data, "buildrequests", &query).await?.unwrap_or_default();
    for request in requests.as_array().into_iter().flatten() {
        let query = format!("buildrequestid={}&order=-buildid&limit=1", request["buildrequestid"]);
        let newest = get(data, "builds", &query).await?.unwrap_or_default();
        builds.extend(newest.as_array().into_iter().flatten().cloned());
    }
    Ok(Some((set, builds)))
}

/// The nearest build before whose result is not RETRY (11.011).
async fn previous(data: &Data, build: &Json) -> Result<Json, DataError> {
    let query = format!("number__lt={}&complete=true&results__ne=5&order=-number&limit=1", build["number"]);
    let found = get(data, &format!("builders/{}/builds", build["builderid"]), &query).await?;
    Ok(found.and_then(|found| found.get(0).cloned()).unwrap_or_default())
}

/// The properties of a build, or of a request that stands for one; secrets are named.
pub(crate) async fn properties_of(data: &Data, build: &Json) -> Result<Properties, DataError> {
    let found = match build["buildid"].as_i64() {
        Some(id) => get(data, &format!("builds/{id}/properties"), "").await?,
        None => {
            let path = format!("buildrequests/{}", build["buildrequestid"]);
            get(data, &path, "property=*").await?.map(|mut row| row["properties"].take())
        }
    };
    Ok(found.and_then(|found| serde_json::from_value(found).ok()).unwrap_or_default())
}

async fn steps(
    means: &Means,
    id: &Json,
    build: &Json,
    wants: &Wants,
    room: &mut usize,
) -> Result<Vec<Json>, DataError> {
    let data = &means.data;
    let mut steps = list(data, &format!("builds/{id}/steps")).await?;
    if !wants.logs && !wants.any_content() {
        return Ok(steps);
    }
    let (site, page) = (means.site(), build["url"].as_str().unwrap_or_default());
    for step in &mut steps {
        let mut logs = list(data, &format!("steps/{}/logs", step["stepid"])).await?;
        for log in &mut logs {
            for (name, url) in texts::log_urls(&site.url, page, step, log) {
                log[name] = url.into();
            }
            log["stepname"] = step["name"].clone();
            let names = (step["name"].as_str().unwrap_or_default(), log["name"].as_str().unwrap_or_default());
            if wants.log(names.0, names.1) {
                log["content"] = content(data, log, room).await?;
            }
        }
        step["logs"] = logs.into();
    }
    Ok(steps)
}

/// The end of a log.
async fn content(data: &Data, log: &Json, room: &mut usize) -> Result<Json, DataError> {
    let id = log["logid"].as_i64().unwrap_or_default();
    let (mut first, mut parts, mut size) = (log["num_lines"].as_i64().unwrap_or_default(), Vec::new(), 0);
    let (most, mut lines) = (LONGEST_LOG.min(*room), 1);
    while first > 0 && size < most {
        let from = (first - lines).max(0);
        let part = data.log_lines(id, from, first - 1).await?;
        lines = if part.len() > LONG { 1 } else { (lines * 2).min(LINES) };
        (first, size) = (from, size + part.len());
        parts.push(part);
    }
    let text: String = parts.into_iter().rev().collect();
    let (skipped, text) = end_of(&text, most);
    *room -= text.len();
    Ok(json!({"logid": id, "firstline": first + skipped, "content": text}))
}

/// The last whole lines of a text that fit, and how many are left out.
fn end_of(text: &str, most: usize) -> (i64, &str) {
    if text.len() <= most {
        return (0, text);
    }
    let cut = text.len() - most;
    let start =
        text.as_bytes()[cut - 1..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| cut + at);
    let skipped = text[..start].lines().count();
    (i64::try_from(skipped).unwrap_or(i64::MAX), &text[start..])
}

/// Who has to do with a build (11.030), each once, in order.
pub(crate) async fn users(
    data: &Data,
    build: &Json,
    properties: &Properties,
) -> Result<Vec<String>, DataError> {
    let mut users = BTreeSet::new();
    match build["buildid"].as_i64() {
        Some(id) => {
            let changes = list(data, &format!("builds/{id}/changes")).await?;
            users.extend(changes.iter().filter_map(|change| change["author"].as_str().map(str::to_owned)));
        }
        None => {
            let stamps: Vec<i64> = stamps_of(build).iter().map(|stamp| stamp.ssid).collect();
            users.extend(data.changes_of_stamps(&stamps).await?.into_iter().map(|change| change.author));
        }
    }
    users.extend(properties.text("owner").map(str::to_owned));
    let owners = properties.get("owners").and_then(Json::as_array).into_iter().flatten();
    users.extend(owners.filter_map(|owner| owner.as_str().map(str::to_owned)));
    users.remove("");
    Ok(users.into_iter().collect())
}

/// The source stamps of a build as it is reported.
pub(crate) fn stamps_of(build: &Json) -> Vec<SourceStamp> {
    stamps_in(&build["buildset"])
}

/// The source stamps of a buildset as it is reported.
pub(crate) fn stamps_in(set: &Json) -> Vec<SourceStamp> {
    serde_json::from_value(set["sourcestamps"].clone()).unwrap_or_default()
}

/// What came of a build; nothing: it runs.
pub(crate) fn results_of(row: &Json) -> Option<Results> {
    Results::from_code(row["results"].as_i64()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_11_004_the_last_whole_lines_of_a_log_that_fit() {
        for (text, most, end) in [
            ("a\nb\n", 10, (0, "a\nb\n")),
            ("aaa\nb\nc\n", 4, (1, "b\nc\n")),
            ("aaa\nb\nc\n", 5, (1, "b\nc\n")),
            ("aaa\nb\nc\n", 3, (2, "c\n")),
            ("aéa\nb\n", 3, (1, "b\n")),
            ("aaaaaaa", 3, (1, "")),
            ("aaa\n", 0, (1, "")),
            ("", 0, (0, "")),
        ] {
            assert_eq!(end_of(text, most), end, "{text:?} {most}");
        }
    }

    #[test]
    fn row_11_015_a_request_that_ended_has_its_own_result() {
        let row = |results: Option<Results>| json!({"complete_at": 7, "results": results.map(Results::code)});
        for results in [Results::Cancelled, Results::Skipped] {
            let build = as_build(&row(Some(results)), true);
            assert_eq!((results_of(&build), &build["complete_at"]), (Some(results), &json!(7)));
        }
        assert_eq!(as_build(&row(None), false)["results"], Json::Null);
    }
}
