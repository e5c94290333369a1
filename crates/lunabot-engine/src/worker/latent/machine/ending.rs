//! How an instance ends (reference 08.013, 08.045, 08.051).

use super::{Ending, Machine};
use crate::worker::latent::terms::{Call, Effect, Failure, Settings, State};
use lunabot_model::Mono;
use std::time::Duration;

/// How long an instance that is being started may take to come to be, once the master stops or the worker is no longer
/// configured.
const START_LEFT: Duration = Duration::from_secs(15);
/// The first and the longest wait before a failed stop is repeated.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_AT_MOST: Duration = Duration::from_secs(60);

impl Machine {
    /// 08.045.
    pub(super) fn insubstantiate(&mut self, now: Mono, effects: &mut Vec<Effect>) {
        effects.push(Effect::Disconnect);
        (self.connected, self.next) = (false, None);
        if self.waiting.is_empty() {
            self.unwanted();
        } else {
            self.state = State::InsubstantiatingSubstantiating;
            self.missing = Some(now + self.settings.missing);
        }
        match self.call {
            // What it makes is to be known to whoever stops it.
            Some(Call::Start) => {}
            Some(Call::Check | Call::Stop) | None => {
                self.abort(None, effects);
                self.call(now, Call::Stop, effects);
            }
        }
    }

    pub(super) fn stopped(&mut self, now: Mono, answer: Result<(), String>, effects: &mut Vec<Effect>) {
        if answer.is_err() {
            self.next = Some(now + AGAIN_AT_MOST.min(AGAIN * 2u32.saturating_pow(self.failures)));
            self.failures = self.failures.saturating_add(1);
            return;
        }
        self.outdated = false;
        effects.push(Effect::Insubstantiated);
        self.settle(now, effects);
    }

    /// Nothing of an instance is left.
    fn settle(&mut self, now: Mono, effects: &mut Vec<Effect>) {
        match self.ending {
            Some(Ending::Removed) => {
                self.state = State::NotSubstantiated;
                effects.push(Effect::Gone);
            }
            Some(Ending::ShutDown { .. }) => self.state = State::ShutDown,
            None if self.waiting.is_empty() => self.state = State::NotSubstantiated,
            None => self.start(now, effects),
        }
    }

    pub(super) fn configured(
        &mut self,
        now: Mono,
        settings: Settings,
        outdated: bool,
        effects: &mut Vec<Effect>,
    ) {
        let other_idle = self.settings.idle != settings.idle;
        self.settings = settings;
        if self.ending == Some(Ending::Removed) {
            // It has come back before the old instance was stopped.
            self.ending = None;
        }
        self.outdate(now, outdated, effects);
        if other_idle && self.state == State::Substantiated && self.builds.is_empty() {
            self.idle(now, effects);
        }
    }

    /// Whether the instance is to end when nobody uses it.
    pub(super) fn outdate(&mut self, now: Mono, outdated: bool, effects: &mut Vec<Effect>) {
        self.outdated = outdated && self.state != State::NotSubstantiated;
        if self.outdated && self.state == State::Substantiated && self.builds.is_empty() {
            self.idle(now, effects);
        }
    }

    /// 08.013, 08.051. A second one may hasten the first.
    pub(super) fn end(&mut self, now: Mono, ending: Ending, effects: &mut Vec<Effect>) {
        if self.ending == Some(ending) || self.state == State::ShutDown {
            return;
        }
        self.ending = Some(ending);
        self.refuse_waiting(&Failure::new(self.last_words()), effects);
        match self.state {
            State::NotSubstantiated => self.settle(now, effects),
            State::Substantiating | State::Substantiated => self.insubstantiate(now, effects),
            State::Insubstantiating | State::InsubstantiatingSubstantiating => {
                self.unwanted();
                if self.next.take().is_some() {
                    self.call(now, Call::Stop, effects);
                }
            }
            State::ShutDown => {}
        }
        if self.call == Some(Call::Start) {
            let left = if ending == (Ending::ShutDown { fast: true }) { Duration::ZERO } else { START_LEFT };
            self.late = self.late.map(|late| late.min(now + left));
        }
    }

    pub(super) fn last_words(&self) -> &'static str {
        match self.ending {
            Some(Ending::Removed) => "the worker is no longer configured",
            Some(Ending::ShutDown { .. }) | None => "the master is stopping",
        }
    }
}
