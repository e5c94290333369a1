//! Log chunks: whole lines, packed where that helps, found again by line number (13.009–13.013).

use crate::error::{DbError, Result};
use crate::pool::{Pool, Row};
use lunabot_model::config::LogCompression;
use std::io::{Read, Write};

/// The most text that goes into one chunk, unless a single line is longer.
pub const MAX_CHUNK: usize = 128 * 1024;

/// Levels: fast, and good enough for build output.
const LEVEL: i32 = 1;
const GZ_LEVEL: u32 = 6;
const BZ2_LEVEL: u32 = 9;

/// Shorter texts are stored plain: packing would not shrink them.
const MIN_PACKED: usize = 256;

/// Numbers of the packing methods, as Buildbot's (13.011).
const PLAIN: i64 = 0;
const GZ: i64 = 1;
const BZ2: i64 = 2;
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
pub fn pack(logid: i64, first_line: i64, text: &str, method: LogCompression) -> Vec<ChunkRow> {
    let mut chunks = Vec::new();
    let mut packer = Packer::new(method);
    let (mut rest, mut line) = (text, first_line);
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(cut(rest));
        let lines = i64::try_from(memchr_count(piece)).unwrap_or(i64::MAX);
        let body = piece.strip_suffix('\n').unwrap_or(piece);
        let (content, compressed) = packer.squeeze(body.as_bytes());
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

/// Packs chunk after chunk by one method.
enum Packer {
    Plain,
    Gz,
    Bz2,
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Packer {
    fn new(method: LogCompression) -> Self {
        match method {
            LogCompression::Raw => Packer::Plain,
            LogCompression::Gz => Packer::Gz,
            LogCompression::Bz2 => Packer::Bz2,
            LogCompression::Zstd => zstd::bulk::Compressor::new(LEVEL).map_or(Packer::Plain, Packer::Zstd),
        }
    }

    /// The content to store and the number of its method; plain where packing would not make it smaller.
    fn squeeze(&mut self, body: &[u8]) -> (Vec<u8>, i64) {
        let packed = if body.len() < MIN_PACKED { None } else { self.pack(body) };
        packed.filter(|(bytes, _)| bytes.len() < body.len()).unwrap_or_else(|| (body.to_vec(), PLAIN))
    }

    fn pack(&mut self, body: &[u8]) -> Option<(Vec<u8>, i64)> {
        match self {
            Packer::Plain => None,
            Packer::Gz => {
                let mut packer =
                    flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(GZ_LEVEL));
                packer.write_all(body).ok()?;
                Some((packer.finish().ok()?, GZ))
            }
            Packer::Bz2 => {
                let mut packer = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::new(BZ2_LEVEL));
                packer.write_all(body).ok()?;
                Some((packer.finish().ok()?, BZ2))
            }
            Packer::Zstd(packer) => Some((packer.compress(body).ok()?, ZSTD)),
        }
    }
}

/// The text of a chunk. The error says that it is damaged, or packed in a way that we do not know (13.014).
fn expand(content: Vec<u8>, method: i64) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let read = match method {
        PLAIN => return Ok(content),
        GZ => flate2::read::ZlibDecoder::new(content.as_slice()).read_to_end(&mut text),
        BZ2 => bzip2::read::BzDecoder::new(content.as_slice()).read_to_end(&mut text),
        ZSTD => zstd::stream::copy_decode(content.as_slice(), &mut text).map(|()| 0),
        other => {
            let message = format!("a log chunk is packed with method {other}, which is unknown");
            return Err(DbError::Lasting(message));
        }
    };
    read.map_err(|e| DbError::Lasting(format!("a log chunk is damaged: {e}")))?;
    Ok(text)
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
    let bytes = expand(content, method)?;
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
pub fn merge(logid: i64, chunks: &[Chunk], method: LogCompression) -> Vec<ChunkRow> {
    let mut packer = Packer::new(method);
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
            let (content, compressed) = packer.squeeze(text.as_bytes());
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
    fn row_13_009_chunks_end_at_lines_and_count_on() {
        let line = "x".repeat(999) + "\n";
        let text = line.repeat(300) + &"y".repeat(3 * MAX_CHUNK) + "\nlast\n";
        let chunks = pack(7, 10, &text, LogCompression::default());
        assert!(chunks.windows(2).all(|w| w[0].last_line + 1 == w[1].first_line));
        assert_eq!((chunks[0].first_line, chunks.last().unwrap().last_line), (10, 10 + 301));
        let sizes: usize = chunks.iter().map(|c| c.content.len()).sum();
        assert!(sizes < text.len() / 10, "{sizes}");
    }

    #[test]
    fn row_13_011_each_method_packs_and_is_read_whatever_is_configured() {
        let text = "some line of a build\n".repeat(500);
        for (method, number) in [
            (LogCompression::Raw, PLAIN),
            (LogCompression::Gz, GZ),
            (LogCompression::Bz2, BZ2),
            (LogCompression::Zstd, ZSTD),
        ] {
            let chunk = pack(1, 0, &text, method).remove(0);
            assert_eq!((chunk.compressed, chunk.content.len() < text.len() / 10), (number, number != PLAIN));
            assert_eq!(expand(chunk.content, number).unwrap(), text.trim_end().as_bytes());
            assert_eq!(pack(1, 0, "short\n", method)[0].compressed, PLAIN);
        }
        assert!(expand(b"damaged".to_vec(), GZ).is_err());
        assert!(expand(Vec::new(), 7).unwrap_err().to_string().contains("method 7"));
    }

    #[test]
    fn empty_lines_are_lines() {
        let chunks = pack(1, 0, "\n\na\n", LogCompression::default());
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
