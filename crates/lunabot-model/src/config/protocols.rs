//! `c.protocols`: where workers connect (01.026), and its cross checks (01.008).

use super::read::{error, error_at};
use super::{Config, ConfigError};
use crate::{Endpoint, Json, kind};

/// Perspective Broker, what workers speak by default.
pub const PB: &str = "pb";
/// msgpack over WebSocket.
pub const MSGPACK: &str = "msgpack_experimental_v7";
/// The protocol of local workers, which needs no settings.
const LOCAL: &str = "null";

/// Kinds of workers that connect over a network.
const CONNECTING: &[&str] = &["worker.Worker", "worker.AbstractLatentWorker"];

const KNOWN: &[&str] = &[PB, MSGPACK, LOCAL];

impl Config {
    /// Where workers of a protocol connect, if it is on.
    pub fn worker_endpoint(&self, protocol: &str) -> Option<Endpoint> {
        Endpoint::read(self.protocols.get(protocol)?.get("port")?).ok()
    }
}

pub(super) fn check(config: &Config, errors: &mut Vec<ConfigError>) {
    let before = errors.len();
    let pages = config.www.port.as_ref().and_then(|port| Endpoint::read(port).ok());
    let mut taken: Vec<(Endpoint, String)> = pages.map(|place| (place, "www".into())).into_iter().collect();
    let mut ports = 0;
    for (name, options) in &config.protocols {
        let Some(endpoint) = check_one(name, options, errors) else { continue };
        if let Some((_, other)) = taken.iter().find(|(place, _)| place.collides_with(&endpoint)) {
            let text = format!("{endpoint} is the port of `{other}` already; each needs its own");
            errors.push(error(format!("protocols.{name}.port"), text));
        }
        taken.push((endpoint, format!("protocols.{name}")));
        ports += 1;
    }
    let remote = config.workers.iter().find(|worker| CONNECTING.contains(&worker.kind.as_str()));
    if let (Some(worker), true, true) = (remote, ports == 0, errors.len() == before) {
        let text = "workers are configured, but c.protocols has no port for them; \
                    the usual one is c.protocols = { pb = { port = 9989 } }";
        errors.push(error_at(&worker.at, worker.kind.clone(), text));
    }
}

fn check_one(name: &str, options: &Json, errors: &mut Vec<ConfigError>) -> Option<Endpoint> {
    let path = format!("protocols.{name}");
    if !KNOWN.contains(&name) {
        let near = kind::nearest(name, KNOWN.iter().copied());
        let hint = near
            .map_or_else(|| format!("; there are {}", KNOWN.join(", ")), |n| format!(", did you mean {n}?"));
        errors.push(error(path, format!("unknown protocol{hint}")));
        return None;
    }
    let Some(options) = options.as_object() else {
        errors.push(error(path, "expected a table, such as { port = 9989 }"));
        return None;
    };
    let known: &[&str] = if name == LOCAL { &[] } else { &["port"] };
    for key in options.keys().filter(|key| !known.contains(&key.as_str())) {
        let hint = kind::nearest(key, known.iter().copied()).map(|n| format!(", did you mean {n}?"));
        errors.push(error(format!("{path}.{key}"), format!("unknown option{}", hint.unwrap_or_default())));
    }
    if name == LOCAL {
        return None;
    }
    let Some(port) = options.get("port").filter(|port| !port.is_null()) else {
        errors.push(error(path, "port is missing: where workers connect, such as port = 9989"));
        return None;
    };
    match Endpoint::read(port) {
        Ok(endpoint) => Some(endpoint),
        Err(wrong) => {
            errors.push(error(format!("{path}.port"), wrong.to_string()));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AnyObject;
    use serde_json::json;

    fn problems(protocols: Json, kind: &str) -> Vec<String> {
        let worker = AnyObject {
            kind: kind.into(),
            at: "master.lua:3".into(),
            args: json!({"name": "w1"}),
            id: 1,
            class: None,
        };
        let protocols = protocols.as_object().unwrap().clone().into_iter().collect();
        let config = Config { protocols, workers: vec![worker], ..Config::default() };
        let mut errors = Vec::new();
        check(&config, &mut errors);
        errors.into_iter().map(|error| format!("{}: {}", error.path, error.message)).collect()
    }

    #[test]
    fn row_01_026_ports_are_read_and_mistakes_told() {
        let remote = "worker.Worker";
        for (protocols, wanted) in [
            (json!({"pb": {"port": 9989}, "msgpack_experimental_v7": {"port": "9990"}, "null": {}}), None),
            (json!({"pb": {"port": 0}, "msgpack_experimental_v7": {"port": 0}}), None),
            (
                json!({"msgpack_experimental_v6": {"port": 9989}}),
                Some("protocols.msgpack_experimental_v6: unknown protocol, did you mean msgpack"),
            ),
            (json!({"pb": {"prt": 9989}}), Some("protocols.pb.prt: unknown option, did you mean port?")),
            (json!({"pb": 9989}), Some("protocols.pb: expected a table")),
            (json!({"pb": {}}), Some("protocols.pb: port is missing")),
            (json!({"pb": {"port": "nowhere"}}), Some("protocols.pb.port: \"nowhere\" is not a place")),
        ] {
            let found = problems(protocols.clone(), remote);
            let first = found.first().map(String::as_str);
            assert!(
                first.unwrap_or_default().starts_with(wanted.unwrap_or_default()),
                "{protocols}: {found:?}"
            );
            assert_eq!(first.is_none(), wanted.is_none(), "{protocols}: {found:?}");
        }
    }

    #[test]
    fn row_01_008_workers_need_a_port_and_each_protocol_its_own() {
        assert!(problems(json!({}), "worker.LocalWorker").is_empty());
        assert!(problems(json!({}), "worker.Worker")[0].contains("workers are configured, but c.protocols"));
        assert!(problems(json!({}), "worker.AbstractLatentWorker")[0].contains("workers are configured"));
        assert!(problems(json!({"null": {}}), "worker.Worker")[0].contains("workers are configured"));
        let twice = json!({"pb": {"port": 9989}, "msgpack_experimental_v7": {"port": "tcp:9989:interface=127.0.0.1"}});
        assert!(problems(twice, "worker.Worker")[0].contains("each needs its own"));
    }
}
