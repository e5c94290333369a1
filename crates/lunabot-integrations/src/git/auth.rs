//! Keys and credentials as files that exist only while git runs, readable by nobody else.

use super::{Git, GitError};
use lunabot_model::git::{RenderedAuth, credential_config, ssh_command};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The folder with the files of one poll; gone when this is dropped.
#[derive(Debug)]
pub struct AuthFiles {
    dir: Option<PathBuf>,
    env: Vec<(String, String)>,
    options: Vec<String>,
}

impl AuthFiles {
    /// Writes what `auth` needs below `dir`, replacing what a killed process may have left there.
    pub async fn write(
        auth: &RenderedAuth,
        repourl: &str,
        dir: PathBuf,
        git: &Git,
    ) -> Result<Self, GitError> {
        let mut files = AuthFiles { dir: None, env: Vec::new(), options: Vec::new() };
        if auth.is_empty() {
            return Ok(files);
        }
        let (target, key, hosts) = (dir.clone(), auth.private_key(), auth.known_hosts());
        files.dir = Some(dir.clone());
        let written =
            tokio::task::spawn_blocking(move || write_files(&target, key.as_deref(), hosts.as_deref()));
        let io =
            |e: std::io::Error| GitError::File { path: dir.display().to_string(), reason: e.to_string() };
        let (key, hosts) = written.await.map_err(|e| io(std::io::Error::other(e)))?.map_err(io)?;
        if let Some(key) = key {
            files.env.push(("GIT_SSH_COMMAND".into(), ssh_command(Some(&key), hosts.as_deref())));
        }
        let credentials = auth.credentials(repourl);
        if !credentials.is_empty() {
            let store = dir.join("credentials").display().to_string();
            for one in &credentials {
                git.ask(&["credential-store", &format!("--file={store}"), "store"], one.as_bytes()).await?;
            }
            files.options = credential_config(&store, auth.use_http_path);
        }
        Ok(files)
    }

    /// The variables and leading options with which git finds the files.
    pub fn apply(&self, git: Git) -> Git {
        git.with(self.env.clone(), self.options.clone())
    }
}

impl Drop for AuthFiles {
    fn drop(&mut self) {
        let Some(dir) = self.dir.take() else { return };
        let remove = move || {
            if let Err(error) = std::fs::remove_dir_all(&dir)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::error!(path = %dir.display(), %error, "cannot remove the folder with git's credentials");
            }
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

type Paths = (Option<String>, Option<String>);

fn write_files(dir: &Path, key: Option<&str>, hosts: Option<&str>) -> std::io::Result<Paths> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?,
    }
    let write = |name: &str, text: Option<&str>| -> std::io::Result<Option<String>> {
        let Some(text) = text else { return Ok(None) };
        let path = dir.join(name);
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(text.as_bytes())?;
        Ok(Some(path.display().to_string()))
    };
    Ok((write("key", key)?, write("known_hosts", hosts)?))
}
