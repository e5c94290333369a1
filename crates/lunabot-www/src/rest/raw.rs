//! Whole logs and build data as files, streamed (09.031, 09.035, 13.020).

use super::RestError;
use crate::router::App;
use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

/// Answers `<log>/raw`, `<log>/raw_inline` and `…/value`.
pub async fn raw(app: &App, path: &str) -> Result<Response, RestError> {
    let raw = app.www.data.raw(path).await?;
    let kind = match raw.content_type {
        "text/plain" => "text/plain; charset=utf-8",
        "text/html" => "text/html; charset=utf-8",
        other => other,
    };
    let mut response = Body::from_stream(raw.body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if raw.content_type == "text/html" {
        // A build's HTML is shown, but may do nothing in our name.
        let policy = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:";
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    }
    if let Some(name) = raw.filename
        && let Ok(value) = HeaderValue::from_str(&attachment(&name))
    {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

/// A file name that neither header nor file system can misread.
fn attachment(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name: String = name.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    format!("attachment; filename=\"{name}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_tame() {
        assert_eq!(attachment("a/..\"\r\nb"), "attachment; filename=\"a_..___b\"");
    }
}
