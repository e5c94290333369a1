//! Values as the reference's headers print them: Python's notation, POSIX shell quoting.

use lunabot_proto::Value;
use lunabot_proto::python::shown_bytes;
use std::fmt::Write;

/// A value in Python's notation.
pub(crate) fn repr(value: &Value) -> String {
    match value {
        Value::None => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => float(*number),
        Value::Str(text) => str_repr(text),
        Value::Bytes(bytes) => bytes_repr(bytes),
        Value::List(items) => format!("[{}]", joined(items)),
        Value::Tuple(items) if items.len() == 1 => format!("({},)", joined(items)),
        Value::Tuple(items) => format!("({})", joined(items)),
        Value::Dict(dict) => {
            let pairs: Vec<_> = dict.iter().map(|(k, v)| format!("{}: {}", str_repr(k), repr(v))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
    }
}

fn joined(items: &[Value]) -> String {
    items.iter().map(repr).collect::<Vec<_>>().join(", ")
}

/// A number as it was sent: `1200` for an integer, `1200.0` for a double.
pub(crate) fn float(number: f64) -> String {
    if number.is_finite() { format!("{number:?}") } else { number.to_string().to_lowercase() }
}

/// Single quotes unless that would need escapes and double quotes would not.
fn quote_for(has_single: bool, has_double: bool) -> char {
    if has_single && !has_double { '"' } else { '\'' }
}

fn str_repr(text: &str) -> String {
    let quote = quote_for(text.contains('\''), text.contains('"'));
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => out.extend(['\\', c]),
            c if c.is_control() => _ = write!(out, "\\x{:02x}", c as u32),
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// Bytes in Python's notation, `b'…'`.
pub(crate) fn bytes_repr(bytes: &[u8]) -> String {
    let quote = quote_for(bytes.contains(&b'\''), bytes.contains(&b'"'));
    // No escape holds a quote.
    let shown = shown_bytes(bytes).replace(quote, &format!("\\{quote}"));
    format!("b{quote}{shown}{quote}")
}

/// A list of byte strings in Python's notation.
pub(crate) fn bytes_list_repr<T: AsRef<[u8]>>(items: &[T]) -> String {
    let items: Vec<_> = items.iter().map(|item| bytes_repr(item.as_ref())).collect();
    format!("[{}]", items.join(", "))
}

/// One word of a command, quoted for a POSIX shell where needed.
pub(crate) fn shell_quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if word.is_empty() {
        // As the reference shows it, though the quotes of the others are single.
        "\"\"".to_owned()
    } else if word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\"'\"'"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lunabot_proto::Dict;

    #[test]
    fn values_are_shown_as_python_shows_them() {
        let follow = Dict::new().with("filename", "w.log").with("follow", true);
        let logfiles = Dict::new().with("watched", "w.log").with("followed", follow).with("n", Value::None);
        for (value, expected) in [
            (
                logfiles.into(),
                "{'watched': 'w.log', 'followed': {'filename': 'w.log', 'follow': True}, 'n': None}",
            ),
            (Value::from(vec![1, 2]), "[1, 2]"),
            (Value::Tuple(vec![Value::from("a")]), "('a',)"),
            (Value::from(1200.0), "1200.0"),
            (Value::from("it's"), "\"it's\""),
            (Value::from("both ' and \""), "'both \\' and \"'"),
            (Value::from("tab\té\u{1}"), "'tab\\té\\x01'"),
        ] {
            assert_eq!(repr(&value), expected);
        }
    }

    #[test]
    fn bytes_and_words_are_shown_as_in_recorded_headers() {
        assert_eq!(bytes_repr("héllo \\n".as_bytes()), r"b'h\xc3\xa9llo \\n'");
        assert_eq!(bytes_repr(b"printf 'part'"), "b\"printf 'part'\"");
        assert_eq!(bytes_list_repr(&["sh", "-c", "exit 3"]), "[b'sh', b'-c', b'exit 3']");
        assert_eq!(shell_quote("exit 3"), "'exit 3'");
        assert_eq!(shell_quote("it's"), "'it'\"'\"'s'");
        assert_eq!(shell_quote("héllo"), "'héllo'");
        assert_eq!(shell_quote(""), "\"\"");
        assert_eq!(shell_quote("-a=/b,c:1@%+_.x"), "-a=/b,c:1@%+_.x");
    }
}
