//! `lunabot create-master`: a folder with a configuration to begin with (16.001).

use crate::basedir::{BaseDir, CONFIG_NAME};
use crate::cli::CreateMaster;
use crate::ui;
use anyhow::{Context as _, Result, bail};
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::ExitCode;

/// What is laid down; `@DB@` stands for the URL of the database.
const SAMPLE: &str = include_str!("../../assets/master.lua");
/// Keeps state out of a repository that holds the configuration.
const IGNORED: &str = include_str!("../../assets/gitignore");

pub fn run(args: &CreateMaster) -> Result<ExitCode> {
    std::fs::create_dir_all(&args.dir)
        .with_context(|| format!("cannot make the folder {}", args.dir.display()))?;
    let base = BaseDir::new(&args.dir, None)?;
    check_db(&args.db)?;
    if !lay_down(base.config(), &SAMPLE.replace("@DB@", &args.db))? {
        bail!("{} exists already and was left as it is", base.config().display());
    }
    lay_down(&base.dir().join(".gitignore"), IGNORED)?;
    if !args.quiet.quiet {
        ui::out(&format!("wrote {}", base.config().display()));
        ui::out(&format!("next: lunabot start {}", args.dir.display()));
        ui::out(&format!(
            "      (edit {CONFIG_NAME}; `lunabot checkconfig {}` says what is wrong with it)",
            args.dir.display()
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn check_db(url: &str) -> Result<()> {
    let known = ["sqlite://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
    if !known || url.contains(['"', '\\', '\n']) {
        bail!("--db {url}: expected sqlite:///FILE or postgresql://USER@HOST/NAME");
    }
    Ok(())
}

/// Writes a file that is not there yet; false if it is.
fn lay_down(path: &Path, text: &str) -> Result<bool> {
    let made = OpenOptions::new().write(true).create_new(true).open(path);
    match made.and_then(|mut file| file.write_all(text.as_bytes())) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot write {}", path.display())),
    }
}
