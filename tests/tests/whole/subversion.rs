//! A Subversion repository from commit to build, and past a revision that a function cannot bear.

use anyhow::{Context as _, Result, ensure};
use lunabot_tests::{Master, documented, lunabot_binary};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

fn run(dir: &Path, program: &str, args: &[&str]) -> Result<String> {
    let output = Command::new(program).args(args).current_dir(dir).output().context(program.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    ensure!(output.status.success(), "{program} {args:?}: {}", text(&output.stderr));
    Ok(text(&output.stdout))
}

/// A repository `repo` with projects, and its checkout `tree`.
fn repository() -> Result<TempDir> {
    let dir = TempDir::new()?;
    run(dir.path(), "svnadmin", &["create", "repo"])?;
    run(dir.path(), "svn", &["checkout", "-q", &url(&dir), "tree"])?;
    std::fs::create_dir_all(dir.path().join("tree/lib/trunk"))?;
    std::fs::create_dir_all(dir.path().join("tree/lib/branches/b"))?;
    std::fs::write(dir.path().join("tree/lib/trunk/a"), "one\n")?;
    commit(&dir, "first")?;
    Ok(dir)
}

fn url(dir: &TempDir) -> String {
    format!("file://{}/repo", dir.path().display())
}

fn commit(dir: &TempDir, message: &str) -> Result<()> {
    let tree = dir.path().join("tree");
    run(&tree, "svn", &["add", "-q", "--force", "."])?;
    run(&tree, "svn", &["commit", "-q", "-m", message])?;
    Ok(())
}

fn write(dir: &TempDir, file: &str, text: &str) -> Result<()> {
    std::fs::write(dir.path().join("tree").join(file), text)?;
    commit(dir, "a change")
}

const CONFIG: &str = r#"
local lunabot = require "lunabot"
local changes, schedulers, steps, util, worker =
  lunabot.changes, lunabot.schedulers, lunabot.steps, lunabot.util, lunabot.worker
local c = {}
c.www = { port = "127.0.0.1:0" }
c.workers = { worker.LocalWorker{"local"} }
c.change_source = changes.SVNPoller{"URL", name = "svn", pollInterval = 1, pollAtLaunch = true,
  split_file = function(path)
    if path:find("poison", 1, true) then error("no such project") end
    return util.svn.split_file_projects_branches(path)
  end}
local f = util.BuildFactory{}
f:addStep(steps.SVN{util.Interpolate("URL/%(src::project)s/%(src::branch:~trunk)s"), logEnviron = false})
f:addStep(steps.ShellCommand{name = "show", command = {"cat", "a"}})
c.builders = { util.BuilderConfig{name = "b", workernames = {"local"}, factory = f} }
c.schedulers = { schedulers.AnyBranchScheduler{name = "all", builderNames = {"b"}} }
return c
"#;

/// Waits until the page Health says it.
async fn says(master: &Master, word: &str) -> Result<()> {
    for _ in 0..600 {
        if master.text("/health").await?.1.contains(word) {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    anyhow::bail!("the page Health never said {word:?}")
}

#[tokio::test]
async fn row_02_014_commits_are_built_and_a_poisonous_one_is_skipped() -> Result<()> {
    let repo = repository()?;
    let master = Master::start(&CONFIG.replace("URL", &url(&repo))).await?;
    says(&master, "; well").await?;
    write(&repo, "lib/trunk/a", "two\n")?;
    assert_eq!(master.finished_build(1).await?["results"], 0);
    assert!(master.step_log(1, "show", "stdio").await?.contains("two"));
    let changes = master.get("changes").await?;
    assert_eq!(
        (&changes["changes"][0]["project"], &changes["changes"][0]["branch"]),
        (&"lib".into(), &serde_json::Value::Null)
    );

    write(&repo, "lib/poison", "x\n")?;
    says(&master, "no such project").await?;
    let skip = |args: &[&str]| {
        let mut command = tokio::process::Command::new(lunabot_binary());
        command.args(["poller", "skip"]).args(args).arg(master.dir()).output()
    };
    let unknown = skip(&["svm", "3"]).await?;
    let told = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(unknown.status.code() == Some(1) && told.contains("there are: svn"), "{told}");
    let done = skip(&["svn", "3"]).await?;
    let told = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success() && told.contains("svn goes on after revision 3"), "{told}");
    says(&master, "; well").await?;
    write(&repo, "lib/branches/b/a", "three\n")?;
    assert_eq!(master.finished_build(2).await?["results"], 0);
    assert!(master.step_log(2, "show", "stdio").await?.contains("three"));
    Ok(())
}

/// A repository laid out by branches first, watched as the documentation shows.
#[tokio::test]
async fn rows_02_014_02_017_a_splitter_of_ones_own_sorts_projects_below_branches() -> Result<()> {
    let repo = TempDir::new()?;
    run(repo.path(), "svnadmin", &["create", "repo"])?;
    run(repo.path(), "svn", &["checkout", "-q", &url(&repo), "tree"])?;
    let config = documented("customization/subversion.md", "Branches first: BRANCH/PROJECT/FILE", "")?
        .replace("https://svn.example.org/divmod", &url(&repo))
        .replace("name = \"svn\"", "name = \"svn\", pollInterval = 1, pollAtLaunch = true");
    let master = Master::start(&config).await?;
    says(&master, "; well").await?;
    let files =
        ["trunk/Nevow/setup.py", "branches/1.5.x/Nevow/a/b", "trunk/Quotient/x", "trunk/Twisted/y", "README"];
    for file in files {
        let path = repo.path().join("tree").join(file);
        std::fs::create_dir_all(path.parent().context("a folder")?)?;
        std::fs::write(path, file)?;
    }
    commit(&repo, "all at once")?;
    let told = master.until("changes?order=project&order=branch", |all| all["meta"]["total"] == 3).await?;
    let facts: Vec<String> = told["changes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|change| format!("{} {} {}", change["project"], change["branch"], change["files"]))
        .collect();
    // Folders are told too (02.014): the project's own as "".
    assert_eq!(
        facts,
        [
            r#""Nevow" null ["","setup.py"]"#,
            r#""Nevow" "branches/1.5.x" ["","a/","a/b"]"#,
            r#""Twisted" null ["","y"]"#,
        ]
    );
    Ok(())
}
