//! msgpack ↔ [`Value`], within limits: what a peer sends costs memory in proportion to its length, and no recursion
//! without end.

use crate::{Dict, Value};
use bytes::Bytes;

/// Values in one message.
const MAX_ITEMS: usize = 1_000_000;
/// Pairs in one map; maps here are looked up by walking.
const MAX_PAIRS: usize = 16_384;
/// Lists and maps inside each other.
const MAX_DEPTH: usize = 32;

/// Bytes that are no message of this protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    #[error("the message ends too early")]
    Short,
    #[error("bytes are left over behind the message")]
    Trailing,
    #[error("a message of more than {MAX_ITEMS} values, {MAX_PAIRS} keys in a map or {MAX_DEPTH} levels")]
    Large,
    #[error("the byte {0:#04x} stands for no value of this protocol")]
    Marker(u8),
    #[error("a key that is no text")]
    Key,
}

/// Reads one value that fills `bytes`. Text that is not UTF-8 gets replacement characters.
pub fn decode(bytes: &Bytes) -> Result<Value, CodecError> {
    let mut decoder = Decoder { bytes, at: 0, items: 0 };
    let value = decoder.value(0)?;
    if decoder.at == bytes.len() { Ok(value) } else { Err(CodecError::Trailing) }
}

struct Decoder<'a> {
    bytes: &'a Bytes,
    at: usize,
    items: usize,
}

impl Decoder<'_> {
    fn value(&mut self, depth: usize) -> Result<Value, CodecError> {
        self.items += 1;
        if self.items > MAX_ITEMS || depth > MAX_DEPTH {
            return Err(CodecError::Large);
        }
        let [marker] = self.array()?;
        Ok(match marker {
            0x00..=0x7f => Value::Int(marker.into()),
            0x80..=0x8f => self.map(usize::from(marker & 0x0f), depth)?,
            0x90..=0x9f => self.list(usize::from(marker & 0x0f), depth)?,
            0xa0..=0xbf => self.text(usize::from(marker & 0x1f))?,
            0xc0 => Value::None,
            0xc2 => Value::Bool(false),
            0xc3 => Value::Bool(true),
            0xc4..=0xc6 => {
                let length = self.length(marker - 0xc4)?;
                Value::Bytes(self.take(length)?)
            }
            0xca => Value::Float(f32::from_be_bytes(self.array()?).into()),
            0xcb => Value::Float(f64::from_be_bytes(self.array()?)),
            0xcc => Value::Int(u8::from_be_bytes(self.array()?).into()),
            0xcd => Value::Int(u16::from_be_bytes(self.array()?).into()),
            0xce => Value::Int(u32::from_be_bytes(self.array()?).into()),
            0xcf => Value::Int(u64::from_be_bytes(self.array()?).into()),
            0xd0 => Value::Int(i8::from_be_bytes(self.array()?).into()),
            0xd1 => Value::Int(i16::from_be_bytes(self.array()?).into()),
            0xd2 => Value::Int(i32::from_be_bytes(self.array()?).into()),
            0xd3 => Value::Int(i64::from_be_bytes(self.array()?).into()),
            0xd9..=0xdb => {
                let length = self.length(marker - 0xd9)?;
                self.text(length)?
            }
            0xdc | 0xdd => {
                let length = self.length(marker - 0xdc + 1)?;
                self.list(length, depth)?
            }
            0xde | 0xdf => {
                let length = self.length(marker - 0xde + 1)?;
                self.map(length, depth)?
            }
            0xe0..=0xff => Value::Int(marker.cast_signed().into()),
            0xc1 | 0xc7..=0xc9 | 0xd4..=0xd8 => return Err(CodecError::Marker(marker)),
        })
    }

    /// A length of 1, 2 or 4 bytes.
    fn length(&mut self, exponent: u8) -> Result<usize, CodecError> {
        Ok(match exponent {
            0 => u8::from_be_bytes(self.array()?).into(),
            1 => u16::from_be_bytes(self.array()?).into(),
            _ => u32::from_be_bytes(self.array()?) as usize,
        })
    }

    fn take(&mut self, length: usize) -> Result<Bytes, CodecError> {
        let end =
            self.at.checked_add(length).filter(|end| *end <= self.bytes.len()).ok_or(CodecError::Short)?;
        let taken = self.bytes.slice(self.at..end);
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let array = *rest.first_chunk().ok_or(CodecError::Short)?;
        self.at += N;
        Ok(array)
    }

    fn text(&mut self, length: usize) -> Result<Value, CodecError> {
        let bytes = self.take(length)?;
        Ok(Value::Str(String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn list(&mut self, length: usize, depth: usize) -> Result<Value, CodecError> {
        // Each item takes a byte at least: no room is made for what cannot come.
        let mut items = Vec::with_capacity(length.min(self.bytes.len() - self.at));
        for _ in 0..length {
            items.push(self.value(depth + 1)?);
        }
        Ok(Value::List(items))
    }

    fn map(&mut self, length: usize, depth: usize) -> Result<Value, CodecError> {
        if length > MAX_PAIRS {
            return Err(CodecError::Large);
        }
        let mut dict = Dict::new();
        for _ in 0..length {
            let key = match self.value(depth + 1)? {
                Value::Str(text) => text,
                Value::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                _ => return Err(CodecError::Key),
            };
            dict.insert(key, self.value(depth + 1)?);
        }
        Ok(Value::Dict(dict))
    }
}

/// Writes a value. A tuple becomes a list; an integer beyond 64 bits a double.
pub fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::None => out.push(0xc0),
        Value::Bool(false) => out.push(0xc2),
        Value::Bool(true) => out.push(0xc3),
        Value::Int(number) => encode_int(*number, out),
        Value::Float(number) => {
            out.push(0xcb);
            out.extend(number.to_be_bytes());
        }
        Value::Str(text) => {
            match text.len() {
                length @ 0..=31 => out.push(0xa0 | length as u8),
                length => encode_length(length, Some(0xd9), 0xda, 0xdb, out),
            }
            out.extend(text.as_bytes());
        }
        Value::Bytes(bytes) => {
            encode_length(bytes.len(), Some(0xc4), 0xc5, 0xc6, out);
            out.extend(&bytes[..]);
        }
        Value::List(items) | Value::Tuple(items) => {
            match items.len() {
                length @ 0..=15 => out.push(0x90 | length as u8),
                length => encode_length(length, None, 0xdc, 0xdd, out),
            }
            items.iter().for_each(|item| encode(item, out));
        }
        Value::Dict(dict) => {
            match dict.len() {
                length @ 0..=15 => out.push(0x80 | length as u8),
                length => encode_length(length, None, 0xde, 0xdf, out),
            }
            for (key, value) in dict.iter() {
                encode(&Value::from(key), out);
                encode(value, out);
            }
        }
    }
}

/// The shortest of the forms for a length: one byte (if there is that form), two, or four.
fn encode_length(length: usize, one: Option<u8>, two: u8, four: u8, out: &mut Vec<u8>) {
    match (one, u8::try_from(length), u16::try_from(length)) {
        (Some(marker), Ok(length), _) => out.extend([marker, length]),
        (_, _, Ok(length)) => {
            out.push(two);
            out.extend(length.to_be_bytes());
        }
        _ => {
            out.push(four);
            out.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        }
    }
}

fn encode_int(number: i128, out: &mut Vec<u8>) {
    match number {
        0..=0x7f => out.push(number as u8),
        -0x20..=-1 => out.push((number as i8).cast_unsigned()),
        0x80..=0xff => out.extend([0xcc, number as u8]),
        0x100..=0xffff => prefixed(0xcd, (number as u16).to_be_bytes(), out),
        0x1_0000..=0xffff_ffff => prefixed(0xce, (number as u32).to_be_bytes(), out),
        0x1_0000_0000..=0xffff_ffff_ffff_ffff => prefixed(0xcf, (number as u64).to_be_bytes(), out),
        -0x80..=-0x21 => prefixed(0xd0, (number as i8).to_be_bytes(), out),
        -0x8000..=-0x81 => prefixed(0xd1, (number as i16).to_be_bytes(), out),
        -0x8000_0000..=-0x8001 => prefixed(0xd2, (number as i32).to_be_bytes(), out),
        -0x8000_0000_0000_0000..=-0x8000_0001 => prefixed(0xd3, (number as i64).to_be_bytes(), out),
        _ => prefixed(0xcb, (number as f64).to_be_bytes(), out),
    }
}

fn prefixed<const N: usize>(marker: u8, bytes: [u8; N], out: &mut Vec<u8>) {
    out.push(marker);
    out.extend(bytes);
}
