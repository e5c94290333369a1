//! Functions that a configuration may have, with each fault that they may have: the outcome that is promised, an error
//! that names the line, and nothing else affected. `points.lua` is the table.

mod held;
mod points;

use anyhow::{Context, Result};
use futures::future::join_all;
use lunabot_tests::{Master, Repo};
use points::{Outcome, Point, table, with_faults};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// What goes wrong.
struct Fault {
    name: &'static str,
    /// In place of FAULT.
    lua: &'static str,
    /// As `script_errors` calls it.
    kind: &'static str,
    told: &'static str,
    limits: &'static str,
}

const RAISES: Fault =
    Fault { name: "raise", lua: "error('on purpose')", kind: "raise", told: "on purpose", limits: "nil" };
const LOOPS: Fault = Fault {
    name: "loop",
    lua: "while true do end",
    kind: "cpu",
    told: "computed longer than 0.05 s",
    limits: "{callback_cpu_seconds = 0.05}",
};
const WAITS: Fault = Fault {
    name: "wait",
    lua: "util.sleep(3600)",
    kind: "deadline",
    told: "did not end within 2 s",
    limits: "{callback_timeout = 2}",
};
const NONSENSE: Fault =
    Fault { name: "nonsense", lua: "do return 3.5 end", kind: "nonsense", told: "", limits: "nil" };
const ARGUMENTS: Fault = Fault {
    name: "arguments",
    lua: "lunabot.master.data.get('builderz')",
    kind: "raise",
    told: "did you mean builders",
    limits: "nil",
};
const COMPARATOR: Fault = Fault {
    name: "comparator",
    lua: "table.sort({2, 1}, function(a, b) util.sleep(0) return a < b end)",
    kind: "raise",
    told: "cannot wait here, inside a comparator",
    limits: "nil",
};
const LATE: Fault = Fault {
    name: "late",
    lua: "if kept then kept:setProperty('late', 1, 'late') end error('not yet')",
    kind: "raise",
    told: "has ended",
    limits: "nil",
};

/// A master of the table with this fault everywhere.
struct Table {
    master: Master,
    points: Vec<Point>,
    repo: Repo,
    subversion: TempDir,
}

impl Table {
    async fn start<'a>(fault: impl Fn(i64) -> &'a str, limits: &str) -> Result<Table> {
        let (repo, subversion) = (Repo::new()?, TempDir::new()?);
        repository(subversion.path())?;
        let text = configuration(fault, limits, &repo, &subversion);
        let master = Master::start(&text).await?;
        Ok(Table { master, points: table()?, repo, subversion })
    }

    /// Makes happen what the functions are called for.
    async fn drive(&self) -> Result<()> {
        self.change("keeper").await?;
        self.ends("keeper", 0).await?;
        self.commit().await?;
        for (name, times) in self.points.iter().filter_map(Point::changes) {
            for _ in 0..times {
                self.change(&name).await?;
            }
        }
        Ok(())
    }

    /// Something new for the pollers, once they know what was there before.
    async fn commit(&self) -> Result<()> {
        for source in ["gitchange", "gitcategory", "svn"] {
            self.polled(source).await?;
        }
        self.repo.commit("hello.txt", "more\n", "second")?;
        run(
            "svn",
            &["mkdir", "-q", "-m", "another", &format!("{}/trunk/lib", address(self.subversion.path()))],
        )
    }

    /// The page Health says that the source knows what is there.
    async fn polled(&self, source: &str) -> Result<()> {
        for _ in 0..600 {
            let (_, page) = self.master.text("/health").await?;
            let row = page.split(&format!("<dt>change source {source}</dt>")).nth(1);
            if row.and_then(|row| row.split("</div>").next()).is_some_and(|row| row.contains("; well")) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::bail!("{source} is not well: {}", self.master.log())
    }

    async fn change(&self, category: &str) -> Result<()> {
        let fields = [
            ("author", "ann"),
            ("comments", "c"),
            ("category", category),
            ("branch", "main"),
            ("revision", "4f1a"),
            ("repository", "r"),
        ];
        anyhow::ensure!(self.master.change_hook(&fields).await? == 202, "the change is accepted");
        Ok(())
    }

    async fn ends(&self, builder: &str, results: i64) -> Result<()> {
        let complete = |answer: &Value| answer["builds"][0]["complete"] == true;
        let builds = self.master.until(&format!("builders/{builder}/builds?number=1"), complete).await?;
        let got = &builds["builds"][0]["results"];
        anyhow::ensure!(*got == results, "the build of {builder} ended with {got}");
        Ok(())
    }

    /// Sees what the point promises where its function fails.
    async fn outcome(&self, point: &Point) -> Result<()> {
        match &point.outcome {
            Outcome::Ends(builder, results) => self.ends(builder, *results).await,
            Outcome::Waits(_) | Outcome::Begets(_, 0) => self.still(point).await,
            Outcome::Begets(builder, count) => {
                let path = format!("builders/{builder}/buildrequests?complete=false");
                let there = |answer: &Value| requests(answer) >= *count;
                let got = requests(&self.master.until(&path, there).await?);
                anyhow::ensure!(got == *count, "{got} requests of {builder}");
                Ok(())
            }
            Outcome::Answers(..) | Outcome::Acts => Ok(()),
        }
    }

    /// Sees that what must not happen has not happened yet.
    async fn still(&self, point: &Point) -> Result<()> {
        match &point.outcome {
            Outcome::Waits(builder) => {
                let builds = self.master.get(&format!("builders/{builder}/builds")).await?;
                anyhow::ensure!(builds["builds"] == json!([]), "{builds}");
                let waiting = format!("builders/{builder}/buildrequests?complete=false");
                anyhow::ensure!(requests(&self.master.get(&waiting).await?) == 1, "its request is there");
            }
            Outcome::Begets(builder, 0) => {
                let all = self.master.get(&format!("builders/{builder}/buildrequests")).await?;
                anyhow::ensure!(requests(&all) == 0, "{all}");
            }
            Outcome::Ends(..) | Outcome::Begets(..) | Outcome::Answers(..) | Outcome::Acts => {}
        }
        Ok(())
    }

    /// One more change of `fine` is built, after all that came before.
    async fn works_on(&self) -> Result<()> {
        let idle = |answer: &Value| requests(answer) == 0;
        self.master.until("builders/fine/buildrequests?complete=false", idle).await?;
        let last = self.master.get("builders/fine/builds?order=-number&limit=1").await?;
        let last = last["builds"][0]["number"].as_i64().context("fine was built")?;
        self.change("fine").await?;
        let complete = |answer: &Value| answer["builds"][0]["complete"] == true;
        let next = self.master.until(&format!("builders/fine/builds?number__gt={last}"), complete).await?;
        anyhow::ensure!(next["builds"][0]["results"] == 0, "{next}");
        Ok(())
    }

    /// Asks what people ask; the status of the answer.
    async fn ask(&self, point: &Point) -> Result<Option<u16>> {
        let Outcome::Answers(method, path, _) = &point.outcome else { return Ok(None) };
        Ok(Some(match method.as_str() {
            "FORCE" => {
                let path = format!("forceschedulers/{path}");
                let fields = json!({"text": "x", "builderNames": ["fine"]});
                let forced = self.master.control(&path, "force", fields).await;
                if forced.is_ok() { 200 } else { 400 }
            }
            "POST" => {
                let url = format!("{}{path}", self.master.base());
                let request = reqwest::Client::new().post(url).header("content-type", "application/json");
                let request = request.header("x-github-event", "release");
                request.body("{\"action\": \"published\"}").send().await?.status().as_u16()
            }
            _ => self.master.text(path).await?.0,
        }))
    }

    /// The answer is what the point promises.
    async fn answered(&self, point: &Point) -> Result<()> {
        let got = self.ask(point).await?;
        if let Outcome::Answers(method, path, wanted) = &point.outcome {
            anyhow::ensure!(got == Some(*wanted), "{method} {path}: {got:?}");
        }
        Ok(())
    }

    /// The error of the point is told in the log, and listed with its line.
    async fn told(&self, point: &Point, fault: &Fault) -> Result<()> {
        let Point { callback, concerns, line, .. } = point;
        let head = format!("{callback} of {concerns}: ");
        let place = format!("master.lua:{line}:");
        let fits = |text: &str| text.contains(&place) && text.contains(fault.told);
        self.master.log_line(|text| text.contains(&head) && fits(text)).await.map_err(|_| {
            let log = self.master.log();
            let some: Vec<&str> = log.lines().filter(|text| text.contains(&head)).take(3).collect();
            anyhow::anyhow!("not told at line {line}; told is: {some:#?}")
        })?;
        let errors = self.master.get("script_errors").await?;
        let row = errors["script_errors"].as_array().into_iter().flatten().find(|row| {
            row["callback"] == **callback && row["concerns"] == **concerns && row["kind"] == fault.kind
        });
        let row = row.with_context(|| format!("it is not listed as {}", fault.kind))?;
        anyhow::ensure!(row["file"] == "master.lua" && row["line"] == *line, "{row}");
        Ok(())
    }

    async fn fails_as_promised(&self, point: &Point, fault: &Fault) -> Result<()> {
        self.answered(point).await?;
        self.told(point, fault).await?;
        self.outcome(point).await
    }
}

fn requests(answer: &Value) -> usize {
    answer["buildrequests"].as_array().map_or(0, Vec::len)
}

/// Where the repository in this folder is.
fn address(dir: &Path) -> String {
    format!("file://{}/svn", dir.display())
}

fn run(program: &str, args: &[&str]) -> Result<()> {
    let status = Command::new(program).args(args).status().with_context(|| program.to_string())?;
    anyhow::ensure!(status.success(), "{program} {args:?}");
    Ok(())
}

/// The table with these faults.
fn configuration<'a>(
    fault: impl Fn(i64) -> &'a str,
    limits: &str,
    repo: &Repo,
    subversion: &TempDir,
) -> String {
    let text = with_faults(fault).replace("LIMITS", limits).replace("REPO", &repo.url());
    text.replace("SUBVERSION", &address(subversion.path()))
}

/// Makes a repository with one commit.
fn repository(dir: &Path) -> Result<()> {
    run("svnadmin", &["create", &dir.join("svn").to_string_lossy()])?;
    run("svn", &["mkdir", "-q", "-m", "a change", &format!("{}/trunk", address(dir))])
}

/// Every point has this fault.
async fn everywhere(fault: &Fault) -> Result<()> {
    let table = Table::start(|_| fault.lua, fault.limits).await?;
    table.drive().await?;
    let points: Vec<&Point> = table.points.iter().filter(|point| point.suffers(fault.name)).collect();
    let seen = join_all(points.iter().map(|point| table.fails_as_promised(point, fault))).await;
    all_well(fault, &points, seen)?;
    // Nothing else is affected.
    table.works_on().await?;
    let seen = join_all(points.iter().map(|point| table.still(point))).await;
    all_well(fault, &points, seen)
}

/// What was seen of the points, each; all that is not as it should be, in one error.
fn all_well(fault: &Fault, points: &[&Point], seen: Vec<Result<()>>) -> Result<()> {
    let wrong: Vec<String> = points
        .iter()
        .zip(seen)
        .filter_map(|(point, seen)| {
            Some(format!("{} of {}: {:#}", point.callback, point.concerns, seen.err()?))
        })
        .collect();
    anyhow::ensure!(wrong.is_empty(), "{}: {wrong:#?}", fault.name);
    Ok(())
}

#[tokio::test]
async fn a_function_that_raises_fails_as_promised() -> Result<()> {
    everywhere(&RAISES).await
}

#[tokio::test]
async fn a_function_that_computes_without_end_fails_as_promised() -> Result<()> {
    everywhere(&LOOPS).await
}

#[tokio::test]
async fn a_function_that_waits_for_ever_fails_as_promised() -> Result<()> {
    everywhere(&WAITS).await
}

#[tokio::test]
async fn a_function_that_returns_nonsense_fails_as_promised() -> Result<()> {
    everywhere(&NONSENSE).await
}

#[tokio::test]
async fn a_function_that_asks_for_what_is_not_there_fails_as_promised() -> Result<()> {
    everywhere(&ARGUMENTS).await
}

#[tokio::test]
async fn a_function_that_waits_in_a_comparator_fails_as_promised() -> Result<()> {
    everywhere(&COMPARATOR).await
}

#[tokio::test]
async fn a_function_that_uses_a_build_that_has_ended_fails_as_promised() -> Result<()> {
    everywhere(&LATE).await
}
