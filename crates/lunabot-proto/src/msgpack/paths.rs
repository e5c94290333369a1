//! Paths on a worker, made by the master: by the worker's rules, not by ours (reference rows 08.004, 08.036).

use crate::WorkerInfo;

/// Where things are on one worker.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Places {
    windows: bool,
    basedir: String,
    /// What `~` stands for.
    home: Option<String>,
}

impl Places {
    /// From what the worker says of itself.
    pub fn of(info: &WorkerInfo) -> Self {
        let windows = info.system == "nt";
        let variable = |name: &str| {
            let found = info.environ.iter().find(|(key, _)| same_name(windows, key, name));
            found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
        };
        let home = if windows {
            variable("USERPROFILE")
                .or_else(|| Some(variable("HOMEDRIVE").unwrap_or_default() + &variable("HOMEPATH")?))
        } else {
            variable("HOME")
        };
        Places { windows, basedir: info.basedir.clone(), home }
    }

    /// The worker's base directory.
    pub fn basedir(&self) -> &str {
        &self.basedir
    }

    /// `basedir`, then each part; an absolute part replaces what came before.
    pub fn join(&self, parts: &[&str]) -> String {
        parts.iter().fold(self.basedir.clone(), |before, part| self.join_two(&before, part))
    }

    /// Replaces a leading `~` by the home directory; another user's home is not known here.
    pub fn expand(&self, path: &str) -> String {
        match (path.strip_prefix('~'), &self.home) {
            (Some(rest), Some(home)) if rest.is_empty() || self.is_separator(rest.chars().next()) => {
                format!("{home}{rest}")
            }
            _ => path.to_owned(),
        }
    }

    fn join_two(&self, before: &str, part: &str) -> String {
        if before.is_empty() || self.is_absolute(part) {
            return part.to_owned();
        }
        let separator = if self.windows { '\\' } else { '/' };
        if part.is_empty() || self.is_separator(before.chars().next_back()) {
            format!("{before}{part}")
        } else {
            format!("{before}{separator}{part}")
        }
    }

    fn is_separator(&self, c: Option<char>) -> bool {
        c == Some('/') || (self.windows && c == Some('\\'))
    }

    fn is_absolute(&self, path: &str) -> bool {
        let drive = self.windows && path.as_bytes().get(1) == Some(&b':');
        drive || self.is_separator(path.chars().next())
    }
}

fn same_name(windows: bool, a: &str, b: &str) -> bool {
    if windows { a.eq_ignore_ascii_case(b) } else { a == b }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(system: &str, basedir: &str, environ: &[(&str, &str)]) -> Places {
        let environ = environ.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        Places::of(&WorkerInfo {
            system: system.into(),
            basedir: basedir.into(),
            environ,
            ..WorkerInfo::default()
        })
    }

    #[test]
    fn row_08_036_paths_follow_the_rules_of_the_workers_system() {
        let posix = places("posix", "/srv/w", &[("HOME", "/home/ci")]);
        let windows = places("nt", r"C:\w", &[("HomeDrive", "C:"), ("HOMEPATH", r"\Users\ci")]);
        for (places, parts, wanted) in [
            (&posix, &["b", "build", "a.txt"][..], "/srv/w/b/build/a.txt"),
            (&posix, &["b", "/abs", "x"], "/abs/x"),
            (&posix, &["b", "", "x"], "/srv/w/b/x"),
            (&posix, &["b", r"C:\x"], r"/srv/w/b/C:\x"),
            (&windows, &["b", "build", "a.txt"], r"C:\w\b\build\a.txt"),
            (&windows, &["b", r"D:\x", "y"], r"D:\x\y"),
            (&windows, &["b", r"\\host\share"], r"\\host\share"),
        ] {
            assert_eq!(places.join(parts), wanted);
        }
        assert_eq!(posix.expand("~/x"), "/home/ci/x");
        assert_eq!(posix.expand("~joe/x"), "~joe/x");
        assert_eq!(windows.expand(r"~\x"), r"C:\Users\ci\x");
        assert_eq!(places("posix", "/w", &[]).expand("~/x"), "~/x");
    }
}
