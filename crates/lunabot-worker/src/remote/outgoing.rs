//! The writing end of a connection: a task of its own, so that a master that does not read holds up nothing but what is to be
//! written.

use super::connect::Socket;
use bytes::Bytes;
use futures::stream::SplitSink;
use futures::{SinkExt, poll};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::sync::{Notify, mpsc};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_util::task::AbortOnDropHandle;

/// Messages that wait behind the one that is being written.
const QUEUE: usize = 2;

/// Where messages go. Dropping it ends the writing.
pub(super) struct Outgoing {
    queue: mpsc::Sender<Message>,
    /// Told when the master has taken a message that had to wait for it.
    taken: Arc<Notify>,
    task: AbortOnDropHandle<Result<(), Error>>,
}

impl Outgoing {
    pub fn start(sink: SplitSink<Socket, Message>) -> Self {
        let (queue, messages) = mpsc::channel(QUEUE);
        let taken = Arc::new(Notify::new());
        let task = AbortOnDropHandle::new(tokio::spawn(write(sink, messages, taken.clone())));
        Self { queue, taken, task }
    }

    /// Room for one message; `None`: nothing can be written any more.
    pub async fn room(&self) -> Option<mpsc::Permit<'_, Message>> {
        self.queue.reserve().await.ok()
    }

    /// Completes when the master has taken a message that had to wait for it, since the last time.
    pub async fn taken(&self) {
        self.taken.notified().await;
    }

    /// Asks whether the master is there. Where messages wait anyway, their being taken is the answer.
    pub fn ping(&self) {
        // Full or ended: see above, or it is noticed by whoever reads.
        let _ = self.queue.try_send(Message::Ping(Bytes::new()));
    }

    /// Writes `rest` and what waits, then closes.
    pub async fn finish(self, rest: impl Iterator<Item = Bytes>) {
        for message in rest {
            if self.queue.send(Message::Binary(message)).await.is_err() {
                return;
            }
        }
        drop(self.queue);
        // The connection is given up anyway.
        let _ = self.task.await;
    }
}

async fn write(
    mut sink: SplitSink<Socket, Message>,
    mut messages: mpsc::Receiver<Message>,
    taken: Arc<Notify>,
) -> Result<(), Error> {
    while let Some(message) = messages.recv().await {
        let mut sending = pin!(sink.send(message));
        match poll!(sending.as_mut()) {
            // The system keeps it for the master: that says nothing of the master.
            Poll::Ready(sent) => sent?,
            Poll::Pending => {
                sending.await?;
                taken.notify_one();
            }
        }
    }
    sink.close().await
}
