//! The broker: dialect and version, calls in both directions and their answers.

use super::banana::{self, Decoder, Sexp, TooLarge};
use super::{Failure, Jelly};
use crate::master::ProtocolError;
use bytes::Bytes;

/// The only version there is.
const VERSION: i64 = 6;
/// Memory that one message may take before the login, in bytes.
const STRANGER: usize = 64 * 1024;
/// And after it: the largest string with room to spare.
const FRIEND: usize = 16 * 1024 * 1024;

/// The receiver's object that a call is made on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// Where logins begin.
    Root,
    Id(i64),
}

/// Something the peer said.
#[derive(Debug, Clone, PartialEq)]
pub enum Spoken {
    /// `request`: to be answered exactly once; `None`: no answer is wanted.
    Call {
        request: Option<i64>,
        object: Object,
        method: String,
        args: Vec<Jelly>,
        kwargs: Jelly,
    },
    Answer {
        request: i64,
        value: Jelly,
    },
    Failed {
        request: i64,
        failure: Failure,
    },
}

/// One connection's broker, on either side.
pub struct Broker {
    decoder: Decoder,
    stage: Stage,
    next_request: i64,
    next_object: i64,
    output: Vec<u8>,
}

#[derive(PartialEq, Eq)]
enum Stage {
    /// The server waits for the client's choice.
    Dialect,
    /// The client waits for what the server offers.
    Offer,
    Version,
    Talk,
}

impl Broker {
    /// The server's side of a fresh connection: it speaks first.
    pub fn new() -> Self {
        let mut broker = Self::at(Stage::Dialect);
        let dialects = Sexp::List(vec![Sexp::word("pb"), Sexp::word("none")]);
        broker.put(&dialects, false);
        broker
    }

    /// The client's side of a fresh connection: it waits for the server's first word.
    pub fn client() -> Self {
        Self::at(Stage::Offer)
    }

    fn at(stage: Stage) -> Self {
        Broker { decoder: Decoder::new(STRANGER), stage, next_request: 1, next_object: 1, output: Vec::new() }
    }

    /// From now on the peer is known and may send more.
    pub fn trust(&mut self) {
        self.decoder.set_limit(FRIEND);
    }

    /// Whether the dialect is settled, so that calls may be made.
    pub fn has_agreed(&self) -> bool {
        matches!(self.stage, Stage::Version | Stage::Talk)
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        self.decoder.feed(bytes);
    }

    /// The next thing said, if it is whole.
    pub fn hear(&mut self) -> Result<Option<Spoken>, ProtocolError> {
        while let Some(tree) = self.decoder.tree().map_err(|error| ProtocolError(error.to_string()))? {
            if let Some(spoken) = self.take(&tree)? {
                return Ok(Some(spoken));
            }
        }
        Ok(None)
    }

    /// A number for an object of ours; never used again on this connection.
    pub fn export(&mut self) -> i64 {
        let id = self.next_object;
        self.next_object += 1;
        id
    }

    /// Calls an object of the peer; the number of the request.
    pub fn call(
        &mut self,
        object: i64,
        method: &str,
        args: Vec<Jelly>,
        kwargs: Jelly,
    ) -> Result<i64, TooLarge> {
        self.call_on(Object::Id(object), method, args, kwargs)
    }

    /// [`Broker::call`], also on the object where logins begin.
    pub fn call_on(
        &mut self,
        object: Object,
        method: &str,
        args: Vec<Jelly>,
        kwargs: Jelly,
    ) -> Result<i64, TooLarge> {
        let request = self.next_request;
        let object = match object {
            Object::Root => Sexp::word("root"),
            Object::Id(id) => Sexp::Int(id.into()),
        };
        let message = [
            Sexp::word("message"),
            Sexp::Int(request.into()),
            object,
            Sexp::word(method),
            Sexp::Int(1),
            Jelly::Tuple(args).write(),
            kwargs.write(),
        ];
        self.send(message.into())?;
        self.next_request += 1;
        Ok(request)
    }

    /// Answers a call.
    pub fn answer(&mut self, request: i64, value: &Jelly) {
        let message = vec![Sexp::word("answer"), Sexp::Int(request.into()), value.write()];
        if let Err(error) = self.send(message) {
            self.fail(request, &Failure::error(&error.to_string()));
        }
    }

    /// Answers a call with a failure.
    pub fn fail(&mut self, request: i64, failure: &Failure) {
        let short = Failure { message: failure.message.chars().take(1000).collect(), ..failure.clone() };
        let message = vec![Sexp::word("error"), Sexp::Int(request.into()), short.write().write()];
        // Short enough by now.
        let _ = self.send(message);
    }

    /// Lets go of one copy of a reference to an object of the peer.
    pub fn drop_reference(&mut self, object: i64) {
        // Two short items.
        let _ = self.send(vec![Sexp::word("decref"), Sexp::Int(object.into())]);
    }

    /// What is to be sent.
    pub fn output(&mut self) -> Vec<Bytes> {
        let output = std::mem::take(&mut self.output);
        if output.is_empty() { Vec::new() } else { vec![output.into()] }
    }

    fn send(&mut self, message: Vec<Sexp>) -> Result<(), TooLarge> {
        let before = self.output.len();
        let result = banana::encode(&Sexp::List(message), true, &mut self.output);
        if result.is_err() {
            // Half a message would ruin the stream.
            self.output.truncate(before);
        }
        result
    }

    fn put(&mut self, tree: &Sexp, words: bool) {
        // Only fixed, short trees come here.
        let _ = banana::encode(tree, words, &mut self.output);
    }

    fn take(&mut self, tree: &Sexp) -> Result<Option<Spoken>, ProtocolError> {
        match self.stage {
            Stage::Dialect => self.dialect(tree).map(|()| None),
            Stage::Offer => self.choose(tree).map(|()| None),
            Stage::Version => self.version(tree).map(|()| None),
            Stage::Talk => self.message(tree),
        }
    }

    fn dialect(&mut self, tree: &Sexp) -> Result<(), ProtocolError> {
        if tree != &Sexp::word("pb") {
            return Err(ProtocolError("the peer does not choose the dialect pb".into()));
        }
        self.agree();
        Ok(())
    }

    fn choose(&mut self, tree: &Sexp) -> Result<(), ProtocolError> {
        let offered = tree.as_list().unwrap_or_default();
        if !offered.contains(&Sexp::word("pb")) {
            return Err(ProtocolError("the server does not offer the dialect pb; is it a PB port?".into()));
        }
        self.put(&Sexp::word("pb"), false);
        self.agree();
        Ok(())
    }

    fn agree(&mut self) {
        self.stage = Stage::Version;
        self.put(&Sexp::List(vec![Sexp::word("version"), Sexp::Int(VERSION.into())]), true);
    }

    fn version(&mut self, tree: &Sexp) -> Result<(), ProtocolError> {
        if tree != &Sexp::List(vec![Sexp::word("version"), Sexp::Int(VERSION.into())]) {
            return Err(ProtocolError(format!("the peer does not speak version {VERSION} of PB")));
        }
        self.stage = Stage::Talk;
        Ok(())
    }

    fn message(&mut self, tree: &Sexp) -> Result<Option<Spoken>, ProtocolError> {
        let bad = || ProtocolError("a message that is none of PB".into());
        let items = tree.as_list().ok_or_else(bad)?;
        let (kind, rest) = items.split_first().ok_or_else(bad)?;
        let kind = kind.as_bytes().ok_or_else(bad)?;
        match (&kind[..], rest) {
            (b"message", [request, object, method, wanted, args, kwargs]) => {
                let request = request.as_int().ok_or_else(bad)?;
                let request = (wanted.as_int() != Some(0)).then_some(request);
                let object = match object {
                    Sexp::Bytes(name) if name == "root".as_bytes() => Object::Root,
                    other => Object::Id(other.as_int().ok_or_else(bad)?),
                };
                let method = String::from_utf8_lossy(method.as_bytes().ok_or_else(bad)?).into_owned();
                Ok(self.called(request, object, method, args, kwargs))
            }
            (b"answer", [request, value]) => {
                let request = request.as_int().ok_or_else(bad)?;
                Ok(Some(match Jelly::read(value) {
                    Ok(value) => Spoken::Answer { request, value },
                    Err(error) => Spoken::Failed { request, failure: Failure::error(&error.to_string()) },
                }))
            }
            (b"error", [request, failure]) => {
                let request = request.as_int().ok_or_else(bad)?;
                let failure = Jelly::read(failure);
                let failure =
                    failure.map_or_else(|error| Failure::error(&error.to_string()), |f| Failure::read(&f));
                Ok(Some(Spoken::Failed { request, failure }))
            }
            // Our objects live as long as what they stand for, however many copies the peer holds. The others belong to
            // things that nobody here has.
            (b"decref" | b"didNotUnderstand" | b"cachemessage" | b"decache" | b"uncache" | b"version", _) => {
                Ok(None)
            }
            _ => Err(bad()),
        }
    }

    /// A call; one whose arguments cannot be read is answered here.
    fn called(
        &mut self,
        request: Option<i64>,
        object: Object,
        method: String,
        args: &Sexp,
        kwargs: &Sexp,
    ) -> Option<Spoken> {
        match (Jelly::read(args), Jelly::read(kwargs)) {
            (Ok(Jelly::Tuple(args) | Jelly::List(args)), Ok(kwargs)) => {
                Some(Spoken::Call { request, object, method, args, kwargs })
            }
            (Err(error), _) | (_, Err(error)) => self.not_called(request, &error.to_string()),
            _ => self.not_called(request, "the arguments are no tuple"),
        }
    }

    fn not_called(&mut self, request: Option<i64>, why: &str) -> Option<Spoken> {
        if let Some(request) = request {
            self.fail(request, &Failure::error(why));
        }
        None
    }
}

impl Default for Broker {
    fn default() -> Self {
        Self::new()
    }
}
