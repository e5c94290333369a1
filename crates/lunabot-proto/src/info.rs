//! What a worker tells about itself when it is attached (reference rows 08.003, 08.022).

use crate::{Dict, Value};

/// The worker's description of itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WorkerInfo {
    /// `posix` or `nt`: decides the path rules.
    pub system: String,
    /// The worker's base directory, absolute.
    pub basedir: String,
    /// Processors available to it.
    pub numcpus: u32,
    /// Version of the worker's program.
    pub version: String,
    /// The environment of its process. May hold secrets: for expansion only, never for display.
    pub environ: Vec<(String, String)>,
    /// Commands it knows, with the version of each.
    pub worker_commands: Vec<(String, String)>,
    /// Whether it deletes directories that belong to no builder.
    pub delete_leftover_dirs: bool,
    /// Everything else, as text: the files of `info/` (`admin`, `host`, `access_uri`, …) with their
    /// contents, and `os_*` from the os-release file.
    pub facts: Vec<(String, String)>,
}

/// A description that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("worker info: `{key}` must be {expected}")]
pub struct InfoError {
    /// The offending key.
    pub key: &'static str,
    /// What would be right.
    pub expected: &'static str,
}

impl WorkerInfo {
    /// One of [`WorkerInfo::facts`].
    pub fn fact(&self, key: &str) -> Option<&str> {
        self.facts.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// Version of a command, if the worker knows it.
    pub fn command_version(&self, name: &str) -> Option<&str> {
        self.worker_commands.iter().find(|(k, _)| k == name).map(|(_, v)| v.as_str())
    }

    /// The map of the wire protocols.
    pub fn to_dict(&self) -> Dict {
        let mut dict: Dict = self.facts.iter().cloned().collect();
        dict.insert("environ", self.environ.iter().cloned().collect::<Dict>());
        dict.insert("system", self.system.as_str());
        dict.insert("basedir", self.basedir.as_str());
        dict.insert("numcpus", self.numcpus);
        dict.insert("version", self.version.as_str());
        dict.insert("worker_commands", self.worker_commands.iter().cloned().collect::<Dict>());
        dict.insert("delete_leftover_dirs", self.delete_leftover_dirs);
        dict
    }

    /// Reads what a worker on a wire says, whatever it says: keys of a wrong type are as if missing, text in bytes is text.
    pub fn tolerant(value: Value) -> Self {
        let Value::Dict(dict) = value else { return Self::default() };
        let mut info = Self::default();
        for (key, value) in dict {
            let mut alone = Dict::new();
            alone.insert(key, textual(value));
            // One key at a time: what is wrong with one is no reason to forget the others.
            let Ok(read) = Self::from_dict(alone) else { continue };
            info.take(read);
        }
        info
    }

    /// Adds what `other` knows.
    fn take(&mut self, other: Self) {
        let Self { system, basedir, numcpus, version, environ, worker_commands, delete_leftover_dirs, facts } =
            other;
        for (mine, theirs) in
            [(&mut self.system, system), (&mut self.basedir, basedir), (&mut self.version, version)]
        {
            if !theirs.is_empty() {
                *mine = theirs;
            }
        }
        self.numcpus = self.numcpus.max(numcpus);
        self.environ.extend(environ);
        self.worker_commands.extend(worker_commands);
        self.delete_leftover_dirs |= delete_leftover_dirs;
        self.facts.extend(facts);
    }

    /// Reads the map of the wire protocols. Missing keys are as if empty; unknown keys with text
    /// become facts, others are dropped.
    pub fn from_dict(dict: Dict) -> Result<Self, InfoError> {
        let mut info = Self::default();
        for (key, value) in dict {
            match key.as_str() {
                "system" => info.system = text(value, "system")?,
                "basedir" => info.basedir = text(value, "basedir")?,
                "version" => info.version = text(value, "version")?,
                "environ" => info.environ = texts(value, "environ")?,
                "worker_commands" => info.worker_commands = texts(value, "worker_commands")?,
                "numcpus" => info.numcpus = count(&value)?,
                "delete_leftover_dirs" => info.delete_leftover_dirs = value.is_truthy(),
                _ => {
                    if let Value::Str(text) = value {
                        info.facts.push((key, text));
                    }
                }
            }
        }
        Ok(info)
    }
}

/// Bytes as text, also inside a map; what cannot be text is left out of one.
fn textual(value: Value) -> Value {
    match value {
        Value::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned().into(),
        Value::Dict(dict) => {
            let pairs = dict.into_iter().map(|(key, value)| (key, textual(value)));
            Value::Dict(pairs.filter(|(_, value)| value.as_str().is_some()).collect())
        }
        other => other,
    }
}

fn text(value: Value, key: &'static str) -> Result<String, InfoError> {
    match value {
        Value::Str(text) => Ok(text),
        Value::None => Ok(String::new()),
        _ => Err(InfoError { key, expected: "text" }),
    }
}

fn count(value: &Value) -> Result<u32, InfoError> {
    let number = value.as_i64().and_then(|n| u32::try_from(n).ok());
    number.ok_or(InfoError { key: "numcpus", expected: "a number of processors" })
}

fn texts(value: Value, key: &'static str) -> Result<Vec<(String, String)>, InfoError> {
    let Value::Dict(dict) = value else {
        return Err(InfoError { key, expected: "a map of text" });
    };
    dict.into_iter().map(|(name, value)| Ok((name, text(value, key)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_info_survives_its_map() {
        let info = WorkerInfo {
            system: "posix".into(),
            basedir: "/srv/w".into(),
            numcpus: 2,
            version: "4.3.0".into(),
            environ: vec![("PATH".into(), "/bin".into())],
            worker_commands: vec![("shell".into(), "3.3".into())],
            delete_leftover_dirs: true,
            facts: vec![("admin".into(), "Ada\n".into()), ("os_id".into(), "debian".into())],
        };
        assert_eq!(WorkerInfo::from_dict(info.to_dict()), Ok(info));
    }

    #[test]
    fn a_wrong_type_is_named() {
        let dict = Dict::new().with("basedir", 3);
        assert_eq!(WorkerInfo::from_dict(dict), Err(InfoError { key: "basedir", expected: "text" }));
    }
}
