//! A directory on its way from a worker to the master (05.050).

use super::file_writer::{blocking, folder_of, hidden_prefix};
use super::unpack::{self, Compression};
use async_trait::async_trait;
use bytes::Bytes;
use lunabot_engine::command::{Transfer, TransferPeer};
use std::io::{self, Seek};
use std::path::PathBuf;
use tempfile::TempDir;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::sync::Mutex;

/// Takes a directory that a worker uploads as a tar stream. The stream goes into a file without a name, is unpacked
/// beside the target when it is complete, and laid into the target only in [`DirectoryWriter::commit`].
pub struct DirectoryWriter {
    target: PathBuf,
    compression: Compression,
    /// The most bytes of the stream that are taken, as it comes and decompressed.
    max: Option<u64>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    stream: Option<File>,
    written: u64,
    /// The unpacked directory, which is removed when it is dropped; or why it cannot be unpacked.
    staged: Option<io::Result<TempDir>>,
}

impl DirectoryWriter {
    pub fn new(target: PathBuf, compression: Compression, max: Option<u64>) -> Self {
        DirectoryWriter { target, compression, max, state: Mutex::default() }
    }

    /// Lays what was unpacked into the target. The error names the target.
    pub async fn commit(&self) -> Result<(), String> {
        let state = std::mem::take(&mut *self.state.lock().await);
        let nothing = || Err(io::Error::other("the worker sent no complete archive"));
        let target = self.target.clone();
        let laid = match state.staged.unwrap_or_else(nothing) {
            Ok(staged) => blocking(move || unpack::lay(staged, &target)).await,
            Err(error) => Err(error),
        };
        laid.map_err(|error| self.cannot_write(&error))
    }

    async fn write(&self, block: &[u8]) -> Result<(), String> {
        let mut state = self.state.lock().await;
        let size = state.written + block.len() as u64;
        if let Some(max) = self.max.filter(|max| size > *max) {
            return Err(format!("the worker sent more than maxsize ({max} bytes)"));
        }
        if state.stream.is_none() {
            state.stream = Some(self.create().await.map_err(|error| self.cannot_write(&error))?);
        }
        if let Some(stream) = &mut state.stream {
            stream.write_all(block).await.map_err(|error| self.cannot_write(&error))?;
        }
        state.written = size;
        Ok(())
    }

    async fn create(&self) -> io::Result<File> {
        let target = self.target.clone();
        let made = blocking(move || tempfile::tempfile_in(folder_of(&target)?));
        Ok(File::from_std(made.await?))
    }

    async fn unpack(&self) -> Result<(), String> {
        let mut state = self.state.lock().await;
        let Some(mut stream) = state.stream.take() else {
            return Err("the archive is empty".into());
        };
        stream.flush().await.map_err(|error| self.cannot_write(&error))?;
        let (mut stream, target) = (stream.into_std().await, self.target.clone());
        let (compression, max) = (self.compression, self.max);
        let staged = blocking(move || {
            let folder = folder_of(&target)?;
            let staged = tempfile::Builder::new()
                .prefix(&hidden_prefix(&target))
                .suffix(".part")
                .tempdir_in(folder)?;
            stream.rewind()?;
            unpack::unpack(stream, compression, staged.path(), max)?;
            Ok(staged)
        });
        // An archive that is not to be unpacked is told at the end, as the step's failure.
        state.staged = Some(staged.await);
        Ok(())
    }

    fn cannot_write(&self, error: &io::Error) -> String {
        format!("cannot write '{}' on the master: {error}", self.target.display())
    }
}

#[async_trait]
impl TransferPeer for DirectoryWriter {
    async fn handle(&self, request: Transfer) -> Result<Bytes, String> {
        match request {
            Transfer::WriteDirectory(block) => self.write(&block).await?,
            Transfer::Unpack => self.unpack().await?,
            other => return Err(format!("unexpected request {other:?} of an upload")),
        }
        Ok(Bytes::new())
    }

    async fn cancel(&self) {
        self.state.lock().await.stream = None;
    }
}
