//! Simulated instant workers, and the master that has them: everything is real but the commands.

use anyhow::{Context, Result};
use async_trait::async_trait;
use lunabot::basedir::BaseDir;
use lunabot::logging::LogFormat;
use lunabot::master::Settings;
use lunabot_engine::worker::{CommandSink, LinkError, WorkerLink};
use lunabot_proto::{Command, Update, Value, WorkerInfo, names};
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of one piece of a flood, as a worker sends them.
const PIECE: usize = 64 << 10;

/// Runs a master in `dir` whose local workers are instant. Prints its address when it serves.
pub fn serve(dir: &str) -> Result<()> {
    lunabot::logging::start(LogFormat::Human, None)?;
    let bell = Arc::new(UdpSocket::bind("127.0.0.1:0")?);
    bell.connect(("127.0.0.1", std::env::var("LOAD_BELL")?.parse::<u16>()?))?;
    let links = move |name: &str| {
        Arc::new(Instant { info: info(name), bell: Arc::clone(&bell) }) as Arc<dyn WorkerLink>
    };
    let serving = |url: Option<&str>| {
        announce(url.context("it has pages")?);
        Ok(())
    };
    let settings = Settings {
        grace: Duration::from_secs(1),
        serving: Box::new(serving),
        simulated_workers: Some(Arc::new(links)),
    };
    lunabot::master::run(&BaseDir::existing(dir.as_ref(), None)?, settings)
}

#[expect(clippy::print_stdout, reason = "the parent process reads the address")]
fn announce(address: &str) {
    println!("{address}");
}

fn info(name: &str) -> WorkerInfo {
    let commands = [names::SHELL, names::MKDIR, names::RMDIR, names::STAT, names::LISTDIR];
    WorkerInfo {
        system: "posix".into(),
        basedir: format!("/simulated/{name}"),
        numcpus: 1,
        version: "instant".into(),
        worker_commands: commands.iter().map(|c| ((*c).to_string(), "3.3".to_string())).collect(),
        ..WorkerInfo::default()
    }
}

struct Instant {
    info: WorkerInfo,
    bell: Arc<UdpSocket>,
}

#[async_trait]
impl WorkerLink for Instant {
    fn info(&self) -> &WorkerInfo {
        &self.info
    }

    async fn set_builders(&self, _: &[(String, String)]) -> Result<(), LinkError> {
        Ok(())
    }

    async fn ping(&self) -> Result<(), LinkError> {
        Ok(())
    }

    async fn start_build(&self, _: &str) -> Result<(), LinkError> {
        Ok(())
    }

    async fn start_command(
        &self,
        _: &str,
        command: Command,
        sink: Arc<dyn CommandSink>,
    ) -> Result<(), LinkError> {
        let _ = self.bell.send(b"!");
        let words = words(&command);
        tokio::spawn(async move {
            output(&words, &sink).await;
            sink.update(vec![Update::Rc(0), Update::Elapsed(0.0)]).await;
            sink.complete(None).await;
        });
        Ok(())
    }

    async fn interrupt_command(&self, _: &str, _: &str, _: &str) -> Result<(), LinkError> {
        Ok(())
    }

    async fn shutdown(&self) -> Result<(), LinkError> {
        Ok(())
    }

    async fn disconnect(&self) {}
}

/// The words of the command that a step runs.
fn words(command: &Command) -> Vec<String> {
    let list = match command.args.get("command") {
        Some(Value::List(items)) => items.as_slice(),
        _ => &[],
    };
    list.iter().filter_map(|item| item.as_str().map(str::to_string)).collect()
}

async fn output(words: &[String], sink: &Arc<dyn CommandSink>) {
    let count = words.get(1).and_then(|word| word.parse::<usize>().ok()).unwrap_or_default();
    match words.first().map(String::as_str) {
        Some("flood") => {
            let line =
                "the quick brown fox jumps over the lazy dog and compiles another file of this project\n";
            let piece = line.repeat(PIECE / line.len());
            for _ in 0..(count << 20) / piece.len() {
                sink.update(vec![Update::Stdout(piece.clone())]).await;
            }
        }
        Some("drip") => {
            for number in 0..count {
                sink.update(vec![Update::Stdout(format!(
                    "line {number} of a step that talks all the time\n"
                ))])
                .await;
            }
        }
        _ => sink.update(vec![Update::Stdout("done\n".into())]).await,
    }
}
