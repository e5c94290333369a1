//! A file of the master on its way to a worker (05.050).

use async_trait::async_trait;
use bytes::Bytes;
use lunabot_engine::command::{Transfer, TransferPeer};

use std::io;
use std::path::Path;
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::sync::Mutex;

/// The most that one request is answered with, whatever the worker asks for.
const LARGEST_BLOCK: usize = 1024 * 1024;

/// Gives a worker the contents of a file.
pub struct FileReader(Mutex<File>);

impl FileReader {
    /// Only regular files: a pipe would be waited for without end.
    pub async fn open(path: &Path) -> io::Result<Self> {
        if !tokio::fs::metadata(path).await?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        Ok(FileReader(Mutex::new(File::open(path).await?)))
    }
}

#[async_trait]
impl TransferPeer for FileReader {
    async fn handle(&self, request: Transfer) -> Result<Bytes, String> {
        match request {
            Transfer::Read { length } => {
                let mut block = Vec::with_capacity(length.min(LARGEST_BLOCK));
                let mut file = self.0.lock().await;
                let read = (&mut *file).take(length.min(LARGEST_BLOCK) as u64).read_to_end(&mut block).await;
                read.map_err(|error| format!("the file on the master cannot be read: {error}"))?;
                Ok(block.into())
            }
            Transfer::CloseRead | Transfer::Close => Ok(Bytes::new()),
            other => Err(format!("unexpected request {other:?} of a download")),
        }
    }
}
