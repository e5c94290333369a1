//! Finding the client's files when a configuration is loaded.

use super::{Client, Plugin, page};
use crate::dashboards::{Dashboards, PLUGIN as DASHBOARDS};
use lunabot_model::Json;
use lunabot_model::config::{ClientConfig, Config, ConfigError};
use serde_json::{Map, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where the client is unless the configuration says otherwise.
const PATH: &str = "/client/";
/// First parts of paths that lead to the master's own pages, and what may come there.
const TAKEN: &[&str] = &[
    "about",
    "api",
    "auth",
    "avatar",
    "builders",
    "buildrequests",
    "builds",
    "change_hook",
    "dashboards",
    "changes",
    "config",
    "health",
    "live",
    "livez",
    "metrics",
    "pending",
    "pendingbuildrequests",
    "plugins",
    "readyz",
    "robots.txt",
    "schedulers",
    "sse",
    "static",
    "workers",
    "ws",
];
/// Plug-ins that need no client.
const OWN: &[&str] = &[BADGES, DASHBOARDS];
const BADGES: &str = "badges";
/// Plug-ins of Buildbot that are not folders of files.
const OTHER: &[(&str, &str)] =
    &[(BADGES, "belongs into www.plugins"), ("base_react", "is the client itself, leave it out")];

impl Client {
    /// Reads the client that a configuration names; none if it names none. Relative paths begin at `folder`.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its path in the configuration.
    pub async fn load(
        config: &Config,
        folder: &Path,
        dashboards: &Dashboards,
    ) -> Result<Option<Client>, Vec<ConfigError>> {
        let www = &config.www;
        let Some(client) = &www.client else {
            let only = [
                ("plugins", www.plugins.keys().all(|name| OWN.contains(&name.as_str()))),
                ("theme", www.theme.is_empty()),
                ("ui_default_config", www.ui_default_config.is_empty()),
                ("default_page", www.default_page.is_none()),
                ("versions", www.versions.is_empty()),
            ];
            let given = only.iter().filter(|(_, absent)| !absent);
            let text = "is for Buildbot's web client; set www.client = {dir = …}, or leave it out: the master's own pages need none";
            let errors: Vec<_> = given.map(|(key, _)| error(key, text)).collect();
            return if errors.is_empty() { Ok(None) } else { Err(errors) };
        };
        let mut errors = Vec::new();
        let path = path(client).map_err(|e| errors.push(e));
        let page = read_page(client, folder, &www.theme).await.map_err(|e| errors.push(e));
        let mut plugins = BTreeMap::new();
        let here = client.plugins.iter().map(|(name, settings)| ("client.plugins", name, settings));
        let views = www.plugins.iter().filter(|(name, _)| !OWN.contains(&name.as_str()));
        let there = views.map(|(name, settings)| ("plugins", name, settings));
        for (place, name, settings) in here.chain(there) {
            match plugin(client, &format!("{place}.{name}"), name, settings, folder).await {
                Ok(plugin) => drop(plugins.insert(name.clone(), plugin)),
                Err(e) => errors.push(e),
            }
        }
        if dashboards.iter().next().is_some() {
            match self::dashboards(client, www.plugins.contains_key(DASHBOARDS), dashboards, folder).await {
                Ok(plugin) => plugins.extend(plugin.map(|plugin| (DASHBOARDS.to_owned(), plugin))),
                Err(e) => errors.push(e),
            }
        }
        match (path, page) {
            (Ok(path), Ok(page)) if errors.is_empty() => {
                let settings = settings(config, &path, &plugins);
                Ok(Some(Client { path, dir: folder.join(&client.dir), plugins, page, settings }))
            }
            _ => Err(errors),
        }
    }
}

fn error(path: &str, message: impl Into<String>) -> ConfigError {
    ConfigError { file: String::new(), line: None, path: format!("www.{path}"), message: message.into() }
}

fn path(client: &ClientConfig) -> Result<String, ConfigError> {
    let given = client.path.as_deref().unwrap_or(PATH);
    let parts: Vec<&str> = given.split('/').filter(|part| !part.is_empty()).collect();
    let plain =
        |part: &str| part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)) && part != "..";
    match parts.first() {
        None => Err(error("client.path", "the master's own pages are at /; choose a path such as /client/")),
        Some(first) if TAKEN.contains(first) => {
            Err(error("client.path", format!("/{first} is in use; choose another, such as /client/")))
        }
        _ if !parts.iter().all(|part| plain(part)) => {
            Err(error("client.path", format!("{given} must be made of letters, digits, - . _ ~ and /")))
        }
        _ => Ok(format!("/{}/", parts.join("/"))),
    }
}

async fn read_page(
    client: &ClientConfig,
    folder: &Path,
    theme: &BTreeMap<String, String>,
) -> Result<(String, String), ConfigError> {
    let file = folder.join(&client.dir).join("index.html");
    let wrong = |why: String| {
        let text = format!(
            "{}: {why}; it should be the folder static of the Python package buildbot_www",
            file.display()
        );
        error("client.dir", text)
    };
    let html = tokio::fs::read_to_string(&file).await.map_err(|e| wrong(e.to_string()))?;
    page::split(&html, theme).map_err(|why| match why {
        page::Wrong::Page => wrong("it is not the page of Buildbot 4's client".into()),
        page::Wrong::Theme(name) => {
            error(&format!("theme.{name}"), "names are letters, digits and -, values hold no ; { } < >")
        }
        page::Wrong::Unknown(name, near) => {
            let hint = near.map_or(String::new(), |near| format!(", did you mean {near}?"));
            error(&format!("theme.{name}"), format!("the client has no such colour{hint}"))
        }
    })
}

async fn plugin(
    client: &ClientConfig,
    at: &str,
    name: &str,
    settings: &Json,
    folder: &Path,
) -> Result<Plugin, ConfigError> {
    if let Some((_, why)) = OTHER.iter().find(|(other, _)| *other == name) {
        return Err(error(at, *why));
    }
    let mut settings = match settings {
        Json::Object(settings) => settings.clone(),
        Json::Bool(true) => Map::new(),
        Json::Array(none) if none.is_empty() => Map::new(),
        Json::Array(_) if name == "wsgi_dashboards" => {
            return Err(error(
                at,
                "dashboards are listed in c.www.dashboards; here are the client's settings, {} for none",
            ));
        }
        _ => return Err(error(at, "expected a table of settings, {} for none")),
    };
    let dir = match settings.remove("dir") {
        Some(Json::String(dir)) => folder.join(dir),
        Some(_) => return Err(error(&format!("{at}.dir"), "expected the path of a folder")),
        None => beside(&folder.join(&client.dir), name),
    };
    if !tokio::fs::try_exists(dir.join("scripts.js")).await.unwrap_or(false) {
        let text = format!(
            "there is no {}; install the Python package buildbot-{}, or name its folder static as dir",
            dir.join("scripts.js").display(),
            name.replace('_', "-"),
        );
        return Err(error(at, text));
    }
    Ok(Plugin { dir, settings: Json::Object(settings) })
}

/// The plug-in that shows dashboards in the client. Unless it was asked for by its name, it may be missing: the master's pages
/// show them too.
async fn dashboards(
    client: &ClientConfig,
    wanted: bool,
    all: &Dashboards,
    folder: &Path,
) -> Result<Option<Plugin>, ConfigError> {
    let found = plugin(client, &format!("plugins.{DASHBOARDS}"), DASHBOARDS, &Json::Bool(true), folder).await;
    match found {
        Ok(plugin) => Ok(Some(Plugin { settings: all.for_client(), ..plugin })),
        Err(_) if !wanted => Ok(None),
        Err(error) => Err(error),
    }
}

/// `…/buildbot_www/static` → `…/buildbot_NAME/static`.
fn beside(client: &Path, name: &str) -> PathBuf {
    let packages = client.parent().and_then(Path::parent).unwrap_or(Path::new(".."));
    packages.join(format!("buildbot_{name}")).join("static")
}

/// The keys that the client was recorded to need, without who asks.
fn settings(config: &Config, path: &str, plugins: &BTreeMap<String, Plugin>) -> Json {
    let plugins: Map<String, Json> =
        plugins.iter().map(|(name, plugin)| (name.clone(), plugin.settings.clone())).collect();
    let mut versions = vec![("Lunabot".to_owned(), env!("CARGO_PKG_VERSION").to_owned())];
    versions.extend(config.www.versions.iter().cloned());
    let mut settings = json!({
        "port": config.www.port,
        "plugins": plugins,
        "authz": {},
        "avatar_methods": {"name": "gravatar"},
        "ui_default_config": config.www.ui_default_config,
        "versions": versions,
        // The client compares it with where it is.
        "buildbotURL": format!("{}{path}", config.buildbot_url.trim_end_matches('/')),
        "title": config.title,
        "titleURL": slashed(&config.title_url),
        "multiMaster": false,
    });
    if let Some(page) = &config.www.default_page {
        settings["default_page"] = page.as_str().into();
    }
    settings
}

fn slashed(url: &str) -> String {
    if url.is_empty() || url.ends_with('/') { url.to_owned() } else { format!("{url}/") }
}
