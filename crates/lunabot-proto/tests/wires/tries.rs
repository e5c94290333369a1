//! `buildbot try`: recorded clients against our end, our client against the recorded master, and both of ours together.

use crate::banana::trees;
use crate::pb::challenge;
use crate::recorded::{self, From};
use lunabot_proto::pb::{
    CallerError, Door, Errand, PbCaller, PbTry, Sexp, Status, Told, TryAnswer, TryAsked, TryNews, TryQuestion,
};
use lunabot_proto::{Dict, TryJob, Value};

/// The recorded client right after its login.
fn recorded_client(name: &str) -> PbTry {
    let mut door = Door::new(challenge(name));
    door.feed(&recorded::bytes(name, From::Worker));
    let knock = door.knock().unwrap().unwrap();
    assert_eq!((knock.name.as_str(), knock.mind), ("alice", None), "{name}");
    assert!(knock.proof.fits("s3cr3t"), "{name}");
    door.tries(&knock)
}

fn question(client: &mut PbTry) -> TryAsked {
    client.asked().unwrap().unwrap()
}

fn said(client: &mut PbTry) -> Vec<Sexp> {
    client.output().iter().flat_map(|bytes| trees(bytes, 1 << 20)).collect()
}

#[test]
fn row_03_023_recorded_clients_are_understood_and_answered_the_same() {
    for (name, answer) in [
        ("pb-try-names", TryAnswer::Names(vec!["b-pb-try".into()])),
        ("pb-try-nowait", TryAnswer::Status(Status::Buildset(77))),
        ("pb-try-git", TryAnswer::Status(Status::Buildset(77))),
        ("pb-try-badbuilder", TryAnswer::Nothing),
    ] {
        let mut client = recorded_client(name);
        let asked = question(&mut client);
        if let TryQuestion::Try(job) = &asked.what {
            let wanted: &[&str] = if name == "pb-try-badbuilder" { &["absent"] } else { &["b-pb-try"] };
            assert_eq!(job.builders, wanted, "{name}");
            assert_eq!((job.level, &job.who), (1, &None), "{name}");
            let git = name == "pb-try-git";
            assert_eq!(job.branch.as_deref(), git.then_some("master"), "{name}");
            assert_eq!(String::from_utf8_lossy(&job.patch).contains("+two ü\n"), git, "{name}");
        }
        client.answer(asked.call, Ok(answer));
        assert_eq!(client.asked().unwrap(), None, "{name}");
        assert_eq!(said(&mut client), trees(&recorded::bytes(name, From::Master), 1 << 20), "{name}");
    }
    assert!(!{
        let mut door = Door::new(challenge("pb-try-badpw"));
        door.feed(&recorded::bytes("pb-try-badpw", From::Worker));
        door.knock().unwrap().unwrap().proof.fits("s3cr3t")
    });
}

#[test]
fn row_03_023_a_recorded_client_that_waits_is_led_to_the_end() {
    let name = "pb-try-wait";
    let mut client = recorded_client(name);
    let asked = question(&mut client);
    let TryQuestion::Try(job) = &asked.what else { panic!("{asked:?}") };
    assert_eq!((job.who.as_deref(), job.comment.as_deref()), (Some("Ada"), Some("please ü")));
    assert_eq!(job.properties, Dict::new().with("k", "v"));
    assert!(job.patch.ends_with(b"+new \xff\n"));
    client.answer(asked.call, Ok(TryAnswer::Status(Status::Buildset(7))));
    let (builder, step) = (|| "b-pb-try".to_owned(), |step: &str| step.to_owned());
    let mut waiting = None;
    while let Some(TryAsked { call, what }) = client.asked().unwrap() {
        let answer = match what {
            TryQuestion::Requests(7) => TryAnswer::Requests(vec![(builder(), 8)]),
            TryQuestion::FollowRequest { request: 8, observer: 1 } => {
                client.answer(call, Ok(TryAnswer::Nothing));
                client.tell(1, TryNews::Build { build: Status::Build(9), builder: builder() }).unwrap();
                continue;
            }
            TryQuestion::FollowBuild { build: Status::Build(9), observer: 1 } => TryAnswer::Nothing,
            TryQuestion::WaitForBuild(Status::Build(9)) => {
                let finished = |name| TryNews::StepFinished {
                    build: Status::Build(9),
                    builder: builder(),
                    step: step(name),
                    results: 0,
                };
                client.tell(1, finished("worker_preparation")).unwrap();
                client
                    .tell(
                        1,
                        TryNews::StepStarted {
                            build: Status::Build(9),
                            builder: builder(),
                            step: step("shell"),
                        },
                    )
                    .unwrap();
                client.tell(1, finished("shell")).unwrap();
                waiting = call;
                continue;
            }
            TryQuestion::Results(Status::Build(9)) => {
                // The recorded client asks at once, having been answered before.
                client.answer(waiting.take(), Ok(TryAnswer::Status(Status::Build(9))));
                TryAnswer::Results(0)
            }
            TryQuestion::Text(Status::Build(9)) => TryAnswer::Text("build successful".into()),
            other => panic!("{other:?}"),
        };
        client.answer(call, Ok(answer));
    }
    let in_order = |mut trees: Vec<Sexp>| {
        // Answers may come in any order: what counts is what is said.
        trees.sort_by_key(|tree| format!("{tree:?}"));
        trees
    };
    let wanted = trees(&recorded::bytes(name, From::Master), 1 << 20);
    assert_eq!(in_order(said(&mut client)), in_order(wanted));
}

#[test]
fn row_03_023_objects_that_are_not_there_are_an_error() {
    let mut client = recorded_client("pb-try-wait");
    let asked = question(&mut client);
    // The job is refused, so the client's next calls go to nobody.
    client.answer(asked.call, Err("no".into()));
    assert_eq!(client.asked().unwrap(), None);
    let errors = said(&mut client).iter().filter(|tree| format!("{tree:?}").contains("NoSuchMethod")).count();
    assert!(errors >= 3, "{errors}");
}

/// Our client and the recorded master.
fn call(name: &str, password: &str, errand: Errand) -> (Vec<Told>, Option<CallerError>) {
    let mut caller = PbCaller::new("alice", password, errand);
    let mut told = Vec::new();
    for byte in recorded::bytes(name, From::Master) {
        caller.feed(&[byte]);
        loop {
            match caller.told() {
                Ok(Some(news)) => told.push(news),
                Ok(None) => break,
                Err(error) => return (told, Some(error)),
            }
        }
    }
    (told, None)
}

fn job() -> TryJob {
    TryJob {
        branch: Some("main".into()),
        revision: Some("abc123".into()),
        level: 1,
        patch: b"--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old\n+new \xff\n".to_vec(),
        repository: "https://example.org/r".into(),
        builders: vec!["b-pb-try".into()],
        who: Some("Ada".into()),
        comment: Some("please ü".into()),
        properties: Dict::new().with("k", "v"),
        ..TryJob::default()
    }
}

#[test]
fn row_16_009_our_client_understands_a_recorded_master() {
    let follow = |follow| Errand::Try { job: Box::new(job()), follow };
    let builder = || "b-pb-try".to_owned();
    let finished = |step: &str| Told::StepFinished { builder: builder(), step: step.into(), results: 0 };
    let wait = vec![
        Told::Entered,
        Told::Taken(true),
        Told::Queued(vec![builder()]),
        Told::Started { builder: builder() },
        finished("worker_preparation"),
        Told::StepStarted { builder: builder(), step: "shell".into() },
        finished("shell"),
        Told::Finished { builder: builder(), results: 0, text: "build successful".into() },
    ];
    assert_eq!(call("pb-try-wait", "s3cr3t", follow(true)), (wait, None));
    let taken = |taken| vec![Told::Entered, Told::Taken(taken)];
    assert_eq!(call("pb-try-nowait", "s3cr3t", follow(false)), (taken(true), None));
    assert_eq!(call("pb-try-badbuilder", "s3cr3t", follow(true)), (taken(false), None));
    let names = vec![Told::Entered, Told::Names(vec![builder()])];
    assert_eq!(call("pb-try-names", "s3cr3t", Errand::BuilderNames), (names, None));
    assert_eq!(call("pb-try-badpw", "nope", Errand::BuilderNames), (Vec::new(), Some(CallerError::Refused)));
    let change = Errand::Change(Dict::new().with("who", "Ada"));
    assert_eq!(call("pb-sendchange-min", "changepw", change), (vec![Told::Entered, Told::Done], None));
}

#[test]
fn row_16_009_our_client_sends_what_the_recorded_one_sent() {
    for (name, user, password, errand) in [
        ("pb-try-wait", "alice", "s3cr3t", Errand::Try { job: Box::new(job()), follow: false }),
        ("pb-try-names", "alice", "s3cr3t", Errand::BuilderNames),
    ] {
        let mut caller = PbCaller::new(user, password, errand);
        let mut sent = Vec::new();
        for byte in recorded::bytes(name, From::Master) {
            caller.feed(&[byte]);
            while caller.told().unwrap().is_some() {}
            sent.extend(caller.output());
        }
        let sent: Vec<u8> = sent.into_iter().flatten().collect();
        let sent = trees(&sent, 1 << 20);
        let recorded = trees(&recorded::bytes(name, From::Worker), 1 << 20);
        // Choice of dialect, version, login, respond, decref of the challenger, errand.
        assert_eq!(sent[..6], recorded[..6], "{name}");
    }
}

#[test]
fn row_16_008_our_client_and_our_master_agree_on_a_change() {
    let change = Dict::new().with("who", "Ada").with("files", vec!["a.c"]).with("when", Value::None);
    let mut caller = PbCaller::new("change", "changepw", Errand::Change(change.clone()));
    let mut door = Door::new([9; 16]);
    let knock = loop {
        for bytes in door.output() {
            caller.feed(&bytes);
        }
        assert_eq!(caller.told().unwrap(), None);
        for bytes in caller.output() {
            door.feed(&bytes);
        }
        if let Some(knock) = door.knock().unwrap() {
            break knock;
        }
    };
    assert!(knock.proof.fits("changepw") && !knock.proof.fits("other"));
    let mut client = door.client(&knock);
    let feed = |client: &mut lunabot_proto::pb::PbClient, caller: &mut PbCaller| {
        client.output().iter().for_each(|bytes| caller.feed(bytes));
    };
    feed(&mut client, &mut caller);
    assert_eq!(caller.told().unwrap(), Some(Told::Entered));
    caller.output().iter().for_each(|bytes| client.feed(bytes));
    let reported = client.reported().unwrap().unwrap();
    assert_eq!(reported.change, change);
    client.answer(reported.request, Err("the disk is full".into()));
    feed(&mut client, &mut caller);
    let error = caller.told().unwrap_err().to_string();
    assert!(error.contains("the disk is full"), "{error}");
}

#[test]
fn something_else_than_pb_is_told_from_it() {
    for greeting in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"\x01\x80\x04\x82none"] {
        let mut caller = PbCaller::new("a", "b", Errand::BuilderNames);
        caller.feed(greeting);
        assert!(caller.told().unwrap_err().to_string().contains("no PB as it should be"));
    }
}
