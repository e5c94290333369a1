//! How what a command prints becomes text (reference 13.016): by the worker where all logs of the command want the same,
//! else here.

use super::{LogTarget, RemoteCommand};
use crate::step::{KEEPS_BYTES, LogEncoding, LogHandle, StepContext, StepError, TextPieces};
use lunabot_proto::names;
use std::collections::HashMap;

/// One stream of output: standard output, standard error or a watched file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Stream {
    Stdout,
    Stderr,
    File(String),
}

/// The streams that are decoded here; none: the worker does it.
#[derive(Default)]
pub(super) struct Decoding {
    here: bool,
    streams: HashMap<Stream, TextPieces>,
}

impl Decoding {
    /// Tells the worker what to do, in the arguments of `command`.
    pub fn agree(cx: &StepContext, command: &mut RemoteCommand) -> Self {
        // What other commands say is the worker's own.
        if command.name != names::SHELL {
            return Self::default();
        }
        let stdio = encoding_of(cx, command.stdio_log.as_ref().map(|used| &used.log));
        let same = command.logs.values().all(|target| encoding_for(cx, target) == stdio);
        let told = if same { stdio.for_worker() } else { Some(KEEPS_BYTES) };
        if let Some(told) = told {
            command.args.insert("output_encoding", told);
        }
        Decoding { here: told == Some(KEEPS_BYTES), streams: HashMap::new() }
    }

    /// The text of the next piece of a stream.
    pub async fn text(
        &mut self,
        cx: &StepContext,
        command: &RemoteCommand,
        stream: Stream,
        text: String,
    ) -> Result<String, StepError> {
        let unknown = matches!(&stream, Stream::File(name) if !command.logs.contains_key(name));
        if !self.here || unknown {
            return Ok(text);
        }
        let begin = |stream: &Stream| {
            TextPieces::new(&match stream {
                Stream::Stdout | Stream::Stderr => {
                    encoding_of(cx, command.stdio_log.as_ref().map(|used| &used.log))
                }
                Stream::File(name) => {
                    command.logs.get(name).map_or_else(|| cx.encoding(), |target| encoding_for(cx, target))
                }
            })
        };
        self.streams.entry(stream).or_insert_with_key(begin).push_kept(cx, text).await
    }
}

fn encoding_of(cx: &StepContext, log: Option<&LogHandle>) -> LogEncoding {
    log.and_then(LogHandle::encoding).cloned().unwrap_or_else(|| cx.encoding())
}

fn encoding_for(cx: &StepContext, target: &LogTarget) -> LogEncoding {
    match target {
        LogTarget::Ready(used) => encoding_of(cx, Some(&used.log)),
        LogTarget::Lazy | LogTarget::Asked { .. } => cx.encoding(),
    }
}
