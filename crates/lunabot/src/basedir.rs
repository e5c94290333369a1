//! The folder of one master and the files in it.

use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};

/// The file that a configuration is looked for in.
pub const CONFIG_NAME: &str = "master.lua";

/// A master's folder (`DIR` on the command line) and its configuration, which may lie elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseDir {
    dir: PathBuf,
    config: PathBuf,
}

impl BaseDir {
    /// `dir` with the configuration `config` (relative to the current folder), or `dir/master.lua`.
    ///
    /// Paths are made absolute, because the master may outlive the shell's folder.
    pub fn new(dir: &Path, config: Option<&Path>) -> Result<Self> {
        let dir = absolute(dir)?;
        let config = match config {
            Some(config) => absolute(config)?,
            None => dir.join(CONFIG_NAME),
        };
        Ok(BaseDir { dir, config })
    }

    /// The same, but refused with a remedy where there is no configuration (16.016).
    pub fn existing(dir: &Path, config: Option<&Path>) -> Result<Self> {
        let base = Self::new(dir, config)?;
        if !base.dir.is_dir() && config.is_none() {
            bail!(
                "{} is not a folder; make a new master there with: lunabot create-master {0}",
                dir.display()
            );
        }
        if !base.config.is_file() {
            bail!(
                "{} is not a buildmaster directory: {} is missing; write one, or lay one down with: lunabot create-master {}",
                base.dir.display(),
                base.config.display(),
                dir.display()
            );
        }
        std::fs::create_dir_all(&base.dir)
            .with_context(|| format!("cannot make the folder {}", base.dir.display()))?;
        Ok(base)
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The configuration file.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The process id of the running master; locked while it runs (16.017).
    pub fn pid_file(&self) -> PathBuf {
        self.dir.join("lunabot.pid")
    }

    /// Where `start --daemon` logs; rotated (16.030).
    pub fn log_file(&self) -> PathBuf {
        self.dir.join("lunabot.log")
    }

    /// Where the commands talk to the running master.
    pub fn socket(&self) -> PathBuf {
        self.dir.join("lunabot.sock")
    }

    /// The folder of an embedded worker.
    pub fn worker(&self, name: &str) -> PathBuf {
        self.dir.join("workers").join(name)
    }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    if let Ok(found) = path.canonicalize() {
        return Ok(found);
    }
    std::path::absolute(path).with_context(|| format!("cannot find {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_a_configuration_is_no_master() {
        let dir = tempfile::tempdir().unwrap();
        let refused = BaseDir::existing(dir.path(), None).unwrap_err().to_string();
        assert!(refused.contains("not a buildmaster directory"), "{refused}");
        assert!(refused.contains("lunabot create-master"), "{refused}");
        std::fs::write(dir.path().join(CONFIG_NAME), "return {}").unwrap();
        let base = BaseDir::existing(dir.path(), None).unwrap();
        assert!(base.config().ends_with(CONFIG_NAME) && base.dir().is_absolute());
    }

    #[test]
    fn state_may_lie_apart_from_the_configuration() {
        let dir = tempfile::tempdir().unwrap();
        let (config, state) = (dir.path().join("ci.lua"), dir.path().join("state"));
        std::fs::write(&config, "return {}").unwrap();
        let base = BaseDir::existing(&state, Some(&config)).unwrap();
        assert_eq!(base.config(), config.canonicalize().unwrap());
        assert!(base.pid_file().starts_with(&state) && state.is_dir());
    }
}
