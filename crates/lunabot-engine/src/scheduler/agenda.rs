//! When schedulers act next and acted last: for the pages, and so that two that are due at one moment act in the order of
//! their names.

use lunabot_model::Time;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Shared by the schedulers of a master.
#[derive(Debug)]
pub struct Agenda {
    slots: Mutex<BTreeMap<String, Slot>>,
    moved: watch::Sender<()>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    turn: Turn,
    times: Times,
}

/// What pages show of a scheduler.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Times {
    pub next: Option<Time>,
    /// Seconds since 1970.
    pub last: Option<i64>,
}

/// Its place among those that follow the clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Turn {
    #[default]
    None,
    /// It reads what is stored; its time may have come already.
    Starting,
    At(Time),
}

impl Default for Agenda {
    fn default() -> Self {
        Agenda { slots: Mutex::default(), moved: watch::channel(()).0 }
    }
}

impl Agenda {
    /// A timed scheduler begins: nobody's turn comes before it has said when its own is.
    pub(super) fn starting(&self, name: &str) {
        self.change(name, |slot| slot.turn = Turn::Starting);
    }

    /// When it acts next, if that is known. `timed`: it takes part in the order of turns.
    pub(super) fn next(&self, name: &str, next: Option<Time>, timed: bool) {
        self.change(name, |slot| {
            slot.times.next = next;
            slot.turn = next.filter(|_| timed).map_or(Turn::None, Turn::At);
        });
    }

    /// When it last made a buildset, in seconds since 1970.
    pub(super) fn acted(&self, name: &str, at: i64) {
        self.change(name, |slot| slot.times.last = Some(at));
    }

    pub(super) fn times(&self, name: &str) -> Option<Times> {
        self.slots().get(name).map(|slot| slot.times)
    }

    /// Forgets schedulers that are gone.
    pub(super) fn keep(&self, stays: impl Fn(&str) -> bool) {
        self.slots().retain(|name, _| stays(name));
        self.moved.send_replace(());
    }

    /// Waits until none is left that comes before the one of this name, which is due at `due`.
    pub(super) async fn turn(&self, name: &str, due: Time) {
        let mut moved = self.moved.subscribe();
        while self.is_preceded(name, due) {
            if moved.changed().await.is_err() {
                return;
            }
        }
    }

    fn is_preceded(&self, name: &str, due: Time) -> bool {
        self.slots().iter().filter(|(other, _)| *other != name).any(|(other, slot)| match slot.turn {
            Turn::None => false,
            Turn::Starting => true,
            Turn::At(at) => (at, other.as_str()) < (due, name),
        })
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Slot)) {
        let mut slots = self.slots();
        let slot = slots.entry(name.into()).or_default();
        let before = (slot.turn, slot.times);
        change(slot);
        let same = before == (slot.turn, slot.times);
        drop(slots);
        if !same {
            self.moved.send_replace(());
        }
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<String, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
