//! Badges of builders (10.035).

use crate::support::{World, seed};
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use http_body_util::BodyExt;
use lunabot_model::config::WwwConfig;
use lunabot_www::Badges;
use serde_json::json;

async fn world() -> World {
    let world = World::new().await;
    let mut www = WwwConfig::default();
    www.plugins.insert("badges".into(), json!({"left_text": "tests"}));
    let mut site = (*world.site.load()).clone();
    site.badges = Badges::load(&www).unwrap();
    world.site.store(site);
    world
}

async fn get(world: &World, path: &str, known: Option<&str>) -> (u16, HeaderMap, Vec<u8>) {
    let mut request = Request::get(path);
    if let Some(known) = known {
        request = request.header("if-none-match", known);
    }
    let response = world.send(request.body(Body::empty()).unwrap()).await;
    let (parts, body) = response.into_parts();
    (parts.status.as_u16(), parts.headers, body.collect().await.unwrap().to_bytes().to_vec())
}

async fn svg(world: &World, path: &str) -> String {
    let (status, headers, body) = get(world, path, None).await;
    assert_eq!((status, headers["content-type"].to_str().unwrap()), (200, "image/svg+xml"), "{path}");
    String::from_utf8(body).unwrap()
}

#[tokio::test]
async fn row_10_035_a_badge_shows_the_newest_build() {
    let world = world().await;
    let ids = seed::small(&world.data, &world.clock, 3).await;
    for (path, status) in [
        (format!("/plugins/badges/{}.svg", ids[0]), "running"),
        ("/plugins/badges/app-macos.svg".into(), "failure"),
        ("/plugins/badges/no%2Fsuch%20builder.svg".into(), "unknown"),
    ] {
        let picture = svg(&world, &path).await;
        assert!(picture.contains(&format!("<title>tests: {status}</title>")), "{path}: {picture}");
        assert!(picture.contains(&format!(">{status}</text>")), "{path}: {picture}");
    }
    for style in ["plastic", "flat", "flat-square", "badgeio"] {
        let path = format!("/plugins/badges/app-macos.png?style={style}");
        let (status, headers, body) = get(&world, &path, None).await;
        assert_eq!((status, headers["content-type"].to_str().unwrap()), (200, "image/png"), "{style}");
        assert!(body.starts_with(b"\x89PNG\r\n\x1a\n"), "{style}");
        let height = u32::from_be_bytes(body[20..24].try_into().unwrap());
        assert_eq!(height, if style == "plastic" { 18 } else { 20 }, "{style}");
    }
}

#[tokio::test]
async fn row_10_035_a_badge_that_has_not_changed_is_not_sent_again() {
    let world = world().await;
    let (_, headers, body) = get(&world, "/plugins/badges/b.svg", None).await;
    assert_eq!(headers["cache-control"], "no-cache");
    let tag = headers["etag"].to_str().unwrap();
    let (status, headers, again) =
        get(&world, "/plugins/badges/b.svg", Some(&format!("\"x\", W/{tag}"))).await;
    assert_eq!((status, headers["etag"].to_str().unwrap(), again.len()), (304, tag, 0));
    let (status, _, other) = get(&world, "/plugins/badges/b.svg?left_text=x", Some(tag)).await;
    assert!(status == 200 && other != body);
}

#[tokio::test]
async fn row_10_035_nothing_in_an_address_gets_into_the_picture_unescaped() {
    let world = world().await;
    let picture = svg(
        &world,
        "/plugins/badges/b.svg?left_text=%3C/text%3E%3Cscript%3Ealert(1)%3C/script%3E%22%27%26%00%08%EF%BF%BE",
    )
    .await;
    assert!(picture.contains("&lt;/text&gt;&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;: unknown"));
    assert!(!picture.contains("<script") && !picture.contains(['\0', '\u{8}', '\u{fffe}']), "{picture}");
    for (query, told) in [
        ("left_color=%22%3E%3Cscript%3E", "left_color must be a colour"),
        ("font_face=x%22onload=%22alert(1)", "font_face must be the name of a font"),
        ("style=../flat", "style must be plastic, flat, flat-square or badgeio"),
        ("template_name=../../etc/passwd", "template_name not supported yet"),
        ("font_size=99999", "font_size must be a number from 4 to 40"),
    ] {
        let (status, headers, body) = get(&world, &format!("/plugins/badges/b.svg?{query}"), None).await;
        let body = String::from_utf8(body).unwrap();
        assert!(status == 400 && body.starts_with(told), "{query}: {status} {body}");
        assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
    }
    for path in ["/plugins/badges/b.gif", "/plugins/badges/.svg", "/plugins/badges/%ff.svg"] {
        assert_eq!(get(&world, path, None).await.0, 404, "{path}");
    }
}

#[tokio::test]
async fn row_10_035_badges_are_off_unless_configured() {
    let world = World::new().await;
    let (status, _, body) = get(&world, "/plugins/badges/b.svg", None).await;
    assert_eq!(status, 404);
    assert!(String::from_utf8(body).unwrap().contains("c.www.plugins.badges = {} turns them on"));
}
