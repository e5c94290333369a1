//! Steps that work on the master, and secrets on their way through a build.

use crate::support::{Bench, eventually, object, property};
use lunabot_data::new::{NewSourceStamp, StampRef};
use lunabot_model::{Json, Pattern, Results};
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn on_master(args: Json) -> Json {
    let mut args = args;
    args.as_object_mut().unwrap().entry("logEnviron").or_insert(json!(false));
    args.as_object_mut().unwrap().entry("haltOnFailure").or_insert(json!(false));
    object("steps.MasterShellCommand", args)
}

fn secret() -> Json {
    object("util.Secret", json!({"secret_name": "token"}))
}

#[tokio::test]
async fn row_06_041_a_program_runs_on_the_master() {
    let bench = Bench::new().await;
    fs::create_dir(bench.dir.path().join("sub")).unwrap();
    let steps = [
        on_master(json!({"command": "pwd; echo err >&2; printf 'no end'"})),
        on_master(json!({"command": ["sh", "-c", "pwd; exit 3"], "workdir": "sub"})),
        on_master(json!({"command": "kill -TERM $$"})),
        on_master(json!({"command": ["no-such-program"]})),
        on_master(
            json!({"command": "env", "env": {"A": "x${HOME}y", "L": ["1", "2"], "N": null}, "logEnviron": true}),
        ),
        on_master(
            json!({"command": "test -t 0 && test -t 1 && echo terminal; kill -TERM 0", "usePTY": true}),
        ),
        on_master(json!({"command": "sleep 1000", "runtime_timeout": 1})),
        on_master(json!({"command": "true", "descriptionDone": "done"})),
    ];
    let built = bench.build(&steps).await;
    let ended: Vec<_> = (0..built.steps.len()).map(|step| built.step(step)).collect();
    let (ok, no) = (Results::Success, Results::Failure);
    let want = [
        (ok, "Ran"),
        (no, "failed (3) (failure)"),
        (no, "killed (15) (failure)"),
        (no, "could not be run (failure)"),
        (ok, "Ran"),
        (no, "killed (15) (failure)"),
        (no, "killed (timed out) (failure)"),
        (ok, "done"),
    ];
    assert_eq!(ended, want);
    let dir = bench.dir.path().display().to_string();
    assert_eq!(built.lines(0, 'o'), [dir.as_str(), "no end"]);
    assert_eq!(built.lines(0, 'e'), ["err"]);
    assert_eq!(built.lines(0, 'h')[0], "** RUNNING ON BUILDMASTER **");
    assert_eq!(built.lines(1, 'o'), [format!("{dir}/sub")]);
    let home = std::env::var("HOME").unwrap_or_default();
    let lines = built.lines(4, 'o');
    assert!(lines.contains(&format!("A=x{home}y").as_str()) && lines.contains(&"L=1:2"), "{lines:?}");
    assert!(!lines.iter().any(|line| line.starts_with("N=") || line.starts_with("HOME=")), "{lines:?}");
    assert!(built.lines(4, 'h').contains(&format!("  A=x{home}y").as_str()));
    assert_eq!(built.lines(5, 'o'), ["terminal"]);
}

#[tokio::test]
async fn row_06_041_an_interrupt_kills_the_whole_process_group() {
    let bench = Bench::new().await;
    // The shell heeds no SIGTERM; its child writes down who it is.
    let script = "trap '' TERM; sh -c 'trap \"\" TERM; echo $$ > pid.new; mv pid.new pid; sleep 1000; sleep 1000' & wait; wait";
    let step = on_master(json!({"command": script, "interruptSignal": "KILL"}));
    bench.declare(&[step]).await;
    let finished = bench.begin(vec![StampRef::New(NewSourceStamp::default())]).await;
    let file = bench.dir.path().join("pid");
    let begun = async || (file.exists() && !bench.list("builds").await.is_empty()).then_some(());
    eventually("the program runs", begun).await;
    bench.stop_build(1).await;
    let built = bench.end(finished).await;
    assert_eq!(built.step(0).0, Results::Cancelled, "{built:?}");
    let pid: i32 = fs::read_to_string(file).unwrap().trim().parse().unwrap();
    let gone = async || {
        let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // Killed, or waiting for somebody to ask how it ended.
        (status.is_empty() || status.contains(") Z ")).then_some(())
    };
    eventually("the child is killed", gone).await;
}

#[tokio::test]
async fn row_06_043_values_are_asserted_and_logged() {
    let bench = Bench::new().await;
    let assert = |check: Json| object("steps.Assert", json!({"check": check, "flunkOnFailure": false}));
    let equal = |value: &str| {
        object("util.BinaryOp", json!({"op": "eq", "left": property("buildername"), "right": value}))
    };
    let log = |content: Json| object("steps.LogRenderable", json!({"content": content}));
    let steps = [
        assert(equal("b")),
        assert(equal("c")),
        assert(property("missing")),
        log(object("util.Interpolate", json!({"fmtstring": "built %(prop:buildername)s"}))),
        log(json!({"name": property("buildername"), "list": [1]})),
    ];
    let built = bench.build(&steps).await;
    let ended: Vec<_> = (0..built.steps.len()).map(|step| built.step(step)).collect();
    let (ok, no) = (Results::Success, Results::Failure);
    let want = [
        (ok, "checked"),
        (no, "checked (failure)"),
        (no, "checked (failure)"),
        (ok, "Logged"),
        (ok, "Logged"),
    ];
    assert_eq!(ended, want);
    assert_eq!(built.log(3, "Output").trim_end(), "built b");
    let logged: Json = serde_json::from_str(built.log(4, "Output")).unwrap();
    assert_eq!(logged, json!({"name": "b", "list": [1]}));
}

#[tokio::test]
async fn row_05_066_secrets_are_files_of_the_owner_until_they_are_removed() {
    let bench = Bench::new().await;
    let list = json!([["sub/token", secret()], ["plain", "text"]]);
    let steps = [
        object("steps.DownloadSecretsToWorker", json!({"populated_secret_list": list})),
        object("steps.ShellCommand", json!({"command": "stat -c %a sub/token plain; cat sub/token; false"})),
        object("steps.RemoveWorkerFileSecret", json!({"populated_secret_list": list, "alwaysRun": true})),
        object("steps.RemoveWorkerFileSecret", json!({"populated_secret_list": list, "alwaysRun": true})),
    ];
    let built = bench.build(&steps).await;
    let results: Vec<_> = (0..built.steps.len()).map(|step| built.step(step).0).collect();
    assert_eq!(
        results,
        [Results::Success, Results::Failure, Results::Success, Results::Success],
        "{built:?}"
    );
    assert_eq!(built.lines(1, 'o'), ["600", "600", "<token>"]);
    assert_eq!(fs::read_dir(bench.workdir().join("sub")).unwrap().count(), 0);
    assert!(!bench.workdir().join("plain").exists());
}

#[tokio::test]
async fn row_05_066_secrets_are_removed_from_under_a_stopped_build() {
    let bench = Bench::new().await;
    let list = json!([["token", secret()]]);
    let steps = [
        object("steps.DownloadSecretsToWorker", json!({"populated_secret_list": list})),
        object("steps.ShellCommand", json!({"command": "touch begun; sleep 1000"})),
        object("steps.RemoveWorkerFileSecret", json!({"populated_secret_list": list, "alwaysRun": true})),
    ];
    bench.declare(&steps).await;
    let finished = bench.begin(vec![StampRef::New(NewSourceStamp::default())]).await;
    let file = bench.workdir().join("begun");
    let begun = async || (file.exists() && !bench.list("builds").await.is_empty()).then_some(());
    eventually("the command runs", begun).await;
    let mode = bench.workdir().join("token").metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode, 0o600);
    bench.stop_build(1).await;
    let built = bench.end(finished).await;
    assert_eq!((built.results(), built.step(2).0), (Some(Results::Cancelled), Results::Success), "{built:?}");
    assert!(!bench.workdir().join("token").exists());
}

/// A server that gives one answer to each request and remembers them all.
async fn server(answer: &'static str) -> (String, tokio::task::JoinHandle<String>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let serve = async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        let whole = |request: &[u8]| {
            let text = String::from_utf8_lossy(request).to_lowercase();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            body.len() >= length.map_or(0, |length| length.trim().parse().unwrap())
        };
        while !whole(&request) {
            let read = socket.read_buf(&mut request).await.unwrap();
            assert!(read > 0, "the request broke off");
        }
        socket.write_all(answer.as_bytes()).await.unwrap();
        socket.shutdown().await.unwrap();
        String::from_utf8(request).unwrap()
    };
    (url, tokio::spawn(serve))
}

#[tokio::test]
async fn row_06_044_a_web_server_is_asked_and_secrets_are_not_shown() {
    let bench = Bench::new().await;
    let ok = "HTTP/1.1 200 OK\r\nX-Seen: s3cret\r\nX-Other: hide me\r\nConnection: close\r\n\r\ngot s3cret\n\u{e9}";
    let (first, asked) = server(ok).await;
    let (second, form) =
        server("HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno").await;
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let steps = [
        object(
            "steps.POST",
            json!({"url": format!("{first}/in"), "params": {"t": secret(), "n": [1, 2]}, "json": {"k": secret()},
                   "headers": {"X-Token": secret(), "X-Hidden": "eyes only"}, "auth": ["joe", secret()],
                   "cookies": {"c": "1"}, "hide_request_headers": ["x-hidden"],
                   "hide_response_headers": ["X-Other"]}),
        ),
        object(
            "steps.HTTPStep",
            json!({"url": second, "method": "PUT", "data": {"a b": "c&d"}, "flunkOnFailure": false}),
        ),
        object("steps.GET", json!({"url": format!("http://{gone}/"), "flunkOnFailure": false})),
    ];
    let built = bench.build(&steps).await;
    let ended: Vec<_> = (0..built.steps.len()).map(|step| built.step(step)).collect();
    let (ok, no) = (Results::Success, Results::Failure);
    assert_eq!(ended[..2], [(ok, "Status code: 200"), (no, "Status code: 404 (failure)")], "{built:?}");
    assert_eq!(ended[2], (no, "Requested (failure)"));
    let asked = asked.await.unwrap();
    assert!(asked.starts_with("POST /in?n=1&n=2&t=s3cret HTTP/1.1\r\n"), "{asked}");
    for part in [
        "x-token: s3cret\r\n",
        "cookie: c=1\r\n",
        "authorization: Basic am9lOnMzY3JldA==",
        "{\"k\":\"s3cret\"}",
    ] {
        assert!(asked.contains(part), "{part} in {asked}");
    }
    assert!(form.await.unwrap().ends_with("\r\n\r\na+b=c%26d"));
    assert_eq!(built.log(0, "content"), "ogot <token>\no\u{e9}\n");
    let log = built.log(0, "log");
    for shown in
        ["x-token: <token>", "x-hidden: <HIDDEN>", "x-other: <HIDDEN>", "x-seen: <token>", "t=<token>"]
    {
        assert!(log.contains(shown), "{shown} in {log}");
    }
    for hidden in ["s3cret", "am9lOnMzY3JldA", "eyes only", "hide me"] {
        assert!(!log.contains(hidden), "{hidden} in {log}");
    }
    assert!(built.log(2, "log").contains("refused"), "{}", built.log(2, "log"));
}

#[tokio::test]
async fn row_04_039_secrets_are_masked_in_every_channel_of_a_build() {
    let bench = Bench::new().await;
    let text = |format: &str| object("util.Interpolate", json!({"fmtstring": format}));
    fs::create_dir_all(bench.workdir()).unwrap();
    fs::write(bench.workdir().join("f"), "s3cret in a file").unwrap();
    let steps = [
        object(
            "steps.ShellCommand",
            json!({"command": ["sh", "-c", "echo $T; printf s3; sleep 0.1; echo cret; echo $T >&2; printf $T | base64; echo $T > l", secret()],
                   "env": {"T": secret()}, "name": text("n-%(secret:token)s"), "logfiles": {"l": "l"},
                   "description": text("d %(secret:token)s"), "descriptionDone": text("done %(secret:token)s")}),
        ),
        object(
            "steps.FileUpload",
            json!({"workersrc": "f", "masterdest": "f", "url": text("http://h/%(secret:token)s"),
                                          "urlText": text("%(secret:token)s!")}),
        ),
        object("steps.SetProperty", json!({"property": "p", "value": {"k": [secret()]}})),
        on_master(
            json!({"command": "echo $T; echo $T >&2", "env": {"T": secret(), "PATH": "${PATH}"}, "logEnviron": true}),
        ),
        object("steps.LogRenderable", json!({"content": [secret()]})),
        object("steps.SetPropertyFromCommand", json!({"property": "q", "command": ["echo", secret()]})),
        object("steps.StringDownload", json!({"s": secret(), "workerdest": text("%(secret:token)s.txt")})),
        object(
            "steps.Assert",
            json!({"check": object("util.BinaryOp", json!({"op": "eq", "left": property("q"), "right": "s3cret"}))}),
        ),
        object(
            "steps.ShellCommand",
            json!({"command": object("util.BinaryOp", json!({"op": "sub", "left": secret(), "right": 1}))}),
        ),
    ];
    let built = bench.build(&steps).await;
    let results: Vec<_> = (0..built.steps.len()).map(|step| built.step(step).0).collect();
    assert_eq!(results[..8], [Results::Success; 8], "{built:?}");
    assert_eq!(results[8], Results::Exception);
    let everything = format!("{built:?}");
    for form in ["s3cret", "czNjcmV0"] {
        assert!(!everything.contains(form), "{form} in {everything}");
    }
    assert_eq!((built.steps[0].0.name.as_str(), built.step(0).1), ("n-<token>", "done <token>"));
    assert_eq!(built.lines(0, 'o'), ["<token>", "<token>", "<token>"]);
    assert_eq!(built.log(0, "l"), "o<token>\n");
    assert_eq!(
        (&built.properties["p"], &built.properties["q"]),
        (&json!({"k": ["<token>"]}), &json!("<token>"))
    );
    // What is moved is not what is shown.
    assert_eq!(fs::read_to_string(bench.dir.path().join("f")).unwrap(), "s3cret in a file");
    assert_eq!(fs::read_to_string(bench.workdir().join("s3cret.txt")).unwrap(), "s3cret");
}

#[tokio::test]
async fn row_04_003_a_rebuild_lacks_what_the_build_has_set() {
    let bench = Bench::new().await;
    let set = object("steps.SetProperty", json!({"property": "one", "value": 1}));
    let log = object("steps.LogRenderable", json!({"content": {"one": property("one")}}));
    let built = bench.build(&[set, log.clone()]).await;
    // A step sees what the one before it has set (04.037).
    assert_eq!(serde_json::from_str::<Json>(built.log(1, "Output")).unwrap(), json!({"one": 1}));
    bench.declare(&[log]).await;
    let finished = bench.data.bus().subscribe(vec![Pattern::parse("builds/*/finished")]);
    bench.data.control(&format!("builds/{}", built.build.buildid), "rebuild", json!({})).await.unwrap();
    let again = bench.end(finished).await;
    assert_eq!(serde_json::from_str::<Json>(again.log(0, "Output")).unwrap(), json!({"one": null}));
}

#[tokio::test]
async fn row_04_001_a_name_that_is_too_long_ends_the_step() {
    let bench = Bench::new().await;
    let text = "n".repeat(257);
    let step = object("steps.SetProperty", json!({"property": text, "value": 1}));
    let built = bench.build(&[step]).await;
    assert_eq!(built.step(0).0, Results::Exception);
    assert!(built.log(0, "err.text").contains("at most 256 characters"), "{built:?}");
}

#[tokio::test]
async fn row_04_005_renderables_in_properties_are_stored_as_what_they_yield() {
    let bench = Bench::new().await;
    let value = json!({"k": [property("buildername")]});
    let functions = crate::support::Functions::new(move |_, _| Ok(value.clone()));
    let renderer = object("util.renderer", json!({"fn": crate::support::function("renderer")}));
    let step = object("steps.SetProperty", json!({"property": "p", "value": renderer}));
    let built = bench.build_with(&[step], vec![NewSourceStamp::default()], functions).await;
    assert_eq!(built.properties["p"], json!({"k": ["b"]}), "{built:?}");
}

/// What is wrong with HTTP and master steps is told when the configuration is loaded.
#[test]
fn row_06_044_mistakes_are_found_when_loaded() {
    let problems = |name: &str, args: Json| -> Vec<String> {
        let kind = lunabot_steps::kinds().find(|kind| kind.name == name).unwrap();
        (kind.check)(&args).iter().map(|p| format!("{}: {}", p.path, p.message)).collect()
    };
    assert_eq!(problems("GET", json!({"url": "x", "json": 1, "timeout": 3})), [""; 0]);
    assert_eq!(problems("GET", json!({"url": "x", "hooks": {}})), ["hooks: not supported yet"]);
    assert_eq!(
        problems("POST", json!({"url": "x", "json": 1, "data": 2})),
        ["json: excludes data and files"]
    );
    assert_eq!(problems("PUT", json!({"url": "x", "auth": ["joe"]})), ["auth: expected {user, password}"]);
    assert!(problems("HTTPStep", json!({"url": "x", "method": "BREW"}))[0].starts_with("method: "));
    assert_eq!(problems("HTTPStep", json!({"url": "x"})), [": method is missing"]);
    assert!(problems("GET", json!({"url": "x", "method": "GET"}))[0].contains("unknown option"));
    let signal = problems("MasterShellCommand", json!({"command": "x", "interruptSignal": "BOO"}));
    assert_eq!(signal, ["interruptSignal: there is no signal BOO; write KILL, TERM, INT …"]);
    let pair = problems(
        "DownloadSecretsToWorker",
        json!({"populated_secret_list": [[object("util.Secret", json!({"secret_name": "s"}))]]}),
    );
    assert!(pair[0].starts_with("populated_secret_list[0]: expected a pair"), "{pair:?}");
    assert!(
        problems("FileUpload", json!({"workersrc": "a", "masterdest": "b", "mode": 644}))[0]
            .contains("mode = \"0644\"")
    );
}
