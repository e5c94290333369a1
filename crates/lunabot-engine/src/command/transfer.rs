//! The master's end of file transfers (reference 05.050): what answers a worker that reads or writes.

use async_trait::async_trait;
use bytes::Bytes;
use lunabot_proto::Transfer;
use std::sync::{Mutex, PoisonError};

/// Answers the transfer requests of one command, one at a time.
#[async_trait]
pub trait TransferPeer: Send + Sync {
    /// Data for [`Transfer::Read`] (nothing at the end), nothing for the others. The error text fails the command.
    async fn handle(&self, request: Transfer) -> Result<Bytes, String>;

    /// The command is over. If the transfer is not complete, what it left behind goes.
    async fn cancel(&self) {}
}

/// Gives a worker bytes to download.
pub struct BytesReader {
    left: Mutex<Bytes>,
}

impl BytesReader {
    pub fn new(content: impl Into<Bytes>) -> Self {
        BytesReader { left: Mutex::new(content.into()) }
    }
}

#[async_trait]
impl TransferPeer for BytesReader {
    async fn handle(&self, request: Transfer) -> Result<Bytes, String> {
        match request {
            Transfer::Read { length } => {
                let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
                let most = length.min(left.len());
                Ok(left.split_to(most))
            }
            Transfer::CloseRead | Transfer::Close => Ok(Bytes::new()),
            other => Err(format!("unexpected request {other:?} of a download")),
        }
    }
}

/// Takes what a worker uploads, up to a limit.
pub struct BytesWriter {
    limit: usize,
    taken: Mutex<Vec<u8>>,
}

impl BytesWriter {
    /// `limit`: bytes beyond it fail the command.
    pub fn new(limit: usize) -> Self {
        BytesWriter { limit, taken: Mutex::default() }
    }

    /// What came so far.
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.taken.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl TransferPeer for BytesWriter {
    async fn handle(&self, request: Transfer) -> Result<Bytes, String> {
        match request {
            Transfer::Write(block) => {
                let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
                if taken.len() + block.len() > self.limit {
                    return Err(format!("more than {} bytes", self.limit));
                }
                taken.extend_from_slice(&block);
                Ok(Bytes::new())
            }
            Transfer::Close | Transfer::Utime { .. } => Ok(Bytes::new()),
            other => Err(format!("unexpected request {other:?} of an upload")),
        }
    }
}
