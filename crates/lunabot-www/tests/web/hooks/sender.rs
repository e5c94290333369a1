//! A forge that sends: recorded payloads, altered and signed as a test wants.

use crate::support::{World, text};
use hmac::{Hmac, KeyInit, Mac};
use lunabot_model::Json;
use sha1::Sha1;
use sha2::Sha256;

/// A payload of `tests/payloads`.
pub fn payload(name: &str) -> Json {
    let file = format!("{}/tests/payloads/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// The payload with another value at a path of names joined by `/`.
pub fn with(mut payload: Json, pointer: &str, value: impl Into<Json>) -> Json {
    let (parent, name) = pointer.rsplit_once('/').unwrap_or(("", pointer));
    let parent = if parent.is_empty() { String::new() } else { format!("/{parent}") };
    payload.pointer_mut(&parent).unwrap()[name] = value.into();
    payload
}

/// The payload without what is at a path.
pub fn without(mut payload: Json, pointer: &str) -> Json {
    let (parent, name) = pointer.rsplit_once('/').unwrap_or(("", pointer));
    let parent = if parent.is_empty() { String::new() } else { format!("/{parent}") };
    payload.pointer_mut(&parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
    payload
}

pub fn sha1(body: &str, secret: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    format!("sha1={}", hex(&mac.finalize().into_bytes()))
}

pub fn sha256(body: &str, secret: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    format!("sha256={}", hex(&mac.finalize().into_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Sends JSON; status and body of the answer.
pub async fn send(world: &World, dialect: &str, headers: &[(&str, &str)], payload: &Json) -> (u16, String) {
    send_text(world, dialect, headers, payload.to_string()).await
}

pub async fn send_text(
    world: &World,
    dialect: &str,
    headers: &[(&str, &str)],
    body: String,
) -> (u16, String) {
    let path = format!("/change_hook/{dialect}");
    text(world.post(&path, "application/json; charset=utf-8", headers, body).await).await
}

/// The changes there are, oldest first, without what the store adds.
pub async fn changes(world: &World) -> Vec<Json> {
    let mut rows = world.api("changes?order=changeid").await["changes"].as_array().unwrap().clone();
    for row in &mut rows {
        for name in ["changeid", "parent_changeids", "sourcestamp"] {
            row.as_object_mut().unwrap().remove(name);
        }
    }
    rows
}

/// What every dialect refuses: bodies that are no JSON, too deep, too long, of another kind; nothing is stored.
pub async fn hostile_bodies_are_refused(world: &World, dialect: &str, headers: &[(&str, &str)]) {
    let before = changes(world).await.len();
    for (what, body) in [
        ("nothing", String::new()),
        ("cut off", "{\"ref\": ".into()),
        ("deep lists", "[".repeat(100_000)),
        ("deep objects", "{\"a\":".repeat(100_000)),
        ("deep and closed", format!("{}1{}", "[".repeat(5000), "]".repeat(5000))),
    ] {
        let (status, told) = send_text(world, dialect, headers, body).await;
        assert!(
            status == 400 && told.starts_with("Error loading JSON: "),
            "{dialect} {what}: {status} {told}"
        );
    }
    for body in ["[]", "3", "null", "\"x\"", "{}", "{\"repository\": []}"] {
        let (status, told) = send_text(world, dialect, headers, body.into()).await;
        assert!(
            status == 400 && told.starts_with("the payload has no "),
            "{dialect} {body}: {status} {told}"
        );
    }
    let huge = format!("{{\"ref\": \"{}\"}}", "x".repeat(26 << 20));
    assert_eq!(send_text(world, dialect, headers, huge).await.0, 413, "{dialect}");
    assert_eq!(changes(world).await.len(), before);
}
