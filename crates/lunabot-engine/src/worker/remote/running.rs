//! A command that runs on a worker: its news in order, handed to whoever started it, and answered when taken.

use super::load::Load;
use super::session::Order;
use crate::worker::CommandSink;
use bytes::Bytes;
use lunabot_proto::master::Token;
use lunabot_proto::{Command, Transfer, Update, names};
use std::sync::Arc;
use tokio::sync::{OwnedMutexGuard, mpsc};

/// What one piece of news weighs beside its bytes.
const PIECE: usize = 256;

/// What a worker says of a command.
pub(super) enum News {
    Updates(Vec<Update>),
    Transfer(Transfer),
    Complete(Option<String>),
}

impl News {
    fn weight(&self) -> usize {
        let bytes = match self {
            News::Updates(updates) => updates.iter().map(update_weight).sum(),
            News::Transfer(Transfer::Write(block) | Transfer::WriteDirectory(block)) => block.len(),
            News::Transfer(_) => 0,
            News::Complete(failure) => failure.as_ref().map_or(0, String::len),
        };
        bytes + PIECE
    }
}

fn update_weight(update: &Update) -> usize {
    let bytes = match update {
        Update::Header(text) | Update::Stdout(text) | Update::Stderr(text) | Update::Log { text, .. } => {
            text.len()
        }
        Update::Files(names) => names.iter().map(|name| name.len() + 24).sum(),
        Update::Rc(_) | Update::Elapsed(_) | Update::FailureReason(_) | Update::Stat(_) => 0,
        Update::Other { .. } => PIECE,
    };
    bytes + 32
}

/// The answer that a command exists for. A worker that cannot say it (a name that is no Unicode) leaves it out and reports
/// success all the same.
#[derive(Default)]
pub(super) struct Wanted {
    key: Option<&'static str>,
    came: bool,
    rc: Option<i64>,
}

impl Wanted {
    pub fn of(command: &Command) -> Self {
        let key = match command.name.as_str() {
            names::STAT => Some("stat"),
            names::GLOB | names::LISTDIR => Some("files"),
            _ => None,
        };
        Wanted { key, ..Wanted::default() }
    }

    fn note(&mut self, updates: &[Update]) {
        for update in updates {
            self.came |= Some(update.key()) == self.key;
            if let Update::Rc(rc) = update {
                self.rc = Some(*rc);
            }
        }
    }

    /// What to report of a command that says that it went well.
    fn missing(&self) -> Option<String> {
        let key = self.key.filter(|_| self.rc == Some(0) && !self.came)?;
        Some(format!(
            "the worker reports success, but sent no `{key}`: a name that is not UTF-8 may be among them"
        ))
    }
}

/// Dropping it ends the command for the master; what was said before is still handed over.
pub(super) struct RunningCommand {
    // Bounded by `load`: the socket is not read while that is full.
    news: mpsc::UnboundedSender<(News, Token)>,
    load: Arc<Load>,
}

impl RunningCommand {
    pub fn start(
        sink: Arc<dyn CommandSink>,
        wanted: Wanted,
        turn: Option<OwnedMutexGuard<()>>,
        orders: mpsc::WeakSender<Order>,
        load: Arc<Load>,
    ) -> Self {
        let (news, told) = mpsc::unbounded_channel();
        tokio::spawn(hand_over(sink, wanted, turn, told, orders, load.clone()));
        RunningCommand { news, load }
    }

    pub fn tell(&self, news: News, token: Token) {
        let weight = news.weight();
        self.load.add(weight);
        if self.news.send((news, token)).is_err() {
            self.load.remove(weight);
        }
    }
}

async fn hand_over(
    sink: Arc<dyn CommandSink>,
    mut wanted: Wanted,
    mut turn: Option<OwnedMutexGuard<()>>,
    mut told: mpsc::UnboundedReceiver<(News, Token)>,
    orders: mpsc::WeakSender<Order>,
    load: Arc<Load>,
) {
    while let Some((news, token)) = told.recv().await {
        let weight = news.weight();
        let result = match news {
            News::Updates(updates) => {
                wanted.note(&updates);
                sink.update(updates).await;
                Ok(Bytes::new())
            }
            News::Transfer(request) => sink.transfer(request).await,
            News::Complete(failure) => {
                // The next command of the builder may start as soon as this one is known to be over.
                turn.take();
                sink.complete(failure.or_else(|| wanted.missing())).await;
                Ok(Bytes::new())
            }
        };
        load.remove(weight);
        if let Some(orders) = orders.upgrade() {
            // A connection that is gone wants no answer.
            let _ = orders.send(Order::Answer { token, result }).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lunabot_proto::{Dict, Stat};

    #[test]
    fn success_without_the_answer_is_a_failure() {
        for (name, updates, missing) in [
            (names::GLOB, vec![Update::Rc(0)], true),
            (names::GLOB, vec![Update::Files(Vec::new()), Update::Rc(0)], false),
            (names::LISTDIR, vec![Update::Rc(2)], false),
            (names::STAT, vec![Update::Rc(0)], true),
            (names::STAT, vec![Update::Stat(Stat::default()), Update::Rc(0)], false),
            (names::SHELL, vec![Update::Rc(0)], false),
        ] {
            let mut wanted = Wanted::of(&Command::new("1", name, Dict::new()));
            wanted.note(&updates);
            assert_eq!(wanted.missing().is_some(), missing, "{name} {updates:?}");
        }
    }
}
