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
        let last = !matches!(news, News::Waits(_) | News::Stuck(..));
        let progress = Progress::of(news, |other| self.name_of(other));
        if let Some(reply) = self.lock_replies.get(&holder) {
            // Whoever asked may have given up.
            let _ = reply.send(progress);
        }
        if last {
            self.lock_replies.remove(&holder);
        }
    }

    /// `builder b on worker w`.
    fn name_of(&self, holder: Holder) -> String {
        let (Holder::Build { builder, worker } | Holder::Slot { builder, worker }) = holder else {
            return "a step".into();
        };
        let builder = self.builders.get(&builder).map_or("?", |builder| builder.config.name.as_str());
        let worker = self.workers.get(&worker).map_or("?", |worker| worker.name.as_str());
        format!("builder {builder} on worker {worker}")
    }
}
