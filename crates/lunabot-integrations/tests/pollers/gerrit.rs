//! `changes.GerritChangeSource` (02.020) with a stand-in for ssh, and `changes.GerritEventLogPoller` (02.021) on a small
//! server.

use super::master::{Master, generation};
use super::server::Server;
use crate::support::{Functions, eventually, function, script};
use lunabot_model::{AnyObject, Json};
use serde_json::json;
use std::path::Path;

fn declared(kind: &str, args: Json, options: Json) -> AnyObject {
    let mut args = args;
    args.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    let object = json!({"$kind": format!("changes.{kind}"), "$id": 1, "$at": "master.lua:3", "$args": args});
    AnyObject::from_json(&object).unwrap()
}

/// A source whose ssh is a script in `dir`; the script may use `$D` for that folder.
fn gerrit(dir: &Path, text: &str, options: Json) -> AnyObject {
    let text = format!("#!/bin/sh\nD={}\necho \"$@\" >> $D/calls\n{text}\n", dir.display());
    let ssh = script(dir, "ssh", &text);
    let args = json!({"gerritserver": "gerrit.example.org", "username": "ci", "sshbin": ssh});
    declared("GerritChangeSource", args, options)
}

fn patch_set(number: i64, time: i64) -> Json {
    json!({"type": "patchset-created", "eventCreatedOn": time,
           "change": {"branch": "main", "project": "pr", "number": number, "subject": format!("subject {number}"),
                      "owner": {"name": "Ann", "email": "a@x"}, "url": format!("http://g/{number}")},
           "patchSet": {"revision": format!("rev{number}"), "number": 2, "ref": format!("refs/changes/{number}/2")}})
}

fn calls(dir: &Path) -> Vec<String> {
    std::fs::read_to_string(dir.join("calls")).unwrap_or_default().lines().map(String::from).collect()
}

/// Waits until so many changes are there; their comments.
async fn comments(master: &Master, count: usize) -> Vec<String> {
    eventually("the changes", || async {
        let told: Vec<String> = master.changes().await.into_iter().map(|change| change.comments).collect();
        (told.len() >= count).then_some(told)
    })
    .await
}

/// 02.020: what the stream tells becomes changes; a connection that ends is made again.
#[tokio::test]
async fn the_stream_is_heard_and_taken_up_again_02_020() {
    let (dir, master) = (tempfile::tempdir().unwrap(), Master::new().await);
    for number in [1, 2] {
        let noise = "no json\n[]\n{\"type\": \"topic-changed\"}\n";
        std::fs::write(
            dir.path().join(format!("events{number}")),
            format!("{noise}{}\n", patch_set(number, 100)),
        )
        .unwrap();
    }
    let text = "n=$(wc -l < $D/calls)\ncat $D/events$n\n[ $n = 1 ] && { echo 'broken pipe' >&2; exit 255; }\nexec sleep 1000";
    let source = gerrit(dir.path(), text, json!({"identity_file": "/keys/ci", "gerritport": 2222}));
    assert_eq!(master.apply(vec![source]).await.started, ["GerritChangeSource:ci@gerrit.example.org:2222"]);
    assert_eq!(comments(&master, 2).await, ["subject 1", "subject 2"]);
    let change = master.changes().await.remove(0);
    assert_eq!(
        (change.branch.as_deref(), change.revision.as_deref()),
        (Some("refs/changes/1/2"), Some("rev1"))
    );
    assert_eq!(
        (change.repository.as_str(), change.project.as_str()),
        ("ssh://ci@gerrit.example.org:2222/pr", "pr")
    );
    assert_eq!(change.properties.get("event.source"), Some(&json!("GerritChangeSource")));
    let call = "-o BatchMode=yes -o ServerAliveInterval=15 -o ServerAliveCountMax=3 -i /keys/ci ci@gerrit.example.org -p 2222 gerrit stream-events";
    assert_eq!(calls(dir.path()), [call, call]);
    assert!(master.row().failures >= 1);
    master.sources.stop().await;
}

/// What ssh says is told, and nothing is hammered: pauses grow.
#[tokio::test]
async fn a_server_that_lets_nobody_in_is_told_02_020() {
    let (dir, master) = (tempfile::tempdir().unwrap(), Master::new().await);
    master
        .apply(vec![gerrit(dir.path(), "echo 'Permission denied (publickey)' >&2; exit 255", json!({}))])
        .await;
    let told = eventually("an error", || async { master.row().last_error }).await;
    assert_eq!(told, "the connection to Gerrit ended: Permission denied (publickey)");
    let missing = declared(
        "GerritChangeSource",
        json!({"gerritserver": "g", "username": "u", "sshbin": "/nowhere/ssh"}),
        json!({}),
    );
    master.apply(vec![missing]).await;
    let told = eventually("an error", || async { master.row().last_error }).await;
    assert!(told.starts_with("cannot run /nowhere/ssh: "), "{told}");
}

/// A reload that changes nothing keeps the connection; a stop ends the program.
#[tokio::test]
async fn a_connection_outlives_reloads_and_ends_with_its_source_02_020() {
    let (dir, master) = (tempfile::tempdir().unwrap(), Master::new().await);
    let events = dir.path().join("events");
    std::fs::write(&events, format!("{}\n", patch_set(1, 100))).unwrap();
    let source = gerrit(dir.path(), "echo $$ > $D/pid\nexec tail -n +1 -f $D/events", json!({}));
    master.apply(vec![source.clone()]).await;
    comments(&master, 1).await;
    let name = "GerritChangeSource:ci@gerrit.example.org:29418";
    assert_eq!(master.apply(vec![source]).await.kept, [name]);
    for number in 2..5 {
        let mut text = std::fs::read_to_string(&events).unwrap();
        text.push_str(&format!("{}\n", patch_set(number, 100)));
        std::fs::write(&events, text).unwrap();
        comments(&master, number as usize).await;
    }
    assert_eq!(calls(dir.path()).len(), 1);
    let pid = std::fs::read_to_string(dir.path().join("pid")).unwrap();
    let stat = format!("/proc/{}/cmdline", pid.trim());
    let alive = || std::fs::read(&stat).is_ok_and(|line| !line.is_empty());
    assert!(alive());
    assert_eq!(master.apply(vec![]).await.stopped, [name]);
    eventually("the end of ssh", || async { (!alive()).then_some(()) }).await;
}

/// The files of patch sets are asked for, where that is wanted; where Gerrit does not tell them, the change is there.
#[tokio::test]
async fn files_are_asked_for_02_020() {
    let (dir, master) = (tempfile::tempdir().unwrap(), Master::new().await);
    std::fs::write(dir.path().join("events"), format!("{}\n{}\n", patch_set(1, 100), patch_set(2, 100)))
        .unwrap();
    let sets = json!([{"number": 1, "files": [{"file": "old.c"}]},
                      {"number": 2, "files": [{"file": "/COMMIT_MSG"}, {"file": "src/a.c"}]}]);
    let answer = json!({"project": "pr", "patchSets": sets});
    std::fs::write(dir.path().join("answer"), format!("{answer}\n{{\"type\":\"stats\"}}\n")).unwrap();
    let text = "case \"$*\" in\n*'query 1 '*) cat $D/answer;;\n*query*) exit 1;;\n*) cat $D/events; exec sleep 1000;;\nesac";
    master.apply(vec![gerrit(dir.path(), text, json!({"get_files": true}))]).await;
    comments(&master, 2).await;
    let files: Vec<_> = master.changes().await.into_iter().map(|change| change.files).collect();
    assert_eq!(files, [vec!["src/a.c".to_string()], vec!["unknown".to_string()]]);
    assert!(calls(dir.path())[1].ends_with("gerrit query 1 --format JSON --files --patch-sets"));
    master.sources.stop().await;
}

/// An event whose function fails is not lost: it is tried again.
#[tokio::test]
async fn an_event_that_cannot_be_taken_in_waits_02_020() {
    let (dir, master) = (tempfile::tempdir().unwrap(), Master::new().await);
    std::fs::write(dir.path().join("events"), format!("{}\n{}\n", patch_set(1, 100), patch_set(2, 100)))
        .unwrap();
    let source = gerrit(dir.path(), "cat $D/events; exec sleep 1000", json!({"change_fn": function("f")}));
    let attempts = std::sync::atomic::AtomicUsize::new(0);
    let functions =
        Functions::new(move |_, mut args| match attempts.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Err("master.lua:3: not yet".into()),
            _ => Ok(args.remove(0)),
        });
    master.sources.apply(&generation(vec![source], functions)).await.unwrap();
    assert_eq!(comments(&master, 2).await, ["subject 1", "subject 2"]);
    assert_eq!((master.row().failures, calls(dir.path()).len()), (1, 1));
    master.sources.stop().await;
}

const LOG: &str = "/g/a/plugins/events-log/events/";

fn lines(events: &[Json]) -> String {
    events.iter().map(|event| format!("{event}\n")).collect::<String>() + "\nno json\n"
}

/// What the stream misses comes from the log, what both tell comes once, and a restart repeats nothing.
#[tokio::test]
async fn gaps_are_filled_from_the_log_02_020() {
    let (dir, server, mut master) =
        (tempfile::tempdir().unwrap(), Server::start().await, Master::new().await);
    // Also where the stream is heard before the log is asked.
    let time = 1_700_000_000;
    std::fs::write(dir.path().join("events"), format!("{}\n", patch_set(1, time))).unwrap();
    server.put_text(LOG, 200, &lines(&[patch_set(1, time), patch_set(2, time)]));
    let options =
        json!({"http_url": format!("{}/g", server.url), "http_auth": ["u", "p"], "http_poll_interval": 1});
    let source = gerrit(dir.path(), "cat $D/events; exec sleep 1000", options);
    master.apply(vec![source.clone()]).await;
    let mut told = comments(&master, 2).await;
    told.sort();
    assert_eq!(told, ["subject 1", "subject 2"]);
    let asked = server.asked();
    assert_eq!(
        asked[0],
        (format!("{LOG}?t1=2023-11-14+22%3A12%3A20"), "Basic dTpw".into()),
        "a minute before the start"
    );

    master.restart().await;
    server.put_text(LOG, 200, &lines(&[patch_set(1, time), patch_set(2, time), patch_set(3, time + 1)]));
    master.apply(vec![source]).await;
    comments(&master, 3).await;
    let polls = master.row().polls;
    eventually("some more polls", || async { (master.row().polls > polls + 2).then_some(()) }).await;
    assert_eq!(master.changes().await.len(), 3);
    // A log that is out of order is told; the stream goes on.
    server.put_text(LOG, 503, "");
    let told = eventually("an error", || async { master.row().last_error }).await;
    assert!(told.contains("answers 503"), "{told}");
    master.sources.stop().await;
}

/// 02.021: the log alone.
#[tokio::test]
async fn the_log_is_polled_02_021() {
    let (server, mut master) = (Server::start().await, Master::new().await);
    let time = 1_700_000_000;
    let args = json!({"baseURL": format!("{}/g/", server.url), "auth": ["u", "p"], "gitBaseURL": "ssh://git",
                      "pollInterval": 0, "pollAtLaunch": false, "firstFetchLookback": "1d", "get_files": true,
                      "handled_events": ["patchset-created", "ref-updated", "change-merged"]});
    let source = declared("GerritEventLogPoller", args, json!({}));
    let moved = json!({"type": "ref-updated", "eventCreatedOn": time, "refUpdate": {"newRev": "2", "refName": "refs/heads/main", "project": "pr"}});
    server.put_text(LOG, 200, &lines(&[patch_set(1, time + 5), moved]));
    server.put_text("/g/a/changes/1/revisions/2/files/", 200, ")]}'\n{\"/COMMIT_MSG\": {}, \"a.c\": {}}");
    master.apply(vec![source.clone()]).await;
    master.poll_well().await;
    assert!(server.paths()[0].starts_with(&format!("{LOG}?t1=2023-11-13+22%3A1")), "a day and a minute back");
    let rows = master.changes().await;
    assert_eq!(
        rows.iter().map(|row| row.branch.as_deref()).collect::<Vec<_>>(),
        [Some("main"), Some("refs/changes/1/2")]
    );
    assert_eq!(
        (&rows[0].files[..], &rows[1].files[..]),
        (&["unknown".to_string()][..], &["a.c".to_string()][..])
    );
    assert_eq!(rows[1].properties.get("event.source"), Some(&json!("GerritEventLogPoller")));
    master.restart().await;
    master.apply(vec![source]).await;
    server.put_text(LOG, 200, &lines(&[patch_set(1, time + 5), patch_set(3, time + 9)]));
    master.poll_well().await;
    master.poll_well().await;
    assert_eq!(comments(&master, 3).await[2], "subject 3");
    assert_eq!(master.changes().await.len(), 3);
    assert!(
        server.paths()[0].starts_with(&format!("{LOG}?t1=2023-11-14+22%3A12%3A25")),
        "a minute before the newest"
    );
    server.put_text(LOG, 401, "");
    assert!(master.poll().await.last_error.unwrap().contains("answers 401"));
}

#[tokio::test]
async fn options_are_checked_02_020_02_021() {
    let master = Master::new().await;
    let stream = |options: Json| {
        declared("GerritChangeSource", json!({"gerritserver": "g", "username": "u"}), options)
    };
    let log = |options: Json| {
        declared(
            "GerritEventLogPoller",
            json!({"baseURL": "http://g", "auth": ["u", "p"], "gitBaseURL": "ssh://g"}),
            options,
        )
    };
    for (source, part) in [
        (stream(json!({"gerritserver": "-oProxyCommand=x"})), "gerritserver: must be a name"),
        (stream(json!({"username": "a b"})), "username: must be a name"),
        (stream(json!({"http_auth": ["a", "b"]})), "http_auth: needs http_url"),
        (stream(json!({"http_url": "g"})), "http_url: g is not an address"),
        (
            stream(json!({"http_url": "http://g", "http_poll_interval": 0})),
            "http_poll_interval: must be 1 second",
        ),
        (stream(json!({"gerritport": 70000})), "gerritport: "),
        (log(json!({"auth": ["a"]})), "auth: must be {user, password}"),
        (log(json!({"baseURL": "x"})), "baseURL: x is not an address"),
        (log(json!({"pollInterval": -1})), "pollInterval: must not be negative"),
    ] {
        let nothing = Functions::new(|name, _| panic!("unexpected call of {name}"));
        let told: Vec<String> = master
            .sources
            .check(&generation(vec![source], nothing))
            .await
            .iter()
            .map(ToString::to_string)
            .collect();
        assert!(told.len() == 1 && told[0].contains(part), "{part}: {told:?}");
    }
}
