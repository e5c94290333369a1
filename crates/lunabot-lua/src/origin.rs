//! Where in the user's files something happens: errors of ours have no position of their own.

use mlua::Lua;
use std::fmt;
use std::rc::Rc;

/// Frames that are looked through for one of the user's.
const MAX_FRAMES: usize = 200;

/// A line of a file of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Origin {
    /// Relative to the configuration's folder; empty if unknown.
    pub file: Rc<str>,
    pub line: Option<u32>,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.file),
            None => f.write_str(&self.file),
        }
    }
}

/// The innermost frame of the configuration's own code.
pub(crate) fn origin(lua: &Lua) -> Origin {
    for level in 0..MAX_FRAMES {
        let frame = lua.inspect_stack(level, |debug| {
            let source = debug.source();
            let file = source.source.as_deref()?.strip_prefix('@')?;
            let line = debug.current_line().and_then(|line| u32::try_from(line).ok());
            Some(Origin { file: file.into(), line })
        });
        match frame {
            None => break,
            Some(Some(found)) => return found,
            Some(None) => {}
        }
    }
    Origin::default()
}

/// Where a function is written.
pub(crate) fn origin_of(function: &mlua::Function) -> Origin {
    let info = function.info();
    let file = info.source.as_deref().and_then(|source| source.strip_prefix('@')).unwrap_or_default();
    Origin { file: file.into(), line: info.line_defined.and_then(|line| u32::try_from(line).ok()) }
}

/// Refuses arguments that mean nothing; `remedy` says what the function takes.
pub(crate) fn no_more(lua: &Lua, more: &mlua::MultiValue, remedy: &str) -> mlua::Result<()> {
    if more.iter().all(mlua::Value::is_nil) { Ok(()) } else { Err(raise(lua, remedy)) }
}

/// An error that is raised at the caller's line.
pub(crate) fn raise(lua: &Lua, message: impl fmt::Display) -> mlua::Error {
    let at = origin(lua);
    if at.file.is_empty() {
        return mlua::Error::RuntimeError(message.to_string());
    }
    mlua::Error::RuntimeError(format!("{at}: {message}"))
}
