//! Workers that connect over a network (reference 8a–8c): listening, logins, one live connection per name.
//!
//! A connection's life: a stranger at a port ([`listen`]), known by its password ([`login`]), given the seat of its name
//! ([`seats`]), attached to the engine ([`hub`]), and in the end detached. The bytes are made by `lunabot-proto`.

mod changes;
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
mod tls;
mod transport;

use crate::Generation;
use crate::engine::Engine;
use crate::plan::worker_params;
use crate::worker::{REMOTE, RemoteWorkerParams};
use changes::{PB_CHANGE_SOURCE as CHANGE_SOURCE, PbChangesParams, Source};
use hub::{Hub, Member};
use listen::{Bound, Port};
use lunabot_model::Clock;
use lunabot_model::config::protocols::{MSGPACK, PB};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_rustls::rustls::ServerConfig;

pub use changes::PB_CHANGES;

/// See [`PB_CHANGES`].
pub(crate) const PB_CHANGE_SOURCE: lunabot_model::Kind = CHANGE_SOURCE;

/// 08.001, 08.011.
const HOUR: Duration = Duration::from_secs(3600);

/// Why a configuration's workers cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    #[error(
        "protocols.{protocol}.port: {place} is already in use: another program, or another master, listens there; stop it or choose another port"
    )]
    InUse { protocol: &'static str, place: String },
    #[error("protocols.{protocol}.port: cannot listen at {place}: {error}")]
    Bind { protocol: &'static str, place: String, error: std::io::Error },
    #[error("protocols.{protocol}.port: {why}")]
    Tls { protocol: &'static str, why: String },
    #[error("{0}")]
    Worker(String),
}

/// What a configuration wants of [`RemoteWorkers`], with every port taken: nothing else can fail.
pub struct Prepared {
    members: HashMap<String, Member>,
    sources: HashMap<String, Source>,
    ports: Vec<(&'static str, Option<Bound>)>,
    /// Certificates of ports that stay.
    certificates: Vec<(&'static str, Arc<ServerConfig>)>,
}

/// The door for workers of one master.
pub struct RemoteWorkers {
    hub: Arc<Hub>,
    home: PathBuf,
    ports: Mutex<BTreeMap<&'static str, Port>>,
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
        let mut prepared = Prepared {
            members,
            sources: self.sources(generation).await?,
            ports: Vec::new(),
            certificates: Vec::new(),
        };
        for protocol in [PB, MSGPACK] {
            let wanted = generation.config.worker_endpoint(protocol);
            if wanted.as_ref() != self.present(protocol).as_ref() {
                let bound = match wanted {
                    Some(place) => Some(Bound::bind(protocol, place, &self.home).await?),
                    None => None,
                };
                prepared.ports.push((protocol, bound));
            } else if let Some(place) = wanted {
                let certificates = listen::certificates(protocol, &place, &self.home).await?;
                prepared.certificates.extend(certificates.map(|config| (protocol, config)));
            }
        }
        Ok(prepared)
    }

    /// Goes over to what was prepared. After [`Engine::apply`]: the engine must know the workers. Connections of workers
    /// that stay are not touched, whatever became of their ports and passwords.
    pub async fn take_up(&self, prepared: Prepared) {
        self.hub.set_members(prepared.members).await;
        self.hub.set_sources(prepared.sources);
        for (protocol, config) in prepared.certificates {
            if let Some(tls) = self.lock().get(protocol).and_then(|port| port.tls.as_ref()) {
                tls.set(config);
            }
        }
        for (protocol, bound) in prepared.ports {
            // The old port, if there is one, is left by dropping it.
            self.lock().remove(protocol);
            if let Some(bound) = bound {
                tracing::info!("workers connect with {protocol} at {}", bound.place());
                self.lock().insert(protocol, bound.serve(self.hub.clone()));
            }
        }
    }

    /// Leaves the ports and ends every connection.
    pub async fn stop(&self) {
        self.lock().clear();
        self.hub.stop().await;
    }

    /// Who may report changes (02.009).
    async fn sources(&self, generation: &Generation) -> Result<HashMap<String, Source>, RemoteError> {
        let mut sources = HashMap::new();
        let config = &generation.config;
        for object in config.change_sources.iter().filter(|object| object.kind == PB_CHANGES) {
            let fault = |text: String| RemoteError::Worker(format!("{}: {}: {text}", object.at, object.kind));
            if config.worker_endpoint(PB).is_none() {
                return Err(fault(
                    "changes come in at the port of c.protocols.pb, which is not there".into(),
                ));
            }
            let params: PbChangesParams =
                worker_params(object).map_err(|error| RemoteError::Worker(error.0))?;
            let concerns = format!("change source {}", params.name.as_deref().unwrap_or("PBChangeSource"));
            let password = password::password(generation, &concerns, &params.passwd).await;
            let source = Source {
                password: password.map_err(|text| fault(format!("passwd: {text}")))?,
                prefix: params.prefix,
                intake: Arc::new(self.hub.intake(generation)),
                concerns,
            };
            if sources.insert(params.user.clone(), source).is_some() {
                return Err(fault(format!("the user {} has a PBChangeSource already", params.user)));
            }
        }
        Ok(sources)
    }

    fn present(&self, protocol: &str) -> Option<lunabot_model::Endpoint> {
        self.lock().get(protocol).map(|port| port.endpoint.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, Port>> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn member(generation: &Generation, params: RemoteWorkerParams) -> Result<Member, String> {
    let concerns = format!("worker {}", params.name);
    let password = password::password(generation, &concerns, &params.password).await?;
    Ok(Member {
        password,
        keepalive: params.keepalive_interval.map_or(HOUR, lunabot_model::Duration::std),
        missing_after: params.missing_timeout.map_or(HOUR, lunabot_model::Duration::std),
        notify: params.notify_on_missing.map(|names| names.0).unwrap_or_default(),
    })
}
