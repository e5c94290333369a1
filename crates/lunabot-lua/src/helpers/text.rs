//! Text: shell words and file name patterns.

use crate::origin::raise;
use mlua::{Lua, Table};

pub(super) fn add(lua: &Lua, util: &Table) -> mlua::Result<()> {
    util.raw_set(
        "fnmatch",
        lua.create_function(|_, (name, pattern): (String, String)| {
            Ok(matches(&pattern.chars().collect::<Vec<_>>(), &name.chars().collect::<Vec<_>>()))
        })?,
    )?;
    util.raw_set(
        "shlex_split",
        lua.create_function(|lua, text: String| words(&text).map_err(|message| raise(lua, message)))?,
    )
}

/// `*`, `?`, `[seq]`, `[!seq]`, as Python's `fnmatchcase`.
fn matches(pattern: &[char], text: &[char]) -> bool {
    // The last star, and where the text was when it was met: enough to go back to.
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match one(&pattern[p..], text[t]) {
            Some(length) => {
                p += length;
                t += 1;
            }
            None if pattern.get(p) == Some(&'*') => {
                star = Some((p, t));
                p += 1;
            }
            None => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                (p, t) = (at + 1, from + 1);
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// How much of the pattern matches one character.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match pattern.first()? {
        '*' => None,
        '?' => Some(1),
        '[' => class(pattern, c),
        literal => (*literal == c).then_some(1),
    }
}

fn class(pattern: &[char], c: char) -> Option<usize> {
    let negated = pattern.get(1) == Some(&'!');
    let start = if negated { 2 } else { 1 };
    // A bracket right after the start is a member.
    let Some(end) = (start + 1..pattern.len()).find(|i| pattern[*i] == ']') else {
        return (c == '[').then_some(1);
    };
    let (members, mut found, mut i) = (&pattern[start..end], false, 0);
    while i < members.len() {
        if i + 2 < members.len() && members[i + 1] == '-' {
            found |= (members[i]..=members[i + 2]).contains(&c);
            i += 3;
        } else {
            found |= members[i] == c;
            i += 1;
        }
    }
    (found != negated).then_some(end + 1)
}

/// Words as a POSIX shell splits them, without expansions.
fn words(text: &str) -> Result<Vec<String>, String> {
    let (mut all, mut word, mut chars) = (Vec::new(), None::<String>, text.chars());
    while let Some(c) = chars.next() {
        match c {
            c if c.is_ascii_whitespace() => all.extend(word.take()),
            '\'' => quoted(&mut chars, word.get_or_insert_default(), false)?,
            '"' => quoted(&mut chars, word.get_or_insert_default(), true)?,
            '\\' => {
                let next = chars.next().ok_or("nothing follows the last backslash")?;
                word.get_or_insert_default().push(next);
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    all.extend(word);
    Ok(all)
}

fn quoted(chars: &mut std::str::Chars<'_>, word: &mut String, double: bool) -> Result<(), String> {
    loop {
        match chars.next().ok_or("a quotation mark is not closed")? {
            '"' if double => return Ok(()),
            '\'' if !double => return Ok(()),
            '\\' if double => match chars.next().ok_or("a quotation mark is not closed")? {
                c @ ('"' | '\\' | '$' | '`') => word.push(c),
                c => word.extend(['\\', c]),
            },
            c => word.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_python() {
        let check = |pattern: &str, text: &str| {
            matches(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>())
        };
        for (pattern, text) in [
            ("*.py", "a.py"),
            ("a?c", "abc"),
            ("[a-c]x", "bx"),
            ("[!a]x", "bx"),
            ("*a*b*", "xaybz"),
            ("[]]", "]"),
            ("[", "["),
        ] {
            assert!(check(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("*.py", "a.pyc"), ("a?c", "ac"), ("[!a]x", "ax"), ("", "a")] {
            assert!(!check(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn words_are_split_as_in_a_shell() {
        assert_eq!(words(r#"a 'b c' "d\"e" f\ g ''"#).unwrap(), ["a", "b c", "d\"e", "f g", ""]);
        assert!(words("'a").is_err());
    }
}
