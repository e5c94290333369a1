//! `lunabot create-worker`: the folder of a worker (16.019).

use crate::cli::CreateWorker;
use crate::client::secret;
use crate::ui;
use crate::worker::folder;
use anyhow::{Context as _, Result, ensure};
use std::io::{BufRead as _, IsTerminal as _};
use std::path::Path;
use std::process::ExitCode;

/// What stands for "ask me" in place of a file.
const ASK: &str = "-";

pub fn run(args: &CreateWorker) -> Result<ExitCode> {
    let typed = if args.passfile == Path::new(ASK) { Some(ask(&args.name)?) } else { None };
    if typed.is_none() {
        let text = std::fs::read_to_string(&args.passfile);
        let text = text.with_context(|| {
            format!(
                "cannot read the password in {}; write it there, or give - to be asked",
                args.passfile.display()
            )
        })?;
        ensure!(
            !text.trim_end_matches(['\r', '\n']).is_empty(),
            "{} holds no password",
            args.passfile.display()
        );
    }
    let file = folder::create(args, typed.as_deref())?;
    if let Some(warning) = folder::readable_by_others(&args.passfile).filter(|_| typed.is_none()) {
        ui::err(&format!("lunabot: {warning}"));
    }
    if !args.quiet.quiet {
        let dir = args.dir.display();
        ui::out(&format!("wrote {}", file.display()));
        ui::out(&format!("next: lunabot worker {dir}"));
        ui::out(&format!("      ({dir}/info/admin and {dir}/info/host are shown on the master's pages)"));
    }
    Ok(ExitCode::SUCCESS)
}

/// A password from the terminal, without showing it, or from a pipe.
fn ask(name: &str) -> Result<String> {
    let stdin = std::io::stdin();
    let password = if stdin.is_terminal() {
        secret::typed(&format!("password of worker {name}: "))?
    } else {
        let mut line = String::new();
        stdin.lock().read_line(&mut line).context("cannot read the password")?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    ensure!(!password.is_empty(), "no password was given");
    Ok(password)
}
