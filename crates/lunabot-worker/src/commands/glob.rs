//! Finding files by pattern, as Python's recursive `glob` does: `*`, `?`, `[…]`, `[!…]`, and `**` for
//! any number of directories. Names that begin with a dot need a pattern that does too.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

/// Every existing path that matches, in the order of the file system.
pub(super) fn glob(pattern: &Path) -> Vec<PathBuf> {
    let parts: Vec<_> = pattern.components().collect();
    let mut found = Vec::new();
    descend(PathBuf::new(), &parts, &mut found);
    found
}

fn descend(at: PathBuf, parts: &[Component<'_>], found: &mut Vec<PathBuf>) {
    let Some((part, rest)) = parts.split_first() else {
        if at.symlink_metadata().is_ok() {
            found.push(at);
        }
        return;
    };
    match part.as_os_str().to_str() {
        Some("**") => any_depth(&at, rest, found),
        Some(pattern) if pattern.contains(['*', '?', '[']) => {
            let pattern: Vec<char> = pattern.chars().collect();
            for (name, path) in entries(&at) {
                if visible(&name, &pattern) && matches(&pattern, &name) && (rest.is_empty() || path.is_dir())
                {
                    descend(path, rest, found);
                }
            }
        }
        _ => descend(at.join(part), rest, found),
    }
}

/// `**`: here and in every visible directory below (links are not entered); as the last part it stands
/// for every visible file too.
fn any_depth(at: &Path, rest: &[Component<'_>], found: &mut Vec<PathBuf>) {
    if at.is_dir() {
        descend(at.to_owned(), rest, found);
    }
    for (name, path) in entries(at) {
        if name.first() == Some(&'.') {
            continue;
        }
        let is_dir = path.symlink_metadata().is_ok_and(|meta| meta.is_dir());
        match (is_dir, rest.is_empty()) {
            (true, _) => any_depth(&path, rest, found),
            (false, true) => found.push(path),
            (false, false) => {}
        }
    }
}

fn entries(dir: &Path) -> Vec<(Vec<char>, PathBuf)> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let chars = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().chars().collect();
    entries.flatten().map(|entry| (chars(&entry), entry.path())).collect()
}

fn visible(name: &[char], pattern: &[char]) -> bool {
    name.first() != Some(&'.') || pattern.first() == Some(&'.')
}

/// Matches one name. Linear in time but for the last star, to which alone it goes back.
fn matches(pattern: &[char], name: &[char]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match step(&pattern[p..], name[n]) {
            Step::Star => {
                star = Some((p + 1, n));
                p += 1;
            }
            Step::One(length) => {
                p += length;
                n += 1;
            }
            Step::No => {
                let Some((after, from)) = star else { return false };
                star = Some((after, from + 1));
                (p, n) = (after, from + 1);
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

enum Step {
    Star,
    /// The character matches so many characters of the pattern.
    One(usize),
    No,
}

fn step(pattern: &[char], c: char) -> Step {
    match pattern.first() {
        Some('*') => Step::Star,
        Some('?') => Step::One(1),
        Some('[') => match class(pattern, c) {
            Some((true, length)) => Step::One(length),
            Some((false, _)) => Step::No,
            None if c == '[' => Step::One(1),
            None => Step::No,
        },
        Some(literal) if *literal == c => Step::One(1),
        _ => Step::No,
    }
}

/// A character class at the start of `pattern`: whether `c` is in it, and its length. `None` when it
/// is not closed, and so a plain bracket.
fn class(pattern: &[char], c: char) -> Option<(bool, usize)> {
    let negated = pattern.get(1) == Some(&'!');
    let from = if negated { 2 } else { 1 };
    // A closing bracket in the first place is a member.
    let end = from + 1 + pattern.get(from + 1..)?.iter().position(|c| *c == ']')?;
    let mut members = &pattern[from..end];
    let mut found = false;
    while let Some((&low, rest)) = members.split_first() {
        match rest {
            ['-', high, rest @ ..] => {
                found |= (low..=*high).contains(&c);
                members = rest;
            }
            _ => {
                found |= low == c;
                members = rest;
            }
        }
    }
    Some((found != negated, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_they_should() {
        for (pattern, name, expected) in [
            ("*.txt", "a.txt", true),
            ("*.txt", "a.txtx", false),
            ("a*b*c", "a-b-b-c", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[!a-c]x", "dx", true),
            ("[]x]", "]", true),
            ("[", "[", true),
            ("[ab", "[ab", true),
            ("**x", "aax", true),
            ("é*", "été", true),
            ("*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
        ] {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            assert_eq!(matches(&chars(pattern), &chars(name)), expected, "{pattern} {name}");
        }
    }
}
