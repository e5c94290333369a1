//! The master's side of the conversation.

use super::{Ask, Outcome, Said, short_name};
use anyhow::{Context as _, Result};
use lunabot_model::Clock;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};

/// How many conversations may go on at once; others wait.
const CONVERSATIONS: usize = 16;
/// The longest question, in bytes.
const LONGEST_ASK: u64 = 4096;
/// How long a caller may take to ask.
const ASK_WITHIN: Duration = Duration::from_secs(10);

/// A question with the place for its answer.
#[derive(Debug)]
pub struct Question {
    pub ask: Ask,
    pub answer: oneshot::Sender<Outcome>,
}

/// The bound socket; its file is removed when dropped.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
}

impl Server {
    /// Binds `path`. A file that is there was left behind: the caller holds the pid file.
    pub fn bind(path: &Path) -> Result<Self> {
        let _ = std::fs::remove_file(path);
        let (name, _folder) = short_name(path)?;
        let listener = UnixListener::bind(name).with_context(|| format!("cannot make {}", path.display()))?;
        std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
        Ok(Server { listener, path: path.to_owned() })
    }

    /// Hears callers and passes their questions on, until cancelled.
    pub async fn run<T>(self, clock: Arc<dyn Clock>, questions: mpsc::Sender<T>) -> Result<()>
    where
        T: From<Question> + Send + 'static,
    {
        let places = Arc::new(Semaphore::new(CONVERSATIONS));
        loop {
            let place = Arc::clone(&places).acquire_owned().await.context("the semaphore is never closed")?;
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, most likely: others will close some.
                    tracing::warn!("cannot accept a caller on {}: {error}", self.path.display());
                    clock.sleep(Duration::from_secs(1)).await;
                    continue;
                }
            };
            let (clock, questions) = (Arc::clone(&clock), questions.clone());
            tokio::spawn(async move {
                if let Err(error) = converse(stream, clock, questions).await {
                    tracing::debug!("a conversation on the control socket broke off: {error:#}");
                }
                drop(place);
            });
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn converse<T>(stream: UnixStream, clock: Arc<dyn Clock>, questions: mpsc::Sender<T>) -> Result<()>
where
    T: From<Question> + Send + 'static,
{
    let caller = stream.peer_cred()?.uid();
    if caller != 0 && caller != nix::unistd::geteuid().as_raw() {
        anyhow::bail!("user {caller} may not control this master");
    }
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut limited = BufReader::new(read.take(LONGEST_ASK));
    tokio::select! {
        read = limited.read_line(&mut line) => { read?; }
        () = clock.sleep(ASK_WITHIN) => anyhow::bail!("the caller asks nothing"),
    }
    let outcome = match serde_json::from_str(&line) {
        Ok(ask) => {
            let (answer, outcome) = oneshot::channel();
            questions.send(Question { ask, answer }.into()).await.ok().context("the master is stopping")?;
            outcome.await.context("the master is stopping")?
        }
        Err(error) => Outcome { ok: false, lines: vec![format!("the question was not understood: {error}")] },
    };
    write.write_all(&answer_text(&outcome)?).await?;
    Ok(())
}

fn answer_text(outcome: &Outcome) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let lines = outcome.lines.iter().cloned().map(Said::Line);
    for said in lines.chain([Said::Done { ok: outcome.ok }]) {
        serde_json::to_writer(&mut text, &said)?;
        text.push(b'\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::super::client;
    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn a_question_gets_its_answer_even_in_a_deep_folder() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a".repeat(60)).join("b".repeat(60));
        std::fs::create_dir_all(&deep).unwrap();
        let path = deep.join("lunabot.sock");
        let server = Server::bind(&path).unwrap();
        let (send, mut questions) = mpsc::channel::<Question>(1);
        let serving = tokio::spawn(server.run(Arc::new(SystemClock::new()), send));
        let socket = path.clone();
        let asking =
            tokio::task::spawn_blocking(move || client::ask_all(&socket, Ask::Plan, Duration::from_secs(10)));
        let question = questions.recv().await.unwrap();
        assert_eq!(question.ask, Ask::Plan);
        let outcome = Outcome { ok: true, lines: vec!["start builder b".into(), "tschüß\nzwei".into()] };
        question.answer.send(outcome.clone()).unwrap();
        assert_eq!(asking.await.unwrap().unwrap(), outcome);
        serving.abort();
        let _ = serving.await;
        assert!(!path.exists());
    }
}
