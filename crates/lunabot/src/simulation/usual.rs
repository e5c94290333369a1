//! What programs say that steps of the library need to hear, where a test says nothing.

use super::answers::Answer;

/// The commit that is checked out where the build is about none.
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
/// The same for systems that count.
const NUMBER: &str = "1";

/// What is not in a tree before a source step has worked there.
const NOT_THERE_AT_FIRST: &[&str] = &[".buildbot-patched", ".hg", ".svn", ".bzr"];

/// Whether a file that no test has told of is missing.
pub fn is_missing(path: &str) -> bool {
    NOT_THERE_AT_FIRST.iter().any(|name| path.ends_with(name))
}

/// The answer to a command line. `revision`: what the build is about.
pub fn answer(line: &str, revision: Option<&str>) -> Answer {
    let commit = revision.filter(|text| text.len() == 40 && text.chars().all(|c| c.is_ascii_hexdigit()));
    let number = revision.filter(|text| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit()));
    let (commit, number) = (commit.unwrap_or(COMMIT), number.unwrap_or(NUMBER));
    let words: Vec<&str> = line.split(' ').collect();
    let has = |all: &[&str]| all.iter().all(|word| words.contains(word));
    let stdout = match words[0] {
        "git" if has(&["--version"]) => "git version 2.47.3".into(),
        "git" if has(&["rev-parse", "HEAD"]) => commit.into(),
        "hg" if has(&["parents", "--template"]) => commit.into(),
        "hg" if has(&["identify", "--branch"]) => "default".into(),
        "svn" if has(&["info", "--xml"]) => format!(
            "<info><entry path=\".\" revision=\"{number}\"><url>https://svn.example.org/</url>\
             <commit revision=\"{number}\"/></entry></info>"
        ),
        "svn" if has(&["status", "--xml"]) => "<status/>".into(),
        "bzr" if has(&["revno", "--tree"]) => number.into(),
        "p4" if has(&["client", "-i"]) => "Client worker saved.".into(),
        "p4" if has(&["changes", "-m1"]) => format!("Change {number} on 2024/01/01 by ci@worker 'a change'"),
        _ => String::new(),
    };
    Answer { stdout, ..Answer::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_at_what_the_build_is_about_where_that_is_a_revision() {
        let commit = "89abcdef0123456789abcdef0123456789abcdef";
        assert_eq!(answer("git rev-parse HEAD", Some(commit)).stdout, commit);
        assert_eq!(answer("git -c a=b rev-parse HEAD", Some("v1")).stdout, COMMIT);
        assert_eq!(answer("bzr revno --tree", Some("12")).stdout, "12");
        assert!(answer("svn info --xml", None).stdout.contains("revision=\"1\""));
        assert_eq!(answer("echo git --version", None).stdout, "");
    }
}
