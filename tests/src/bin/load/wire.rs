//! Simulated workers that speak the real protocols over loopback: commands cost nothing, the wire is real.

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use lunabot_proto::msgpack::Message;
use lunabot_proto::pb::banana::{self, Decoder};
use lunabot_proto::pb::{Jelly, Sexp};
use lunabot_proto::{Dict, Value};
use md5::{Digest as _, Md5};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;

/// Every simulated worker's.
pub const PASSWORD: &str = "secret";
/// Paths in listings and descriptions.
const BASE: &str = "/simulated";

/// How a worker talks.
#[derive(Clone, Copy)]
pub enum Wire {
    Pb,
    Msgpack,
}

impl Wire {
    /// As `c.protocols` calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pb => "pb",
            Self::Msgpack => "msgpack_experimental_v7",
        }
    }
}

/// Lives as the worker `name` until the connection ends. `attached` counts those who know their builders.
pub async fn live(wire: Wire, port: u16, name: &str, attached: &Arc<AtomicUsize>) -> Result<()> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let present = Present { counted: false, attached: attached.clone() };
    match wire {
        Wire::Pb => pb(stream, name, present).await,
        Wire::Msgpack => msgpack(stream, port, name, present).await,
    }
}

/// Counted while it is attached.
struct Present {
    counted: bool,
    attached: Arc<AtomicUsize>,
}

impl Present {
    fn count(&mut self) {
        if !std::mem::replace(&mut self.counted, true) {
            self.attached.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        if self.counted {
            self.attached.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn info(name: &str) -> Vec<(&'static str, Value)> {
    let commands = ["shell", "mkdir", "rmdir", "stat", "listdir"];
    let commands = commands.iter().fold(Dict::new(), |dict, name| dict.with(*name, "3.3"));
    vec![
        ("admin", "".into()),
        ("host", name.into()),
        ("environ", Value::Dict(Dict::new())),
        ("system", "posix".into()),
        ("basedir", BASE.into()),
        ("numcpus", Value::Int(2)),
        ("version", "4.3.0".into()),
        ("worker_commands", Value::Dict(commands)),
        ("delete_leftover_dirs", Value::Bool(false)),
    ]
}

async fn msgpack(stream: TcpStream, port: u16, name: &str, mut present: Present) -> Result<()> {
    let mut request = format!("ws://127.0.0.1:{port}/").into_client_request()?;
    let login = BASE64.encode(format!("{name}:{PASSWORD}"));
    request.headers_mut().insert("Authorization", HeaderValue::from_str(&format!("Basic {login}"))?);
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await?;
    let mut next = 0;
    while let Some(frame) = socket.next().await {
        let Frame::Binary(bytes) = frame? else { continue };
        let Some(Message::Request { seq, op, fields }) = Message::decode(&bytes)? else { continue };
        let result = match op.as_str() {
            "get_worker_info" => Value::Dict(
                info(name).into_iter().fold(Dict::new(), |dict, (key, value)| dict.with(key, value)),
            ),
            _ => Value::None,
        };
        socket.feed(frame_of(Message::Response { seq, result: Ok(result) })).await?;
        if op == "start_command" {
            let command = fields.get("command_name").and_then(Value::as_str).unwrap_or_default();
            if command == "listdir" {
                present.count();
            }
            let id = fields.get("command_id").cloned().unwrap_or_default();
            for (op, args) in [("update", msgpack_updates(command)), ("complete", Value::None)] {
                let fields = Dict::new().with("command_id", id.clone()).with("args", args);
                socket.feed(frame_of(Message::Request { seq: next, op: op.into(), fields })).await?;
                next += 1;
            }
        }
        socket.flush().await?;
    }
    Ok(())
}

fn frame_of(message: Message) -> Frame {
    Frame::Binary(message.encode())
}

fn msgpack_updates(command: &str) -> Value {
    let pair = |key: &str, value: Value| Value::List(vec![key.into(), value]);
    let line = || {
        Value::List(vec![
            "done\n".into(),
            Value::List(vec![Value::Int(4)]),
            Value::List(vec![Value::Float(0.0)]),
        ])
    };
    Value::List(match command {
        "shell" => {
            vec![pair("stdout", line()), pair("rc", Value::Int(0)), pair("elapsed", Value::Float(0.0))]
        }
        "listdir" => {
            let names = ["info", "b1"].iter().map(|name| (*name).into()).collect();
            vec![pair("files", Value::List(names)), pair("rc", Value::Int(0))]
        }
        _ => vec![pair("rc", Value::Int(0))],
    })
}

/// One end of a PB connection, as simple as it gets.
struct Peer {
    stream: TcpStream,
    decoder: Decoder,
    out: Vec<u8>,
    request: i64,
}

/// Numbers of our objects.
const MIND: i64 = 1;
const BUILDER: i64 = 2;

async fn pb(stream: TcpStream, name: &str, mut present: Present) -> Result<()> {
    let mut peer = Peer { stream, decoder: Decoder::new(1 << 20), out: Vec::new(), request: 0 };
    peer.tree().await?;
    banana::encode(&Sexp::word("pb"), false, &mut peer.out)?;
    peer.say(vec![Sexp::word("version"), Sexp::Int(6)])?;
    peer.call(Sexp::word("root"), "login", vec![Jelly::Bytes(Bytes::copy_from_slice(name.as_bytes()))])?;
    let challenge = peer.answer().await?;
    let Some([Jelly::Bytes(challenge), Jelly::Remote(challenger)]) = challenge.items() else {
        bail!("no challenge")
    };
    let mut digest = Md5::new();
    digest.update(Md5::digest(PASSWORD));
    digest.update(challenge);
    let response = Jelly::Bytes(digest.finalize().to_vec().into());
    // Answered once the master has asked what it wants to know.
    peer.call(Sexp::Int((*challenger).into()), "respond", vec![response, Jelly::Remote(MIND)])?;
    loop {
        let tree = peer.tree().await?;
        match tree.as_list() {
            Some([kind, request, _, method, _, args, _]) if *kind == Sexp::word("message") => {
                let method = String::from_utf8_lossy(method.as_bytes().context("a method")?).into_owned();
                let args = Jelly::read(args)?;
                peer.called(name, request, &method, args.items().unwrap_or_default(), &mut present)?;
            }
            Some([kind, ..]) if *kind == Sexp::word("error") => bail!("refused: {tree:?}"),
            _ => {}
        }
    }
}

impl Peer {
    fn say(&mut self, message: Vec<Sexp>) -> Result<()> {
        Ok(banana::encode(&Sexp::List(message), true, &mut self.out)?)
    }

    fn call(&mut self, object: Sexp, method: &str, args: Vec<Jelly>) -> Result<()> {
        self.request += 1;
        let (args, kwargs) = (Jelly::Tuple(args).write(), Jelly::Dict(Vec::new()).write());
        let request = Sexp::Int(self.request.into());
        self.say(vec![Sexp::word("message"), request, object, Sexp::word(method), Sexp::Int(1), args, kwargs])
    }

    /// Sends what there is, and waits for the next message.
    async fn tree(&mut self) -> Result<Sexp> {
        loop {
            if let Some(tree) = self.decoder.tree()? {
                return Ok(tree);
            }
            if !self.out.is_empty() {
                self.stream.write_all(&self.out).await?;
                self.out.clear();
            }
            let mut bytes = [0; 4096];
            let count = self.stream.read(&mut bytes).await?;
            if count == 0 {
                bail!("closed by the master");
            }
            self.decoder.feed(&bytes[..count]);
        }
    }

    async fn answer(&mut self) -> Result<Jelly> {
        loop {
            let tree = self.tree().await?;
            match tree.as_list() {
                Some([kind, _, value]) if *kind == Sexp::word("answer") => return Ok(Jelly::read(value)?),
                Some([kind, ..]) if *kind == Sexp::word("error") => bail!("refused: {tree:?}"),
                _ => {}
            }
        }
    }

    fn called(
        &mut self,
        name: &str,
        request: &Sexp,
        method: &str,
        args: &[Jelly],
        present: &mut Present,
    ) -> Result<()> {
        let value = match method {
            "getWorkerInfo" => {
                let pairs =
                    info(name).into_iter().map(|(key, value)| (Jelly::Text(key.into()), jelly(value)));
                Jelly::Dict(pairs.collect())
            }
            "setBuilderList" => {
                present.count();
                let builders = args.first().and_then(Jelly::items).unwrap_or_default();
                let names = builders.iter().filter_map(|pair| pair.items()?.first().cloned());
                Jelly::Dict(
                    names.enumerate().map(|(i, name)| (name, Jelly::Remote(BUILDER + i as i64))).collect(),
                )
            }
            "startCommand" => {
                let Some([Jelly::Remote(command), _, kind, ..]) = args.get(..) else { bail!("no command") };
                let object = Sexp::Int((*command).into());
                let update = pb_updates(&kind.text().unwrap_or_default());
                self.call(object.clone(), "update", vec![Jelly::List(update)])?;
                self.call(object, "complete", vec![Jelly::None])?;
                Jelly::None
            }
            _ => Jelly::None,
        };
        self.say(vec![Sexp::word("answer"), request.clone(), value.write()])
    }
}

fn pb_updates(command: &str) -> Vec<Jelly> {
    let line = || {
        Jelly::Tuple(vec![
            Jelly::Text("done\n".into()),
            Jelly::List(vec![Jelly::Int(4)]),
            Jelly::List(vec![Jelly::Float(0.0)]),
        ])
    };
    let update = |(number, (key, value)): (usize, (&str, Jelly))| {
        let dict = Jelly::Dict(vec![(Jelly::Text(key.into()), value)]);
        Jelly::List(vec![dict, Jelly::Int(number as i128)])
    };
    let all = match command {
        "shell" => vec![("stdout", line()), ("rc", Jelly::Int(0)), ("elapsed", Jelly::Float(0.0))],
        _ => vec![("rc", Jelly::Int(0))],
    };
    all.into_iter().enumerate().map(update).collect()
}

fn jelly(value: Value) -> Jelly {
    match value {
        Value::Bool(truth) => Jelly::Bool(truth),
        Value::Int(number) => Jelly::Int(number),
        Value::Str(text) => Jelly::Text(text),
        Value::Dict(dict) => {
            Jelly::Dict(dict.into_iter().map(|(key, value)| (Jelly::Text(key), jelly(value))).collect())
        }
        _ => Jelly::None,
    }
}
