//! Log files that a program writes besides its output (`logfiles` of `shell`).
//!
//! Each is looked at every two seconds and once at the end. A file that was there before counts once it
//! changes, and is then sent whole, or with `follow` from where it ended when the program began. A file that
//! is replaced or cut is read from its start again.

use super::spec::LogFile;
use crate::text::lines::Lines;
use std::{
    fs::{self, File, Metadata},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    sync::Arc,
    time::Duration,
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep_until},
};

/// How often files are looked at.
const POLL: Duration = Duration::from_secs(2);

/// Most bytes read at once.
const CHUNK: usize = 65_536;

/// The watched files of one program.
pub(super) struct Watcher {
    files: Vec<(Watched, Lines)>,
    next_poll: Instant,
    /// The file to read next, while a round is on.
    current: Option<usize>,
    /// Its reading, which outlives a dropped wait.
    reading: Option<JoinHandle<(Watched, io::Result<Vec<u8>>)>>,
}

/// News of one file.
pub(super) struct Chunk {
    pub(super) name: String,
    /// Whole lines, perhaps none.
    pub(super) text: String,
}

#[derive(Clone)]
struct Watched {
    file: LogFile,
    /// What was there before the program began.
    before: Option<Stamp>,
    reading: Option<(Arc<File>, Identity)>,
    position: u64,
}

type Identity = (u64, u64);

#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    identity: Identity,
    size: u64,
    modified: (i64, i64),
}

fn identity(meta: &Metadata) -> Identity {
    (meta.dev(), meta.ino())
}

fn stamp(meta: &Metadata) -> Stamp {
    Stamp { identity: identity(meta), size: meta.size(), modified: (meta.mtime(), meta.mtime_nsec()) }
}

impl Watcher {
    /// To be made before the program starts; looks at the files.
    pub(super) fn new(files: &[LogFile], lines: impl Fn() -> Lines) -> Self {
        let watched = |file: &LogFile| {
            let before = regular(file).map(|meta| stamp(&meta));
            let watched = Watched { file: file.clone(), before, reading: None, position: 0 };
            (watched, lines())
        };
        Self {
            files: files.iter().map(watched).collect(),
            next_poll: Instant::now() + POLL,
            current: None,
            reading: None,
        }
    }

    /// The next news; waits for it. May be dropped and called again without loss.
    pub(super) async fn next(&mut self) -> Chunk {
        if self.files.is_empty() {
            return std::future::pending().await;
        }
        loop {
            if self.current.is_none() {
                sleep_until(self.next_poll).await;
                self.current = Some(0);
                self.next_poll = Instant::now() + POLL;
            }
            if let Some(chunk) = self.round().await {
                return chunk;
            }
        }
    }

    /// Begins a last round; what an unfinished reading finds is found again.
    pub(super) fn finish(&mut self) {
        self.reading = None;
        self.current = Some(0);
    }

    /// News of the current round, nothing when it is over.
    pub(super) async fn round(&mut self) -> Option<Chunk> {
        while let Some(at) = self.current.filter(|at| *at < self.files.len()) {
            let watched = &self.files[at].0;
            let reading = self.reading.get_or_insert_with(|| watched.clone().start());
            let read = reading.await;
            self.reading = None;
            // A read that fails is tried again in the next round.
            if let Ok((watched, Ok(bytes))) = read
                && !bytes.is_empty()
            {
                let (file, lines) = &mut self.files[at];
                *file = watched;
                return Some(Chunk { name: file.file.name.clone(), text: lines.push(&bytes) });
            }
            self.current = Some(at + 1);
        }
        self.current = None;
        None
    }

    /// The unfinished last lines.
    pub(super) fn tails(self) -> impl Iterator<Item = Chunk> {
        let tail = |(watched, mut lines): (Watched, Lines)| {
            Some(Chunk { name: watched.file.name, text: lines.finish()? })
        };
        self.files.into_iter().filter_map(tail)
    }
}

/// Only regular files are watched: opening others may block.
fn regular(file: &LogFile) -> Option<Metadata> {
    fs::metadata(&file.path).ok().filter(Metadata::is_file)
}

impl Watched {
    fn start(mut self) -> JoinHandle<(Self, io::Result<Vec<u8>>)> {
        tokio::task::spawn_blocking(move || {
            let bytes = self.read();
            (self, bytes)
        })
    }

    fn read(&mut self) -> io::Result<Vec<u8>> {
        let meta = regular(&self.file);
        if let (Some(meta), None) = (&meta, &self.reading) {
            self.open(meta)?;
        }
        let Some((file, reading)) = self.reading.clone() else { return Ok(Vec::new()) };
        if meta.as_ref().is_some_and(|meta| identity(meta) == reading && meta.size() < self.position) {
            self.position = 0;
        }
        let bytes = self.read_at(&file)?;
        match meta {
            Some(meta) if bytes.is_empty() && identity(&meta) != reading => {
                self.reading = Some((Arc::new(File::open(&self.file.path)?), identity(&meta)));
                self.position = 0;
                let (file, _) = self.reading.clone().unwrap_or((file, reading));
                self.read_at(&file)
            }
            _ => Ok(bytes),
        }
    }

    fn open(&mut self, meta: &Metadata) -> io::Result<()> {
        if self.before == Some(stamp(meta)) {
            return Ok(());
        }
        let old = self.before.filter(|before| before.identity == identity(meta));
        self.position = old.filter(|_| self.file.follow).map_or(0, |before| before.size);
        self.reading = Some((Arc::new(File::open(&self.file.path)?), identity(meta)));
        Ok(())
    }

    fn read_at(&mut self, file: &File) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; CHUNK];
        let length = file.read_at(&mut bytes, self.position)?;
        bytes.truncate(length);
        self.position += length as u64;
        Ok(bytes)
    }
}
