//! `util.parse_git_url`: the parts of a repository's address.

use mlua::{Lua, Table};

pub(super) fn add(lua: &Lua, util: &Table) -> mlua::Result<()> {
    util.raw_set(
        "parse_git_url",
        lua.create_function(|lua, address: String| {
            let Some(parts) = GitUrl::read(&address) else { return Ok(None) };
            let table = lua.create_table()?;
            table.raw_set("proto", parts.proto)?;
            table.raw_set("user", parts.user)?;
            table.raw_set("domain", parts.domain)?;
            table.raw_set("port", parts.port)?;
            table.raw_set("owner", parts.owner)?;
            table.raw_set("repo", parts.repo)?;
            Ok(Some(table))
        })?,
    )
}

const PROTOCOLS: [&str; 4] = ["http", "https", "ssh", "git"];

#[derive(Debug, PartialEq, Eq)]
struct GitUrl<'a> {
    proto: &'a str,
    user: Option<&'a str>,
    domain: &'a str,
    port: Option<u16>,
    owner: Option<&'a str>,
    repo: &'a str,
}

impl<'a> GitUrl<'a> {
    /// `None`: it names no repository on another machine.
    fn read(address: &'a str) -> Option<Self> {
        let (proto, rest) = match address.split_once("://") {
            Some((proto, rest)) => (*PROTOCOLS.iter().find(|known| **known == proto)?, rest),
            // `git@example.org:owner/repo.git`.
            None => ("ssh", address),
        };
        // Before the path: a user may have a password, and paths may have an @.
        let at = rest[..rest.find('/').unwrap_or(rest.len())].rfind('@');
        let (user, place) = at.map_or((None, rest), |at| (Some(&rest[..at]), &rest[at + 1..]));
        let end = place.find(['/', ':'])?;
        let (domain, path) = (&place[..end], &place[end + 1..]);
        let port = path.split_once('/').filter(|_| place[end..].starts_with(':'));
        let port = port.and_then(|(port, path)| Some((port.parse::<u16>().ok()?, path)));
        let (port, path) = port.map_or((None, path), |(port, path)| (Some(port), path));
        let path = path.strip_suffix('/').unwrap_or(path);
        let path = path.strip_suffix(".git").unwrap_or(path);
        let (owner, repo) = path.rsplit_once('/').map_or((None, path), |(owner, repo)| (Some(owner), repo));
        let whole = !domain.is_empty() && !repo.is_empty() && owner != Some("");
        whole.then_some(GitUrl { proto, user, domain, port, owner, repo })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let parts = |address| {
            let GitUrl { proto, user, domain, port, owner, repo } = GitUrl::read(address)?;
            Some((proto, user, domain, port, owner, repo))
        };
        let plain = |proto, user, port| Some((proto, user, "example.org", port, Some("joe"), "app"));
        for (address, wanted) in [
            ("https://example.org/joe/app.git", plain("https", None, None)),
            ("https://example.org/joe/app/", plain("https", None, None)),
            ("https://me:secret@example.org:8443/joe/app", plain("https", Some("me:secret"), Some(8443))),
            ("git@example.org:joe/app.git", plain("ssh", Some("git"), None)),
            ("ssh://git@example.org:29418/joe/app", plain("ssh", Some("git"), Some(29418))),
            ("git://example.org/app", Some(("git", None, "example.org", None, None, "app"))),
            ("git@example.org:a/b/c.git", Some(("ssh", Some("git"), "example.org", None, Some("a/b"), "c"))),
            ("/srv/git/app.git", None),
            ("file:///srv/git/app.git", None),
            ("app", None),
            ("", None),
            ("https://example.org/", None),
        ] {
            assert_eq!(parts(address), wanted, "{address}");
        }
    }
}
