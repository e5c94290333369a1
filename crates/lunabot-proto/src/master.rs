//! The master's end of a worker connection, whatever the wire: what it asks, what it hears.
//!
//! A [`MasterProtocol`] is a state machine: bytes go in, [`Heard`] comes out; [`Call`]s go in, bytes come out. It knows the
//! references, numbers and spellings of its protocol; whoever owns the socket knows none of them.

use crate::{Command, Transfer, Update, WorkerInfo};
use bytes::Bytes;

/// Something the master asks of a worker.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    /// Writes a line into the worker's log; also asks whether it is there.
    Print(String),
    /// Asks whether it is there (08.011).
    Keepalive,
    /// Asks what the worker says of itself (08.022).
    Info,
    /// Sets how it cuts and holds back output, where the protocol can.
    Settings,
    /// Tells it all its builders: (name, folder below its base directory). Never partial: a worker may delete the
    /// folders of builders that are not named.
    Builders(Vec<(String, String)>),
    /// A build of this builder begins.
    StartBuild(String),
    /// Starts a command.
    Start {
        /// The builder it is run for, none for the master's own affairs.
        builder: Option<String>,
        command: Command,
    },
    /// Ends a command.
    Interrupt { builder: Option<String>, command: String, why: String },
    /// Ends the worker's process.
    Shutdown,
}

/// What a call was answered with.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// It was done.
    Done,
    /// [`Call::Info`].
    Info(Box<WorkerInfo>),
}

/// Which request of the worker is answered; made by the protocol, handed back to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    pub(crate) request: i64,
    pub(crate) wants: Wants,
}

/// What the answer to a request is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wants {
    Nothing,
    Number,
    Data,
}

/// Something a worker said.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    /// The answer to the call with this number; an error is the worker's own text.
    Answered { call: u64, result: Result<Answer, String> },
    /// News of a command.
    Updates { command: String, updates: Vec<Update>, token: Token },
    /// A command is over; `failure` says that it broke in itself (05.040).
    Complete { command: String, failure: Option<String>, token: Token },
    /// A running transfer wants something.
    Transfer { command: String, request: Transfer, token: Token },
    /// The worker's owner wants it to stop when it is idle (08.009).
    WantsToStop { token: Token },
}

/// Why a connection cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ProtocolError(pub String);

/// One connection's protocol, after the login. See the module.
pub trait MasterProtocol: Send {
    /// Takes bytes as they come: a message for protocols with messages, any piece for streams. After an error the
    /// connection is to be dropped.
    fn receive(&mut self, bytes: Bytes) -> Result<Vec<Heard>, ProtocolError>;

    /// Makes the bytes of a call. The number comes back in [`Heard::Answered`]; `None` where this protocol has no such
    /// call and nothing needs to be done. The error says what cannot be sent.
    fn call(&mut self, call: Call) -> Result<Option<u64>, ProtocolError>;

    /// Answers a request of the worker; the data counts for [`Transfer::Read`] alone. Each token once.
    fn answer(&mut self, token: Token, result: Result<Bytes, String>);

    /// The worker is attached: where its login still waits for an answer, it gets it.
    fn welcome(&mut self) {}

    /// The worker may not be attached now, and is to try again later.
    fn refuse(&mut self) {}

    /// What is to be sent, in order. One item is one message where the transport has messages.
    fn output(&mut self) -> Vec<Bytes>;

    /// Whether the worker keeps the folders of its builders itself; else the master makes them with commands (08.033).
    fn keeps_folders(&self) -> bool;

    /// Whether a worker runs a command on when the connection breaks, so that it has to be ended after the next login.
    fn outlives_connection(&self) -> bool;

    /// Whether a builder runs one command at a time.
    fn one_command_per_builder(&self) -> bool;
}
