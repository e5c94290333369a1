//! The worker's door: commands come in, news goes out.

use crate::{
    CommandError, MasterSide, OutputOptions, WorkerError, WorkerOptions,
    commands::{self, Cx, Outcome},
    errors::Failure,
    info,
    paths::Paths,
    process::Ledger,
    report::Report,
};
use lunabot_proto::{Command, Update, WorkerInfo};
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{sync::mpsc, task::JoinHandle, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// A worker. Clones are the same worker; when the last is gone, its commands are killed.
#[derive(Clone)]
pub struct WorkerCore {
    inner: Arc<Inner>,
    /// Stops everything when the last clone is dropped (running commands hold `Inner` only).
    _alive: Arc<tokio_util::sync::DropGuard>,
}

struct Inner {
    options: WorkerOptions,
    basedir: PathBuf,
    ledger: Ledger,
    /// How the output of commands that start is cut and batched.
    output: Mutex<OutputOptions>,
    /// Interrupts of the running commands, by id.
    running: Mutex<HashMap<String, CancellationToken>>,
    tasks: TaskTracker,
    /// Cancelled by shutdown: kill everything, report nothing more.
    halted: CancellationToken,
}

impl WorkerCore {
    /// A worker in `options.basedir`, which is made if absent. Kills what a worker that was itself killed left
    /// running there.
    pub fn new(options: WorkerOptions) -> Result<Self, WorkerError> {
        let error = |source| WorkerError::Basedir { path: options.basedir.clone(), source };
        std::fs::create_dir_all(&options.basedir).map_err(error)?;
        let basedir = std::path::absolute(&options.basedir).map_err(error)?;
        let ledger = Ledger::open(&basedir).map_err(error)?;
        ledger.sweep();
        let halted = CancellationToken::new();
        let alive = Arc::new(halted.clone().drop_guard());
        let (running, tasks, output) = (Mutex::default(), TaskTracker::new(), Mutex::new(options.output));
        let inner = Inner { options, basedir, ledger, output, running, tasks, halted };
        Ok(Self { inner: Arc::new(inner), _alive: alive })
    }

    /// The base directory, absolute.
    pub fn basedir(&self) -> &Path {
        &self.inner.basedir
    }

    /// From the next command on, output is cut and batched so.
    pub fn set_output(&self, output: OutputOptions) {
        *self.inner.output.lock().unwrap_or_else(PoisonError::into_inner) = output;
    }

    /// The worker's description of itself; reads a few small files.
    pub async fn info(&self) -> WorkerInfo {
        let inner = self.inner.clone();
        let gathered = tokio::task::spawn_blocking(move || info::gather(&inner.options, &inner.basedir));
        gathered.await.unwrap_or_default()
    }

    /// Starts a command and returns at once. From then on `master` gets its news, `complete` last (not
    /// after [`WorkerCore::shutdown`]). A refused command reports nothing. Any number of commands may
    /// run side by side. Must be called on a tokio runtime.
    pub fn start(&self, command: Command, master: Arc<dyn MasterSide>) -> Result<(), CommandError> {
        let inner = &self.inner;
        if inner.halted.is_cancelled() {
            return Err(CommandError::ShuttingDown);
        }
        commands::check(&command)?;
        let interrupted = inner.register(&command.id)?;
        let output = *inner.output.lock().unwrap_or_else(PoisonError::into_inner);
        let (report, batches) = Report::new(output);
        let (id, cx) = (command.id.clone(), inner.context(command, master.clone(), interrupted, output));
        let work = inner.tasks.spawn(run(cx, report, inner.halted.clone()));
        inner.tasks.spawn(inner.clone().deliver(id, batches, work, master));
        Ok(())
    }

    /// Interrupts a command: its processes are killed, a transfer stops at the next block. Unknown ids
    /// (it may just have finished) are ignored.
    pub fn interrupt(&self, id: &str, why: &str) {
        if let Some(interrupted) = self.inner.lock().get(id) {
            tracing::info!(command = id, why, "interrupting");
            interrupted.cancel();
        }
    }

    /// Kills every command, waits until each has been dealt with, and refuses new ones. Nothing more is
    /// reported, not even `complete`.
    pub async fn shutdown(&self) {
        self.inner.halted.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, CancellationToken>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn register(&self, id: &str) -> Result<CancellationToken, CommandError> {
        let mut running = self.lock();
        if running.contains_key(id) {
            return Err(CommandError::Duplicate { id: id.to_owned() });
        }
        let interrupted = CancellationToken::new();
        running.insert(id.to_owned(), interrupted.clone());
        Ok(interrupted)
    }

    fn context(
        &self,
        command: Command,
        master: Arc<dyn MasterSide>,
        interrupted: CancellationToken,
        output: OutputOptions,
    ) -> Cx {
        let home = self.options.env.iter().find(|(name, _)| name == "HOME");
        let home = home.map(|(_, value)| PathBuf::from(value)).filter(|home| home.is_absolute());
        Cx {
            paths: Paths::new(&self.basedir, command.builddir.as_deref(), home),
            env: self.options.env.clone(),
            ledger: self.ledger.clone(),
            umask: self.options.umask,
            max_line_length: output.max_line_length,
            command,
            master,
            interrupted,
        }
    }

    /// Hands the batches of one command to the master, then its end.
    async fn deliver(
        self: Arc<Self>,
        id: String,
        mut batches: mpsc::Receiver<Vec<Update>>,
        work: JoinHandle<Option<Result<(), Failure>>>,
        master: Arc<dyn MasterSide>,
    ) {
        let delivery = async {
            while let Some(batch) = batches.recv().await {
                master.update(&id, batch).await;
            }
            let ended = match work.await {
                Ok(Some(ended)) => ended,
                // The halt may come after it was looked for below.
                Ok(None) => return,
                Err(error) => Err(Failure::new(format!("internal error: {error}"))),
            };
            self.lock().remove(&id);
            master.complete(&id, ended.err().map(|failure| failure.0)).await;
        };
        tokio::select! {
            biased;
            () = self.halted.cancelled() => {}
            () = delivery => {}
        }
        self.lock().remove(&id);
    }
}

/// Runs a command to its end. A halt drops it where it stands, which kills what it runs: `None`.
async fn run(cx: Cx, report: Report, halted: CancellationToken) -> Option<Result<(), Failure>> {
    halted.run_until_cancelled(to_end(&cx, report)).await
}

/// Every command reports how long it took unless it was interrupted.
async fn to_end(cx: &Cx, mut report: Report) -> Result<(), Failure> {
    let began = Instant::now();
    let result = commands::run(cx, &mut report).await;
    if !matches!(result, Ok(Outcome::Interrupted)) {
        report.push(Update::Elapsed(began.elapsed().as_secs_f64()));
    }
    report.finish().await;
    result.map(|_| ())
}
