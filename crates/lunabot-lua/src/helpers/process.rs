//! `util.process`: programs on the master's machine, without blocking it.

use crate::cached::seconds_of;
use crate::origin::raise;
use crate::state::Shared;
use mlua::{Function, Lua, LuaString, Table, Value};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

/// Output that is kept of each stream.
const MAX_OUTPUT: u64 = 64 << 20;
/// Lists in lists of a command that are followed.
const MAX_NESTED: usize = 64;
/// Longest line that `on_line` gets; a longer one comes in pieces.
const MAX_LINE: u64 = 1 << 20;

pub(super) fn add(lua: &Lua, util: &Table) -> mlua::Result<()> {
    util.raw_set("process", lua.create_async_function(process)?)
}

/// The process group of a child; what is left of it ends with this.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            let _ = killpg(pid, Signal::SIGKILL);
        }
    }
}

impl Group {
    /// A program that was put aside to go on by itself (`setsid program &`) gets the time to leave the group.
    async fn settle(&self) {
        // By the machine's own time, whatever the master's clock says: it is programs that are waited for.
        for pause in [1, 2, 4, 8, 16, 32, 64, 123] {
            if self.0.is_none_or(|pid| killpg(pid, None).is_err()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }
}

struct Wanted {
    command: Command,
    shown: String,
    stdin: Option<Vec<u8>>,
    timeout: Option<Duration>,
    on_line: Option<Function>,
}

fn wanted(lua: &Lua, options: &Table) -> mlua::Result<Wanted> {
    let known = ["command", "env", "cwd", "stdin", "timeout", "on_line"];
    for pair in options.pairs::<Value, Value>() {
        let (key, _) = pair?;
        if key.is_integer() && key != Value::Integer(1) {
            return Err(raise(lua, "util.process: write the words as one list: command = {\"echo\", \"a\"}"));
        }
        let name = key.as_string().map(LuaString::to_string_lossy).unwrap_or_default();
        if !known.contains(&name.as_str()) && key != Value::Integer(1) {
            let near = lunabot_model::kind::nearest(&name, known);
            let hint = near.map_or(String::new(), |near| format!(", did you mean {near}?"));
            return Err(raise(lua, format!("util.process: {name}: unknown option{hint}")));
        }
    }
    let argv = match options.get::<Value>("command")? {
        Value::Nil => options.raw_get::<Value>(1)?,
        given => given,
    };
    let argv: Vec<String> = match argv {
        Value::String(text) => vec!["/bin/sh".into(), "-c".into(), text.to_str()?.to_string()],
        Value::Table(list) => {
            let mut all = Vec::new();
            words(lua, &list, 0, &mut all)?;
            all
        }
        _ => return Err(raise(lua, "util.process: command is a text or a list of texts")),
    };
    let Some((program, args)) = argv.split_first() else {
        return Err(raise(lua, "util.process: command is empty"));
    };
    let shared = Shared::of(lua);
    let mut command = Command::new(program);
    command.args(args).current_dir(match options.get::<Option<String>>("cwd")? {
        Some(cwd) => shared.root.join(cwd),
        None => shared.root.clone(),
    });
    for pair in options.get::<Option<Table>>("env")?.iter().flat_map(Table::pairs::<String, Value>) {
        match pair? {
            (name, Value::String(value)) => command.env(name, value.to_str()?.to_string()),
            (name, value) if value == Value::NULL => command.env_remove(name),
            (name, _) => return Err(raise(lua, format!("util.process: env.{name} is a text or util.null"))),
        };
    }
    let timeout = match options.get::<Value>("timeout")? {
        Value::Nil => None,
        given => {
            let seconds =
                seconds_of(&given).map_err(|e| raise(lua, format!("util.process: timeout: {e}")))?;
            Some(Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX))
        }
    };
    Ok(Wanted {
        command,
        shown: argv.join(" "),
        stdin: options.get::<Option<LuaString>>("stdin")?.map(|text| text.as_bytes().to_vec()),
        timeout,
        on_line: options.get("on_line")?,
    })
}

/// The words of a command: lists inside are spliced in, and `false` is nothing, as in options.
fn words(lua: &Lua, list: &Table, depth: usize, all: &mut Vec<String>) -> mlua::Result<()> {
    let wrong = |what: String| raise(lua, format!("util.process: command: {what}"));
    if depth > MAX_NESTED {
        return Err(wrong("lists are nested too deeply".into()));
    }
    for item in list.sequence_values::<Value>() {
        match item? {
            Value::Boolean(false) => {}
            Value::Table(inner) => words(lua, &inner, depth + 1, all)?,
            Value::String(text) => all.push(text.to_str()?.to_string()),
            number @ (Value::Integer(_) | Value::Number(_)) => all.push(number.to_string()?),
            other => {
                let got = crate::convert::words(&other);
                return Err(wrong(format!("expected texts, lists of texts and false, got {got}")));
            }
        }
    }
    Ok(())
}

async fn process(lua: Lua, options: Value) -> mlua::Result<Table> {
    let options = match options {
        Value::Table(table) => table,
        other => lua.create_table_from([("command", other)])?,
    };
    let wanted = wanted(&lua, &options)?;
    let shared = Shared::of(&lua);
    let (timeout, shown) = (wanted.timeout, wanted.shown.clone());
    if let (true, Some(asked)) = (shared.loading(), timeout) {
        shared.patience.set(shared.patience.get().saturating_add(asked));
        tracing::info!("loading: {shown}");
    }
    let run = run(&lua, wanted);
    let Some(timeout) = timeout else { return run.await };
    let sleep = shared.options.clock.sleep(timeout);
    match futures::future::select(std::pin::pin!(run), sleep).await {
        futures::future::Either::Left((done, _)) => done,
        futures::future::Either::Right(_) => {
            Err(raise(&lua, format!("util.process: {shown} did not end within {} s", timeout.as_secs_f64())))
        }
    }
}

async fn run(lua: &Lua, mut wanted: Wanted) -> mlua::Result<Table> {
    let command = &mut wanted.command;
    command.stdin(if wanted.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).process_group(0);
    let mut child =
        command.spawn().map_err(|error| raise(lua, format!("util.process: {}: {error}", wanted.shown)))?;
    let group = Group(child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw));
    let output = talk(lua, &mut child, wanted.stdin, wanted.on_line.as_ref()).await;
    let status = child.wait().await;
    group.settle().await;
    drop(group);
    let ((stdout, stderr), status) =
        (output?, status.map_err(|error| raise(lua, format!("util.process: {error}")))?);
    let result = lua.create_table()?;
    result.raw_set("rc", rc(status))?;
    result.raw_set("stdout", lua.create_string(stdout)?)?;
    result.raw_set("stderr", lua.create_string(stderr)?)?;
    Ok(result)
}

/// The exit code, or the negative number of the signal.
fn rc(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().or_else(|| status.signal().map(|signal| -signal)).unwrap_or(-1)
}

async fn talk(
    lua: &Lua,
    child: &mut Child,
    stdin: Option<Vec<u8>>,
    on_line: Option<&Function>,
) -> mlua::Result<(Vec<u8>, Vec<u8>)> {
    let input = child.stdin.take();
    let write = async move {
        if let (Some(mut pipe), Some(text)) = (input, stdin) {
            // A program may end without reading all of it.
            let _ = pipe.write_all(&text).await;
        }
    };
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let read_out = async {
        match on_line {
            Some(on_line) => lines(lua, stdout, on_line).await.map(|()| Vec::new()),
            None => all(lua, stdout).await,
        }
    };
    let ((), stdout, stderr) = tokio::join!(write, read_out, all(lua, stderr));
    Ok((stdout?, stderr?))
}

async fn all(lua: &Lua, stream: Option<impl AsyncRead + Unpin>) -> mlua::Result<Vec<u8>> {
    let mut kept = Vec::new();
    if let Some(stream) = stream {
        let mut limited = stream.take(MAX_OUTPUT + 1);
        limited.read_to_end(&mut kept).await.map_err(|error| raise(lua, error))?;
    }
    if kept.len() as u64 > MAX_OUTPUT {
        return Err(raise(lua, format!("util.process: more than {MAX_OUTPUT} bytes of output; use on_line")));
    }
    Ok(kept)
}

async fn lines(lua: &Lua, stream: Option<impl AsyncRead + Unpin>, on_line: &Function) -> mlua::Result<()> {
    let Some(stream) = stream else { return Ok(()) };
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        let count = (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line).await;
        if count.map_err(|error| raise(lua, error))? == 0 {
            return Ok(());
        }
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        on_line.call_async::<()>(lua.create_string(line)?).await?;
    }
}
