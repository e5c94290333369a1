//! Laying a job into a folder on another machine: `ssh HOST PROGRAM tryserver --jobdir DIR`.

use crate::cli::clients::Try;
use anyhow::{Context as _, Result, bail};
use lunabot_proto::{TryJob, try_job};
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Delivers the job; it lies there when this returns.
///
/// # Errors
/// An option is missing, or ssh or the program there fails; they say themselves why.
pub fn deliver(args: &Try, job: &TryJob) -> Result<()> {
    let host = args.host.as_deref().context("--host names the master's machine")?;
    let jobdir = args.jobdir.as_deref().context("--jobdir names the job folder on the master's machine")?;
    let ssh = args.ssh.as_deref().unwrap_or("ssh");
    let mut command = Command::new(ssh);
    if let Some(user) = &args.username {
        command.args(["-l", user]);
    }
    if let Some(port) = &args.port {
        command.args(["-p", port]);
    }
    let program = args.buildbotbin.as_deref().unwrap_or("lunabot");
    command.args([host, program, "tryserver", "--jobdir", &quoted(jobdir)]).stdin(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot run {ssh}"))?;
    let sent = match child.stdin.take() {
        Some(mut input) => input.write_all(&try_job::write(job)),
        None => Ok(()),
    };
    let status = child.wait().with_context(|| ssh.to_owned())?;
    if !status.success() {
        bail!("the job was not delivered: {ssh} {host} ended with {status}");
    }
    sent.context("the job was not read to its end")
}

/// As the shell on the other side takes it for one word.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./~=+:@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn folders_with_odd_names_stay_one_word() {
        for (word, wanted) in [("~/jobs", "~/jobs"), ("a b", "'a b'"), ("it's", "'it'\\''s'"), ("", "''")] {
            assert_eq!(super::quoted(word), wanted);
        }
    }
}
