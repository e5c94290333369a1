//! A PB connection until the login: a challenge, and its answer (reference row 08.016).

use super::broker::{Broker, Object, Spoken};
use super::{Failure, Jelly, PbClient, PbMaster, PbTry};
use crate::master::ProtocolError;
use crate::same;
use bytes::Bytes;
use md5::{Digest, Md5};

/// Someone wants to come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Knock {
    /// Who it says it is.
    pub name: String,
    /// To be checked against that one's password.
    pub proof: Proof,
    /// To be answered: [`Door::refuse`], or what the door becomes.
    pub request: i64,
    /// The peer's own object: workers have one, command line clients have none.
    pub mind: Option<i64>,
}

/// An answer to a challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    challenge: [u8; 16],
    response: Vec<u8>,
}

impl Proof {
    pub fn new(challenge: [u8; 16], response: impl Into<Vec<u8>>) -> Self {
        Proof { challenge, response: response.into() }
    }

    /// Whether it was made with this password.
    pub fn fits(&self, password: &str) -> bool {
        same(&response(password, &self.challenge), &self.response)
    }
}

/// What answers a challenge: MD5(MD5(password) + challenge).
pub(super) fn response(password: &str, challenge: &[u8]) -> [u8; 16] {
    let mut digest = Md5::new();
    digest.update(Md5::digest(password.as_bytes()));
    digest.update(challenge);
    digest.finalize().into()
}

/// See the module.
pub struct Door {
    broker: Broker,
    challenge: [u8; 16],
    /// Who was challenged, and the object that takes the response.
    challenged: Option<(String, i64)>,
}

impl Door {
    /// `challenge`: random, never used before.
    pub fn new(challenge: [u8; 16]) -> Self {
        Door { broker: Broker::new(), challenge, challenged: None }
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        self.broker.feed(bytes);
    }

    /// Goes on until somebody knocks or more bytes are needed.
    pub fn knock(&mut self) -> Result<Option<Knock>, ProtocolError> {
        while let Some(spoken) = self.broker.hear()? {
            // Nothing was asked yet that could be answered.
            let Spoken::Call { request: Some(request), object, method, args, .. } = spoken else { continue };
            match (object, method.as_str(), args.as_slice()) {
                (Object::Root, "login", [name]) if self.challenged.is_none() => self.login(request, name),
                (Object::Id(id), "respond", [response, mind]) => {
                    if let Some(knock) = self.respond(request, id, response, mind) {
                        return Ok(Some(knock));
                    }
                }
                (Object::Root, "login" | "loginAnonymous", _) => self.refuse(request),
                (_, method, _) => self.broker.fail(request, &Failure::no_such(method)),
            }
        }
        Ok(None)
    }

    /// Answers a knock so that a worker tries again later: the only answer that does not end it.
    pub fn refuse(&mut self, request: i64) {
        self.broker.fail(request, &Failure::unauthorized());
    }

    pub fn output(&mut self) -> Vec<Bytes> {
        self.broker.output()
    }

    /// Becomes the connection of a worker. The login is answered when it is attached.
    pub fn worker(mut self, knock: &Knock, mind: i64) -> PbMaster {
        self.broker.trust();
        PbMaster::new(self.broker, knock.request, mind)
    }

    /// Becomes the connection of a command line client, and lets it in.
    pub fn client(mut self, knock: &Knock) -> PbClient {
        self.broker.trust();
        PbClient::new(self.broker, knock.request)
    }

    /// Becomes the connection of `buildbot try`, and lets it in.
    pub fn tries(mut self, knock: &Knock) -> PbTry {
        self.broker.trust();
        PbTry::new(self.broker, knock.request)
    }

    /// Unknown names are challenged like all others.
    fn login(&mut self, request: i64, name: &Jelly) {
        let Some(name) = name.text() else {
            self.refuse(request);
            return;
        };
        let challenger = self.broker.export();
        self.challenged = Some((name, challenger));
        let challenge = Jelly::Bytes(Bytes::copy_from_slice(&self.challenge));
        self.broker.answer(request, &Jelly::Tuple(vec![challenge, Jelly::Remote(challenger)]));
    }

    /// A challenge is answered once.
    fn respond(&mut self, request: i64, object: i64, response: &Jelly, mind: &Jelly) -> Option<Knock> {
        let taken = self.challenged.take_if(|(_, challenger)| *challenger == object);
        let (Some((name, _)), Jelly::Bytes(response)) = (taken, response) else {
            self.refuse(request);
            return None;
        };
        let mind = match mind {
            Jelly::Remote(id) => Some(*id),
            _ => None,
        };
        let proof = Proof::new(self.challenge, response.to_vec());
        // No second challenge with the same bytes.
        self.challenged = Some((String::new(), -1));
        Some(Knock { name, proof, request, mind })
    }
}
