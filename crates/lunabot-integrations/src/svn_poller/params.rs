//! The options of `changes.SVNPoller` (02.013).

use crate::poller_params::poller_params;
use lunabot_model::kind::Params;
use lunabot_model::{Callback, Problem, Renderable, StringOrList};

poller_params! {
/// Watches a folder of a Subversion repository.
pub struct SvnPollerParams {
    /// The address of the folder; everything below it is watched.
    pub repourl: String,
    /// Says to which branch and project a path belongs. Default: `util.svn.split_file_alwaystrunk`.
    #[serde(default)]
    pub split_file: Option<Callback>,
    /// The name to sign in with.
    #[serde(default)]
    pub svnuser: Option<Renderable<String>>,
    /// The password to sign in with.
    #[serde(default)]
    pub svnpasswd: Option<Renderable<String>>,
    /// Revisions that are read at a time. Default 100.
    #[serde(default = "piece")]
    pub histmax: u32,
    /// The program. Default `svn`.
    #[serde(default = "svn")]
    pub svnbin: String,
    /// Address of a revision's page, with `%s` for its number.
    #[serde(default)]
    pub revlinktmpl: Option<String>,
    /// A file that holds the newest revision that was looked at, as Buildbot writes it.
    #[serde(default)]
    pub cachepath: Option<String>,
    /// Further arguments of each svn command.
    #[serde(default)]
    pub extra_args: Option<StringOrList>,
}
}

fn piece() -> u32 {
    100
}
fn svn() -> String {
    "svn".into()
}

impl Params for SvnPollerParams {
    fn validate(&self) -> Vec<Problem> {
        let mut problems = self.common().problems();
        if self.repourl.trim().is_empty() || self.repourl.starts_with('-') {
            problems.push(Problem::new("repourl", "must be the address of a folder in a repository"));
        }
        if self.histmax == 0 {
            problems.push(Problem::new("histmax", "must be at least 1"));
        }
        if self.revlinktmpl.as_deref().is_some_and(|template| link(template, "1").is_none()) {
            let message = "must have one %s, for the revision; a percent sign is %%";
            problems.push(Problem::new("revlinktmpl", message));
        }
        problems
    }
}

/// The address of a revision's page; `None`: the template is none. An empty one yields no link.
pub fn link(template: &str, revision: &str) -> Option<String> {
    let (mut filled, mut count) = (String::new(), 0);
    let mut rest = template.chars();
    while let Some(c) = rest.next() {
        match (c, c == '%') {
            (_, true) => match rest.next()? {
                's' => {
                    filled.push_str(revision);
                    count += 1;
                }
                '%' => filled.push('%'),
                _ => return None,
            },
            (c, false) => filled.push(c),
        }
    }
    (count == 1 || template.is_empty()).then_some(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lunabot_model::Json;
    use lunabot_model::kind::check_as;
    use serde_json::json;

    #[test]
    fn row_02_013_options_are_checked() {
        let problems = |options: Json| {
            let mut args = json!({"repourl": "file:///r"});
            args.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
            let text = |p: &Problem| format!("{}: {}", p.path, p.message);
            check_as::<SvnPollerParams>(&args).iter().map(text).collect::<Vec<_>>()
        };
        assert_eq!(problems(json!({"revlinktmpl": "http://h/%s?a=100%%", "histmax": 5})), [""; 0]);
        assert_eq!(problems(json!({"histmax": 0})), ["histmax: must be at least 1"]);
        for wrong in ["http://h/", "%s%s", "%d", "%"] {
            assert!(problems(json!({"revlinktmpl": wrong}))[0].starts_with("revlinktmpl: must have one %s"));
        }
        assert_eq!(problems(json!({"pollInterval": -1})), ["pollInterval: must not be negative"]);
        assert_eq!(link("http://h/%s?a=100%%", "7").as_deref(), Some("http://h/7?a=100%"));
    }
}
