//! Banana: trees of integers, doubles, byte strings and lists, as bytes.

use super::vocabulary;
use bytes::{Buf, Bytes, BytesMut};

/// The longest byte string, and the most items of a list, on any connection of this kind.
pub const MAX_SIZE: usize = 640 * 1024;
/// Digits of a number in front of a type byte.
const MAX_PREFIX: usize = 64;
/// Lists inside each other.
const MAX_DEPTH: usize = 64;

/// A tree.
#[derive(Debug, Clone, PartialEq)]
pub enum Sexp {
    /// Within 128 bits. Longer numbers, which nobody has use for, end the connection.
    Int(i128),
    Float(f64),
    Bytes(Bytes),
    List(Vec<Sexp>),
}

impl Sexp {
    /// A byte string.
    pub fn word(word: &str) -> Self {
        Sexp::Bytes(Bytes::copy_from_slice(word.as_bytes()))
    }

    pub fn as_list(&self) -> Option<&[Sexp]> {
        match self {
            Sexp::List(items) => Some(items),
            _ => None,
        }
    }

    pub fn as_bytes(&self) -> Option<&Bytes> {
        match self {
            Sexp::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub fn as_int(&self) -> Option<i64> {
        match self {
            Sexp::Int(number) => i64::try_from(*number).ok(),
            _ => None,
        }
    }
}

/// Something that no peer would take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a {what} of {size} cannot be sent: the protocol's limit is {MAX_SIZE}")]
pub struct TooLarge {
    what: &'static str,
    size: usize,
}

/// Writes a tree; `words`: whether the dialect `pb` was agreed on, whose words have numbers.
pub fn encode(tree: &Sexp, words: bool, out: &mut Vec<u8>) -> Result<(), TooLarge> {
    match tree {
        Sexp::Int(number) => encode_int(*number, out),
        Sexp::Float(number) => {
            out.push(FLOAT);
            out.extend(number.to_be_bytes());
        }
        Sexp::Bytes(bytes) => match vocabulary::number(bytes).filter(|_| words) {
            Some(number) => out.extend([number, VOCAB]),
            None => {
                check("text or block", bytes.len())?;
                digits(bytes.len() as u128, out);
                out.push(STRING);
                out.extend(&bytes[..]);
            }
        },
        Sexp::List(items) => {
            check("list", items.len())?;
            digits(items.len() as u128, out);
            out.push(LIST);
            for item in items {
                encode(item, words, out)?;
            }
        }
    }
    Ok(())
}

const LIST: u8 = 0x80;
const INT: u8 = 0x81;
const STRING: u8 = 0x82;
const NEG: u8 = 0x83;
const FLOAT: u8 = 0x84;
const LONGINT: u8 = 0x85;
const LONGNEG: u8 = 0x86;
const VOCAB: u8 = 0x87;

fn check(what: &'static str, size: usize) -> Result<(), TooLarge> {
    if size > MAX_SIZE { Err(TooLarge { what, size }) } else { Ok(()) }
}

fn encode_int(number: i128, out: &mut Vec<u8>) {
    const SHORT: u128 = 1 << 31;
    let size = number.unsigned_abs();
    digits(size, out);
    out.push(match number < 0 {
        false if size < SHORT => INT,
        false => LONGINT,
        true if size <= SHORT => NEG,
        true => LONGNEG,
    });
}

/// Base 128, least significant digit first.
fn digits(mut number: u128, out: &mut Vec<u8>) {
    loop {
        out.push((number & 0x7f) as u8);
        number >>= 7;
        if number == 0 {
            return;
        }
    }
}

/// Bytes that are not Banana, or more than is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BananaError {
    #[error("a number of more than {MAX_PREFIX} digits or 127 bits")]
    Prefix,
    #[error("a text, block or list beyond {MAX_SIZE}")]
    Size,
    #[error("the byte {0:#04x} begins nothing")]
    Type(u8),
    #[error("no word has the number {0}")]
    Word(u128),
    #[error("a message beyond what is taken at once")]
    Message,
}

/// Reads trees from bytes that come in any pieces; nothing is looked at twice.
pub struct Decoder {
    buffer: BytesMut,
    /// Digits in front of the next type byte, as read so far.
    prefix: u128,
    prefix_length: usize,
    /// A string whose bytes are still coming.
    string: Option<usize>,
    /// Lists that are not full: what they hold, and how many items are to come.
    open: Vec<(Vec<Sexp>, usize)>,
    /// What the present message costs so far, in bytes of memory.
    cost: usize,
    /// What a message may cost.
    limit: usize,
}

/// What a tree's node costs beside its bytes.
const NODE: usize = std::mem::size_of::<Sexp>();

impl Decoder {
    /// `limit`: memory that one message may take, in bytes.
    pub fn new(limit: usize) -> Self {
        Decoder {
            buffer: BytesMut::new(),
            prefix: 0,
            prefix_length: 0,
            string: None,
            open: Vec::new(),
            cost: 0,
            limit,
        }
    }

    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole tree, if it is there.
    pub fn tree(&mut self) -> Result<Option<Sexp>, BananaError> {
        while let Some(item) = self.element()? {
            let Some(tree) = self.place(item) else { continue };
            self.cost = 0;
            return Ok(Some(tree));
        }
        Ok(None)
    }

    fn pay(&mut self, bytes: usize) -> Result<(), BananaError> {
        self.cost = self.cost.saturating_add(bytes);
        if self.cost > self.limit { Err(BananaError::Message) } else { Ok(()) }
    }

    /// Puts an item where it belongs; a tree if that completes the outermost list.
    fn place(&mut self, mut item: Sexp) -> Option<Sexp> {
        while let Some((mut items, left)) = self.open.pop() {
            items.push(item);
            if left > 1 {
                self.open.push((items, left - 1));
                return None;
            }
            item = Sexp::List(items);
        }
        Some(item)
    }

    /// The next item that is no list with items to come; such a list is opened.
    fn element(&mut self) -> Result<Option<Sexp>, BananaError> {
        loop {
            if let Some(length) = self.string {
                if self.buffer.len() < length {
                    return Ok(None);
                }
                self.string = None;
                return Ok(Some(Sexp::Bytes(self.buffer.split_to(length).freeze())));
            }
            let Some(kind) = self.kind()? else { return Ok(None) };
            if kind == FLOAT && self.buffer.len() < 9 {
                return Ok(None);
            }
            self.buffer.advance(1);
            let number = std::mem::take(&mut self.prefix);
            self.prefix_length = 0;
            self.pay(NODE)?;
            if let Some(item) = self.begin(kind, number)? {
                return Ok(Some(item));
            }
        }
    }

    /// The type byte, after its digits are read; it stays in the buffer.
    fn kind(&mut self) -> Result<Option<u8>, BananaError> {
        while let Some(&byte) = self.buffer.first() {
            if byte >= 0x80 {
                return Ok(Some(byte));
            }
            self.buffer.advance(1);
            let shift = self.prefix_length * 7;
            self.prefix_length += 1;
            if self.prefix_length > MAX_PREFIX || (byte != 0 && shift > 120) {
                return Err(BananaError::Prefix);
            }
            if byte != 0 {
                self.prefix |= u128::from(byte) << shift;
            }
        }
        Ok(None)
    }

    fn begin(&mut self, kind: u8, number: u128) -> Result<Option<Sexp>, BananaError> {
        let integer = || i128::try_from(number).map_err(|_| BananaError::Prefix);
        Ok(match kind {
            INT | LONGINT => Some(Sexp::Int(integer()?)),
            NEG | LONGNEG => Some(Sexp::Int(-integer()?)),
            FLOAT => Some(Sexp::Float(self.buffer.get_f64())),
            VOCAB => Some(Sexp::word(vocabulary::word(number).ok_or(BananaError::Word(number))?)),
            STRING => {
                let length = size(number)?;
                self.pay(length)?;
                self.string = Some(length);
                None
            }
            LIST => {
                let length = size(number)?;
                // What its items will cost at least.
                if self.open.len() >= MAX_DEPTH || self.cost.saturating_add(length) > self.limit {
                    return Err(BananaError::Message);
                }
                if length == 0 {
                    return Ok(Some(Sexp::List(Vec::new())));
                }
                self.open.push((Vec::new(), length));
                None
            }
            other => return Err(BananaError::Type(other)),
        })
    }
}

fn size(number: u128) -> Result<usize, BananaError> {
    usize::try_from(number).ok().filter(|size| *size <= MAX_SIZE).ok_or(BananaError::Size)
}
