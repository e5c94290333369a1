//! `rmdir` and `cpdir`: whole directories, by the system's own programs.

use super::{Cx, Outcome};
use crate::{
    args::Args,
    errors::Failure,
    process::{self, Ended, Limit, Program, Spec},
    report::Report,
};
use lunabot_proto::Update;
use std::{ffi::OsString, os::unix::ffi::OsStringExt, path::Path, time::Duration};

/// Seconds without output after which the programs are killed, unless the command says otherwise.
const TIMEOUT: u64 = 120;

/// Removes each directory (or file); what resists is made writable and tried once more.
pub(super) async fn rmdir(cx: &Cx, report: &mut Report) -> Result<Outcome, Failure> {
    let mut rc = 0;
    for dir in Args(&cx.command.args).texts_of(&["dir", "paths"])? {
        let ended = remove(cx, report, &cx.paths.resolve(dir)).await?;
        if ended.interrupted {
            return Ok(end(report, ended));
        }
        if ended.rc != 0 {
            rc = ended.rc;
        }
    }
    Ok(end(report, Ended { rc, interrupted: false }))
}

async fn remove(cx: &Cx, report: &mut Report, dir: &Path) -> Result<Ended, Failure> {
    let removed = program(cx, report, &["rm", "-rf"], &[dir]).await?;
    if removed.rc == 0 || removed.interrupted {
        return Ok(removed);
    }
    let opened = program(cx, report, &["chmod", "-Rf", "u+rwx"], &[dir]).await?;
    if opened.interrupted {
        return Ok(opened);
    }
    program(cx, report, &["rm", "-rf"], &[dir]).await
}

/// Copies a directory with everything about it, naming each file.
pub(super) async fn cpdir(cx: &Cx, report: &mut Report) -> Result<Outcome, Failure> {
    let args = Args(&cx.command.args);
    let from = cx.paths.resolve(args.text_of(&["fromdir", "from_path"])?);
    let to = cx.paths.resolve(args.text_of(&["todir", "to_path"])?);
    let ended = program(cx, report, &["cp", "-R", "-P", "-p", "-v"], &[&from, &to]).await?;
    Ok(end(report, ended))
}

async fn program(cx: &Cx, report: &mut Report, words: &[&str], paths: &[&Path]) -> Result<Ended, Failure> {
    let words = words.iter().map(OsString::from).chain(paths.iter().map(OsString::from));
    let timeout = Limit { shown: TIMEOUT.to_string(), time: Duration::from_secs(TIMEOUT) };
    let spec = Spec::of_program(cx, Program::exec(words.map(OsString::into_vec)), timeout)?;
    process::run(cx, spec, report, false).await
}

fn end(report: &mut Report, ended: Ended) -> Outcome {
    report.push(Update::Rc(ended.rc));
    if ended.interrupted { Outcome::Interrupted } else { Outcome::Finished }
}
