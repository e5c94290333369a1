//! What a client of `/ws` says, and what it is answered (09.099, 09.100).

use super::MAX_PATHS;
use lunabot_data::Subscription;
use lunabot_model::{Json, Pattern};
use serde_json::{Map, json};

/// Why a command is refused: a status of HTTP, and the text.
type Refusal = (u16, String);

/// The path that a command asks to hear of.
pub fn wanted(text: &str) -> Option<(Json, String)> {
    let frame: Json =
        serde_json::from_str(text).ok().filter(|frame: &Json| frame["cmd"] == "startConsuming")?;
    Some((frame["_id"].clone(), frame["path"].as_str()?.to_owned()))
}

/// Carries out a command; the frame that answers it. `None`: it is no JSON object, and the connection ends.
pub fn answer(text: &str, events: &mut Subscription) -> Option<Json> {
    let Ok(Json::Object(mut frame)) = serde_json::from_str(text) else { return None };
    let id = frame.remove("_id");
    if id.is_none() && !frame.contains_key("type") {
        return Some(refused(400, "no '_id' or 'type' in websocket frame", Json::Null));
    }
    let Some(command) = frame.remove("cmd") else {
        return Some(refused(400, "no 'cmd' in websocket frame", Json::Null));
    };
    frame.remove("type");
    let id = id.unwrap_or(Json::Null);
    Some(match obey(&command, frame, events) {
        Ok(message) => json!({"msg": message, "code": 200, "_id": id}),
        Err((code, text)) => refused(code, &text, id),
    })
}

pub fn refused(code: u16, text: &str, id: Json) -> Json {
    json!({"error": text, "code": code, "_id": id})
}

fn obey(
    command: &Json,
    mut args: Map<String, Json>,
    events: &mut Subscription,
) -> Result<&'static str, Refusal> {
    match command.as_str() {
        Some("ping") => none_left(&args).map(|()| "pong"),
        Some("startConsuming") => {
            let path = path(&mut args)?;
            if events.patterns() >= MAX_PATHS {
                return Err((400, format!("this connection consumes {MAX_PATHS} paths already")));
            }
            events.add(Pattern::parse(&path));
            Ok("OK")
        }
        Some("stopConsuming") => {
            let path = path(&mut args)?;
            let known = events.remove(&Pattern::parse(&path));
            known.then_some("OK").ok_or_else(|| (400, format!("path was not consumed '{path}'")))
        }
        Some(other) => Err((404, format!("no such command type '{other}'"))),
        None => Err((404, format!("no such command type '{command}'"))),
    }
}

/// The only argument that these commands have.
fn path(args: &mut Map<String, Json>) -> Result<String, Refusal> {
    let path =
        args.remove("path").ok_or_else(|| (400, "Invalid method argument 'path': it is missing".into()))?;
    none_left(args)?;
    match path {
        Json::String(path) => Ok(path),
        other => Err((400, format!("invalid path format '{other}'"))),
    }
}

fn none_left(args: &Map<String, Json>) -> Result<(), Refusal> {
    match args.keys().next() {
        Some(name) => Err((400, format!("Invalid method argument '{name}': there is no such argument"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lunabot_data::Bus;

    #[test]
    fn row_09_100_bad_commands_are_answered() {
        let mut events = Bus::default().subscribe(Vec::new());
        let table = [
            (r#"{"cmd": "ping"}"#, 400, "no '_id' or 'type' in websocket frame"),
            (r#"{"_id": 3}"#, 400, "no 'cmd' in websocket frame"),
            (r#"{"_id": 3, "cmd": "frobnicate"}"#, 404, "no such command type 'frobnicate'"),
            (r#"{"_id": 3, "cmd": 7}"#, 404, "no such command type '7'"),
            (r#"{"_id": 4, "cmd": "startConsuming"}"#, 400, "Invalid method argument 'path'"),
            (r#"{"_id": 4, "cmd": "ping", "more": 1}"#, 400, "Invalid method argument 'more'"),
            (r#"{"_id": 6, "cmd": "startConsuming", "path": 5}"#, 400, "invalid path format '5'"),
            (
                r#"{"_id": "d", "cmd": "stopConsuming", "path": "builds/*/new"}"#,
                400,
                "path was not consumed 'builds/*/new'",
            ),
        ];
        for (said, code, error) in table {
            let answered = answer(said, &mut events).unwrap();
            assert_eq!(answered["code"], code, "{said}");
            assert!(answered["error"].as_str().unwrap().starts_with(error), "{said}: {answered}");
        }
        for said in ["", "[]", "3", "{", &"[".repeat(60_000)] {
            assert!(answer(said, &mut events).is_none(), "{said:.20}");
        }
    }

    #[test]
    fn row_09_099_commands_and_their_ids() {
        let mut events = Bus::default().subscribe(Vec::new());
        let mut say = |said: &str| answer(said, &mut events).unwrap().to_string();
        assert_eq!(say(r#"{"_id": 1, "cmd": "ping"}"#), r#"{"msg":"pong","code":200,"_id":1}"#);
        let start = r#"{"_id": "x", "cmd": "startConsuming", "path": "builds/*/*"}"#;
        for _ in 0..2 {
            assert_eq!(say(start), r#"{"msg":"OK","code":200,"_id":"x"}"#);
        }
        let stop = start.replace("start", "stop");
        assert_eq!(say(&stop), r#"{"msg":"OK","code":200,"_id":"x"}"#);
        assert!(say(&stop).contains("path was not consumed"));
    }

    #[test]
    fn paths_of_one_connection_are_bounded() {
        let mut events = Bus::default().subscribe(Vec::new());
        let mut start = |n: usize| {
            let said = json!({"_id": n, "cmd": "startConsuming", "path": format!("builds/{n}/*")});
            answer(&said.to_string(), &mut events).unwrap()["code"].clone()
        };
        assert!((0..MAX_PATHS).all(|n| start(n) == 200));
        assert_eq!(start(MAX_PATHS), 400);
    }
}
