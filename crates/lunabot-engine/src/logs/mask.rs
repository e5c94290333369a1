//! Secrets are replaced by `<name>` wherever text leaves a build (reference 04.039, 13.024).

use super::forms::forms;
use lunabot_model::object::{is_dynamic, token_name};
use lunabot_model::script::Conceal;
use lunabot_model::{AnyObject, Json, SecretSource, Time, Token};
use regex::Regex;
use serde_json::json;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

/// The secrets a build has used so far; shared by everything that writes text for it.
#[derive(Debug, Default)]
pub struct Masks(RwLock<Arc<Table>>);

/// Where a secret comes from.
#[derive(Debug, Clone)]
struct Source {
    name: String,
    of: Origin,
}

#[derive(Debug, Clone)]
enum Origin {
    Store,
    /// With what yields it again, where that may be stored.
    Token {
        expires: Time,
        declared: Option<Json>,
    },
}

#[derive(Debug, Default)]
struct Table {
    secrets: BTreeMap<String, Source>,
    /// The secrets and all their other forms → name.
    names: BTreeMap<String, String>,
    /// Any of the forms, longest first.
    pattern: Option<Regex>,
    longest: usize,
}

impl Masks {
    /// From now on `value` is shown as `<name>`, in whatever form it appears (see [`super::forms`]). Blank values are not
    /// masked.
    pub fn add(&self, name: &str, value: &str) {
        self.put(value, Source { name: name.into(), of: Origin::Store }, None);
    }

    /// Takes a secret in; given the time it leaves out tokens that are worth nothing any more.
    fn put(&self, value: &str, source: Source, now: Option<Time>) {
        if value.trim().is_empty() {
            return;
        }
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if table.secrets.contains_key(value) {
            return;
        }
        let mut secrets = table.secrets.clone();
        if let Some(now) = now {
            secrets.retain(|_, s| !matches!(s.of, Origin::Token { expires, .. } if expires <= now));
        }
        secrets.insert(value.to_string(), source);
        *table = Arc::new(Table::new(secrets));
    }

    /// The text with every secret replaced.
    pub fn mask<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.table().mask(text)
    }

    /// A value with every secret in its texts and keys replaced.
    pub fn mask_json(&self, value: &Json) -> Json {
        let table = self.table();
        if table.pattern.is_none() { value.clone() } else { table.mask_json(value) }
    }

    /// A secret from its source; from now on it is hidden.
    pub async fn ask(&self, source: &dyn SecretSource, name: &str) -> Result<Option<String>, String> {
        let value = source.get(name).await?;
        if let Some(value) = &value {
            self.add(name, value);
        }
        Ok(value)
    }

    /// A token from its source; from now on it is hidden.
    pub async fn mint(
        &self,
        source: &dyn SecretSource,
        declared: &AnyObject,
        options: Json,
    ) -> Result<String, String> {
        let token = source.token(&declared.kind, options).await?;
        let name = token_name(&declared.kind).unwrap_or(&declared.kind).to_string();
        let of = Origin::Token { expires: token.expires, declared: portable(declared) };
        self.put(&token.text, Source { name, of }, None);
        Ok(token.text)
    }

    /// The value in a form that can be stored and handed to another build: each secret is replaced by what yields it again
    /// when it is rendered (`util.Secret`, `util.Interpolate`, what was declared for a token). `at` says where that was, for
    /// messages. A secret that was encoded, or is in a key, cannot be replaced; the error says what the value holds, and
    /// what to do.
    pub fn sealed(&self, value: &Json, at: &str) -> Result<Json, String> {
        let table = self.table();
        if table.pattern.is_none() { Ok(value.clone()) } else { table.sealed(value, at) }
    }

    fn table(&self) -> Arc<Table> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Conceal for Masks {
    fn learn(&self, name: &str, value: &str) {
        self.add(name, value);
    }

    fn learn_token(&self, name: &str, token: &Token, now: Time) {
        let of = Origin::Token { expires: token.expires, declared: None };
        self.put(&token.text, Source { name: name.into(), of }, Some(now));
    }

    fn conceal<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.mask(text)
    }
}

/// What was declared for a token, if it may be stored and yields the same in another build: it holds no key, and only the
/// key is computed.
fn portable(declared: &AnyObject) -> Option<Json> {
    let options = declared.args.as_object()?;
    let named = |key: &Json| key["$kind"] == "util.Secret" && key["$args"].get("default").is_none();
    let fine = |(name, value): (&String, &Json)| match name.as_str() {
        "key" => named(value),
        _ => !is_dynamic(value),
    };
    options.iter().all(fine).then(|| serde_json::to_value(declared).ok())?
}

fn encoded(shown: &str) -> String {
    format!(
        "holds {shown} in an encoded form, which cannot be handed to a build without showing it; hand on the secret \
         itself, and encode it in the build"
    )
}

fn closed(shown: &str) -> String {
    format!(
        "holds {shown}, which another build cannot make: its options are computed, or its key is written out; let that \
         build make it, or give its key as key_file or util.Secret"
    )
}

impl Table {
    fn new(secrets: BTreeMap<String, Source>) -> Self {
        let mut names = BTreeMap::new();
        for (value, source) in &secrets {
            names.extend(forms(value).into_iter().map(|form| (form, source.name.clone())));
        }
        // What is a secret by itself goes by its own name, whatever else it may be a form of.
        names.extend(secrets.iter().map(|(value, source)| (value.clone(), source.name.clone())));
        let mut forms: Vec<&String> = names.keys().collect();
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        let pattern = forms.iter().map(|form| regex::escape(form)).collect::<Vec<_>>().join("|");
        let longest = forms.first().map_or(0, |form| form.len());
        let pattern = regex::RegexBuilder::new(&pattern).size_limit(LARGEST_PATTERN).build();
        // Escaped literals make a valid pattern; only its size could be refused, and then nothing may be shown.
        let pattern = pattern.unwrap_or_else(|_| Regex::new("(?s).+").expect("a constant pattern"));
        Table { pattern: Some(pattern), longest, secrets, names }
    }

    fn mask<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match &self.pattern {
            None => Cow::Borrowed(text),
            Some(pattern) => pattern.replace_all(text, |found: &regex::Captures<'_>| self.shown(&found[0])),
        }
    }

    fn shown(&self, form: &str) -> String {
        format!("<{}>", self.names.get(form).map_or("secret", String::as_str))
    }

    fn mask_json(&self, value: &Json) -> Json {
        match value {
            Json::String(text) => self.mask(text).into(),
            Json::Array(items) => items.iter().map(|item| self.mask_json(item)).collect(),
            Json::Object(map) => {
                map.iter().map(|(key, item)| (self.mask(key).into_owned(), self.mask_json(item))).collect()
            }
            Json::Null | Json::Bool(_) | Json::Number(_) => value.clone(),
        }
    }

    fn sealed(&self, value: &Json, at: &str) -> Result<Json, String> {
        match value {
            Json::String(text) => self.sealed_text(text, at),
            Json::Array(items) => items.iter().map(|item| self.sealed(item, at)).collect(),
            Json::Object(map) => {
                if let Some(key) = map.keys().find(|key| self.mask(key) != key.as_str()) {
                    return Err(encoded(&self.mask(key)));
                }
                map.iter().map(|(key, item)| Ok((key.clone(), self.sealed(item, at)?))).collect()
            }
            Json::Null | Json::Bool(_) | Json::Number(_) => Ok(value.clone()),
        }
    }

    fn sealed_text(&self, text: &str, at: &str) -> Result<Json, String> {
        let object = |kind: &str, args: Json| json!({"$kind": kind, "$id": 0, "$at": at, "$args": args});
        match self.secrets.get(text) {
            Some(Source { of: Origin::Token { declared, .. }, .. }) => {
                return declared.clone().ok_or_else(|| closed(&self.shown(text)));
            }
            Some(Source { name, of: Origin::Store }) => {
                return Ok(object("util.Secret", json!({"secret_name": name})));
            }
            None => {}
        }
        let (mut format, mut end, mut tokens) = (String::new(), 0, serde_json::Map::new());
        for found in self.pattern.iter().flat_map(|pattern| pattern.find_iter(text)) {
            let shown = self.shown(found.as_str());
            let source = self.secrets.get(found.as_str()).ok_or_else(|| encoded(&shown))?;
            format.push_str(&text[end..found.start()].replace('%', "%%"));
            match &source.of {
                Origin::Token { declared, .. } => {
                    let name = format!("token{}", tokens.len() + 1);
                    format.push_str(&format!("%(kw:{name})s"));
                    tokens.insert(name, declared.clone().ok_or_else(|| closed(&shown))?);
                }
                // Such a name cannot stand in a format.
                Origin::Store if source.name.contains(['(', ')', ':']) => return Err(encoded(&shown)),
                Origin::Store => format.push_str(&format!("%(secret:{})s", source.name)),
            }
            end = found.end();
        }
        if format.is_empty() {
            return Ok(text.into());
        }
        format.push_str(&text[end..].replace('%', "%%"));
        tokens.insert("fmtstring".into(), format.into());
        Ok(object("util.Interpolate", tokens.into()))
    }

    /// Where an unfinished secret may begin: the first place from which `text` to its end is the beginning of one.
    fn unfinished(&self, text: &str, from: usize) -> Option<usize> {
        let earliest = text.len().saturating_sub(self.longest.saturating_sub(1)).max(from);
        (earliest..text.len()).filter(|at| text.is_char_boundary(*at)).find(|at| {
            let rest = &text[*at..];
            let after = self.names.range::<str, _>((Bound::Excluded(rest), Bound::Unbounded)).next();
            after.is_some_and(|(form, _)| form.starts_with(rest))
        })
    }
}

/// Bytes that the compiled pattern of all secrets of one build may take.
const LARGEST_PATTERN: usize = 64 << 20;

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
        let mut unfinished = table.unfinished(&text, at);
        loop {
            let found = pattern.find_at(&text, at);
            if unfinished.is_some_and(|hold| hold < at) {
                unfinished = table.unfinished(&text, at);
            }
            match (found, unfinished) {
                (Some(found), hold) if hold.is_none_or(|hold| found.start() < hold) => {
                    out.push_str(&text[at..found.start()]);
                    out.push_str(&table.shown(found.as_str()));
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

    #[test]
    fn row_04_039_other_forms_are_masked_across_pieces_too() {
        use base64::Engine;
        let masks = masks(&[("pw", "p&ss w0rd/é"), ("other", "tr0ub4dor")]);
        let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
        for (text, shown) in [
            ("a=p%26ss+w0rd%2F%C3%A9&b=1".to_string(), "a=<pw>&b=1".to_string()),
            ("https://joe:p%26ss%20w0rd%2f%c3%a9@host/".into(), "https://joe:<pw>@host/".into()),
            ("argv: [b'p&ss w0rd/\\xc3\\xa9']".into(), "argv: [b'<pw>']".into()),
            (base64("p&ss w0rd/é"), "<pw>".into()),
            (
                format!("Basic {}", base64("joe:tr0ub4dor")),
                format!("Basic {}<other>", &base64("joe:tr0ub4dor")[..6]),
            ),
        ] {
            assert_eq!(masks.mask(&text), shown);
            let (mut masker, mut out) = (Masker::default(), String::new());
            for letter in text.chars() {
                out.push_str(&masker.push(&masks, &letter.to_string()));
            }
            out.push_str(&masker.finish(&masks));
            assert_eq!(out, shown);
        }
        let value = serde_json::json!({"tr0ub4dor": [1, "x tr0ub4dor", null]});
        assert_eq!(masks.mask_json(&value), serde_json::json!({"<other>": [1, "x <other>", null]}));
    }

    #[test]
    fn row_04_039_what_is_handed_on_names_its_secrets() {
        let masks = masks(&[("pw", "tr0ub4dor"), ("odd:name", "s3cret-value")]);
        let interpolate = |format: &str| json!({"$kind": "util.Interpolate", "$id": 0, "$at": "t", "$args": {"fmtstring": format}});
        let secret = |name: &str| json!({"$kind": "util.Secret", "$id": 0, "$at": "t", "$args": {"secret_name": name}});
        for (value, sealed) in [
            (json!("plain %"), json!("plain %")),
            (json!("tr0ub4dor"), secret("pw")),
            (json!("s3cret-value"), secret("odd:name")),
            (json!("100% tr0ub4dor, tr0ub4dor!"), interpolate("100%% %(secret:pw)s, %(secret:pw)s!")),
            (json!([1, null, {"k": "x tr0ub4dor"}]), json!([1, null, {"k": interpolate("x %(secret:pw)s")}])),
        ] {
            assert_eq!(masks.sealed(&value, "t"), Ok(sealed));
        }
        let encoded = json!(["dHIwdWI0ZG9y"]);
        for (value, held) in [
            (encoded, "holds <pw> in an encoded form"),
            (json!({"tr0ub4dor": 1}), "holds <pw> in an encoded form"),
            (json!("x s3cret-value"), "holds <odd:name> in an encoded form"),
        ] {
            let error = masks.sealed(&value, "t").unwrap_err();
            assert!(error.starts_with(held), "{error}");
        }
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
