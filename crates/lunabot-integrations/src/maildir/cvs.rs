//! Mails of `buildbot-cvs-mail` (02.026).
//!
//! ```text
//! Cvsmode: 1.12
//! Category: None
//! CVSROOT: :ext:example.org:/cvsroot
//! Files: a.c 1.1 1.2 b.c NONE 1.1
//! Path: module/folder
//! Project: None
//!
//!  Tag: branch
//! Log Message:
//! the message
//! ```

use super::mail::{Mail, after, paragraph};
use lunabot_data::new::NewChange;
use lunabot_model::{Json, Properties};
use regex::Regex;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// A file and its two versions in the form of CVS 1.12.
static FILE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\s*(.*?) (?:NONE|\d+(?:\.\d+)*) (?:NONE|\d+(?:\.\d+)*)(?:\s|$)").expect("a constant pattern")
});
/// The same in the form of 1.11.
static OLD_FILE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\s*(.*?),(?:NONE|\d+(?:\.\d+)*),(?:NONE|\d+(?:\.\d+)*)(?:\s|$)").expect("a constant pattern")
});

/// `None` for a mail that names no sender, path or files.
pub fn read(mail: &Mail, properties: &BTreeMap<String, Json>) -> Option<NewChange> {
    let author = mail.user()?;
    let log =
        mail.lines.iter().position(|line| line.trim_end() == "Log Message:").unwrap_or(mail.lines.len());
    let head = &mail.lines[..log];
    let field = |name: &str| head.iter().find_map(|line| after(line, name)).filter(|value| *value != "None");
    let branch = head.iter().filter(|line| line.starts_with(char::is_whitespace));
    let branch = branch.filter_map(|line| after(line.trim_start(), "Tag:")).next_back();
    let files = files(field("Path:"), field("Files:")?, field("Cvsmode:")?)?;
    let comments = mail.lines.get(log + 1..).map(paragraph).filter(|text| text != "\n");
    Some(NewChange {
        author,
        files,
        comments: comments.unwrap_or_default(),
        when_timestamp: mail.date,
        revision: mail.date.and_then(moment),
        branch: branch.map(str::to_string),
        category: field("Category:").map(str::to_string),
        repository: field("CVSROOT:").unwrap_or_default().to_string(),
        project: field("Project:").unwrap_or_default().to_string(),
        properties: Properties::from_plain(properties, "Change"),
        ..NewChange::default()
    })
}

/// The names of the files, with their path.
fn files(path: Option<&str>, list: &str, mode: &str) -> Option<Vec<String>> {
    let (path, list, pattern) = match (mode, path) {
        ("1.11", _) => {
            let (path, list) = list.split_once(' ')?;
            (path, list, &*OLD_FILE)
        }
        (_, Some(path)) => (path, list, &*FILE),
        (_, None) => return None,
    };
    let names: Vec<String> =
        pattern.captures_iter(list).map(|found| format!("{path}/{}", &found[1])).collect();
    (!names.is_empty()).then_some(names)
}

/// CVS has no revisions: the time says what was checked in.
fn moment(seconds: i64) -> Option<String> {
    let time = jiff::Timestamp::from_second(seconds).ok()?;
    Some(time.strftime("%Y-%m-%d %H:%M:%S").to_string())
}
