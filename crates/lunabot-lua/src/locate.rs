//! The line of a key of a plain table: plain tables remember no origin, so the source is searched along the path.

use lunabot_model::config::ConfigError;
use std::collections::{HashMap, VecDeque};
use std::path::Path;

/// One thing of Lua's grammar that matters here.
#[derive(Debug, PartialEq)]
pub(crate) enum Token<'a> {
    Name(&'a str),
    Text(&'a str),
    Sign(u8),
}

/// The line where the value at `path` (`www.prot`, `builders[3].name`) is written: of its last part that is found.
pub(crate) fn locate(source: &str, path: &str) -> Option<u32> {
    deepest(source, path).map(|(_, line)| line)
}

/// The lines of the tables in a list that is assigned to `list`, by the `name` that is written in them.
pub(crate) fn named_items(source: &str, list: &str) -> HashMap<String, VecDeque<u32>> {
    let tokens = tokens(source);
    let (mut all, mut from) = (HashMap::<String, VecDeque<u32>>::new(), 0);
    while let Some(at) = named(&tokens, from, tokens.len(), list, true) {
        let (start, end) = body(&tokens, at, tokens.len());
        let (mut depth, mut line) = (0, 0);
        for (number, (token, here)) in tokens.iter().enumerate().take(end).skip(start) {
            match token {
                Token::Sign(b'{' | b'(') => {
                    line = if depth == 0 { *here } else { line };
                    depth += 1;
                }
                Token::Sign(b'}' | b')') => depth -= 1,
                Token::Name("name") if depth == 1 => {
                    let next = |n: usize| tokens.get(number + n).map(|(token, _)| token);
                    if let (Some(Token::Sign(b'=')), Some(Token::Text(name))) = (next(1), next(2)) {
                        all.entry((*name).to_string()).or_default().push_back(line);
                    }
                }
                _ => {}
            }
        }
        from = at + 1;
    }
    all
}

/// Gives mistakes that know their path alone the place of it in the configuration file.
pub fn place(errors: &mut [ConfigError], file: &Path) {
    let Ok(source) = std::fs::read_to_string(file) else { return };
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    for error in errors.iter_mut().filter(|error| error.file.is_empty()) {
        error.file = name.to_string();
        error.line = locate(&source, &error.path);
    }
}

/// How many parts of the path are found below the first, and the line of the last of them.
fn deepest(source: &str, path: &str) -> Option<(usize, u32)> {
    let tokens = tokens(source);
    let parts = parts(path);
    let (mut from, mut best) = (0, None);
    // A key may be assigned several times: the last place where most of the path is found.
    while let Some(Part::Name(top)) = parts.first()
        && let Some(at) = named(&tokens, from, tokens.len(), top, true)
    {
        let (depth, line) = follow(&tokens, at, &parts[1..]);
        if best.is_none_or(|(deep, _)| depth >= deep) {
            best = Some((depth, line));
        }
        from = at + 1;
    }
    best
}

/// How much of the path is found below the key at `at`, and the line of its end.
fn follow(tokens: &Tokens<'_>, mut at: usize, parts: &[Part<'_>]) -> (usize, u32) {
    let mut to = tokens.len();
    for (depth, part) in parts.iter().enumerate() {
        let (from, end) = body(tokens, at, to);
        let found = match part {
            Part::Name(name) => named(tokens, from, end, name, false),
            Part::Item(number) => item(tokens, from, end, *number),
        };
        let Some(next) = found else { return (depth, tokens[at].1) };
        (at, to) = (next, end);
    }
    (parts.len(), tokens[at].1)
}

enum Part<'a> {
    Name(&'a str),
    Item(usize),
}

fn parts(path: &str) -> Vec<Part<'_>> {
    let mut all = Vec::new();
    for word in path.split('.') {
        let mut pieces = word.split('[');
        if let Some(name) = pieces.next().filter(|name| !name.is_empty()) {
            all.push(Part::Name(name));
        }
        all.extend(pieces.filter_map(|piece| piece.trim_end_matches(']').parse().ok().map(Part::Item)));
    }
    all
}

pub(crate) type Tokens<'a> = [(Token<'a>, u32)];

/// `name =`, `["name"] =`, or, at the top, also `c.name =`.
fn named(tokens: &Tokens<'_>, from: usize, to: usize, name: &str, top: bool) -> Option<usize> {
    let mut depth = 0;
    for (at, (token, _)) in tokens.iter().enumerate().take(to).skip(from) {
        match token {
            Token::Sign(b'{' | b'(') => depth += 1,
            Token::Sign(b'}' | b')') => depth -= 1,
            Token::Name(found) | Token::Text(found) if *found == name && (depth == 0 || top) => {
                let bracket = usize::from(tokens.get(at + 1).is_some_and(|t| t.0 == Token::Sign(b']')));
                let next = |n: usize| tokens.get(at + bracket + n).map(|t| &t.0);
                let assigned = next(1) == Some(&Token::Sign(b'=')) && next(2) != Some(&Token::Sign(b'='));
                let deeper = top && matches!(next(1), Some(Token::Sign(b'.')));
                if assigned || deeper {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// The n-th item of a list.
fn item(tokens: &Tokens<'_>, from: usize, to: usize, number: usize) -> Option<usize> {
    let (mut depth, mut count) = (0, 1);
    for (at, (token, _)) in tokens.iter().enumerate().take(to).skip(from) {
        if depth == 0 && count == number && *token != Token::Sign(b',') {
            return Some(at);
        }
        match token {
            Token::Sign(b'{' | b'(') => depth += 1,
            Token::Sign(b'}' | b')') => depth -= 1,
            Token::Sign(b',' | b';') if depth == 0 => count += 1,
            _ => {}
        }
    }
    None
}

/// The inside of the table that is assigned at `at`, else what follows on the same path.
fn body(tokens: &Tokens<'_>, at: usize, to: usize) -> (usize, usize) {
    if tokens.get(at + 1).is_some_and(|t| t.0 == Token::Sign(b'.')) {
        return (at + 2, to);
    }
    let near = at..to.min(at + 6);
    let Some(open) = near.into_iter().find(|i| tokens[*i].0 == Token::Sign(b'{')) else {
        return (to, to);
    };
    let mut depth = 0;
    for (index, (token, _)) in tokens.iter().enumerate().take(to).skip(open) {
        match token {
            Token::Sign(b'{') => depth += 1,
            Token::Sign(b'}') => {
                depth -= 1;
                if depth == 0 {
                    return (open + 1, index);
                }
            }
            _ => {}
        }
    }
    (open + 1, to)
}

pub(crate) fn tokens(source: &str) -> Vec<(Token<'_>, u32)> {
    let bytes = source.as_bytes();
    let (mut all, mut at, mut line) = (Vec::new(), 0, 1);
    while at < bytes.len() {
        let start = at;
        let byte = bytes[at];
        if byte == b'-' && bytes.get(at + 1) == Some(&b'-') {
            at += 2;
            at = long_end(bytes, at).unwrap_or_else(|| line_end(bytes, at));
        } else if let Some(end) = long_end(bytes, at).filter(|_| byte == b'[') {
            at = end;
        } else if byte == b'"' || byte == b'\'' {
            at = quote_end(bytes, at);
            all.push((Token::Text(source.get(start + 1..at.saturating_sub(1)).unwrap_or("")), line));
        } else if byte.is_ascii_alphabetic() || byte == b'_' {
            while at < bytes.len() && (bytes[at].is_ascii_alphanumeric() || bytes[at] == b'_') {
                at += 1;
            }
            all.push((Token::Name(&source[start..at]), line));
        } else {
            if !byte.is_ascii_whitespace() {
                all.push((Token::Sign(byte), line));
            }
            at += 1;
        }
        let crossed = bytes[start..at.min(bytes.len())].iter().filter(|byte| **byte == b'\n').count();
        line += u32::try_from(crossed).unwrap_or(0);
    }
    all
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |n| at + n)
}

/// The end of `[[…]]` or `[==[…]==]`, if one begins here.
fn long_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?.strip_prefix(b"[")?;
    let level = rest.iter().take_while(|byte| **byte == b'=').count();
    rest.get(level).filter(|byte| **byte == b'[')?;
    let close: Vec<u8> = [b"]".as_slice(), &vec![b'='; level], b"]"].concat();
    let inside = &rest[level + 1..];
    let end = inside.windows(close.len()).position(|window| window == close);
    Some(end.map_or(bytes.len(), |n| at + 2 + level + n + close.len()))
}

fn quote_end(bytes: &[u8], at: usize) -> usize {
    let mut end = at + 1;
    while end < bytes.len() && bytes[end] != bytes[at] && bytes[end] != b'\n' {
        end += if bytes[end] == b'\\' { 2 } else { 1 };
    }
    (end + 1).min(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::{locate, named_items};

    const SOURCE: &str = r#"local c = {}
-- www = { prot = 1 }
c.www = {
  port = 8010, -- port
  prot = 8010,
}
c.protocols = { pb = { port = 9989 },
  ["msgpack_experimental_v7"] = { prt = 1 } }
c.builders = { { name = "a" },
  { nam = "b" } }
c.lua.watch = 3
"#;

    #[test]
    fn keys_of_plain_tables_are_found_along_their_path() {
        assert_eq!(locate(SOURCE, "www.prot"), Some(5));
        assert_eq!(locate(SOURCE, "protocols.msgpack_experimental_v7.prt"), Some(8));
        assert_eq!(locate(SOURCE, "builders[2].nam"), Some(10));
        assert_eq!(locate(SOURCE, "lua.watch"), Some(11));
        assert_eq!(locate(SOURCE, "www"), Some(3));
        assert_eq!(locate("c.a = 1\nc.a = {b = 2}\nc.a = 3", "a"), Some(3));
        assert_eq!(locate("c.a = 1\nc.a = {b = 2}\nc.a = 3", "a.b"), Some(2));
        assert_eq!(locate(SOURCE, "absent"), None);
        let items = named_items(
            "c.builders = { list, false,\n {name = 'a'}, util.X{name = 'b'},\n{name = 'a'} }",
            "builders",
        );
        assert_eq!((Vec::from(items["a"].clone()), items.len()), (vec![2, 3], 2));
    }
}
