//! Control actions over JSONRPC 2.0 (09.075–09.084).

use crate::auth::{OrderError, Visitor};
use crate::router::App;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts as _, Request};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lunabot_data::ControlError;
use lunabot_model::Json;
use serde_json::{Map, json};

const PARSE_ERROR: i64 = -32700;
const INVALID_REQUEST: i64 = -32600;
const METHOD_NOT_FOUND: i64 = -32601;
const INVALID_PARAMS: i64 = -32602;
const INTERNAL: i64 = -32603;

struct Failure {
    status: StatusCode,
    code: i64,
    message: Json,
}

impl Failure {
    fn bad_request(message: impl Into<String>) -> Failure {
        Failure {
            status: StatusCode::BAD_REQUEST,
            code: INVALID_REQUEST,
            message: Json::from(message.into()),
        }
    }

    /// Not compact, the id left out where it is unknown (09.076).
    fn respond(self, id: Option<&Json>) -> Response {
        let id = id.map(|id| format!("\"id\": {id}, ")).unwrap_or_default();
        let (code, message) = (self.code, self.message);
        let body =
            format!("{{\"jsonrpc\": \"2.0\", {id}\"error\": {{\"code\": {code}, \"message\": {message}}}}}");
        (self.status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}

impl From<OrderError> for Failure {
    fn from(e: OrderError) -> Self {
        match e {
            OrderError::Control(e) => e.into(),
            // 09.052
            OrderError::Denied(why) => {
                Failure { status: StatusCode::FORBIDDEN, code: INVALID_REQUEST, message: why.into() }
            }
        }
    }
}

impl From<ControlError> for Failure {
    fn from(e: ControlError) -> Self {
        let (status, code) = match &e {
            ControlError::InvalidPath(_) | ControlError::NotFound(_) => {
                (StatusCode::NOT_FOUND, INVALID_REQUEST)
            }
            ControlError::Unsupported(_) => (StatusCode::NOT_IMPLEMENTED, METHOD_NOT_FOUND),
            ControlError::InvalidParams(_) => (StatusCode::BAD_REQUEST, INVALID_PARAMS),
            ControlError::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, INTERNAL),
        };
        let message = match e {
            ControlError::InvalidParams(message) => message,
            other => Json::from(other.to_string()),
        };
        Failure { status, code, message }
    }
}

struct Call {
    id: Json,
    method: String,
    params: Map<String, Json>,
}

/// Reads a call from the body, carries it out, answers.
pub async fn control(app: &App, path: &str, request: Request) -> Response {
    if let Err(failure) = check_content_type(request.headers()) {
        return failure.respond(None);
    }
    let (mut parts, body) = request.into_parts();
    let Ok(Visitor(user)) = Visitor::from_request_parts(&mut parts, app).await;
    let body = match Bytes::from_request(Request::from_parts(parts, body), &()).await {
        Ok(body) => body,
        Err(refused) => {
            let failure = Failure { status: refused.status(), ..Failure::bad_request(refused.body_text()) };
            return failure.respond(None);
        }
    };
    let call = match parse(&body) {
        Ok(call) => call,
        Err(failure) => return failure.respond(None),
    };
    let Call { id, method, params } = call;
    match app.order(&user, path, &method, Json::Object(params)).await {
        Err(e) => Failure::from(e).respond(Some(&id)),
        Ok(result) => {
            let mut reply = json!({"id": id, "jsonrpc": "2.0", "result": result});
            reply.sort_all_objects();
            ([(header::CONTENT_TYPE, "application/json")], reply.to_string()).into_response()
        }
    }
}

/// No form of a foreign page can send this type, so it is a first fence against forged requests.
fn check_content_type(headers: &HeaderMap) -> Result<(), Failure> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    match kind.split(';').next().map(str::trim) {
        Some(kind) if kind.eq_ignore_ascii_case("application/json") => Ok(()),
        _ => Err(Failure::bad_request("Invalid content-type (use application/json)")),
    }
}

/// The rules of 09.075, in their order.
fn parse(body: &[u8]) -> Result<Call, Failure> {
    let root: Json = serde_json::from_slice(body).map_err(|e| Failure {
        code: PARSE_ERROR,
        ..Failure::bad_request(format!("JSON parse error: {e}"))
    })?;
    let mut root = match root {
        Json::Object(root) => root,
        Json::Array(_) => return Err(Failure::bad_request("JSONRPC batch requests are not supported")),
        _ => return Err(Failure::bad_request("JSONRPC root object must be an object")),
    };
    let mut take = |key: &str, fits: fn(&Json) -> bool, kind: &str| match root.remove(key) {
        None => Err(Failure::bad_request(format!("missing key '{key}'"))),
        Some(value) if fits(&value) => Ok(value),
        Some(_) => Err(Failure::bad_request(format!("'{key}' must be {kind}"))),
    };
    let version = take("jsonrpc", Json::is_string, "a string")?;
    let method = take("method", Json::is_string, "a string")?;
    let is_id = |id: &Json| id.is_string() || id.is_i64() || id.is_u64() || id.is_null();
    let id = take("id", is_id, "a string, number, or null")?;
    let params = take("params", Json::is_object, "an object")?;
    if version != "2.0" {
        return Err(Failure::bad_request("only JSONRPC 2.0 is supported"));
    }
    match (method, params) {
        (Json::String(method), Json::Object(params)) => Ok(Call { id, method, params }),
        _ => Err(Failure::bad_request("JSONRPC root object must be an object")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_calls_09_075() {
        let table = [
            ("", PARSE_ERROR, "JSON parse error: EOF while parsing a value at line 1 column 0"),
            ("[]", INVALID_REQUEST, "JSONRPC batch requests are not supported"),
            ("3", INVALID_REQUEST, "JSONRPC root object must be an object"),
            ("{}", INVALID_REQUEST, "missing key 'jsonrpc'"),
            (r#"{"jsonrpc": 2}"#, INVALID_REQUEST, "'jsonrpc' must be a string"),
            (r#"{"jsonrpc": "2.0"}"#, INVALID_REQUEST, "missing key 'method'"),
            (
                r#"{"jsonrpc": "2.0", "method": "m", "id": [], "params": {}}"#,
                INVALID_REQUEST,
                "'id' must be a string, number, or null",
            ),
            (
                r#"{"jsonrpc": "2.0", "method": "m", "id": 1, "params": []}"#,
                INVALID_REQUEST,
                "'params' must be an object",
            ),
            (
                r#"{"jsonrpc": "1.0", "method": "m", "id": 1, "params": {}}"#,
                INVALID_REQUEST,
                "only JSONRPC 2.0 is supported",
            ),
        ];
        for (body, code, message) in table {
            let failure = parse(body.as_bytes()).err().expect(body);
            assert_eq!((failure.code, failure.message), (code, Json::from(message)), "{body}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(parse(deep.as_bytes()).err().map(|f| f.code), Some(PARSE_ERROR));
    }
}
