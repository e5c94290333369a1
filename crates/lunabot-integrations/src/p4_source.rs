//! `changes.P4Source` (02.019), by the command line of `p4`.

use crate::counted::{self, Counted};
use crate::git::Encoding;
use crate::kinds::ChangeSourceKind;
use crate::poller_params::{CATEGORY, CHANGE_FN, poller_kind, poller_params};
use crate::program::{Limits, P4, Program};
use crate::source::{PollTimes, Poller, SourceContext, SourceError};
use crate::split_file::{Place, SPLIT_FILE, split};
use async_trait::async_trait;
use lunabot_data::new::NewChange;
use lunabot_model::kind::{Params, check_as, schema_of};
use lunabot_model::script::CallSite;
use lunabot_model::{
    AnyObject, Arg, Callback, CallbackSpec, Duration, Json, Kind, Mono, Problem, Renderable,
};
use serde_json::json;
use std::sync::{Arc, Mutex, PoisonError};

poller_params! {
/// Watches a part of a Perforce depot.
pub struct P4SourceParams {
    /// The server, `host:port`. Default: p4's own (`P4PORT`).
    #[serde(default)]
    pub p4port: Option<String>,
    /// The user. Default: p4's own (`P4USER`).
    #[serde(default)]
    pub p4user: Option<Renderable<String>>,
    /// The password.
    #[serde(default)]
    pub p4passwd: Option<Renderable<String>>,
    /// What to watch; paths are told without it. Default `//`.
    #[serde(default = "depot")]
    pub p4base: String,
    /// The program. Default `p4`.
    #[serde(default = "p4")]
    pub p4bin: String,
    /// Says to which branch and project a path belongs. Default: all is of no branch.
    #[serde(default)]
    pub split_file: Option<Callback>,
    /// Most changes that are looked at in one poll. Default: all.
    #[serde(default)]
    pub histmax: Option<u32>,
    /// How to read descriptions that are not UTF-8.
    #[serde(default = "utf8")]
    pub encoding: String,
    /// Sign in by `p4 login`, in place of giving the password to each command.
    #[serde(default)]
    pub use_tickets: bool,
    /// Seconds that a ticket is used. Default: a day.
    #[serde(default = "day")]
    pub ticket_login_interval: Duration,
    /// Time zone of the server, such as `Europe/Berlin`. Default: the master's.
    #[serde(default)]
    pub server_tz: Option<String>,
    /// Gives the address of a change's page.
    #[serde(default)]
    pub revlink: Option<Callback>,
    /// Makes an author of a user's name.
    #[serde(default)]
    pub resolvewho: Option<Callback>,
}
}

fn depot() -> String {
    "//".into()
}
fn p4() -> String {
    "p4".into()
}
fn utf8() -> String {
    "utf-8".into()
}
fn day() -> Duration {
    Duration(86_400.0)
}

impl Params for P4SourceParams {
    fn validate(&self) -> Vec<Problem> {
        let mut problems = self.common().problems();
        let mut add = |path: &str, message: String| problems.push(Problem::new(path, message));
        if !self.p4base.starts_with("//") {
            add("p4base", "must begin with //, as in //depot/project/".into());
        }
        if self.use_tickets && (self.p4user.is_none() || self.p4passwd.is_none()) {
            add("use_tickets", "needs p4user and p4passwd".into());
        }
        if self.histmax == Some(0) {
            add("histmax", "must be at least 1".into());
        }
        if let Err(problem) = Encoding::named(&self.encoding) {
            add("encoding", problem);
        }
        if let Err(problem) = zone(self.server_tz.as_deref()) {
            add("server_tz", problem);
        }
        problems
    }
}

fn zone(name: Option<&str>) -> Result<jiff::tz::TimeZone, String> {
    match name {
        None => Ok(jiff::tz::TimeZone::system()),
        Some(name) => jiff::tz::TimeZone::get(name)
            .map_err(|_| format!("unknown time zone {name:?}; wanted is a name such as Europe/Berlin")),
    }
}

static KIND: Kind = poller_kind(
    "P4Source",
    &[],
    "Watches a part of a Perforce depot and reports each submitted change as one per branch, project, repository and \
     codebase. The first poll only remembers the newest.",
    schema_of::<P4SourceParams>,
    check_as::<P4SourceParams>,
    &[
        SPLIT_FILE,
        CallbackSpec {
            option: "revlink",
            args: "branch, revision",
            returns: "the address of the change's page, or nil",
            on_error: "no link",
        },
        CallbackSpec {
            option: "resolvewho",
            args: "user",
            returns: "the author: a text",
            on_error: "the poll is repeated",
        },
        CATEGORY,
        CHANGE_FN,
    ],
);

/// See [`ChangeSourceKind`].
pub const SOURCE: ChangeSourceKind = ChangeSourceKind { kind: &KIND, default_name, build };

fn default_name(object: &AnyObject) -> String {
    let text = |name: &str, default: &'static str| {
        object.arg(name).and_then(Json::as_str).unwrap_or(default).to_string()
    };
    format!("P4Source:{}:{}", text("p4port", "None"), text("p4base", "//"))
}

fn build(object: &AnyObject) -> Result<Arc<dyn Poller>, Vec<Problem>> {
    let whole = |message: String| vec![Problem::new("", message)];
    let params: P4SourceParams =
        serde_json::from_value(object.args.clone()).map_err(|e| whole(e.to_string()))?;
    let encoding = Encoding::named(&params.encoding).map_err(whole)?;
    Ok(Arc::new(P4Source { params, encoding, ticket: Mutex::default() }))
}

/// A source as declared.
struct P4Source {
    params: P4SourceParams,
    encoding: Encoding,
    /// The ticket, and when it was got.
    ticket: Mutex<Option<(String, Mono)>>,
}

/// p4 as one poll runs it.
struct Client {
    program: Program,
    options: Vec<String>,
    encoding: Encoding,
}

impl Client {
    async fn ask(&self, args: &[&str], stdin: &str) -> Result<String, SourceError> {
        let all: Vec<&str> = self.options.iter().map(String::as_str).chain(args.iter().copied()).collect();
        // The first word names the command in messages, and the options hold a password.
        let output = self.program.ask_as(args[0], &all, stdin.as_bytes()).await?;
        Ok(self.encoding.decode(&output).replace("\r\n", "\n"))
    }
}

impl P4Source {
    async fn client(&self, cx: &SourceContext) -> Result<Client, SourceError> {
        let wanted = json!({"user": self.params.p4user, "password": self.params.p4passwd});
        let rendered = cx.render(&wanted).await?;
        let text = |name: &str| rendered[name].as_str().map(String::from);
        let program = Program::new(P4, &self.params.p4bin, &cx.basedir, Limits::default(), cx.clock.clone());
        let mut options = Vec::new();
        let mut add = |flag: &str, value: Option<String>| {
            options.extend(value.into_iter().flat_map(|value| [flag.to_string(), value]));
        };
        add("-p", self.params.p4port.clone());
        add("-u", text("user"));
        if !self.params.use_tickets {
            add("-P", text("password"));
        }
        let mut client = Client { program, options, encoding: self.encoding };
        if let Some(password) = text("password").filter(|_| self.params.use_tickets) {
            let ticket = self.ticket(&client, &password, cx).await?;
            client.options.extend(["-P".into(), ticket]);
        }
        Ok(client)
    }

    /// The ticket of an earlier login while it is good, else a new one.
    async fn ticket(
        &self,
        client: &Client,
        password: &str,
        cx: &SourceContext,
    ) -> Result<String, SourceError> {
        let held = self.ticket.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let good = |since: Mono| cx.clock.mono() - since < self.params.ticket_login_interval.std();
        if let Some((ticket, _)) = held.filter(|(_, since)| good(*since)) {
            return Ok(ticket);
        }
        let said = client.ask(&["login", "-p"], &format!("{password}\n")).await?;
        let ticket = said.split_whitespace().last().unwrap_or_default().to_string();
        if ticket.is_empty() {
            return Err(SourceError::Other("p4 login gave no ticket".into()));
        }
        let since = cx.clock.mono();
        *self.ticket.lock().unwrap_or_else(PoisonError::into_inner) = Some((ticket.clone(), since));
        Ok(ticket)
    }

    /// Numbers of the changes after `last`, oldest first; without one, only the newest.
    async fn numbers(&self, client: &Client, last: Option<u64>) -> Result<Vec<u64>, SourceError> {
        let base = &self.params.p4base;
        let said = match last {
            None => client.ask(&["changes", "-s", "submitted", "-m", "1", &format!("{base}...")], "").await?,
            Some(last) => {
                let range = format!("{base}...@{},#head", last + 1);
                client.ask(&["changes", "-s", "submitted", &range], "").await?
            }
        };
        let lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
        let mut numbers = lines.map(number).collect::<Result<Vec<_>, _>>()?;
        numbers.sort_unstable();
        numbers.truncate(self.params.histmax.map_or(usize::MAX, |most| most as usize));
        Ok(numbers)
    }

    async fn changes(
        &self,
        described: &Described,
        number: u64,
        cx: &SourceContext,
    ) -> Result<Vec<NewChange>, SourceError> {
        let mut groups: Vec<(Place, Vec<String>)> = Vec::new();
        for path in &described.files {
            let Some(below) = path.strip_prefix(&self.params.p4base) else { continue };
            let place = match &self.params.split_file {
                Some(callback) => split(callback, below, cx).await?,
                None => Some(Place { path: below.into(), ..Place::default() }),
            };
            let Some(place) = place else { continue };
            let file = place.path.clone();
            let key = Place { path: String::new(), ..place };
            match groups.iter_mut().find(|(known, _)| *known == key) {
                Some((_, files)) => files.push(file),
                None => groups.push((key, vec![file])),
            }
        }
        let author = self.author(&described.user, cx).await?;
        let mut changes = Vec::new();
        for (place, files) in groups {
            changes.push(NewChange {
                author: author.clone(),
                files,
                comments: described.comments.clone(),
                revlink: self.link(place.branch.as_deref(), number, cx).await,
                revision: Some(number.to_string()),
                when_timestamp: Some(described.when),
                branch: place.branch,
                category: self.params.common().category(),
                repository: place.repository.unwrap_or_default(),
                project: place.project.or_else(|| self.params.project.clone()).unwrap_or_default(),
                codebase: place.codebase.unwrap_or_default(),
                ..NewChange::default()
            });
        }
        Ok(changes)
    }

    async fn author(&self, user: &str, cx: &SourceContext) -> Result<String, SourceError> {
        let Some(callback) = &self.params.resolvewho else { return Ok(user.into()) };
        let site = CallSite::new("resolvewho", cx.concerns());
        match cx.script().call(callback, site.clone(), vec![Arg::Value(user.into())]).await? {
            Json::String(author) if !author.is_empty() => Ok(author),
            other => {
                let shown = cx.script().shown(&other);
                let message = format!("resolvewho returned {shown}; wanted the author as a text");
                cx.script().nonsense(callback, site, &message);
                Err(SourceError::Other(message))
            }
        }
    }

    /// An error of the function means no link; the host has recorded it.
    async fn link(&self, branch: Option<&str>, number: u64, cx: &SourceContext) -> Option<String> {
        let callback = self.params.revlink.as_ref()?;
        let site = CallSite::new("revlink", cx.concerns());
        let args = vec![Arg::Value(branch.into()), Arg::Value(number.to_string().into())];
        match cx.script().call(callback, site.clone(), args).await {
            Ok(Json::String(link)) => Some(link),
            Ok(Json::Null) | Err(_) => None,
            Ok(other) => {
                let message = format!("revlink returned {}; wanted a text or nil", cx.script().shown(&other));
                cx.script().nonsense(callback, site, &message);
                None
            }
        }
    }
}

#[async_trait]
impl Poller for P4Source {
    fn times(&self) -> PollTimes {
        self.params.common().times()
    }

    fn describe(&self) -> String {
        let port = self.params.p4port.as_deref().unwrap_or("P4PORT");
        format!("p4 source of {} at {port}", self.params.p4base)
    }

    async fn check(&self, cx: &SourceContext) -> Result<(), SourceError> {
        let wanted = json!({"user": self.params.p4user, "password": self.params.p4passwd});
        cx.render(&wanted).await.map(drop)
    }

    async fn poll(&self, cx: &SourceContext) -> Result<(), SourceError> {
        let client = self.client(cx).await?;
        let mut counted = Counted::load(cx).await?;
        let numbers = self.numbers(&client, counted.last()).await?;
        if counted.last().is_none() {
            return counted.move_to(cx, numbers.last().copied().unwrap_or(0)).await;
        }
        for number in numbers {
            let said = client.ask(&["describe", "-s", &number.to_string()], "").await?;
            let described = describe(&said, self.params.server_tz.as_deref()).map_err(SourceError::Other)?;
            let changes = self.changes(&described, number, cx).await?;
            counted.add(cx, number, changes, &self.params.common().functions()).await?;
        }
        Ok(())
    }

    async fn skip(&self, cx: &SourceContext, revision: &str) -> Result<String, SourceError> {
        let last = Counted::load(cx).await?.last();
        let newest = self.numbers(&self.client(cx).await?, None).await?;
        counted::skip(cx, revision, newest.last().copied().or(last)).await
    }
}

/// `Change 28147 on 2008/04/07 by joe@host 'text'`.
fn number(line: &str) -> Result<u64, SourceError> {
    let number = line.strip_prefix("Change ").and_then(|rest| rest.split(' ').next()?.parse().ok());
    number.ok_or_else(|| SourceError::Other(format!("p4 changes gave {line:?} in place of a change")))
}

/// One submitted change.
#[derive(Debug, PartialEq)]
struct Described {
    user: String,
    /// Seconds since 1970.
    when: i64,
    comments: String,
    files: Vec<String>,
}

/// Reads `p4 describe -s`.
fn describe(text: &str, server_tz: Option<&str>) -> Result<Described, String> {
    let strange = |line: &str| format!("p4 describe gave {line:?} in place of what was expected");
    let mut lines = text.lines();
    let header = lines.next().unwrap_or_default().trim_end();
    let (user, when) = header
        .split_once(" by ")
        .and_then(|(_, rest)| rest.split_once(" on "))
        .and_then(|(who, when)| Some((who.split_once('@')?.0, when)))
        .ok_or_else(|| strange(header))?;
    let (mut comments, mut files, mut affected) = (Vec::new(), Vec::new(), false);
    for line in lines {
        if line.starts_with("Affected files") {
            affected = true;
        } else if !affected {
            comments.extend(line.strip_prefix('\t'));
        } else if !line.trim().is_empty() {
            let path = line.trim().strip_prefix("... ").and_then(|rest| rest.rsplit_once('#'));
            files.push(path.ok_or_else(|| strange(line))?.0.to_string());
        }
    }
    Ok(Described {
        user: user.into(),
        when: seconds(when, server_tz).ok_or_else(|| strange(header))?,
        comments: comments.join("\n"),
        files,
    })
}

/// `2008/04/07 12:30:00` in the server's zone.
fn seconds(when: &str, server_tz: Option<&str>) -> Option<i64> {
    let time = jiff::civil::DateTime::strptime("%Y/%m/%d %H:%M:%S", when.trim()).ok()?;
    let zoned = time.to_zoned_datetime(zone(server_tz).ok()?).ok()?;
    Some(zoned.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_02_019_answers_of_p4_are_read() {
        let text = "Change 5 by joe@host on 2008/04/07 12:30:00\r\n\n\tone\n\ttwo\n\nAffected files ...\n\n\
                    ... //depot/a b#3 edit\n... //depot/c#1 move/add\n\n";
        let found = describe(text, Some("Europe/Berlin")).unwrap();
        assert_eq!((found.user.as_str(), found.comments.as_str()), ("joe", "one\ntwo"));
        assert_eq!(
            (found.when, found.files),
            (1_207_564_200, vec!["//depot/a b".into(), "//depot/c".into()])
        );
        assert!(describe("nothing", None).unwrap_err().contains("\"nothing\""));
        assert_eq!(number("Change 28147 on 2008/04/07 by joe@h 'x'").unwrap(), 28147);
        assert!(number("Perforce client error").is_err());
    }

    #[test]
    fn row_02_019_options_are_checked() {
        let problems = |args: Json| {
            let text = |p: &Problem| format!("{}: {}", p.path, p.message);
            check_as::<P4SourceParams>(&args).iter().map(text).collect::<Vec<_>>()
        };
        assert_eq!(problems(json!({"p4base": "//depot/", "server_tz": "Europe/Berlin"})), [""; 0]);
        assert_eq!(
            problems(json!({"p4base": "depot"})),
            ["p4base: must begin with //, as in //depot/project/"]
        );
        assert_eq!(problems(json!({"use_tickets": true})), ["use_tickets: needs p4user and p4passwd"]);
        assert!(
            problems(json!({"server_tz": "Moon"}))[0].starts_with("server_tz: unknown time zone \"Moon\"")
        );
    }
}
