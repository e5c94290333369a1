//! One errand at a master's PB port.

use super::place::Place;
use anyhow::{Context as _, Result, bail};
use lunabot_proto::pb::{Errand, PbCaller, Told};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// How long the login may take.
const ENTER: Duration = Duration::from_secs(30);
/// How long the answer to the errand may take: it is stored first.
const ANSWER: Duration = Duration::from_secs(120);
const CHUNK: usize = 64 * 1024;

/// Who goes where.
pub struct Visit<'a> {
    pub master: &'a Place,
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
        let mut stream = master.connect().await?;
        let mut caller = PbCaller::new(self.user, self.password, errand);
        let (mut limit, mut heard) = (Some(ENTER), false);
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
            let lost = || lost(master, limit.is_none());
            for bytes in caller.output() {
                stream.write_all(&bytes).await.with_context(lost)?;
            }
            stream.flush().await.with_context(lost)?;
            let reading = stream.read(&mut buffer);
            let read = match limit {
                Some(limit) => tokio::time::timeout(limit, reading)
                    .await
                    .with_context(|| silent(master, limit, heard))?,
                None => reading.await,
            };
            match read.with_context(lost)? {
                0 => bail!("{}", lost()),
                count => {
                    heard = true;
                    caller.feed(&buffer[..count]);
                }
            }
        }
    }
}

/// `heard`: it has spoken before; over PB the master begins.
fn silent(master: &Place, limit: Duration, heard: bool) -> String {
    let rest = if heard { "" } else { "; is its port one for TLS? Then write --master=tls:HOST:PORT" };
    format!("the master at {master} says nothing for {limit:?}{rest}")
}

/// What the end of the connection means; `taken`: the errand is done, only its outcome is missing.
fn lost(master: &Place, taken: bool) -> String {
    let rest = if taken {
        "; it has the job, and its builds go on, also after a restart: how they end is shown on its pages"
    } else {
        ""
    };
    format!("the master at {master} has closed the connection{rest}")
}
