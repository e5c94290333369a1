//! Requests and responses (reference row 08.031).

use super::codec::{self, CodecError};
use crate::{Dict, Value};
use bytes::Bytes;

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// Asks the other side for something. Each direction counts its own requests, from 0.
    Request {
        seq: i64,
        op: String,
        /// Everything but `op` and `seq_number`.
        fields: Dict,
    },
    /// The answer to the request with this number; an error is text.
    Response { seq: i64, result: Result<Value, String> },
}

impl Message {
    /// Reads a message; `None`: without a number or an operation it is to be ignored.
    pub fn decode(bytes: &Bytes) -> Result<Option<Message>, CodecError> {
        let Value::Dict(mut fields) = codec::decode(bytes)? else { return Ok(None) };
        let seq = fields.remove("seq_number").and_then(|seq| seq.as_i64());
        let (Some(seq), Some(Value::Str(op))) = (seq, fields.remove("op")) else { return Ok(None) };
        if op != "response" {
            return Ok(Some(Message::Request { seq, op, fields }));
        }
        let result = fields.remove("result").unwrap_or_default();
        let failed = fields.get("is_exception").is_some();
        let result = if failed { Err(text_of(&result)) } else { Ok(result) };
        Ok(Some(Message::Response { seq, result }))
    }

    /// The bytes of the message, keys in the order in which they were put in, the number last.
    pub fn encode(self) -> Bytes {
        let mut out = Vec::new();
        let dict = match self {
            Message::Request { seq, op, fields } => {
                let mut dict = Dict::new().with("op", op);
                fields.into_iter().for_each(|(key, value)| dict.insert(key, value));
                dict.with("seq_number", seq)
            }
            Message::Response { seq, result } => {
                let dict = Dict::new().with("op", "response").with("seq_number", seq);
                match result {
                    Ok(value) => dict.with("result", value),
                    Err(text) => dict.with("result", text).with("is_exception", true),
                }
            }
        };
        codec::encode(&Value::Dict(dict), &mut out);
        out.into()
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| format!("{value:?}"), str::to_owned)
}
