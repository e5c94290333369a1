//! What a dashboard's function answered.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use lunabot_model::Json;

/// An answer that may be sent, and kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

/// Reads what the function returned; `None`: there is no such page.
///
/// # Errors
/// What is wrong with it, in words.
pub fn read(returned: Json) -> Result<Option<Answer>, String> {
    match returned {
        Json::Null => Ok(None),
        Json::String(body) => Ok(Some(Answer { status: StatusCode::OK, headers: HeaderMap::new(), body })),
        Json::Object(parts) => {
            let unknown = parts.keys().find(|key| !["status", "headers", "body"].contains(&key.as_str()));
            if let Some(key) = unknown {
                return Err(format!("{key}: an answer has status, headers and body"));
            }
            let part = |key: &str| parts.get(key).filter(|part| !part.is_null());
            Ok(Some(Answer {
                status: part("status").map_or(Ok(StatusCode::OK), status)?,
                headers: part("headers").map_or(Ok(HeaderMap::new()), headers)?,
                body: part("body").map_or(Ok(String::new()), body)?,
            }))
        }
        _ => Err("expected HTML, a table {status=, headers=, body=}, or nil".into()),
    }
}

fn status(written: &Json) -> Result<StatusCode, String> {
    let code = written.as_u64().and_then(|code| u16::try_from(code).ok()).filter(|code| *code >= 200);
    let code = code.and_then(|code| StatusCode::from_u16(code).ok());
    code.ok_or_else(|| format!("status: {written} is none of 200 to 999"))
}

fn body(written: &Json) -> Result<String, String> {
    written.as_str().map(str::to_string).ok_or_else(|| "body: expected a text".into())
}

fn headers(written: &Json) -> Result<HeaderMap, String> {
    let table = written.as_object().ok_or("headers: expected a table")?;
    let mut headers = HeaderMap::new();
    for (name, value) in table {
        let wrong = || format!("headers: {name} cannot be sent");
        let value = value.as_str().map(str::to_string).unwrap_or_else(|| value.to_string());
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        headers.insert(name, HeaderValue::from_str(&value).map_err(|_| wrong())?);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn answers_are_html_tables_or_nothing() {
        assert_eq!(read(Json::Null), Ok(None));
        let answer = read(json!({"status": 302, "headers": {"Location": "x"}})).unwrap().unwrap();
        assert_eq!(
            (answer.status.as_u16(), &answer.headers["location"], answer.body.as_str()),
            (302, &"x".parse().unwrap(), "")
        );
        for (wrong, told) in [
            (json!(3), "expected HTML"),
            (json!({"text": ""}), "text: an answer has"),
            (json!({"status": 99}), "status: 99 is none"),
            (json!({"headers": {"a b": ""}}), "a b cannot be sent"),
            (json!({"headers": {"a": "x\r\ny: z"}}), "a cannot be sent"),
            (json!({"body": 1}), "body: expected a text"),
        ] {
            assert!(read(wrong).unwrap_err().contains(told));
        }
    }
}
