//! News of one command on its way to the master: joined, batched, bounded.

use crate::OutputOptions;
use lunabot_proto::Update;
use tokio::{sync::mpsc, time::Instant};

/// Batches that may wait for the master besides the one it is taking.
const BATCHES_IN_FLIGHT: usize = 2;

/// What an update costs besides its text, in bytes.
const UPDATE_COST: usize = 20;

/// Collects the updates of one command. Memory is bounded by asking [`Report::is_full`] before making
/// more; only what comes once per command may be added beyond that.
pub(crate) struct Report {
    options: OutputOptions,
    batches: mpsc::Sender<Vec<Update>>,
    held: Vec<Update>,
    size: usize,
    /// When the held updates have to leave.
    due: Option<Instant>,
    /// Unfinished last lines: sent behind everything else.
    tail: Vec<Update>,
}

impl Report {
    /// A report and the end where its batches come out.
    pub(crate) fn new(options: OutputOptions) -> (Self, mpsc::Receiver<Vec<Update>>) {
        let (batches, receiver) = mpsc::channel(BATCHES_IN_FLIGHT);
        (Self { options, batches, held: Vec::new(), size: 0, due: None, tail: Vec::new() }, receiver)
    }

    /// Adds news. Text joins the text before it if it is of the same channel.
    pub(crate) fn push(&mut self, update: Update) {
        self.due.get_or_insert_with(|| Instant::now() + self.options.buffer_timeout);
        self.size += UPDATE_COST + text_len(&update);
        join(&mut self.held, update);
    }

    /// Adds a line that comes behind the exit status, as the reference sends lines without an end.
    pub(crate) fn push_tail(&mut self, update: Update) {
        join(&mut self.tail, update);
    }

    /// Whether more text should wait until a batch has left.
    pub(crate) fn is_full(&self) -> bool {
        self.size >= self.options.buffer_size
    }

    /// When [`Report::send`] is to be called at the latest; at once if [`Report::is_full`].
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Sends what is held; waits while the master is behind. Nothing is lost if the wait is dropped.
    pub(crate) async fn send(&mut self) {
        if self.held.is_empty() {
            return;
        }
        // A closed channel means that nobody listens any more: the news is dropped.
        if let Ok(permit) = self.batches.reserve().await {
            permit.send(std::mem::take(&mut self.held));
        }
        self.held.clear();
        self.size = 0;
        self.due = None;
    }

    /// Sends everything, the tail last.
    pub(crate) async fn finish(mut self) {
        for update in std::mem::take(&mut self.tail) {
            self.push(update);
        }
        self.send().await;
    }
}

fn text_len(update: &Update) -> usize {
    match update {
        Update::Header(text) | Update::Stdout(text) | Update::Stderr(text) | Update::Log { text, .. } => {
            text.len()
        }
        Update::Files(files) => files.iter().map(|name| name.len() + UPDATE_COST).sum(),
        Update::Rc(_)
        | Update::Elapsed(_)
        | Update::FailureReason(_)
        | Update::Stat(_)
        | Update::Other { .. } => 0,
    }
}

fn join(updates: &mut Vec<Update>, update: Update) {
    match (updates.last_mut(), update) {
        (Some(Update::Header(text)), Update::Header(more))
        | (Some(Update::Stdout(text)), Update::Stdout(more))
        | (Some(Update::Stderr(text)), Update::Stderr(more)) => text.push_str(&more),
        (Some(Update::Log { name, text }), Update::Log { name: other, text: more }) if *name == other => {
            text.push_str(&more);
        }
        (_, update) => updates.push(update),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_one_channel_are_joined() {
        let mut held = Vec::new();
        let log = |name: &str, text: &str| Update::Log { name: name.into(), text: text.into() };
        for update in [
            Update::Stdout("a\n".into()),
            Update::Stdout("b\n".into()),
            Update::Stderr("e\n".into()),
            Update::Stdout("c\n".into()),
            log("x", "1\n"),
            log("x", "2\n"),
            log("y", "3\n"),
        ] {
            join(&mut held, update);
        }
        let expected = [
            Update::Stdout("a\nb\n".into()),
            Update::Stderr("e\n".into()),
            Update::Stdout("c\n".into()),
            log("x", "1\n2\n"),
            log("y", "3\n"),
        ];
        assert_eq!(held, expected);
    }
}
