//! Signals of the operating system, as what they ask for (16c).

use crate::stop::Cause;
use anyhow::{Context as _, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    Reload,
    Stop(Cause),
}

/// The signals that a master listens to.
#[derive(Debug)]
pub struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
    user1: Signal,
}

impl Signals {
    /// From now on these signals do not end the process by themselves.
    pub fn listen() -> Result<Self> {
        let on = |kind| signal(kind).context("cannot listen to signals");
        Ok(Signals {
            hangup: on(SignalKind::hangup())?,
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            user1: on(SignalKind::user_defined1())?,
        })
    }

    /// The next request. Cancel-safe.
    pub async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.terminate.recv() => Request::Stop(Cause::Terminate),
            _ = self.interrupt.recv() => Request::Stop(Cause::Interrupt),
            _ = self.user1.recv() => Request::Stop(Cause::Clean),
            _ = self.hangup.recv() => Request::Reload,
        }
    }
}
