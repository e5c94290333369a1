//! Job files: netstrings (`LENGTH:BYTES,`), the first of which is the version (03.022).
//!
//! Versions 1 to 4 hold one string per field and then the builders, each version a field more than the one before;
//! 5 and 6 hold one JSON object, 6 with the patch in Base64.

use super::{TryJob, revision};
use crate::{Dict, Value};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Value as Json};

/// The longest job file that is taken, in bytes.
pub const MAX_JOB: usize = 16 * 1024 * 1024;

/// Why a file is no job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadJob {
    #[error("it holds more than {MAX_JOB} bytes")]
    TooLong,
    #[error("it is not made of netstrings (LENGTH:BYTES,): byte {0}")]
    Netstring(usize),
    #[error("it holds nothing")]
    Empty,
    #[error("version {0:?} of job files is not known; there are 1 to 6")]
    Version(String),
    #[error("version {version} needs {wanted} fields before the builders; there are {found}")]
    Fields { version: u8, wanted: usize, found: usize },
    #[error("the patch level {0:?} is no number")]
    Level(String),
    #[error("{0}")]
    Json(String),
}

/// Reads a job file.
pub fn read(bytes: &[u8]) -> Result<TryJob, BadJob> {
    if bytes.len() > MAX_JOB {
        return Err(BadJob::TooLong);
    }
    let strings = netstrings(bytes)?;
    let (version, fields) = strings.split_first().ok_or(BadJob::Empty)?;
    match *version {
        b"1" => plain(1, &["id", "branch", "revision", "level", "patch"], fields),
        b"2" => plain(2, &["id", "branch", "revision", "level", "patch", "repository", "project"], fields),
        b"3" => {
            plain(3, &["id", "branch", "revision", "level", "patch", "repository", "project", "who"], fields)
        }
        b"4" => {
            const NAMES: [&str; 9] =
                ["id", "branch", "revision", "level", "patch", "repository", "project", "who", "comment"];
            plain(4, &NAMES, fields)
        }
        b"5" => object(5, fields),
        b"6" => object(6, fields),
        other => Err(BadJob::Version(text(other).chars().take(20).collect())),
    }
}

/// Writes the newest form that does it, as masters of the same age read it.
pub fn write(job: &TryJob) -> Vec<u8> {
    let mut all = Map::new();
    let mut set = |key: &str, value: Json| all.insert(key.into(), value);
    set("jobid", job.id.as_str().into());
    set("branch", job.branch.as_deref().unwrap_or_default().into());
    set("baserev", job.revision.as_deref().unwrap_or_default().into());
    set("patch_level", job.level.into());
    set("repository", job.repository.as_str().into());
    set("project", job.project.as_str().into());
    set("who", job.who.as_deref().into());
    set("comment", job.comment.as_deref().into());
    set("builderNames", job.builders.iter().map(String::as_str).collect());
    set("properties", json(&Value::Dict(job.properties.clone())));
    let version = match std::str::from_utf8(&job.patch) {
        Ok(patch) => {
            set("patch_body", patch.into());
            b"5"
        }
        Err(_) => {
            set("patch_body_base64", BASE64.encode(&job.patch).into());
            b"6"
        }
    };
    let mut out = netstring(version);
    out.extend(netstring(Json::Object(all).to_string().as_bytes()));
    out
}

fn netstring(bytes: &[u8]) -> Vec<u8> {
    let mut out = format!("{}:", bytes.len()).into_bytes();
    out.extend_from_slice(bytes);
    out.push(b',');
    out
}

fn netstrings(bytes: &[u8]) -> Result<Vec<&[u8]>, BadJob> {
    let (mut all, mut at) = (Vec::new(), 0);
    // A line break at the end, as editors leave it, is none of the strings.
    let end = bytes.len() - bytes.iter().rev().take_while(|byte| byte.is_ascii_whitespace()).count();
    while at < end {
        let bad = || BadJob::Netstring(at);
        let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let length: usize = text(&bytes[at..at + digits]).parse().map_err(|_| bad())?;
        let start = at + digits + 1;
        let stop = start.checked_add(length).filter(|stop| *stop < bytes.len()).ok_or_else(bad)?;
        if bytes[at + digits] != b':' || bytes[stop] != b',' {
            return Err(bad());
        }
        all.push(&bytes[start..stop]);
        at = stop + 1;
    }
    Ok(all)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn given(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// Versions 1 to 4: `names` in order, then builders.
fn plain(version: u8, names: &[&str], fields: &[&[u8]]) -> Result<TryJob, BadJob> {
    if fields.len() < names.len() {
        return Err(BadJob::Fields { version, wanted: names.len(), found: fields.len() });
    }
    let (fields, builders) = fields.split_at(names.len());
    let field = |name: &str| {
        let at = names.iter().position(|known| *known == name);
        at.map(|at| fields[at]).unwrap_or_default()
    };
    let level = text(field("level"));
    Ok(TryJob {
        id: text(field("id")),
        branch: given(text(field("branch"))),
        revision: revision(text(field("revision"))),
        level: level.trim().parse().map_err(|_| BadJob::Level(level))?,
        patch: field("patch").to_vec(),
        repository: text(field("repository")),
        project: text(field("project")),
        builders: builders.iter().map(|name| text(name)).collect(),
        who: given(text(field("who"))),
        comment: given(text(field("comment"))),
        properties: Dict::new(),
    })
}

/// Versions 5 and 6.
fn object(version: u8, fields: &[&[u8]]) -> Result<TryJob, BadJob> {
    let [body] = fields else {
        return Err(BadJob::Json(format!(
            "version {version} holds one JSON object; there are {}",
            fields.len()
        )));
    };
    let body: Json =
        serde_json::from_slice(body).map_err(|error| BadJob::Json(format!("no JSON: {error}")))?;
    let body = body.as_object().ok_or_else(|| BadJob::Json("the JSON is no object".into()))?;
    Ok(TryJob {
        id: text_of(body, "jobid")?.unwrap_or_default(),
        branch: text_of(body, "branch")?.and_then(given),
        revision: text_of(body, "baserev")?.and_then(revision),
        level: level_of(body)?,
        patch: patch_of(version, body)?,
        repository: text_of(body, "repository")?.unwrap_or_default(),
        project: text_of(body, "project")?.unwrap_or_default(),
        builders: builders_of(body)?,
        who: text_of(body, "who")?.and_then(given),
        comment: text_of(body, "comment")?.and_then(given),
        properties: properties_of(body)?,
    })
}

fn wrong(key: &str, wanted: &str, found: &Json) -> BadJob {
    let found: String = found.to_string().chars().take(60).collect();
    BadJob::Json(format!("{key} should be {wanted}, not {found}"))
}

fn text_of(body: &Map<String, Json>, key: &str) -> Result<Option<String>, BadJob> {
    match body.get(key) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::String(text)) => Ok(Some(text.clone())),
        Some(Json::Number(number)) => Ok(Some(number.to_string())),
        Some(other) => Err(wrong(key, "a text", other)),
    }
}

fn level_of(body: &Map<String, Json>) -> Result<i64, BadJob> {
    match body.get("patch_level") {
        None | Some(Json::Null) => Ok(0),
        Some(Json::String(text)) => text.trim().parse().map_err(|_| BadJob::Level(text.clone())),
        Some(other) => other.as_i64().ok_or_else(|| wrong("patch_level", "a number", other)),
    }
}

fn patch_of(version: u8, body: &Map<String, Json>) -> Result<Vec<u8>, BadJob> {
    if version == 5 {
        return Ok(text_of(body, "patch_body")?.unwrap_or_default().into_bytes());
    }
    let encoded = text_of(body, "patch_body_base64")?.unwrap_or_default();
    BASE64.decode(encoded).map_err(|error| BadJob::Json(format!("patch_body_base64: {error}")))
}

fn builders_of(body: &Map<String, Json>) -> Result<Vec<String>, BadJob> {
    let names = match body.get("builderNames") {
        None | Some(Json::Null) => return Ok(Vec::new()),
        Some(Json::Array(names)) => names,
        Some(other) => return Err(wrong("builderNames", "a list", other)),
    };
    let name = |name: &Json| {
        name.as_str().map(str::to_owned).ok_or_else(|| wrong("builderNames", "a list of texts", name))
    };
    names.iter().map(name).collect()
}

fn properties_of(body: &Map<String, Json>) -> Result<Dict, BadJob> {
    match body.get("properties") {
        None | Some(Json::Null) => Ok(Dict::new()),
        Some(Json::Object(all)) => {
            Ok(all.iter().map(|(name, value)| (name.clone(), plain_value(value))).collect())
        }
        Some(other) => Err(wrong("properties", "an object", other)),
    }
}

fn plain_value(value: &Json) -> Value {
    match value {
        Json::Null => Value::None,
        Json::Bool(truth) => (*truth).into(),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => whole.into(),
            None => Value::Float(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => text.as_str().into(),
        Json::Array(items) => Value::List(items.iter().map(plain_value).collect()),
        Json::Object(all) => {
            Value::Dict(all.iter().map(|(key, value)| (key.clone(), plain_value(value))).collect())
        }
    }
}

fn json(value: &Value) -> Json {
    match value {
        Value::None => Json::Null,
        Value::Bool(truth) => (*truth).into(),
        Value::Int(number) => i64::try_from(*number).map_or(Json::Null, Json::from),
        Value::Float(number) => (*number).into(),
        Value::Str(text) => text.as_str().into(),
        Value::Bytes(bytes) => text(bytes).into(),
        Value::List(items) | Value::Tuple(items) => items.iter().map(json).collect(),
        Value::Dict(dict) => dict.iter().map(|(key, value)| (key.to_owned(), json(value))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(strings: &[&[u8]]) -> Vec<u8> {
        strings.iter().flat_map(|string| netstring(string)).collect()
    }

    #[test]
    fn row_03_022_every_version_of_job_files_is_read() {
        let body = br#"{"jobid": "j", "branch": "main", "baserev": "r", "patch_level": 1, "patch_body": "p\u00fc",
            "repository": "R", "project": "P", "who": "W", "comment": "C", "builderNames": ["a", "b"], "properties": {"k": 1}}"#;
        let coded = br#"{"jobid": "j", "branch": "main", "baserev": "r", "patch_level": "1",
            "patch_body_base64": "/wo=", "builderNames": [], "who": null}"#;
        let wanted = TryJob {
            id: "j".into(),
            branch: Some("main".into()),
            revision: Some("r".into()),
            level: 1,
            patch: b"p".to_vec(),
            builders: vec!["a".into(), "b".into()],
            ..TryJob::default()
        };
        let of = |repository: &str, who: Option<&str>, comment: Option<&str>| TryJob {
            repository: repository.into(),
            project: if repository.is_empty() { String::new() } else { "P".into() },
            who: who.map(str::to_owned),
            comment: comment.map(str::to_owned),
            ..wanted.clone()
        };
        for (strings, wanted) in [
            (&[&b"1"[..], b"j", b"main", b"r", b"1", b"p", b"a", b"b"][..], of("", None, None)),
            (&[b"2", b"j", b"main", b"r", b"1", b"p", b"R", b"P", b"a", b"b"], of("R", None, None)),
            (
                &[b"3", b"j", b"main", b"r", b"1", b"p", b"R", b"P", b"W", b"a", b"b"],
                of("R", Some("W"), None),
            ),
            (
                &[b"4", b"j", b"main", b"r", b"1", b"p", b"R", b"P", b"W", b"C", b"a", b"b"],
                of("R", Some("W"), Some("C")),
            ),
            (
                &[b"5", body],
                TryJob {
                    patch: "pü".into(),
                    properties: Dict::new().with("k", 1),
                    ..of("R", Some("W"), Some("C"))
                },
            ),
            (&[b"6", coded], TryJob { patch: b"\xff\n".to_vec(), builders: Vec::new(), ..wanted.clone() }),
        ] {
            assert_eq!(read(&file(strings)), Ok(wanted), "{}", text(strings[0]));
        }
        let quoted = file(&[b"1", b"j", b"", b"b'12'", b"0", b""]);
        assert_eq!(read(&quoted).unwrap().revision.as_deref(), Some("12"));
        let empty = read(&file(&[b"2", b"j", b"", b"", b"0", b"", b"", b""])).unwrap();
        assert_eq!((empty.branch, empty.revision, empty.patch.len()), (None, None, 0));
    }

    #[test]
    fn row_03_022_what_is_written_is_read_again() {
        for patch in [&b"--- a\n+++ b\n"[..], b"", b"\xff\xfe"] {
            let job = TryJob {
                id: "j".into(),
                branch: Some("b,1:".into()),
                level: 1,
                patch: patch.to_vec(),
                builders: vec!["ü".into()],
                who: Some("w".into()),
                properties: Dict::new().with("a", "1"),
                ..TryJob::default()
            };
            assert_eq!(read(&write(&job)), Ok(job));
        }
    }

    #[test]
    fn row_03_022_a_bad_job_file_says_what_is_wrong() {
        for (bytes, wanted) in [
            (b"".to_vec(), "it holds nothing"),
            (b"hello".to_vec(), "not made of netstrings (LENGTH:BYTES,): byte 0"),
            (b"1:5,99:short,".to_vec(), "not made of netstrings (LENGTH:BYTES,): byte 4"),
            (b"99999999999999999999:x,".to_vec(), "byte 0"),
            (b"18446744073709551615:x,".to_vec(), "byte 0"),
            (b"1:".to_vec(), "byte 0"),
            (b"1".to_vec(), "byte 0"),
            (file(&[b"7", b"{}"]), "version \"7\""),
            (file(&[b"1", b"j"]), "version 1 needs 5 fields before the builders; there are 1"),
            (file(&[b"1", b"j", b"b", b"r", b"one", b"p"]), "patch level \"one\" is no number"),
            (file(&[b"5", b"{"]), "no JSON"),
            (file(&[b"5", b"[]"]), "the JSON is no object"),
            (file(&[b"5"]), "holds one JSON object; there are 0"),
            (file(&[b"5", br#"{"builderNames": "a"}"#]), "builderNames should be a list, not \"a\""),
            (file(&[b"5", br#"{"branch": {}}"#]), "branch should be a text, not {}"),
            (file(&[b"6", br#"{"patch_body_base64": "?"}"#]), "patch_body_base64"),
            (vec![b'1'; MAX_JOB + 1], "more than"),
        ] {
            let told = read(&bytes).unwrap_err().to_string();
            assert!(told.contains(wanted), "{told} is not {wanted}");
        }
    }
}
