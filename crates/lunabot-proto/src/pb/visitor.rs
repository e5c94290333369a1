//! The other side of a [`Door`](super::Door): whoever connects to a master, until its login is answered (08.016).

use super::broker::{Broker, Object, Spoken};
use super::door::response;
use super::{Failure, Jelly};
use crate::master::ProtocolError;
use bytes::Bytes;

/// See the module.
pub struct Visitor {
    broker: Broker,
    name: String,
    password: String,
    mind: Option<i64>,
    stage: Stage,
}

enum Stage {
    /// Nothing is agreed on yet.
    Arriving,
    /// The number of the call `login`.
    Asked(i64),
    /// The number of the call `respond`.
    Proved(i64),
    Over,
}

/// What a visitor hears.
#[derive(Debug, Clone, PartialEq)]
pub enum Greeting {
    /// It is in: the master's object that it may call from now on.
    Entered { avatar: i64 },
    /// It is not let in.
    Refused(Failure),
    /// Something else was said: a master calls workers before it answers their logins.
    Said(Spoken),
}

impl Visitor {
    /// Someone named `name` who has just connected. A worker has an object that the master calls (`with_mind`), command
    /// line clients have none.
    pub fn new(name: &str, password: &str, with_mind: bool) -> Self {
        let mut broker = Broker::client();
        let mind = with_mind.then(|| broker.export());
        Visitor { broker, name: name.into(), password: password.into(), mind, stage: Stage::Arriving }
    }

    /// The number of its own object, where it has one.
    pub fn mind(&self) -> Option<i64> {
        self.mind
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        self.broker.feed(bytes);
    }

    /// Goes on until there is something to be told or more bytes are needed.
    pub fn hear(&mut self) -> Result<Option<Greeting>, ProtocolError> {
        while let Some(spoken) = self.broker.hear()? {
            match (spoken, &self.stage) {
                (Spoken::Answer { request, value }, Stage::Asked(asked)) if request == *asked => {
                    self.prove(&value)?;
                }
                (Spoken::Answer { request, value }, Stage::Proved(proved)) if request == *proved => {
                    return self.enter(&value).map(Some);
                }
                (Spoken::Failed { request, failure }, Stage::Asked(open) | Stage::Proved(open))
                    if request == *open =>
                {
                    self.stage = Stage::Over;
                    return Ok(Some(Greeting::Refused(failure)));
                }
                (spoken, _) => return Ok(Some(Greeting::Said(spoken))),
            }
        }
        if matches!(self.stage, Stage::Arriving) && self.broker.has_agreed() {
            self.knock()?;
        }
        Ok(None)
    }

    pub fn output(&mut self) -> Vec<Bytes> {
        self.broker.output()
    }

    /// What speaks on from here.
    pub fn into_broker(mut self) -> Broker {
        self.broker.trust();
        self.broker
    }

    fn knock(&mut self) -> Result<(), ProtocolError> {
        let name = Jelly::Bytes(Bytes::copy_from_slice(self.name.as_bytes()));
        let asked = self.broker.call_on(Object::Root, "login", vec![name], no_kwargs());
        self.stage = Stage::Asked(asked.map_err(|error| ProtocolError(error.to_string()))?);
        Ok(())
    }

    /// A master that is being talked to may be trusted with long messages from here on.
    fn prove(&mut self, answer: &Jelly) -> Result<(), ProtocolError> {
        let Some([Jelly::Bytes(challenge), Jelly::Remote(challenger)]) = answer.items() else {
            return Err(ProtocolError("the answer to the login holds no challenge".into()));
        };
        let proof = Bytes::copy_from_slice(&response(&self.password, challenge));
        let mind = self.mind.map_or(Jelly::None, Jelly::Remote);
        let proved = self.broker.call(*challenger, "respond", vec![Jelly::Bytes(proof), mind], no_kwargs());
        self.broker.drop_reference(*challenger);
        self.stage = Stage::Proved(proved.map_err(|error| ProtocolError(error.to_string()))?);
        self.broker.trust();
        Ok(())
    }

    fn enter(&mut self, answer: &Jelly) -> Result<Greeting, ProtocolError> {
        let Jelly::Remote(avatar) = answer else {
            return Err(ProtocolError("the answer to the login holds no object to be called".into()));
        };
        self.stage = Stage::Over;
        Ok(Greeting::Entered { avatar: *avatar })
    }
}

fn no_kwargs() -> Jelly {
    Jelly::Dict(Vec::new())
}
