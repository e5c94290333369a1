//! `uploadFile`, `uploadDirectory`, `downloadFile` (row 08.029): blocks between a file here and the master.
//!
//! One block is in flight. Reaching `maxsize` cuts the data and reports `rc` 1, as does a file that cannot
//! be opened; the complaint comes on standard error, behind `elapsed`.

use super::{Cx, Outcome, archive};
use crate::{args::Args, errors::Failure, report::Report};
use bytes::Bytes;
use lunabot_proto::{Transfer, Update};
use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use tokio::{
    fs::{self, File},
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
};

/// Largest block, whatever is asked for: the limit of the PB protocol.
const LARGEST_BLOCK: u64 = 655_360;

/// What ended a transfer.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Complete,
    Cut,
    Interrupted,
}

struct Limits {
    block: usize,
    left: Option<u64>,
}

impl Limits {
    fn of(args: Args<'_>) -> Result<Self, Failure> {
        let block = args.count("blocksize")?.unwrap_or(LARGEST_BLOCK).clamp(1, LARGEST_BLOCK);
        Ok(Self { block: usize::try_from(block).unwrap_or(usize::MAX), left: args.count("maxsize")? })
    }

    /// Size of the next block.
    fn next(&self) -> usize {
        self.left.map_or(self.block, |left| self.block.min(usize::try_from(left).unwrap_or(usize::MAX)))
    }

    fn took(&mut self, length: usize) {
        self.left = self.left.map(|left| left.saturating_sub(length as u64));
    }
}

/// Sends a file: blocks, the end, and its times if asked for.
pub(super) async fn upload_file(cx: &Cx, report: &mut Report) -> Result<Outcome, Failure> {
    let args = Args(&cx.command.args);
    let (path, mut limits) = (path(cx, &["workersrc", "path"])?, Limits::of(args)?);
    report.push(Update::Header(format!("sending {}\n", path.display())));
    let (mut file, times) = match open(&path).await {
        Ok(opened) => opened,
        Err(why) => {
            ask(cx, Transfer::Close).await?;
            return Ok(refuse(report, &format!("Cannot open file '{}' for upload{why}", path.display())));
        }
    };
    let end = send(cx, &mut file, &mut limits, Transfer::Write).await?;
    ask(cx, Transfer::Close).await?;
    if args.flag("keepstamp", false) {
        ask(cx, times).await?;
    }
    Ok(finish(report, &end, &path))
}

/// Opening a pipe would wait for its other end, which no interrupt can end; with this it does not.
const WITHOUT_WAITING: i32 = libc::O_NONBLOCK;

/// A regular file and its times, as they are before it is read; otherwise what there is to say about it.
async fn open(path: &Path) -> Result<(File, Transfer), &'static str> {
    let cannot = |_| "";
    let file = File::options().read(true).custom_flags(WITHOUT_WAITING).open(path).await.map_err(cannot)?;
    let meta = file.metadata().await.map_err(cannot)?;
    match (meta.is_file(), meta.is_dir()) {
        (true, _) => Ok((file, archive::times(&meta))),
        (_, true) => Err(""),
        _ => Err(": it is no regular file"),
    }
}

/// Sends a directory as a tar stream. The archive is made in a temporary file first: its size is then known
/// to be on disk, not in memory, and the master's pace does not keep the directory's files open.
pub(super) async fn upload_directory(cx: &Cx, report: &mut Report) -> Result<Outcome, Failure> {
    let args = Args(&cx.command.args);
    let (path, mut limits) = (path(cx, &["workersrc", "path"])?, Limits::of(args)?);
    let compression = archive::Compression::of(args.text("compress")?)?;
    let packed = cx.interrupted.run_until_cancelled(archive::pack(path.clone(), compression)).await;
    let Some(packed) = packed else { return Ok(finish(report, &End::Interrupted, &path)) };
    let mut stream = match packed? {
        Ok(stream) => stream,
        Err(error) => {
            let what = format!("Cannot read directory '{}' for upload: {error}", path.display());
            return Ok(refuse(report, &what));
        }
    };
    report.push(Update::Header(format!("sending {}\n", path.display())));
    let end = send(cx, &mut stream, &mut limits, Transfer::WriteDirectory).await?;
    ask(cx, Transfer::Unpack).await?;
    Ok(finish(report, &end, &path))
}

/// Fetches a file, making its directories.
pub(super) async fn download_file(cx: &Cx, report: &mut Report) -> Result<Outcome, Failure> {
    let args = Args(&cx.command.args);
    let (path, mut limits) = (path(cx, &["workerdest", "path"])?, Limits::of(args)?);
    let mode = args.count("mode")?.map(|mode| u32::try_from(mode & 0o7777).unwrap_or_default());
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).await.map_err(|error| {
            Failure::new(format!("cannot make the directory '{}': {error}", parent.display()))
        })?;
    }
    let Some(mut file) = create(&path, mode).await else {
        ask(cx, Transfer::CloseRead).await?;
        return Ok(refuse(report, &format!("Cannot open file '{}' for download", path.display())));
    };
    let received = receive(cx, &mut file, &mut limits).await;
    let flushed = file.flush().await;
    ask(cx, Transfer::CloseRead).await?;
    match received?.and_then(|end| flushed.map(|()| end)) {
        Ok(end) => Ok(finish(report, &end, &path)),
        Err(error) => Ok(refuse(report, &format!("Cannot write file '{}': {error}", path.display()))),
    }
}

async fn create(path: &Path, mode: Option<u32>) -> Option<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).custom_flags(WITHOUT_WAITING);
    let file = options.open(path).await.ok()?;
    if let Some(mode) = mode {
        file.set_permissions(PermissionsExt::from_mode(mode)).await.ok()?;
    }
    Some(file)
}

fn path(cx: &Cx, keys: &[&str]) -> Result<PathBuf, Failure> {
    let args = Args(&cx.command.args);
    // Over msgpack `path` is absolute and `workdir` of no use.
    let workdir = args.text("workdir")?.unwrap_or_default();
    let (over_msgpack, key) = (args.get("path").is_some(), &["path"][..]);
    let name = args.text_of(if over_msgpack { key } else { keys })?;
    Ok(cx.paths.resolve_home(workdir, name))
}

async fn send(
    cx: &Cx,
    source: &mut (impl AsyncRead + Unpin),
    limits: &mut Limits,
    block: fn(Bytes) -> Transfer,
) -> Result<End, Failure> {
    loop {
        if cx.interrupted.is_cancelled() {
            return Ok(End::Interrupted);
        }
        let size = limits.next();
        if size == 0 {
            return Ok(End::Cut);
        }
        let mut data = Vec::with_capacity(size);
        let read = (&mut *source).take(size as u64).read_to_end(&mut data).await;
        read.map_err(|error| Failure::new(format!("cannot read what is to be sent: {error}")))?;
        if data.is_empty() {
            return Ok(End::Complete);
        }
        limits.took(data.len());
        ask(cx, block(Bytes::from(data))).await?;
    }
}

async fn receive(cx: &Cx, file: &mut File, limits: &mut Limits) -> Result<std::io::Result<End>, Failure> {
    loop {
        if cx.interrupted.is_cancelled() {
            return Ok(Ok(End::Interrupted));
        }
        let length = limits.next();
        if length == 0 {
            return Ok(Ok(End::Cut));
        }
        let data = ask(cx, Transfer::Read { length }).await?;
        if data.is_empty() {
            return Ok(Ok(End::Complete));
        }
        if data.len() > length {
            return Err(Failure::new(format!(
                "the master sent {} bytes, {length} were asked for",
                data.len()
            )));
        }
        limits.took(data.len());
        if let Err(error) = file.write_all(&data).await {
            return Ok(Err(error));
        }
    }
}

async fn ask(cx: &Cx, request: Transfer) -> Result<Bytes, Failure> {
    Ok(cx.master.transfer(&cx.command.id, request).await?)
}

fn finish(report: &mut Report, end: &End, path: &Path) -> Outcome {
    match end {
        End::Complete => report.push(Update::Rc(0)),
        End::Cut => {
            let what = format!("Maximum filesize reached, truncating file '{}'", path.display());
            return refuse(report, &what);
        }
        End::Interrupted => {
            report.push(Update::Rc(1));
            return Outcome::Interrupted;
        }
    }
    Outcome::Finished
}

fn refuse(report: &mut Report, what: &str) -> Outcome {
    report.push(Update::Rc(1));
    report.push_tail(Update::Stderr(format!("{what}\n")));
    Outcome::Finished
}
