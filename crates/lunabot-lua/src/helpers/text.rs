//! Text: shell words and file name patterns.

use super::arg;
use crate::origin::raise;
use mlua::{Lua, Table, Value};

pub(super) fn add(lua: &Lua, util: &Table) -> mlua::Result<()> {
    util.raw_set(
        "fnmatch",
        lua.create_function(|lua, (name, pattern): (Value, Value)| {
            let takes = "util.fnmatch takes a name and a pattern, both texts";
            let (name, pattern): (String, String) = (arg(lua, name, takes)?, arg(lua, pattern, takes)?);
            Ok(lunabot_model::glob::matches(&pattern, &name))
        })?,
    )?;
    util.raw_set(
        "shlex_split",
        lua.create_function(|lua, text: Value| {
            let text: String = arg(lua, text, "util.shlex_split takes a text")?;
            words(&text).map_err(|message| raise(lua, message))
        })?,
    )
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
    fn words_are_split_as_in_a_shell() {
        assert_eq!(words(r#"a 'b c' "d\"e" f\ g ''"#).unwrap(), ["a", "b c", "d\"e", "f g", ""]);
        assert!(words("'a").is_err());
    }
}
