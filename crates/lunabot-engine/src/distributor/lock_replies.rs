//! Who waits for an answer about locks.

use super::Event;
use super::actor::Actor;
use crate::locks::client::{Ask, Progress};
use crate::locks::{Holder, News};
use tokio::sync::watch;

impl Actor {
    pub fn ask_locks(&mut self, ask: Ask, reply: watch::Sender<Progress>) {
        self.lock_replies.insert(ask.holder, reply);
        self.event(Event::AskLocks(ask));
    }

    pub fn give_up_locks(&mut self, holder: Holder) {
        self.lock_replies.remove(&holder);
        self.event(Event::GiveUpLocks(holder));
    }

    pub fn tell_lock(&mut self, holder: Holder, news: News) {
        let last = !matches!(news, News::Waits(_));
        if let Some(reply) = self.lock_replies.get(&holder) {
            // Whoever asked may have given up.
            let _ = reply.send(news.into());
        }
        if last {
            self.lock_replies.remove(&holder);
        }
    }
}
