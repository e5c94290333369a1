//! `lunabot try`: has somebody's work tree built (16.009).

use crate::cli::clients::{Connect, Try};
use crate::client::options::Settings;
use crate::client::pb::{Go, Visit};
use crate::client::place::Place;
use crate::client::progress::Progress;
use crate::client::{job, secret, ssh, tree};
use crate::clock::SystemClock;
use crate::ui;
use anyhow::{Context as _, Result, bail};
use lunabot_model::Clock as _;
use lunabot_proto::TryJob;
use lunabot_proto::pb::{Errand, Told};
use std::process::ExitCode;

/// Exit status 0: the job was taken, and if it was waited for, all went well; 1: not so.
pub fn run(mut args: Try) -> Result<ExitCode> {
    job::complete(&mut args, &Settings::here()?)?;
    let connect = args.connect.context("--connect says how to reach the master: pb or ssh")?;
    match (connect, args.get_builder_names) {
        (Connect::Pb, true) => return names(&args),
        (Connect::Ssh, true) => bail!("--get-builder-names works with --connect=pb only"),
        (Connect::Pb | Connect::Ssh, false) => {}
    }
    let job = job::make(&args, &std::env::current_dir()?, id())?;
    if job.patch.is_empty() && args.vc.as_deref() != Some("none") {
        ui::err("there is nothing to try: the patch is empty; the base is built as it is");
    }
    if args.dryrun {
        show(&job);
        return Ok(ExitCode::SUCCESS);
    }
    match connect {
        Connect::Pb => over_pb(&args, job),
        Connect::Ssh => {
            ssh::deliver(&args, &job)?;
            ui::out("the job has been delivered");
            if args.wait {
                ui::err("over ssh the builds cannot be waited for");
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Told from all others: the time and this process.
fn id() -> String {
    format!("{}-{}", SystemClock::new().now().0, std::process::id())
}

fn login(args: &Try) -> Result<(Place, String, String)> {
    let master = args.master.as_deref().context("--master=HOST:PORT says where the Try_Userpass listens")?;
    let master = Place::of(master, args.ca_file.clone())?;
    let user = args.username.clone().context("--username names the user of the Try_Userpass")?;
    let password = match &args.passwd {
        Some(password) => password.clone(),
        None => secret::ask(&user, "give --passwd, or set LUNABOT_TRY_PASSWD")?,
    };
    Ok((master, user, password))
}

fn names(args: &Try) -> Result<ExitCode> {
    let (master, user, password) = login(args)?;
    let visit = Visit { master: &master, user: &user, password: &password };
    visit.run(Errand::BuilderNames, &mut |told| match told {
        Told::Names(names) => {
            names.iter().for_each(|name| ui::out(name));
            Go::Home
        }
        _ => Go::On,
    })?;
    Ok(ExitCode::SUCCESS)
}

fn over_pb(args: &Try, job: TryJob) -> Result<ExitCode> {
    if job.patch.len() > tree::MAX_PATCH {
        bail!(
            "the patch holds {} bytes; PB carries {} at most: use --connect=ssh, or push a branch",
            job.patch.len(),
            tree::MAX_PATCH
        );
    }
    let (master, user, password) = login(args)?;
    let visit = Visit { master: &master, user: &user, password: &password };
    let named = job.builders.join(", ");
    let mut taken = false;
    let mut progress = Progress::new(args.quiet);
    let errand = Errand::Try { job: Box::new(job), follow: args.wait };
    visit.run(errand, &mut |told| match told {
        Told::Taken(yes) => {
            taken = yes;
            if yes && args.wait { Go::Patiently } else { Go::Home }
        }
        told if progress.take(told.clone()) => Go::Home,
        _ => Go::On,
    })?;
    if !taken {
        bail!(
            "the master did not take the job: its try scheduler does not offer {named}; see --get-builder-names"
        );
    }
    if !args.wait {
        ui::out("the job has been delivered; not waiting for its builds");
        return Ok(ExitCode::SUCCESS);
    }
    progress.summary().iter().for_each(|line| ui::out(line));
    Ok(super::exit(progress.went_well()))
}

fn show(job: &TryJob) {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    ui::out(&format!("Repository: {}", job.repository));
    ui::out(&format!("Branch: {}", text(&job.branch)));
    ui::out(&format!("Revision: {}", text(&job.revision)));
    ui::out(&format!("Builders: {}", job.builders.join(", ")));
    for (name, value) in job.properties.iter() {
        ui::out(&format!("Property: {name}={}", value.as_str().unwrap_or_default()));
    }
    ui::out(&format!("Patch, level {}:", job.level));
    ui::out(&String::from_utf8_lossy(&job.patch));
}
