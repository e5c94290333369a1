//! Functions that a configuration may have, with each fault that they may have: the outcome that is promised, an error
//! that names the line, and nothing else affected. `points.lua` is the table.

mod declared;
mod held;
mod points;
mod stand_ins;

use anyhow::{Context, Result};
use futures::future::join_all;
use lunabot_net::reqwest::redirect::Policy;
use lunabot_tests::Master;
use nix::sys::signal::Signal;
use points::{Outcome, Point, table, with_faults};
use serde_json::{Value, json};
use stand_ins::StandIns;
use std::time::Duration;

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

const PUSH: &str = r#"{"ref": "refs/heads/main", "created": true, "head_commit": {"id": "4f1a", "message": "Mend", "timestamp": "2026-02-15T22:57:17Z", "url": "https://g/c/4f1a", "author": {"name": "A", "email": "a@b"}, "committer": {"name": "A", "email": "a@b"}, "added": ["x"]}, "repository": {"name": "r", "full_name": "o/r", "html_url": "https://g/o/r"}}"#;

/// A master of the table with this fault everywhere.
struct Table {
    master: Master,
    points: Vec<Point>,
    around: StandIns,
}

impl Table {
    async fn start<'a>(fault: impl Fn(i64) -> &'a str, limits: &str) -> Result<Table> {
        let around = StandIns::new().await?;
        let master = Master::start(&configuration(fault, limits, &around, true)).await?;
        Ok(Table { master, points: table()?, around })
    }

    /// Makes happen what the functions are called for.
    async fn drive(&self) -> Result<()> {
        self.change("keeper").await?;
        self.ends("keeper", 0).await?;
        self.instance_for_another().await?;
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
        for source in ["gitchange", "gitcategory", "svn", "depot", "linked"] {
            self.polled(source).await?;
        }
        self.around.commit()
    }

    /// The latent worker that builds may not suit is started for a build.
    async fn instance_for_another(&self) -> Result<()> {
        self.change("compatible").await?;
        let begun = |answer: &Value| {
            let workers = answer["workers"].as_array().into_iter().flatten();
            let mut named = workers.filter(|worker| worker["name"] == "compatible");
            named.any(|worker| worker["workerinfo"]["latent_state"] == "substantiating")
        };
        self.master.until("workers", begun).await.map(drop)
    }

    /// The configuration changes; it is in use when this returns.
    async fn reload(&self, text: &str) -> Result<()> {
        self.master.rewrite_config(text)?;
        self.master.signal(Signal::SIGHUP)?;
        self.in_use(1).await
    }

    /// So many reloads are done.
    async fn in_use(&self, reloads: usize) -> Result<()> {
        const DONE: &str = "configuration update complete";
        let times = |log: String| log.lines().filter(|line| line.contains(DONE)).count();
        self.master
            .log_line(|line| line.contains(DONE) && times(self.master.log()) >= reloads)
            .await
            .map(drop)
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
            Outcome::Leaves => self.tried_again(point).await,
            Outcome::Answers(..) | Outcome::Acts => Ok(()),
        }
    }

    /// The function was called more than once.
    async fn tried_again(&self, point: &Point) -> Result<()> {
        let head = format!("{} of {}: ", point.callback, point.concerns);
        let again = |log: String| log.lines().filter(|line| line.contains(&head)).count() > 1;
        self.master.log_line(|line| line.contains(&head) && again(self.master.log())).await.map(drop)
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
            Outcome::Ends(..)
            | Outcome::Begets(..)
            | Outcome::Answers(..)
            | Outcome::Acts
            | Outcome::Leaves => {}
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
            "POST" => self.hook(path, "release", "{\"action\": \"published\"}").await?,
            "PUSH" => self.hook(path, "push", PUSH).await?,
            "AS" => self.forces(path).await?,
            _ => self.master.text(path).await?.0,
        }))
    }

    /// What GitHub sends.
    async fn hook(&self, path: &str, event: &str, body: &'static str) -> Result<u16> {
        let request = reqwest::Client::new().post(format!("{}{path}", self.master.base()));
        let request = request.header("content-type", "application/json").header("x-github-event", event);
        Ok(request.body(body).send().await?.status().as_u16())
    }

    /// A person logs in and forces a build.
    async fn forces(&self, person: &str) -> Result<u16> {
        let http = lunabot_net::http::builder().redirect(Policy::none()).build()?;
        let login = http.get(format!("{}/auth/login", self.master.base()));
        let login = login.basic_auth(person, Some("password")).send().await?;
        let Some(cookie) = login.headers().get("set-cookie") else { return Ok(login.status().as_u16()) };
        let cookie = cookie.to_str()?.split(';').next().unwrap_or_default();
        let call = json!({"jsonrpc": "2.0", "method": "force", "id": 1, "params": {}});
        let request = http.post(format!("{}/api/v2/forceschedulers/plain", self.master.base()));
        Ok(request.header("cookie", cookie).json(&call).send().await?.status().as_u16())
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

/// The table with these faults; without what leaves, if it does not stay.
fn configuration<'a>(fault: impl Fn(i64) -> &'a str, limits: &str, around: &StandIns, stays: bool) -> String {
    let text = with_faults(fault).replace("LIMITS", limits).replace("STAYS", &stays.to_string());
    around.place(&text)
}

/// Every point has this fault.
async fn everywhere(fault: &Fault) -> Result<()> {
    let table = Table::start(|_| fault.lua, fault.limits).await?;
    table.drive().await?;
    let suffer = table.points.iter().filter(|point| point.suffers(fault.name));
    let (leaving, points): (Vec<&Point>, Vec<&Point>) =
        suffer.partition(|point| matches!(point.outcome, Outcome::Leaves));
    let seen = join_all(points.iter().map(|point| table.fails_as_promised(point, fault))).await;
    all_well(fault, &points, seen)?;
    // Nothing else is affected.
    table.works_on().await?;
    let seen = join_all(points.iter().map(|point| table.still(point))).await;
    all_well(fault, &points, seen)?;
    let without = configuration(|_| fault.lua, fault.limits, &table.around, false);
    table.reload(&without).await?;
    let seen = join_all(leaving.iter().map(|point| table.fails_as_promised(point, fault))).await;
    all_well(fault, &leaving, seen)?;
    table.works_on().await
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
