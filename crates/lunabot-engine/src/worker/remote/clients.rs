//! Command line clients: who may come in to report changes (02.009) or to try patches (03.023), and at which port.

use super::changes::{self, PB_CHANGES, PbChangesParams, Source};
use super::password::password;
use super::tries::TryUser;
use crate::Generation;
use crate::plan::worker_params;
use crate::scheduler::TryUserpassParams;
use lunabot_data::intake::{ChangeFunctions, Intake};
use lunabot_model::config::protocols::PB;
use lunabot_model::config::{Config, ConfigError};
use lunabot_model::{AnyObject, Endpoint, Json};
use std::collections::HashMap;
use std::sync::Arc;

/// The kind of schedulers that clients log in for.
const TRY_USERPASS: &str = "schedulers.Try_Userpass";

/// A port, as clients and workers find it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Gate {
    /// The one of `c.protocols`; over PB clients may come in too.
    Workers(&'static str),
    /// One of a change source or scheduler of its own, for clients alone.
    Clients(String),
}

impl Gate {
    /// The option that names it, for errors.
    pub fn option(&self) -> String {
        match self {
            Gate::Workers(protocol) => format!("protocols.{protocol}.port"),
            Gate::Clients(_) => "the option port of a PBChangeSource or Try_Userpass".into(),
        }
    }
}

/// A client that is known.
#[derive(Clone)]
pub(super) enum Client {
    Changes(Source),
    Try(TryUser),
}

impl Client {
    pub fn password(&self) -> &str {
        match self {
            Client::Changes(source) => &source.password,
            Client::Try(user) => &user.password,
        }
    }

    /// Whom it belongs to, in words.
    pub fn concerns(&self) -> &str {
        match self {
            Client::Changes(source) => &source.concerns,
            Client::Try(user) => &user.concerns,
        }
    }
}

/// Clients by port and user.
pub(super) type Clients = HashMap<(Gate, String), Client>;

/// A user of the configuration.
struct Declared {
    user: String,
    password: Json,
    /// The option that holds it.
    option: &'static str,
    port: Option<Endpoint>,
    object: AnyObject,
    what: What,
}

enum What {
    Changes(Box<PbChangesParams>),
    Try { scheduler: String },
}

impl Declared {
    /// `None`: it is to come in at the port of `c.protocols.pb`, which is not there.
    fn gate(&self, config: &Config) -> Option<Gate> {
        let shared = config.worker_endpoint(PB);
        match &self.port {
            None => shared.map(|_| Gate::Workers(PB)),
            Some(port) if shared.as_ref() == Some(port) => Some(Gate::Workers(PB)),
            Some(port) => Some(Gate::Clients(port.to_string())),
        }
    }

    fn error(&self, option: &str, message: impl Into<String>) -> ConfigError {
        let (file, line) = self.object.at.rsplit_once(':').unwrap_or((&self.object.at, ""));
        let path = format!("{}: {option}", self.object.kind);
        ConfigError { file: file.into(), line: line.parse().ok(), path, message: message.into() }
    }

    fn concerns(&self) -> String {
        match &self.what {
            What::Changes(params) => {
                format!("change source {}", params.name.as_deref().unwrap_or("PBChangeSource"))
            }
            What::Try { scheduler } => format!("scheduler {scheduler}"),
        }
    }
}

/// What cannot be read is left out: its kind has said what is wrong with it.
fn declared(config: &Config) -> Vec<Declared> {
    let mut all = Vec::new();
    for object in config.change_sources.iter().filter(|object| object.kind == PB_CHANGES) {
        let Ok(params) = worker_params::<PbChangesParams>(object) else { continue };
        all.push(Declared {
            user: params.user.clone(),
            password: params.passwd.clone(),
            option: "passwd",
            port: own_port(params.port.as_ref()),
            object: object.clone(),
            what: What::Changes(Box::new(params)),
        });
    }
    for object in config.schedulers.iter().filter(|object| object.kind == TRY_USERPASS) {
        let Ok(params) = worker_params::<TryUserpassParams>(object) else { continue };
        for (user, password) in params.users().unwrap_or_default() {
            all.push(Declared {
                user,
                password,
                option: "userpass",
                port: own_port(params.port.as_ref()),
                object: object.clone(),
                what: What::Try { scheduler: params.name.clone() },
            });
        }
    }
    all
}

fn own_port(port: Option<&Json>) -> Option<Endpoint> {
    Endpoint::read(port?).ok()
}

/// What is wrong with the users of change sources and schedulers: a port that is not there, a place that is taken, a name
/// that somebody else has.
pub fn client_errors(config: &Config) -> Vec<ConfigError> {
    let connects = |kind: &str| kind == super::REMOTE || kind == super::ABSTRACT;
    let workers = config.workers.iter().filter(|object| connects(&object.kind));
    let names = workers.filter_map(|object| Some((object.arg("name")?.as_str()?.to_owned(), &object.at)));
    let mut taken: HashMap<(Gate, String), String> =
        names.map(|(name, at)| ((Gate::Workers(PB), name), format!("the worker at {at}"))).collect();
    let mut errors = Vec::new();
    let mut rows: HashMap<String, String> = HashMap::new();
    for user in declared(config) {
        if let What::Changes(params) = &user.what
            && let Some(at) = rows.insert(changes::name(params), user.object.at.clone())
        {
            let text = format!(
                "is that of the change source at {at} too, {:?}; give one a name",
                changes::name(params)
            );
            errors.push(user.error("name", text));
        }
        let Some(gate) = user.gate(config) else {
            let text = "is missing, and so is c.protocols.pb, whose port clients could share; give one";
            errors.push(user.error("port", text));
            continue;
        };
        errors.extend(place_taken(config, &user, &gate));
        let place = match &user.what {
            What::Changes(_) => format!("the PBChangeSource at {}", user.object.at),
            What::Try { scheduler } => format!("the scheduler {scheduler} at {}", user.object.at),
        };
        let name = user.user.clone();
        if let Some(other) = taken.get(&(gate.clone(), name.clone())) {
            let text = format!(
                "the name {name:?} is that of {other} at the same port; take another name, or another port"
            );
            errors.push(user.error(if user.option == "passwd" { "user" } else { "userpass" }, text));
        } else {
            taken.insert((gate, name), place);
        }
    }
    errors
}

/// A port of its own that overlaps with one of `c.protocols`.
fn place_taken(config: &Config, user: &Declared, gate: &Gate) -> Option<ConfigError> {
    let (Gate::Clients(_), Some(own)) = (gate, &user.port) else { return None };
    let taken = config.protocols.keys().find(|protocol| {
        config.worker_endpoint(protocol).is_some_and(|endpoint| endpoint.collides_with(own))
    })?;
    let remedy = if taken == PB { "write it the same way to share it" } else { "choose another" };
    Some(user.error("port", format!("{own} is the port of `protocols.{taken}` already; {remedy}")))
}

/// The clients of a generation with their passwords, and the ports of their own that they need. The error says which
/// password cannot be had.
pub(super) async fn clients(
    generation: &Generation,
    intake: &Intake,
) -> Result<(Clients, Vec<(Gate, Endpoint)>), String> {
    let config = &generation.config;
    let (mut clients, mut gates) = (Clients::new(), Vec::<(Gate, Endpoint)>::new());
    for declared in declared(config) {
        let Some(gate) = declared.gate(config) else { continue };
        let concerns = declared.concerns();
        let known = password(generation, &concerns, &declared.password).await;
        let known = known.map_err(|text| declared.error(declared.option, text).to_string())?;
        if let (Gate::Clients(_), Some(endpoint)) = (&gate, declared.port)
            && gates.iter().all(|(other, _)| *other != gate)
        {
            gates.push((gate.clone(), endpoint));
        }
        let client = match declared.what {
            What::Changes(params) => Client::Changes(Source {
                password: known,
                prefix: params.prefix,
                intake: Arc::new(intake.clone()),
                functions: ChangeFunctions { category: None, change_fn: params.change_fn },
                concerns,
            }),
            What::Try { scheduler } => {
                let user = declared.user.clone();
                Client::Try(TryUser { user, password: known, scheduler, concerns })
            }
        };
        clients.insert((gate, declared.user), client);
    }
    Ok((clients, gates))
}

/// The rows of `changesources` that sources at PB ports have.
pub fn change_source_names(config: &Config) -> Vec<String> {
    let sources = config.change_sources.iter().filter(|object| object.kind == PB_CHANGES);
    sources
        .filter_map(|object| worker_params::<PbChangesParams>(object).ok())
        .map(|p| changes::name(&p))
        .collect()
}
