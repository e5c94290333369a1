//! The master's end of one msgpack connection.

use super::faces::Faces;
use super::{Message, NEWLINES, Places, args};
use crate::master::{Answer, Call, Heard, MasterProtocol, ProtocolError, Token, Wants};
use crate::{Command, Dict, Transfer, Value, WorkerInfo, wire_update};
use bytes::Bytes;
use std::collections::HashMap;

/// Characters. Workers lose text of longer lines, so this is far beyond what a line should be.
const MAX_LINE: u32 = 4 * 1024 * 1024;
/// Characters held back at most.
const BUFFER: u32 = 64 * 1024;
/// Seconds that output is held back at most: live logs are to be live.
const BUFFER_SECONDS: f64 = 1.0;

/// See the module. Made once the WebSocket is open and the credentials are good.
#[derive(Default)]
pub struct MsgpackMaster {
    next: i64,
    /// Calls that are not answered yet.
    waiting: HashMap<i64, Asked>,
    places: Places,
    /// Of running commands that have words to be hidden.
    faces: HashMap<String, Faces>,
    output: Vec<Bytes>,
}

/// What a call asked for, where its answer matters.
enum Asked {
    Info,
    Start(String),
    Other,
}

impl MsgpackMaster {
    pub fn new() -> Self {
        Self::default()
    }

    fn request(&mut self, op: &str, fields: Dict) -> u64 {
        self.ask(op, fields, Asked::Other)
    }

    fn ask(&mut self, op: &str, fields: Dict, asked: Asked) -> u64 {
        let seq = self.next;
        self.next += 1;
        self.waiting.insert(seq, asked);
        self.output.push(Message::Request { seq, op: op.into(), fields }.encode());
        seq.cast_unsigned()
    }

    fn respond(&mut self, seq: i64, result: Result<Value, String>) {
        self.output.push(Message::Response { seq, result }.encode());
    }

    fn start(&mut self, builder: Option<String>, command: Command) -> u64 {
        let id = command.id.clone();
        if let Some(faces) = Faces::of(&command.args) {
            self.faces.insert(id.clone(), faces);
        }
        let asked = Asked::Start(id.clone());
        let (name, args) = args::rewrite(command, &self.places);
        let fields = of_builder(builder).with("command_id", id).with("command_name", name).with("args", args);
        self.ask("start_command", fields, asked)
    }

    fn answered(&mut self, seq: i64, result: Result<Value, String>) -> Result<Heard, ProtocolError> {
        let Some(asked) = self.waiting.remove(&seq) else {
            return Err(ProtocolError(format!("the worker answers {seq}, which nobody asked")));
        };
        let result = match (asked, result) {
            (Asked::Info, Ok(value)) => Ok(self.described(value)),
            (Asked::Start(command), Err(why)) => Err(hidden(self.faces.remove(&command), why)),
            (Asked::Start(_) | Asked::Other, Ok(_)) => Ok(Answer::Done),
            (Asked::Info | Asked::Other, Err(why)) => Err(why),
        };
        Ok(Heard::Answered { call: seq.cast_unsigned(), result })
    }

    fn described(&mut self, value: Value) -> Answer {
        let info = WorkerInfo::tolerant(value);
        self.places = Places::of(&info);
        Answer::Info(Box::new(info))
    }

    fn requested(&mut self, seq: i64, op: &str, mut fields: Dict) -> Option<Heard> {
        let token = |wants| Token { request: seq, wants };
        let command = match fields.remove("command_id") {
            Some(Value::Str(id)) => id,
            _ => String::new(),
        };
        let nothing = token(Wants::Nothing);
        let transfer = |request| Some(Heard::Transfer { command: command.clone(), request, token: nothing });
        match op {
            "update" => {
                let updates = fields.remove("args").as_ref().and_then(Value::as_items).map(updates);
                let mut updates = updates.unwrap_or_default();
                if let Some(faces) = self.faces.get(&command) {
                    faces.put_right(&mut updates);
                }
                Some(Heard::Updates { command, updates, token: nothing })
            }
            "complete" => {
                let failure = fields.remove("args").filter(|args| !args.is_none());
                let failure =
                    failure.map(|args| args.as_str().map_or_else(|| format!("{args:?}"), str::to_owned));
                let faces = self.faces.remove(&command);
                let failure = failure.map(|text| hidden(faces, text));
                Some(Heard::Complete { command, failure, token: nothing })
            }
            "update_upload_file_write" => transfer(Transfer::Write(data(&mut fields))),
            "update_upload_file_close" => transfer(Transfer::Close),
            "update_upload_file_utime" => transfer(Transfer::Utime {
                accessed: seconds(&fields, "access_time"),
                modified: seconds(&fields, "modified_time"),
            }),
            "update_upload_directory_write" => transfer(Transfer::WriteDirectory(data(&mut fields))),
            "update_upload_directory_unpack" => transfer(Transfer::Unpack),
            "update_read_file_close" => transfer(Transfer::CloseRead),
            "update_read_file" => {
                let length = fields.get("length").and_then(Value::as_i64).unwrap_or(0);
                let request = Transfer::Read { length: usize::try_from(length).unwrap_or(0) };
                Some(Heard::Transfer { command, request, token: token(Wants::Data) })
            }
            // Lunabot's own worker; the original's has no such request.
            "shutdown" => Some(Heard::WantsToStop { token: nothing }),
            _ => {
                self.respond(seq, Err(format!("Command {op} does not exist.")));
                None
            }
        }
    }
}

impl MasterProtocol for MsgpackMaster {
    fn receive(&mut self, bytes: Bytes) -> Result<Vec<Heard>, ProtocolError> {
        let message = Message::decode(&bytes).map_err(|error| ProtocolError(error.to_string()))?;
        Ok(match message {
            None => Vec::new(),
            Some(Message::Response { seq, result }) => vec![self.answered(seq, result)?],
            Some(Message::Request { seq, op, fields }) => {
                self.requested(seq, &op, fields).into_iter().collect()
            }
        })
    }

    fn call(&mut self, call: Call) -> Result<Option<u64>, ProtocolError> {
        Ok(match call {
            Call::Print(text) => Some(self.request("print", Dict::new().with("message", text))),
            Call::Keepalive => Some(self.request("keepalive", Dict::new())),
            Call::Info => Some(self.ask("get_worker_info", Dict::new(), Asked::Info)),
            Call::Settings => Some(self.request("set_worker_settings", Dict::new().with("args", settings()))),
            Call::Builders(_) | Call::StartBuild(_) => None,
            Call::Start { builder, command } => Some(self.start(builder, command)),
            Call::Interrupt { builder, command, why } => {
                let fields = of_builder(builder).with("command_id", command).with("why", why);
                Some(self.request("interrupt_command", fields))
            }
            Call::Shutdown => Some(self.request("shutdown", Dict::new())),
        })
    }

    fn answer(&mut self, token: Token, result: Result<Bytes, String>) {
        let result = result.map(|data| match token.wants {
            Wants::Data => Value::Bytes(data),
            Wants::Nothing | Wants::Number => Value::None,
        });
        self.respond(token.request, result);
    }

    fn output(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.output)
    }

    fn keeps_folders(&self) -> bool {
        false
    }

    fn outlives_connection(&self) -> bool {
        true
    }

    fn one_command_per_builder(&self) -> bool {
        false
    }
}

/// What a worker says of a command's end.
fn hidden(faces: Option<Faces>, text: String) -> String {
    match faces {
        Some(faces) => faces.hide(&text),
        None => text,
    }
}

fn of_builder(builder: Option<String>) -> Dict {
    builder.map_or_else(Dict::new, |name| Dict::new().with("builder_name", name))
}

fn settings() -> Dict {
    Dict::new()
        .with("newline_re", NEWLINES)
        .with("max_line_length", MAX_LINE)
        .with("buffer_timeout", BUFFER_SECONDS)
        .with("buffer_size", BUFFER)
}

fn updates(pairs: &[Value]) -> Vec<crate::Update> {
    let read = |pair: &Value| match pair.as_items() {
        Some([Value::Str(key), value]) => Some(wire_update::read(key.clone(), value.clone())),
        _ => None,
    };
    pairs.iter().filter_map(read).collect()
}

fn data(fields: &mut Dict) -> Bytes {
    match fields.remove("args") {
        Some(Value::Bytes(bytes)) => bytes,
        Some(Value::Str(text)) => text.into(),
        _ => Bytes::new(),
    }
}

fn seconds(fields: &Dict, key: &str) -> f64 {
    fields.get(key).and_then(Value::as_f64).unwrap_or_default()
}
