//! From the options of `try` to a job.

use super::options::Settings;
use super::tree::{self, Tree, Wanted};
use crate::cli::clients::{Connect, Try};
use anyhow::{Context as _, Result, bail};
use clap::ValueEnum as _;
use lunabot_proto::{Dict, TryJob};
use std::io::Read as _;
use std::path::Path;

/// The options where they are not given, from the file.
pub fn complete(args: &mut Try, settings: &Settings) -> Result<()> {
    if args.connect.is_none()
        && let Some(connect) = settings.text(&["try_connect"])
    {
        let read = Connect::from_str(&connect, true);
        let wrong = |_| anyhow::anyhow!(".buildbot/options: try_connect is 'pb' or 'ssh', not {connect:?}");
        args.connect = Some(read.map_err(wrong)?);
    }
    let fill = |option: &mut Option<String>, names: &[&str]| {
        *option = option.take().or_else(|| settings.text(names));
    };
    fill(&mut args.master, &["try_master", "master"]);
    fill(&mut args.username, &["try_username"]);
    fill(&mut args.passwd, &["try_passwd", "try_password"]);
    fill(&mut args.host, &["try_host"]);
    fill(&mut args.port, &["try_port"]);
    fill(&mut args.jobdir, &["try_jobdir", "try_dir"]);
    fill(&mut args.ssh, &["try_ssh"]);
    fill(&mut args.buildbotbin, &["try_buildbotbin"]);
    fill(&mut args.who, &["try_who"]);
    fill(&mut args.comment, &["try_comment"]);
    fill(&mut args.vc, &["try_vc"]);
    fill(&mut args.branch, &["try_branch"]);
    fill(&mut args.repository, &["try_repository"]);
    fill(&mut args.topfile, &["try_topfile"]);
    if args.ca_file.is_none() {
        args.ca_file = settings.text(&["try_ca_file", "ca_file"]).map(Into::into);
    }
    if args.topdir.is_none() {
        args.topdir = settings.text(&["try_topdir"]).map(Into::into);
    }
    if args.builders.is_empty() {
        args.builders = settings.list("try_builders");
    }
    args.wait |= settings.truth("try_wait");
    args.quiet |= settings.truth("try_quiet");
    Ok(())
}

/// Makes the job of what is asked; `id` names it.
pub fn make(args: &Try, folder: &Path, id: String) -> Result<TryJob> {
    let tree = match &args.diff {
        Some(file) => Tree {
            branch: args.branch.clone(),
            base: args.baserev.clone(),
            level: args.patchlevel.unwrap_or(0),
            patch: content(file)?,
            top: String::new(),
        },
        None => of_work_tree(args, folder)?,
    };
    Ok(TryJob {
        id,
        branch: tree.branch,
        revision: tree.base,
        level: tree.level,
        patch: tree.patch,
        repository: args.repository.clone().unwrap_or(tree.top),
        project: String::new(),
        builders: args.builders.clone(),
        who: args.who.clone(),
        comment: args.comment.clone(),
        properties: properties(args)?,
    })
}

fn of_work_tree(args: &Try, folder: &Path) -> Result<Tree> {
    let vc = args
        .vc
        .as_deref()
        .context("--vc says what the work tree is: git, hg, svn or none; or give --diff")?;
    let wanted = Wanted {
        branch: args.branch.clone(),
        base: args.baserev.clone(),
        topdir: args.topdir.clone(),
        topfile: args.topfile.clone(),
    };
    tree::read(vc, folder, &wanted)
}

fn content(file: &Path) -> Result<Vec<u8>> {
    if file == Path::new("-") {
        let mut patch = Vec::new();
        std::io::stdin().lock().read_to_end(&mut patch).context("--diff: standard input")?;
        return Ok(patch);
    }
    std::fs::read(file).with_context(|| format!("--diff {}", file.display()))
}

fn properties(args: &Try) -> Result<Dict> {
    let lists = args.properties.iter().flat_map(|list| list.split(',')).filter(|pair| !pair.is_empty());
    let mut properties = Dict::new();
    for pair in lists.chain(args.property.iter().map(String::as_str)) {
        let Some((name, value)) = pair.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            bail!("a property is NAME=VALUE, not {pair:?}");
        };
        properties.insert(name, value);
    }
    Ok(properties)
}
