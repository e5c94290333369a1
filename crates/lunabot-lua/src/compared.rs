//! Comparisons of renderables by `==`, which Lua decides at once (lua-api § 1, "Values"). Where a renderable meets a text
//! or a number, no metamethod is asked, so the source is searched.

use crate::locate::{Token, Tokens, tokens};
use crate::origin::Origin;
use crate::state::Shared;
use lunabot_model::Category;

/// Warns of each place where an object that is computed later is compared as it is made.
pub(crate) fn warn(shared: &Shared, file: &str, source: &str) {
    if !shared.loading() {
        return;
    }
    let renderable = |name: &str| {
        let kind = shared.kind(&format!("util.{name}"));
        kind.is_some_and(|kind| kind.category == Category::Renderable)
    };
    for (line, name, negated) in compared(source, renderable) {
        let (sign, always, method) = if negated { ("~=", "true", "ne") } else { ("==", "false", "eq") };
        let text = format!("{sign} is always {always} here; write util.{name}{{…}}:{method}(value)");
        shared.warn(&Origin { file: file.into(), line: Some(line) }, &format!("util.{name}"), text);
    }
}

/// The line, the class, and whether it is `~=`.
fn compared(source: &str, renderable: impl Fn(&str) -> bool) -> Vec<(u32, &str, bool)> {
    let tokens = tokens(source);
    let mut all = Vec::new();
    for (at, window) in tokens.windows(3).enumerate() {
        let [(Token::Name("util"), line), (Token::Sign(b'.'), _), (Token::Name(name), _)] = window else {
            continue;
        };
        let called = matches!(tokens.get(at + 3), Some((Token::Sign(b'(' | b'{') | Token::Text(_), _)));
        if !called || !renderable(name) {
            continue;
        }
        let package = tokens[..at].ends_with(&[(Token::Name("lunabot"), *line), (Token::Sign(b'.'), *line)]);
        let from = if package { at - 2 } else { at };
        let before = from.checked_sub(2).and_then(|from| comparison(&tokens, from));
        if let Some(negated) = before.or_else(|| comparison(&tokens, call_end(&tokens, at + 3))) {
            all.push((*line, *name, negated));
        }
    }
    all
}

/// Whether `==` or `~=` is there, and which.
fn comparison(tokens: &Tokens<'_>, at: usize) -> Option<bool> {
    let sign = |at: usize| tokens.get(at).map(|(token, _)| token);
    match (sign(at)?, sign(at + 1)?) {
        (Token::Sign(b'='), Token::Sign(b'=')) => Some(false),
        (Token::Sign(b'~'), Token::Sign(b'=')) => Some(true),
        _ => None,
    }
}

/// After the arguments of a call that begin at `at`.
fn call_end(tokens: &Tokens<'_>, at: usize) -> usize {
    let mut depth = 0;
    for (number, (token, _)) in tokens.iter().enumerate().skip(at) {
        match token {
            Token::Sign(b'(' | b'{') => depth += 1,
            Token::Sign(b')' | b'}') => depth -= 1,
            Token::Text(_) => {}
            _ if depth == 0 => return number,
            _ => {}
        }
        if depth <= 0 {
            return number + 1;
        }
    }
    tokens.len()
}

#[cfg(test)]
mod tests {
    use super::compared;

    #[test]
    fn renderables_that_are_compared_as_they_are_made_are_found() {
        let found = |source| compared(source, |name| name == "Property");
        for (source, want) in [
            ("doStepIf = util.Property('x') == 'y'", vec![(1, "Property", false)]),
            ("\nif util.Property{'x', default = f(1)} ~= 1 then", vec![(2, "Property", true)]),
            ("return 'y' == lunabot.util.Property 'x'", vec![(1, "Property", false)]),
            ("if class == util.Property then", vec![]),
            ("local p = util.Property('x') -- == 'y'", vec![]),
            ("local p = util.Property('x'):eq('y') == z", vec![]),
            ("f(a == b, util.Property('x'))", vec![]),
            ("x = util.Other('x') == 'y'", vec![]),
            ("util.Property(", vec![]),
        ] {
            assert_eq!(found(source), want, "{source}");
        }
    }
}
