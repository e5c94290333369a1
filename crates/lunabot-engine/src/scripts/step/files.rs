//! Files on the step's worker (05.046, 05.047). Paths are relative to the builder's folder.

use crate::scripts::args::{Args, Method, NOTHING, Reply, methods, value};
use crate::step::{StepContext, StepError};
use lunabot_model::{Arg, CallError, Duration, Json};
use serde_json::json;

pub(super) static METHODS: &[Method<StepContext>] = methods! {
    "runMkdir"("dir", "abandonOnFailure") => mkdir,
    "runRmdir"("dir", "timeout", "abandonOnFailure") => rmdir,
    "runRmFile"("path", "abandonOnFailure") => rmfile,
    "runStat"("path") => stat,
    "runGlob"("path") => glob,
    "runListdir"("dir") => listdir,
    "pathExists"("path") => path_exists,
    "downloadFileContentToWorker"("workerdest", "strfile", "abandonOnFailure", "mode", "workdir") => download,
    "getFileContentFromWorker"("filename", "abandonOnFailure", "workdir") => get_file,
};

/// The outcome of a command; one that failed ends the step, unless the caller wants to know.
fn done(args: &mut Args, what: &str, done: bool) -> Reply {
    or_abandoned(args, true, what, done).and_then(|()| value(done))
}

/// `abandon`: what becomes of a failure where the caller does not say.
fn or_abandoned(args: &mut Args, abandon: bool, what: &str, done: bool) -> Result<(), CallError> {
    let abandon = args.maybe::<bool>("abandonOnFailure")?.unwrap_or(abandon);
    if done || !abandon { Ok(()) } else { Err(StepError::Failed(what.to_string()).into()) }
}

async fn mkdir(cx: &StepContext, mut args: Args) -> Reply {
    let dir = args.text("dir")?;
    let made = cx.run_mkdir(&dir).await?;
    done(&mut args, &format!("could not make the directory {dir}"), made)
}

async fn rmdir(cx: &StepContext, mut args: Args) -> Reply {
    let (dir, timeout) = (args.text("dir")?, args.maybe::<Duration>("timeout")?);
    let removed = cx.run_rmdir(&dir, timeout.map(Duration::secs)).await?;
    done(&mut args, &format!("could not remove the directory {dir}"), removed)
}

async fn rmfile(cx: &StepContext, mut args: Args) -> Reply {
    let path = args.text("path")?;
    let removed = cx.run_rmfile(&path).await?;
    done(&mut args, &format!("could not remove the file {path}"), removed)
}

async fn stat(cx: &StepContext, mut args: Args) -> Reply {
    let Some(stat) = cx.run_stat(&args.text("path")?).await? else { return Ok(NOTHING) };
    value(json!({
        "mode": stat.mode, "size": stat.size, "mtime": stat.mtime,
        "is_dir": stat.is_dir(), "is_file": stat.is_file(),
    }))
}

async fn glob(cx: &StepContext, mut args: Args) -> Reply {
    value(cx.run_glob(&args.text("path")?).await?)
}

async fn listdir(cx: &StepContext, mut args: Args) -> Reply {
    let names = cx.run_listdir(&args.text("dir")?).await?;
    value(names.map_or(Json::Null, Json::from))
}

async fn path_exists(cx: &StepContext, mut args: Args) -> Reply {
    value(cx.path_exists(&args.text("path")?).await?)
}

async fn download(cx: &StepContext, mut args: Args) -> Reply {
    let (path, content) = (args.text("workerdest")?, args.bytes("strfile")?);
    let workdir = args.maybe::<String>("workdir")?.unwrap_or_else(|| cx.workdir().to_string());
    let mode = mode(&mut args)?;
    let ended = cx.download_file_content_to_worker(&workdir, &path, &content, mode).await?;
    let written = ended.rc == Some(0);
    or_abandoned(&mut args, false, &format!("could not write {path} on the worker"), written)?;
    value(written)
}

/// `"0644"`, as everywhere.
fn mode(args: &mut Args) -> Result<Option<u32>, CallError> {
    let Some(text) = args.maybe::<String>("mode")? else { return Ok(None) };
    let mode = u32::from_str_radix(&text, 8);
    mode.map(Some).map_err(|_| args.wrong(&format!("mode: {text:?} is no mode; write \"0644\"")))
}

async fn get_file(cx: &StepContext, mut args: Args) -> Reply {
    let path = args.text("filename")?;
    let workdir = args.maybe::<String>("workdir")?.unwrap_or_else(|| cx.workdir().to_string());
    let content = cx.get_file_content_from_worker(&workdir, &path).await?;
    or_abandoned(&mut args, false, &format!("could not read {path} from the worker"), content.is_some())?;
    Ok(content.map_or(NOTHING, Arg::Bytes))
}
