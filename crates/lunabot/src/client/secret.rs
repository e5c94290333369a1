//! Asking for a password at the terminal.

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, raise};
use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};
use std::io::{IsTerminal as _, Read as _, Stdin, Write as _};

/// Asks, without showing what is typed.
///
/// # Errors
/// There is nobody to ask; `remedy` says how to give it otherwise.
pub fn ask(user: &str, remedy: &str) -> Result<String> {
    if !std::io::stdin().is_terminal() {
        bail!("there is no password for {user}, and no terminal to ask at; {remedy}");
    }
    typed(&format!("Password of {user}: "))
}

/// A line from the terminal, which must be one, without showing it. Ctrl-C ends the program, as it does elsewhere.
///
/// # Errors
/// The terminal does not work, or nothing fit for a password was typed.
pub fn typed(prompt: &str) -> Result<String> {
    let stdin = std::io::stdin();
    let hidden = Hidden::begin(&stdin)?;
    // Only now: what is typed after the question is not shown.
    let _ = write!(std::io::stderr(), "{prompt}");
    let read = hidden.line();
    drop(hidden);
    let _ = writeln!(std::io::stderr());
    let Some(line) = read.context("the terminal")? else {
        let _ = raise(Signal::SIGINT);
        bail!("interrupted");
    };
    ensure!(!line.contains(char::is_control), "a password holds no control characters");
    Ok(line)
}

/// A terminal that shows nothing. Shows again what is typed when dropped.
struct Hidden<'a> {
    stdin: &'a Stdin,
    shown: Termios,
    /// What ends the program, as a rule Ctrl-C.
    interrupt: u8,
}

impl<'a> Hidden<'a> {
    /// Ctrl-C is to end the line instead of the program, which would leave the terminal as it is.
    fn begin(stdin: &'a Stdin) -> Result<Self> {
        let shown = tcgetattr(stdin).context("the terminal")?;
        let interrupt = shown.control_chars[SpecialCharacterIndices::VINTR as usize];
        let mut hidden = shown.clone();
        hidden.local_flags.remove(LocalFlags::ECHO | LocalFlags::ISIG);
        hidden.control_chars[SpecialCharacterIndices::VEOL as usize] = interrupt;
        tcsetattr(stdin, SetArg::TCSADRAIN, &hidden).context("the terminal")?;
        Ok(Hidden { stdin, shown, interrupt })
    }

    /// `None`: the program is to end.
    fn line(&self) -> std::io::Result<Option<String>> {
        let mut line = Vec::new();
        let mut piece = [0; 256];
        while !line.contains(&b'\n') {
            let count = self.stdin.lock().read(&mut piece)?;
            line.extend_from_slice(&piece[..count]);
            if piece[..count].contains(&self.interrupt) {
                return Ok(None);
            }
            if count == 0 {
                break;
            }
        }
        let line = String::from_utf8(line);
        let line = line.map_err(|_| std::io::Error::other("what was typed is no UTF-8"))?;
        Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()))
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.stdin, SetArg::TCSADRAIN, &self.shown);
    }
}
