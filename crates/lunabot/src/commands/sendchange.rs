//! `lunabot sendchange`: reports a change to a PBChangeSource (16.008).

use crate::cli::clients::Sendchange;
use crate::client::options::Settings;
use crate::client::pb::{Go, Visit};
use crate::client::place::Place;
use crate::client::secret;
use crate::ui;
use anyhow::{Context as _, Result, bail};
use lunabot_proto::pb::{Errand, Told};
use lunabot_proto::{Dict, Value};
use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

const DEFAULT_AUTH: &str = "change:changepw";
/// The kinds of repositories that clients may name.
const VCS: &[&str] = &["cvs", "svn", "darcs", "hg", "bzr", "git", "mtn", "p4"];

/// Exit status 0: the change is stored; 1: it is not.
pub fn run(args: &Sendchange) -> Result<ExitCode> {
    let settings = Settings::here()?;
    let master = args.master.clone().or_else(|| settings.text(&["master"]));
    let master = master.context("--master=HOST:PORT says where the PBChangeSource listens")?;
    let ca_file = args.ca_file.clone().or_else(|| settings.text(&["ca_file"]).map(Into::into));
    let master = Place::of(&master, ca_file)?;
    let change = change(args, &settings)?;
    let auth = args.auth.clone().or_else(|| settings.text(&["auth"])).unwrap_or(DEFAULT_AUTH.into());
    let (user, password) = match auth.split_once(':') {
        Some((user, password)) => (user.to_owned(), password.to_owned()),
        None => {
            (auth.clone(), secret::ask(&auth, "write --auth=USER:PASSWORD, or set LUNABOT_SENDCHANGE_AUTH")?)
        }
    };
    let visit = Visit { master: &master, user: &user, password: &password };
    visit.run(Errand::Change(change), &mut |told| if told == Told::Done { Go::Home } else { Go::On })?;
    ui::out("change sent successfully");
    Ok(ExitCode::SUCCESS)
}

/// The keys that masters know.
fn change(args: &Sendchange, settings: &Settings) -> Result<Dict> {
    if !matches!(args.encoding.to_lowercase().as_str(), "utf8" | "utf-8") {
        bail!("--encoding={} is not supported: values are UTF-8", args.encoding);
    }
    let who = args.who.clone().or_else(|| settings.text(&["who"])).context("--who names the author")?;
    let vc = args.vc.clone().or_else(|| settings.text(&["vc"]));
    if let Some(other) = vc.as_deref().filter(|vc| !VCS.contains(vc)) {
        bail!("--vc={other} is not known; there are {}", VCS.join(", "));
    }
    let mut properties = Dict::new();
    for property in &args.properties {
        let Some((name, value)) = property.split_once(':').filter(|(name, _)| !name.is_empty()) else {
            bail!("a property is NAME:VALUE, not {property:?}");
        };
        properties.insert(name, value);
    }
    let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
    let mut change = Dict::new()
        .with("project", or_empty(&args.project))
        .with("repository", or_empty(&args.repository))
        .with("who", who)
        .with("files", args.files.clone())
        .with("comments", comments(args)?)
        .with("branch", args.branch.clone().or_else(|| settings.text(&["branch"])))
        .with("revision", revision(args)?)
        .with("category", args.category.clone().or_else(|| settings.text(&["category"])))
        .with("when", args.when.map_or(Value::None, Value::Float))
        .with("properties", properties)
        .with("revlink", or_empty(&args.revlink))
        .with("src", vc);
    if let Some(codebase) = &args.codebase {
        change.insert("codebase", codebase.as_str());
    }
    Ok(change)
}

fn comments(args: &Sendchange) -> Result<String> {
    match (&args.comments, args.logfile.as_deref()) {
        (Some(comments), _) => Ok(comments.clone()),
        (None, Some(file)) if file == Path::new("-") => {
            let mut text = String::new();
            std::io::stdin().lock().read_to_string(&mut text).context("--logfile: standard input")?;
            Ok(text)
        }
        (None, Some(file)) => {
            std::fs::read_to_string(file).with_context(|| format!("--logfile {}", file.display()))
        }
        (None, None) => Ok(String::new()),
    }
}

fn revision(args: &Sendchange) -> Result<Option<String>> {
    match (&args.revision, &args.revision_file) {
        (Some(revision), _) => Ok(Some(revision.clone())),
        (None, Some(file)) => {
            let text = std::fs::read_to_string(file);
            text.map(|text| Some(text.trim().to_owned()))
                .with_context(|| format!("--revision_file {}", file.display()))
        }
        (None, None) => Ok(None),
    }
}
