//! What `svn info --xml` and `svn log --xml --verbose` answer.

use roxmltree::{Document, Node};

/// One revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub revision: u64,
    pub author: String,
    pub message: String,
    pub paths: Vec<Path>,
}

/// A path that a revision changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// From the root of the repository, without a slash before it; folders have one behind it.
    pub path: String,
    pub deleted: bool,
}

/// The folder of `repourl` below the root of its repository, without slashes around it.
pub fn prefix(info: &str, repourl: &str) -> Result<String, String> {
    let document = parse("info", info)?;
    let text = |name: &str| document.descendants().find(|node| node.has_tag_name(name))?.text();
    let root = text("root").ok_or("svn info told no root of the repository")?.trim_end_matches('/');
    let url = text("url").unwrap_or(repourl);
    let below = url.strip_prefix(root).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let below = below.ok_or_else(|| format!("{url} is not below {root}, which svn info told as its root"))?;
    Ok(unescaped(below.trim_matches('/')))
}

/// The revisions of a log, oldest first.
pub fn entries(log: &str) -> Result<Vec<Entry>, String> {
    let document = parse("log", log)?;
    let nodes = document.descendants().filter(|node| node.has_tag_name("logentry"));
    let mut entries = nodes.map(entry).collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(|entry| entry.revision);
    Ok(entries)
}

fn parse<'a>(command: &str, text: &'a str) -> Result<Document<'a>, String> {
    Document::parse(text).map_err(|error| format!("svn {command} gave something other than XML: {error}"))
}

fn entry(node: Node<'_, '_>) -> Result<Entry, String> {
    let text =
        |name: &str| node.children().find(|child| child.has_tag_name(name)).and_then(|child| child.text());
    let number = node.attribute("revision").and_then(|number| number.parse().ok());
    let paths = node.descendants().filter(|child| child.has_tag_name("path"));
    Ok(Entry {
        revision: number.ok_or("svn log told an entry without a revision")?,
        author: text("author").unwrap_or("unknown").to_string(),
        message: text("msg").unwrap_or_default().to_string(),
        paths: paths.filter_map(path).collect(),
    })
}

fn path(node: Node<'_, '_>) -> Option<Path> {
    let mut path = node.text()?.trim_start_matches('/').to_string();
    if node.attribute("kind") == Some("dir") && !path.ends_with('/') {
        path.push('/');
    }
    Some(Path { path, deleted: node.attribute("action") == Some("D") })
}

/// An address's `%41` is the log's `A`.
fn unescaped(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_or_told() {
        let info = "<info><entry><url>file:///r/a%20b</url><repository><root>file:///r</root></repository></entry></info>";
        assert_eq!(prefix(info, "x").as_deref(), Ok("a b"));
        let other = info.replace("<root>file:///r<", "<root>file:///r/a<");
        assert!(prefix(&other, "x").unwrap_err().contains("is not below"));
        let log = "<log><logentry revision='4'/><logentry revision='3'><author>j</author><paths>\
                   <path kind='dir' action='D'>/b</path><path action='M'>/c</path></paths><msg>m</msg></logentry></log>";
        let found = entries(log).unwrap();
        assert_eq!(
            (found[0].revision, found[0].author.as_str(), found[1].author.as_str()),
            (3, "j", "unknown")
        );
        let paths: Vec<_> = found[0].paths.iter().map(|p| (p.path.as_str(), p.deleted)).collect();
        assert_eq!(paths, [("b/", true), ("c", false)]);
        assert!(entries("no").unwrap_err().contains("other than XML"));
    }
}
