//! `lunabot start --daemon`: the master in the background, and word of how it went (16.003).
//!
//! The command starts its own program again, in a session of its own, before either has any threads. The new process writes
//! what it has to say into a pipe until it serves; then it lets go of the pipe and the command ends.

use crate::basedir::BaseDir;
use crate::cli::RunOptions;
use crate::ui;
use anyhow::{Context as _, Result};
use std::io::{BufRead as _, BufReader, PipeReader};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

/// The line by which the new process says that it serves.
const SERVING: &str = "@serving";

/// Starts the master in the background; returns when it serves, or with its errors.
pub fn launch(base: &BaseDir, run: &RunOptions, quiet: bool) -> Result<ExitCode> {
    let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
    let child = spawn(base, run, writer)?;
    let (send, lines) = sync_channel(64);
    std::thread::spawn(move || read_lines(reader, &send));
    follow(child, &lines, Duration::from_secs(run.start_timeout), base, quiet)
}

fn spawn(base: &BaseDir, run: &RunOptions, writer: std::io::PipeWriter) -> Result<Child> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut command = Command::new(program);
    command.arg("start").arg(base.dir()).arg("--daemonized").arg("--config").arg(base.config());
    command.args(["--log-format", run.log_format.name()]);
    command.args(["--log-size", &run.log_size.to_string(), "--log-count", &run.log_count.to_string()]);
    command.args(["--stop-grace", &run.stop_grace.to_string()]);
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    command.spawn().context("cannot start the daemon")
}

fn read_lines(reader: PipeReader, lines: &SyncSender<String>) {
    for line in BufReader::new(reader).lines().map_while(Result::ok) {
        if lines.send(line).is_err() {
            return;
        }
    }
}

/// Waits until the new process serves, ends, or is silent for too long; then passes on what it said.
fn follow(
    mut child: Child,
    lines: &Receiver<String>,
    patience: Duration,
    base: &BaseDir,
    quiet: bool,
) -> Result<ExitCode> {
    let mut said = Vec::new();
    let outcome = loop {
        match lines.recv_timeout(patience) {
            Ok(line) if line == SERVING => break Ok(()),
            Ok(line) => said.push(line),
            Err(RecvTimeoutError::Disconnected) => {
                let status = child.wait().context("cannot wait for the daemon")?;
                break Err(format!("the master did not start ({status})"));
            }
            Err(RecvTimeoutError::Timeout) => {
                let (pid, secs) = (child.id(), patience.as_secs());
                break Err(format!("process {pid} does not serve yet after {secs} s; it goes on trying"));
            }
        }
    };
    let Err(fault) = outcome else {
        said.iter().filter(|_| !quiet).for_each(|line| ui::out(line));
        return Ok(ExitCode::SUCCESS);
    };
    said.iter().for_each(|line| ui::err(line));
    ui::err(&format!("{fault}; {} may say more", base.log_file().display()));
    Ok(ExitCode::FAILURE)
}

/// In the new process, first of all: leaves the terminal's session, so that closing it ends nothing.
pub fn detach() -> Result<()> {
    nix::unistd::setsid().context("cannot leave the session").map(drop)
}

/// In the new process: says that it serves, and lets go of whoever waits for that.
pub fn serving() -> Result<()> {
    ui::out(SERVING);
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    nix::unistd::dup2_stdout(&null)?;
    nix::unistd::dup2_stderr(&null)?;
    Ok(())
}
