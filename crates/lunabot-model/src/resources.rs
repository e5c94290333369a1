//! The resources of the data API, field by field as Buildbot's `/api/v2` names them (reference 09.001–09.024).
//!
//! Times are whole seconds since 1970, UTC.

use crate::{Id, Json, Properties, Results};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `-1` in JSON while there is no result yet (09.003, 09.004).
mod results_or_minus_one {
    use crate::Results;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(r: &Option<Results>, s: S) -> Result<S::Ok, S::Error> {
        r.map_or(-1, Results::code).serialize(s)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Results>, D::Error> {
        Ok(Results::from_code(i64::deserialize(d)?))
    }
}

/// 09.001.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Build {
    pub buildid: Id,
    /// Counts the builds of one builder, from 1.
    pub number: i64,
    pub builderid: Id,
    pub buildrequestid: Id,
    pub workerid: Option<Id>,
    pub masterid: Id,
    pub started_at: i64,
    pub complete: bool,
    pub complete_at: Option<i64>,
    pub locks_duration_s: i64,
    pub results: Option<Results>,
    pub state_string: String,
    /// The content of the configuration that made it, as `content_hash` of the resource `generations` tells it; `None`:
    /// made before this was noted (lua-api § 5).
    #[serde(default)]
    pub generation: Option<String>,
    /// Empty unless asked for with `property=`.
    pub properties: Properties,
}

/// 09.002.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Builder {
    pub builderid: Id,
    pub name: String,
    /// Masters that have it configured now; empty for a builder of the past.
    pub masterids: Vec<Id>,
    pub description: Option<String>,
    pub description_format: Option<String>,
    pub description_html: Option<String>,
    pub projectid: Option<Id>,
    pub tags: Vec<String>,
}

/// 09.003.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BuildRequest {
    pub buildrequestid: Id,
    pub buildsetid: Id,
    pub builderid: Id,
    pub priority: i64,
    pub claimed: bool,
    pub claimed_at: Option<i64>,
    pub claimed_by_masterid: Option<Id>,
    pub complete: bool,
    #[serde(with = "results_or_minus_one")]
    pub results: Option<Results>,
    pub submitted_at: i64,
    pub complete_at: Option<i64>,
    pub waited_for: bool,
    /// Null unless asked for.
    pub properties: Option<Properties>,
}

/// 09.004.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Buildset {
    pub bsid: Id,
    pub external_idstring: Option<String>,
    pub reason: String,
    pub rebuilt_buildid: Option<Id>,
    pub submitted_at: i64,
    pub complete: bool,
    pub complete_at: Option<i64>,
    #[serde(with = "results_or_minus_one")]
    pub results: Option<Results>,
    pub sourcestamps: Vec<SourceStamp>,
    pub parent_buildid: Option<Id>,
    pub parent_relationship: Option<String>,
}

/// 09.005.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceStamp {
    pub ssid: Id,
    pub revision: Option<String>,
    pub branch: Option<String>,
    pub repository: String,
    pub project: String,
    pub codebase: String,
    pub patch: Option<Patch>,
    pub created_at: i64,
}

/// The patch of a source stamp.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Patch {
    pub patchid: Id,
    /// As text; what is no UTF-8 in it is replaced.
    pub body: String,
    pub level: i64,
    pub subdir: String,
    pub author: String,
    pub comment: String,
    /// The body as it was given, where it is no UTF-8: what is applied (06.015).
    #[serde(skip)]
    pub raw: Option<Vec<u8>>,
}

impl Patch {
    /// The body, byte by byte.
    pub fn bytes(&self) -> &[u8] {
        self.raw.as_deref().unwrap_or(self.body.as_bytes())
    }

    /// A body as text, and as bytes where they differ.
    pub fn text_and_raw(body: Vec<u8>) -> (String, Option<Vec<u8>>) {
        String::from_utf8(body).map_or_else(
            |error| (String::from_utf8_lossy(error.as_bytes()).into_owned(), Some(error.into_bytes())),
            |text| (text, None),
        )
    }
}

/// 09.006.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    pub changeid: Id,
    pub parent_changeids: Vec<Id>,
    pub author: String,
    pub committer: Option<String>,
    pub files: Vec<String>,
    pub comments: String,
    pub revision: Option<String>,
    pub when_timestamp: i64,
    pub branch: Option<String>,
    pub category: Option<String>,
    pub revlink: Option<String>,
    pub properties: Properties,
    pub repository: String,
    pub project: String,
    pub codebase: String,
    pub sourcestamp: SourceStamp,
}

/// 09.007.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub stepid: Id,
    pub number: i64,
    pub name: String,
    pub buildid: Id,
    pub started_at: Option<i64>,
    pub locks_acquired_at: Option<i64>,
    pub complete: bool,
    pub complete_at: Option<i64>,
    pub results: Option<Results>,
    pub state_string: String,
    pub urls: Vec<StepUrl>,
    pub hidden: bool,
}

/// A link of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepUrl {
    pub name: String,
    pub url: String,
}

/// What a log holds (13.001).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LogType {
    /// Lines prefixed with their channel: `o` stdout, `e` stderr, `h` header.
    #[serde(rename = "s")]
    Stdio,
    #[serde(rename = "t")]
    Text,
    #[serde(rename = "h")]
    Html,
    /// Its contents were removed by retention.
    #[serde(rename = "d")]
    Deleted,
}

impl LogType {
    pub const fn code(self) -> &'static str {
        match self {
            LogType::Stdio => "s",
            LogType::Text => "t",
            LogType::Html => "h",
            LogType::Deleted => "d",
        }
    }
}

/// 09.008.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Log {
    pub logid: Id,
    pub name: String,
    pub slug: String,
    pub stepid: Id,
    pub complete: bool,
    pub num_lines: i64,
    #[serde(rename = "type")]
    pub log_type: LogType,
}

/// 09.009: lines `firstline …`; of a log of type `s` each begins with its channel's letter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogChunk {
    pub logid: Id,
    pub firstline: i64,
    pub content: String,
}

/// 09.010.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Worker {
    pub workerid: Id,
    pub name: String,
    pub connected_to: Vec<ConnectedTo>,
    pub configured_on: Vec<ConfiguredOn>,
    pub workerinfo: Json,
    pub paused: bool,
    pub pause_reason: Option<String>,
    pub graceful: bool,
}

/// A master that a worker is connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectedTo {
    pub masterid: Id,
}

/// A builder that a worker is configured for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfiguredOn {
    pub masterid: Id,
    pub builderid: Id,
}

/// 09.011.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Master {
    pub masterid: Id,
    /// `hostname:absolute base directory`.
    pub name: String,
    pub active: bool,
    pub last_active: i64,
}

/// 09.012.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scheduler {
    pub schedulerid: Id,
    pub name: String,
    pub enabled: bool,
    pub master: Option<Master>,
}

/// 09.013.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChangeSource {
    pub changesourceid: Id,
    pub name: String,
    pub master: Option<Master>,
}

/// 09.014.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForceScheduler {
    pub name: String,
    pub button_name: String,
    pub label: String,
    pub builder_names: Vec<String>,
    pub enabled: bool,
    pub all_fields: Vec<Json>,
}

/// 09.015.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Project {
    pub projectid: Id,
    pub name: String,
    pub slug: String,
    pub active: Option<bool>,
    pub description: Option<String>,
    pub description_format: Option<String>,
    pub description_html: Option<String>,
}

/// 09.016.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Codebase {
    pub codebaseid: Id,
    pub projectid: Id,
    pub name: String,
    pub slug: String,
}

/// 09.017.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    pub commitid: Id,
    pub codebaseid: Id,
    pub author: String,
    pub committer: Option<String>,
    pub comments: String,
    pub when_timestamp: i64,
    pub revision: String,
    /// The first parent, where it is known.
    pub parent_commitid: Option<Id>,
}

/// 09.018.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Branch {
    pub branchid: Id,
    pub codebaseid: Id,
    pub name: String,
    /// Where it stood when it was last seen to move.
    pub commitid: Option<Id>,
    pub last_timestamp: i64,
}

/// 09.018: how two commits are related.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommitGraph {
    /// The newest commit that both come from.
    pub common: Id,
    /// From there to the first, both included.
    pub to1: Vec<Id>,
    /// From there to the second, both included.
    pub to2: Vec<Id>,
}

/// 09.021.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BuildData {
    pub buildid: Id,
    pub name: String,
    pub length: i64,
    /// Null in listings; `/value` gives the bytes.
    pub value: Option<Json>,
    pub source: String,
}
