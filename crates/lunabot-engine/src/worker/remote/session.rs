//! One worker's connection: an actor that owns the protocol and its numbers, and what others hold of it.

use super::load::Load;
use super::running::{News, RunningCommand, Wanted};
use super::transport::{Reader, Transport, Writer};
use crate::worker::{CommandSink, LinkError};
use bytes::Bytes;
use lunabot_model::Clock;
use lunabot_proto::Command;
use lunabot_proto::master::{Answer, Call, Heard, MasterProtocol, Token};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, OwnedMutexGuard, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a worker may take to answer. One that packs a large folder answers nobody meanwhile, so this is long; a
/// connection that is dead is noticed by TCP before.
const ANSWER: Duration = Duration::from_secs(300);
/// How long bytes may wait until the worker takes them.
const WRITE: Duration = Duration::from_secs(120);
/// How long a connection that is given up may take to carry what was said before.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// Orders and outgoing messages that may wait.
const QUEUE: usize = 64;

/// What is asked of the actor.
pub(super) enum Order {
    Call {
        call: Call,
        reply: Reply,
    },
    Start(Box<Start>),
    /// Ends a command, if it runs.
    Interrupt {
        builder: Option<String>,
        command: String,
        why: String,
        reply: Reply,
    },
    Answer {
        token: Token,
        result: Result<Bytes, String>,
    },
    Welcome,
    Refuse,
}

pub(super) type Reply = oneshot::Sender<Result<Answer, LinkError>>;

/// A command to be started.
pub(super) struct Start {
    pub builder: Option<String>,
    pub command: Command,
    pub sink: Arc<dyn CommandSink>,
    /// Held as long as the command runs.
    pub turn: Option<OwnedMutexGuard<()>>,
    pub reply: Reply,
}

/// What is known when a connection has ended.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// Commands that ran and may run on in the worker.
    pub orphans: Vec<String>,
    pub why: String,
}

/// A connection, as others hold it.
pub(super) struct Session {
    pub keeps_folders: bool,
    pub one_command_per_builder: bool,
    orders: mpsc::Sender<Order>,
    close: CancellationToken,
    closed: CancellationToken,
    load: Arc<Load>,
    clock: Arc<dyn Clock>,
    /// Told when the worker's owner wants it to stop.
    pub wants_to_stop: Arc<Notify>,
}

impl Session {
    /// Starts the actor; it ends with the connection.
    pub fn start(
        protocol: Box<dyn MasterProtocol>,
        transport: Transport,
        clock: Arc<dyn Clock>,
    ) -> (Arc<Session>, JoinHandle<Ended>) {
        let (orders, inbox) = mpsc::channel(QUEUE);
        let (out, outgoing) = mpsc::channel(QUEUE);
        let close = CancellationToken::new();
        let session = Arc::new(Session {
            keeps_folders: protocol.keeps_folders(),
            one_command_per_builder: protocol.one_command_per_builder(),
            orders: orders.clone(),
            close: close.clone(),
            closed: CancellationToken::new(),
            load: Arc::new(Load::default()),
            clock: clock.clone(),
            wants_to_stop: Arc::new(Notify::new()),
        });
        let writer = tokio::spawn(write(transport.writer, outgoing, clock, close.clone()));
        let actor = Actor {
            protocol,
            // A sender of the actor's own would keep it alive: commands hold a weak one.
            orders: orders.downgrade(),
            out,
            close,
            calls: HashMap::new(),
            starts: HashMap::new(),
            commands: HashMap::new(),
            load: session.load.clone(),
            wants_to_stop: session.wants_to_stop.clone(),
        };
        let closed = session.closed.clone().drop_guard();
        let ended = tokio::spawn(async move {
            let ended = actor.live(transport.reader, inbox).await;
            // What was written is to leave before the socket closes.
            let _ = writer.await;
            drop(closed);
            ended
        });
        (session, ended)
    }

    /// Asks, and waits for the answer. No answer in time ends the connection.
    pub async fn ask(&self, call: Call) -> Result<Answer, LinkError> {
        self.ask_within(call, ANSWER).await
    }

    pub async fn ask_within(&self, call: Call, limit: Duration) -> Result<Answer, LinkError> {
        let (reply, answer) = oneshot::channel();
        self.order(Order::Call { call, reply }).await?;
        self.wait(answer, limit).await
    }

    /// Says something whose answer nobody waits for.
    pub async fn tell(&self, call: Call) -> Result<(), LinkError> {
        let (reply, _) = oneshot::channel();
        self.order(Order::Call { call, reply }).await
    }

    pub async fn start_command(
        &self,
        builder: Option<String>,
        command: Command,
        sink: Arc<dyn CommandSink>,
        turn: Option<OwnedMutexGuard<()>>,
    ) -> Result<(), LinkError> {
        let (reply, answer) = oneshot::channel();
        self.order(Order::Start(Box::new(Start { builder, command, sink, turn, reply }))).await?;
        self.wait(answer, ANSWER).await.map(|_| ())
    }

    pub async fn interrupt(&self, builder: &str, command: &str, why: &str) -> Result<(), LinkError> {
        let (reply, answer) = oneshot::channel();
        let (builder, command, why) = (Some(builder.into()), command.into(), why.into());
        self.order(Order::Interrupt { builder, command, why, reply }).await?;
        self.wait(answer, ANSWER).await.map(|_| ())
    }

    pub async fn order(&self, order: Order) -> Result<(), LinkError> {
        tokio::select! {
            sent = self.orders.send(order) => sent.map_err(|_| LinkError::Lost),
            () = self.closed.cancelled() => Err(LinkError::Lost),
        }
    }

    /// The time counts only while we listen: an answer may be behind news that the store has not taken yet.
    async fn wait(
        &self,
        mut answer: oneshot::Receiver<Result<Answer, LinkError>>,
        limit: Duration,
    ) -> Result<Answer, LinkError> {
        loop {
            tokio::select! {
                answer = &mut answer => return answer.unwrap_or(Err(LinkError::Lost)),
                () = self.closed.cancelled() => return Err(LinkError::Lost),
                () = self.clock.sleep(limit) => {
                    if !self.load.is_full() {
                        self.close();
                        return Err(LinkError::Lost);
                    }
                }
            }
        }
    }

    /// Ends the connection.
    pub fn close(&self) {
        self.close.cancel();
    }

    /// Completes when the connection has ended.
    pub async fn closed(&self) {
        self.closed.cancelled().await;
    }
}

/// Writes what comes until the connection ends.
async fn write(
    mut writer: Box<dyn Writer>,
    mut outgoing: mpsc::Receiver<Bytes>,
    clock: Arc<dyn Clock>,
    close: CancellationToken,
) {
    while let Some(bytes) = outgoing.recv().await {
        let given_up = async {
            close.cancelled().await;
            clock.sleep(LAST_WORDS).await;
        };
        let written = tokio::select! {
            written = writer.write(bytes) => written.is_ok(),
            () = clock.sleep(WRITE) => false,
            () = given_up => false,
        };
        if !written {
            break;
        }
    }
    close.cancel();
    tokio::select! {
        () = writer.close() => {}
        () = clock.sleep(LAST_WORDS) => {}
    }
}

struct Actor {
    protocol: Box<dyn MasterProtocol>,
    orders: mpsc::WeakSender<Order>,
    out: mpsc::Sender<Bytes>,
    close: CancellationToken,
    calls: HashMap<u64, Reply>,
    /// Calls that start a command, with its id.
    starts: HashMap<u64, String>,
    commands: HashMap<String, RunningCommand>,
    load: Arc<Load>,
    wants_to_stop: Arc<Notify>,
}

/// What the actor is woken by.
enum Wake {
    Order(Option<Order>),
    Read(std::io::Result<Option<Bytes>>),
    Room,
    Close,
}

impl Actor {
    async fn live(mut self, mut reader: Box<dyn Reader>, mut inbox: mpsc::Receiver<Order>) -> Ended {
        let load = self.load.clone();
        let close = self.close.clone();
        let why = loop {
            let full = load.is_full();
            let wake = tokio::select! {
                biased;
                () = close.cancelled() => Wake::Close,
                order = inbox.recv() => Wake::Order(order),
                read = reader.read(), if !full => Wake::Read(read),
                () = load.room(), if full => Wake::Room,
            };
            match wake {
                Wake::Close | Wake::Order(None) => break "closed by the master".to_string(),
                Wake::Order(Some(order)) => self.order(order),
                Wake::Read(Ok(Some(bytes))) => {
                    if let Err(why) = self.receive(bytes) {
                        break why;
                    }
                }
                Wake::Read(Ok(None)) => break "closed by the worker".into(),
                Wake::Read(Err(error)) => break error.to_string(),
                Wake::Room => {}
            }
            if !self.flush().await {
                break "the worker takes no more bytes".into();
            }
        };
        self.flush_rest();
        close.cancel();
        let outlives = self.protocol.outlives_connection();
        let orphans = self.commands.into_keys().filter(|_| outlives).collect();
        Ended { orphans, why }
    }

    /// Hands over what the protocol has to say; waits for room.
    async fn flush(&mut self) -> bool {
        for bytes in self.protocol.output() {
            let sent = tokio::select! {
                sent = self.out.send(bytes) => sent.is_ok(),
                () = self.close.cancelled() => false,
            };
            if !sent {
                return false;
            }
        }
        true
    }

    /// Last words, as far as there is room.
    fn flush_rest(&mut self) {
        for bytes in self.protocol.output() {
            if self.out.try_send(bytes).is_err() {
                return;
            }
        }
    }

    fn order(&mut self, order: Order) {
        match order {
            Order::Call { call, reply } => {
                self.call(call, reply);
            }
            Order::Start(start) => self.start(*start),
            Order::Interrupt { builder, command, why, reply } => {
                // Over PB an interrupt hits whatever runs: one for a command that is over must not leave.
                if self.commands.contains_key(&command) {
                    self.call(Call::Interrupt { builder, command, why }, reply);
                } else {
                    let _ = reply.send(Ok(Answer::Done));
                }
            }
            Order::Answer { token, result } => self.protocol.answer(token, result),
            Order::Welcome => self.protocol.welcome(),
            Order::Refuse => self.protocol.refuse(),
        }
    }

    /// The call's number, if it was sent and will be answered.
    fn call(&mut self, call: Call, reply: Reply) -> Option<u64> {
        match self.protocol.call(call) {
            Ok(Some(number)) => {
                self.calls.insert(number, reply);
                return Some(number);
            }
            // Whoever asked may have gone away.
            Ok(None) => drop(reply.send(Ok(Answer::Done))),
            Err(error) => drop(reply.send(Err(LinkError::Refused(error.0)))),
        }
        None
    }

    /// Registered before it is sent: a command that ends at once reports before its start is answered.
    fn start(&mut self, start: Start) {
        let Start { builder, command, sink, turn, reply } = start;
        let id = command.id.clone();
        let wanted = Wanted::of(&command);
        let running = RunningCommand::start(sink, wanted, turn, self.orders.clone(), self.load.clone());
        self.commands.insert(id.clone(), running);
        match self.call(Call::Start { builder, command }, reply) {
            Some(number) => drop(self.starts.insert(number, id)),
            None => drop(self.commands.remove(&id)),
        }
    }

    fn receive(&mut self, bytes: Bytes) -> Result<(), String> {
        for heard in self.protocol.receive(bytes).map_err(|error| error.to_string())? {
            match heard {
                Heard::Answered { call, result } => self.answered(call, result),
                Heard::Updates { command, updates, token } => {
                    self.news(&command, News::Updates(updates), token);
                }
                Heard::Transfer { command, request, token } => {
                    self.news(&command, News::Transfer(request), token);
                }
                Heard::Complete { command, failure, token } => {
                    self.news(&command, News::Complete(failure), token);
                    self.commands.remove(&command);
                }
                Heard::WantsToStop { token } => {
                    self.wants_to_stop.notify_one();
                    self.protocol.answer(token, Ok(Bytes::new()));
                }
            }
        }
        Ok(())
    }

    fn answered(&mut self, call: u64, result: Result<Answer, String>) {
        let started = self.starts.remove(&call);
        if let (Some(command), Err(_)) = (started, &result) {
            self.commands.remove(&command);
        }
        if let Some(reply) = self.calls.remove(&call) {
            // Whoever asked may have gone away.
            let _ = reply.send(result.map_err(LinkError::Refused));
        }
    }

    /// News of a command that nobody knows any more is taken and forgotten; a transfer of one fails.
    fn news(&mut self, command: &str, news: News, token: Token) {
        match self.commands.get(command) {
            Some(running) => running.tell(news, token),
            None => {
                let result = match news {
                    News::Transfer(_) => Err("the command is over".into()),
                    News::Updates(_) | News::Complete(_) => Ok(Bytes::new()),
                };
                self.protocol.answer(token, result);
            }
        }
    }
}
