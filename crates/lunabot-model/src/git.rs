//! What pollers and steps share about git: credentials and ssh, as texts. Nothing here runs anything.

use crate::kind::{self, Category, Kind, Params};
use crate::{Json, Problem, Renderable};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `util.GitCredentialOptions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GitCredentialOptions {
    /// Texts in git's credential format: `url=https://…`, `username=…`, `password=…`, one per line.
    pub credentials: Vec<Renderable<String>>,
    /// Whether the path of an address counts when credentials are looked up.
    #[serde(default)]
    pub use_http_path: Option<bool>,
}

impl Params for GitCredentialOptions {}

/// Declares [`GitCredentialOptions`].
pub const GIT_CREDENTIAL_OPTIONS: Kind = Kind {
    namespace: "util",
    name: "GitCredentialOptions",
    aliases: &[],
    category: Category::Value,
    positional: &["credentials", "use_http_path"],
    flat: false,
    doc: "Credentials for git over HTTP, kept in a credential store that exists only while git runs.",
    schema: kind::schema_of::<GitCredentialOptions>,
    check: kind::check_as::<GitCredentialOptions>,
    callbacks: &[],
    extensible: false,
};

/// The options with which a poller or step signs in; the same names everywhere.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GitAuth {
    /// A private key in OpenSSH's format; written to a file that exists only while git runs.
    #[serde(rename = "sshPrivateKey")]
    pub ssh_private_key: Option<Renderable<String>>,
    /// The public key of the server (type and key); not together with `sshKnownHosts`.
    #[serde(rename = "sshHostKey")]
    pub ssh_host_key: Option<Renderable<String>>,
    /// The contents of a `known_hosts` file.
    #[serde(rename = "sshKnownHosts")]
    pub ssh_known_hosts: Option<Renderable<String>>,
    /// `{user, password}` for the address itself.
    pub auth_credentials: Option<Renderable<Vec<String>>>,
    /// A `util.GitCredentialOptions`.
    pub git_credentials: Option<crate::object::Object<GitCredentialOptions>>,
}

impl GitAuth {
    /// Combinations that cannot work.
    pub fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let hosts = [("sshHostKey", &self.ssh_host_key), ("sshKnownHosts", &self.ssh_known_hosts)];
        if hosts.iter().all(|(_, value)| value.is_some()) {
            problems.push(Problem::new("sshKnownHosts", "sshHostKey and sshKnownHosts exclude each other"));
        }
        if self.ssh_private_key.is_none() {
            let lone = hosts.iter().filter(|(_, value)| value.is_some());
            problems.extend(lone.map(|(name, _)| Problem::new(*name, "needs sshPrivateKey")));
        }
        if self.auth_credentials.as_ref().and_then(Renderable::literal).is_some_and(|pair| pair.len() != 2) {
            problems.push(Problem::new("auth_credentials", "must be a pair: {user, password}"));
        }
        problems
    }

    /// The same as a value to render; read the result with [`RenderedAuth::read`].
    pub fn to_render(&self) -> Json {
        let credentials = self.git_credentials.as_ref().map(|object| &object.args);
        serde_json::json!({
            "key": self.ssh_private_key, "host_key": self.ssh_host_key, "known_hosts": self.ssh_known_hosts,
            "pair": self.auth_credentials,
            "credentials": credentials.map_or(&[][..], |c| &c.credentials[..]),
            "use_http_path": credentials.and_then(|c| c.use_http_path),
        })
    }
}

/// [`GitAuth`] after rendering.
#[derive(Clone, Default, Deserialize)]
pub struct RenderedAuth {
    key: Option<String>,
    host_key: Option<String>,
    known_hosts: Option<String>,
    pair: Option<Vec<String>>,
    #[serde(default)]
    credentials: Vec<String>,
    /// See [`GitCredentialOptions::use_http_path`].
    pub use_http_path: Option<bool>,
}

impl RenderedAuth {
    pub fn read(rendered: &Json) -> Result<Self, String> {
        let auth: Self = crate::FromLua(rendered).read().map_err(|e| format!("git's credentials: {e}"))?;
        match auth.pair.as_ref().is_some_and(|pair| pair.len() != 2) {
            true => Err("auth_credentials must be a pair: {user, password}".into()),
            false => Ok(auth),
        }
    }

    /// Contents of the private key's file; ssh insists on the last line break.
    pub fn private_key(&self) -> Option<String> {
        self.key.as_ref().map(|key| if key.ends_with('\n') { key.clone() } else { format!("{key}\n") })
    }

    /// Contents of the known hosts file.
    pub fn known_hosts(&self) -> Option<String> {
        self.known_hosts.clone().or_else(|| self.host_key.as_ref().map(|key| format!("* {}\n", key.trim())))
    }

    /// What is fed to `git credential-store … store`, one run each.
    pub fn credentials(&self, repourl: &str) -> Vec<String> {
        let pair =
            self.pair.as_ref().map(|p| format!("url={repourl}\nusername={}\npassword={}\n", p[0], p[1]));
        let ended = |text: &String| if text.ends_with('\n') { text.clone() } else { format!("{text}\n") };
        pair.into_iter().chain(self.credentials.iter().map(ended)).collect()
    }

    /// Nothing to prepare.
    pub fn is_empty(&self) -> bool {
        self.key.is_none() && self.pair.is_none() && self.credentials.is_empty()
    }
}

/// The value of `GIT_SSH_COMMAND` or `core.sshCommand`: ssh that never asks, with this key and these hosts.
pub fn ssh_command(key: Option<&str>, known_hosts: Option<&str>) -> String {
    let mut command = "ssh -o BatchMode=yes".to_string();
    if let Some(path) = key {
        command += &format!(" -i {}", shell_quote(path));
    }
    if let Some(path) = known_hosts {
        command += &format!(" -o {}", shell_quote(&format!("UserKnownHostsFile={path}")));
    }
    command
}

/// `text` as one word of a POSIX shell.
pub fn shell_quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@%+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_string();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The options (`-c …`) that make git use the credential store at `path` and no other helper.
pub fn credential_config(path: &str, use_http_path: Option<bool>) -> Vec<String> {
    let helper = format!("credential.helper=store --file={}", shell_quote(path));
    let mut args: Vec<String> = vec!["-c".into(), "credential.helper=".into(), "-c".into(), helper];
    if let Some(value) = use_http_path {
        args.extend(["-c".into(), format!("credential.useHttpPath={value}")]);
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn hosts_need_a_key_and_exclude_each_other() {
        let auth: GitAuth = serde_json::from_value(json!({"sshHostKey": "a", "sshKnownHosts": "b"})).unwrap();
        assert_eq!(auth.validate().len(), 3);
        let auth: GitAuth = serde_json::from_value(json!({"auth_credentials": ["a"]})).unwrap();
        assert_eq!(auth.validate()[0].path, "auth_credentials");
    }

    #[test]
    fn rendered_credentials_are_what_git_reads() {
        let auth = RenderedAuth::read(&json!({"key": "K", "host_key": "ssh-ed25519 AA", "pair": ["u", "p"]}))
            .unwrap();
        assert_eq!(auth.private_key().as_deref(), Some("K\n"));
        assert_eq!(auth.known_hosts().as_deref(), Some("* ssh-ed25519 AA\n"));
        assert_eq!(auth.credentials("https://h/r"), ["url=https://h/r\nusername=u\npassword=p\n"]);
        assert_eq!(ssh_command(Some("/a b"), None), "ssh -o BatchMode=yes -i '/a b'");
    }
}
