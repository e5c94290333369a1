//! Secrets are replaced by `<name>` wherever text leaves a build (reference 04.039, 13.024).

use regex::Regex;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// The secrets a build has used so far; shared by everything that writes text for it.
#[derive(Debug, Default)]
pub struct Masks(RwLock<Arc<Table>>);

#[derive(Debug, Default)]
struct Table {
    /// Value → name.
    names: BTreeMap<String, String>,
    /// Any of the values, longest first.
    pattern: Option<Regex>,
    longest: usize,
}

impl Masks {
    /// From now on `value` is shown as `<name>`. Blank values are not masked.
    pub fn add(&self, name: &str, value: &str) {
        if value.trim().is_empty() {
            return;
        }
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if table.names.contains_key(value) {
            return;
        }
        let mut names = table.names.clone();
        names.insert(value.to_string(), name.to_string());
        *table = Arc::new(Table::new(names));
    }

    /// The text with every secret replaced.
    pub fn mask<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match &self.table().pattern {
            None => Cow::Borrowed(text),
            Some(pattern) => pattern.replace_all(text, |found: &regex::Captures<'_>| {
                let table = self.table();
                format!("<{}>", table.names.get(&found[0]).map_or("secret", String::as_str))
            }),
        }
    }

    fn table(&self) -> Arc<Table> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Table {
    fn new(names: BTreeMap<String, String>) -> Self {
        let mut values: Vec<&String> = names.keys().collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        let pattern = values.iter().map(|value| regex::escape(value)).collect::<Vec<_>>().join("|");
        let longest = values.first().map_or(0, |value| value.len());
        // Escaped literals make a valid pattern; only its size could be refused, and then nothing may be shown.
        let pattern =
            Regex::new(&pattern).unwrap_or_else(|_| Regex::new("(?s).+").expect("a constant pattern"));
        Table { pattern: Some(pattern), longest, names }
    }

    /// Where an unfinished secret may begin: the first place from which `text` to its end is the beginning of one.
    fn unfinished(&self, text: &str, from: usize) -> Option<usize> {
        let earliest = text.len().saturating_sub(self.longest.saturating_sub(1)).max(from);
        (earliest..text.len()).filter(|at| text.is_char_boundary(*at)).find(|at| {
            let rest = &text[*at..];
            self.names.keys().any(|value| value.len() > rest.len() && value.starts_with(rest))
        })
    }
}

/// Masks one stream of text that comes in pieces: a secret cut in two is found all the same.
#[derive(Debug, Default)]
pub struct Masker {
    held: String,
}

impl Masker {
    /// Takes a piece; gives what can be shown. What may be the beginning of a secret is held back.
    pub fn push<'a>(&mut self, masks: &Masks, text: &'a str) -> Cow<'a, str> {
        let table = masks.table();
        let Some(pattern) = &table.pattern else {
            return self.unheld(text);
        };
        let text = self.unheld(text);
        let (mut out, mut at) = (String::with_capacity(text.len()), 0);
        loop {
            let found = pattern.find_at(&text, at);
            let unfinished = table.unfinished(&text, at);
            match (found, unfinished) {
                (Some(found), hold) if hold.is_none_or(|hold| found.start() < hold) => {
                    out.push_str(&text[at..found.start()]);
                    out.push_str(&masks.mask(found.as_str()));
                    at = found.end();
                }
                (_, Some(hold)) => {
                    out.push_str(&text[at..hold]);
                    self.held.push_str(&text[hold..]);
                    return Cow::Owned(out);
                }
                (_, None) => {
                    out.push_str(&text[at..]);
                    return Cow::Owned(out);
                }
            }
        }
    }

    /// What is still held: no more text comes.
    pub fn finish(&mut self, masks: &Masks) -> String {
        masks.mask(&std::mem::take(&mut self.held)).into_owned()
    }

    fn unheld<'a>(&mut self, text: &'a str) -> Cow<'a, str> {
        if self.held.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut joined = std::mem::take(&mut self.held);
        joined.push_str(text);
        Cow::Owned(joined)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn masks(secrets: &[(&str, &str)]) -> Masks {
        let masks = Masks::default();
        for (name, value) in secrets {
            masks.add(name, value);
        }
        masks
    }

    #[test]
    fn row_04_039_the_longest_value_is_masked_first_and_blank_ones_never() {
        let masks = masks(&[("short", "abc"), ("long", "abcdef"), ("blank", "  ")]);
        assert_eq!(masks.mask("x abcdef abc  y"), "x <long> <short>  y");
    }

    #[test]
    fn row_13_024_a_secret_cut_in_two_is_masked() {
        let masks = masks(&[("short", "abc"), ("long", "abcdef"), ("other", "cdx")]);
        let mut masker = Masker::default();
        let mut out = String::new();
        for piece in ["1 ab", "cd", "ef 2 ab", "c", "dx 3 ab"] {
            out.push_str(&masker.push(&masks, piece));
        }
        out.push_str(&masker.finish(&masks));
        assert_eq!(out, "1 <long> 2 <short>dx 3 ab");
    }

    proptest! {
        #[test]
        fn row_13_024_no_split_of_the_text_shows_a_secret(text in "[abé\n]{0,40}", cuts in prop::collection::vec(0usize..40, 0..5)) {
            let masks = masks(&[("1", "aab"), ("2", "bab"), ("3", "éa\nb")]);
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|c| *c <= text.len() && text.is_char_boundary(*c)).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let (mut masker, mut out) = (Masker::default(), String::new());
            for pair in cuts.windows(2) {
                out.push_str(&masker.push(&masks, &text[pair[0]..pair[1]]));
            }
            out.push_str(&masker.finish(&masks));
            prop_assert_eq!(out, masks.mask(&text).into_owned());
        }
    }
}
