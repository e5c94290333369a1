//! From the paths in arguments to paths on this machine.

use std::path::{Path, PathBuf};

/// Resolves the paths of one command: relative ones start at `basedir/builddir`, absolute ones stay.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    basedir: PathBuf,
    builddir: PathBuf,
    home: Option<PathBuf>,
}

impl Paths {
    pub(crate) fn new(basedir: &Path, builddir: Option<&str>, home: Option<PathBuf>) -> Self {
        let builddir = join(basedir, builddir.unwrap_or_default());
        Self { basedir: basedir.to_owned(), builddir, home }
    }

    /// The worker's base directory.
    pub(crate) fn basedir(&self) -> &Path {
        &self.basedir
    }

    /// `path`, from the builder's directory.
    pub(crate) fn resolve(&self, path: &str) -> PathBuf {
        join(&self.builddir, path)
    }

    /// `path`, from `workdir` (itself from the builder's directory).
    pub(crate) fn resolve_plain(&self, workdir: &str, path: &str) -> PathBuf {
        join(&join(&self.builddir, workdir), path)
    }

    /// `path` with a leading `~` replaced, from `workdir` (itself from the builder's directory).
    pub(crate) fn resolve_home(&self, workdir: &str, path: &str) -> PathBuf {
        join(&join(&self.builddir, workdir), self.expand_home(path))
    }

    /// Only the own home directory (`~`, `~/x`) is known; `~other` stays as it is.
    fn expand_home(&self, path: &str) -> PathBuf {
        match (path.strip_prefix('~'), &self.home) {
            (Some(""), Some(home)) => home.clone(),
            (Some(rest), Some(home)) if rest.starts_with('/') => home.join(rest.trim_start_matches('/')),
            _ => PathBuf::from(path),
        }
    }
}

/// Joins without a trailing separator for an empty path, and changes nothing else: `x/..` is not `.` when
/// `x` is a link.
fn join(base: &Path, path: impl AsRef<Path>) -> PathBuf {
    if path.as_ref().as_os_str().is_empty() { base.to_owned() } else { base.join(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_start_where_they_should() {
        let paths = Paths::new(Path::new("/w"), Some("b"), Some(PathBuf::from("/home/me")));
        for (workdir, path, expected) in [
            ("build", "a/b", "/w/b/build/a/b"),
            ("build", "../x", "/w/b/build/../x"),
            ("/abs", "a", "/abs/a"),
            ("build", "/abs", "/abs"),
            ("build", "~/f", "/home/me/f"),
            ("build", "~", "/home/me"),
            ("build", "~other/f", "/w/b/build/~other/f"),
            ("", "", "/w/b"),
        ] {
            assert_eq!(paths.resolve_home(workdir, path), Path::new(expected), "{workdir} {path}");
        }
        assert_eq!(paths.resolve("build"), Path::new("/w/b/build"));
        assert_eq!(Paths::new(Path::new("/w"), None, None).resolve("x"), Path::new("/w/x"));
        assert_eq!(Paths::new(Path::new("/w"), None, None).resolve_home("", "~/x"), Path::new("/w/~/x"));
    }
}
