//! `shell` against the real system: options, limits, ends.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use lunabot_proto::{Command, Dict, Update, Value};
use lunabot_worker::{CommandError, MasterSide, TransferError};
use std::{
    os::unix::ffi::OsStringExt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use support::{Bench, Told, alive, gone, shell_args};

fn sh(line: &str) -> Dict {
    Dict::new().with("command", line)
}

fn obfuscated(make: fn(Vec<Value>) -> Value) -> Value {
    Value::List(vec!["echo".into(), make(vec!["obfuscated".into(), "s3cret".into(), "XXXX".into()])])
}

/// The first number in standard output.
fn pid(told: &Told) -> i32 {
    told.text("stdout").split_whitespace().find_map(|word| word.parse().ok()).expect("no pid")
}

#[tokio::test(flavor = "multi_thread")]
async fn options_and_their_effect() {
    let bench = Bench::new();
    for (args, rc, stdout, stderr) in [
        (sh("exit 7"), 7, "", ""),
        (sh("exec 2>&1; echo a >&2"), 0, "a\n", ""),
        (sh("cat").with("initial_stdin", "in é\nno end"), 0, "in é\nno end\n", ""),
        (sh("cat").with("initial_stdin", ""), 0, "", ""),
        (sh("cat"), 0, "", ""),
        (sh("true").with("initial_stdin", "x".repeat(1 << 20)), 0, "", ""),
        (sh("wc -c").with("initial_stdin", "x".repeat(1 << 20)), 0, "1048576\n", ""),
        (sh("echo o; echo e >&2").with("want_stdout", 0), 0, "", "e\n"),
        (sh("echo o; echo e >&2").with("want_stderr", false), 0, "o\n", ""),
        (sh("tty; cat").with("usePTY", true).with("initial_stdin", "hi"), 0, "not a tty\nhi\n", ""),
        (sh("test -t 0 && test -t 2 && echo e >&2; exit 4").with("usePTY", 1), 4, "e\n", ""),
        (sh("echo $PYTHONPATH").with("env", Dict::new().with("PYTHONPATH", "/a")), 0, "/a:/srv/cfg\n", ""),
        (sh("pwd | sed 's/.*w.b/B/'; echo $PWD | sed 's/.*w.b/B/'"), 0, "B/build\nB/build\n", ""),
        (sh("pwd").with("workdir", "/"), 0, "/\n", ""),
        (sh("kill -SEGV $$"), -1, "", ""),
        (sh("(sleep 0.3; echo late) & echo soon; exit 3"), 3, "soon\nlate\n", ""),
        (sh(""), 0, "", ""),
        (Dict::new().with("command", vec!["printf", "%s|", "a b", "$HOME", ""]), 0, "a b|$HOME||\n", ""),
        (Dict::new().with("command", obfuscated(Value::Tuple)), 0, "s3cret\n", ""),
        (Dict::new().with("command", obfuscated(Value::List)), 0, "s3cret\n", ""),
    ] {
        let told = bench.shell(args.clone()).await;
        assert_eq!(told.completed, Some(None), "{args:?}");
        let got = (told.rc(), told.text("stdout"), told.text("stderr"));
        assert_eq!(got, (Some(rc), stdout.to_owned(), stderr.to_owned()), "{args:?}");
        assert!(told.keys().contains(&"elapsed"), "{args:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_name_what_the_vectors_do_not() {
    let bench = Bench::new();
    for (args, expected) in [
        (Dict::new().with("command", obfuscated(Value::Tuple)), "echo XXXX\n"),
        (Dict::new().with("command", obfuscated(Value::List)), " argv: [b'echo', b'XXXX']\n"),
        (sh("true").with("timeout", 1.5).with("maxTime", 1), " (timeout 1.5 secs) (maxTime 1 sec)\n"),
        (sh("true").with("timeout", 1200.0), " (timeout 1200.0 secs)\n"),
        (sh("true").with("timeout", 0), "build\n watching"),
        (sh("true").with("initial_stdin", "é"), " writing 2 bytes to stdin\n"),
        (
            sh("true").with("usePTY", true).with("initial_stdin", "x"),
            "WARNING: disabling usePTY for this command\n",
        ),
        (
            sh("true").with("logEnviron", true).with("env", Dict::new().with("A", "x")),
            " environment:\n  A=x\n  HOME=",
        ),
    ] {
        let header = bench.shell(args.clone()).await.text("header");
        assert!(header.contains(expected), "{args:?}: {header}");
        assert!(!header.contains("s3cret"), "{header}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_run_says_so() {
    let bench = Bench::new();
    bench.write("plain", "x");
    let plain = bench.builddir().join("plain");
    for (command, what) in [
        ("/nonexistent/binary", "No such file or directory"),
        ("no-such-program", "No such file or directory"),
        (plain.to_str().unwrap(), "Permission denied"),
        ("nul\0byte", "nul byte"),
    ] {
        let told = bench.shell(Dict::new().with("command", vec![command])).await;
        assert_eq!((told.rc(), told.failure()), (Some(1), None), "{command}");
        assert!(told.text("stderr").contains(what), "{}", told.text("stderr"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_arguments_are_failures_that_name_them() {
    let bench = Bench::new();
    bench.write("file", "");
    for (args, what) in [
        (sh("true").with("env", Dict::new().with("A", 5)), "key 'A' is incorrect"),
        (sh("true").with("env", "x"), "argument 'env' must be a map"),
        (sh("true").with("usePTY", Value::None), "Unexpected usePTY argument value: None"),
        (sh("true").with("logfiles", Dict::new().with("w", 5)), "argument 'logfiles' must be"),
        (sh("true").with("timeout", "soon"), "argument 'timeout' must be a number of seconds, not 'soon'"),
        (sh("true").with("maxTime", -1), "argument 'maxTime'"),
        (sh("true").with("workdir", "file/x"), "cannot make the working directory"),
        (Dict::new().with("command", 5), "argument 'command'"),
        (Dict::new().with("command", Vec::<Value>::new()), "argument 'command'"),
        (Dict::new().with("command", vec![Value::from(vec!["a", "b"])]), "obfuscated"),
    ] {
        let told = bench.shell(args.clone()).await;
        let failure = told.failure().expect("no failure");
        assert!(failure.contains(what), "{args:?}: {failure}");
        assert_eq!((told.rc(), told.keys().last()), (None, Some(&"elapsed")), "{args:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_report_nothing() {
    let bench = Bench::new();
    let start = |name: &str, args| bench.core.start(Command::new("x", name, args), bench.master.clone());
    let unknown = CommandError::Unknown { id: "x".into(), name: "nonsense".into() };
    assert_eq!(start("nonsense", Dict::new()), Err(unknown));
    let missing = start("shell", Dict::new()).unwrap_err();
    assert_eq!(missing.to_string(), "WorkerShellCommand is missing args: workdir, command");
    let missing = start("stat", Dict::new()).unwrap_err();
    assert_eq!(
        missing.to_string(),
        "StatFile is missing args: file",
        "as people write it, whatever the protocol"
    );
    bench.start("one", "shell", shell_args(sh("sleep 1000")));
    let again =
        bench.core.start(Command::new("one", "glob", Dict::new().with("path", "*")), bench.master.clone());
    assert_eq!(again, Err(CommandError::Duplicate { id: "one".into() }));
    bench.core.shutdown().await;
    assert_eq!(start("glob", Dict::new().with("path", "*")), Err(CommandError::ShuttingDown));
    assert_eq!(bench.master.told("x").keys(), Vec::<&str>::new());
}

/// Starts a command that prints `ready`, interrupts it then.
async fn interrupted(bench: &Bench, args: Dict) -> Told {
    let id = format!("{args:?}");
    bench.start(&id, "shell", shell_args(args));
    bench.master.wait_for(&id, |told| told.text("stdout").contains("ready")).await;
    bench.core.interrupt(&id, "test");
    bench.ended(&id).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_kills_the_whole_group() {
    let bench = Bench::new();
    for pty in [false, true] {
        let told = interrupted(&bench, sh("sleep 1000 & echo $! ready; wait").with("usePTY", pty)).await;
        gone(pid(&told)).await;
        assert_eq!((told.rc(), told.failure()), (Some(-1), None));
        assert!(!told.keys().contains(&"elapsed"), "row 08.026: none after an interrupt");
        let header = told.text("header");
        assert!(
            header.contains("\ncommand interrupted, attempting to kill\nprocess killed by signal 9\n"),
            "{header}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_escalate_until_it_is_dead() {
    let bench = Bench::new();
    let stubborn = |ignored: &str| sh(&format!("trap '' {ignored}; echo ready; while :; do sleep 0.1; done"));
    let gentle = sh("trap 'echo bye; exit 5' INT; echo ready; while :; do sleep 0.1; done");
    for (args, rc, header) in [
        (gentle.with("interruptSignal", "INT"), 5, "attempting to kill\nelapsedTime"),
        (stubborn("TERM").with("sigtermTime", 0.2), -1, "process killed by signal 9\n"),
        (sh("echo ready; exec sleep 1000").with("sigtermTime", 5), -1, "process killed by signal 15\n"),
        (stubborn("HUP").with("interruptSignal", "BOGUS"), -1, "process killed by signal 9\n"),
        // The reference leaves this one running and reports a failure.
        (
            stubborn("INT").with("interruptSignal", "INT"),
            -1,
            "SIGINT failed to kill process\nprocess killed by signal 9\n",
        ),
    ] {
        let told = interrupted(&bench, args.clone()).await;
        assert_eq!((told.rc(), told.failure()), (Some(rc), None), "{args:?}");
        assert!(told.text("header").contains(header), "{args:?}: {}", told.text("header"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_program_that_exits_with_zero_is_no_success() {
    let bench = Bench::new();
    let told = bench
        .shell(
            sh("trap 'exit 0' TERM; while :; do sleep 0.1; done").with("maxTime", 0.3).with("sigtermTime", 5),
        )
        .await;
    assert_eq!(told.rc(), Some(-1));
    assert!(told.text("header").contains("command timed out: 0.3 seconds elapsed running"));
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_both_channels_are_counted() {
    let bench = Bench::new();
    let seq = |tail: &str| sh(&format!("seq 1 5; seq 1 5 >&2; seq 1 3; {tail}"));
    let told = bench.shell(seq("exec sleep 1000").with("max_lines", 12)).await;
    let keys = told.keys();
    let at = |key| keys.iter().position(|k| *k == key);
    assert!(at("failure_reason").is_some() && at("failure_reason") < at("rc"), "{keys:?}");
    assert_eq!((told.rc(), told.text("stdout").as_str()), (Some(-1), "1\n2\n3\n4\n5\n1\n2\n3\n"));
    assert!(told.text("header").contains("command exceeds max lines: 13/12 written/allowed running b'seq"));
    let told = bench.shell(seq("printf unfinished").with("max_lines", 13)).await;
    assert_eq!(told.rc(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn output_and_log_files_keep_a_command_alive() {
    let bench = Bench::new();
    let busy = "for i in 1 2 3 4 5 6; do sleep 0.4; echo $i; done";
    let hidden = sh(busy).with("timeout", 2).with("want_stdout", false);
    let logs = Dict::new().with("w", "w");
    let log =
        sh("for i in 1 2 3 4 5 6; do sleep 1; echo $i >> w; done").with("timeout", 5).with("logfiles", logs);
    for args in [sh(busy).with("timeout", 2), hidden, log] {
        assert_eq!(bench.shell(args.clone()).await.rc(), Some(0), "{args:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn watched_files() {
    let bench = Bench::new();
    bench.write("build/old", "before\n");
    bench.write("build/same", "unchanged\n");
    bench.write("build/replaced", "before\n");
    let followed = |name: &str| Dict::new().with("filename", name).with("follow", true);
    let logs = Dict::new()
        .with("whole", "old")
        .with("new part", followed("old"))
        .with("same", "same")
        .with("never", "absent")
        .with("fresh", followed("fresh"))
        .with("replaced", "replaced")
        .with("directory", ".");
    let line = "echo after >> old; printf 'a\\nno end' > fresh; echo x >> replaced; sleep 2.5; \
                rm replaced; printf 'second\\r\\n' > replaced";
    let told = bench.shell(sh(line).with("logfiles", logs)).await;
    let of = |wanted: &str| -> String {
        let text = |u: &Update| match u {
            Update::Log { name, text } if name == wanted => Some(text.clone()),
            _ => None,
        };
        told.updates.iter().filter_map(text).collect()
    };
    for (name, text) in [
        ("whole", "before\nafter\n"),
        ("new part", "after\n"),
        ("same", ""),
        ("never", ""),
        ("fresh", "a\nno end\n"),
        ("replaced", "before\nx\nsecond\n"),
        ("directory", ""),
    ] {
        assert_eq!(of(name), text, "{name}");
    }
    assert_eq!(told.keys().last(), Some(&"log"), "the unfinished line comes last");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_left_behind_does_not_hold_the_command() {
    let bench = Bench::new();
    let told = bench.shell(sh("sleep 1000 & echo $!; exit 3")).await;
    assert_eq!((told.rc(), told.failure()), (Some(3), None));
    assert!(told.text("header").contains("a process it left behind"));
    let left = pid(&told);
    assert!(alive(left), "a program may leave a server behind");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(left), nix::sys::signal::Signal::SIGKILL).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_worker_is_the_end_of_its_processes() {
    for shut_down in [true, false] {
        let bench = Bench::new();
        bench.start("x", "shell", shell_args(sh("trap '' TERM INT; sleep 1000 & echo $! ready; wait")));
        let told = bench.master.wait_for("x", |told| told.text("stdout").contains("ready")).await;
        let Bench { core, master, dir } = bench;
        if shut_down {
            core.shutdown().await;
        }
        drop(core);
        gone(pid(&told)).await;
        assert_eq!(master.told("x").completed, None);
        drop(dir);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_recorded_before_it_starts() {
    let bench = Bench::new();
    // One that deletes all of the folder is not to find a file there that was not there a moment ago.
    let told = bench
        .shell(sh(
            "ls ../../info/.running | wc -l; top=$(cd ../..; pwd); rm -rf $top && sleep 0.1 && ls $top",
        ))
        .await;
    assert_eq!((told.rc(), told.text("stdout").as_str()), (Some(2), "1\n"), "{}", told.text("stderr"));
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_text_pass_through_the_environment() {
    let bench = Bench::with(|options| {
        options.env.push(("RAW".into(), std::ffi::OsString::from_vec(b"a\xffb".to_vec())));
        options.umask = Some(0o027);
    });
    let env = Dict::new().with("COPY", "<${RAW}>");
    let told = bench.shell(sh("printf %s \"$COPY\" | od -An -tx1; umask").with("env", env.clone())).await;
    assert_eq!(told.text("stdout"), " 3c 61 ff 62 3e\n0027\n");
    let told = bench.shell(sh("true").with("env", env).with("logEnviron", true)).await;
    assert!(told.text("header").contains("  COPY=<a\u{FFFD}b>\n"));
    let info = bench.core.info().await;
    assert!(info.environ.contains(&("RAW".into(), "a\u{FFFD}b".into())));
    assert_eq!(
        (info.system.as_str(), info.basedir.as_str()),
        ("posix", bench.core.basedir().to_str().unwrap())
    );
    assert_eq!(info.command_version("rmfile"), Some("3.3"));
}

/// Counts what it is told and keeps nothing.
#[derive(Default)]
struct Counter {
    chars: AtomicUsize,
    largest: AtomicUsize,
    completed: tokio::sync::Notify,
}

#[async_trait::async_trait]
impl MasterSide for Counter {
    async fn update(&self, _: &str, updates: Vec<Update>) {
        let length = |u: &Update| if let Update::Stdout(text) = u { text.len() } else { 0 };
        let batch = updates.iter().map(length).sum();
        let lines =
            updates.iter().filter_map(|u| if let Update::Stdout(t) = u { Some(t.lines()) } else { None });
        assert!(lines.flatten().all(|line| line.len() <= 4096));
        self.chars.fetch_add(batch, Ordering::Relaxed);
        self.largest.fetch_max(batch, Ordering::Relaxed);
    }

    async fn complete(&self, _: &str, failure: Option<String>) {
        assert_eq!(failure, None);
        self.completed.notify_one();
    }

    async fn transfer(&self, _: &str, _: lunabot_proto::Transfer) -> Result<bytes::Bytes, TransferError> {
        Err(TransferError("unexpected".into()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_without_newlines_stays_bounded() {
    let bench = Bench::new();
    let counter = Arc::new(Counter::default());
    let args = shell_args(sh("head -c 100000000 /dev/zero | tr '\\0' x"));
    bench.core.start(Command::new("x", "shell", args), counter.clone()).unwrap();
    tokio::time::timeout(support::PATIENCE, counter.completed.notified()).await.unwrap();
    let pieces = 100_000_000_usize.div_ceil(4096);
    assert_eq!(counter.chars.load(Ordering::Relaxed), 100_000_000 + pieces, "every character, and line ends");
    let largest = counter.largest.load(Ordering::Relaxed);
    assert!(largest < 300_000, "one batch held {largest} bytes");
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 100_000, "{peak} kB");
}

/// Takes the first batch and never returns.
#[derive(Default)]
struct Stuck {
    text: std::sync::Mutex<String>,
    told: tokio::sync::Notify,
}

#[async_trait::async_trait]
impl MasterSide for Stuck {
    async fn update(&self, _: &str, updates: Vec<Update>) {
        for update in updates {
            if let Update::Stdout(text) = update {
                self.text.lock().unwrap().push_str(&text);
            }
        }
        self.told.notify_one();
        std::future::pending::<()>().await;
    }

    async fn complete(&self, _: &str, _: Option<String>) {}

    async fn transfer(&self, _: &str, _: lunabot_proto::Transfer) -> Result<bytes::Bytes, TransferError> {
        std::future::pending().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_master_stops_the_flood_but_not_the_kill() {
    let bench = Bench::new();
    let stuck = Arc::new(Stuck::default());
    let args = shell_args(sh("echo $$; exec yes"));
    bench.core.start(Command::new("x", "shell", args), stuck.clone()).unwrap();
    tokio::time::timeout(support::PATIENCE, stuck.told.notified()).await.unwrap();
    let pid: i32 = stuck.text.lock().unwrap().lines().next().unwrap().parse().unwrap();
    // It sleeps for ever once the pipe is full and nobody reads.
    support::stalled(pid).await;
    bench.core.interrupt("x", "test");
    gone(pid).await;
    bench.core.shutdown().await;
}
