//! The contents of logs: by line range, and raw (09.034, 09.035).

use super::{Answer, parse, path};
use crate::data::Data;
use crate::error::{DataError, Result};
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use lunabot_db::endpoints::{Found, Target};
use lunabot_model::resources::{BuildData, Log, LogChunk, LogType};
use lunabot_model::result_spec::{FieldKind, FieldSpec, ResultSpec};

/// Chunks read at a time.
const CHUNKS: i64 = 16;

const CHUNK_FIELDS: &[FieldSpec] = &[
    FieldSpec { name: "logid", kind: FieldKind::Int },
    FieldSpec { name: "firstline", kind: FieldKind::Int },
    FieldSpec { name: "content", kind: FieldKind::Text },
];

/// The bytes of a raw answer, a piece at a time.
pub type RawStream = BoxStream<'static, Result<Bytes>>;

/// Lines of a log, both counted in; none where `last` is before `first`.
pub(super) struct Range {
    pub log: Log,
    pub first: i64,
    pub last: i64,
}

/// A raw answer: a log, or a piece of build data.
pub struct RawLog {
    pub content_type: &'static str,
    /// The name under which it is to be saved; absent: to be shown.
    pub filename: Option<String>,
    /// What tells it from any other state of it, where it will not change under its reader: parts can be asked for.
    pub tag: Option<String>,
    pub body: RawStream,
}

impl Data {
    /// `offset`: the first line, `limit`: how many (09.034). Beyond the end: not found.
    pub(super) async fn log_contents(&self, found: &Found, query: &str) -> Result<Answer> {
        let (Range { log, first, last }, spec) = self.log_range(found, query).await?;
        let content = self.stored_lines(log.logid, first, last).await?;
        let mut item = super::json(&LogChunk { logid: log.logid, firstline: first, content });
        spec.project(&mut item);
        Ok(Answer::One { plural: "logchunks", item })
    }

    /// The lines that a query asks for.
    pub(super) async fn log_range(&self, found: &Found, query: &str) -> Result<(Range, ResultSpec)> {
        let spec = parse(query, CHUNK_FIELDS, false)?;
        let log = self.log(found).await?;
        let first = spec.offset.unwrap_or(0);
        let last = match spec.limit {
            Some(limit) => first.saturating_add(limit) - 1,
            None => i64::MAX,
        }
        .min(log.num_lines - 1);
        // An empty log has nothing at its beginning, which is no error.
        if last < first && !(first == 0 && log.num_lines == 0) {
            return Err(path::absent(found));
        }
        Ok((Range { log, first, last }, spec))
    }

    async fn log(&self, found: &Found) -> Result<Log> {
        let log = self.shared.store.one(&found.endpoint.scope, found.args.clone()).await?;
        log.ok_or_else(|| path::absent(found))
    }

    /// What `/raw`, `/raw_inline` and `/value` give (09.031, 09.035), read as it is sent.
    pub async fn raw(&self, path: &str) -> Result<RawLog> {
        let found = path::find(path)?;
        match found.endpoint.target {
            Target::LogRaw => self.raw_log(self.log(&found).await?, true).await,
            Target::LogRawInline => self.raw_log(self.log(&found).await?, false).await,
            Target::BuildDataValue => self.raw_value(&found).await,
            _ => Err(DataError::InvalidPath(path.to_owned())),
        }
    }

    async fn raw_value(&self, found: &Found) -> Result<RawLog> {
        let row: Option<BuildData> = self.shared.store.one(&found.endpoint.scope, found.args.clone()).await?;
        let row = row.ok_or_else(|| path::absent(found))?;
        let value = self.shared.store.build_data_value(row.buildid, &row.name).await?.unwrap_or_default();
        Ok(RawLog {
            content_type: "application/octet-stream",
            filename: Some(row.name),
            tag: None,
            body: futures::stream::once(async { Ok(Bytes::from(value)) }).boxed(),
        })
    }

    async fn raw_log(&self, log: Log, attachment: bool) -> Result<RawLog> {
        let place = self.shared.store.log_place(log.logid).await?;
        let place = place.ok_or_else(|| DataError::NotFound(format!("log {} is gone", log.logid)))?;
        let filename =
            format!("{}_build_{}_step_{}_log_{}", place.builder, place.number, place.step, log.slug);
        let head = match log.log_type {
            LogType::Stdio => format!(
                "Builder: {}\nBuild number: {}\nWorker name: {}\n",
                place.builder,
                place.number,
                place.worker.unwrap_or_default()
            ),
            LogType::Text | LogType::Html | LogType::Deleted => String::new(),
        };
        let head = futures::stream::iter((!head.is_empty()).then(|| Ok(Bytes::from(head))));
        Ok(RawLog {
            content_type: match log.log_type {
                LogType::Html => "text/html",
                LogType::Stdio | LogType::Text | LogType::Deleted => "text/plain",
            },
            filename: attachment.then_some(filename),
            tag: log.complete.then(|| format!("log-{}-{}-{}", log.logid, log.log_type.code(), log.num_lines)),
            body: head.chain(self.pieces(log)).boxed(),
        })
    }

    /// The text of a log without the letters of its channels.
    fn pieces(&self, log: Log) -> RawStream {
        let strip = log.log_type == LogType::Stdio;
        let last = log.num_lines - 1;
        let plain = move |text: String| if strip { without_channels(&text) } else { text };
        self.stored_pieces(&Range { log, first: 0, last })
            .map(move |text| text.map(|text| Bytes::from(plain(text))))
            .boxed()
    }

    /// Lines of a log as they are stored, some chunks at a time.
    pub(super) fn stored_pieces(&self, range: &Range) -> BoxStream<'static, Result<String>> {
        let data = self.clone();
        let (logid, last) = (range.log.logid, range.last);
        futures::stream::try_unfold(range.first.max(0), move |next| {
            let data = data.clone();
            async move {
                if next > last {
                    return Ok(None);
                }
                let chunks = data.shared.store.chunks(logid, next, last, CHUNKS).await?;
                let Some(end) = chunks.last().map(|chunk| chunk.last_line) else { return Ok(None) };
                let mut text = String::new();
                chunks.iter().for_each(|chunk| chunk.lines(next, last, &mut text));
                Ok(Some((text, end + 1)))
            }
        })
        .boxed()
    }
}

/// The lines without the letter of their channel.
fn without_channels(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let mut rest = line.chars();
        rest.next();
        plain.push_str(if line == "\n" { line } else { rest.as_str() });
    }
    plain
}
