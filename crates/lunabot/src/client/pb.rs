//! One errand at a master's PB port.

use anyhow::{Context as _, Result, bail};
use lunabot_proto::pb::{Errand, PbCaller, Told};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long connecting, and the login, may take.
const ENTER: Duration = Duration::from_secs(30);
/// How long the answer to the errand may take: it is stored first.
const ANSWER: Duration = Duration::from_secs(120);
const CHUNK: usize = 64 * 1024;

/// Who goes where.
pub struct Visit<'a> {
    /// `HOST:PORT`.
    pub master: &'a str,
    pub user: &'a str,
    pub password: &'a str,
}

/// Whether to go on listening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Go {
    On,
    /// The answer is there, what follows may take as long as it does.
    Patiently,
    Home,
}

impl Visit<'_> {
    /// Runs the errand until `told` has heard enough.
    ///
    /// # Errors
    /// The master cannot be reached, does not let us in, or fails.
    pub fn run(&self, errand: Errand, told: &mut dyn FnMut(Told) -> Go) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.context("cannot start")?.block_on(self.go(errand, told))
    }

    async fn go(&self, errand: Errand, told: &mut dyn FnMut(Told) -> Go) -> Result<()> {
        let master = self.master;
        if master.rsplit_once(':').is_none_or(|(host, port)| host.is_empty() || port.parse::<u16>().is_err())
        {
            bail!("the master is named HOST:PORT, not {master:?}");
        }
        let connecting = tokio::time::timeout(ENTER, TcpStream::connect(master)).await;
        let connected = connecting.with_context(|| format!("{master} does not answer within {ENTER:?}"))?;
        let mut stream = connected.with_context(|| format!("cannot connect to {master}"))?;
        let mut caller = PbCaller::new(self.user, self.password, errand);
        let mut limit = Some(ENTER);
        let mut buffer = vec![0; CHUNK];
        loop {
            while let Some(news) = caller.told().with_context(|| format!("the master at {master}"))? {
                let entered = news == Told::Entered;
                match told(news) {
                    Go::Home => return Ok(()),
                    Go::On if entered => limit = Some(ANSWER),
                    Go::On => {}
                    Go::Patiently => limit = None,
                }
            }
            for bytes in caller.output() {
                stream.write_all(&bytes).await.with_context(|| lost(master))?;
            }
            let reading = stream.read(&mut buffer);
            let read = match limit {
                Some(limit) => tokio::time::timeout(limit, reading)
                    .await
                    .with_context(|| format!("the master at {master} says nothing for {limit:?}"))?,
                None => reading.await,
            };
            match read.with_context(|| lost(master))? {
                0 => bail!("{}", lost(master)),
                count => caller.feed(&buffer[..count]),
            }
        }
    }
}

fn lost(master: &str) -> String {
    format!("the master at {master} has closed the connection")
}
