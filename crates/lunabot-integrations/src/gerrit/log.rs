//! The events that Gerrit's plug-in `events-log` keeps, asked over HTTP.

use super::event::PatchSet;
use crate::forge_api::{ForgeApi, Login};
use crate::source::SourceError;
use lunabot_model::Json;

/// What Gerrit puts before its JSON, so that no page can run it.
const PREFIX: &[u8] = b")]}'";
/// Not a file of the repository.
const MESSAGE: &str = "/COMMIT_MSG";

/// A server that keeps its events.
pub struct EventLog {
    api: ForgeApi,
    /// Where those who log in have to ask.
    root: Vec<&'static str>,
}

impl EventLog {
    pub fn new(base: &str, login: Login) -> Result<Self, SourceError> {
        let base = base.trim_end_matches('/');
        let root = match &login {
            Login::Nobody => Vec::new(),
            _ if base.ends_with("/a") => Vec::new(),
            _ => vec!["a"],
        };
        Ok(EventLog { api: ForgeApi::new(base, login)?, root })
    }

    /// The events since a time, oldest first. A line that is none is passed over.
    pub async fn since(&self, seconds: i64) -> Result<Vec<Json>, SourceError> {
        let time = jiff::Timestamp::from_second(seconds).unwrap_or_default();
        let time = time.strftime("%Y-%m-%d %H:%M:%S").to_string();
        let path = [&self.root[..], &["plugins", "events-log", "events", ""]].concat();
        let body = self.api.text(self.api.url(&path, &[("t1", &time)])).await?;
        let lines =
            body.split(|byte| *byte == b'\n').filter(|line| !line.iter().all(u8::is_ascii_whitespace));
        let mut events: Vec<Json> = lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
        events.sort_by_key(|event| super::event::time(event).unwrap_or_default());
        Ok(events)
    }

    /// The files of a patch set.
    pub async fn files(&self, of: &PatchSet) -> Result<Vec<String>, SourceError> {
        let path = [&self.root[..], &["changes", &of.number, "revisions", &of.patch, "files", ""]].concat();
        let body = self.api.text(self.api.url(&path, &[])).await?;
        let json = body.strip_prefix(PREFIX).unwrap_or(&body);
        let files: Json = serde_json::from_slice(json)
            .map_err(|e| SourceError::Other(format!("the files of change {}: {e}", of.number)))?;
        let names = files.as_object().into_iter().flatten().map(|(name, _)| name.clone());
        Ok(names.filter(|name| name != MESSAGE).collect())
    }
}

/// The files that `gerrit query --files --patch-sets` tells of a patch set.
pub fn files_of_query(answer: &str, of: &PatchSet) -> Option<Vec<String>> {
    let rows = answer.lines().filter_map(|line| serde_json::from_str::<Json>(line).ok());
    for row in rows {
        for set in row["patchSets"].as_array().into_iter().flatten() {
            let number = set["number"].as_str().map_or_else(|| set["number"].to_string(), String::from);
            if number == of.patch {
                let names = set["files"].as_array()?.iter().filter_map(|file| file["file"].as_str());
                return Some(names.filter(|name| *name != MESSAGE).map(String::from).collect());
            }
        }
    }
    None
}
