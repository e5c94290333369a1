//! Keys and credentials on the worker: files in a folder beside the tree, there only while the step runs (06.022).

use super::commands::Features;
use crate::source::unless_stopped;
use lunabot_engine::command::{Dict, RemoteCommand, names};
use lunabot_engine::step::{StepContext, StepError};
use lunabot_model::Json;
use lunabot_model::git::{RenderedAuth, credential_config, ssh_command};
use std::collections::BTreeMap;

/// The usual port of ssh.
const SSH_PORT: u16 = 22;
/// Commands of git that talk to a server.
const REMOTE: &[&str] = &["clone", "credential", "fetch", "ls-remote", "push", "submodule"];
/// Only the owner reads.
const PRIVATE: u32 = 0o400;

/// How git signs in.
pub struct Auth {
    rendered: RenderedAuth,
    /// The folder of the files, relative to the builder's; none if nothing has to be written.
    dir: Option<String>,
    /// Options and variables for the commands that need them.
    options: Vec<String>,
    env: BTreeMap<String, Json>,
    credentials_path: String,
}

impl Auth {
    /// The error says what the worker's git cannot do.
    pub fn new(
        rendered: RenderedAuth,
        port: u16,
        workdir: &str,
        cx: &StepContext,
        features: Features,
    ) -> Result<Self, StepError> {
        let dir = beside(workdir, cx);
        let base =
            cx.get_property("builddir").and_then(|dir| dir.as_str().map(String::from)).unwrap_or_default();
        let file = |name: &str| cx.join_path(&[&base, &dir, name]);
        let mut auth = Auth {
            dir: (!rendered.is_empty()).then_some(dir.clone()),
            options: Vec::new(),
            env: BTreeMap::new(),
            credentials_path: file("git-credentials"),
            rendered,
        };
        let key = auth.rendered.private_key().map(|_| file("ssh-key"));
        let hosts = auth.rendered.known_hosts().map(|_| file("ssh-known-hosts"));
        if key.is_some() || port != SSH_PORT {
            let mut command = ssh_command(key.as_deref(), hosts.as_deref());
            if port != SSH_PORT {
                command += &format!(" -p {port}");
            }
            auth.use_ssh(command, features)?;
        }
        if auth.has_credentials() {
            if !features.credential_store {
                return Err(StepError::Exception(
                    "the worker's git is too old for credentials (1.7.9)".into(),
                ));
            }
            auth.options.extend(credential_config(&auth.credentials_path, auth.rendered.use_http_path));
        }
        Ok(auth)
    }

    fn use_ssh(&mut self, command: String, features: Features) -> Result<(), StepError> {
        if features.ssh_option {
            self.options.extend(["-c".into(), format!("core.sshCommand={command}")]);
        } else if features.ssh_variable {
            self.env.insert("GIT_SSH_COMMAND".into(), command.into());
        } else {
            return Err(StepError::Exception("the worker's git is too old for sshPrivateKey (2.3)".into()));
        }
        Ok(())
    }

    fn has_credentials(&self) -> bool {
        !self.rendered.credentials("").is_empty()
    }

    /// Whether this command of git needs the files.
    pub fn serves(&self, command: &str) -> bool {
        self.dir.is_some() && REMOTE.contains(&command)
    }

    /// Options before, and variables for, a command of git.
    pub fn for_command(&self, command: &str) -> (Vec<String>, BTreeMap<String, Json>) {
        match REMOTE.contains(&command) {
            true => (self.options.clone(), self.env.clone()),
            false => (Vec::new(), BTreeMap::new()),
        }
    }

    /// Writes the files of ssh. Credentials are stored by git itself: their texts for `git credential approve` are
    /// returned.
    pub async fn write(&self, cx: &StepContext, repourl: &str) -> Result<Vec<String>, StepError> {
        let Some(dir) = &self.dir else { return Ok(Vec::new()) };
        if !cx.run_mkdir(dir).await? {
            return Err(StepError::Failed(format!("cannot make the folder {dir} on the worker")));
        }
        let files =
            [("ssh-key", self.rendered.private_key()), ("ssh-known-hosts", self.rendered.known_hosts())];
        for (name, content) in files {
            let Some(content) = content else { continue };
            let done =
                cx.download_file_content_to_worker(dir, name, content.as_bytes(), Some(PRIVATE)).await?;
            if unless_stopped(done)?.did_fail() {
                return Err(StepError::Failed(format!("cannot write {name} on the worker")));
            }
        }
        Ok(self.rendered.credentials(repourl))
    }

    /// Removes the files, in a stopped build too.
    pub async fn remove(&self, cx: &StepContext) -> Result<(), StepError> {
        let Some(dir) = &self.dir else { return Ok(()) };
        let args = Dict::new().with("dir", dir.as_str()).with("logEnviron", false);
        let command = RemoteCommand::new(names::RMDIR, args).even_when_stopped();
        match cx.run_command(command).await?.did_fail() {
            false => Ok(()),
            true => Err(StepError::Failed(format!("cannot remove the folder {dir} on the worker"))),
        }
    }
}

/// The folder for keys: beside the tree, because git clones only into an empty one.
fn beside(workdir: &str, cx: &StepContext) -> String {
    let trimmed = workdir.trim_end_matches(['/', '\\']);
    let (parent, name) = trimmed.rsplit_once(['/', '\\']).unwrap_or(("", trimmed));
    let name = format!(".{name}.buildbot");
    if parent.is_empty() { name } else { cx.join_path(&[parent, &name]) }
}
