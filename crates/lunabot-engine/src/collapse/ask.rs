//! Functions that decide what collapses (reference 07.004, 07.005; lua-api § 2).

use super::SOURCE;
use crate::scripts::{BuilderView, RequestChanges, builder_object, master_object, request_object};
use futures::StreamExt;
use futures::stream::FuturesOrdered;
use lunabot_data::new::PendingRequest;
use lunabot_model::script::CallSite;
use lunabot_model::{Arg, BuildRequestId, Callback, Json, Properties};
use std::sync::Arc;

/// Asked for in one go: the way between the threads does not count then, and others get their turn.
const AT_ONCE: usize = 64;
/// The next ones are there when the interpreter is done with some.
const CHUNKS: usize = 3;

/// Requests that a new one makes needless, each with properties for the new one.
pub(super) type Doomed = Vec<(Arc<PendingRequest>, Properties)>;

fn site(builder: &BuilderView) -> CallSite {
    CallSite::new("collapseRequests", format!("builder {}", builder.plan.config.name))
}

/// Tells that an answer makes no sense.
fn nonsense(builder: &BuilderView, callback: &Callback, what: &str, answer: &Json, expected: &str) {
    let host = &builder.plan.generation.host;
    let got = host.shown(answer);
    host.nonsense(callback, site(builder), &format!("{what} returned {got}; {expected}"));
}

/// Asks about every pair, oldest first.
pub(super) async fn pairs(
    builder: &BuilderView,
    callback: &Callback,
    new: &Arc<PendingRequest>,
    olders: &[Arc<PendingRequest>],
    changes: &RequestChanges,
) -> Doomed {
    let common = [master_object(), builder_object(builder), request_object(builder, new, changes)];
    let common: Vec<Arg> = common.into_iter().map(Arg::Object).collect();
    let answers = each(builder, callback, common, olders, changes).await;
    let doomed = olders.iter().zip(answers).filter_map(|(old, answer)| {
        let answer = answer?;
        let properties = verdict(&answer).unwrap_or_else(|()| {
            let expected = "return true, false, or true, {set_properties = {…}}";
            nonsense(builder, callback, "collapseRequests", &answer, expected);
            None
        });
        Some((old.clone(), properties?))
    });
    doomed.collect()
}

/// Calls the function for each request, after what all calls have in common; `None`: it failed, which the host has recorded.
async fn each(
    builder: &BuilderView,
    callback: &Callback,
    common: Vec<Arg>,
    requests: &[Arc<PendingRequest>],
    changes: &RequestChanges,
) -> Vec<Option<Json>> {
    let (mut asked, mut all) = (FuturesOrdered::new(), Vec::with_capacity(requests.len()));
    for some in requests.chunks(AT_ONCE) {
        if asked.len() == CHUNKS {
            all.extend(asked.next().await.into_iter().flatten());
        }
        let object = |request| Arg::Object(request_object(builder, request, changes));
        let args = some.iter().map(object).collect();
        asked.push_back(builder.plan.generation.host.call_each(
            callback,
            site(builder),
            common.clone(),
            args,
        ));
    }
    while let Some(answers) = asked.next().await {
        all.extend(answers);
    }
    all.into_iter().map(Result::ok).collect()
}

/// What an answer means: nothing, or properties for the request that stays. The error: it makes no sense.
fn verdict(answer: &Json) -> Result<Option<Properties>, ()> {
    match answer {
        Json::Bool(true) => Ok(Some(Properties::new())),
        Json::Bool(false) => Ok(None),
        Json::Array(items) => match items.as_slice() {
            [Json::Bool(false), ..] => Ok(None),
            [Json::Bool(true), Json::Null] => Ok(Some(Properties::new())),
            [Json::Bool(true), Json::Object(more)] => survivors(more).map(Some).ok_or(()),
            _ => Err(()),
        },
        Json::Null | Json::Number(_) | Json::String(_) | Json::Object(_) => Err(()),
    }
}

fn survivors(more: &serde_json::Map<String, Json>) -> Option<Properties> {
    let mut properties = Properties::new();
    for (option, value) in more {
        let values = value.as_object().filter(|_| option == "set_properties")?;
        values.iter().for_each(|(name, value)| properties.set(name.clone(), value.clone(), SOURCE));
    }
    Some(properties)
}

/// A request, and its key; `None`: it never collapses.
type Key = (BuildRequestId, Option<String>);

/// Asks for the keys of requests.
pub(super) async fn keys(
    builder: &BuilderView,
    callback: &Callback,
    requests: &[Arc<PendingRequest>],
    changes: &RequestChanges,
) -> Vec<Key> {
    let answers = each(builder, callback, Vec::new(), requests, changes).await;
    let key = |answer: Option<Json>| {
        let answer = answer.unwrap_or(Json::Null);
        key_of(&answer).unwrap_or_else(|()| {
            let expected = "return a text, a number, a boolean, a list or table of such, or nil";
            nonsense(builder, callback, "the function of util.collapse_by", &answer, expected);
            None
        })
    };
    requests.iter().map(|request| request.request.buildrequestid).zip(answers.into_iter().map(key)).collect()
}

/// The key as text. The error: the answer is no value.
fn key_of(answer: &Json) -> Result<Option<String>, ()> {
    match is_plain(answer) {
        true => Ok((!answer.is_null()).then(|| answer.to_string())),
        false => Err(()),
    }
}

/// Neither an object nor a function, which have no value that could be compared.
fn is_plain(value: &Json) -> bool {
    match value {
        Json::Array(items) => items.iter().all(is_plain),
        Json::Object(map) => map.iter().all(|(name, value)| !name.starts_with('$') && is_plain(value)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn row_07_004_only_true_collapses_and_may_set_properties() {
        for (answer, want) in [
            (json!(true), Ok(Some(0))),
            (json!(false), Ok(None)),
            (json!([false, {"set_properties": {"x": 1}}]), Ok(None)),
            (json!([true, null]), Ok(Some(0))),
            (json!([true, {"set_properties": {"x": 1, "y": [2]}}]), Ok(Some(2))),
            (json!([true, {"properties": {"x": 1}}]), Err(())),
            (json!([true, {"set_properties": 3}]), Err(())),
            (json!([true, true]), Err(())),
            (json!(1), Err(())),
            (Json::Null, Err(())),
        ] {
            let got = verdict(&answer).map(|found| found.map(|p| p.len()));
            assert_eq!(got, want, "{answer}");
        }
    }

    #[test]
    fn keys_are_values() {
        assert_eq!(key_of(&json!(["main", 3])), Ok(Some("[\"main\",3]".into())));
        assert_eq!(key_of(&Json::Null), Ok(None));
        assert!(key_of(&json!({"$ref": "buildrequest:1"})).is_err());
        assert_ne!(key_of(&json!(1)), key_of(&json!("1")));
    }
}
