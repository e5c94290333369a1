//! `string.find`, `match`, `gmatch` and `gsub`, so that no pattern can hold up the interpreter.
//!
//! What is certain to be quick runs in the stock functions; `prelude/patterns.lua` decides. The rest comes here.

mod matcher;

use crate::limits::{LONG, Limits};
use crate::origin::raise;
use matcher::{Capture, Failure, Found, Matcher};
use mlua::{Function, Lua, LuaString, MultiValue, Table, Value};
use std::rc::Rc;

/// Enters the functions into the prelude.
pub(crate) fn add(lua: &Lua, host: &Table) -> mlua::Result<()> {
    host.raw_set("slow_find", lua.create_function(find)?)?;
    host.raw_set("slow_match", lua.create_function(find_captures)?)?;
    host.raw_set("slow_gmatch", lua.create_function(gmatch)?)?;
    host.raw_set("slow_gsub", lua.create_function(gsub)?)?;
    host.raw_set("plain_find", lua.create_function(plain_find)?)
}

/// Whether what runs now may still compute.
fn budget(lua: &Lua) -> impl Fn() -> mlua::Result<()> + use<'_> {
    let limits = lua.app_data_ref::<Rc<Limits>>().map(|limits| limits.clone());
    move || limits.as_ref().map_or(Ok(()), |limits| limits.check(lua))
}

fn failed(lua: &Lua, failure: Failure<mlua::Error>) -> mlua::Error {
    match failure {
        Failure::Malformed(text) => raise(lua, text),
        Failure::Stopped(error) => error,
    }
}

/// A text with its pattern.
struct Search {
    text: Vec<u8>,
    pattern: Vec<u8>,
    anchored: bool,
}

impl Search {
    fn new(text: &LuaString, pattern: &LuaString) -> Self {
        let (text, mut pattern) = (text.as_bytes().to_vec(), pattern.as_bytes().to_vec());
        let anchored = pattern.first() == Some(&b'^');
        if anchored {
            pattern.remove(0);
        }
        Search { text, pattern, anchored }
    }

    /// The first match that begins at `from` or later.
    fn next(&self, lua: &Lua, from: usize) -> mlua::Result<Option<Found>> {
        let may_go_on = budget(lua);
        let mut matcher = Matcher::new(&self.text, &self.pattern, &may_go_on);
        let last = if self.anchored { from } else { self.text.len() };
        for start in from..=last {
            let found = matcher.at(start).map_err(|failure| failed(lua, failure))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn capture(&self, lua: &Lua, capture: Capture) -> mlua::Result<Value> {
        match capture {
            Capture::Range(start, end) => Ok(Value::String(lua.create_string(&self.text[start..end])?)),
            Capture::Position(at) | Capture::Open(at) => Ok(Value::Integer(at as i64 + 1)),
        }
    }

    /// The captures; the whole match where there are none.
    fn captures(&self, lua: &Lua, found: &Found) -> mlua::Result<MultiValue> {
        let whole = [Capture::Range(found.start, found.end)];
        let captures = if found.captures.is_empty() { &whole[..] } else { &found.captures };
        captures.iter().map(|capture| self.capture(lua, *capture)).collect()
    }
}

/// The start of a search, from 0; `None` is past the end.
fn start_of(length: usize, init: Option<i64>) -> Option<usize> {
    let init = init.unwrap_or(1);
    let start = match init {
        1.. => usize::try_from(init - 1).unwrap_or(usize::MAX),
        0 => 0,
        back => length.saturating_sub(usize::try_from(back.unsigned_abs()).unwrap_or(usize::MAX)),
    };
    (start <= length).then_some(start)
}

fn find(lua: &Lua, (text, pattern, init): (LuaString, LuaString, Option<i64>)) -> mlua::Result<MultiValue> {
    let search = Search::new(&text, &pattern);
    let Some(start) = start_of(search.text.len(), init) else {
        return Ok(MultiValue::from_iter([Value::Nil]));
    };
    let Some(found) = search.next(lua, start)? else { return Ok(MultiValue::from_iter([Value::Nil])) };
    let place = [Value::Integer(found.start as i64 + 1), Value::Integer(found.end as i64)];
    let captures = found.captures.iter().map(|capture| search.capture(lua, *capture));
    place.into_iter().map(Ok).chain(captures).collect()
}

fn find_captures(
    lua: &Lua,
    (text, pattern, init): (LuaString, LuaString, Option<i64>),
) -> mlua::Result<MultiValue> {
    let search = Search::new(&text, &pattern);
    let found = match start_of(search.text.len(), init) {
        Some(start) => search.next(lua, start)?,
        None => None,
    };
    found.map_or(Ok(MultiValue::from_iter([Value::Nil])), |found| search.captures(lua, &found))
}

/// `find` with `plain`: linear, which the stock one is not.
fn plain_find(
    lua: &Lua,
    (text, wanted, init): (LuaString, LuaString, Option<i64>),
) -> mlua::Result<(Option<usize>, Option<usize>)> {
    let (text, wanted) = (text.as_bytes(), wanted.as_bytes());
    if text.len() >= LONG {
        budget(lua)()?;
    }
    let start = start_of(text.len(), init);
    let at = start.and_then(|start| Some(start + memchr::memmem::find(&text[start..], &wanted)?));
    Ok((at.map(|at| at + 1), at.map(|at| at + wanted.len())))
}

/// In `gmatch` and `gsub` a match must not end where the last one did.
struct All {
    search: Search,
    at: usize,
    last_end: Option<usize>,
}

impl All {
    fn next(&mut self, lua: &Lua) -> mlua::Result<Option<Found>> {
        while self.at <= self.search.text.len() {
            let Some(found) = self.search.next(lua, self.at)? else {
                self.at = self.search.text.len() + 1;
                return Ok(None);
            };
            if self.last_end == Some(found.end) {
                self.at = found.start.max(self.at) + 1;
                continue;
            }
            self.at = found.end;
            self.last_end = Some(found.end);
            return Ok(Some(found));
        }
        Ok(None)
    }
}

fn gmatch(lua: &Lua, (text, pattern, init): (LuaString, LuaString, Option<i64>)) -> mlua::Result<Function> {
    // Here a `^` is no anchor (Lua 5.4).
    let search =
        Search { text: text.as_bytes().to_vec(), pattern: pattern.as_bytes().to_vec(), anchored: false };
    let at = start_of(search.text.len(), init).unwrap_or(search.text.len() + 1);
    let all = std::cell::RefCell::new(All { search, at, last_end: None });
    lua.create_function(move |lua, _: MultiValue| {
        let mut all = all.borrow_mut();
        match all.next(lua)? {
            Some(found) => all.search.captures(lua, &found),
            None => Ok(MultiValue::from_iter([Value::Nil])),
        }
    })
}

fn gsub(
    lua: &Lua,
    (text, pattern, with, most): (LuaString, LuaString, Value, Option<i64>),
) -> mlua::Result<(LuaString, usize)> {
    let search = Search::new(&text, &pattern);
    let anchored = search.anchored;
    let most = most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(0));
    let mut all = All { search, at: 0, last_end: None };
    let (mut out, mut copied, mut count) = (Vec::new(), 0, 0);
    while count < most {
        let Some(found) = all.next(lua)? else { break };
        count += 1;
        out.extend_from_slice(&all.search.text[copied..found.start]);
        replace(lua, &all.search, &found, &with, &mut out)?;
        copied = found.end;
        if anchored {
            break;
        }
    }
    out.extend_from_slice(&all.search.text[copied..]);
    Ok((lua.create_string(&out)?, count))
}

fn replace(lua: &Lua, search: &Search, found: &Found, with: &Value, out: &mut Vec<u8>) -> mlua::Result<()> {
    let whole = &search.text[found.start..found.end];
    let value = match with {
        Value::String(text) => return fill(lua, search, found, &text.as_bytes(), out),
        Value::Integer(_) | Value::Number(_) => with.clone(),
        Value::Table(table) => {
            let key = search.captures(lua, found)?.into_iter().next().unwrap_or(Value::Nil);
            table.get(key)?
        }
        Value::Function(function) => function.call(search.captures(lua, found)?)?,
        other => {
            let message = format!(
                "bad argument #3 to 'gsub' (string/function/table expected, got {})",
                other.type_name()
            );
            return Err(raise(lua, message));
        }
    };
    match value {
        Value::Nil | Value::Boolean(false) => out.extend_from_slice(whole),
        Value::String(text) => out.extend_from_slice(&text.as_bytes()),
        Value::Integer(_) | Value::Number(_) => out.extend_from_slice(value.to_string()?.as_bytes()),
        other => {
            return Err(raise(lua, format!("invalid replacement value (a {})", other.type_name())));
        }
    }
    Ok(())
}

/// A replacement text: `%0` is the match, `%1` … its captures, `%%` a percent sign.
fn fill(lua: &Lua, search: &Search, found: &Found, text: &[u8], out: &mut Vec<u8>) -> mlua::Result<()> {
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        match bytes.next() {
            Some(b'%') => out.push(b'%'),
            Some(b'0') => out.extend_from_slice(&search.text[found.start..found.end]),
            Some(digit @ b'1'..=b'9') => {
                let index = usize::from(digit - b'1');
                let captures = search.captures(lua, found)?;
                let Some(value) = captures.get(index) else {
                    return Err(raise(lua, format!("invalid capture index %{}", index + 1)));
                };
                out.extend_from_slice(value.to_string()?.as_bytes());
            }
            _ => return Err(raise(lua, "invalid use of '%' in replacement string")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All values of a call, or that there were none.
    fn told(result: mlua::Result<MultiValue>) -> String {
        match result {
            Ok(values) => format!("{:?}", values.iter().map(|v| v.to_string().unwrap()).collect::<Vec<_>>()),
            // Of several mistakes in one call either may be told.
            Err(_) => "error".into(),
        }
    }

    /// Runs the same with the stock functions and with ours.
    fn compare(text: &str, pattern: &str, with: &str, init: i64) {
        let lua = Lua::new();
        let host = lua.create_table().unwrap();
        add(&lua, &host).unwrap();
        let script = r"
            local find, match, gmatch, gsub, text, pattern, with, init = ...
            local all = { find(text, pattern, init) }
            all[#all + 1] = tostring((match(text, pattern, init)))
            for a, b in gmatch(text, pattern) do all[#all + 1] = a; all[#all + 1] = tostring(b) end
            all[#all + 1] = table.concat({ gsub(text, pattern, with) }, '|')
            all[#all + 1] = table.concat({ gsub(text, pattern, function(c) return c == 'a' and 'X' or nil end, 3) }, '|')
            return table.unpack(all)";
        let run = |functions: &Table, prefix: &str| {
            let name = |name: &str| functions.get::<Function>(format!("{prefix}{name}")).unwrap();
            let args = (name("find"), name("match"), name("gmatch"), name("gsub"), text, pattern, with, init);
            told(lua.load(script).call::<MultiValue>(args))
        };
        let stock: Table = lua.globals().get("string").unwrap();
        assert_eq!(run(&host, "slow_"), run(&stock, ""), "{text:?} {pattern:?} {with:?} {init}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn ours_find_what_the_stock_functions_find(
            text in "[ab1 ()]{0,12}",
            pieces in prop::collection::vec(prop::sample::select(vec![
                "a", "b", ".", "%a", "%D", "%s", "[ab]", "[^a]", "[%w(]", "[a-z]", "[]]", "%b()", "%f[%w]", "(", ")", "()",
                "*", "+", "-", "?", "%1", "^", "$", "%(", "[a", "%",
            ]), 0..7),
            with in prop::sample::select(vec!["<%0>", "%1", "%%", "x", "%2"]),
            init in -5i64..15,
        ) {
            compare(&text, &pieces.concat(), with, init);
        }
    }

    #[test]
    fn a_plain_search_starts_where_it_is_told() {
        let lua = Lua::new();
        let text = |text: &str| lua.create_string(text).unwrap();
        let find = |what: &str, init| plain_find(&lua, (text("a.b.c"), text(what), init)).unwrap();
        assert_eq!(find(".", None), (Some(2), Some(2)));
        assert_eq!(find(".", Some(3)), (Some(4), Some(4)));
        assert_eq!(find(".", Some(-1)), (None, None));
        assert_eq!(find("", Some(6)), (Some(6), Some(5)));
        assert_eq!(find("", Some(7)), (None, None));
    }
}
