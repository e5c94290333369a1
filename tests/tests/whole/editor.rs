//! `lunabot lua-stubs` as an editor uses it: a real language server completes and judges configurations (lua-api § 6).

use crate::documents::{blocks, markdown};
use anyhow::{Context, Result, ensure};
use lunabot_tests::{BEFORE, lunabot_binary, project_root};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tempfile::TempDir;

/// What the language server says of documents, and is right: (file, code, text).
const MEANT: &[(&str, &str, &str)] = &[
    // Plug-ins are installed by the site.
    ("plug-ins", "unresolved-require", "framboozle"),
    ("plug-ins", "undefined-field", "Framboozle"),
    // What `pcall` catches may be anything.
    ("helpers", "undefined-field", "kind"),
];

const MISTAKES: &str = r#"local lunabot = require "lunabot"
local util, steps, worker = lunabot.util, lunabot.steps, lunabot.worker
local a = steps.ShelCommand{command = "x"}
local b = steps.ShellCommand{command = 5}
local d = worker.LocalWorker{name = 5}
local Mine = steps.ShellMixin:extend("Mine", {
  run = function(self)
    local log = self:addLog("x")
    log:addStdot("y")
    self.build:getPropery("x")
    return self:runCommand(self:makeRemoteShellCommand{command = "x"}).result
  end,
})
local g = util.BuilderConfig{name = "b", workernames = {"w"}, factory = util.BuildFactory{},
  canStartBuild = function(_, wfb, request)
    return wfb.worker.nam == request.propertis
  end}
local found = util.re("(?P<n>x+)"):serch("xx")
local match = util.re("x"):search("x")
lunabot.master.data.updates.addChnge{author = "me"}
lunabot.master.data.updates.addBuildset{builderids = {1}, reasn = 5, reason = 5}
local Picky = steps.ShellMixin:extend("Picky", {prohibitArgs = 5, run = Mine.run})
return {a, b, d, g, Mine, found, match and match:start("n"), Picky}
"#;

#[test]
fn the_language_server_knows_what_the_master_knows() -> Result<()> {
    let dir = TempDir::new()?;
    let shown = write_what_is_shown(dir.path())?;
    ensure!(shown > 100, "{shown} files are shown");
    std::fs::write(dir.path().join("mistakes.lua"), MISTAKES)?;
    let status = Command::new(lunabot_binary()).args(["lua-stubs", "-q"]).arg(dir.path()).status()?;
    ensure!(status.success(), "lua-stubs");
    let (mut server, mut told) = Server::start(dir.path())?;

    let mistakes = told.remove("mistakes.lua").unwrap_or_default();
    let lines: Vec<u64> = mistakes.iter().map(|one| one.line).collect();
    assert_eq!(lines, [3, 4, 5, 9, 10, 11, 16, 16, 18, 20, 21, 22], "each at its line: {mistakes:?}");
    let odd: Vec<_> = told
        .iter()
        .flat_map(|(file, all)| all.iter().map(move |one| (file, one)))
        .filter(|(file, one)| !is_meant(file, one))
        .collect();
    assert!(odd.is_empty(), "what is shown to users is right: {odd:#?}");

    let text = MISTAKES.replace("log:addStdot(\"y\")", "self:").replace("return {a", "steps.\nreturn {a");
    let text = text.replace("{command = 5}", "{ h }");
    let text = text.replace("local found", "local event = lunabot.webhooks.GitHubEventHandler.\nlocal found");
    let offered = |server: &mut Server, after: &str| server.completions("mistakes.lua", &text, after);
    let methods = offered(&mut server, "    self:\n")?;
    assert!(
        ["addLog", "runGlob", "setStatistic"].iter().all(|name| methods.contains_key(*name)),
        "{methods:?}"
    );
    let classes = offered(&mut server, "\nsteps.\n")?;
    assert!(classes.contains_key("ShellCommand") && classes.contains_key("Trigger"), "{classes:?}");
    let events = offered(&mut server, "GitHubEventHandler.\n")?;
    assert!(events.contains_key("handle_push") && events.contains_key("getChanges"), "{events:?}");
    let options = offered(&mut server, "ShellCommand{ h")?;
    let named = |name: &str| options.keys().any(|option| option.starts_with(name));
    assert!(named("haltOnFailure") && named("doStepIf") && !named("repourl"), "{options:?}");
    server.end()
}

/// All examples and all Lua blocks of the documents; gives their number.
fn write_what_is_shown(dir: &Path) -> Result<usize> {
    let mut count = 0;
    for entry in std::fs::read_dir(project_root().join("config-examples"))? {
        let example = entry?.path();
        for file in ["master.lua", "master_test.lua"] {
            let name = format!("{}-{file}", name_of(&example));
            std::fs::copy(example.join(file), dir.join(name))
                .with_context(|| example.display().to_string())?;
            count += 1;
        }
    }
    // The lists that it begins with are not to say what may be in them.
    let lists = BEFORE.find("local c = {}").context("where the configuration begins")?;
    let before =
        format!("{}local c = lunabot.master.config\nlocal f = util.BuildFactory{{}}\n", &BEFORE[..lists]);
    for page in markdown(&project_root().join("docs"))? {
        for (line, block) in blocks(&std::fs::read_to_string(&page)?) {
            let whole = block.lines().any(|line| line.starts_with("return "));
            let text = if whole { block } else { format!("{before}{block}\nreturn c\n") };
            let name = format!("{}-{line}.lua", name_of(&page.with_extension("")));
            std::fs::write(dir.join(name), text)?;
            count += 1;
        }
    }
    Ok(count)
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn is_meant(file: &str, told: &Told) -> bool {
    let fits = |(page, code, text): &(&str, &str, &str)| {
        file.starts_with(page) && told.code == *code && told.message.contains(text)
    };
    MEANT.iter().any(fits)
}

/// A warning or an error; lines from 1.
#[derive(Debug)]
struct Told {
    line: u64,
    code: String,
    message: String,
}

/// By the name of the file.
type AllTold = BTreeMap<String, Vec<Told>>;

/// How long a server may take for the whole; then it is ended, and whoever waits for it with it.
const PATIENCE: Duration = Duration::from_secs(300);

/// A language server whose workspace is one folder.
struct Server {
    child: Arc<Mutex<Child>>,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    root: String,
    asked: u64,
    /// Whoever watches it goes when this does.
    _alive: mpsc::Sender<()>,
}

impl Server {
    /// Gives what it says of all files, too.
    fn start(folder: &Path) -> Result<(Self, AllTold)> {
        let program = program();
        let mut child = Command::new(&program)
            .arg("--log-path")
            .arg(folder.join("logs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("{}; tests/run.sh installs it", program.display()))?;
        let to = child.stdin.take().context("its input")?;
        let from = BufReader::new(child.stdout.take().context("its output")?);
        let root = format!("file://{}", folder.display());
        let child = Arc::new(Mutex::new(child));
        let (alive, ended) = mpsc::channel();
        let watched = child.clone();
        std::thread::spawn(move || {
            if ended.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                let _ = lock(&watched).kill();
            }
        });
        let mut server = Server { child, to, from, root, asked: 0, _alive: alive };
        let root = &server.root;
        let params = json!({
            "processId": std::process::id(), "rootUri": root, "workspaceFolders": [{"uri": root, "name": "master"}],
            "capabilities": {"window": {"workDoneProgress": true}, "workspace": {}},
        });
        server.ask("initialize", &params)?;
        server.send(&json!({"method": "initialized", "params": {}}))?;
        let told = server.judged()?;
        Ok((server, told))
    }

    /// Reads until all files have been judged.
    fn judged(&mut self) -> Result<AllTold> {
        let (mut all, mut judging) = (AllTold::new(), None);
        loop {
            let message = self.receive()?;
            let value = &message["params"]["value"];
            match message["method"].as_str() {
                Some("textDocument/publishDiagnostics") => {
                    let file = message["params"]["uri"].as_str().and_then(|uri| uri.rsplit('/').next());
                    let told = told(&message["params"]["diagnostics"]);
                    all.insert(file.context("a file")?.to_string(), told);
                }
                Some("$/progress") if value["title"] == "Diagnose workspace" => {
                    judging = Some(message["params"]["token"].clone());
                }
                Some("$/progress")
                    if value["kind"] == "end" && judging.as_ref() == Some(&message["params"]["token"]) =>
                {
                    return Ok(all);
                }
                _ => {}
            }
        }
    }

    /// What is offered in this text of the file after these words, by name.
    fn completions(&mut self, file: &str, text: &str, after: &str) -> Result<BTreeMap<String, Value>> {
        let uri = format!("{}/{file}", self.root);
        let document = json!({"uri": uri, "languageId": "lua", "version": self.asked, "text": text});
        self.send(&json!({"method": "textDocument/didOpen", "params": {"textDocument": document}}))?;
        let end = text.find(after).context("the words are there")? + after.trim_end().len();
        let (line, start) = text[..end].lines().enumerate().last().context("a line")?;
        let position = json!({"line": line, "character": start.len()});
        let params = json!({"textDocument": {"uri": uri}, "position": position});
        let answer = self.ask("textDocument/completion", &params)?;
        let items = answer.as_array().or_else(|| answer["items"].as_array()).context("a list")?;
        Ok(items
            .iter()
            .filter_map(|item| Some((item["label"].as_str()?.to_string(), item.clone())))
            .collect())
    }

    fn end(mut self) -> Result<()> {
        self.ask("shutdown", &Value::Null)?;
        self.send(&json!({"method": "exit"}))?;
        ensure!(lock(&self.child).wait()?.success(), "the language server failed");
        Ok(())
    }

    fn ask(&mut self, method: &str, params: &Value) -> Result<Value> {
        self.asked += 1;
        let id = self.asked;
        self.send(&json!({"id": id, "method": method, "params": params}))?;
        loop {
            let message = self.receive()?;
            if message["method"].is_null() && message["id"] == id {
                ensure!(message["error"].is_null(), "{method}: {message}");
                return Ok(message["result"].clone());
            }
        }
    }

    fn send(&mut self, message: &Value) -> Result<()> {
        let mut message = message.clone();
        message["jsonrpc"] = "2.0".into();
        let text = message.to_string();
        write!(self.to, "Content-Length: {}\r\n\r\n{text}", text.len())?;
        Ok(self.to.flush()?)
    }

    /// The next message. Questions of the server's own are answered by nothing.
    fn receive(&mut self) -> Result<Value> {
        let mut length = 0;
        loop {
            let mut line = String::new();
            ensure!(self.from.read_line(&mut line)? > 0, "the language server has ended");
            match line.trim().split_once(": ") {
                Some(("Content-Length", count)) => length = count.parse()?,
                Some(_) => {}
                None => break,
            }
        }
        let mut bytes = vec![0; length];
        self.from.read_exact(&mut bytes)?;
        let message: Value = serde_json::from_slice(&bytes)?;
        if message["method"].is_string() && !message["id"].is_null() {
            self.send(&json!({"id": message["id"], "result": null}))?;
        }
        Ok(message)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut child = lock(&self.child);
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn lock(child: &Mutex<Child>) -> MutexGuard<'_, Child> {
    child.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Warnings and errors, not hints.
fn told(diagnostics: &Value) -> Vec<Told> {
    let all = diagnostics.as_array().into_iter().flatten().filter(|one| one["severity"].as_u64() <= Some(2));
    let mut all: Vec<Told> = all
        .map(|one| Told {
            line: one["range"]["start"]["line"].as_u64().unwrap_or_default() + 1,
            code: one["code"].as_str().unwrap_or_default().to_string(),
            message: one["message"].as_str().unwrap_or_default().to_string(),
        })
        .filter(|one| one.code != "redefined-local")
        .collect();
    all.sort_by_key(|one| one.line);
    all
}

fn program() -> PathBuf {
    let given = std::env::var_os("LUNABOT_LUA_SERVER").map(PathBuf::from);
    given.unwrap_or_else(|| project_root().join("target/tools/bin/emmylua_ls"))
}
