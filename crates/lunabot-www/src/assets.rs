//! Style sheet and modules of the pages, part of the binary.

use axum::extract::{Path, RawQuery};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::sync::LazyLock;

struct Asset {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

const ASSETS: &[Asset] = &[
    Asset { name: "style.css", kind: CSS, text: include_str!("static/style.css") },
    Asset { name: "theme.js", kind: JS, text: include_str!("static/theme.js") },
    Asset { name: "stream.js", kind: JS, text: include_str!("static/stream.js") },
    Asset { name: "live.js", kind: JS, text: include_str!("static/live.js") },
    Asset { name: "keys.js", kind: JS, text: include_str!("static/keys.js") },
    Asset { name: "log.js", kind: JS, text: include_str!("static/log.js") },
    Asset { name: "icon.svg", kind: "image/svg+xml", text: include_str!("static/icon.svg") },
];

/// Changes whenever an asset does, so that browsers may keep them for ever.
pub static VERSION: LazyLock<String> = LazyLock::new(|| {
    let all = ASSETS.iter().flat_map(|asset| asset.text.bytes());
    // FNV-1a
    let hash = all.fold(0xcbf2_9ce4_8422_2325, |h: u64, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
});

/// `/static/NAME?v=VERSION`.
pub async fn asset(Path(name): Path<String>, RawQuery(query): RawQuery) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        return (StatusCode::NOT_FOUND, "no such file\n").into_response();
    };
    let current = query.is_some_and(|q| q.strip_prefix("v=") == Some(VERSION.as_str()));
    let keep = if current { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static(keep)),
    ];
    (headers, asset.text).into_response()
}

/// Crawlers bring a CI to its knees and find nothing to index.
pub async fn robots() -> &'static str {
    "User-agent: *\nDisallow: /\n"
}
