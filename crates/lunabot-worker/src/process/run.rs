//! One program from its start to its end.
//!
//! A loop waits for whatever comes first: output, the end of the process, a limit, an interrupt, the time to
//! send. While the master is behind, output is not read, so the program waits too; limits and interrupts
//! work all the same.

use super::{
    channel::{Channel, Output, next},
    header,
    kill::{Group, Killing, Patience},
    ledger::Entry,
    spawn::{self, Spawned},
    spec::Spec,
    watch::{Chunk, Watcher},
};
use crate::{commands::Cx, errors::Failure, report::Report, text::lines::Lines};
use lunabot_proto::{FailureReason, Update};
use nix::sys::signal::Signal;
use std::{
    io, os::unix::process::ExitStatusExt, path::PathBuf, process::ExitStatus, sync::Arc, time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, ChildStdin},
    time::{Instant, sleep_until},
};
use tokio_util::task::AbortOnDropHandle;

/// After the program's own end, how long its output may stay open without any coming: a process that it
/// left behind may hold it for ever.
const LINGER_QUIET: Duration = Duration::from_secs(5);

/// After the program's own end, how long output may go on.
const LINGER_TOTAL: Duration = Duration::from_secs(30);

/// Exit status of a program that could not be started.
const NOT_STARTED: i64 = 1;

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Exit status, -1 for a signal.
    pub(crate) rc: i64,
    /// The master asked for the end.
    pub(crate) interrupted: bool,
}

/// Runs a program and reports its header, output and, if `report_rc`, its exit status before the line with
/// the time it took.
pub(crate) async fn run(cx: &Cx, spec: Spec, report: &mut Report, report_rc: bool) -> Result<Ended, Failure> {
    let began = Instant::now();
    let spec = Arc::new(spec);
    let (spawned, watcher) = start(cx, &spec, report).await?;
    let ended = match spawned {
        Ok(spawned) => Run::new(cx, &spec, report, spawned, watcher).until_over().await?,
        Err(error) => {
            report.push(Update::Stderr(format!("cannot run {}: {error}\n", spec.program.display())));
            Ended { rc: NOT_STARTED, interrupted: false }
        }
    };
    if report_rc {
        report.push(Update::Rc(ended.rc));
    }
    report.push(Update::Header(format!("elapsedTime={:.6}\n", began.elapsed().as_secs_f64())));
    Ok(ended)
}

async fn start(
    cx: &Cx,
    spec: &Arc<Spec>,
    report: &mut Report,
) -> Result<(io::Result<Spawned>, Watcher), Failure> {
    let (umask, max) = (cx.umask, cx.max_line_length);
    let started = {
        let (spec, ledger) = (spec.clone(), cx.ledger.clone());
        tokio::task::spawn_blocking(move || {
            // A path that ends in "." names a folder whose parent is not there either.
            std::fs::create_dir_all(spec.workdir.components().collect::<PathBuf>())?;
            let watcher = Watcher::new(&spec.logfiles, || Lines::new(max, spec.encoding));
            Ok((spawn::spawn(&spec, umask, &ledger), watcher))
        })
    };
    let started = started.await.map_err(|error| Failure::new(format!("internal error: {error}")))?;
    let started = started.map_err(|error: io::Error| {
        Failure::new(format!("cannot make the working directory '{}': {error}", spec.workdir.display()))
    })?;
    report.push(Update::Header(header::introduction(spec)));
    Ok(started)
}

enum Event {
    Output(Output),
    Log(Chunk),
    /// A batch went to the master; it had been waiting if true.
    Sent(bool),
    Exited(io::Result<ExitStatus>),
    Interrupted,
    Quiet,
    MaxTime,
    KillWait,
    Lingered,
}

struct Run<'a> {
    cx: &'a Cx,
    spec: &'a Spec,
    report: &'a mut Report,
    child: Child,
    group: Group,
    entry: Option<Entry>,
    stdout: Channel,
    stderr: Channel,
    watcher: Watcher,
    _stdin: Option<AbortOnDropHandle<()>>,
    status: Option<ExitStatus>,
    killing: Killing,
    interrupted: bool,
    lines: u64,
    quiet_at: Option<Instant>,
    max_at: Option<Instant>,
    linger: Option<(Instant, Instant)>,
}

impl<'a> Run<'a> {
    fn new(cx: &'a Cx, spec: &'a Spec, report: &'a mut Report, spawned: Spawned, watcher: Watcher) -> Self {
        let Spawned { child, group, entry, stdin, stdout, stderr } = spawned;
        let (max, now) = (cx.max_line_length, Instant::now());
        let feed = |stdin| AbortOnDropHandle::new(tokio::spawn(feed(stdin, spec.stdin.clone())));
        Self {
            cx,
            spec,
            report,
            child,
            group,
            entry,
            stdout: Channel::new(
                stdout,
                Lines::new(max, spec.encoding),
                spec.want_stdout.then_some(Update::Stdout),
            ),
            stderr: Channel::new(
                stderr,
                Lines::new(max, spec.encoding),
                spec.want_stderr.then_some(Update::Stderr),
            ),
            watcher,
            _stdin: stdin.map(feed),
            status: None,
            killing: Killing::No,
            interrupted: false,
            lines: 0,
            quiet_at: spec.timeout.as_ref().map(|limit| now + limit.time),
            max_at: spec.max_time.as_ref().map(|limit| now + limit.time),
            linger: None,
        }
    }

    async fn until_over(mut self) -> Result<Ended, Failure> {
        while !self.is_over() {
            let event = self.next().await;
            self.handle(event)?;
        }
        self.finish().await
    }

    fn is_over(&self) -> bool {
        self.status.is_some() && !self.stdout.is_open() && !self.stderr.is_open()
    }

    async fn next(&mut self) -> Event {
        let full = self.report.is_full();
        let Self { cx, report, child, stdout, stderr, watcher, .. } = self;
        let linger = self.linger.map(|(quiet, total)| quiet.min(total));
        // Limits come before output: a flood must not hide them.
        tokio::select! {
            biased;
            () = cx.interrupted.cancelled(), if !self.interrupted => Event::Interrupted,
            () = at(self.killing.wake()) => Event::KillWait,
            () = at(self.max_at) => Event::MaxTime,
            () = send(report) => Event::Sent(full),
            status = child.wait(), if self.status.is_none() => Event::Exited(status),
            chunk = watcher.next(), if !full => Event::Log(chunk),
            output = next(stdout, stderr), if !full => Event::Output(output),
            () = at(self.quiet_at), if !full => Event::Quiet,
            () = at(linger), if !full => Event::Lingered,
        }
    }

    fn handle(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Output(output) => self.take(output),
            Event::Log(chunk) => self.take_log(chunk),
            Event::Sent(was_full) => self.sent(was_full),
            Event::Exited(status) => self.exited(status)?,
            Event::Interrupted => self.interrupt(),
            Event::Quiet => self.time_out(FailureReason::TimeoutWithoutOutput),
            Event::MaxTime => self.time_out(FailureReason::Timeout),
            Event::KillWait => self.escalate()?,
            Event::Lingered => self.abandon_output(),
        }
        Ok(())
    }

    fn take(&mut self, output: Output) {
        let taken = match output {
            Output::Stdout(read) => self.stdout.take(read),
            Output::Stderr(read) => self.stderr.take(read),
        };
        let Some((text, make)) = taken else { return };
        self.heard();
        self.count(&text);
        if let Some(make) = make.filter(|_| !text.is_empty()) {
            self.report.push(make(text));
        }
    }

    fn take_log(&mut self, Chunk { name, text }: Chunk) {
        self.heard();
        if !text.is_empty() {
            self.report.push(Update::Log { name, text });
        }
    }

    /// Output came: what waits for silence starts anew.
    fn heard(&mut self) {
        let now = Instant::now();
        if let (Some(at), Some(limit)) = (&mut self.quiet_at, &self.spec.timeout) {
            *at = now + limit.time;
        }
        if let Some((quiet, _)) = &mut self.linger {
            *quiet = now + LINGER_QUIET;
        }
    }

    /// After a wait for the master, silence is not the program's.
    fn sent(&mut self, was_full: bool) {
        if was_full {
            self.heard();
        }
    }

    fn count(&mut self, text: &str) {
        let Some(max) = self.spec.max_lines else { return };
        self.lines += memchr::memchr_iter(b'\n', text.as_bytes()).count() as u64;
        if self.lines > max && self.killing == Killing::No {
            let lines = self.lines;
            self.report.push(Update::FailureReason(FailureReason::MaxLines));
            self.kill(&format!(
                "command exceeds max lines: {lines}/{max} written/allowed running {}",
                self.spec.program.repr()
            ));
        }
    }

    fn time_out(&mut self, reason: FailureReason) {
        let (limit, what) = match reason {
            FailureReason::Timeout => (&self.spec.max_time, "elapsed"),
            FailureReason::TimeoutWithoutOutput | FailureReason::MaxLines => {
                (&self.spec.timeout, "without output")
            }
        };
        let seconds = limit.as_ref().map_or("", |limit| &limit.shown);
        let running = self.spec.program.repr();
        self.report.push(Update::FailureReason(reason));
        self.kill(&format!("command timed out: {seconds} seconds {what} running {running}"));
    }

    fn interrupt(&mut self) {
        self.interrupted = true;
        if self.killing == Killing::No {
            self.kill("command interrupted");
        }
    }

    fn kill(&mut self, why: &str) {
        self.report.push(Update::Header(format!("\n{why}, attempting to kill\n")));
        (self.quiet_at, self.max_at) = (None, None);
        self.killing = Killing::start(&self.group, self.spec.sigterm_time, self.spec.interrupt_signal);
    }

    fn escalate(&mut self) -> Result<(), Failure> {
        if self.status.is_some() {
            // Only processes left behind remain.
            self.group.signal(Signal::SIGKILL);
            self.killing = Killing::Forced { until: Instant::now() + LINGER_TOTAL };
            return Ok(());
        }
        match self.killing.escalate(&self.group, self.spec.interrupt_signal) {
            Patience::Escalated => Ok(()),
            Patience::Failed(signal) => {
                self.report.push(Update::Header(format!("{signal} failed to kill process\n")));
                Ok(())
            }
            Patience::GivenUp => {
                let message = "SIGKILL failed to kill process";
                self.report.push(Update::Header(format!("{message}\nusing fake rc=-1\n")));
                self.report.push(Update::Rc(-1));
                Err(Failure::new(message))
            }
        }
    }

    fn exited(&mut self, status: io::Result<ExitStatus>) -> Result<(), Failure> {
        self.status =
            Some(status.map_err(|error| Failure::new(format!("cannot wait for process: {error}")))?);
        let now = Instant::now();
        self.linger = Some((now + LINGER_QUIET, now + LINGER_TOTAL));
        (self.quiet_at, self.max_at) = (None, None);
        if matches!(self.killing, Killing::Signalled { .. } | Killing::Forced { .. }) {
            self.group.signal(Signal::SIGKILL);
        }
        Ok(())
    }

    fn abandon_output(&mut self) {
        self.stdout.close();
        self.stderr.close();
        let text =
            "command ended, but a process it left behind keeps its output open; not waiting for more\n";
        self.report.push(Update::Header(text.to_owned()));
    }

    async fn finish(mut self) -> Result<Ended, Failure> {
        if self.killing != Killing::No {
            self.group.signal(Signal::SIGKILL);
        }
        self.group.let_go();
        let entry = self.entry.take();
        // Nobody has to wait for a file to be removed.
        drop(tokio::task::spawn_blocking(move || drop(entry)));
        self.last_logs().await;
        self.stdout.push_tail(self.report);
        self.stderr.push_tail(self.report);
        for Chunk { name, text } in self.watcher.tails() {
            self.report.push_tail(Update::Log { name, text });
        }
        let status = self.status.unwrap_or_default();
        if let Some(signal) = status.signal() {
            self.report.push(Update::Header(format!("process killed by signal {signal}\n")));
        }
        let rc = match status.code() {
            Some(0) if self.killing != Killing::No => -1,
            Some(code) => code.into(),
            None => -1,
        };
        Ok(Ended { rc, interrupted: self.interrupted })
    }

    async fn last_logs(&mut self) {
        self.watcher.finish();
        while let Some(chunk) = self.watcher.round().await {
            self.take_log(chunk);
            if self.report.is_full() {
                self.report.send().await;
            }
        }
    }
}

async fn send(report: &mut Report) {
    // Timers take a millisecond even for a time that has come.
    if !report.is_full() {
        at(report.due()).await;
    }
    report.send().await;
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// A program that does not read its input is none of our business.
async fn feed(mut stdin: ChildStdin, text: Option<String>) {
    _ = stdin.write_all(text.unwrap_or_default().as_bytes()).await;
}
