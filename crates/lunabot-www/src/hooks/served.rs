//! `/change_hook/custom/PATH`: what change sources of one's own serve (lua-api § 3, `self:serve`).

use super::own::{RequestHandle, request_object};
use super::{HookRequest, MAX_BODY, PollPort};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lunabot_model::Json;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The word of the address that no dialect may have as its name.
pub const NAME: &str = "custom";

/// What a function may return besides nil and a text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    #[serde(default = "accepted")]
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
}

fn accepted() -> u16 {
    StatusCode::ACCEPTED.as_u16()
}

/// Hands a request to whoever serves `path`. An error of the function is 500; the host has told it.
pub async fn answer(path: &str, request: Request, user: Option<String>, sources: &dyn PollPort) -> Response {
    if *request.method() != Method::POST {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "POST")], "only POST").into_response();
    }
    if !sources.serves(path) {
        let text = format!("no change source serves {path:?}");
        return (StatusCode::NOT_FOUND, text).into_response();
    }
    let request = match HookRequest::read(request, MAX_BODY, user).await {
        Ok(request) => request,
        Err(refused) => return refused,
    };
    let request = request_object(RequestHandle(Arc::new(request)));
    let answer = sources.serve(path, request).await;
    let answer = answer.and_then(|answer| {
        response(answer).inspect_err(|refusal| {
            if let Refusal::Own(text) = refusal {
                sources.nonsense(path, text);
            }
        })
    });
    match answer {
        Ok(response) => response,
        Err(Refusal::Sender(text)) => (StatusCode::BAD_REQUEST, text).into_response(),
        Err(Refusal::Own(text)) => {
            tracing::error!(
                "change hook {NAME}/{path}: a request could not be carried out, the sender is told: {text}"
            );
            (StatusCode::INTERNAL_SERVER_ERROR, "Error processing the request.").into_response()
        }
    }
}

/// Why a function of a change source did not take a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It says so (`util.fail`): the sender's mistake.
    Sender(String),
    /// It could not; this text is for the log.
    Own(String),
}

/// nil: accepted; a text: that; a table: status, headers and body.
fn response(answer: Json) -> Result<Response, Refusal> {
    let wrong = |problem: String| Refusal::Own(format!("the function of self:serve returned {problem}"));
    let given = match answer {
        Json::Null => return Ok(StatusCode::ACCEPTED.into_response()),
        Json::String(text) => return Ok(text.into_response()),
        table @ Json::Object(_) => {
            serde_json::from_value::<Given>(table).map_err(|e| wrong(e.to_string()))?
        }
        _ => return Err(wrong("neither nil, a text, nor {status=, headers=, body=}".into())),
    };
    let status =
        StatusCode::from_u16(given.status).map_err(|_| wrong(format!("the status {}", given.status)))?;
    let mut headers = HeaderMap::new();
    for (name, value) in &given.headers {
        let pair = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(value).ok());
        let (name, value) =
            pair.ok_or_else(|| wrong(format!("the header {name:?}, which cannot be sent")))?;
        headers.insert(name, value);
    }
    Ok((status, headers, given.body).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn answers_of_functions_become_responses() {
        let status = |answer: Json| response(answer).map(|response| response.status().as_u16());
        assert_eq!(status(json!(null)), Ok(202));
        assert_eq!(status(json!("pong")), Ok(200));
        assert_eq!(status(json!({"body": "x"})), Ok(202));
        assert_eq!(status(json!({"status": 409, "headers": {"x-a": "b"}})), Ok(409));
        for wrong in [
            json!(3),
            json!([1]),
            json!({"stauts": 1}),
            json!({"status": 3}),
            json!({"headers": {"x": "a\r\nset-cookie: b"}}),
            json!({"headers": {"a b": "c"}}),
        ] {
            assert!(matches!(response(wrong.clone()), Err(Refusal::Own(_))), "{wrong}");
        }
    }
}
