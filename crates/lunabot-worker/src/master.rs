//! The master, as a running command sees it.

use crate::TransferError;
use async_trait::async_trait;
use bytes::Bytes;
use lunabot_proto::{Transfer, Update};

/// Where a command's news goes. Calls for one command come in order and one at a time, except that
/// [`MasterSide::transfer`] may overlap an `update` of the same command.
#[async_trait]
pub trait MasterSide: Send + Sync + 'static {
    /// Takes news of the command `id`. The worker reads no more of the command's output than its
    /// buffers hold until this returns: waiting here slows a flood down at its source.
    async fn update(&self, id: &str, updates: Vec<Update>);

    /// The last call for `id`. `failure` says that the command broke in itself; an exit status (`rc`)
    /// is then usually missing.
    async fn complete(&self, id: &str, failure: Option<String>);

    /// Answers one request of an upload or download: data for [`Transfer::Read`] (at most the length
    /// asked for, nothing at the end of the file), nothing for the others.
    async fn transfer(&self, id: &str, request: Transfer) -> Result<Bytes, TransferError>;
}
