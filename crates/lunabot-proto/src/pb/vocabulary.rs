//! The words of dialect `pb` that have numbers.

/// Number 1 first.
const WORDS: [&str; 31] = [
    "None",
    "class",
    "dereference",
    "reference",
    "dictionary",
    "function",
    "instance",
    "list",
    "module",
    "persistent",
    "tuple",
    "unpersistable",
    "copy",
    "cache",
    "cached",
    "remote",
    "local",
    "lcache",
    "version",
    "login",
    "password",
    "challenge",
    "logged_in",
    "not_logged_in",
    "cachemessage",
    "message",
    "answer",
    "error",
    "decref",
    "decache",
    "uncache",
];

pub(super) fn word(number: u128) -> Option<&'static str> {
    WORDS.get(usize::try_from(number).ok()?.checked_sub(1)?).copied()
}

pub(super) fn number(word: &[u8]) -> Option<u8> {
    let at = WORDS.iter().position(|known| known.as_bytes() == word)?;
    u8::try_from(at + 1).ok()
}
