//! Running one command of a system for version control: never without end, never without bound, never leaving
//! processes behind.

use lunabot_model::{Clock, Mono};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

/// A program that pollers run.
#[derive(Debug, Clone, Copy)]
pub struct Tool {
    /// For messages.
    pub name: &'static str,
    /// The option with which a configuration names another program.
    pub option: &'static str,
    /// Variables with which it answers for us, not for people.
    pub env: &'static [(&'static str, &'static str)],
    /// Variables of the user that would lead it astray.
    pub stray: &'static [&'static str],
}

/// git; nobody is there to answer a question, and messages are read by people and by us, in one language.
pub const GIT: Tool = Tool {
    name: "git",
    option: "gitbin",
    env: &[("GIT_TERMINAL_PROMPT", "0"), ("GIT_ASKPASS", "true"), ("SSH_ASKPASS", "true"), ("LC_ALL", "C")],
    stray: &[
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_NAMESPACE",
        "GIT_PREFIX",
    ],
};

/// Subversion.
pub const SVN: Tool = Tool {
    name: "svn",
    option: "svnbin",
    env: &[("SSH_ASKPASS", "true"), ("LC_ALL", "C.UTF-8")],
    stray: &[],
};

/// Mercurial.
pub const HG: Tool = Tool {
    name: "hg",
    option: "hgbin",
    env: &[("HGPLAIN", "1"), ("HGENCODING", "UTF-8"), ("SSH_ASKPASS", "true"), ("LC_ALL", "C.UTF-8")],
    stray: &[],
};

/// Breezy, which reads branches of Bazaar.
pub const BRZ: Tool = Tool {
    name: "brz",
    option: "bzrbin",
    env: &[
        ("BRZ_LOG", "/dev/null"),
        ("BRZ_PROGRESS_BAR", "none"),
        ("SSH_ASKPASS", "true"),
        ("LC_ALL", "C.UTF-8"),
    ],
    stray: &[],
};

/// Perforce.
pub const P4: Tool = Tool { name: "p4", option: "p4bin", env: &[("LC_ALL", "C.UTF-8")], stray: &[] };

/// Last bytes of standard error that are kept for the message.
const ERROR_TAIL: usize = 4096;
/// How long output may still come after the program has ended (a connection it shared may hold the pipe open).
const DRAIN: Duration = Duration::from_secs(2);
/// How long a program may take, and how much it may say.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For a question (`ls-remote`, `log`), from start to end.
    pub answer: Duration,
    /// For a transfer, without a sign of progress.
    pub silence: Duration,
    /// For a transfer, from start to end.
    pub transfer: Duration,
    /// Bytes of output of one command.
    pub output: usize,
}

impl Limits {
    /// For programs that show their progress.
    pub const USUAL: Limits = Limits {
        answer: Duration::from_secs(120),
        silence: Duration::from_secs(300),
        transfer: Duration::from_secs(3 * 3600),
        output: 64 << 20,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Limits::USUAL
    }
}

/// Why a program did not do what was asked. The texts hold no credentials.
#[derive(Debug, Clone, thiserror::Error, PartialEq)]
pub enum ProgramError {
    #[error("cannot run {program}: {reason}; install {name} or set {option}")]
    Start { program: String, reason: String, name: &'static str, option: &'static str },
    #[error("{command} gave no answer within {seconds} s and was stopped{said}")]
    Silent { command: String, seconds: u64, said: String },
    #[error("{command} printed more than {limit} bytes and was stopped")]
    TooMuch { command: String, limit: usize },
    #[error("{command} failed ({status}): {said}")]
    Failed { command: String, status: String, said: String },
    #[error("{path}: {reason}")]
    File { path: String, reason: String },
    #[error("git answered something unexpected: {0}")]
    Nonsense(String),
}

/// A program to run, with its environment and limits.
#[derive(Clone, Debug)]
pub struct Program {
    tool: Tool,
    program: String,
    dir: PathBuf,
    env: Vec<(String, String)>,
    /// Options before the command (`-c …`).
    options: Vec<String>,
    limits: Limits,
    clock: Arc<dyn Clock>,
}

enum Patience {
    Answer,
    Transfer,
}

impl Program {
    /// `dir` is where it runs; it must exist when it does.
    pub fn new(tool: Tool, program: &str, dir: &Path, limits: Limits, clock: Arc<dyn Clock>) -> Self {
        let (env, options) = (Vec::new(), Vec::new());
        Program { tool, program: program.into(), dir: dir.into(), env, options, limits, clock }
    }

    /// Adds variables and leading options.
    pub fn with(mut self, env: Vec<(String, String)>, options: Vec<String>) -> Self {
        self.env.extend(env);
        self.options.extend(options);
        self
    }

    /// Asks something that takes little time.
    pub async fn ask(&self, args: &[&str], stdin: &[u8]) -> Result<Vec<u8>, ProgramError> {
        self.run(args.first().copied().unwrap_or_default(), args, stdin, Patience::Answer).await
    }

    /// The same where the first argument is not the command's `name`; messages show nothing of the arguments.
    pub async fn ask_as(&self, name: &str, args: &[&str], stdin: &[u8]) -> Result<Vec<u8>, ProgramError> {
        self.run(name, args, stdin, Patience::Answer).await
    }

    /// Moves data; shows progress on standard error.
    pub async fn transfer(&self, args: &[&str]) -> Result<Vec<u8>, ProgramError> {
        self.run(args.first().copied().unwrap_or_default(), args, &[], Patience::Transfer).await
    }

    async fn run(
        &self,
        name: &str,
        args: &[&str],
        stdin: &[u8],
        patience: Patience,
    ) -> Result<Vec<u8>, ProgramError> {
        let name = format!("{} {name}", self.tool.name);
        let mut child = self.spawn(args)?;
        let group = Group::of(&child);
        let beat = Beat::new(self.clock.clone());
        let out = Sink {
            bytes: Mutex::default(),
            keep: Keep::All(self.limits.output),
            full: AtomicBool::new(false),
        };
        let err = Sink { bytes: Mutex::default(), keep: Keep::Tail, full: AtomicBool::new(false) };
        let ended = tokio::select! {
            ended = self.attend(&mut child, stdin, &out, &err, &beat) => Some(ended),
            () = self.patience_ends(&patience, &beat) => None,
        };
        if out.full.load(Ordering::Relaxed) {
            return Err(ProgramError::TooMuch { command: name, limit: self.limits.output });
        }
        let said = said(&err.take());
        let Some(status) = ended else {
            let seconds = beat.since_start().as_secs();
            let said = if said.is_empty() { said } else { format!("; it said: {said}") };
            return Err(ProgramError::Silent { command: name, seconds, said });
        };
        let status = status.map_err(|e| self.cannot_start(&e))?;
        group.leave();
        if status.success() {
            return Ok(out.take());
        }
        Err(ProgramError::Failed { command: name, status: status_text(status), said })
    }

    fn spawn(&self, args: &[&str]) -> Result<Child, ProgramError> {
        let mut command = Command::new(&self.program);
        command.args(&self.options).args(args).current_dir(&self.dir);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        for name in self.tool.stray {
            command.env_remove(name);
        }
        command.envs(self.tool.env.iter().copied());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.spawn().map_err(|e| self.cannot_start(&e))
    }

    fn cannot_start(&self, error: &std::io::Error) -> ProgramError {
        let Tool { name, option, .. } = self.tool;
        ProgramError::Start { program: self.program.clone(), reason: error.to_string(), name, option }
    }

    /// Feeds and reads the child until it has ended and its pipes are empty, or held open by someone else.
    async fn attend(
        &self,
        child: &mut Child,
        stdin: &[u8],
        out: &Sink,
        err: &Sink,
        beat: &Beat,
    ) -> std::io::Result<ExitStatus> {
        let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let feed = async {
            if let Some(mut input) = input {
                // A child that does not want its input says why on standard error.
                let _ = input.write_all(stdin).await;
            }
        };
        let pipes = async { tokio::join!(pump(output, out, beat), pump(errors, err, beat), feed) };
        tokio::pin!(pipes);
        let status = tokio::select! {
            status = child.wait() => status?,
            _ = &mut pipes => return if out.full.load(Ordering::Relaxed) { child.kill().await?; child.wait().await } else { child.wait().await },
        };
        tokio::select! { _ = &mut pipes => {}, () = self.clock.sleep(DRAIN) => {} }
        Ok(status)
    }

    /// Completes when the command has used up its time.
    async fn patience_ends(&self, patience: &Patience, beat: &Beat) {
        let start = beat.start;
        match patience {
            Patience::Answer => self.clock.sleep_until(start + self.limits.answer).await,
            Patience::Transfer => loop {
                let silent = beat.last() + self.limits.silence;
                let end = silent.min(start + self.limits.transfer);
                self.clock.sleep_until(end).await;
                if beat.last() + self.limits.silence <= self.clock.mono()
                    || end == start + self.limits.transfer
                {
                    return;
                }
            },
        }
    }
}

/// Kills the child's process group unless told that it ended by itself.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Group(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw))
    }

    fn leave(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // Already gone is as good.
            let _ = killpg(pid, Signal::SIGKILL);
        }
    }
}

/// When the child last showed life.
struct Beat {
    start: Mono,
    /// Microseconds after `start`.
    last: AtomicU64,
    clock: Arc<dyn Clock>,
}

impl Beat {
    fn new(clock: Arc<dyn Clock>) -> Self {
        Beat { start: clock.mono(), last: AtomicU64::new(0), clock }
    }

    fn mark(&self) {
        let micros = u64::try_from(self.since_start().as_micros()).unwrap_or(u64::MAX);
        self.last.store(micros, Ordering::Relaxed);
    }

    fn last(&self) -> Mono {
        self.start + Duration::from_micros(self.last.load(Ordering::Relaxed))
    }

    fn since_start(&self) -> Duration {
        self.clock.mono() - self.start
    }
}

enum Keep {
    All(usize),
    Tail,
}

/// Collects one stream, within bounds.
struct Sink {
    bytes: Mutex<Vec<u8>>,
    keep: Keep,
    full: AtomicBool,
}

impl Sink {
    /// False: enough.
    fn push(&self, piece: &[u8]) -> bool {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        bytes.extend_from_slice(piece);
        match self.keep {
            Keep::All(limit) if bytes.len() > limit => {
                self.full.store(true, Ordering::Relaxed);
                false
            }
            Keep::All(_) => true,
            Keep::Tail => {
                let extra = bytes.len().saturating_sub(ERROR_TAIL);
                bytes.drain(..extra);
                true
            }
        }
    }

    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.bytes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn pump(from: Option<impl AsyncRead + Unpin>, into: &Sink, beat: &Beat) {
    let Some(mut from) = from else { return };
    let mut piece = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut piece).await {
        beat.mark();
        if !into.push(&piece[..count]) {
            return;
        }
    }
}

fn status_text(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "unknown status".into(),
    }
}

/// The last lines of an error output on one line, progress left out, passwords in addresses covered.
fn said(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().map(|line| line.rsplit('\r').next().unwrap_or_default().trim());
    let telling: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    let from = telling.len().saturating_sub(8);
    cover_passwords(&telling[from..].join("; "))
}

/// `https://user:secret@host` becomes `https://user:***@host`.
pub fn cover_passwords(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        result.push_str(before);
        let end = after
            .find(|c: char| c == '/' || c == '\'' || c == '"' || c.is_whitespace())
            .unwrap_or(after.len());
        let authority = &after[..end];
        match authority.rsplit_once('@').and_then(|(user, host)| Some((user.split_once(':')?.0, host))) {
            Some((user, host)) => result.push_str(&format!("{user}:***@{host}")),
            None => result.push_str(authority),
        }
        rest = &after[end..];
    }
    result + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_addresses_are_covered() {
        let text = "fatal: unable to access 'https://joe:s3@cret@host/x.git/': no; see http://other/";
        let covered = "fatal: unable to access 'https://joe:***@host/x.git/': no; see http://other/";
        assert_eq!(cover_passwords(text), covered);
    }
}
