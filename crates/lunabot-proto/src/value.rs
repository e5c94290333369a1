//! The values that command arguments, updates and worker information are made of.

use bytes::Bytes;

/// One value of a worker protocol. Text and bytes differ, and so do lists and tuples: PB keeps
/// them apart and an obfuscated word of a command is recognised by being a tuple.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// `None` / nil.
    #[default]
    None,
    /// A truth value; accepted wherever a number is (0 and 1).
    Bool(bool),
    /// An integer. Wide enough for every `i64` and `u64` (inode numbers, Windows exit codes).
    Int(i128),
    /// A double.
    Float(f64),
    /// Text.
    Str(String),
    /// Bytes that are not text.
    Bytes(Bytes),
    /// A list.
    List(Vec<Value>),
    /// A tuple; arrives as a list over msgpack.
    Tuple(Vec<Value>),
    /// A map with text keys, in the order of its maker.
    Dict(Dict),
}

impl Value {
    /// The text, if this is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The number as `i64`: an integer in range, or a truth value as 0 or 1.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Int(number) => i64::try_from(*number).ok(),
            Value::Bool(truth) => Some(i64::from(*truth)),
            _ => None,
        }
    }

    /// The number as a double: an integer, a double, or a truth value as 0 or 1.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Int(number) => Some(*number as f64),
            Value::Float(number) => Some(*number),
            Value::Bool(truth) => Some(f64::from(u8::from(*truth))),
            _ => None,
        }
    }

    /// The items of a list or tuple.
    pub fn as_items(&self) -> Option<&[Value]> {
        match self {
            Value::List(items) | Value::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// The map, if this is one.
    pub fn as_dict(&self) -> Option<&Dict> {
        match self {
            Value::Dict(dict) => Some(dict),
            _ => None,
        }
    }

    /// Whether this is [`Value::None`].
    pub fn is_none(&self) -> bool {
        matches!(self, Value::None)
    }

    /// Truth as the reference's workers see it: everything but none, false, zero and empty.
    pub fn is_truthy(&self) -> bool {
        match self {
            Value::None => false,
            Value::Bool(truth) => *truth,
            Value::Int(number) => *number != 0,
            Value::Float(number) => *number != 0.0,
            Value::Str(text) => !text.is_empty(),
            Value::Bytes(bytes) => !bytes.is_empty(),
            Value::List(items) | Value::Tuple(items) => !items.is_empty(),
            Value::Dict(dict) => !dict.is_empty(),
        }
    }
}

/// A map with text keys that keeps the order of insertion. Small: look-up walks the pairs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Dict(Vec<(String, Value)>);

impl Dict {
    /// An empty map.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// Sets `key`, in its old place if it was there, else at the end.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        let (key, value) = (key.into(), value.into());
        match self.0.iter_mut().find(|(k, _)| *k == key) {
            Some(pair) => pair.1 = value,
            None => self.0.push((key, value)),
        }
    }

    /// [`Dict::insert`] for chains: `Dict::new().with("path", "a").with("mode", 0o600)`.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.insert(key, value);
        self
    }

    /// Takes `key` out.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let at = self.0.iter().position(|(k, _)| k == key)?;
        Some(self.0.remove(at).1)
    }

    /// The pairs in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v))
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Into<String>, V: Into<Value>> FromIterator<(K, V)> for Dict {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut dict = Dict::new();
        for (key, value) in pairs {
            dict.insert(key, value);
        }
        dict
    }
}

impl IntoIterator for Dict {
    type Item = (String, Value);
    type IntoIter = std::vec::IntoIter<(String, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

macro_rules! from {
    ($($type:ty => |$value:ident| $make:expr;)*) => {$(
        impl From<$type> for Value {
            fn from($value: $type) -> Self {
                $make
            }
        }
    )*};
}

from! {
    bool => |v| Value::Bool(v);
    i32 => |v| Value::Int(v.into());
    u32 => |v| Value::Int(v.into());
    i64 => |v| Value::Int(v.into());
    u64 => |v| Value::Int(v.into());
    i128 => |v| Value::Int(v);
    usize => |v| Value::Int(v as i128);
    f64 => |v| Value::Float(v);
    &str => |v| Value::Str(v.to_owned());
    String => |v| Value::Str(v);
    Bytes => |v| Value::Bytes(v);
    Dict => |v| Value::Dict(v);
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        Value::List(items.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::None, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dict_keeps_order_and_replaces_in_place() {
        let mut dict = Dict::new().with("b", 1).with("a", Value::None);
        dict.insert("b", "two");
        let keys: Vec<_> = dict.iter().map(|(k, _)| k).collect();
        assert_eq!(keys, ["b", "a"]);
        assert_eq!(dict.get("b"), Some(&Value::from("two")));
        assert_eq!(dict.remove("b"), Some(Value::from("two")));
        assert_eq!(dict.get("b"), None);
    }

    #[test]
    fn truth_and_numbers() {
        for (value, truth, number) in [
            (Value::None, false, None),
            (Value::from(true), true, Some(1)),
            (Value::from(0), false, Some(0)),
            (Value::from(u64::MAX), true, None),
            (Value::from(""), false, None),
            (Value::from(vec!["x"]), true, None),
            (Value::from(Some(3)), true, Some(3)),
            (Value::from(Dict::new()), false, None),
        ] {
            assert_eq!(value.is_truthy(), truth, "{value:?}");
            assert_eq!(value.as_i64(), number, "{value:?}");
        }
    }
}
