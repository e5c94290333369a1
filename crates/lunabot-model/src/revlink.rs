//! Addresses of revisions' pages (01.036): which the configuration gives, and which known hosts have.

use crate::kind::{CallbackSpec, Category, Kind, Params, check_as, schema_of};
use crate::{AnyObject, Callback, Json, Problem, StringOrList, pattern};
use regex::Captures;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What `c.revlink` says; where it says nothing, [`known`] links.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Revlink {
    /// `function(revision, repository)` → an address or nil.
    Function(Callback),
    Match(RevlinkMatch),
}

impl Revlink {
    /// Reads the value of `c.revlink`; the error says what is wrong with it.
    pub fn read(value: &Json) -> Result<Self, String> {
        if let Some(callback) = Callback::from_json(value) {
            return Ok(Revlink::Function(callback));
        }
        let matcher = AnyObject::from_json(value).filter(|object| object.kind == REVLINK_MATCH.path());
        let matcher = matcher.ok_or("expected a function or a util.RevlinkMatch")?;
        RevlinkMatch::deserialize(&matcher.args).map(Revlink::Match).map_err(|error| error.to_string())
    }
}

/// `util.RevlinkMatch`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RevlinkMatch {
    /// Regular expressions for addresses of repositories; the first that matches from the start counts.
    pub repo_urls: StringOrList,
    /// The address of a revision's page: `%s` is the revision, `\1` and `\g<name>` are groups of the expression.
    pub revlink: String,
}

impl RevlinkMatch {
    /// The address; none: no expression matches.
    pub fn link(&self, revision: &str, repository: &str) -> Option<String> {
        let patterns = self.repo_urls.0.iter().filter_map(|url| pattern::anchored(url).ok());
        let found = patterns.into_iter().find_map(|pattern| pattern.captures(repository))?;
        fill(&self.revlink, &found, revision).ok()
    }
}

impl Params for RevlinkMatch {
    fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (index, url) in self.repo_urls.0.iter().enumerate() {
            match pattern::anchored(url) {
                Err(problem) => problems.push(Problem::new(format!("repo_urls[{index}]"), problem)),
                Ok(pattern) => {
                    let groups = pattern.captures_len();
                    let known: Vec<&str> = pattern.capture_names().flatten().collect();
                    if let Some(group) = groups_of(&self.revlink).into_iter().find(|group| {
                        !known.contains(&group.as_str()) && group.parse().map_or(true, |n: usize| n >= groups)
                    }) {
                        let message = format!("has the group {group}, which '{url}' has not");
                        problems.push(Problem::new("revlink", message));
                    }
                }
            }
        }
        if self.repo_urls.0.is_empty() {
            problems.push(Problem::new("repo_urls", "must have at least one expression"));
        }
        if !self.revlink.contains("%s") {
            problems.push(Problem::new("revlink", "must have %s, for the revision"));
        }
        problems
    }
}

/// Declares [`RevlinkMatch`].
pub const REVLINK_MATCH: Kind = Kind {
    namespace: "util",
    name: "RevlinkMatch",
    aliases: &[],
    category: Category::Value,
    positional: &["repo_urls", "revlink"],
    flat: false,
    doc: "For c.revlink: addresses of revisions' pages, made of the addresses of their repositories.",
    schema: schema_of::<RevlinkMatch>,
    check: check_as::<RevlinkMatch>,
    callbacks: &[] as &[CallbackSpec],
    extensible: false,
};

/// One piece of a template.
enum Piece {
    Text(char),
    Group(String),
    Revision,
}

/// `\1`, `\g<name>`, `%s`, `%%`; anything else is text.
fn pieces(template: &str) -> Vec<Piece> {
    let (mut pieces, mut rest) = (Vec::new(), template);
    while let Some(c) = rest.chars().next() {
        let (piece, length) = match (c, rest.as_bytes().get(1)) {
            ('%', Some(b's')) => (Piece::Revision, 2),
            ('%', Some(b'%')) => (Piece::Text('%'), 2),
            ('\\', Some(digit)) if digit.is_ascii_digit() => (Piece::Group(char::from(*digit).into()), 2),
            ('\\', Some(b'g')) => match rest[2..].strip_prefix('<').and_then(|rest| rest.split_once('>')) {
                Some((name, _)) => (Piece::Group(name.to_string()), name.len() + 4),
                None => (Piece::Text(c), 1),
            },
            (c, _) => (Piece::Text(c), c.len_utf8()),
        };
        pieces.push(piece);
        rest = &rest[length..];
    }
    pieces
}

fn groups_of(template: &str) -> Vec<String> {
    let groups = pieces(template).into_iter().filter_map(|piece| match piece {
        Piece::Group(name) => Some(name),
        Piece::Text(_) | Piece::Revision => None,
    });
    groups.collect()
}

/// The error names a group that the expression does not have.
fn fill(template: &str, found: &Captures<'_>, revision: &str) -> Result<String, String> {
    let mut filled = String::new();
    for piece in pieces(template) {
        match piece {
            Piece::Text(c) => filled.push(c),
            Piece::Revision => filled.push_str(revision),
            Piece::Group(name) => {
                let group = match name.parse::<usize>() {
                    Ok(number) if number < found.len() => found.get(number),
                    Ok(_) => return Err(name),
                    Err(_) => found.name(&name),
                };
                filled.push_str(group.map_or("", |group| group.as_str()));
            }
        }
    }
    Ok(filled)
}

/// The page that a well-known host has for a revision: GitHub, Bitbucket and SourceForge.
pub fn known(revision: &str, repository: &str) -> Option<String> {
    let (host, path) = host_and_path(repository)?;
    let path = path.trim_start_matches('/');
    let plain = path.strip_suffix(".git").unwrap_or(path);
    let of_owner = || {
        plain
            .split_once('/')
            .is_some_and(|(owner, name)| !owner.is_empty() && !name.is_empty() && !name.contains('/'))
    };
    match host {
        "github.com" if of_owner() => Some(format!("https://github.com/{plain}/commit/{revision}")),
        "bitbucket.org" if of_owner() => Some(format!("https://bitbucket.org/{plain}/commits/{revision}")),
        "git.code.sf.net" => {
            Some(format!("https://sourceforge.net/p/{}/ci/{revision}/", path.strip_prefix("p/")?))
        }
        host => {
            let (project, name) =
                (host.strip_suffix(".git.sourceforge.net")?, path.strip_prefix("gitroot/")?);
            let gitweb = format!("http://{project}.git.sourceforge.net/git/gitweb.cgi");
            Some(format!("{gitweb}?p={name};a=commit;h={revision}"))
        }
    }
}

/// Of `scheme://user@host/path` or `user@host:path`.
fn host_and_path(address: &str) -> Option<(&str, &str)> {
    let (authority, path) = match address.split_once("://") {
        Some((_, rest)) => rest.split_once('/')?,
        None => address.split_once(':').filter(|(host, _)| host.contains('@'))?,
    };
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    Some((host.split_once(':').map_or(host, |(host, _)| host), path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn row_01_036_known_hosts_have_pages() {
        let github = Some("https://github.com/o/r/commit/7".to_string());
        for address in [
            "https://github.com/o/r",
            "https://github.com/o/r.git",
            "https://joe:pw@github.com/o/r.git",
            "git://github.com/o/r.git",
            "git@github.com:o/r.git",
            "ssh://git@github.com/o/r",
        ] {
            assert_eq!(known("7", address), github, "{address}");
        }
        let others = [
            ("https://joe@bitbucket.org/o/r.git", "https://bitbucket.org/o/r/commits/7"),
            ("git@bitbucket.org:o/r.git", "https://bitbucket.org/o/r/commits/7"),
            ("git://git.code.sf.net/p/a/code", "https://sourceforge.net/p/a/code/ci/7/"),
            ("ssh://joe@git.code.sf.net/p/a/code", "https://sourceforge.net/p/a/code/ci/7/"),
            (
                "git://a.git.sourceforge.net/gitroot/a/b",
                "http://a.git.sourceforge.net/git/gitweb.cgi?p=a/b;a=commit;h=7",
            ),
        ];
        for (address, link) in others {
            assert_eq!(known("7", address).as_deref(), Some(link), "{address}");
        }
        for none in [
            "https://example.org/o/r",
            "/srv/git/r",
            "file:///github.com/o/r",
            "https://github.com/o",
            "",
            "C:/x",
        ] {
            assert_eq!(known("7", none), None, "{none}");
        }
    }

    #[test]
    fn row_01_036_expressions_make_links() {
        let matcher = |args: Json| RevlinkMatch::deserialize(&args).unwrap();
        let one = matcher(
            json!({"repo_urls": ["https://h/(\\w+)/(?P<name>.*)$"], "revlink": "https://w/\\1/\\g<name>?r=%s&x=100%%"}),
        );
        assert_eq!(one.link("7", "https://h/o/r/s").as_deref(), Some("https://w/o/r/s?r=7&x=100%"));
        assert_eq!(one.link("7", "git https://h/o/r"), None);
        assert_eq!(one.validate(), []);
        let problems = |args: Json| {
            matcher(args)
                .validate()
                .into_iter()
                .map(|p| format!("{}: {}", p.path, p.message))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            problems(json!({"repo_urls": "a(b)", "revlink": "\\2%s"})),
            ["revlink: has the group 2, which 'a(b)' has not"]
        );
        assert_eq!(
            problems(json!({"repo_urls": "a", "revlink": "x"})),
            ["revlink: must have %s, for the revision"]
        );
        assert!(problems(json!({"repo_urls": "(", "revlink": "%s"}))[0].starts_with("repo_urls[0]: "));
    }
}
