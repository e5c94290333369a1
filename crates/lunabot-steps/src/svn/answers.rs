//! What `svn --xml` answers, and addresses as svn writes them.

/// One answer of `svn info`.
#[derive(Debug, PartialEq, Eq)]
pub struct Info {
    pub url: String,
    /// Of the tree.
    pub revision: String,
    /// The newest that changed the folder.
    pub last_changed: Option<String>,
}

/// Reads `svn info --xml`; `None`: something else.
pub fn info(text: &str) -> Option<Info> {
    let document = roxmltree::Document::parse(text).ok()?;
    let entry = document.descendants().find(|node| node.has_tag_name("entry"))?;
    let child = |name: &str| entry.children().find(|node| node.has_tag_name(name));
    Some(Info {
        url: child("url")?.text()?.to_string(),
        revision: entry.attribute("revision")?.to_string(),
        last_changed: child("commit").and_then(|commit| commit.attribute("revision")).map(String::from),
    })
}

/// The paths in `svn status --xml` that are not as they were checked out; a missing file comes back by itself, and the
/// tree itself stays. `None`: something else.
pub fn changed_paths(text: &str) -> Option<Vec<String>> {
    let document = roxmltree::Document::parse(text).ok()?;
    let entries = document.descendants().filter(|node| node.has_tag_name("entry"));
    let changed = entries.filter_map(|entry| {
        let status = entry.children().find(|node| node.has_tag_name("wc-status"))?.attribute("item")?;
        let kept = matches!(status, "external" | "missing" | "normal" | "none");
        entry.attribute("path").filter(|path| !kept && !matches!(*path, "" | "."))
    });
    Some(changed.map(String::from).collect())
}

/// Whether two addresses are the same for svn: host and scheme in small letters, no default port, no empty parts of the
/// path, characters escaped the same way.
pub fn same_address(one: &str, other: &str) -> bool {
    canonical(one) == canonical(other)
}

fn canonical(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.trim_end_matches('/').into() };
    let scheme = scheme.to_ascii_lowercase();
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, host) = authority.rsplit_once('@').map_or(("", authority), |(user, host)| (user, host));
    let port = match scheme.as_str() {
        "http" => ":80",
        "https" => ":443",
        "svn" => ":3690",
        _ => "",
    };
    let host = host.strip_suffix(port).unwrap_or(host).trim_end_matches('.').to_ascii_lowercase();
    let parts = path.split('/').filter(|part| !matches!(*part, "" | ".")).map(unescaped);
    format!("{scheme}://{user}@{host}/{}", parts.collect::<Vec<_>>().join("/"))
}

/// `%41` becomes `A`; what is no escape stays.
fn unescaped(part: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), part.as_bytes());
    while let [first, tail @ ..] = rest {
        let code = match tail {
            [a, b, ..] if *first == b'%' => hex(*a).zip(hex(*b)),
            _ => None,
        };
        bytes.push(code.map_or(*first, |(a, b)| a * 16 + b));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_compared_as_svn_writes_them() {
        let same = [
            ("file:///srv/svn/trunk/", "file:///srv/svn/trunk"),
            ("HTTP://Joe@Example.ORG:80//a b/./c/", "http://Joe@example.org/a%20b/c"),
            ("svn://h:3690/r", "svn://h/r"),
            ("svn+ssh://h/100%", "svn+ssh://h/100%25"),
        ];
        for (one, other) in same {
            assert!(same_address(one, other), "{one} {other}");
        }
        for (one, other) in
            [("svn://h/a", "svn://h/b"), ("svn://h:1/a", "svn://h/a"), ("http://h/a", "https://h/a")]
        {
            assert!(!same_address(one, other), "{one} {other}");
        }
    }

    #[test]
    fn other_answers_are_told_apart() {
        assert_eq!(info("svn: E155007"), None);
        assert_eq!(
            info("<info><entry revision='3'><url>u</url></entry></info>").map(|i| i.revision),
            Some("3".into())
        );
        assert_eq!(changed_paths("<status><target path='.'></target></status>"), Some(vec![]));
        assert_eq!(changed_paths("<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>"), None);
    }
}
