//! `changes.SVNPoller` on real repositories (02.013–02.017).

use super::master::{Master, generation};
use crate::support::{Functions, SvnRepo, function, run, script};
use lunabot_integrations::{ChangeSources, SourceStatus};
use lunabot_model::resources::Change;
use lunabot_model::{AnyObject, Json};
use serde_json::json;
use std::sync::Mutex;

fn poller(repourl: &str, options: Json) -> AnyObject {
    let mut args = json!({"repourl": repourl, "pollInterval": 0});
    args.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    let object = json!({"$kind": "changes.SVNPoller", "$id": 1, "$at": "master.lua:3", "$args": args});
    AnyObject::from_json(&object).unwrap()
}

/// What a change says, in one line.
fn line(change: &Change) -> String {
    let branch = change.branch.as_deref().unwrap_or("nil");
    format!("r{} {branch} [{}]", change.revision.as_deref().unwrap_or_default(), change.files.join(" "))
}

async fn told(master: &Master) -> Vec<String> {
    master.changes().await.iter().map(line).collect()
}

/// 02.013: the first poll notes; then each revision of the folder is one change, in order, and a restart repeats none.
#[tokio::test]
async fn row_02_013_each_revision_is_one_change() {
    let (repo, mut master) = (SvnRepo::new(), Master::new().await);
    repo.write("trunk/a", "before\n");
    repo.commit("before");
    let options =
        json!({"project": "P", "category": "C", "revlinktmpl": "http://h/%s", "cachepath": "svn.rev"});
    let declared = poller(&repo.url("trunk/"), options);
    assert_eq!(master.apply(vec![declared.clone()]).await.started, [repo.url("trunk/")]);
    master.poll_well().await;
    assert_eq!(told(&master).await, [""; 0]);
    let cache = master.dir.path().join("svn.rev");
    assert_eq!(std::fs::read_to_string(&cache).unwrap(), "2");

    repo.write("trunk/a", "one\n");
    repo.write("trunk/ü/b", "one\n");
    repo.commit("one: grüße");
    repo.write("branches/x", "elsewhere\n");
    repo.commit("elsewhere");
    repo.write("trunk/a", "two\n");
    repo.commit("two");
    master.poll_well().await;
    master.poll_well().await;
    assert_eq!(told(&master).await, ["r3 nil [a ü/ ü/b]", "r5 nil [a]"]);
    let first = master.changes().await.remove(0);
    assert_eq!((first.author.as_str(), first.comments.as_str()), ("joe", "one: grüße"));
    assert_eq!((first.revlink.as_deref(), first.category.as_deref()), (Some("http://h/3"), Some("C")));
    assert_eq!(
        (first.repository, first.project, first.codebase),
        (repo.url("trunk"), "P".into(), String::new())
    );
    assert_eq!(std::fs::read_to_string(&cache).unwrap(), "5");

    master.restart().await;
    master.apply(vec![declared]).await;
    repo.write("trunk/a", "three\n");
    repo.commit("three");
    master.poll_well().await;
    assert_eq!(told(&master).await.last().unwrap(), "r6 nil [a]");
    assert_eq!(told(&master).await.len(), 3);
}

/// 02.013: more revisions than are read at a time, and where Buildbot's file left off.
#[tokio::test]
async fn row_02_013_no_revision_is_lost_however_many_there_are() {
    let (repo, master) = (SvnRepo::new(), Master::new().await);
    std::fs::write(master.dir.path().join("old"), "3\n").unwrap();
    for number in 2..=8 {
        repo.write("trunk/a", &format!("{number}\n"));
        repo.commit("more");
    }
    master.apply(vec![poller(&repo.url(""), json!({"histmax": 2, "cachepath": "old"}))]).await;
    master.poll_well().await;
    let revisions: Vec<String> = master.changes().await.into_iter().filter_map(|c| c.revision).collect();
    assert_eq!(revisions, ["4", "5", "6", "7", "8"]);
    std::fs::write(master.dir.path().join("bad"), "soon").unwrap();
    master.apply(vec![poller(&repo.url(""), json!({"name": "other", "cachepath": "bad"}))]).await;
    let error = master.poll().await.last_error.unwrap();
    assert!(error.contains("bad: does not hold the number of a revision"), "{error}");
}

/// split_file of the tests: `trunk/…`, `branches/NAME/…`, and names for whole areas.
fn split(path: &str) -> Json {
    let pieces: Vec<&str> = path.splitn(3, '/').collect();
    match pieces[..] {
        ["trunk", ..] => json!([null, path.strip_prefix("trunk/").unwrap()]),
        ["branches", name, rest] => json!([name, rest]),
        ["tags", name, rest] => {
            json!({"path": rest, "branch": name, "project": "tags", "repository": "R", "codebase": "c"})
        }
        _ => Json::Null,
    }
}

/// 02.014: one change per branch, project, repository and codebase; what is of no interest or gone is none.
#[tokio::test]
async fn row_02_014_a_revision_is_one_change_per_branch_and_project() {
    let (repo, master) = (SvnRepo::new(), Master::new().await);
    let functions = Functions::new(|name, args| {
        assert_eq!(name, "split_file");
        Ok(split(args[0].as_str().unwrap()))
    });
    let declared = poller(&repo.url(""), json!({"split_file": function("split"), "project": "own"}));
    master.sources.apply(&generation(vec![declared], functions)).await.unwrap();
    master.poll_well().await;
    for file in ["trunk/a", "trunk/b", "branches/x/a", "branches/y/sub/a", "tags/v1/a", "other/a"] {
        repo.write(file, "one\n");
    }
    repo.commit("all");
    repo.svn(&["rm", "--quiet", "branches/x"]);
    repo.write("trunk/a", "two\n");
    repo.commit("x is gone");
    repo.svn(&["copy", "--quiet", &repo.url("trunk"), &repo.url("branches/z"), "-m", "branch"]);
    master.poll_well().await;
    let wanted = ["r2 x [ a]", "r2 y [ sub/ sub/a]", "r2 v1 [ a]", "r2 nil [a b]", "r3 nil [a]", "r4 z []"];
    let mut all = told(&master).await;
    all.sort();
    let mut sorted = wanted.map(String::from).to_vec();
    sorted.sort();
    assert_eq!(all, sorted);
    let changes = master.changes().await;
    let tag = changes.iter().find(|c| c.branch.as_deref() == Some("v1")).unwrap();
    assert_eq!((tag.project.as_str(), tag.repository.as_str(), tag.codebase.as_str()), ("tags", "R", "c"));
    let own = changes.iter().find(|c| c.branch.is_none()).unwrap();
    assert_eq!((own.project.as_str(), own.repository.as_str()), ("own", repo.url("").as_str()));
}

fn failing() -> Functions {
    Functions::new(|_, args| match args[0].as_str().unwrap() {
        path if path.ends_with("bad") => Err("master.lua:7: no idea".into()),
        path if path.ends_with("odd") => Ok(json!(false)),
        path => Ok(json!({"path": path})),
    })
}

async fn failure(master: &Master) -> String {
    master.poll().await.last_error.unwrap()
}

async fn skip(sources: &ChangeSources, revision: &str) -> Result<String, String> {
    sources.skip("svn", revision).await
}

/// lua-api § 2: a failing split_file fails the poll, which is repeated from the same revision, and can be skipped.
#[tokio::test]
async fn row_02_014_a_failing_function_repeats_the_revision_until_it_is_skipped() {
    let (repo, master) = (SvnRepo::new(), Master::new().await);
    let declared = poller(&repo.url("trunk"), json!({"split_file": function("split"), "name": "svn"}));
    master.sources.apply(&generation(vec![declared], failing())).await.unwrap();
    master.poll_well().await;
    for file in ["trunk/a", "trunk/bad", "trunk/odd", "trunk/z"] {
        repo.write(file, "one\n");
        repo.commit(file);
    }
    for _ in 0..2 {
        assert!(failure(&master).await.contains("no idea"));
        assert_eq!(told(&master).await, ["r2 nil [a]"]);
    }
    assert!(skip(&master.sources, "soon").await.unwrap_err().contains("a number is wanted"));
    assert!(master.sources.skip("nobody", "3").await.unwrap_err().contains("there are: svn"));
    let done = skip(&master.sources, "r3").await.unwrap();
    assert_eq!(done, "svn goes on after revision 3; it had come to revision 2");
    let error = failure(&master).await;
    assert!(error.contains("split_file(\"odd\") returned false; return a branch and a path"), "{error}");
    skip(&master.sources, "4").await.unwrap();
    master.poll_well().await;
    assert_eq!(told(&master).await, ["r2 nil [a]", "r5 nil [z]"]);
}

/// A function that fails after a part of a revision was added does not make that part come twice.
#[tokio::test]
async fn row_02_014_a_half_added_revision_is_completed() {
    let (repo, master) = (SvnRepo::new(), Master::new().await);
    let broken = std::sync::Arc::new(Mutex::new(true));
    let still = broken.clone();
    let functions = Functions::new(move |name, args| match name {
        "split_file" => Ok(split(args[0].as_str().unwrap())),
        _ if args[0]["branch"] == "y" && *still.lock().unwrap() => Err("not now".into()),
        _ => Ok(args[0].clone()),
    });
    let options = json!({"split_file": function("split"), "change_fn": function("change")});
    master.sources.apply(&generation(vec![poller(&repo.url(""), options)], functions)).await.unwrap();
    master.poll_well().await;
    repo.write("branches/x/a", "one\n");
    repo.write("branches/y/a", "one\n");
    repo.commit("both");
    assert!(failure(&master).await.contains("not now"));
    *broken.lock().unwrap() = false;
    master.poll_well().await;
    let mut all = told(&master).await;
    all.sort();
    assert_eq!(all, ["r2 x [ a]", "r2 y [ a]"]);
}

/// 02.013: the password goes to svn, and neither to its arguments nor into messages.
#[tokio::test]
async fn row_02_013_the_password_is_used_and_not_shown() {
    let (repo, master) = (SvnRepo::new(), Master::new().await);
    let server = repo.serve("joe", "s3cret");
    let svn = "#!/bin/sh\nlog=$(dirname \"$0\")/args\necho \"$@\" >>$log\nexec svn \"$@\"\n";
    let svn = script(repo.path(), "mysvn", svn).display().to_string();
    let options = json!({"svnuser": "joe", "svnpasswd": "s3cret", "svnbin": svn, "extra_args": ["--config-option", "config:miscellany:x=y"]});
    master.apply(vec![poller(&server.url("trunk"), options)]).await;
    master.poll_well().await;
    repo.write("trunk/a", "one\n");
    repo.commit("one");
    master.poll_well().await;
    assert_eq!(told(&master).await, ["r2 nil [a]"]);
    let args = std::fs::read_to_string(repo.path().join("args")).unwrap();
    assert!(
        args.contains("--username joe --password-from-stdin --config-option") && !args.contains("s3cret"),
        "{args}"
    );
    let wrong = json!({"name": "wrong", "svnuser": "joe", "svnpasswd": "guess-it"});
    master.apply(vec![poller(&server.url("trunk"), wrong)]).await;
    let error = failure(&master).await;
    assert!(error.starts_with("svn log failed") && !error.contains("guess-it"), "{error}");
}

/// What goes wrong outside is told, and tried again.
#[tokio::test]
async fn row_02_013_a_repository_that_is_away_is_asked_again() {
    let (repo, master) = (SvnRepo::new(), Master::new().await);
    master.apply(vec![poller(&repo.url("trunk"), json!({}))]).await;
    master.poll_well().await;
    repo.write("trunk/a", "one\n");
    repo.commit("one");
    let (there, away) = (repo.path().join("repo"), repo.path().join("away"));
    std::fs::rename(&there, &away).unwrap();
    let SourceStatus { last_error, failures, .. } = master.poll().await;
    assert!(last_error.unwrap().starts_with("svn log failed (exit status 1)") && failures == 1);
    std::fs::rename(&away, &there).unwrap();
    master.poll_well().await;
    assert_eq!(told(&master).await, ["r2 nil [a]"]);
    master.apply(vec![poller(&repo.url("trunk"), json!({"name": "x", "svnbin": "/nowhere/svn"}))]).await;
    assert!(failure(&master).await.ends_with("install svn or set svnbin"));
}

/// A program that answers always the same, as in tests of a configuration, is no endless poll.
#[tokio::test]
async fn row_02_013_an_answer_that_ignores_the_question_ends() {
    let (dir, master) = (tempfile::tempdir().unwrap(), Master::new().await);
    let text = |revisions: &str| {
        let entry = |n: &str| {
            format!(
                "<logentry revision=\"{n}\"><author>joe</author><paths><path kind=\"file\" action=\"M\">/p/f{n}</path></paths><msg>m</msg></logentry>"
            )
        };
        let entries: String = revisions.split(' ').map(entry).collect();
        format!(
            "#!/bin/sh\ncase $1 in\ninfo) echo '<info><entry><url>svn://h/p</url><repository><root>svn://h</root></repository></entry></info>';;\n\
             log) echo '<log>{entries}</log>';;\nesac\n"
        )
    };
    let svn = script(dir.path(), "svn", &text("2 1")).display().to_string();
    master.apply(vec![poller("svn://h/p", json!({"svnbin": svn}))]).await;
    master.poll_well().await;
    run(dir.path(), "cp", &["svn", "old"]);
    std::fs::remove_file(dir.path().join("svn")).unwrap();
    script(dir.path(), "svn", &text("4 3 2 1"));
    master.poll_well().await;
    assert_eq!(told(&master).await, ["r3 nil [f3]", "r4 nil [f4]"]);
}
