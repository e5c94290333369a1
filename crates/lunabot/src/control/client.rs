//! The command's side of the conversation; needs no runtime.

use super::{Ask, Outcome, Said, short_name};
use anyhow::{Context as _, Result, bail};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Asks the master behind `socket`, passing on its lines as they come; gives up when it is silent for `patience`.
///
/// # Errors
/// There is no master, it went away, or it is silent.
pub fn ask(socket: &Path, ask: Ask, patience: Duration, mut line: impl FnMut(&str)) -> Result<bool> {
    let (name, _folder) = short_name(socket)?;
    let mut stream = UnixStream::connect(name)
        .with_context(|| format!("cannot reach the master at {}", socket.display()))?;
    stream.set_read_timeout(Some(patience.max(Duration::from_millis(1))))?;
    writeln!(stream, "{}", serde_json::to_string(&ask)?).context("the master closed the conversation")?;
    for answer in BufReader::new(stream).lines() {
        let answer =
            answer.with_context(|| format!("no answer from the master within {} s", patience.as_secs()))?;
        match serde_json::from_str(&answer).context("the running master speaks another version of Lunabot")? {
            Said::Line(text) => line(&text),
            Said::Done { ok } => return Ok(ok),
        }
    }
    bail!("the master ended before it answered; its log says more")
}

/// [`ask`] with the lines collected.
pub fn ask_all(socket: &Path, what: Ask, patience: Duration) -> Result<Outcome> {
    let mut lines = Vec::new();
    let ok = ask(socket, what, patience, |line| lines.push(line.to_string()))?;
    Ok(Outcome { ok, lines })
}
