//! The grammar of `util.Interpolate` (reference 4c): text to a [`Template`], without looking anything up.
//!
//! `%(KEY)s` with `KEY = selector ":" rest`; the rest names a value and may end in a modifier, whose texts are
//! templates themselves. All mistakes are found here, when the configuration is loaded (04.025).
//! [`crate::render`] fills a template in.

use crate::percent::{self, Piece, Spec};

/// How deep substitutions may be nested in the texts of modifiers.
pub const MAX_NESTING: usize = 32;

/// A parsed format.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    pub parts: Vec<Part>,
}

/// A part of a [`Template`].
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    Text(String),
    /// A positional `%s`.
    Positional(Spec),
    Lookup(Lookup, Spec),
}

/// One `%(…)s`.
#[derive(Debug, Clone, PartialEq)]
pub struct Lookup {
    pub selector: Selector,
    pub modifier: Modifier,
}

/// Where the value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// 04.010.
    Prop(String),
    /// 04.011.
    Src { codebase: String, attribute: String },
    /// 04.012.
    Worker(String),
    /// 04.013.
    Secret(String),
    /// 04.014.
    Kw(String),
}

/// What stands for the value (04.015–04.023). All modifiers are this one rule: where the value `exists` (or, with
/// `when_true`, exists and is true), `present` if it is given, else the value; otherwise `absent`.
#[derive(Debug, Clone, PartialEq)]
pub struct Modifier {
    pub when_true: bool,
    pub present: Option<Template>,
    pub absent: Template,
}

impl Template {
    /// Reads the format of an Interpolate. The error says what is wrong, with the reference's terms.
    pub fn parse(format: &str) -> Result<Template, String> {
        Self::nested(format, 0)
    }

    fn nested(format: &str, depth: usize) -> Result<Template, String> {
        if depth > MAX_NESTING {
            return Err(format!("substitutions are nested deeper than {MAX_NESTING}"));
        }
        let parts = percent::parse(format)?.into_iter().map(|piece| match piece {
            Piece::Text(text) => Ok(Part::Text(text)),
            Piece::Field { key: Some(key), spec } => Ok(Part::Lookup(lookup(&key, depth)?, spec)),
            Piece::Field { key: None, spec } => Ok(Part::Positional(spec)),
        });
        Ok(Template { parts: parts.collect::<Result<_, String>>()? })
    }

    /// How many positional values it takes, those inside modifiers left out.
    pub fn positional(&self) -> usize {
        self.parts.iter().filter(|part| matches!(part, Part::Positional(_))).count()
    }

    /// Whether it, or a template inside it, holds a part for which `test` is true.
    pub fn any(&self, test: &dyn Fn(&Part) -> bool) -> bool {
        self.parts.iter().any(|part| {
            test(part)
                || matches!(part, Part::Lookup(lookup, _)
                    if lookup.modifier.absent.any(test) || lookup.modifier.present.as_ref().is_some_and(|t| t.any(test)))
        })
    }

    /// The fewest characters that it can yield; names are held against their limits with it (04.026).
    pub fn shortest(&self) -> usize {
        let of_part = |part: &Part| match part {
            Part::Text(text) => text.chars().count(),
            Part::Positional(spec) => spec.width,
            Part::Lookup(lookup, spec) => spec.width.max(lookup.modifier.shortest()),
        };
        self.parts.iter().map(of_part).sum()
    }
}

impl Modifier {
    fn shortest(&self) -> usize {
        self.present.as_ref().map_or(0, |present| present.shortest().min(self.absent.shortest()))
    }
}

fn lookup(key: &str, depth: usize) -> Result<Lookup, String> {
    let Some((selector, rest)) = key.split_once(':') else {
        return Err(format!(
            "invalid Interpolate substitution without selector '{key}'; write %(prop:{key})s for a property"
        ));
    };
    let (selector, modifier) = match selector {
        "prop" => prop(rest)?,
        "src" => src(rest)?,
        "worker" => named(rest, Selector::Worker),
        "secret" => named(rest, Selector::Secret),
        "kw" => named(rest, Selector::Kw),
        _ => {
            return Err(format!(
                "invalid Interpolate selector '{selector}'; selectors are prop, src, worker, secret and kw"
            ));
        }
    };
    let modifier = self::modifier(modifier.unwrap_or("-"), depth)
        .map_err(|error| format!("{error} in %({})s", crate::text::shortened(key)))?;
    Ok(Lookup { selector, modifier })
}

fn split(rest: &str) -> (&str, Option<&str>) {
    rest.split_once(':').map_or((rest, None), |(name, modifier)| (name, Some(modifier)))
}

fn named(rest: &str, make: fn(String) -> Selector) -> (Selector, Option<&str>) {
    let (name, modifier) = split(rest);
    (make(name.to_string()), modifier)
}

fn prop(rest: &str) -> Result<(Selector, Option<&str>), String> {
    let (name, modifier) = split(rest);
    check_name("the property name", name)?;
    Ok((Selector::Prop(name.to_string()), modifier))
}

fn src(rest: &str) -> Result<(Selector, Option<&str>), String> {
    let Some((codebase, rest)) = rest.split_once(':') else {
        return Err(format!(
            "src substitution '{rest}' needs a codebase and an attribute: write src:codebase:attribute, \
             or src::{rest} for the codebase without a name"
        ));
    };
    let (attribute, modifier) = split(rest);
    check_name("the codebase", codebase)?;
    check_name("the attribute", attribute)?;
    Ok((Selector::Src { codebase: codebase.to_string(), attribute: attribute.to_string() }, modifier))
}

fn check_name(what: &str, name: &str) -> Result<(), String> {
    if name.chars().all(|c| c.is_alphanumeric() || "_.-".contains(c)) {
        Ok(())
    } else {
        Err(format!("{what} '{name}' of an Interpolate may hold only letters, digits, '_', '-' and '.'"))
    }
}

/// Modifiers in the order in which they are recognised (04.021).
fn modifier(text: &str, depth: usize) -> Result<Modifier, String> {
    let nested = |text: &str| Template::nested(text, depth + 1);
    let rule = |when_true, present, absent| Ok(Modifier { when_true, present, absent });
    if let Some(absent) = text.strip_prefix('-') {
        rule(false, None, nested(absent)?)
    } else if let Some(absent) = text.strip_prefix('~') {
        rule(true, None, nested(absent)?)
    } else if let Some(present) = text.strip_prefix('+') {
        rule(false, Some(nested(present)?), nested("")?)
    } else if let Some(rest) = text.strip_prefix('?') {
        let (yes, no) = ternary(rest)?;
        rule(false, Some(nested(yes)?), nested(no)?)
    } else if let Some(rest) = text.strip_prefix("#?") {
        let (yes, no) = ternary(rest)?;
        rule(true, Some(nested(yes)?), nested(no)?)
    } else {
        let shown = text.chars().next().map(String::from).unwrap_or_default();
        Err(format!("invalid Interpolate default type '{shown}'; modifiers begin with - ~ + ? or #?"))
    }
}

/// Splits `DtrueDfalse` at the first `D` outside parentheses (04.019).
fn ternary(text: &str) -> Result<(&str, &str), String> {
    let Some(delimiter) = text.chars().next() else {
        return Err("invalid Interpolate ternary expression: write ?:yes:no".into());
    };
    let rest = &text[delimiter.len_utf8()..];
    let wrong = || {
        let rest = crate::text::shortened(rest);
        Err(format!("invalid Interpolate ternary expression '{rest}' with delimiter '{delimiter}'"))
    };
    if delimiter == '(' {
        return wrong();
    }
    let mut depth = 0usize;
    for (at, c) in rest.char_indices() {
        match c {
            '(' => depth += 1,
            ')' if depth == 0 => return wrong(),
            ')' => depth -= 1,
            c if c == delimiter && depth == 0 => return Ok((&rest[..at], &rest[at + c.len_utf8()..])),
            _ => {}
        }
    }
    // The reference takes exactly two characters without a delimiter as the two parts.
    let mut chars = rest.char_indices();
    match (chars.next(), chars.next(), chars.next()) {
        (Some(_), Some((middle, _)), None) if depth == 0 => Ok(rest.split_at(middle)),
        _ => wrong(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn mistakes_are_found_when_parsed_04_025() {
        for (format, part) in [
            ("%(prop)s", "invalid Interpolate substitution without selector 'prop'"),
            ("%(frob:x)s", "invalid Interpolate selector 'frob'"),
            ("%(prop:a b)s", "'a b'"),
            ("%(src:x)s", "codebase and an attribute"),
            ("%(src:a b:c)s", "'a b'"),
            ("%(src:a:b c)s", "'b c'"),
            ("%(prop:a:!x)s", "invalid Interpolate default type '!'"),
            ("%(prop:a:)s", "invalid Interpolate default type ''"),
            ("%(prop:x:?)s", "ternary"),
            ("%(prop:x:#?)s", "ternary"),
            ("%(prop:x:?|)s", "'' with delimiter '|'"),
            ("%(prop:x:?|a)s", "'a' with delimiter '|'"),
            ("%(prop:x:?|abc)s", "'abc' with delimiter '|'"),
            ("%(prop:x:?(a)b)s", "delimiter '('"),
            ("%(prop:x:?:a(b:c)d)s", "delimiter ':'"),
            ("%(prop:nope:-%(frob:x)s)s", "invalid Interpolate selector 'frob'"),
            ("%(prop:nope:-50%)s", "incomplete"),
            ("%(prop:x", "closing parenthesis"),
            ("100%", "incomplete"),
        ] {
            let error = Template::parse(format).unwrap_err();
            assert!(error.contains(part), "{format}: {error}");
        }
    }

    #[test]
    fn deep_nesting_is_an_error_not_a_crash() {
        let format = (0..10_000).fold("x".to_string(), |inner, _| format!("%(kw:a:-{inner})s"));
        assert!(Template::parse(&format).unwrap_err().contains("nested deeper"));
    }

    #[test]
    fn names_are_measured_by_their_shortest_form_04_026() {
        assert_eq!(Template::parse("abc%(prop:x)s").unwrap().shortest(), 3);
        assert_eq!(Template::parse("%(prop:x:?:yes:no)s").unwrap().shortest(), 2);
        assert_eq!(Template::parse("%(prop:x:-default)s").unwrap().shortest(), 0);
    }

    proptest! {
        #[test]
        fn any_text_parses_or_is_refused(text in "\\PC*") {
            drop(Template::parse(&text));
        }

        #[test]
        fn text_made_of_the_grammars_own_pieces_never_panics(
            pieces in prop::collection::vec(prop::sample::select(vec![
                "%", "%(", ")", ")s", "(", "prop:", "src:", "kw:", "secret:", "worker:", ":", ":-", ":~", ":+", ":?",
                ":#?", "|", "é", "x", "%%", "5d", ".", "*", "#", "0",
            ]), 0..40)
        ) {
            drop(Template::parse(&pieces.concat()));
        }

        #[test]
        fn literal_text_comes_back(text in "[^%]*") {
            let want = if text.is_empty() { vec![] } else { vec![Part::Text(text.clone())] };
            prop_assert_eq!(Template::parse(&text).unwrap().parts, want);
        }
    }
}
