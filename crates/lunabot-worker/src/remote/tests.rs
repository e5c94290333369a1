//! A worker against a master made of a few lines, which does what no real one would.

use super::{End, RemoteError, RemoteOptions, Stops, run};
use crate::WorkerOptions;
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use lunabot_proto::msgpack::Message;
use lunabot_proto::{Dict, Value};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Bench {
    dir: TempDir,
    listener: TcpListener,
    stops: Stops,
    worker: JoinHandle<Result<End, RemoteError>>,
}

impl Bench {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        std::fs::write(dir.path().join("password"), "secret\r\n").unwrap();
        let options = RemoteOptions {
            worker: WorkerOptions::new(dir.path().join("w")),
            address: listener.local_addr().unwrap().to_string().parse().unwrap(),
            name: "w1".into(),
            password_file: dir.path().join("password"),
            ca_file: None,
            keepalive: None,
            max_delay: Duration::from_millis(10),
            max_retries: None,
            now: || 1.5,
            chance: || 0.5,
        };
        let stops = Stops::default();
        let worker = tokio::spawn(run(options, stops.clone()));
        Self { dir, listener, stops, worker }
    }

    async fn connected(&self) -> Connection {
        let (stream, _) = timeout(PATIENCE, self.listener.accept()).await.unwrap().unwrap();
        let socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        Connection { socket, next: 0 }
    }

    /// The worker ends when it is told to.
    async fn ends(self) {
        self.stops.now.cancel();
        assert_eq!(timeout(PATIENCE, self.worker).await.unwrap().unwrap().unwrap(), End::Stopped);
    }
}

struct Connection {
    socket: WebSocketStream<TcpStream>,
    next: i64,
}

impl Connection {
    async fn send(&mut self, bytes: impl Into<Bytes>) {
        self.socket.send(tungstenite::Message::Binary(bytes.into())).await.unwrap();
    }

    async fn order(&mut self, op: &str, fields: Dict) -> i64 {
        let seq = self.next;
        self.next += 1;
        self.send(Message::Request { seq, op: op.into(), fields }.encode()).await;
        seq
    }

    async fn start(&mut self, id: &str, name: &str, args: Dict) -> i64 {
        let fields = Dict::new().with("command_id", id).with("command_name", name).with("args", args);
        self.order("start_command", fields).await
    }

    async fn shell(&mut self, id: &str, dir: &TempDir, line: &str) -> i64 {
        let args =
            Dict::new().with("workdir", dir.path().join("w/b").to_str().unwrap()).with("command", line);
        self.start(id, "shell", args).await
    }

    /// The next message, `None` at the end of the connection.
    async fn heard(&mut self) -> Option<Message> {
        loop {
            match timeout(PATIENCE, self.socket.next()).await.unwrap()? {
                Ok(tungstenite::Message::Binary(bytes)) => return Message::decode(&bytes).unwrap(),
                Ok(tungstenite::Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The answer to an order; everything else is answered with nothing.
    async fn answer(&mut self, order: i64) -> Result<Value, String> {
        loop {
            match self.heard().await.unwrap() {
                Message::Response { seq, result } if seq == order => return result,
                other => self.acknowledge(&other).await,
            }
        }
    }

    async fn acknowledge(&mut self, message: &Message) {
        if let Message::Request { seq, .. } = message {
            self.send(Message::Response { seq: *seq, result: Ok(Value::None) }.encode()).await;
        }
    }

    /// Waits for the end of a command; how it ended and all of its updates.
    async fn complete(&mut self, id: &str) -> (Value, Vec<(String, Value)>) {
        let mut news = Vec::new();
        loop {
            let message = self.heard().await.unwrap();
            self.acknowledge(&message).await;
            let Message::Request { op, mut fields, .. } = message else { continue };
            if fields.get("command_id") != Some(&Value::from(id)) {
                continue;
            }
            let args = fields.remove("args").unwrap_or_default();
            if op == "complete" {
                return (args, news);
            }
            for pair in args.as_items().unwrap_or_default() {
                let [Value::Str(key), value] = pair.as_items().unwrap() else { panic!("{pair:?}") };
                news.push((key.clone(), value.clone()));
            }
        }
    }
}

fn text_of(news: &[(String, Value)], key: &str) -> String {
    let of_key = news.iter().filter(|(found, _)| found == key);
    of_key.map(|(_, value)| value.as_items().unwrap()[0].as_str().unwrap()).collect()
}

/// Whether it is news of what a program prints.
fn has_output(message: &Message) -> bool {
    let Message::Request { op, fields, .. } = message else { return false };
    let args = fields.get("args").and_then(Value::as_items).unwrap_or_default();
    op == "update" && args.iter().any(|pair| pair.as_items().is_some_and(|pair| pair[0] == "stdout".into()))
}

#[tokio::test]
async fn garbage_ends_the_connection_and_the_worker_comes_back() {
    let bench = Bench::new().await;
    let stray = Message::Response { seq: 77, result: Ok(Value::None) }.encode();
    for garbage in [Bytes::from_static(b"\xc1"), Bytes::from_static(b"\x81\x01\x02"), stray] {
        let mut connection = bench.connected().await;
        let print = connection.order("print", Dict::new().with("message", "hello\u{1b}[31m")).await;
        assert_eq!(connection.answer(print).await, Ok(Value::None));
        connection.send(garbage).await;
        assert_eq!(connection.heard().await, None);
    }
    // A message of more bytes than any worker takes, and no WebSocket at all.
    let mut connection = bench.connected().await;
    let large = tungstenite::Message::Binary(Bytes::from(vec![0xc0; 17 * 1024 * 1024]));
    // It may be closed while it is being sent.
    let _ = connection.socket.send(large).await;
    assert_eq!(connection.heard().await, None);
    drop(bench.connected().await);
    let mut connection = bench.connected().await;
    let unknown = connection.order("explode", Dict::new()).await;
    assert_eq!(connection.answer(unknown).await, Err("Command explode does not exist.".into()));
    bench.ends().await;
}

#[tokio::test]
async fn an_interrupt_is_heard_while_the_master_takes_nothing() {
    let bench = Bench::new().await;
    let mut connection = bench.connected().await;
    let mark = bench.dir.path().join("ended");
    let line = format!(
        "trap 'touch {}' EXIT; trap 'exit 3' TERM; yes | head -c 200000000 & wait; exit 0",
        mark.display()
    );
    let args = Dict::new().with("workdir", bench.dir.path().to_str().unwrap()).with("command", line);
    connection.start("1", "shell", args.with("interruptSignal", "TERM")).await;
    // The flood has begun, and fills whatever holds it.
    loop {
        let message = connection.heard().await.unwrap();
        if has_output(&message) {
            break;
        }
        connection.acknowledge(&message).await;
    }
    connection.order("interrupt_command", Dict::new().with("command_id", "1").with("why", "enough")).await;
    let ended = async {
        while !mark.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, ended).await.unwrap();
    let (failure, news) = connection.complete("1").await;
    assert_eq!(failure, Value::None);
    assert!(news.contains(&("rc".into(), 3.into())), "{:?}", text_of(&news, "header"));
    bench.ends().await;
}

#[tokio::test]
async fn row_08_032_settings_count_for_commands_that_start_later() {
    let bench = Bench::new().await;
    let mut connection = bench.connected().await;
    let settings = Dict::new()
        .with("buffer_size", 65_536)
        .with("buffer_timeout", 0.5)
        .with("max_line_length", 3)
        .with("newline_re", "other");
    let order = connection.order("set_worker_settings", Dict::new().with("args", settings)).await;
    assert_eq!(connection.answer(order).await, Ok(Value::None));
    connection.shell("1", &bench.dir, "printf 'é23456\\n'").await;
    let (_, news) = connection.complete("1").await;
    assert_eq!(text_of(&news, "stdout"), "é23\n456\n");
    // 08.035: the offsets are in characters, one time for each line.
    let stdout = news.iter().find(|(key, _)| key == "stdout").unwrap().1.as_items().unwrap();
    assert_eq!((&stdout[1], &stdout[2]), (&Value::from(vec![3, 7]), &Value::from(vec![1.5, 1.5])));
    bench.ends().await;
}

#[tokio::test]
async fn row_08_029_a_download_that_is_answered_with_nothing_fails() {
    let bench = Bench::new().await;
    let mut connection = bench.connected().await;
    let file = bench.dir.path().join("file");
    let args = Dict::new().with("path", file.to_str().unwrap()).with("blocksize", 100);
    connection.start("1", "download_file", args.with("maxsize", Value::None).with("mode", Value::None)).await;
    let (failure, news) = connection.complete("1").await;
    assert!(failure.as_str().is_some_and(|why| why.contains("nothing in place of data")), "{failure:?}");
    assert!(!news.iter().any(|(key, value)| key == "rc" && *value == 0.into()), "{news:?}");
    bench.ends().await;
}

#[tokio::test]
async fn row_08_009_it_leaves_when_the_master_says_so_and_kills_what_runs() {
    let bench = Bench::new().await;
    let mut connection = bench.connected().await;
    let alive = connection.order("keepalive", Dict::new()).await;
    assert_eq!(connection.answer(alive).await, Ok(Value::None));
    bench.stops.graceful.cancel();
    let Some(Message::Request { seq, op, .. }) = connection.heard().await else { panic!("a request") };
    assert_eq!(op, "shutdown");
    connection.send(Message::Response { seq, result: Ok(Value::None) }.encode()).await;
    // It goes on taking orders.
    let start = connection.shell("1", &bench.dir, "echo $$ > pid; echo up; sleep 1000").await;
    assert_eq!(connection.answer(start).await, Ok(Value::None));
    let pid = bench.dir.path().join("w/b/pid");
    let written = async {
        while !std::fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n')) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, written).await.unwrap();
    let shutdown = connection.order("shutdown", Dict::new()).await;
    assert_eq!(connection.answer(shutdown).await, Ok(Value::None));
    assert_eq!(timeout(PATIENCE, bench.worker).await.unwrap().unwrap().unwrap(), End::ByMaster);
    let process = format!("/proc/{}/stat", std::fs::read_to_string(&pid).unwrap().trim());
    let gone = async {
        // A zombie has ended.
        while std::fs::read_to_string(&process).is_ok_and(|stat| !stat.contains(") Z ")) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
}
