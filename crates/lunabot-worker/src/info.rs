//! What the worker tells about itself.

use crate::WorkerOptions;
use lunabot_proto::{WorkerInfo, names};
use std::{collections::BTreeMap, ffi::OsString, fs, path::Path};

/// Version of every command, as the reference worker 4.3 reports it: masters adapt to it.
const COMMANDS_VERSION: &str = "3.3";

/// Largest file of `info/` that is reported, in bytes; more is cut.
const INFO_FILE_LIMIT: usize = 65_536;

/// Gathers the description (reference row 08.022). Reads files.
pub(crate) fn gather(options: &WorkerOptions, basedir: &Path) -> WorkerInfo {
    let mut facts = info_files(&basedir.join("info"));
    facts.extend(os_release());
    WorkerInfo {
        system: "posix".to_owned(),
        basedir: basedir.to_string_lossy().into_owned(),
        numcpus: options.numcpus.unwrap_or_else(processors),
        version: options.version.clone(),
        environ: environ(&options.env),
        worker_commands: names::ALL.iter().map(|n| ((*n).to_owned(), COMMANDS_VERSION.to_owned())).collect(),
        delete_leftover_dirs: options.delete_leftover_dirs,
        facts: facts.into_iter().collect(),
    }
}

fn processors() -> u32 {
    std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX))
}

/// Bytes that are not UTF-8 become U+FFFD: better than no description at all.
fn environ(env: &[(OsString, OsString)]) -> Vec<(String, String)> {
    let text = |s: &OsString| s.to_string_lossy().into_owned();
    env.iter().map(|(name, value)| (text(name), text(value))).collect()
}

fn info_files(dir: &Path) -> BTreeMap<String, String> {
    let Ok(entries) = fs::read_dir(dir) else { return BTreeMap::new() };
    let files = entries.flatten().filter(|entry| entry.path().is_file());
    files.filter_map(|entry| Some((entry.file_name().into_string().ok()?, read(&entry.path())?))).collect()
}

fn read(path: &Path) -> Option<String> {
    let mut bytes = fs::read(path).ok()?;
    bytes.truncate(INFO_FILE_LIMIT);
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The os-release file, keys lower-cased behind `os_`.
fn os_release() -> BTreeMap<String, String> {
    let text = read(Path::new("/etc/os-release")).or_else(|| read(Path::new("/usr/lib/os-release")));
    let text = text.unwrap_or_default();
    let pairs = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
    pairs.map(|(key, value)| (format!("os_{}", key.to_lowercase()), unquote(value))).collect()
}

fn unquote(value: &str) -> String {
    let value = value.trim();
    let inner = ['"', '\''].into_iter().find_map(|q| value.strip_prefix(q)?.strip_suffix(q));
    inner.unwrap_or(value).to_owned()
}
