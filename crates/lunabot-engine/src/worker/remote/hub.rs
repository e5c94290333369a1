//! Who may come in, and what becomes of those who did.

use super::changes::{self, Source};
use super::clients::{Client, Clients, Gate};
use super::link::RemoteLink;
use super::missing::Absences;
use super::seats::Seats;
use super::session::{Ended, Order, Session};
use super::transport::Transport;
use super::tries::{self, TryDesk, TryUser};
use crate::Generation;
use crate::engine::Engine;
use crate::worker::{LinkError, WorkerLink};
use lunabot_data::intake::Intake;
use lunabot_model::Clock;
use lunabot_proto::WorkerInfo;
use lunabot_proto::master::{Answer, Call, MasterProtocol};
use lunabot_proto::pb::{PbClient, PbTry};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a worker may take to say what it is.
const DESCRIBE: Duration = Duration::from_secs(60);
/// How long one that is refused may stay to read why.
const LINGER: Duration = Duration::from_secs(2);
/// How long a command line client may stay.
const CLIENT: Duration = Duration::from_secs(600);
/// How long connections may take to end at a stop.
const STOP: Duration = Duration::from_secs(5);
/// Commands of one worker's lost connection that are remembered to be ended.
const ORPHANS: usize = 1000;

/// A configured worker.
pub(super) struct Member {
    /// Absent: each instance of it has its own.
    pub password: Option<String>,
    /// It is known by the password of its present instance, too.
    pub latent: bool,
    pub keepalive: Duration,
    pub missing_after: Duration,
    pub notify: Vec<String>,
}

/// Someone who is known.
pub(super) enum Arrival {
    Worker(Newcomer),
    /// A command line client that reports changes (02.009).
    Client {
        client: Box<PbClient>,
        transport: Transport,
        source: Source,
    },
    /// A command line client that tries patches (03.023).
    Try {
        client: Box<PbTry>,
        transport: Transport,
        user: TryUser,
    },
}

/// A worker that is known.
pub(super) struct Newcomer {
    pub name: String,
    pub protocol: Box<dyn MasterProtocol>,
    pub transport: Transport,
}

pub(super) struct Hub {
    engine: Engine,
    pub clock: Arc<dyn Clock>,
    members: Mutex<HashMap<String, Member>>,
    clients: Mutex<Clients>,
    seats: Arc<Seats>,
    /// Commands that may run on in workers whose connections broke.
    orphans: Mutex<HashMap<String, Vec<String>>>,
    absences: Absences,
    pub stopping: CancellationToken,
    pub tasks: TaskTracker,
}

impl Hub {
    pub fn new(engine: Engine, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Hub {
            engine,
            clock,
            members: Mutex::default(),
            clients: Mutex::default(),
            seats: Arc::default(),
            orphans: Mutex::default(),
            absences: Absences::default(),
            stopping: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })
    }

    /// Completes when those who are workers of another sort from now on, which `others` names, have gone. Those who are no
    /// workers any more are parted with by the engine.
    pub async fn set_members(self: &Arc<Self>, members: HashMap<String, Member>, others: &HashSet<String>) {
        let names: Vec<String> = members.keys().cloned().collect();
        *self.members() = members;
        self.absences.keep_only(|name| self.members().contains_key(name));
        let leaving = self.seats.keep_only(|name| !others.contains(name));
        let gone = async {
            for free in leaving {
                free.cancelled().await;
            }
        };
        tokio::select! {
            () = gone => {}
            () = self.clock.sleep(STOP) => tracing::warn!("a worker that is of another kind now has not left yet"),
        }
        for name in names.iter().filter(|name| !self.seats.is_taken(name)) {
            self.absences.begin(self, name);
        }
    }

    pub fn set_clients(&self, clients: Clients) {
        *self.clients.lock().unwrap_or_else(PoisonError::into_inner) = clients;
    }

    /// The door for changes under `generation`.
    pub fn intake(&self, generation: &Generation) -> Intake {
        Intake {
            data: self.engine.data().clone(),
            script: generation.host.clone(),
            codebase_generator: generation.config.codebase_generator.clone(),
            revlink: generation.config.revlink.clone(),
        }
    }

    /// The client of this name at a port.
    pub fn client(&self, gate: &Gate, user: &str) -> Option<Client> {
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.get(&(gate.clone(), user.to_owned())).cloned()
    }

    pub fn missing_after(&self, name: &str) -> Option<Duration> {
        self.members().get(name).map(|member| member.missing_after)
    }

    /// 08.007.
    pub async fn announce_missing(&self, name: &str, since: Duration) {
        let notify = self.members().get(name).map(|member| member.notify.clone()).unwrap_or_default();
        tracing::warn!(worker = name, "missing for {} s", since.as_secs());
        if let Err(error) = self.engine.announce_missing_worker(name, since, notify).await {
            tracing::error!(worker = name, "could not announce that the worker is missing: {error}");
        }
    }

    /// Whether `fits` accepts the password of a worker of this name. The error is for the log, not for the stranger.
    pub fn recognise(&self, name: &str, fits: impl Fn(&str) -> bool) -> Result<(), String> {
        let members = self.members();
        let known = members.get(name);
        let instance = known.filter(|member| member.latent);
        let instance = instance.and_then(|_| self.engine.password_of_instance(name));
        let password = instance.as_deref().or_else(|| known?.password.as_deref());
        // Unknown names take as long as known ones.
        let fits = fits(password.unwrap_or_default());
        match known {
            None => {
                Err(format!("no worker named {:?} is configured", name.chars().take(60).collect::<String>()))
            }
            Some(_) if password.is_none() => {
                Err(format!("worker {name} is latent, and no instance of it is being started"))
            }
            Some(_) if !fits => Err(format!("wrong password for worker {name}")),
            Some(_) => Ok(()),
        }
    }

    pub async fn stop(&self) {
        self.stopping.cancel();
        self.tasks.close();
        self.seats.keep_only(|_| false);
        tokio::select! {
            () = self.tasks.wait() => {}
            () = self.clock.sleep(STOP) => tracing::warn!("some workers' connections did not end in time"),
        }
    }

    /// The life of a connection, to its end.
    pub async fn live(self: Arc<Self>, arrival: Arrival) {
        match arrival {
            Arrival::Worker(newcomer) => self.live_with(newcomer).await,
            Arrival::Client { client, transport, source } => {
                tokio::select! {
                    _ = changes::serve(*client, transport, source) => {}
                    () = self.stopping.cancelled() => {}
                    () = self.clock.sleep(CLIENT) => {}
                }
            }
            Arrival::Try { client, transport, user } => {
                let desk = TryDesk {
                    schedulers: self.engine.schedulers().clone(),
                    data: self.engine.data().clone(),
                    clock: self.clock.clone(),
                    stopping: self.stopping.clone(),
                };
                let farewell = async {
                    self.stopping.cancelled().await;
                    self.clock.sleep(FAREWELL).await;
                };
                tokio::select! {
                    () = tries::serve(*client, transport, desk, user) => {}
                    () = farewell => {}
                }
            }
        }
    }

    async fn live_with(self: Arc<Self>, newcomer: Newcomer) {
        let Newcomer { name, protocol, transport } = newcomer;
        let (session, ended) = Session::start(protocol, transport, self.clock.clone());
        let seat = tokio::select! {
            seat = self.seats.take(&name, &session) => seat,
            () = session.closed() => return,
            () = self.stopping.cancelled() => return session.close(),
        };
        let attached = match &seat {
            Ok(_) => self.attach(&name, &session).await,
            Err(why) => Err(why.clone()),
        };
        let link = match attached {
            Ok(link) => link,
            Err(why) => {
                tracing::warn!(worker = name, "refused: {why}");
                self.refuse(&session).await;
                return;
            }
        };
        self.absences.end(&name);
        tracing::info!(worker = name, version = link.info().version, "worker attached");
        self.keep(&name, &session).await;
        self.engine.worker_detached(&name, &link).await;
        let Ended { orphans, why } = ended.await.unwrap_or_default();
        tracing::info!(worker = name, "worker detached: {why}");
        self.remember(&name, orphans);
        // Whoever waits for the seat finds the engine told.
        drop(seat);
        self.absences.begin(&self, &name);
    }

    /// 08.004. The error says why it may not be attached.
    async fn attach(&self, name: &str, session: &Arc<Session>) -> Result<Arc<dyn WorkerLink>, String> {
        let info = self.describe(name, session).await.map_err(|error| error.to_string())?;
        self.end_orphans(name, session).await.map_err(|error| error.to_string())?;
        let link: Arc<dyn WorkerLink> = Arc::new(RemoteLink::new(session.clone(), info, self.clock.clone()));
        self.engine.worker_attached(name, link.clone()).await.map_err(|error| error.to_string())?;
        if session.order(Order::Welcome).await.is_err() {
            self.engine.worker_detached(name, &link).await;
            return Err(LinkError::Lost.to_string());
        }
        Ok(link)
    }

    /// Ends what still runs from an earlier connection, before anything new is started.
    async fn end_orphans(&self, name: &str, session: &Session) -> Result<(), LinkError> {
        let orphans = self.orphans().remove(name).unwrap_or_default();
        for (at, command) in orphans.iter().enumerate() {
            let (command, why) = (command.clone(), "the connection it ran under was lost".into());
            let asked = session.ask_within(Call::Interrupt { builder: None, command, why }, DESCRIBE).await;
            if asked == Err(LinkError::Lost) {
                self.remember(name, orphans[at..].to_vec());
                return Err(LinkError::Lost);
            }
        }
        Ok(())
    }

    /// A worker that cannot describe itself may still be used, as far as that goes.
    async fn describe(&self, name: &str, session: &Session) -> Result<WorkerInfo, LinkError> {
        session.tell(Call::Print("attached".into())).await?;
        let info = match session.ask_within(Call::Info, DESCRIBE).await {
            Ok(Answer::Info(info)) => *info,
            Ok(Answer::Done) => WorkerInfo::default(),
            Err(LinkError::Refused(why)) => {
                tracing::warn!(worker = name, "the worker cannot describe itself: {why}");
                WorkerInfo::default()
            }
            Err(LinkError::Lost) => {
                tracing::warn!(
                    worker = name,
                    "the worker did not describe itself; its environment or its info/ files may hold bytes that are not UTF-8"
                );
                return Err(LinkError::Lost);
            }
        };
        session.ask_within(Call::Settings, DESCRIBE).await?;
        Ok(info)
    }

    async fn refuse(&self, session: &Session) {
        if session.order(Order::Refuse).await.is_ok() {
            tokio::select! {
                () = session.closed() => {}
                () = self.clock.sleep(LINGER) => {}
                () = self.stopping.cancelled() => {}
            }
        }
        session.close();
    }

    /// Asks now and then whether the worker is there (08.011), and passes its wish to stop on (08.009), until the
    /// connection ends.
    async fn keep(&self, name: &str, session: &Session) {
        loop {
            let interval = self.members().get(name).map_or(super::HOUR, |member| member.keepalive);
            tokio::select! {
                () = session.closed() => return,
                () = session.wants_to_stop.notified() => {
                    tracing::info!(worker = name, "the worker asks to be stopped when it is idle");
                    self.engine.worker_wants_to_stop(name).await;
                }
                () = self.clock.sleep(interval) => {
                    // No answer in time ends the connection.
                    let _ = session.ask_within(Call::Keepalive, interval.clamp(ALIVE_SHORTEST, ALIVE_LONGEST)).await;
                }
            }
        }
    }

    fn remember(&self, name: &str, mut commands: Vec<String>) {
        commands.truncate(ORPHANS);
        if !commands.is_empty() {
            self.orphans().insert(name.into(), commands);
        }
    }

    fn members(&self) -> std::sync::MutexGuard<'_, HashMap<String, Member>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn orphans(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<String>>> {
        self.orphans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a client whose builds have ended may take to learn it, when the master stops.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long the answer to a keepalive may take: as long as the interval, within reason.
const ALIVE_SHORTEST: Duration = Duration::from_secs(10);
const ALIVE_LONGEST: Duration = Duration::from_secs(300);
