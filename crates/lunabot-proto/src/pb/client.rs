//! The master's end of a command line client's PB connection, from the login on: `sendchange` (reference row 02.009).

use super::broker::{Broker, Object, Spoken};
use super::tries::textual;
use super::{Failure, Jelly};
use crate::Dict;
use crate::Value;
use crate::master::ProtocolError;
use bytes::Bytes;

/// See the module.
pub struct PbClient {
    broker: Broker,
    avatar: i64,
}

/// A change that a client reports; to be answered when it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Reported {
    pub request: Option<i64>,
    /// As sent, bytes as text.
    pub change: Dict,
}

impl PbClient {
    /// Lets the client in.
    pub(super) fn new(mut broker: Broker, login: i64) -> Self {
        let avatar = broker.export();
        broker.answer(login, &Jelly::Remote(avatar));
        PbClient { broker, avatar }
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        self.broker.feed(bytes);
    }

    /// Goes on until a change is reported or more bytes are needed.
    pub fn reported(&mut self) -> Result<Option<Reported>, ProtocolError> {
        while let Some(spoken) = self.broker.hear()? {
            let Spoken::Call { request, object, method, args, .. } = spoken else { continue };
            let mut args = args.into_iter();
            match (method.as_str(), args.next()) {
                ("addChange", Some(Jelly::Dict(pairs))) if object == Object::Id(self.avatar) => {
                    let Value::Dict(change) = textual(Jelly::Dict(pairs).plain()) else { continue };
                    return Ok(Some(Reported { request, change }));
                }
                _ => {
                    if let Some(request) = request {
                        self.broker.fail(request, &Failure::no_such(&method));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Tells the client what became of its change.
    pub fn answer(&mut self, request: Option<i64>, result: Result<(), String>) {
        match (request, result) {
            (Some(request), Ok(())) => self.broker.answer(request, &Jelly::None),
            (Some(request), Err(why)) => self.broker.fail(request, &Failure::error(&why)),
            (None, _) => {}
        }
    }

    pub fn output(&mut self) -> Vec<Bytes> {
        self.broker.output()
    }
}
