//! A program on the master's own machine: its output into a log, its end, and never a process that is left behind by an
//! interrupt.

use lunabot_engine::step::{LogHandle, StepContext, StepError, TextPieces};
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::pty::openpty;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, setsid};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};

/// How long a signal may take to work before SIGKILL follows, and how long output may still come when the program has
/// ended (something it left running may hold the pipe open).
const PATIENCE: Duration = Duration::from_secs(5);
/// As good as for ever, and short enough to add to the clock.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);
/// Bytes that are read at a time.
const PIECE: usize = 16 * 1024;

/// What to run.
#[derive(Debug)]
pub struct Process {
    /// Program and arguments.
    pub words: Vec<String>,
    pub dir: PathBuf,
    /// All of its environment.
    pub env: BTreeMap<String, String>,
    pub pty: bool,
    /// Sent to the whole process group when it has to end.
    pub signal: Signal,
    pub timeout: Option<Duration>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Exit(i32),
    Signal(i32),
    TimedOut,
}

type Source = Box<dyn AsyncRead + Send + Unpin>;

/// A running program.
struct Running {
    child: Child,
    stdout: Source,
    stderr: Source,
}

impl Process {
    /// Runs it to its end. An error is that of the build that was stopped, or why the program could not be started.
    pub async fn run(&self, cx: &StepContext, log: &LogHandle) -> Result<Ended, StepError> {
        let running = self.start().map_err(|error| {
            let program = self.words.first().map_or("", String::as_str);
            StepError::Failed(format!("cannot run '{program}' in '{}': {error}", self.dir.display()))
        })?;
        let mut group = Group::of(&running.child);
        let mut attended = pin!(running.attend(cx, log));
        let over = tokio::select! {
            status = &mut attended => {
                group.let_go();
                return status.map(ended);
            }
            over = self.is_over(cx) => over,
        };
        group.signal(self.signal);
        if within(cx, &mut attended).await.is_none() {
            group.signal(Signal::SIGKILL);
            // What a killed program does not let go of is not waited for.
            within(cx, &mut attended).await;
        }
        // Others of the group that may be left end with `group`.
        over.map(|()| Ended::TimedOut)
    }

    /// Completes when its time is used up; an error says that the build is stopped.
    async fn is_over(&self, cx: &StepContext) -> Result<(), StepError> {
        if let Some(timeout) = self.timeout {
            return cx.sleep(timeout.min(LONGEST)).await;
        }
        cx.interrupted().await;
        Err(cx.interruption())
    }

    fn start(&self) -> io::Result<Running> {
        let Some((program, args)) = self.words.split_first() else {
            return Err(io::Error::other("the command is empty"));
        };
        let mut command = Command::new(program);
        command.args(args).env_clear().envs(&self.env).current_dir(&self.dir);
        if self.pty { on_terminal(command) } else { on_pipes(command) }
    }
}

/// What comes of `work` within the time for patience.
async fn within<T>(cx: &StepContext, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        done = work => Some(done),
        () = cx.clock().sleep(PATIENCE) => None,
    }
}

impl Running {
    /// Waits for its end, with its output going to the log meanwhile.
    async fn attend(self, cx: &StepContext, log: &LogHandle) -> Result<ExitStatus, StepError> {
        let Running { mut child, stdout, stderr } = self;
        let output = async {
            futures::future::try_join(copy(cx, stdout, log, false), copy(cx, stderr, log, true))
                .await
                .map(drop)
        };
        let mut output = pin!(output);
        let status = tokio::select! {
            status = child.wait() => {
                within(cx, &mut output).await.transpose()?;
                status
            }
            copied = &mut output => {
                copied?;
                child.wait().await
            }
        };
        status.map_err(|error| StepError::Exception(format!("cannot wait for the program: {error}")))
    }
}

fn ended(status: ExitStatus) -> Ended {
    match status.code() {
        Some(code) => Ended::Exit(code),
        None => Ended::Signal(status.signal().unwrap_or_default()),
    }
}

async fn copy(
    cx: &StepContext,
    mut source: Source,
    log: &LogHandle,
    is_error: bool,
) -> Result<(), StepError> {
    let (mut piece, mut text) = (vec![0; PIECE], TextPieces::new(&cx.encoding()));
    let add = async |shown: String| match is_error {
        true => log.add_stderr(&shown).await,
        false => log.add_stdout(&shown).await,
    };
    loop {
        // A terminal ends with an error.
        match source.read(&mut piece).await.unwrap_or(0) {
            0 => return add(text.finish()).await,
            read => add(text.push(cx, &piece[..read]).await?).await?,
        }
    }
}

fn on_pipes(mut command: Command) -> io::Result<Running> {
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let stdout = child.stdout.take().map(|pipe| Box::new(pipe) as Source);
    let stderr = child.stderr.take().map(|pipe| Box::new(pipe) as Source);
    let nothing = || Box::new(tokio::io::empty()) as Source;
    let (stdout, stderr) = (stdout.unwrap_or_else(nothing), stderr.unwrap_or_else(nothing));
    Ok(Running { child, stdout, stderr })
}

/// The terminal is the program's standard input, output and error, and controls its session.
fn on_terminal(mut command: Command) -> io::Result<Running> {
    let terminal = openpty(None, None)?;
    fcntl(terminal.master.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    for end in [&terminal.master, &terminal.slave] {
        // Otherwise other programs, started at the same moment, would hold the terminal open.
        fcntl(end.as_fd(), FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    }
    let slave = || Ok::<_, io::Error>(Stdio::from(terminal.slave.try_clone()?));
    command.stdin(slave()?).stdout(slave()?).stderr(slave()?);
    lead_session(&mut command);
    let child = command.spawn()?;
    let output = pipe::Receiver::from_owned_fd_unchecked(terminal.master)?;
    Ok(Running { child, stdout: Box::new(output), stderr: Box::new(tokio::io::empty()) })
}

#[expect(unsafe_code, reason = "running code between fork and exec, which makes system calls only")]
fn lead_session(command: &mut Command) {
    // SAFETY: only async-signal-safe functions, nothing is allocated; descriptor 0 is the terminal, and the request
    // takes a plain number.
    unsafe {
        command.pre_exec(|| {
            setsid()?;
            nix::errno::Errno::result(libc::ioctl(0, libc::TIOCSCTTY, 0))?;
            Ok(())
        });
    }
}

/// A process group that dies with this value, unless it is let go.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Group(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw))
    }

    /// That none is left is no error.
    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.0 {
            _ = killpg(leader, signal);
        }
    }

    /// What still runs may go on.
    fn let_go(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}
