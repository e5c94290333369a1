//! The contents of a log as JSON, a piece at a time: logs may be larger than memory (09.034).

use super::logs::{Range, RawStream};
use super::{Answer, path};
use crate::cache::Kept;
use crate::data::Data;
use crate::error::{DataError, Result};
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use lunabot_db::Resource as _;
use lunabot_db::endpoints::Target;
use lunabot_model::resources::{Log, LogChunk};
use std::sync::Arc;

/// Stands for the text in the envelope; nothing else there is a text.
const TEXT: &str = "\"text\"";

/// An answer that was understood, and not read yet.
pub struct Contents {
    /// Differs wherever the answer may: of logs that are complete.
    pub tag: Option<String>,
    data: Data,
    range: Range,
    /// What stands before the text and after it; no text is asked for: the whole.
    before: String,
    after: Option<String>,
    /// What it is kept under, and the state of the table of logs before anything was read.
    key: String,
    version: u64,
}

/// An answer's body.
pub enum ContentsBody {
    Short(Bytes),
    Long(RawStream),
}

impl Data {
    /// What [`Data::get_json`] would give of the contents of a log. `None`: the path is another's.
    pub async fn contents(&self, path: &str, query: &str, pretty: bool) -> Result<Option<Contents>> {
        let last = path.rsplit('/').next().unwrap_or_default();
        if last != "contents" && !last.contains('%') {
            return Ok(None);
        }
        let found = path::find(path)?;
        let (key, version) = (super::key_of(path, query, pretty), self.shared.versions.of(Log::DECL.tables));
        if found.endpoint.target != Target::LogContents {
            return Ok(None);
        }
        let (range, spec) = self.log_range(&found, query).await?;
        let tag =
            range.log.complete.then(|| self.shared.answers.tag(&key, range.log.num_lines.unsigned_abs()));
        let chunk = LogChunk { logid: range.log.logid, firstline: range.first, content: "text".into() };
        let mut item = super::json(&chunk);
        spec.project(&mut item);
        let envelope = Answer::One { plural: "logchunks", item }.into_json();
        let envelope =
            if pretty { serde_json::to_string_pretty(&envelope) } else { serde_json::to_string(&envelope) };
        let envelope = envelope.map_err(|e| DataError::Storage(e.to_string()))?;
        let (before, after) = match envelope.split_once(TEXT) {
            Some((before, after)) => (format!("{before}\""), Some(format!("\"{after}"))),
            None => (envelope, None),
        };
        Ok(Some(Contents { tag, data: self.clone(), range, before, after, key, version }))
    }
}

impl Contents {
    /// Reads the beginning, and the rest as it is taken.
    pub async fn body(self) -> Result<ContentsBody> {
        let (data, key) = (self.data.clone(), self.key.clone());
        // What is stored of a log changes only with its row.
        let (tables, version, tag) = (Log::DECL.tables, self.version, self.tag.clone());
        let body = self.read().await?;
        if let ContentsBody::Short(body) = &body {
            let kept = Kept { tables, version, body: body.clone(), tag, packed: Arc::default() };
            data.shared.answers.put(&key, kept);
        }
        Ok(body)
    }

    async fn read(self) -> Result<ContentsBody> {
        let Some(after) = self.after else { return Ok(ContentsBody::Short(self.before.into())) };
        let mut pieces = self.data.stored_pieces(&self.range).map(|piece| escaped(&piece?));
        let mut begin = self.before;
        if let Some(first) = pieces.next().await.transpose()? {
            begin.push_str(&first);
        }
        let second = match pieces.next().await.transpose()? {
            Some(second) => second,
            None => return Ok(ContentsBody::Short((begin + &after).into())),
        };
        let begin = stream::iter([Ok(Bytes::from(begin)), Ok(Bytes::from(second))]);
        let rest = pieces.map(|piece| piece.map(Bytes::from));
        let end = stream::once(async { Ok(Bytes::from(after)) });
        Ok(ContentsBody::Long(begin.chain(rest).chain(end).boxed()))
    }
}

/// A text inside the quotes of JSON.
fn escaped(text: &str) -> Result<String> {
    let quoted = serde_json::to_string(text).map_err(|e| DataError::Storage(e.to_string()))?;
    Ok(quoted[1..quoted.len() - 1].to_owned())
}
