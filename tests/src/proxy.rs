//! A wire that a test can cut, stall, slow down and ruin.

use anyhow::Result;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What happens to the bytes of both directions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    /// Nothing passes, and nobody is told.
    Stall,
    /// The second half of each piece is lost.
    Lose,
    /// Each piece comes twice.
    Repeat,
    /// Each piece takes a while.
    Delay,
}

/// Pieces of a slow wire take so long.
const SLOW: Duration = Duration::from_millis(30);

#[derive(Default)]
struct State {
    /// Connections made before are over.
    cuts: u64,
    fault: Fault,
}

/// Passes TCP connections on to a port of this machine.
pub struct Proxy {
    port: u16,
    state: Arc<watch::Sender<State>>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    pub async fn to(port: u16) -> Result<Proxy> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let own = listener.local_addr()?.port();
        let state = Arc::new(watch::channel(State::default()).0);
        let states = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((from, _)) = listener.accept().await {
                tokio::spawn(pass_on(from, port, states.subscribe()));
            }
        });
        Ok(Proxy { port: own, state, task })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends every connection there is.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// From now on, for the connections there are and those to come.
    pub fn suffers(&self, fault: Fault) {
        self.state.send_modify(|state| state.fault = fault);
    }

    /// A sound wire again: connections that suffered are over.
    pub fn heals(&self) {
        self.state.send_modify(|state| *state = State { cuts: state.cuts + 1, fault: Fault::None });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass_on(mut from: TcpStream, port: u16, mut state: watch::Receiver<State>) {
    let Ok(mut to) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let cuts = state.borrow().cuts;
    let ((read, write), (read_back, write_back)) = (from.split(), to.split());
    let (there, back) = (state.clone(), state.clone());
    tokio::select! {
        _ = pump(read, write_back, there) => {}
        _ = pump(read_back, write, back) => {}
        _ = state.wait_for(|state| state.cuts != cuts) => {}
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    state: watch::Receiver<State>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        let piece = &buffer[..count];
        let fault = state.borrow().fault;
        match fault {
            Fault::None => to.write_all(piece).await?,
            Fault::Stall => {}
            Fault::Lose => to.write_all(&piece[..count / 2]).await?,
            Fault::Repeat => {
                to.write_all(piece).await?;
                to.write_all(piece).await?;
            }
            Fault::Delay => {
                tokio::time::sleep(SLOW).await;
                to.write_all(piece).await?;
            }
        }
    }
}
