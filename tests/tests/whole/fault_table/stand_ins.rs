//! What stands around the master of the table: repositories, a depot, and a forge.

use anyhow::{Context, Result};
use axum::Json;
use axum::routing::get;
use lunabot_tests::Repo;
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A `p4` that knows the changes in the files `N` beside it.
const P4: &str = r#"#!/bin/sh
cd "$(dirname "$0")"
while [ "${1#-}" != "$1" ]; do shift 2; done
case $1 in
changes)
  for word; do case $word in *@*) since=${word##*@}; since=${since%%,*};; esac; done
  for number in $(ls | grep -x '[0-9]*'); do
    [ "$number" -lt "${since:-1}" ] || echo "Change $number on 2008/04/07 by joe@host 'text'"
  done;;
describe) cat "$3";;
esac
"#;

pub struct StandIns {
    repo: Repo,
    folder: TempDir,
    forge: String,
}

impl StandIns {
    pub async fn new() -> Result<StandIns> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let forge = format!("http://{}", listener.local_addr()?);
        let routes = axum::Router::new()
            .route("/repos/o/r/pulls", get(async || Json(json!([pull()]))))
            .route("/repos/o/r/pulls/1", get(async || Json(pull())))
            .route("/repos/o/r/pulls/1/commits", get(async || Json(json!([commit()]))))
            .route("/repos/o/r/pulls/1/files", get(async || Json(json!([]))));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        let this = StandIns { repo: Repo::new()?, folder: TempDir::new()?, forge };
        let folder = this.folder.path();
        run("svnadmin", &["create", &folder.join("svn").to_string_lossy()])?;
        run("svn", &["mkdir", "-q", "-m", "a change", &format!("{}/trunk", this.subversion())])?;
        std::fs::write(folder.join("p4"), P4)?;
        std::fs::set_permissions(folder.join("p4"), std::fs::Permissions::from_mode(0o755))?;
        submit(folder, 1)?;
        Ok(this)
    }

    fn subversion(&self) -> String {
        format!("file://{}/svn", self.folder.path().display())
    }

    /// The configuration with the places of all of them.
    pub fn place(&self, text: &str) -> String {
        let text = text.replace("REPO", &self.repo.url()).replace("SUBVERSION", &self.subversion());
        text.replace("P4BIN", &self.folder.path().join("p4").to_string_lossy()).replace("FORGE", &self.forge)
    }

    /// Something new in each of them.
    pub fn commit(&self) -> Result<()> {
        self.repo.commit("hello.txt", "more\n", "second")?;
        submit(self.folder.path(), 2)?;
        run("svn", &["mkdir", "-q", "-m", "another", &format!("{}/trunk/lib", self.subversion())])
    }
}

/// A pull request as GitHub tells it.
fn pull() -> serde_json::Value {
    let repo = json!({"full_name": "o/r", "clone_url": "https://g/o/r.git"});
    json!({"number": 1, "html_url": "https://g/o/r/pull/1", "title": "Title", "body": "Body",
           "updated_at": "2026-05-05T23:41:00Z", "commits": 1,
           "head": {"ref": "changes", "sha": "4f1a", "repo": repo}, "base": {"ref": "main", "repo": repo}})
}

fn commit() -> serde_json::Value {
    let person = json!({"name": "A", "email": "a@x"});
    json!({"sha": "4f1a", "commit": {"author": person, "committer": person}})
}

fn submit(folder: &Path, number: u32) -> Result<()> {
    let text = format!(
        "Change {number} by joe@host on 2008/04/07 12:30:00\n\n\ta change\n\nAffected files ...\n\n... //depot/a#1 edit\n\n"
    );
    Ok(std::fs::write(folder.join(number.to_string()), text)?)
}

fn run(program: &str, args: &[&str]) -> Result<()> {
    let status = Command::new(program).args(args).status().with_context(|| program.to_string())?;
    anyhow::ensure!(status.success(), "{program} {args:?}");
    Ok(())
}
