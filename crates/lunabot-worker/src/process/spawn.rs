//! Starting a program in a process group of its own, on pipes or on a terminal.

use super::{
    kill::Group,
    ledger::{Entry, Ledger},
    spec::{Program, Spec},
};
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    pty::openpty,
    unistd::setsid,
};
use std::{
    ffi::OsStr,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    process::Stdio,
};
use tokio::{
    io::AsyncRead,
    net::unix::pipe,
    process::{Child, ChildStdin, Command},
};

/// Where output comes from.
pub(super) type Source = Box<dyn AsyncRead + Send + Unpin>;

/// A running program. Dropping it kills it.
pub(super) struct Spawned {
    pub(super) child: Child,
    pub(super) group: Group,
    /// Where it is recorded while it runs.
    pub(super) entry: Option<Entry>,
    pub(super) stdin: Option<ChildStdin>,
    pub(super) stdout: Option<Source>,
    pub(super) stderr: Option<Source>,
}

/// Starts it; blocks for the time of a fork and an exec. Needs a tokio runtime.
pub(super) fn spawn(spec: &Spec, umask: Option<u32>, ledger: &Ledger) -> io::Result<Spawned> {
    let mut command = command(&spec.program);
    command.env_clear().envs(&spec.env).current_dir(&spec.workdir);
    if let Some(mask) = umask {
        in_child(&mut command, move || {
            nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(mask));
            Ok(())
        });
    }
    let place = ledger.reserve();
    let mut spawned = if spec.pty { on_terminal(command)? } else { on_pipes(command, spec.stdin.is_some())? };
    spawned.entry = place.and_then(|place| place.record(spawned.child.id()));
    Ok(spawned)
}

fn command(program: &Program) -> Command {
    match program {
        Program::Shell(line) => {
            let mut command = Command::new("/bin/sh");
            command.arg("-c").arg(OsStr::from_bytes(&line.real));
            command
        }
        Program::Exec(words) => {
            let mut words = words.iter().map(|word| OsStr::from_bytes(&word.real));
            let mut command = Command::new(words.next().unwrap_or_default());
            command.args(words);
            command
        }
    }
}

fn on_pipes(mut command: Command, with_stdin: bool) -> io::Result<Spawned> {
    let stdin = if with_stdin { Stdio::piped() } else { Stdio::null() };
    let mut child =
        command.process_group(0).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let group = Group::new(child.id());
    let stdout = child.stdout.take().map(|pipe| Box::new(pipe) as Source);
    let stderr = child.stderr.take().map(|pipe| Box::new(pipe) as Source);
    Ok(Spawned { stdin: child.stdin.take(), child, group, entry: None, stdout, stderr })
}

/// The terminal is the program's standard input, output and error, and controls its session.
fn on_terminal(mut command: Command) -> io::Result<Spawned> {
    let terminal = openpty(None, None)?;
    fcntl(&terminal.master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    close_on_exec(&terminal.master)?;
    close_on_exec(&terminal.slave)?;
    let slave = || Ok::<_, io::Error>(Stdio::from(terminal.slave.try_clone()?));
    command.stdin(slave()?).stdout(slave()?).stderr(slave()?);
    in_child(&mut command, || {
        setsid()?;
        take_terminal()
    });
    let child = command.spawn()?;
    let group = Group::new(child.id());
    let output = pipe::Receiver::from_owned_fd_unchecked(terminal.master)?;
    Ok(Spawned { stdin: None, child, group, entry: None, stdout: Some(Box::new(output)), stderr: None })
}

/// Otherwise other programs, started at the same moment, would hold the terminal open.
fn close_on_exec(fd: &OwnedFd) -> io::Result<()> {
    fcntl(fd.as_fd(), FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
    Ok(())
}

#[expect(unsafe_code, reason = "running code between fork and exec; each caller makes system calls only")]
fn in_child(command: &mut Command, act: impl FnMut() -> io::Result<()> + Send + Sync + 'static) {
    // SAFETY: the closures of this file call only async-signal-safe functions and do not allocate.
    unsafe {
        command.pre_exec(act);
    }
}

#[expect(unsafe_code, reason = "nix has no wrapper for this request")]
fn take_terminal() -> io::Result<()> {
    // SAFETY: descriptor 0 is open (it is the terminal) and the request takes a plain number.
    let result = unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) };
    Errno::result(result).map(drop).map_err(io::Error::from)
}
