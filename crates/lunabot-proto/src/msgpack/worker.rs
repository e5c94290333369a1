//! The worker's end of one msgpack connection (reference rows 08.031 to 08.034).

use super::{MAX_MESSAGE, Message};
use crate::master::ProtocolError;
use crate::{Command, Dict, Transfer, Update, Value, WorkerInfo, wire_update};
use bytes::Bytes;
use std::collections::HashMap;

/// Something the master wants.
#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    /// A line for the log; also asks whether the worker is there.
    Print(String),
    /// Asks whether the worker is there.
    Keepalive,
    /// Asks what the worker says of itself; answered with [`MsgpackWorker::describe`].
    Info,
    /// How output is cut and held back, for commands that start from now on.
    Settings(Settings),
    Start(Command),
    Interrupt {
        command: String,
        why: String,
    },
    /// The process is to end.
    Shutdown,
}

/// How output is to be cut and held back, as a master says it.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Characters.
    pub max_line_length: u64,
    /// Text that is held back at most.
    pub buffer_size: u64,
    /// Seconds that text is held back at most.
    pub buffer_timeout: f64,
    /// What becomes a newline, as a regular expression.
    pub newline_re: String,
}

/// Something that was heard.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// To be answered, each request once.
    Ordered { request: i64, order: Order },
    /// The answer to the call with this number; an error is the master's own text.
    Answered { call: i64, result: Result<Answer, String> },
}

/// What a call was answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Done,
    /// [`Transfer::Read`].
    Data(Bytes),
}

/// See the module. Made once the WebSocket is open.
#[derive(Debug, Default)]
pub struct MsgpackWorker {
    next: i64,
    /// Calls that are not answered yet, and what they are about.
    waiting: HashMap<i64, Call>,
    output: Vec<Bytes>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    News,
    Read,
}

impl MsgpackWorker {
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one message. An order that cannot be read is refused at once and not heard of. After an error the connection is
    /// to be dropped.
    pub fn receive(&mut self, bytes: &Bytes) -> Result<Option<Told>, ProtocolError> {
        match Message::decode(bytes).map_err(|error| ProtocolError(error.to_string()))? {
            None => Ok(None),
            Some(Message::Response { seq, result }) => self.answered(seq, result).map(Some),
            Some(Message::Request { seq, op, fields }) => match order(&op, fields) {
                Ok(order) => Ok(Some(Told::Ordered { request: seq, order })),
                Err(why) => {
                    self.answer(seq, Err(why));
                    Ok(None)
                }
            },
        }
    }

    /// Answers an order that was carried out, or says why not.
    pub fn answer(&mut self, request: i64, result: Result<(), String>) {
        self.respond(request, result.map(|()| Value::None));
    }

    /// Answers [`Order::Info`].
    pub fn describe(&mut self, request: i64, info: &WorkerInfo) {
        self.respond(request, Ok(Value::Dict(info.to_dict())));
    }

    /// Tells news of a command; `now` is the Unix time in seconds. False if it is longer than any message may be: nothing is
    /// told then.
    pub fn update(&mut self, command: &str, updates: Vec<Update>, now: f64) -> bool {
        let pairs = updates.into_iter().map(|update| {
            let (key, value) = wire_update::write(update, now);
            Value::List(vec![key.into(), value])
        });
        let fields = of_command(Dict::new().with("args", Value::List(pairs.collect())), command);
        let message = Message::Request { seq: self.next, op: "update".into(), fields }.encode();
        let fits = message.len() <= MAX_MESSAGE;
        if fits {
            self.send(message, Call::News);
        }
        fits
    }

    /// Tells that a command is over. Its last word.
    pub fn complete(&mut self, command: &str, failure: Option<String>) {
        self.request("complete", of_command(Dict::new().with("args", failure), command), Call::News);
    }

    /// Asks something for a running transfer; the number comes back in [`Told::Answered`].
    pub fn transfer(&mut self, command: &str, request: Transfer) -> i64 {
        let call = if matches!(request, Transfer::Read { .. }) { Call::Read } else { Call::News };
        let (op, fields) = transfer(request);
        self.request(op, of_command(fields, command), call)
    }

    /// Asks the master to end this worker when it is idle (08.009). Buildbot's master knows no such thing and says so.
    pub fn wants_to_stop(&mut self) -> i64 {
        self.request("shutdown", Dict::new(), Call::News)
    }

    /// How many calls the master has not answered.
    pub fn unanswered(&self) -> usize {
        self.waiting.len()
    }

    /// Messages to be sent, in order.
    pub fn output(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.output)
    }

    fn request(&mut self, op: &str, fields: Dict, call: Call) -> i64 {
        let message = Message::Request { seq: self.next, op: op.into(), fields }.encode();
        self.send(message, call)
    }

    fn send(&mut self, message: Bytes, call: Call) -> i64 {
        let seq = self.next;
        self.next += 1;
        self.waiting.insert(seq, call);
        self.output.push(message);
        seq
    }

    fn respond(&mut self, seq: i64, result: Result<Value, String>) {
        self.output.push(Message::Response { seq, result }.encode());
    }

    fn answered(&mut self, call: i64, result: Result<Value, String>) -> Result<Told, ProtocolError> {
        let Some(about) = self.waiting.remove(&call) else {
            return Err(ProtocolError(format!("the master answers {call}, which nobody asked")));
        };
        let result = result.and_then(|value| match (about, value) {
            (Call::Read, Value::Bytes(data)) => Ok(Answer::Data(data)),
            // The original master answers every read so; taken for the end of the file, each file would be empty.
            (Call::Read, Value::None) => {
                Err("the master answered a read with nothing in place of data (Buildbot \
                4.3.0 cannot send files over msgpack)"
                    .to_owned())
            }
            (Call::Read, _) => Err("the master answered a read with something other than bytes".to_owned()),
            (Call::News, _) => Ok(Answer::Done),
        });
        Ok(Told::Answered { call, result })
    }
}

fn of_command(fields: Dict, command: &str) -> Dict {
    fields.with("command_id", command)
}

fn transfer(request: Transfer) -> (&'static str, Dict) {
    match request {
        Transfer::Write(data) => ("update_upload_file_write", Dict::new().with("args", data)),
        Transfer::Close => ("update_upload_file_close", Dict::new()),
        Transfer::Utime { accessed, modified } => {
            let times = Dict::new().with("access_time", accessed).with("modified_time", modified);
            ("update_upload_file_utime", times)
        }
        Transfer::WriteDirectory(data) => ("update_upload_directory_write", Dict::new().with("args", data)),
        Transfer::Unpack => ("update_upload_directory_unpack", Dict::new()),
        Transfer::Read { length } => ("update_read_file", Dict::new().with("length", length)),
        Transfer::CloseRead => ("update_read_file_close", Dict::new()),
    }
}

/// The error is for the master.
fn order(op: &str, mut fields: Dict) -> Result<Order, String> {
    let mut text = |key: &str| match fields.remove(key) {
        Some(Value::Str(text)) => Ok(text),
        Some(_) => Err(format!("{op}: '{key}' must be text")),
        None => Err(format!("{op}: '{key}' is missing")),
    };
    Ok(match op {
        "print" => Order::Print(text("message")?),
        "keepalive" => Order::Keepalive,
        "get_worker_info" => Order::Info,
        "set_worker_settings" => Order::Settings(settings(&map(op, fields)?)?),
        "start_command" => {
            let (id, name) = (text("command_id")?, text("command_name")?);
            Order::Start(Command::new(id, name, map(op, fields)?))
        }
        "interrupt_command" => {
            let command = text("command_id")?;
            Order::Interrupt { command, why: text("why").unwrap_or_default() }
        }
        "shutdown" => Order::Shutdown,
        _ => return Err(format!("Command {op} does not exist.")),
    })
}

fn map(op: &str, mut fields: Dict) -> Result<Dict, String> {
    match fields.remove("args") {
        Some(Value::Dict(args)) => Ok(args),
        Some(_) => Err(format!("{op}: 'args' must be a map")),
        None => Err(format!("{op}: 'args' is missing")),
    }
}

fn settings(args: &Dict) -> Result<Settings, String> {
    let wrong = |key: &str| format!("set_worker_settings: '{key}' is missing or of a wrong type");
    let count = |key: &str| {
        let number = args.get(key).and_then(Value::as_i64).and_then(|number| u64::try_from(number).ok());
        number.ok_or_else(|| wrong(key))
    };
    let seconds = args.get("buffer_timeout").and_then(Value::as_f64);
    let newlines = args.get("newline_re").and_then(Value::as_str);
    Ok(Settings {
        max_line_length: count("max_line_length")?,
        buffer_size: count("buffer_size")?,
        buffer_timeout: seconds
            .filter(|seconds| seconds.is_finite() && *seconds >= 0.0)
            .ok_or_else(|| wrong("buffer_timeout"))?,
        newline_re: newlines.ok_or_else(|| wrong("newline_re"))?.to_owned(),
    })
}
