//! Jelly: the values inside calls and answers. Only plain values, references and copied failures; classes, functions and
//! other things that a peer could have made run here are refused.

use super::banana::Sexp;
use crate::{Dict, Value};
use bytes::Bytes;
use std::collections::HashMap;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Jelly {
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Bytes(Bytes),
    Text(String),
    List(Vec<Jelly>),
    Tuple(Vec<Jelly>),
    Dict(Vec<(Jelly, Jelly)>),
    /// An object of the sender.
    Remote(i64),
    /// An object of the receiver, handed back.
    Local(i64),
    /// A copied object: class and state. Only failures are meant to occur.
    Copied(String, Box<Jelly>),
}

/// A value of a kind that is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JellyError {
    #[error("a value of the kind {0:?} is not taken")]
    Kind(String),
    #[error("a malformed value of the kind {0:?}")]
    Shape(String),
    #[error("a value beyond all measure: {MAX_NODES} parts, {MAX_PAIRS} in a dictionary")]
    Repetition,
}

/// Nodes that one value may have after its repetitions are written out.
const MAX_NODES: usize = 1_000_000;
/// Pairs of one dictionary; dictionaries here are looked up by walking.
const MAX_PAIRS: usize = 16_384;

impl Jelly {
    /// The text or bytes as text, bad bytes replaced.
    pub fn text(&self) -> Option<String> {
        match self {
            Jelly::Text(text) => Some(text.clone()),
            Jelly::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            _ => None,
        }
    }

    pub fn items(&self) -> Option<&[Jelly]> {
        match self {
            Jelly::List(items) | Jelly::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// The value under a key of text or bytes.
    pub fn get(&self, key: &str) -> Option<&Jelly> {
        let Jelly::Dict(pairs) = self else { return None };
        pairs.iter().find(|(name, _)| name.is(key)).map(|(_, value)| value)
    }

    fn is(&self, word: &str) -> bool {
        match self {
            Jelly::Text(text) => text == word,
            Jelly::Bytes(bytes) => bytes == word.as_bytes(),
            _ => false,
        }
    }

    /// Reads a value.
    pub fn read(tree: &Sexp) -> Result<Jelly, JellyError> {
        Reader { shared: HashMap::new(), nodes: 0 }.value(tree)
    }

    /// The tree of the value.
    pub fn write(&self) -> Sexp {
        let tagged = |tag: &str, rest: Vec<Sexp>| {
            let mut items = Vec::with_capacity(rest.len() + 1);
            items.push(Sexp::word(tag));
            items.extend(rest);
            Sexp::List(items)
        };
        match self {
            Jelly::None => tagged("None", Vec::new()),
            Jelly::Bool(truth) => tagged("boolean", vec![Sexp::word(if *truth { "true" } else { "false" })]),
            Jelly::Int(number) => Sexp::Int(*number),
            Jelly::Float(number) => Sexp::Float(*number),
            Jelly::Bytes(bytes) => Sexp::Bytes(bytes.clone()),
            Jelly::Text(text) => tagged("unicode", vec![Sexp::word(text)]),
            Jelly::List(items) => tagged("list", items.iter().map(Jelly::write).collect()),
            Jelly::Tuple(items) => tagged("tuple", items.iter().map(Jelly::write).collect()),
            Jelly::Dict(pairs) => {
                let pair = |(key, value): &(Jelly, Jelly)| Sexp::List(vec![key.write(), value.write()]);
                tagged("dictionary", pairs.iter().map(pair).collect())
            }
            Jelly::Remote(id) => tagged("remote", vec![Sexp::Int((*id).into())]),
            Jelly::Local(id) => tagged("local", vec![Sexp::Int((*id).into())]),
            Jelly::Copied(class, state) => tagged(class, vec![state.write()]),
        }
    }

    /// The plain value, where it is one; a reference in it is none.
    pub fn plain(self) -> Value {
        match self {
            Jelly::None | Jelly::Remote(_) | Jelly::Local(_) | Jelly::Copied(..) => Value::None,
            Jelly::Bool(truth) => Value::Bool(truth),
            Jelly::Int(number) => Value::Int(number),
            Jelly::Float(number) => Value::Float(number),
            Jelly::Bytes(bytes) => Value::Bytes(bytes),
            Jelly::Text(text) => Value::Str(text),
            Jelly::List(items) => Value::List(items.into_iter().map(Jelly::plain).collect()),
            Jelly::Tuple(items) => Value::Tuple(items.into_iter().map(Jelly::plain).collect()),
            Jelly::Dict(pairs) => Value::Dict(plain_dict(pairs)),
        }
    }
}

/// Keys that are no text are left out.
fn plain_dict(pairs: Vec<(Jelly, Jelly)>) -> Dict {
    pairs.into_iter().filter_map(|(key, value)| Some((key.text()?, value.plain()))).collect()
}

impl From<&Value> for Jelly {
    fn from(value: &Value) -> Self {
        match value {
            Value::None => Jelly::None,
            Value::Bool(truth) => Jelly::Bool(*truth),
            Value::Int(number) => Jelly::Int(*number),
            Value::Float(number) => Jelly::Float(*number),
            Value::Str(text) => Jelly::Text(text.clone()),
            Value::Bytes(bytes) => Jelly::Bytes(bytes.clone()),
            Value::List(items) => Jelly::List(items.iter().map(Jelly::from).collect()),
            Value::Tuple(items) => Jelly::Tuple(items.iter().map(Jelly::from).collect()),
            Value::Dict(dict) => dict_of(dict),
        }
    }
}

fn dict_of(dict: &Dict) -> Jelly {
    Jelly::Dict(dict.iter().map(|(key, value)| (Jelly::Text(key.into()), value.into())).collect())
}

impl From<&str> for Jelly {
    fn from(text: &str) -> Self {
        Jelly::Text(text.into())
    }
}

struct Reader {
    /// Values used several times, with the number of their nodes; `None` while one is being read.
    shared: HashMap<i64, Option<(Jelly, usize)>>,
    nodes: usize,
}

impl Reader {
    fn value(&mut self, tree: &Sexp) -> Result<Jelly, JellyError> {
        self.count(1)?;
        match tree {
            Sexp::Int(number) => Ok(Jelly::Int(*number)),
            Sexp::Float(number) => Ok(Jelly::Float(*number)),
            Sexp::Bytes(bytes) => Ok(Jelly::Bytes(bytes.clone())),
            Sexp::List(items) => {
                let Some((Sexp::Bytes(tag), rest)) = items.split_first() else {
                    return Err(JellyError::Shape(String::new()));
                };
                let tag = String::from_utf8_lossy(tag).into_owned();
                self.tagged(&tag, rest)?.ok_or(JellyError::Shape(tag))
            }
        }
    }

    fn count(&mut self, nodes: usize) -> Result<(), JellyError> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES { Err(JellyError::Repetition) } else { Ok(()) }
    }

    /// `None`: the parts do not fit the tag.
    fn tagged(&mut self, tag: &str, rest: &[Sexp]) -> Result<Option<Jelly>, JellyError> {
        Ok(match (tag, rest) {
            ("None", []) => Some(Jelly::None),
            ("boolean", [Sexp::Bytes(word)]) => Some(Jelly::Bool(word == "true".as_bytes())),
            ("unicode", [Sexp::Bytes(text)]) => Some(Jelly::Text(String::from_utf8_lossy(text).into_owned())),
            ("list" | "set" | "frozenset", items) => Some(Jelly::List(self.values(items)?)),
            ("tuple", items) => Some(Jelly::Tuple(self.values(items)?)),
            ("dictionary", pairs) => self.pairs(pairs)?.map(Jelly::Dict),
            ("remote", [id]) => id.as_int().map(Jelly::Remote),
            ("local", [id]) => id.as_int().map(Jelly::Local),
            ("reference", [id, value]) => match id.as_int() {
                Some(id) => Some(self.reference(id, value)?),
                None => None,
            },
            ("dereference", [id]) => match id.as_int() {
                Some(id) => self.dereference(id)?,
                None => None,
            },
            // Nobody asks for these; they are taken so that a message with one is not lost.
            ("decimal" | "datetime" | "date" | "time" | "timedelta", parts) => {
                Some(Jelly::Tuple(self.values(parts)?))
            }
            ("instance" | "class" | "module" | "function" | "method" | "persistent" | "unpersistable", _) => {
                return Err(JellyError::Kind(tag.into()));
            }
            (class, [state]) if class.contains('.') => {
                Some(Jelly::Copied(class.into(), Box::new(self.value(state)?)))
            }
            _ => None,
        })
    }

    fn values(&mut self, items: &[Sexp]) -> Result<Vec<Jelly>, JellyError> {
        items.iter().map(|item| self.value(item)).collect()
    }

    fn pairs(&mut self, items: &[Sexp]) -> Result<Option<Vec<(Jelly, Jelly)>>, JellyError> {
        if items.len() > MAX_PAIRS {
            return Err(JellyError::Repetition);
        }
        let mut pairs = Vec::with_capacity(items.len());
        for item in items {
            let Some([key, value]) = item.as_list() else { return Ok(None) };
            pairs.push((self.value(key)?, self.value(value)?));
        }
        Ok(Some(pairs))
    }

    fn reference(&mut self, id: i64, tree: &Sexp) -> Result<Jelly, JellyError> {
        self.shared.insert(id, None);
        let before = self.nodes;
        let value = self.value(tree)?;
        self.shared.insert(id, Some((value.clone(), self.nodes - before)));
        Ok(value)
    }

    /// A value inside itself, which nothing here has, is none.
    fn dereference(&mut self, id: i64) -> Result<Option<Jelly>, JellyError> {
        match self.shared.get(&id) {
            None => Ok(None),
            Some(None) => Ok(Some(Jelly::None)),
            Some(Some((value, nodes))) => {
                let (value, nodes) = (value.clone(), *nodes);
                self.count(nodes)?;
                Ok(Some(value))
            }
        }
    }
}
