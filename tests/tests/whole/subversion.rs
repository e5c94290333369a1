//! A Subversion repository from commit to build, and past a revision that a function cannot bear.

use anyhow::{Context as _, Result, ensure};
use lunabot_tests::{Master, documented, lunabot_binary, shown_block};
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
    for (revision, why) in
        [("2", "has come to revision 2 already"), ("33", "no revision 33 here yet: the newest is 3")]
    {
        let refused = skip(&["svn", revision]).await?;
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(1) && told.contains(why), "{told}");
    }
    let done = skip(&["svn", "3"]).await?;
    let told = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success() && told.contains("svn goes on after revision 3"), "{told}");
    says(&master, "; well").await?;
    write(&repo, "lib/branches/b/a", "three\n")?;
    assert_eq!(master.finished_build(2).await?["results"], 0);
    assert!(master.step_log(2, "show", "stdio").await?.contains("three"));
    Ok(())
}

/// Project, branch and files of so many changes.
async fn changes(master: &Master, count: usize) -> Result<Vec<String>> {
    let told =
        master.until("changes?order=project&order=branch", |all| all["meta"]["total"] == count).await?;
    let all = told["changes"].as_array().into_iter().flatten();
    Ok(all.map(|change| format!("{} {} {}", change["project"], change["branch"], change["files"])).collect())
}

/// A repository with these folders, and its checkout.
fn laid_out(folders: &[&str]) -> Result<TempDir> {
    let repo = TempDir::new()?;
    run(repo.path(), "svnadmin", &["create", "repo"])?;
    for folder in folders {
        let address = format!("{}/{folder}", url(&repo));
        run(repo.path(), "svn", &["mkdir", "-q", "--parents", "-m", "a folder", &address])?;
    }
    run(repo.path(), "svn", &["checkout", "-q", &url(&repo), "tree"])?;
    Ok(repo)
}

/// One commit with all these files.
fn add(repo: &TempDir, files: &[&str]) -> Result<()> {
    for file in files {
        let path = repo.path().join("tree").join(file);
        std::fs::create_dir_all(path.parent().context("a folder")?)?;
        std::fs::write(path, file)?;
    }
    commit(repo, "all at once")
}

#[tokio::test]
async fn rows_02_013_02_014_the_layouts_of_the_documentation() -> Result<()> {
    let page = "customization/subversion.md";
    let amanda = &["amanda/trunk/a/b", "amanda/branches/3_3/c", "amanda/tags/3_2_1/d"][..];
    let all = &["all/amanda/trunk/a", "all/amanda/branches/x/b", "all/other/trunk/c"][..];
    for (heading, files, wanted, requests) in [
        ("One project: PROJECT/trunk, PROJECT/branches/B", amanda, &[r#""" null ["a/","a/b"]"#][..], 0),
        ("Branches too", amanda, &[r#""" null ["a/","a/b"]"#, r#""" "branches/3_3" ["","c"]"#][..], 0),
        (
            "Several projects",
            all,
            &[r#""amanda" null ["a"]"#, r#""amanda" "branches/x" ["","b"]"#, r#""other" null ["c"]"#][..],
            2,
        ),
    ] {
        let folders =
            ["amanda/trunk", "amanda/branches", "amanda/tags", "all/amanda/trunk", "all/other/trunk"];
        let repo = laid_out(&folders)?;
        let often = "c.change_source = c.change_source:with{pollInterval = 1, pollAtLaunch = true}";
        let config = documented(page, heading, often)?.replace("https://svn.example.org", &url(&repo));
        let master = Master::start(&config).await?;
        says(&master, "; well").await?;
        add(&repo, files)?;
        assert_eq!(changes(&master, wanted.len()).await?, wanted, "{heading}");
        let there = |answer: &serde_json::Value| answer["meta"]["total"] == requests;
        master.until("buildrequests", there).await?;
    }
    // And the source is checked out by what was read.
    let heading = "Branches first: BRANCH/PROJECT/FILE";
    let repo = laid_out(&["divmod/trunk/Twisted", "divmod/branches"])?;
    let more = format!(
        "{}\nf:addStep(steps.ShellCommand{{name = 'show', command = {{'cat', 'y'}}}})\n\
         c.change_source = c.change_source:with{{pollInterval = 1, pollAtLaunch = true}}\n\
         c.schedulers[2] = schedulers.AnyBranchScheduler{{name = 'all', builderNames = {{'runtests'}}}}",
        shown_block(page, heading, 2)?
    );
    let config = documented(page, heading, &more)?.replace("https://svn.example.org", &url(&repo));
    let master = Master::start(&config).await?;
    says(&master, "; well").await?;
    add(&repo, &["divmod/trunk/Twisted/y"])?;
    assert_eq!(master.finished_build(1).await?["results"], 0, "{}", master.log());
    assert!(master.step_log(1, "show", "stdio").await?.contains("divmod/trunk/Twisted/y"));
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
    let facts = changes(&master, 3).await?;
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
