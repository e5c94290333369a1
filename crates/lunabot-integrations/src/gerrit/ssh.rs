//! The program `ssh`, over which Gerrit tells events and answers questions.

use crate::source::SourceError;
use bytes::BytesMut;
use lunabot_model::Clock;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

/// Longest line, in bytes: an event holds a commit message at most.
const MAX_LINE: usize = 8 << 20;
/// Longest answer to a question, in bytes.
const MAX_ANSWER: u64 = 32 << 20;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// What is kept of what ssh says when it ends.
const LAST_WORDS: u64 = 4096;

/// How to get to a server.
#[derive(Debug, Clone, PartialEq)]
pub struct Ssh {
    pub program: String,
    pub server: String,
    pub user: String,
    pub port: u16,
    pub identity: Option<String>,
    /// Seconds without a word after which ssh asks whether the server is there, and how often it does in vain.
    pub alive: (u64, u64),
}

impl Ssh {
    fn command(&self, gerrit: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        let option = |name: &str, value: u64| format!("{name}={value}");
        command.args(["-o", "BatchMode=yes", "-o", &option("ServerAliveInterval", self.alive.0)]);
        command.args(["-o", &option("ServerAliveCountMax", self.alive.1)]);
        if let Some(identity) = &self.identity {
            command.args(["-i", identity]);
        }
        command.arg(format!("{}@{}", self.user, self.server)).args(["-p", &self.port.to_string(), "gerrit"]);
        command
            .args(gerrit)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    fn spawn(&self, gerrit: &[&str]) -> Result<Child, SourceError> {
        let told = |error| SourceError::Other(format!("cannot run {}: {error}", self.program));
        self.command(gerrit).spawn().map_err(told)
    }

    /// Begins to listen to events.
    pub fn stream(&self) -> Result<Stream, SourceError> {
        let mut child = self.spawn(&["stream-events"])?;
        let (out, errors) = child.stdout.take().zip(child.stderr.take()).ok_or_else(no_pipes)?;
        Ok(Stream { child, out: BufReader::new(out), errors, line: BytesMut::new() })
    }

    /// What Gerrit says to a question.
    pub async fn ask(&self, question: &[&str], clock: &dyn Clock) -> Result<String, SourceError> {
        let mut child = self.spawn(question)?;
        let (out, errors) = child.stdout.take().zip(child.stderr.take()).ok_or_else(no_pipes)?;
        let (mut answer, mut words) = (Vec::new(), Vec::new());
        let read = async {
            let (mut out, mut errors) = (out.take(MAX_ANSWER), errors.take(LAST_WORDS));
            let read = futures::try_join!(out.read_to_end(&mut answer), errors.read_to_end(&mut words));
            read.map_err(|e| e.to_string())?;
            let status = child.wait().await.map_err(|e| e.to_string())?;
            if status.success() { Ok(()) } else { Err(format!("{status}")) }
        };
        let ended = tokio::select! {
            ended = read => ended,
            () = clock.sleep(PATIENCE) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
        };
        let words = String::from_utf8_lossy(&words);
        ended.map_err(|why| {
            SourceError::Other(format!("gerrit {}: {why}: {}", question.join(" "), words.trim()))
        })?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

fn no_pipes() -> SourceError {
    SourceError::Other("the program has no output".into())
}

/// A connection that tells events, one a line. The program ends with it.
pub struct Stream {
    child: Child,
    out: BufReader<ChildStdout>,
    errors: ChildStderr,
    /// Read, but not a whole line yet.
    line: BytesMut,
}

impl Stream {
    /// The next line; an error: the connection has ended. Nothing is lost when it is dropped while it waits.
    pub async fn next(&mut self) -> Result<Vec<u8>, SourceError> {
        loop {
            if let Some(end) = self.line.iter().position(|byte| *byte == b'\n') {
                let mut line = self.line.split_to(end + 1).to_vec();
                line.pop();
                return Ok(line);
            }
            if self.line.len() > MAX_LINE {
                return Err(SourceError::Other(format!("an event is longer than {MAX_LINE} bytes")));
            }
            match self.out.read_buf(&mut self.line).await {
                Ok(0) => return Err(self.ended().await),
                Ok(_) => {}
                Err(error) => return Err(SourceError::Other(format!("the connection broke: {error}"))),
            }
        }
    }

    async fn ended(&mut self) -> SourceError {
        let mut words = Vec::new();
        let _ = self.child.start_kill();
        let _ = (&mut self.errors).take(LAST_WORDS).read_to_end(&mut words).await;
        let words = String::from_utf8_lossy(&words);
        let words = words.trim();
        let colon = if words.is_empty() { "" } else { ": " };
        SourceError::Other(format!("the connection to Gerrit ended{colon}{words}"))
    }
}
