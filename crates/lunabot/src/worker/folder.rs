//! What `create-worker` lays down.

use super::config::{self, FILE};
use crate::cli::CreateWorker;
use anyhow::{Context as _, Result, bail, ensure};
use lunabot_worker::remote::Address;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// What is laid down; words between `@` stand for values.
const SAMPLE: &str = include_str!("../../assets/worker.toml");
/// Where a password that was typed in is kept, in the worker's folder.
const PASSWORD: &str = "password";
/// Files with or about secrets are for their owner alone.
const SECRET: u32 = 0o600;
const PUBLIC: u32 = 0o644;

/// Makes the folder of a worker. `password` is one that was typed in; without it `args.passfile` names a file. Nothing that is there
/// is overwritten. Returns the configuration's path.
pub fn create(args: &CreateWorker, password: Option<&str>) -> Result<PathBuf> {
    let text = configuration(args, password.is_some())?;
    std::fs::create_dir_all(&args.dir)
        .with_context(|| format!("cannot make the folder {}", args.dir.display()))?;
    let file = args.dir.join(FILE);
    ensure!(!file.exists(), "{} exists already and was left as it is", file.display());
    if let Some(password) = password {
        let kept = args.dir.join(PASSWORD);
        ensure!(
            lay_down(&kept, &format!("{password}\n"), SECRET)?,
            "{} exists already; use it: lunabot create-worker DIR MASTER NAME {0}",
            kept.display()
        );
    }
    ensure!(lay_down(&file, &text, SECRET)?, "{} exists already and was left as it is", file.display());
    let info = args.dir.join("info");
    std::fs::create_dir_all(&info).with_context(|| format!("cannot make the folder {}", info.display()))?;
    lay_down(&info.join("admin"), "unknown; write a name and an address into info/admin\n", PUBLIC)?;
    lay_down(&info.join("host"), &host(), PUBLIC)?;
    Ok(file)
}

/// The text of the configuration.
fn configuration(args: &CreateWorker, typed: bool) -> Result<String> {
    let master = address(args)?;
    config::check_name(&args.name)?;
    let password_file = if typed { PASSWORD.to_owned() } else { absolute(&args.passfile)? };
    let ca_file = args.ca_file.as_deref().map(absolute).transpose()?;
    if let Some(mask) = &args.umask {
        config::octal(mask)?;
    }
    let shutdown = args.allow_shutdown.map(|how| format!("{how:?}").to_lowercase());
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    let leftover = args.delete_leftover_dirs.then(|| "true".to_owned());
    let text = SAMPLE
        .replace("@MASTER@", &quoted(&master.to_string())?)
        .replace("@NAME@", &quoted(&args.name)?)
        .replace("@PASSWORD_FILE@", &quoted(&password_file)?);
    let options = [
        ("ca_file", ca_file.map(|file| quoted(&file)).transpose()?, "\"ca.pem\"".to_owned()),
        ("keepalive", number(args.keepalive), config::KEEPALIVE.to_string()),
        ("maxdelay", number(args.maxdelay), config::MAX_DELAY.to_string()),
        ("maxretries", number(args.maxretries.map(u64::from)), "10".to_owned()),
        ("umask", args.umask.as_deref().map(quoted).transpose()?, "\"022\"".to_owned()),
        ("numcpus", number(args.numcpus.map(u64::from)), "4".to_owned()),
        ("allow_shutdown", shutdown.as_deref().map(quoted).transpose()?, "\"signal\"".to_owned()),
        ("delete_leftover_dirs", leftover, "false".to_owned()),
    ];
    Ok(options.into_iter().fold(text, |text, (key, value, example)| {
        let line = value.map_or_else(|| format!("# {key} = {example}"), |value| format!("{key} = {value}"));
        text.replace(&format!("@{}@", key.to_uppercase()), &line)
    }))
}

fn address(args: &CreateWorker) -> Result<Address> {
    let mut address: Address = args.master.parse().context("MASTER")?;
    address.tls |= args.use_tls;
    ensure!(
        address.tls || args.ca_file.is_none(),
        "--ca-file has no meaning without TLS: add --use-tls, or write the master's address as wss://HOST:PORT"
    );
    Ok(address)
}

/// A file that has to be there.
fn absolute(path: &Path) -> Result<String> {
    let found = path.canonicalize().with_context(|| format!("cannot find {}", path.display()))?;
    let text = found.to_str().with_context(|| format!("{} is no UTF-8", path.display()))?;
    Ok(text.to_owned())
}

/// Text as TOML has it; but for what is refused here, JSON writes it the same way.
fn quoted(text: &str) -> Result<String> {
    if text.contains(char::is_control) {
        bail!("{text:?} holds a control character");
    }
    Ok(serde_json::to_string(text)?)
}

/// Writes a file that is not there yet; false if it is.
fn lay_down(path: &Path, text: &str, mode: u32) -> Result<bool> {
    let made = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    match made.and_then(|mut file| file.write_all(text.as_bytes())) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot write {}", path.display())),
    }
}

fn host() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let (name, release) = (read("/proc/sys/kernel/hostname"), read("/proc/sys/kernel/osrelease"));
    let words = [name.as_str(), std::env::consts::OS, release.as_str(), std::env::consts::ARCH];
    let known: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
    known.join(" ") + "\n"
}

/// Says when others than its owner can read a password; `None`: they cannot.
pub fn readable_by_others(path: &Path) -> Option<String> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    (mode & 0o077 != 0).then(|| {
        format!("others can read the password in {} (mode {:o}); chmod 600 it", path.display(), mode & 0o777)
    })
}
