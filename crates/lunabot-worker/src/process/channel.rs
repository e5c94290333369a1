//! The two channels of a program's output.

use super::spawn::Source;
use crate::{report::Report, text::lines::Lines};
use lunabot_proto::Update;
use std::io;
use tokio::io::AsyncReadExt;

/// Most bytes read from a pipe at once.
const PIECE: usize = 65_536;

/// From lines to an update.
pub(super) type Make = fn(String) -> Update;

/// Standard output or standard error.
pub(super) struct Channel {
    source: Option<Source>,
    buffer: Vec<u8>,
    lines: Lines,
    /// Makes an update; `None` for output that nobody wants.
    make: Option<Make>,
}

/// What a read brought, and from where.
pub(super) enum Output {
    Stdout(io::Result<usize>),
    Stderr(io::Result<usize>),
}

impl Channel {
    pub(super) fn new(source: Option<Source>, lines: Lines, make: Option<Make>) -> Self {
        let buffer = if source.is_some() { vec![0; PIECE] } else { Vec::new() };
        Self { source, buffer, lines, make }
    }

    /// The next piece; waits for ever once the channel is closed. Nothing is lost if the wait is dropped.
    async fn read(&mut self) -> io::Result<usize> {
        match &mut self.source {
            Some(source) => source.read(&mut self.buffer).await,
            None => std::future::pending().await,
        }
    }

    /// The lines that a read completed, and how to report them; `None` at the end of the channel.
    pub(super) fn take(&mut self, read: io::Result<usize>) -> Option<(String, Option<Make>)> {
        // The end of a terminal is an error.
        let Some(length) = read.ok().filter(|length| *length > 0) else {
            self.close();
            return None;
        };
        Some((self.lines.push(&self.buffer[..length]), self.make))
    }

    pub(super) fn is_open(&self) -> bool {
        self.source.is_some()
    }

    pub(super) fn close(&mut self) {
        self.source = None;
    }

    /// Reports the unfinished last line.
    pub(super) fn push_tail(&mut self, report: &mut Report) {
        if let (Some(make), Some(text)) = (self.make, self.lines.finish()) {
            report.push_tail(make(text));
        }
    }
}

/// Both channels in turn, so that a flood on one does not silence the other.
pub(super) async fn next(stdout: &mut Channel, stderr: &mut Channel) -> Output {
    tokio::select! {
        read = stdout.read() => Output::Stdout(read),
        read = stderr.read() => Output::Stderr(read),
    }
}
