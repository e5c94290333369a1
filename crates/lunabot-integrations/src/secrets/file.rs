//! `secrets.SecretInAFile`: a folder of files, each a secret (12.002).

use super::Provider;
use async_trait::async_trait;
use lunabot_model::kind::{self, Params};
use lunabot_model::{Category, Kind, StringOrList};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Longest file that is taken for a secret, in bytes.
const LONGEST: u64 = 1 << 20;

/// The options of `secrets.SecretInAFile`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretInAFileParams {
    /// The folder; relative to the configuration's.
    pub dirname: String,
    /// Only files that end so, and the secret's name is the rest. Default: all files, by their names.
    #[serde(default = "any_suffix")]
    pub suffixes: StringOrList,
    /// Leave out line breaks at the end. Default true.
    #[serde(default = "yes")]
    pub strip: bool,
    /// A name for the store itself; without effect.
    #[serde(default)]
    pub name: Option<String>,
}

fn any_suffix() -> StringOrList {
    StringOrList(vec![String::new()])
}
fn yes() -> bool {
    true
}

impl Params for SecretInAFileParams {}

/// Declares [`SecretInAFile`].
pub static SECRET_IN_A_FILE: Kind = Kind {
    namespace: "secrets",
    name: "SecretInAFile",
    aliases: &[],
    category: Category::Secret,
    positional: &["dirname", "suffixes", "strip"],
    flat: false,
    doc: "Secrets in the files of a folder, read when the configuration is loaded. Files that others may read, write \
          or run are refused.",
    schema: kind::schema_of::<SecretInAFileParams>,
    check: kind::check_as::<SecretInAFileParams>,
    callbacks: &[],
    extensible: false,
};

/// The secrets as they were when the configuration was loaded.
pub struct SecretInAFile(HashMap<String, String>);

impl SecretInAFile {
    /// Reads the folder. The errors name each file that is at fault.
    pub async fn load(params: SecretInAFileParams, base: &Path) -> Result<Self, Vec<String>> {
        let dir = base.join(&params.dirname);
        let reading = tokio::task::spawn_blocking(move || read_all(&dir, &params));
        reading.await.map_err(|e| vec![e.to_string()])?.map(SecretInAFile)
    }
}

#[async_trait]
impl Provider for SecretInAFile {
    async fn get(&self, name: &str) -> Result<Option<String>, String> {
        Ok(self.0.get(name).cloned())
    }
}

fn read_all(dir: &Path, params: &SecretInAFileParams) -> Result<HashMap<String, String>, Vec<String>> {
    let unreadable =
        |e: std::io::Error| vec![format!("dirname: cannot read the folder {}: {e}", dir.display())];
    let entries = std::fs::read_dir(dir).map_err(unreadable)?;
    let (mut secrets, mut errors) = (HashMap::new(), Vec::new());
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        match read_one(&path, params) {
            Ok(names) => secrets.extend(names),
            Err(problem) => errors.push(format!("{}: {problem}", path.display())),
        }
    }
    errors.sort();
    if errors.is_empty() { Ok(secrets) } else { Err(errors) }
}

/// The names under which a file is known, with its contents; none if no suffix fits.
fn read_one(path: &PathBuf, params: &SecretInAFileParams) -> Result<Vec<(String, String)>, String> {
    let Some(file) = path.file_name().and_then(|name| name.to_str()) else { return Ok(Vec::new()) };
    let names: Vec<&str> =
        params.suffixes.0.iter().filter_map(|suffix| file.strip_suffix(suffix.as_str())).collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    if std::fs::metadata(path).map_err(|e| e.to_string())?.is_dir() {
        return Ok(Vec::new());
    }
    let text = text_of(path)?;
    let value = if params.strip { text.trim_end_matches(['\r', '\n']) } else { &text };
    Ok(names.into_iter().map(|name| (name.to_string(), value.to_string())).collect())
}

/// What a file of secrets holds, if nobody else may use it.
pub(crate) fn text_of(path: &Path) -> Result<String, String> {
    let facts = std::fs::metadata(path).map_err(|e| e.to_string())?;
    let mode = facts.permissions().mode() & 0o777;
    if mode & 0o007 != 0 {
        return Err(format!("others may use this file (mode {mode:o}); run chmod o= on it"));
    }
    if !facts.is_file() || facts.len() > LONGEST {
        return Err(format!("not a file of at most {LONGEST} bytes"));
    }
    std::fs::read_to_string(path).map_err(|e| e.to_string())
}
