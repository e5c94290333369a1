//! A bare repository that mirrors parts of others, each in a namespace of its own below `refs/buildbot/`.

use super::{Commit, Encoding, Git, GitError, log};

/// References per `fetch`, so that the arguments stay within what a system takes.
const REFS_PER_FETCH: usize = 500;
/// Settings of this machine's users that would change what we read, or leave processes behind.
const STEADY: &[&str] = &[
    "-c",
    "log.showSignature=false",
    "-c",
    "log.showRoot=true",
    "-c",
    "gc.autoDetach=false",
    "-c",
    "maintenance.autoDetach=false",
];

/// A reference of the remote repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteRef {
    /// `refs/heads/main`.
    pub name: String,
    /// The commit it leads to.
    pub commit: String,
}

/// Questions about one remote repository, answered with the help of a local mirror.
pub struct Mirror<'a> {
    git: Git,
    url: &'a str,
}

impl<'a> Mirror<'a> {
    /// `git` runs in the mirror's folder.
    pub fn new(git: Git, url: &'a str) -> Self {
        Mirror { git: git.with(Vec::new(), STEADY.iter().map(ToString::to_string).collect()), url }
    }

    /// The branch the remote's HEAD points to; none: it has no commits yet.
    pub async fn default_branch(&self) -> Result<Option<RemoteRef>, GitError> {
        let output = self.git.ask(&["ls-remote", "--symref", "--", self.url, "HEAD"], &[]).await?;
        let text = String::from_utf8_lossy(&output);
        let symbolic = text.lines().find_map(|line| line.strip_prefix("ref: ")?.strip_suffix("\tHEAD"));
        let name = symbolic.unwrap_or("HEAD").trim();
        let head = parse_refs(&output)?.into_iter().find(|found| found.name == "HEAD");
        Ok(head.map(|head| RemoteRef { name: name.into(), commit: head.commit }))
    }

    /// References that match: `--heads`, `--tags`, names, or nothing for all.
    pub async fn refs(&self, kind: Option<&str>, names: &[String]) -> Result<Vec<RemoteRef>, GitError> {
        let mut args = vec!["ls-remote"];
        args.extend(kind);
        args.extend(["--", self.url]);
        args.extend(names.iter().map(String::as_str));
        let found = parse_refs(&self.git.ask(&args, &[]).await?)?;
        Ok(found
            .into_iter()
            .filter(|r| r.name != "HEAD" && (names.is_empty() || names.contains(&r.name)))
            .collect())
    }

    /// Makes the bare repository, if it is not there yet.
    pub async fn prepare(&self) -> Result<(), GitError> {
        // `git init` does not bear another one in the same folder, which pollers may share.
        static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let _turn = ONE_AT_A_TIME.lock().await;
        match self.git.ask(&["rev-parse", "--resolve-git-dir", "."], &[]).await {
            Ok(_) => Ok(()),
            Err(GitError::Failed { .. }) => {
                self.git.ask(&["init", "--quiet", "--bare", "."], &[]).await.map(drop)
            }
            Err(other) => Err(other),
        }
    }

    /// Brings what these references lead to.
    pub async fn fetch(&self, refs: &[RemoteRef]) -> Result<(), GitError> {
        for some in refs.chunks(REFS_PER_FETCH) {
            let specs: Vec<String> =
                some.iter().map(|r| format!("+{}:{}", r.name, self.tracking(&r.name))).collect();
            let mut args = vec!["fetch", "--progress", "--no-tags", "--", self.url];
            args.extend(specs.iter().map(String::as_str));
            self.git.transfer(&args).await?;
        }
        Ok(())
    }

    /// Forgets references that the remote has no more, so that their commits can be collected.
    pub async fn forget(&self, names: &[String]) -> Result<(), GitError> {
        let commands: String = names.iter().map(|name| format!("delete {}\n", self.tracking(name))).collect();
        self.git.ask(&["update-ref", "--stdin"], commands.as_bytes()).await.map(drop)
    }

    /// Commits on the way to `tip` that none of `known` leads to, oldest first; of a merge only the merge itself.
    pub async fn new_revisions(&self, tip: &str, known: &[&str]) -> Result<Vec<String>, GitError> {
        let mut revisions = format!("{tip}\n");
        known.iter().for_each(|rev| revisions.push_str(&format!("^{rev}\n")));
        let args = [
            "log",
            "--ignore-missing",
            "--first-parent",
            "--reverse",
            "--no-color",
            "--format=%H",
            "--stdin",
        ];
        let output = self.git.ask(&args, revisions.as_bytes()).await?;
        output.split(|b| *b == b'\n').filter(|line| !line.is_empty()).map(log::sha).collect()
    }

    /// These commits, in this order.
    pub async fn commits(&self, revisions: &[String], encoding: Encoding) -> Result<Vec<Commit>, GitError> {
        let args = [
            "log",
            "-z",
            "--no-walk=unsorted",
            "--no-color",
            "--no-notes",
            "--no-renames",
            "--first-parent",
            "-m",
            "--name-only",
            "--encoding=UTF-8",
            log::FORMAT,
            "--stdin",
        ];
        let output = self.git.ask(&args, format!("{}\n", revisions.join("\n")).as_bytes()).await?;
        let commits = log::parse(&output, encoding)?;
        match commits.iter().map(|c| &c.revision).eq(revisions) {
            true => Ok(commits),
            false => Err(GitError::Nonsense(format!("asked for {revisions:?}, got others"))),
        }
    }

    /// Where a reference of the remote is kept here.
    fn tracking(&self, name: &str) -> String {
        let parts: Vec<String> = self.url.split('/').filter(|part| !part.is_empty()).map(escaped).collect();
        format!("refs/buildbot/{}/{}", parts.join("/"), name)
    }
}

/// A part of an address as a part of a reference's name: what git forbids there becomes `%XX`.
fn escaped(part: &str) -> String {
    let safe = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    part.bytes().map(|b| if safe(b) { (b as char).to_string() } else { format!("%{b:02X}") }).collect()
}

/// Reads `ls-remote`. An annotated tag counts as the commit that it names.
fn parse_refs(output: &[u8]) -> Result<Vec<RemoteRef>, GitError> {
    let mut refs: Vec<RemoteRef> = Vec::new();
    for line in String::from_utf8_lossy(output).lines().filter(|line| !line.starts_with("ref: ")) {
        let Some((commit, name)) = line.split_once('\t') else {
            return Err(GitError::Nonsense(format!("{line:?} in place of a reference")));
        };
        let commit = log::sha(commit.as_bytes())?;
        match (name.strip_suffix("^{}"), refs.last_mut()) {
            (Some(tag), Some(last)) if last.name == tag => last.commit = commit,
            (Some(_), _) => {}
            (None, _) => refs.push(RemoteRef { name: name.into(), commit }),
        }
    }
    Ok(refs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peeled_tags_replace_their_tags() {
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        let text = format!("ref: refs/heads/x\tHEAD\n{a}\trefs/tags/v1\n{b}\trefs/tags/v1^{{}}\n");
        let refs = parse_refs(text.as_bytes()).unwrap();
        assert_eq!(refs, [RemoteRef { name: "refs/tags/v1".into(), commit: b }]);
        assert!(parse_refs(b"<html>").is_err());
    }

    #[test]
    fn addresses_become_reference_names() {
        assert_eq!(escaped("git@host:a..b"), "git%40host%3Aa%2E%2Eb");
    }
}
