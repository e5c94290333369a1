//! The git layer against real repositories, real servers that misbehave, and programs that are not git.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use lunabot_integrations::git::{AuthFiles, Encoding, Git, GitError, Limits, Mirror};
use lunabot_integrations::program::GIT;
use lunabot_model::git::RenderedAuth;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use support::{RealClock, Repo, script};

fn git_in(dir: &Path, program: &str, limits: Limits) -> Git {
    Git::new(GIT, program, dir, limits, Arc::new(RealClock::new()))
}

fn short() -> Limits {
    let half = Duration::from_millis(500);
    Limits { answer: half, silence: half, transfer: Duration::from_secs(5), output: 1 << 20 }
}

fn utf8() -> Encoding {
    Encoding::named("utf-8").unwrap()
}

#[tokio::test]
async fn new_commits_come_oldest_first_with_their_files() {
    let (repo, dir) = (Repo::new(), tempfile::tempdir().unwrap());
    let first = repo.commit("a", "one");
    repo.git(&["checkout", "--quiet", "-b", "topic"]);
    repo.commit("t 1", "on topic");
    repo.git(&["checkout", "--quiet", "main"]);
    let second = repo.commit("b", "two\n\nwith a body");
    repo.git(&["merge", "--quiet", "--no-ff", "-m", "merge", "topic"]);
    let (merge, url) = (repo.head(), repo.url());
    let mirror = Mirror::new(git_in(dir.path(), "git", Limits::default()), &url);
    mirror.prepare().await.unwrap();
    mirror.prepare().await.unwrap();
    let head = mirror.default_branch().await.unwrap().unwrap();
    assert_eq!((head.name.as_str(), &head.commit), ("refs/heads/main", &merge));
    mirror.fetch(&[head]).await.unwrap();
    let missing = "0123456789012345678901234567890123456789";
    let revisions = mirror.new_revisions(&merge, &[&first, missing]).await.unwrap();
    assert_eq!(revisions, [second, merge]);
    let commits = mirror.commits(&revisions, utf8()).await.unwrap();
    assert_eq!(
        (commits[0].comments.as_str(), &commits[0].files[..]),
        ("two\nwith a body", &["b".to_string()][..])
    );
    assert_eq!((commits[1].comments.as_str(), &commits[1].files[..]), ("merge", &["t 1".to_string()][..]));
    assert_eq!(commits[0].author, "Joe Ö <joe@example.org>");
    let root = mirror.commits(&[first], utf8()).await.unwrap();
    assert_eq!(root[0].files, ["a"]);
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_with_a_clear_message() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("git://{}/x.git", listener.local_addr().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let mirror = Mirror::new(git_in(dir.path(), "git", short()), &url);
    let error = mirror.default_branch().await.unwrap_err();
    assert!(matches!(error, GitError::Silent { .. }), "{error}");
    assert!(error.to_string().starts_with("git ls-remote gave no answer within"), "{error}");
    drop(listener);
    let error = mirror.default_branch().await.unwrap_err().to_string();
    assert!(error.contains("git ls-remote failed (exit status 128)") && error.contains("refused"), "{error}");
}

#[tokio::test]
async fn processes_started_by_git_end_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    let text = format!("#!/bin/sh\nsleep 1000 &\necho $! > {}\necho starting >&2\nwait\n", pid.display());
    let fake = script(dir.path(), "git", &text);
    let git = git_in(dir.path(), &fake.display().to_string(), short());
    let error = git.transfer(&["fetch"]).await.unwrap_err().to_string();
    assert!(error.contains("git fetch gave no answer") && error.contains("it said: starting"), "{error}");
    let stat = format!("/proc/{}/stat", std::fs::read_to_string(pid).unwrap().trim());
    support::eventually("the background process is gone", || async {
        let state = std::fs::read_to_string(&stat).unwrap_or_default();
        (state.is_empty() || state.contains(") Z ")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn endless_output_and_a_missing_program_are_errors() {
    let dir = tempfile::tempdir().unwrap();
    let fake = script(dir.path(), "git", "#!/bin/sh\nexec yes\n").display().to_string();
    let limits = Limits { answer: Duration::from_secs(60), ..short() };
    let error = git_in(dir.path(), &fake, limits).ask(&["log"], &[]).await.unwrap_err();
    assert_eq!(error, GitError::TooMuch { command: "git log".into(), limit: 1 << 20 });
    let error = git_in(dir.path(), "no-such-git", limits).ask(&["log"], &[]).await.unwrap_err().to_string();
    assert!(
        error.starts_with("cannot run no-such-git") && error.ends_with("install git or set gitbin"),
        "{error}"
    );
}

/// A transfer may take long as long as it shows progress.
#[tokio::test]
async fn progress_is_a_sign_of_life() {
    let dir = tempfile::tempdir().unwrap();
    let text = "#!/bin/sh\nfor i in 1 2 3 4 5 6 7 8; do echo $i >&2; sleep 0.2; done\necho done\n";
    let fake = script(dir.path(), "git", text).display().to_string();
    let limits = Limits { silence: Duration::from_secs(1), transfer: Duration::from_secs(60), ..short() };
    assert_eq!(git_in(dir.path(), &fake, limits).transfer(&["fetch"]).await.unwrap(), b"done\n");
}

#[tokio::test]
async fn keys_are_private_files_that_vanish() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let auth = RenderedAuth::read(&json!({
        "key": "KEY", "known_hosts": "h k", "credentials": ["url=https://h/\nusername=u\npassword=p/w"],
    }));
    let shown = dir.path().join("shown");
    let fake = script(
        dir.path(),
        "env-git",
        &format!("#!/bin/sh\necho \"$GIT_SSH_COMMAND|$*\" > {}\n", shown.display()),
    );
    let real = git_in(dir.path(), "git", Limits::default());
    let files = dir.path().join("auth");
    let written = AuthFiles::write(&auth.unwrap(), "https://h/", files.clone(), &real).await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&files), 0o700);
    for name in ["key", "known_hosts", "credentials"] {
        assert_eq!(mode(&files.join(name)), 0o600, "{name}");
    }
    assert_eq!(std::fs::read_to_string(files.join("key")).unwrap(), "KEY\n");
    assert_eq!(std::fs::read_to_string(files.join("credentials")).unwrap(), "https://u:p%2fw@h\n");
    let git = written.apply(git_in(dir.path(), &fake.display().to_string(), Limits::default()));
    git.ask(&["fetch"], &[]).await.unwrap();
    let line = std::fs::read_to_string(shown).unwrap();
    let key = files.join("key").display().to_string();
    assert!(
        line.contains(&format!("-i {key}")) && line.contains("credential.helper=store --file="),
        "{line}"
    );
    drop(written);
    support::eventually("the keys are gone", || async { (!files.exists()).then_some(()) }).await;
}
