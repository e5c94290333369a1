//! Log chunks: whole lines, packed with zstd where that helps, found again by line number (13.009–13.013).

use crate::error::{DbError, Result};
use crate::pool::{Pool, Row};

/// The most text that goes into one chunk, unless a single line is longer.
pub const MAX_CHUNK: usize = 128 * 1024;

/// Fast, and good enough for build output.
const LEVEL: i32 = 1;

/// Shorter texts are stored plain: packing would not shrink them.
const MIN_PACKED: usize = 256;

/// Numbers of the packing methods, as Buildbot's (13.011).
const PLAIN: i64 = 0;
const ZSTD: i64 = 5;

/// A row of `logchunks`. The content has no newline after its last line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkRow {
    pub logid: i64,
    pub first_line: i64,
    pub last_line: i64,
    pub content: Vec<u8>,
    pub compressed: i64,
}

/// Cuts whole lines (each ending in a newline) into chunks; the first line has number `first_line`.
pub fn pack(logid: i64, first_line: i64, text: &str) -> Vec<ChunkRow> {
    let mut chunks = Vec::new();
    let mut packer = zstd::bulk::Compressor::new(LEVEL).ok();
    let (mut rest, mut line) = (text, first_line);
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(cut(rest));
        let lines = i64::try_from(memchr_count(piece)).unwrap_or(i64::MAX);
        let body = piece.strip_suffix('\n').unwrap_or(piece);
        let (content, compressed) = squeeze(packer.as_mut(), body.as_bytes());
        chunks.push(ChunkRow { logid, first_line: line, last_line: line + lines - 1, content, compressed });
        line += lines;
        rest = later;
    }
    chunks
}

/// The number of lines in text that ends in a newline.
fn memchr_count(text: &str) -> usize {
    memchr::memchr_iter(b'\n', text.as_bytes()).count()
}

/// Where the next chunk ends: after the last newline that fits, or after the first one there is.
fn cut(text: &str) -> usize {
    let bytes = text.as_bytes();
    if bytes.len() <= MAX_CHUNK {
        return bytes.len();
    }
    let fits = memchr::memrchr(b'\n', &bytes[..MAX_CHUNK]);
    let at = fits.or_else(|| memchr::memchr(b'\n', &bytes[MAX_CHUNK..]).map(|at| at + MAX_CHUNK));
    at.map_or(bytes.len(), |at| at + 1)
}

fn squeeze(packer: Option<&mut zstd::bulk::Compressor<'_>>, body: &[u8]) -> (Vec<u8>, i64) {
    let packed = packer.filter(|_| body.len() >= MIN_PACKED).and_then(|p| p.compress(body).ok());
    match packed {
        Some(packed) if packed.len() < body.len() => (packed, ZSTD),
        _ => (body.to_vec(), PLAIN),
    }
}

/// A chunk read back.
pub struct Chunk {
    pub first_line: i64,
    pub last_line: i64,
    /// Without a newline at the end.
    pub text: String,
}

const SELECT_CHUNKS: &str = "SELECT first_line, last_line, content, compressed FROM logchunks \
    WHERE logid = $1 AND last_line >= $2 AND first_line <= $3 ORDER BY last_line LIMIT $4";

/// At most `most` chunks that hold lines of `first ..= last`, in order.
pub(crate) async fn read(pool: &Pool, logid: i64, first: i64, last: i64, most: i64) -> Result<Vec<Chunk>> {
    let most = most.min(last.saturating_sub(first).saturating_add(1));
    let values = vec![logid.into(), first.into(), last.into(), most.into()];
    pool.fetch(SELECT_CHUNKS, values).await?.iter().map(unpack).collect()
}

fn unpack(row: &Row) -> Result<Chunk> {
    let mut cols = row.cols();
    let (first_line, last_line, content, method) = (cols.int()?, cols.int()?, cols.blob()?, cols.int()?);
    let bytes = match method {
        PLAIN => content,
        ZSTD => zstd::decode_all(content.as_slice())
            .map_err(|e| DbError::Lasting(format!("a log chunk is damaged: {e}")))?,
        other => {
            return Err(DbError::Lasting(format!(
                "a log chunk is packed with method {other}, which is unknown"
            )));
        }
    };
    let text =
        String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned());
    Ok(Chunk { first_line, last_line, text })
}

impl Chunk {
    /// The lines of this chunk within `first ..= last`, each with its newline.
    pub fn lines(&self, first: i64, last: i64, out: &mut String) {
        if first <= self.first_line && last >= self.last_line {
            out.push_str(&self.text);
            out.push('\n');
            return;
        }
        let skip = usize::try_from(first - self.first_line).unwrap_or(0);
        let end = usize::try_from(last.min(self.last_line) - self.first_line + 1).unwrap_or(0);
        for line in self.text.split('\n').take(end).skip(skip) {
            out.push_str(line);
            out.push('\n');
        }
    }
}

/// Joins neighbours that fit into one chunk (13.012). What stays alone is not given.
pub fn merge(logid: i64, chunks: &[Chunk]) -> Vec<ChunkRow> {
    let mut packer = zstd::bulk::Compressor::new(LEVEL).ok();
    let mut merged = Vec::new();
    let mut rest = chunks;
    while let Some(first) = rest.first() {
        let mut text = first.text.clone();
        let mut taken = 1;
        while let Some(next) = rest.get(taken).filter(|c| text.len() + 1 + c.text.len() <= MAX_CHUNK) {
            text.push('\n');
            text.push_str(&next.text);
            taken += 1;
        }
        let (now, later) = rest.split_at(taken);
        if let (true, Some(last)) = (taken > 1, now.last()) {
            let (content, compressed) = squeeze(packer.as_mut(), text.as_bytes());
            let (first_line, last_line) = (first.first_line, last.last_line);
            merged.push(ChunkRow { logid, first_line, last_line, content, compressed });
        }
        rest = later;
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_end_at_lines_and_count_on() {
        let line = "x".repeat(999) + "\n";
        let text = line.repeat(300) + &"y".repeat(3 * MAX_CHUNK) + "\nlast\n";
        let chunks = pack(7, 10, &text);
        assert!(chunks.windows(2).all(|w| w[0].last_line + 1 == w[1].first_line));
        assert_eq!((chunks[0].first_line, chunks.last().unwrap().last_line), (10, 10 + 301));
        let sizes: usize = chunks.iter().map(|c| c.content.len()).sum();
        assert!(sizes < text.len() / 10, "{sizes}");
    }

    #[test]
    fn empty_lines_are_lines() {
        let chunks = pack(1, 0, "\n\na\n");
        assert_eq!(
            (chunks[0].first_line, chunks[0].last_line, chunks[0].content.as_slice()),
            (0, 2, &b"\n\na"[..])
        );
        let chunk = Chunk { first_line: 0, last_line: 2, text: "\n\na".into() };
        let mut out = String::new();
        chunk.lines(1, 9, &mut out);
        assert_eq!(out, "\na\n");
    }
}
