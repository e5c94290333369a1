//! From the paths in arguments to paths on this machine.

use std::path::{Component, Path, PathBuf};

/// Resolves the paths of one command: relative ones start at `basedir/builddir`, absolute ones stay.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    basedir: PathBuf,
    builddir: PathBuf,
    home: Option<PathBuf>,
}

impl Paths {
    pub(crate) fn new(basedir: &Path, builddir: Option<&str>, home: Option<PathBuf>) -> Self {
        let builddir = normalize(&basedir.join(builddir.unwrap_or_default()));
        Self { basedir: basedir.to_owned(), builddir, home }
    }

    /// The worker's base directory.
    pub(crate) fn basedir(&self) -> &Path {
        &self.basedir
    }

    /// `path`, from the builder's directory.
    pub(crate) fn resolve(&self, path: &str) -> PathBuf {
        normalize(&self.builddir.join(path))
    }

    /// `path`, from `workdir` (itself from the builder's directory).
    pub(crate) fn resolve_plain(&self, workdir: &str, path: &str) -> PathBuf {
        normalize(&self.builddir.join(workdir).join(path))
    }

    /// `path` with a leading `~` replaced, from `workdir` (itself from the builder's directory).
    pub(crate) fn resolve_home(&self, workdir: &str, path: &str) -> PathBuf {
        normalize(&self.builddir.join(workdir).join(self.expand_home(path)))
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

/// Takes `.` and `x/..` out by name alone, as headers of the reference show paths.
fn normalize(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => out.push(part),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_start_where_they_should() {
        let paths = Paths::new(Path::new("/w"), Some("b"), Some(PathBuf::from("/home/me")));
        for (workdir, path, expected) in [
            ("build", "a/b", "/w/b/build/a/b"),
            ("build", "../x", "/w/b/x"),
            ("/abs", "a", "/abs/a"),
            ("build", "/abs", "/abs"),
            ("build", "~/f", "/home/me/f"),
            ("build", "~", "/home/me"),
            ("build", "~other/f", "/w/b/build/~other/f"),
            ("build", "./", "/w/b/build"),
        ] {
            assert_eq!(paths.resolve_home(workdir, path), Path::new(expected), "{workdir} {path}");
        }
        assert_eq!(paths.resolve("build"), Path::new("/w/b/build"));
        assert_eq!(Paths::new(Path::new("/w"), None, None).resolve("x"), Path::new("/w/x"));
        assert_eq!(Paths::new(Path::new("/w"), None, None).resolve_home("", "~/x"), Path::new("/w/~/x"));
    }
}
