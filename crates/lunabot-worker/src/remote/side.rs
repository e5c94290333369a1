//! The master, as commands see it: a queue that the connection takes from at its pace.

use crate::{MasterSide, TransferError};
use async_trait::async_trait;
use bytes::Bytes;
use lunabot_proto::{Transfer, Update, WorkerInfo};
use tokio::sync::{mpsc, oneshot};

/// What is to be told or asked.
pub(super) enum News {
    Updates {
        command: String,
        updates: Vec<Update>,
    },
    Complete {
        command: String,
        failure: Option<String>,
    },
    Transfer {
        command: String,
        request: Transfer,
        reply: Reply,
    },
    /// What the worker is, for the request with this number.
    Info {
        request: i64,
        info: Box<WorkerInfo>,
    },
}

pub(super) type Reply = oneshot::Sender<Result<Bytes, TransferError>>;

/// The queue's end for commands. A connection that is gone takes nothing, and its commands are being killed.
pub(super) struct Side(pub(super) mpsc::Sender<News>);

#[async_trait]
impl MasterSide for Side {
    async fn update(&self, id: &str, updates: Vec<Update>) {
        let _ = self.0.send(News::Updates { command: id.into(), updates }).await;
    }

    async fn complete(&self, id: &str, failure: Option<String>) {
        let _ = self.0.send(News::Complete { command: id.into(), failure }).await;
    }

    async fn transfer(&self, id: &str, request: Transfer) -> Result<Bytes, TransferError> {
        let lost = || TransferError("the connection to the master is lost".into());
        let (reply, answer) = oneshot::channel();
        let news = News::Transfer { command: id.into(), request, reply };
        self.0.send(news).await.map_err(|_| lost())?;
        answer.await.unwrap_or_else(|_| Err(lost()))
    }
}
