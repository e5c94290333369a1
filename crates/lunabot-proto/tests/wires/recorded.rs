//! The recordings.

use serde_json::Value as Json;
use std::path::PathBuf;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    Worker,
    Master,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

pub fn json(name: &str) -> Json {
    serde_json::from_str(&std::fs::read_to_string(folder().join(name)).unwrap()).unwrap()
}

/// Names of the recordings that begin so.
pub fn all(prefix: &str) -> Vec<String> {
    let files =
        std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names = files.filter_map(|name| Some(name.strip_suffix(".jsonl")?.to_owned()));
    let mut names: Vec<String> = names.filter(|name| name.starts_with(prefix)).collect();
    names.sort();
    assert!(names.len() > 10, "{names:?}");
    names
}

/// The chunks of one connection.
pub fn chunks(name: &str) -> Vec<(From, Vec<u8>)> {
    let text = std::fs::read_to_string(folder().join(format!("{name}.jsonl"))).unwrap();
    text.lines()
        .map(|line| serde_json::from_str::<Json>(line).unwrap())
        .map(|chunk| (from(&chunk), unhex(chunk["hex"].as_str().unwrap())))
        .collect()
}

/// All that one side sent.
pub fn bytes(name: &str, side: From) -> Vec<u8> {
    chunks(name).into_iter().filter(|(from, _)| *from == side).flat_map(|(_, bytes)| bytes).collect()
}

/// The messages as they were decoded when they were recorded.
pub fn decoded(name: &str) -> Vec<(From, Json)> {
    let Json::Array(all) = json(&format!("{name}.decoded.json")) else { panic!("a list") };
    all.into_iter().map(|message| (from(&message), message)).collect()
}

fn from(message: &Json) -> From {
    if message["dir"] == "worker->master" { From::Worker } else { From::Master }
}

pub fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// The payloads of the frames that one side sent over a WebSocket, whatever opcode; with the handshake taken off.
pub fn frames(name: &str, side: From) -> Vec<Vec<u8>> {
    let bytes = bytes(name, side);
    let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Vec::new() };
    let mut rest = &bytes[head + 4..];
    let mut frames = Vec::new();
    while let [first, second, tail @ ..] = rest {
        let (length, tail) = match second & 0x7f {
            126 => (usize::from(u16::from_be_bytes([tail[0], tail[1]])), &tail[2..]),
            127 => (u64::from_be_bytes(tail[..8].try_into().unwrap()) as usize, &tail[8..]),
            short => (usize::from(short), tail),
        };
        let (mask, tail) = if second & 0x80 == 0 { (&[0; 4][..], tail) } else { tail.split_at(4) };
        let payload =
            tail[..length].iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        if first & 0x0f == 2 {
            frames.push(payload);
        }
        rest = &tail[length..];
    }
    frames
}
