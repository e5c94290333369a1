//! `util.re`: regular expressions in Python's spelling, with look-around and bounded backtracking.

use crate::limits::Limits;
use crate::origin::raise;
use fancy_regex::{Captures, Regex, RegexBuilder};
use lunabot_model::pattern::translate;
use mlua::{AnyUserData, Lua, MetaMethod, Table, UserData, UserDataMethods, Value};
use std::rc::Rc;

/// Steps back that one match may take.
const BACKTRACKING: usize = 1_000_000;

pub(super) fn add(lua: &Lua, util: &Table) -> mlua::Result<()> {
    let re = |lua: &Lua, (pattern, flags): (String, Option<String>)| {
        let pattern = compile(&pattern, flags.as_deref()).map_err(|message| raise(lua, message))?;
        lua.create_userdata(pattern)
    };
    util.raw_set("re", lua.create_function(re)?)?;
    let try_re =
        |lua: &Lua, (pattern, flags): (String, Option<String>)| match compile(&pattern, flags.as_deref()) {
            Ok(pattern) => Ok((Some(lua.create_userdata(pattern)?), None)),
            Err(message) => Ok((None::<AnyUserData>, Some(message))),
        };
    util.raw_set("try_re", lua.create_function(try_re)?)
}

/// A pattern, as it is, at the start, and as a whole.
pub(crate) struct Pattern {
    search: Regex,
    start: Regex,
    full: Regex,
}

impl Pattern {
    /// With its flags.
    pub fn text(&self) -> &str {
        self.search.as_str()
    }
}

/// Flags are the letters of Python's: `i m s x`.
fn compile(pattern: &str, flags: Option<&str>) -> Result<Pattern, String> {
    let flags = flags.unwrap_or_default().to_ascii_lowercase();
    if let Some(odd) = flags.chars().find(|c| !"imsx".contains(*c)) {
        return Err(format!("unknown flag {odd}; flags are i, m, s and x"));
    }
    let own = translate(pattern);
    // A comment of a verbose pattern ends with its line.
    let end = if flags.contains('x') { "\n" } else { "" };
    let own = if flags.is_empty() { own } else { format!("(?{flags}:{own}{end})") };
    let build = |text: &str| {
        let built = RegexBuilder::new(text).backtrack_limit(BACKTRACKING).build();
        built.map_err(|error| format!("'{pattern}' is not a regular expression: {error}"))
    };
    Ok(Pattern {
        search: build(&own)?,
        start: build(&format!(r"\A(?:{own})"))?,
        full: build(&format!(r"\A(?:{own})\z"))?,
    })
}

/// One match: its groups by number and name.
struct Match {
    /// Text and place of each group; 0 is the whole.
    groups: Vec<Option<(String, usize, usize)>>,
    names: Rc<Vec<Option<String>>>,
}

impl Match {
    fn of(pattern: &Regex, captures: &Captures<'_, str>) -> Self {
        let group = |index| captures.get(index).map(|m| (m.as_str().to_string(), m.start(), m.end()));
        let names = pattern.capture_names().map(|name| name.map(str::to_string)).collect();
        Match { groups: (0..captures.len()).map(group).collect(), names: Rc::new(names) }
    }

    fn find(&self, key: &Value) -> Option<&(String, usize, usize)> {
        let index = match key {
            Value::Nil => 0,
            Value::Integer(number) => usize::try_from(*number).ok()?,
            Value::String(name) => {
                let name = name.to_string_lossy();
                self.names.iter().position(|known| known.as_deref() == Some(&name))?
            }
            _ => return None,
        };
        self.groups.get(index)?.as_ref()
    }
}

impl UserData for Match {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        // Positions as Lua counts them: the first and the last byte.
        methods.add_method("start", |_, this, key: Value| Ok(this.find(&key).map(|group| group.1 + 1)));
        methods.add_method("stop", |_, this, key: Value| Ok(this.find(&key).map(|group| group.2)));
        methods.add_method("group", |_, this, key: Value| Ok(this.find(&key).map(|group| group.0.clone())));
        methods.add_method("groups", |_, this, ()| {
            Ok(this.groups.iter().skip(1).map(|g| g.as_ref().map(|g| g.0.clone())).collect::<Vec<_>>())
        });
        methods.add_meta_method(MetaMethod::Index, |_, this, key: Value| {
            Ok(this.find(&key).map(|group| group.0.clone()))
        });
    }
}

fn first(lua: &Lua, pattern: &Regex, text: &str) -> mlua::Result<Option<Match>> {
    Limits::of(lua)?.check(lua)?;
    let found = pattern.captures(text).map_err(|error| raise(lua, error))?;
    Ok(found.map(|captures| Match::of(pattern, &captures)))
}

fn all(lua: &Lua, pattern: &Regex, text: &str) -> mlua::Result<Vec<Match>> {
    let limits = Limits::of(lua)?;
    let found = pattern.captures_iter(text).map(|one| {
        limits.check(lua)?;
        one.map(|captures| Match::of(pattern, &captures)).map_err(|error| raise(lua, error))
    });
    found.collect()
}

impl UserData for Pattern {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("match", |lua, this, text: String| first(lua, &this.start, &text));
        methods.add_method("search", |lua, this, text: String| first(lua, &this.search, &text));
        methods.add_method("fullmatch", |lua, this, text: String| first(lua, &this.full, &text));
        methods.add_method("findall", |lua, this, text: String| find_all(lua, this, &text));
        methods.add_method("finditer", |lua, this, text: String| {
            let mut matches = all(lua, &this.search, &text)?.into_iter();
            lua.create_function_mut(move |_, ()| Ok(matches.next()))
        });
        methods.add_method("split", |lua, this, (text, most): (String, Option<usize>)| {
            split(lua, this, &text, most.unwrap_or(0))
        });
        methods.add_method("sub", |lua, this, (with, text, count): (Value, String, Option<usize>)| {
            substitute(lua, this, &with, &text, count.unwrap_or(0))
        });
    }
}

/// As in Python: the matches; with one group that group; with several, lists of them.
fn find_all(lua: &Lua, pattern: &Pattern, text: &str) -> mlua::Result<Table> {
    let list = lua.create_table()?;
    for one in all(lua, &pattern.search, text)? {
        let text =
            |group: &Option<(String, usize, usize)>| group.as_ref().map(|g| g.0.clone()).unwrap_or_default();
        match one.groups.as_slice() {
            [whole] => list.raw_push(text(whole))?,
            [_, only] => list.raw_push(text(only))?,
            [_, several @ ..] => list.raw_push(several.iter().map(text).collect::<Vec<_>>())?,
            [] => {}
        }
    }
    Ok(list)
}

/// As in Python: what lies between the matches, with their groups; after so many, the rest. 0 is no limit.
fn split(lua: &Lua, pattern: &Pattern, text: &str, most: usize) -> mlua::Result<Table> {
    let (list, mut from) = (lua.create_table()?, 0);
    let most = if most == 0 { usize::MAX } else { most };
    for one in all(lua, &pattern.search, text)?.into_iter().take(most) {
        let Some((_, start, end)) = one.groups.first().cloned().flatten() else { continue };
        list.raw_push(&text[from..start])?;
        for group in one.groups.into_iter().skip(1) {
            // A group that took no part leaves its place, so that nothing shifts.
            match group {
                Some((group, ..)) => list.raw_push(group)?,
                None => list.raw_push(Value::NULL)?,
            }
        }
        from = end;
    }
    list.raw_push(&text[from..])?;
    Ok(list)
}

/// `with`: a text with `\1` and `\g<name>`, or a function of the match.
fn substitute(lua: &Lua, pattern: &Pattern, with: &Value, text: &str, count: usize) -> mlua::Result<String> {
    let (mut out, mut from) = (String::with_capacity(text.len()), 0);
    for (index, one) in all(lua, &pattern.search, text)?.into_iter().enumerate() {
        if count > 0 && index >= count {
            break;
        }
        let Some((_, start, end)) = one.groups.first().cloned().flatten() else { continue };
        out.push_str(&text[from..start]);
        match with {
            Value::Function(function) => out.push_str(&function.call::<String>(one)?),
            Value::String(template) => out.push_str(&expand(&template.to_string_lossy(), &one)),
            other => {
                return Err(raise(lua, format!("takes a text or a function, got {}", other.type_name())));
            }
        }
        from = end;
    }
    out.push_str(&text[from..]);
    Ok(out)
}

fn expand(template: &str, found: &Match) -> String {
    let text = |group: Option<&Option<(String, usize, usize)>>| {
        group.and_then(Option::as_ref).map(|group| group.0.clone()).unwrap_or_default()
    };
    let (mut out, mut chars) = (String::new(), template.chars());
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some(digit) if digit.is_ascii_digit() => {
                out.push_str(&text(found.groups.get(digit as usize - '0' as usize)));
            }
            Some('g') => {
                let name: String = chars.by_ref().take_while(|c| *c != '>').filter(|c| *c != '<').collect();
                let number = name.parse().ok();
                let index = number.or_else(|| found.names.iter().position(|n| n.as_deref() == Some(&name)));
                out.push_str(&text(index.and_then(|index: usize| found.groups.get(index))));
            }
            Some('n') => out.push('\n'),
            Some(other) => out.push(other),
            None => out.push('\\'),
        }
    }
    out
}
