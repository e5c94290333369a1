//! One connection: an actor that owns the protocol, carries out what the master orders and tells it what commands say.
//!
//! Reading never waits for writing: while the master takes nothing, news waits with the commands, which stops their output at its
//! source, and orders such as an interrupt are heard all the same.

use super::connect::Socket;
use super::outgoing::Outgoing;
use super::pulse::{Due, Pulse};
use super::side::{News, Reply, Side};
use super::{RemoteOptions, Stops};
use crate::{OutputOptions, TransferError, WorkerCore};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::SplitStream;
use lunabot_proto::Command;
use lunabot_proto::msgpack::{Answer, MsgpackWorker, NEWLINES, Order, Settings, Told};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::{Error, Message};

/// News that waits for the connection; more waits with its command.
const NEWS: usize = 1;
/// Messages that may wait to be written before nothing more is read.
const BACKLOG: usize = 1024;
/// News that the master has not answered yet before it gets no more.
const WINDOW: usize = 256;
/// How long what was said last may take to leave.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long no command may have run before a worker that is leaving leaves, where the master cannot say when builds are over.
const IDLE: Duration = Duration::from_secs(10);
/// Longest line in characters, whatever the master allows: a message of it has to be taken too.
const LONGEST_LINE: u64 = 1024 * 1024;
/// Most text that is held back, in bytes.
const LARGEST_BUFFER: u64 = 1024 * 1024;

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Over {
    Lost(String),
    /// The owner ended the worker.
    Stopped,
    /// The master did.
    Shutdown,
    /// The owner wanted it to end when it has nothing to do.
    Idle,
}

/// How far the worker is in leaving gracefully.
#[derive(Debug, PartialEq, Eq)]
enum Leaving {
    No,
    /// The master was asked.
    Asked(i64),
    /// It will say when.
    Granted,
    /// It cannot: no command has run since then.
    Alone(Instant),
}

pub(super) struct Session {
    core: WorkerCore,
    stops: Stops,
    now: fn() -> f64,
    machine: MsgpackWorker,
    news: mpsc::Sender<News>,
    inbox: mpsc::Receiver<News>,
    /// Messages to be written.
    backlog: VecDeque<Bytes>,
    transfers: HashMap<i64, Reply>,
    running: usize,
    /// Commands whose news was too long to be told.
    untold: HashSet<String>,
    leaving: Leaving,
    attached: bool,
    pulse: Pulse,
}

/// What the actor is woken by.
enum Wake<'a> {
    Stop,
    Graceful,
    Room(Option<mpsc::Permit<'a, Message>>),
    Read(Option<Result<Message, Error>>),
    Taken,
    News(Option<News>),
    Time,
}

impl Session {
    pub fn new(core: WorkerCore, options: &RemoteOptions, stops: Stops) -> Self {
        let (news, inbox) = mpsc::channel(NEWS);
        Session {
            core,
            stops,
            now: options.now,
            machine: MsgpackWorker::new(),
            news,
            inbox,
            backlog: VecDeque::new(),
            transfers: HashMap::new(),
            running: 0,
            untold: HashSet::new(),
            leaving: Leaving::No,
            attached: false,
            pulse: Pulse::new(options.keepalive, Instant::now()),
        }
    }

    /// Lives until the connection ends, and then ends its commands. Also tells whether the worker was attached.
    pub async fn live(mut self, socket: Socket) -> (Over, bool) {
        let (sink, mut reader) = socket.split();
        let out = Outgoing::start(sink);
        let over = loop {
            let wake = self.next(&mut reader, &out).await;
            if let Some(over) = self.handle(wake, &out) {
                break over;
            }
            self.backlog.extend(self.machine.output());
        };
        self.core.shutdown().await;
        if !matches!(over, Over::Lost(_)) {
            self.backlog.extend(self.machine.output());
            // A master that takes nothing is left.
            let _ = timeout(LAST_WORDS, out.finish(self.backlog.into_iter())).await;
        }
        (over, self.attached)
    }

    async fn next<'a>(&mut self, reader: &mut SplitStream<Socket>, out: &'a Outgoing) -> Wake<'a> {
        let wake = self.wake();
        let ready = self.backlog.is_empty() && self.machine.unanswered() < WINDOW;
        let Self { stops, backlog, inbox, leaving, .. } = self;
        tokio::select! {
            biased;
            () = stops.now.cancelled() => Wake::Stop,
            room = out.room(), if !backlog.is_empty() => Wake::Room(room),
            read = reader.next(), if backlog.len() < BACKLOG => Wake::Read(read),
            () = stops.graceful.cancelled(), if *leaving == Leaving::No => Wake::Graceful,
            () = out.taken() => Wake::Taken,
            news = inbox.recv(), if ready => Wake::News(news),
            () = at(wake) => Wake::Time,
        }
    }

    fn wake(&self) -> Option<Instant> {
        [self.pulse.wake(), self.leaves_at()].into_iter().flatten().min()
    }

    fn leaves_at(&self) -> Option<Instant> {
        match self.leaving {
            Leaving::Alone(since) if self.running == 0 => Some(since + IDLE),
            Leaving::Alone(_) | Leaving::No | Leaving::Asked(_) | Leaving::Granted => None,
        }
    }

    fn handle(&mut self, wake: Wake<'_>, out: &Outgoing) -> Option<Over> {
        match wake {
            Wake::Stop => return Some(Over::Stopped),
            Wake::Graceful => self.ask_to_leave(),
            Wake::Room(Some(room)) => {
                if let Some(message) = self.backlog.pop_front() {
                    room.send(Message::Binary(message));
                }
            }
            Wake::Room(None) => return Some(Over::Lost("the master takes no more bytes".into())),
            Wake::Read(read) => return self.read(read),
            Wake::Taken => self.pulse.beat(Instant::now()),
            Wake::News(news) => self.tell(news?),
            Wake::Time => return self.time(out),
        }
        None
    }

    fn time(&mut self, out: &Outgoing) -> Option<Over> {
        let now = Instant::now();
        if self.leaves_at().is_some_and(|at| at <= now) {
            return Some(Over::Idle);
        }
        if self.pulse.wake().is_some_and(|at| at <= now) {
            match self.pulse.due(now) {
                Due::Ping => out.ping(),
                Due::Lost => return Some(Over::Lost("the master does not answer any more".into())),
            }
        }
        None
    }

    fn read(&mut self, read: Option<Result<Message, Error>>) -> Option<Over> {
        self.pulse.beat(Instant::now());
        match read {
            Some(Ok(Message::Binary(bytes))) => match self.machine.receive(&bytes) {
                Ok(told) => told.and_then(|told| self.told(told)),
                Err(error) => {
                    Some(Over::Lost(format!("the master sends what this worker cannot read: {error}")))
                }
            },
            Some(Ok(Message::Close(_))) | None => Some(self.closed()),
            Some(Ok(Message::Text(_))) => {
                tracing::debug!("the master sends text, which means nothing here");
                None
            }
            // Pings are answered below.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => None,
            Some(Err(error)) => Some(Over::Lost(format!("the connection to the master broke: {error}"))),
        }
    }

    fn closed(&self) -> Over {
        Over::Lost(if self.attached {
            "the master closed the connection".into()
        } else {
            "the master closed the connection before it took this worker in: another worker of this name may be \
             connected; the master's log says more"
                .into()
        })
    }

    fn told(&mut self, told: Told) -> Option<Over> {
        match told {
            Told::Answered { call, result } => self.answered(call, result),
            Told::Ordered { request, order } => match order {
                Order::Info => self.describe(request),
                Order::Shutdown => {
                    tracing::info!("the master ends this worker");
                    self.machine.answer(request, Ok(()));
                    return Some(Over::Shutdown);
                }
                other => {
                    let done = self.carry_out(other);
                    self.machine.answer(request, done);
                }
            },
        }
        None
    }

    fn carry_out(&mut self, order: Order) -> Result<(), String> {
        match order {
            Order::Print(text) => tracing::info!("the master says: {text:?}"),
            Order::Settings(settings) => self.settle(&settings),
            Order::Start(command) => return self.start(command),
            Order::Interrupt { command, why } => self.core.interrupt(&command, &why),
            Order::Keepalive | Order::Info | Order::Shutdown => {}
        }
        Ok(())
    }

    /// Gathers what the worker is beside everything else: it reads files.
    fn describe(&self, request: i64) {
        let (core, news) = (self.core.clone(), self.news.clone());
        tokio::spawn(async move {
            let info = Box::new(core.info().await);
            // The connection may be gone.
            let _ = news.send(News::Info { request, info }).await;
        });
    }

    /// The last that a master says before it gives work.
    fn settle(&mut self, settings: &Settings) {
        if settings.newline_re != NEWLINES {
            tracing::warn!("the master cuts lines in a way of its own, which this worker does not follow");
        }
        self.core.set_output(output(settings));
        if !std::mem::replace(&mut self.attached, true) {
            tracing::info!("attached to the master");
        }
    }

    fn start(&mut self, command: Command) -> Result<(), String> {
        let (id, name) = (command.id.clone(), command.name.clone());
        let side = Arc::new(Side(self.news.clone()));
        self.core.start(command, side).map_err(|error| error.to_string())?;
        tracing::info!(command = id, "{name}");
        self.running += 1;
        Ok(())
    }

    fn answered(&mut self, call: i64, result: Result<Answer, String>) {
        if let Some(reply) = self.transfers.remove(&call) {
            let data = result.map(|answer| match answer {
                Answer::Data(data) => data,
                Answer::Done => Bytes::new(),
            });
            // The command may have been interrupted.
            let _ = reply.send(data.map_err(TransferError));
        } else if self.leaving == Leaving::Asked(call) {
            self.leaving = match result {
                Ok(_) => {
                    tracing::info!(
                        "the master gives no new builds and ends this worker when the last has ended"
                    );
                    Leaving::Granted
                }
                Err(_) => {
                    let secs = IDLE.as_secs();
                    tracing::info!(
                        "this master ends no worker gracefully: leaving when no command has run for {secs} s"
                    );
                    Leaving::Alone(Instant::now())
                }
            };
        } else if let Err(error) = result {
            tracing::debug!("the master could not take news: {error}");
        }
    }

    fn ask_to_leave(&mut self) {
        tracing::info!("asking the master to end this worker when its builds have ended");
        self.leaving = Leaving::Asked(self.machine.wants_to_stop());
    }

    fn tell(&mut self, news: News) {
        match news {
            News::Updates { command, updates } => {
                if !self.machine.update(&command, updates, (self.now)()) {
                    tracing::warn!(command, "news of this command is too long for any message");
                    self.untold.insert(command);
                }
            }
            News::Complete { command, failure } => {
                self.ended();
                let untold = self.untold.remove(&command);
                let failure = failure.or_else(|| untold.then(|| "the result is too long to be sent".into()));
                self.machine.complete(&command, failure);
            }
            News::Transfer { command, request, reply } => {
                let call = self.machine.transfer(&command, request);
                self.transfers.insert(call, reply);
            }
            News::Info { request, info } => self.machine.describe(request, &info),
        }
    }

    fn ended(&mut self) {
        self.running = self.running.saturating_sub(1);
        if let Leaving::Alone(since) = &mut self.leaving {
            *since = Instant::now();
        }
    }
}

/// What the master says, within what a small worker can hold.
fn output(settings: &Settings) -> OutputOptions {
    let within =
        |number: u64, least: u64, most: u64| usize::try_from(number.clamp(least, most)).unwrap_or(usize::MAX);
    OutputOptions {
        buffer_size: within(settings.buffer_size, 1024, LARGEST_BUFFER),
        buffer_timeout: Duration::from_secs_f64(settings.buffer_timeout.clamp(0.01, 60.0)),
        max_line_length: within(settings.max_line_length, 1, LONGEST_LINE),
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
