//! A file on its way from a worker to the master (05.050).

use async_trait::async_trait;
use bytes::Bytes;
use lunabot_engine::command::{Transfer, TransferPeer};
use std::fs::{FileTimes, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tempfile::TempPath;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::sync::Mutex;

/// Permissions before the umask, where none are asked for.
const DEFAULT_MODE: u32 = 0o666;

/// What becomes of the file.
#[derive(Debug, Clone, Copy, Default)]
pub struct FileRules {
    /// Permissions; `None`: what the master's umask leaves.
    pub mode: Option<u32>,
    /// The most bytes that are taken.
    pub max: Option<u64>,
}

/// Takes a file that a worker uploads. What comes goes into a file beside the target, which takes the target's name only
/// in [`FileWriter::commit`]: there is never half a file under that name.
pub struct FileWriter {
    target: PathBuf,
    rules: FileRules,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Made with the first block. Dropping the path removes the file.
    file: Option<(File, TempPath)>,
    written: u64,
    /// The worker has said that this is all.
    closed: bool,
    /// Last access and modification of the source, in seconds since the epoch.
    times: Option<(f64, f64)>,
}

impl FileWriter {
    pub fn new(target: PathBuf, rules: FileRules) -> Self {
        FileWriter { target, rules, state: Mutex::default() }
    }

    /// Whether the worker stopped because of the limit: what came until then is kept (05.050).
    pub async fn is_cut(&self) -> bool {
        let state = self.state.lock().await;
        state.closed && self.rules.max.is_some_and(|max| max > 0 && state.written >= max)
    }

    /// Gives the file its name, permissions and times. The error names the target.
    pub async fn commit(&self) -> Result<(), String> {
        let mut state = std::mem::take(&mut *self.state.lock().await);
        let done = async {
            let (file, path) = match state.file.take() {
                Some(file) => file,
                None => create(&self.target).await?,
            };
            let (file, target, mode) = (file.into_std().await, self.target.clone(), self.rules.mode);
            blocking(move || finish(&file, path, &target, mode, state.times)).await
        };
        done.await.map_err(|error| self.cannot_write(&error))
    }

    async fn write(&self, block: &[u8]) -> Result<(), String> {
        let mut state = self.state.lock().await;
        let size = state.written + block.len() as u64;
        if let Some(max) = self.rules.max.filter(|max| size > *max) {
            return Err(format!("the worker sent more than maxsize ({max} bytes)"));
        }
        if state.file.is_none() {
            state.file = Some(create(&self.target).await.map_err(|error| self.cannot_write(&error))?);
        }
        if let Some((file, _)) = &mut state.file {
            file.write_all(block).await.map_err(|error| self.cannot_write(&error))?;
        }
        state.written = size;
        Ok(())
    }

    fn cannot_write(&self, error: &io::Error) -> String {
        format!("cannot write '{}' on the master: {error}", self.target.display())
    }
}

#[async_trait]
impl TransferPeer for FileWriter {
    async fn handle(&self, request: Transfer) -> Result<Bytes, String> {
        match request {
            Transfer::Write(block) => self.write(&block).await?,
            Transfer::Close => self.state.lock().await.closed = true,
            Transfer::Utime { accessed, modified } => {
                self.state.lock().await.times = Some((accessed, modified));
            }
            other => return Err(format!("unexpected request {other:?} of an upload")),
        }
        Ok(Bytes::new())
    }

    async fn cancel(&self) {
        let mut state = self.state.lock().await;
        if !state.closed {
            state.file = None;
        }
    }
}

/// A file beside `target`, whose folders are made.
async fn create(target: &Path) -> io::Result<(File, TempPath)> {
    let target = target.to_owned();
    let made = blocking(move || {
        let folder = folder_of(&target)?;
        let prefix = hidden_prefix(&target);
        let permissions = Permissions::from_mode(DEFAULT_MODE);
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(".part").permissions(permissions);
        Ok(builder.tempfile_in(folder)?.into_parts())
    });
    let (file, path) = made.await?;
    Ok((File::from_std(file), path))
}

/// The folder that is to hold `target`; made if absent.
pub fn folder_of(target: &Path) -> io::Result<&Path> {
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    Ok(folder)
}

/// How the name of what is not complete yet begins.
pub fn hidden_prefix(target: &Path) -> String {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    // A name may have 255 bytes in all.
    let short: String = name.chars().take(40).collect();
    format!(".{short}.")
}

fn finish(
    file: &std::fs::File,
    path: TempPath,
    target: &Path,
    mode: Option<u32>,
    times: Option<(f64, f64)>,
) -> io::Result<()> {
    if let Some(mode) = mode {
        file.set_permissions(Permissions::from_mode(mode))?;
    }
    if let Some((accessed, modified)) = times {
        file.set_times(FileTimes::new().set_accessed(time(accessed)).set_modified(time(modified)))?;
    }
    // Else a crash of the machine could leave an empty file under the new name.
    file.sync_all()?;
    path.persist(target).map_err(|error| error.error)
}

fn time(seconds: f64) -> SystemTime {
    let length = Duration::try_from_secs_f64(seconds.abs()).unwrap_or_default();
    let moved = match seconds < 0.0 {
        true => SystemTime::UNIX_EPOCH.checked_sub(length),
        false => SystemTime::UNIX_EPOCH.checked_add(length),
    };
    moved.unwrap_or(SystemTime::UNIX_EPOCH)
}

/// `act`, off the runtime's threads.
pub async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(act).await.map_err(io::Error::other)?
}
