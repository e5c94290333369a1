//! Workers that connect over a network (reference 8a–8c): listening, logins, one live connection per name.
//!
//! A connection's life: a stranger at a port ([`listen`]), known by its password ([`login`]), given the seat of its name
//! ([`seats`]), attached to the engine ([`hub`]), and in the end detached. The bytes are made by `lunabot-proto`.

mod changes;
mod clients;
mod folders;
mod hub;
mod link;
mod listen;
mod load;
mod login;
mod missing;
mod password;
mod running;
mod seats;
mod session;
mod transport;
mod tries;

use crate::Generation;
use crate::engine::Engine;
use crate::plan::worker_params;
use crate::worker::latent::{ABSTRACT, LatentParams};
use crate::worker::{REMOTE, RemoteWorkerParams};
use changes::PB_CHANGE_SOURCE as CHANGE_SOURCE;
use clients::{Clients, Gate};
use hub::{Hub, Member};
use listen::{Bound, Port};
use lunabot_model::config::protocols::{MSGPACK, PB};
use lunabot_model::{Clock, Endpoint};
use lunabot_net::tls::ServerConfig;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use changes::PB_CHANGES;
pub use clients::{change_source_names, client_errors};
pub(crate) use password::password as rendered_password;

/// See [`PB_CHANGES`].
pub(crate) const PB_CHANGE_SOURCE: lunabot_model::Kind = CHANGE_SOURCE;

/// 08.001, 08.011.
const HOUR: Duration = Duration::from_secs(3600);

/// Why a configuration's workers cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    #[error(
        "{option}: {place} is already in use: another program, or another master, listens there; stop it or choose another port"
    )]
    InUse { option: String, place: Endpoint },
    #[error("{option}: cannot listen at {place}: {error}")]
    Bind { option: String, place: String, error: std::io::Error },
    #[error("{option}: {why}")]
    Tls { option: String, why: String },
    #[error("{0}")]
    Worker(String),
}

impl RemoteError {
    /// The option of the configuration that it is about, and what is wrong with it; no option where the text names a place.
    pub fn told(&self) -> (&str, String) {
        let text = self.to_string();
        match self {
            RemoteError::InUse { option, .. }
            | RemoteError::Bind { option, .. }
            | RemoteError::Tls { option, .. } => (
                option,
                text.strip_prefix(&format!("{option}: ")).map_or_else(|| text.clone(), str::to_owned),
            ),
            RemoteError::Worker(_) => ("", text),
        }
    }
}

/// What a configuration wants of [`RemoteWorkers`], with every port taken: nothing else can fail.
pub struct Prepared {
    members: HashMap<String, Member>,
    /// Workers that do not connect.
    others: HashSet<String>,
    clients: Clients,
    ports: Vec<(Gate, Option<Bound>)>,
    /// Certificates of ports that stay.
    certificates: Vec<(Gate, Arc<ServerConfig>)>,
}

/// The door for workers of one master.
pub struct RemoteWorkers {
    hub: Arc<Hub>,
    home: PathBuf,
    ports: Mutex<BTreeMap<Gate, Port>>,
}

impl RemoteWorkers {
    /// Nobody may come in before the first [`RemoteWorkers::take_up`].
    /// `home`: where relative paths of certificates start.
    pub fn new(engine: Engine, clock: Arc<dyn Clock>, home: &Path) -> Self {
        RemoteWorkers { hub: Hub::new(engine, clock), home: home.into(), ports: Mutex::default() }
    }

    /// Renders passwords and takes the ports that are new. Until [`RemoteWorkers::take_up`] nothing changes.
    pub async fn prepare(&self, generation: &Generation) -> Result<Prepared, RemoteError> {
        let mut members = HashMap::new();
        for object in generation.config.workers.iter().filter(|object| object.kind == REMOTE) {
            let params: RemoteWorkerParams =
                worker_params(object).map_err(|error| RemoteError::Worker(error.0))?;
            let name = params.name.clone();
            let member = member(generation, params).await;
            let fault =
                |text| RemoteError::Worker(format!("{}: {}: password: {text}", object.at, object.kind));
            members.insert(name, member.map_err(fault)?);
        }
        for object in generation.config.workers.iter().filter(|object| object.kind == ABSTRACT) {
            let params: LatentParams = worker_params(object).map_err(|error| RemoteError::Worker(error.0))?;
            let name = params.name.clone();
            let member = latent_member(generation, params).await;
            let fault =
                |text| RemoteError::Worker(format!("{}: {}: password: {text}", object.at, object.kind));
            members.insert(name, member.map_err(fault)?);
        }
        let intake = self.hub.intake(generation);
        let (clients, own) = clients::clients(generation, &intake).await.map_err(RemoteError::Worker)?;
        let names = generation.config.workers.iter().filter_map(|object| object.arg("name")?.as_str());
        let others = names.filter(|name| !members.contains_key(*name)).map(str::to_owned).collect();
        let mut prepared = Prepared { members, others, clients, ports: Vec::new(), certificates: Vec::new() };
        for protocol in [PB, MSGPACK] {
            self.prepare_port(
                Gate::Workers(protocol),
                generation.config.worker_endpoint(protocol),
                &mut prepared,
            )
            .await?;
        }
        for gate in self.clients_gates().into_iter().filter(|gate| own.iter().all(|(kept, _)| kept != gate)) {
            prepared.ports.push((gate, None));
        }
        for (gate, endpoint) in own {
            self.prepare_port(gate, Some(endpoint), &mut prepared).await?;
        }
        Ok(prepared)
    }

    async fn prepare_port(
        &self,
        gate: Gate,
        wanted: Option<Endpoint>,
        prepared: &mut Prepared,
    ) -> Result<(), RemoteError> {
        if wanted != self.present(&gate) {
            let bound = match wanted {
                Some(place) => Some(Bound::bind(gate.clone(), place, &self.home).await?),
                None => None,
            };
            prepared.ports.push((gate, bound));
        } else if let Some(place) = wanted {
            let certificates = listen::certificates(&gate, &place, &self.home).await?;
            prepared.certificates.extend(certificates.map(|config| (gate, config)));
        }
        Ok(())
    }

    /// Goes over to what was prepared. After [`Engine::apply`]: the engine must know the workers. Connections of workers
    /// that stay are not touched, whatever became of their ports and passwords.
    pub async fn take_up(&self, prepared: Prepared) {
        self.hub.set_members(prepared.members, &prepared.others).await;
        self.hub.set_clients(prepared.clients);
        for (gate, config) in prepared.certificates {
            if let Some(tls) = self.lock().get(&gate).and_then(|port| port.tls.as_ref()) {
                tls.set(config);
            }
        }
        for (gate, bound) in prepared.ports {
            // The old port, if there is one, is left by dropping it.
            self.lock().remove(&gate);
            if let Some(bound) = bound {
                match &gate {
                    Gate::Workers(protocol) => {
                        tracing::info!("workers connect with {protocol} at {}", bound.place());
                    }
                    Gate::Clients(_) => tracing::info!("clients connect with pb at {}", bound.place()),
                }
                self.lock().insert(gate, bound.serve(self.hub.clone()));
            }
        }
    }

    /// Leaves the ports and ends every connection.
    pub async fn stop(&self) {
        self.lock().clear();
        self.hub.stop().await;
    }

    /// Where it listens now, and the options that say so.
    pub fn held(&self) -> Vec<(String, Endpoint)> {
        self.lock().iter().map(|(gate, port)| (gate.option(), port.taken.clone())).collect()
    }

    fn present(&self, gate: &Gate) -> Option<Endpoint> {
        self.lock().get(gate).map(|port| port.endpoint.clone())
    }

    fn clients_gates(&self) -> Vec<Gate> {
        self.lock().keys().filter(|gate| matches!(gate, Gate::Clients(_))).cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Gate, Port>> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn member(generation: &Generation, params: RemoteWorkerParams) -> Result<Member, String> {
    let concerns = format!("worker {}", params.name);
    let password = password::password(generation, &concerns, &params.password).await?;
    Ok(Member {
        password: Some(password),
        latent: false,
        keepalive: params.keepalive_interval.map_or(HOUR, lunabot_model::Duration::std),
        missing_after: params.missing_timeout.map_or(HOUR, lunabot_model::Duration::std),
        notify: params.notify_on_missing.map(|names| names.0).unwrap_or_default(),
    })
}

/// Whoever waits for its instance notices that it is missing.
async fn latent_member(generation: &Generation, params: LatentParams) -> Result<Member, String> {
    let concerns = format!("worker {}", params.name);
    let password = match &params.password {
        Some(option) => Some(password::password(generation, &concerns, option).await?),
        None => None,
    };
    Ok(Member {
        password,
        latent: true,
        keepalive: params.keepalive_interval.map_or(HOUR, lunabot_model::Duration::std),
        missing_after: Duration::ZERO,
        notify: Vec::new(),
    })
}
