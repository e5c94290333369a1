//! Asking for a password at the terminal.

use anyhow::{Context as _, Result, bail};
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
use std::io::{BufRead as _, IsTerminal as _, Write as _};

/// Asks, without showing what is typed.
///
/// # Errors
/// There is nobody to ask; `remedy` says how to give it otherwise.
pub fn ask(user: &str, remedy: &str) -> Result<String> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        bail!("there is no password for {user}, and no terminal to ask at; {remedy}");
    }
    let shown = tcgetattr(&stdin).context("the terminal")?;
    let mut hidden = shown.clone();
    hidden.local_flags.remove(LocalFlags::ECHO);
    let mut err = std::io::stderr();
    let _ = write!(err, "Password of {user}: ");
    let _ = err.flush();
    tcsetattr(&stdin, SetArg::TCSADRAIN, &hidden).context("the terminal")?;
    let mut line = String::new();
    let read = stdin.lock().read_line(&mut line);
    let _ = tcsetattr(&stdin, SetArg::TCSADRAIN, &shown);
    let _ = writeln!(err);
    read.context("the terminal")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
