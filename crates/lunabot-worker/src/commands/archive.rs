//! A directory as a tar stream, compressed or not.

use crate::errors::Failure;
use lunabot_proto::Transfer;
use std::{
    fs::{File, Metadata},
    io::{self, BufWriter, Read, Seek, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};
use tokio_util::sync::CancellationToken;

/// Nanoseconds in a second.
const NANOS: f64 = 1e9;

/// How a tar stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Bzip2,
}

impl Compression {
    pub(super) fn of(name: Option<&str>) -> Result<Self, Failure> {
        match name {
            None | Some("") => Ok(Compression::None),
            Some("gz") => Ok(Compression::Gzip),
            Some("bz2") => Ok(Compression::Bzip2),
            Some(name) => {
                Err(Failure::new(format!("argument 'compress' must be gz, bz2 or none, not '{name}'")))
            }
        }
    }
}

/// Access and modification of a file, as a request to give them to its copy.
pub(super) fn times(meta: &Metadata) -> Transfer {
    let seconds = |whole: i64, nanos: i64| whole as f64 + nanos as f64 / NANOS;
    Transfer::Utime {
        accessed: seconds(meta.atime(), meta.atime_nsec()),
        modified: seconds(meta.mtime(), meta.mtime_nsec()),
    }
}

/// The archive of a directory, ready to be read, or why the directory cannot be read. Links are kept as
/// links; sockets, pipes and devices are left out. Whoever no longer waits for it ends the work.
pub(super) async fn pack(
    dir: PathBuf,
    compression: Compression,
) -> Result<io::Result<tokio::fs::File>, Failure> {
    let abandoned = CancellationToken::new();
    let _wanted = abandoned.clone().drop_guard();
    let packed = tokio::task::spawn_blocking(move || pack_blocking(&dir, compression, &abandoned)).await;
    let packed = packed.map_err(|error| Failure::new(format!("internal error: {error}")))?;
    Ok(packed.map(tokio::fs::File::from_std))
}

fn pack_blocking(dir: &Path, compression: Compression, abandoned: &CancellationToken) -> io::Result<File> {
    let file = BufWriter::new(unnamed()?);
    let file = match compression {
        Compression::None => write(dir, file, abandoned)?,
        Compression::Gzip => {
            let file = flate2::write::GzEncoder::new(file, flate2::Compression::default());
            write(dir, file, abandoned)?.finish()?
        }
        Compression::Bzip2 => {
            let file = bzip2::write::BzEncoder::new(file, bzip2::Compression::default());
            write(dir, file, abandoned)?.finish()?
        }
    };
    let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.rewind()?;
    Ok(file)
}

fn write<W: Write>(dir: &Path, out: W, abandoned: &CancellationToken) -> io::Result<W> {
    let mut archive = tar::Builder::new(WhileWanted { out, abandoned });
    archive.follow_symlinks(false);
    let mut open = vec![PathBuf::from(".")];
    while let Some(at) = open.pop() {
        archive.append_dir(&at, dir.join(&at))?;
        let mut entries: Vec<_> = std::fs::read_dir(dir.join(&at))?.collect::<io::Result<_>>()?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let (kind, name) = (entry.file_type()?, at.join(entry.file_name()));
            if kind.is_dir() {
                open.push(name);
            } else if kind.is_file() {
                append_file(&mut archive, &entry.path(), &name)?;
            } else if kind.is_symlink() {
                archive.append_path_with_name(entry.path(), name)?;
            }
        }
    }
    archive.into_inner().map(|wanted| wanted.out)
}

/// Refuses to go on once nobody waits for the archive: a large directory takes minutes.
struct WhileWanted<'a, W> {
    out: W,
    abandoned: &'a CancellationToken,
}

impl<W: Write> Write for WhileWanted<'_, W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.abandoned.is_cancelled() {
            return Err(io::Error::other("nobody waits for the archive"));
        }
        self.out.write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A file that grows or shrinks meanwhile must not spoil the archive: as much as its header says goes in.
fn append_file<W: Write>(archive: &mut tar::Builder<W>, path: &Path, name: &Path) -> io::Result<()> {
    let file = File::open(path)?;
    let meta = file.metadata()?;
    let mut header = tar::Header::new_gnu();
    header.set_metadata(&meta);
    archive.append_data(&mut header, name, file.chain(io::repeat(0)).take(meta.len()))
}

/// A temporary file without a name: it is gone with its last handle, whatever happens.
fn unnamed() -> io::Result<File> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(format!("lunabot-upload-{process}-{number}"));
        match File::options().read(true).write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => return std::fs::remove_file(path).map(|()| file),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}
