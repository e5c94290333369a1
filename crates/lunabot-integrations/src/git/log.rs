//! Reading `git log`: commits with their files, from NUL-separated fields.

use super::{Encoding, GitError};

/// One commit as a change needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    pub revision: String,
    /// The first one; a commit without has none.
    pub parent: Option<String>,
    /// When it was committed, seconds since 1970.
    pub when: i64,
    /// `Name <address>`, by the repository's mailmap.
    pub author: String,
    pub committer: String,
    /// Subject and body.
    pub comments: String,
    pub files: Vec<String>,
}

/// The format whose output [`parse`] reads, with `-z --name-only`.
pub const FORMAT: &str = "--format=%x00%H%x00%P%x00%ct%x00%aN <%aE>%x00%cN <%cE>%x00%s%n%b%x00";

/// Reads what git printed. An empty field separates commits, which no file name can be.
pub fn parse(output: &[u8], encoding: Encoding) -> Result<Vec<Commit>, GitError> {
    let mut fields = output.split(|byte| *byte == 0).peekable();
    let mut commits = Vec::new();
    loop {
        while fields.next_if(|field| field.is_empty()).is_some() {}
        let Some(revision) = fields.next() else { return Ok(commits) };
        let mut next = || fields.next().ok_or_else(|| nonsense(revision));
        let (parents, when, author, committer, comments) = (next()?, next()?, next()?, next()?, next()?);
        // The terminator of the format; then the files, the first after a line break.
        next()?;
        let mut files = Vec::new();
        while let Some(file) = fields.next_if(|field| !field.is_empty()) {
            let file = if files.is_empty() { file.strip_prefix(b"\n").unwrap_or(file) } else { file };
            files.push(encoding.decode(file));
        }
        commits.push(Commit {
            revision: sha(revision)?,
            parent: parents.split(|b| *b == b' ').next().filter(|p| !p.is_empty()).map(sha).transpose()?,
            when: std::str::from_utf8(when)
                .ok()
                .and_then(|t| t.parse().ok())
                .ok_or_else(|| nonsense(when))?,
            author: encoding.decode(author),
            committer: encoding.decode(committer),
            comments: encoding.decode(comments).trim().to_string(),
            files,
        });
    }
}

/// A full object name, or what came in its place as an error.
pub fn sha(field: &[u8]) -> Result<String, GitError> {
    match std::str::from_utf8(field) {
        Ok(text) if matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit()) => {
            Ok(text.into())
        }
        _ => Err(nonsense(field)),
    }
}

fn nonsense(field: &[u8]) -> GitError {
    let shown: String = String::from_utf8_lossy(field).chars().take(80).collect();
    GitError::Nonsense(format!("{shown:?} in place of a commit"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_with_and_without_files_are_told_apart() {
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        let text = format!(
            "\0{a}\0\x001\0A <a>\0C <c>\0one\nmore\n\0\0\nx\0y z\0\0{b}\0{a} {b}\x002\0A <a>\0C <c>\0\n\0\0"
        );
        let commits = parse(text.as_bytes(), Encoding::named("utf-8").unwrap()).unwrap();
        assert_eq!(commits.len(), 2);
        assert_eq!((&commits[0].parent, &commits[1].parent), (&None, &Some(a)));
        assert_eq!((commits[0].comments.as_str(), commits[0].files.join("|")), ("one\nmore", "x|y z".into()));
        assert_eq!((commits[1].comments.as_str(), commits[1].files.len()), ("", 0));
    }

    #[test]
    fn anything_else_is_an_error() {
        assert!(parse(b"\0what\0", Encoding::named("utf-8").unwrap()).is_err());
    }
}
