//! `worker.toml`: what the owner of a worker decides.

use anyhow::{Context as _, Result, bail, ensure};
use clap::ValueEnum;
use lunabot_worker::WorkerOptions;
use lunabot_worker::remote::{Address, RemoteOptions};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The file's name in the worker's folder.
pub const FILE: &str = "worker.toml";
/// Seconds of silence before the master is asked whether it is there.
pub const KEEPALIVE: u64 = 60;
/// Longest wait between tries to connect, in seconds.
pub const MAX_DELAY: u64 = 60;
/// Longer times, in seconds, are no times that anybody means.
const LONGEST: u64 = 365 * 24 * 3600;

/// Variables by which a service manager talks to the worker: nothing for builds.
const SERVICE: [&str; 5] = ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID"];

/// How an owner ends a worker gracefully (16.021).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum AllowShutdown {
    /// With SIGHUP.
    #[default]
    Signal,
    /// By touching `shutdown.stamp` in the worker's folder.
    File,
    None,
}

/// A worker as it is to run.
pub struct Config {
    pub remote: RemoteOptions,
    /// File creation mask of the process and of what it runs.
    pub umask: Option<u32>,
    pub allow_shutdown: AllowShutdown,
}

/// The file, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    master: String,
    name: String,
    password_file: Option<PathBuf>,
    /// Refused, and its value never repeated.
    password: Option<IgnoredAny>,
    ca_file: Option<PathBuf>,
    keepalive: Option<u64>,
    maxdelay: Option<u64>,
    maxretries: Option<u32>,
    umask: Option<String>,
    numcpus: Option<u32>,
    #[serde(default)]
    allow_shutdown: AllowShutdown,
    #[serde(default)]
    delete_leftover_dirs: bool,
}

/// Reads the configuration in `dir`, which is absolute.
///
/// # Errors
/// There is none, or it is wrong; says where and what would be right.
pub fn load(dir: &Path) -> Result<Config> {
    let file = dir.join(FILE);
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => bail!(
            "{} is no worker's folder: {FILE} is missing; lay one down with: lunabot create-worker DIR MASTER NAME PASSFILE",
            dir.display()
        ),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
    };
    read(&text, dir).with_context(|| file.display().to_string())
}

fn read(text: &str, dir: &Path) -> Result<Config> {
    let written: Written =
        toml::from_str(text).map_err(|error| anyhow::anyhow!("{}", error.to_string().trim_end()))?;
    ensure!(
        written.password.is_none(),
        "no password stands here: write it into a file of its own and name that with password_file"
    );
    let Some(password_file) = written.password_file else { bail!("password_file is missing") };
    let address: Address = written.master.parse().context("master")?;
    check_name(&written.name)?;
    let ca_file = written.ca_file.map(|file| dir.join(file));
    if ca_file.is_some() && !address.tls {
        bail!("ca_file has no meaning without TLS: let master begin with wss://");
    }
    let mut worker = WorkerOptions::new(dir);
    let umask = written.umask.as_deref().map(octal).transpose()?;
    worker.env.retain(|(name, _)| !SERVICE.iter().any(|service| name == service));
    worker.numcpus = written.numcpus;
    worker.delete_leftover_dirs = written.delete_leftover_dirs;
    let keepalive = seconds("keepalive", written.keepalive.unwrap_or(KEEPALIVE))?;
    let max_delay = seconds("maxdelay", written.maxdelay.unwrap_or(MAX_DELAY))?;
    ensure!(!max_delay.is_zero(), "maxdelay must be 1 or more");
    let remote = RemoteOptions {
        worker,
        address,
        name: written.name,
        password_file: dir.join(password_file),
        ca_file,
        keepalive: (!keepalive.is_zero()).then_some(keepalive),
        max_delay,
        max_retries: written.maxretries,
        now,
        chance: rand::random::<f64>,
    };
    Ok(Config { remote, umask, allow_shutdown: written.allow_shutdown })
}

/// A name goes before a colon in the login.
pub fn check_name(name: &str) -> Result<()> {
    let bad = name.is_empty() || name.contains(':') || name.contains(char::is_control);
    ensure!(!bad, "name {name:?}: a worker's name is not empty and holds no colon and no control characters");
    Ok(())
}

/// A file creation mask.
pub fn octal(text: &str) -> Result<u32> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let mask = u32::from_str_radix(digits, 8).ok().filter(|mask| *mask <= 0o777);
    mask.with_context(|| format!("umask {text:?}: expected octal digits up to 777, such as \"022\""))
}

fn seconds(key: &str, number: u64) -> Result<Duration> {
    ensure!(number <= LONGEST, "{key} {number}: expected at most {LONGEST} seconds");
    Ok(Duration::from_secs(number))
}

#[expect(clippy::disallowed_methods, reason = "this is the clock that the worker is given")]
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = "master = 'h:9990'\nname = 'w1'\npassword_file = 'password'\n";

    fn config(more: &str) -> Result<Config> {
        read(&format!("{LEAST}{more}"), Path::new("/srv/w"))
    }

    #[test]
    fn row_16_019_every_option_is_read() {
        let all = "keepalive = 0\nmaxdelay = 5\nmaxretries = 3\numask = '027'\nnumcpus = 7\nallow_shutdown = 'file'\n\
            delete_leftover_dirs = true\n";
        let Config { remote, umask, allow_shutdown } = config(all).unwrap();
        assert_eq!(remote.address.to_string(), "ws://h:9990");
        assert_eq!(remote.password_file, Path::new("/srv/w/password"));
        assert_eq!((remote.keepalive, remote.max_delay), (None, Duration::from_secs(5)));
        assert_eq!((remote.max_retries, umask, remote.worker.numcpus), (Some(3), Some(0o027), Some(7)));
        assert_eq!((allow_shutdown, remote.worker.delete_leftover_dirs), (AllowShutdown::File, true));
        let Config { remote, umask: None, allow_shutdown } = config("").unwrap() else { panic!("no umask") };
        assert_eq!((remote.keepalive, remote.max_retries), (Some(Duration::from_secs(60)), None));
        assert_eq!(allow_shutdown, AllowShutdown::Signal);
    }

    #[test]
    fn what_is_wrong_is_named_and_a_password_is_not_repeated() {
        for (text, part) in [
            (LEAST.replace("h:9990", "pb://h"), "scheme pb"),
            (LEAST.replace("w1", "a:b"), "holds no colon"),
            (LEAST.replace("password_file = 'password'", ""), "password_file is missing"),
            (format!("{LEAST}password = 'hush'"), "password_file"),
            (format!("{LEAST}keepalife = 3"), "unknown field `keepalife`"),
            (format!("{LEAST}umask = '8'"), "octal digits"),
            (format!("{LEAST}maxdelay = 0"), "1 or more"),
            (format!("{LEAST}keepalive = 99999999999"), "at most"),
            (format!("{LEAST}ca_file = 'ca.pem'"), "wss://"),
            (format!("{LEAST}allow_shutdown = 'sometimes'"), "unknown variant"),
        ] {
            let error = format!("{:#}", read(&text, Path::new("/srv/w")).err().unwrap());
            assert!(error.contains(part) && !error.contains("hush"), "{text}: {error}");
        }
    }
}
