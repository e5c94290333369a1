//! Percent formatting as Python writes it: `%(name)s`, `%5d`, `%-8.3f`, `%%`.
//!
//! Used by [`crate::interpolate`], by `util.WithProperties` and by the reasons of schedulers. Values are JSON; their
//! text is what Python's `str` gives (`True`, `None`, `['a']`), so that formats carried over keep their meaning.

use crate::Json;
use std::fmt::Write as _;

/// Widths and precisions above this are refused: a format must not be able to ask for gigabytes of blanks.
pub const MAX_WIDTH: usize = 4096;

/// A part of a format.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    Text(String),
    /// `%(key)s`, or without a key a positional `%s`.
    Field {
        key: Option<String>,
        spec: Spec,
    },
}

/// How a value is written: flags, width, precision, conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spec {
    pub left: bool,
    pub zero: bool,
    pub plus: bool,
    pub blank: bool,
    pub alternate: bool,
    pub width: usize,
    pub precision: Option<usize>,
    pub conversion: char,
}

/// Reads a format. The error says what is wrong and where, in characters from 1.
pub fn parse(format: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut chars = Cursor { all: format.chars().collect(), at: 0 };
    while let Some(c) = chars.next() {
        if c != '%' {
            text.push(c);
        } else if chars.peek() == Some('%') {
            chars.at += 1;
            text.push('%');
        } else {
            if !text.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut text)));
            }
            pieces.push(chars.field()?);
        }
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

struct Cursor {
    all: Vec<char>,
    at: usize,
}

impl Cursor {
    fn peek(&self) -> Option<char> {
        self.all.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += 1;
        Some(c)
    }

    fn field(&mut self) -> Result<Piece, String> {
        let start = self.at;
        let key = if self.peek() == Some('(') { Some(self.key(start)?) } else { None };
        let mut spec = self.flags();
        spec.width = self.number(start)?.unwrap_or(0);
        if self.peek() == Some('.') {
            self.at += 1;
            spec.precision = Some(self.number(start)?.unwrap_or(0));
        }
        if matches!(self.peek(), Some('h' | 'l' | 'L')) {
            self.at += 1;
        }
        let Some(c) = self.next() else {
            return Err(format!(
                "incomplete substitution at character {start}; a percent sign is written %%"
            ));
        };
        if !"sradiuoxXeEfFgGc%".contains(c) {
            return Err(format!(
                "unknown conversion '{c}' at character {}; text is %(…)s, a percent sign %%",
                self.at
            ));
        }
        spec.conversion = c;
        Ok(Piece::Field { key, spec })
    }

    /// The text up to the parenthesis that closes the one at the cursor.
    fn key(&mut self, start: usize) -> Result<String, String> {
        let from = self.at + 1;
        let mut depth = 0usize;
        while let Some(c) = self.next() {
            match c {
                '(' => depth += 1,
                ')' if depth == 1 => return Ok(self.all[from..self.at - 1].iter().collect()),
                ')' => depth -= 1,
                _ => {}
            }
        }
        Err(format!("the substitution at character {start} has no closing parenthesis"))
    }

    fn flags(&mut self) -> Spec {
        let mut spec = Spec {
            left: false,
            zero: false,
            plus: false,
            blank: false,
            alternate: false,
            width: 0,
            precision: None,
            conversion: 's',
        };
        while let Some(c) = self.peek() {
            match c {
                '-' => spec.left = true,
                '0' => spec.zero = true,
                '+' => spec.plus = true,
                ' ' => spec.blank = true,
                '#' => spec.alternate = true,
                _ => break,
            }
            self.at += 1;
        }
        spec
    }

    fn number(&mut self, start: usize) -> Result<Option<usize>, String> {
        if self.peek() == Some('*') {
            return Err(format!("'*' as width at character {start} is not possible here; write a number"));
        }
        let from = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        if from == self.at {
            return Ok(None);
        }
        let digits: String = self.all[from..self.at].iter().collect();
        match digits.parse() {
            Ok(n) if n <= MAX_WIDTH => Ok(Some(n)),
            _ => Err(format!("the width {digits} at character {start} is larger than {MAX_WIDTH}")),
        }
    }
}

/// Writes a value. The error says why it does not fit the conversion.
pub fn format_value(spec: Spec, value: &Json) -> Result<String, String> {
    match spec.conversion {
        's' => Ok(pad(spec, cut(spec, text(value)))),
        'r' | 'a' => Ok(pad(spec, cut(spec, repr(value)))),
        '%' => Ok("%".into()),
        'c' => character(value).map(|c| pad(spec, c)),
        'd' | 'i' | 'u' => integer(spec, value).map(|n| signed(spec, n < 0, digits(spec, n, 'd'))),
        'o' | 'x' | 'X' => {
            integer(spec, value).map(|n| signed(spec, n < 0, digits(spec, n, spec.conversion)))
        }
        _ => float(spec, value),
    }
}

/// Python's `str(value)`.
pub fn text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => repr(other),
    }
}

fn repr(value: &Json) -> String {
    let mut out = String::new();
    write_repr(&mut out, value);
    out
}

fn write_repr(out: &mut String, value: &Json) {
    match value {
        Json::Null => out.push_str("None"),
        Json::Bool(true) => out.push_str("True"),
        Json::Bool(false) => out.push_str("False"),
        Json::Number(n) if n.is_f64() => out.push_str(&float_repr(n.as_f64().unwrap_or(0.0))),
        Json::Number(n) => drop(write!(out, "{n}")),
        Json::String(s) => write_quoted(out, s),
        Json::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                write_repr(out, item);
            }
            out.push(']');
        }
        Json::Object(map) => {
            out.push('{');
            for (i, (key, item)) in map.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                write_quoted(out, key);
                out.push_str(": ");
                write_repr(out, item);
            }
            out.push('}');
        }
    }
}

fn write_quoted(out: &mut String, s: &str) {
    let quote = if s.contains('\'') && !s.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in s.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => drop(write!(out, "\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push(quote);
}

/// Shortest digits that read back the same; an exponent below 1e-4 and from 1e16.
fn float_repr(f: f64) -> String {
    let size = f.abs();
    if size != 0.0 && !(1e-4..1e16).contains(&size) {
        let text = format!("{f:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        return format!("{mantissa}e{}", exponent_text(exponent.parse().unwrap_or(0)));
    }
    let text = f.to_string();
    if text.contains('.') { text } else { text + ".0" }
}

fn exponent_text(exponent: i32) -> String {
    format!("{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

fn character(value: &Json) -> Result<String, String> {
    let c = match value {
        Json::String(s) if s.chars().count() == 1 => return Ok(s.clone()),
        Json::Number(n) => n.as_u64().and_then(|n| u32::try_from(n).ok()).and_then(char::from_u32),
        _ => None,
    };
    c.map(String::from).ok_or_else(|| format!("%c wants one character or its number, not {}", repr(value)))
}

fn integer(spec: Spec, value: &Json) -> Result<i128, String> {
    let wrong = || format!("%{} wants a number, not {}", spec.conversion, repr(value));
    match value {
        Json::Bool(b) => Ok(i128::from(*b)),
        Json::Number(n) => match (n.as_i64(), n.as_u64(), n.as_f64()) {
            (Some(n), _, _) => Ok(n.into()),
            (_, Some(n), _) => Ok(n.into()),
            (_, _, Some(f)) if "diu".contains(spec.conversion) && f.abs() < 1e38 => Ok(f.trunc() as i128),
            _ => Err(wrong()),
        },
        _ => Err(wrong()),
    }
}

fn digits(spec: Spec, n: i128, base: char) -> (&'static str, String) {
    let n = n.unsigned_abs();
    let (prefix, text) = match base {
        'o' => ("0o", format!("{n:o}")),
        'x' => ("0x", format!("{n:x}")),
        'X' => ("0X", format!("{n:X}")),
        _ => ("", n.to_string()),
    };
    let missing = spec.precision.unwrap_or(0).saturating_sub(text.len());
    (if spec.alternate { prefix } else { "" }, "0".repeat(missing) + &text)
}

fn float(spec: Spec, value: &Json) -> Result<String, String> {
    let f = match value {
        Json::Bool(b) => f64::from(u8::from(*b)),
        Json::Number(n) => n.as_f64().unwrap_or(0.0),
        other => return Err(format!("%{} wants a number, not {}", spec.conversion, repr(other))),
    };
    let precision = spec.precision.unwrap_or(6);
    let body = match spec.conversion.to_ascii_lowercase() {
        'e' => exponential(f.abs(), precision),
        'g' => general(f.abs(), precision.max(1), spec.alternate),
        _ => format!("{:.precision$}", f.abs()),
    };
    let body = if spec.conversion.is_ascii_uppercase() { body.to_ascii_uppercase() } else { body };
    Ok(signed(spec, f.is_sign_negative(), ("", body)))
}

fn exponential(f: f64, precision: usize) -> String {
    let text = format!("{f:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    format!("{mantissa}e{}", exponent_text(exponent.parse().unwrap_or(0)))
}

fn general(f: f64, precision: usize, keep_zeros: bool) -> String {
    let scientific = exponential(f, precision - 1);
    let exponent: i32 = scientific.rsplit_once('e').and_then(|(_, e)| e.parse().ok()).unwrap_or(0);
    let plain = (-4..i32::try_from(precision).unwrap_or(i32::MAX)).contains(&exponent);
    let decimals = (precision as i64 - 1 - i64::from(exponent)).max(0) as usize;
    let text = if plain { format!("{f:.decimals$}") } else { scientific };
    if keep_zeros {
        return text;
    }
    let (mantissa, tail) = text.split_once('e').map_or((text.as_str(), None), |(m, e)| (m, Some(e)));
    let short =
        if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
    tail.map_or(short.to_string(), |e| format!("{short}e{e}"))
}

fn signed(spec: Spec, negative: bool, (prefix, digits): (&str, String)) -> String {
    let sign = match (negative, spec.plus, spec.blank) {
        (true, _, _) => "-",
        (_, true, _) => "+",
        (_, _, true) => " ",
        _ => "",
    };
    let used = sign.len() + prefix.len() + digits.len();
    let zeros = if spec.zero && !spec.left { spec.width.saturating_sub(used) } else { 0 };
    pad(spec, format!("{sign}{prefix}{}{digits}", "0".repeat(zeros)))
}

fn cut(spec: Spec, text: String) -> String {
    match spec.precision {
        Some(n) => text.chars().take(n).collect(),
        None => text,
    }
}

fn pad(spec: Spec, text: String) -> String {
    let blanks = " ".repeat(spec.width.saturating_sub(text.chars().count()));
    if spec.left { text + &blanks } else { blanks + &text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn one(format: &str, value: Json) -> String {
        match &parse(format).unwrap()[..] {
            [Piece::Field { spec, .. }] => format_value(*spec, &value).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// The right-hand sides are what Python prints.
    #[test]
    fn conversions_write_what_python_writes() {
        for (format, value, want) in [
            ("%05d", json!(7), "00007"),
            ("%-5d", json!(7), "7    "),
            ("%+d", json!(7), "+7"),
            ("% d", json!(7), " 7"),
            ("%05d", json!(-3), "-0003"),
            ("%x", json!(-3), "-3"),
            ("%#x", json!(255), "0xff"),
            ("%X", json!(255), "FF"),
            ("%.3d", json!(7), "007"),
            ("%d", json!(2.9), "2"),
            ("%d", json!(true), "1"),
            ("%.3f", json!(2.5), "2.500"),
            ("%e", json!(2.5), "2.500000e+00"),
            ("%g", json!(2.5), "2.5"),
            ("%g", json!(1e20), "1e+20"),
            ("%g", json!(0.00001), "1e-05"),
            ("%s", json!(1e20), "1e+20"),
            ("%s", json!(1.0), "1.0"),
            ("%s", json!(0.00001), "1e-05"),
            ("%.2s", json!("hello"), "he"),
            ("%8.2s", json!("hello"), "      he"),
            ("%s", json!([1, "a", null, true]), "[1, 'a', None, True]"),
            ("%s", json!({"a": 1.5, "b": null}), "{'a': 1.5, 'b': None}"),
            ("%r", json!("it's"), "\"it's\""),
            ("%r", json!("a\n\\"), "'a\\n\\\\'"),
            ("%c", json!(65), "A"),
        ] {
            assert_eq!(one(format, value.clone()), want, "{format} of {value}");
        }
    }

    #[test]
    fn keys_keep_balanced_parentheses() {
        let pieces = parse("a%%%(x(y)z)s").unwrap();
        assert_eq!(pieces[0], Piece::Text("a%".into()));
        assert!(matches!(&pieces[1], Piece::Field { key: Some(key), .. } if key == "x(y)z"));
    }

    #[test]
    fn mistakes_are_named() {
        for (format, part) in [
            ("100%", "incomplete"),
            ("%(x", "closing"),
            ("%(x)", "incomplete"),
            ("%(x)q", "unknown conversion 'q'"),
            ("%(x)*d", "'*'"),
            ("%99999999999999999999s", "larger than"),
        ] {
            assert!(parse(format).unwrap_err().contains(part), "{format}: {:?}", parse(format));
        }
        let Piece::Field { spec, .. } = parse("%d").unwrap()[0].clone() else { panic!() };
        assert_eq!(format_value(spec, &json!("x")).unwrap_err(), "%d wants a number, not 'x'");
    }
}
