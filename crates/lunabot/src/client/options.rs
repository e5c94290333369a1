//! `.buildbot/options`: what command line options are where they are not given (reference row 16.015).
//!
//! Looked for in the present folder and those above it, as long as they belong to us, then in the home folder. Buildbot's
//! are Python; of that, assignments of plain values are read.

use anyhow::{Result, bail};
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The largest file that is read, in bytes.
const MAX: u64 = 1024 * 1024;

/// A value of the file.
#[derive(Debug, Clone, PartialEq)]
pub enum Setting {
    Text(String),
    Number(f64),
    Truth(bool),
    List(Vec<String>),
    None,
}

/// What the file says; empty where there is none.
#[derive(Debug, Default)]
pub struct Settings(BTreeMap<String, Setting>);

impl Settings {
    /// Finds and reads the file that is valid here.
    ///
    /// # Errors
    /// It cannot be read; the text names file and line.
    pub fn here() -> Result<Settings> {
        let start = std::env::current_dir()?;
        let home = std::env::var_os("HOME").map(PathBuf::from);
        match find(&start, home.as_deref()) {
            Some(file) => Self::of(&file),
            None => Ok(Settings::default()),
        }
    }

    fn of(file: &Path) -> Result<Settings> {
        let size = std::fs::metadata(file)?.len();
        if size > MAX {
            bail!("{}: {size} bytes are too many for options", file.display());
        }
        match parse(&std::fs::read_to_string(file)?) {
            Ok(settings) => Ok(Settings(settings)),
            Err((line, why)) => bail!("{}:{line}: {why}", file.display()),
        }
    }

    /// The text of the first of these names that is there.
    pub fn text(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| match self.0.get(*name)? {
            Setting::Text(text) => Some(text.clone()),
            Setting::Number(number) => Some(number.to_string()),
            Setting::List(items) => items.first().cloned(),
            Setting::Truth(_) | Setting::None => None,
        })
    }

    pub fn list(&self, name: &str) -> Vec<String> {
        match self.0.get(name) {
            Some(Setting::List(items)) => items.clone(),
            Some(Setting::Text(text)) => vec![text.clone()],
            _ => Vec::new(),
        }
    }

    pub fn truth(&self, name: &str) -> bool {
        match self.0.get(name) {
            Some(Setting::Truth(truth)) => *truth,
            Some(Setting::Number(number)) => *number != 0.0,
            _ => false,
        }
    }
}

fn find(start: &Path, home: Option<&Path>) -> Option<PathBuf> {
    let ours = |folder: &Path| {
        std::fs::metadata(folder).is_ok_and(|found| found.uid() == nix::unistd::getuid().as_raw())
    };
    let file = |folder: &Path| Some(folder.join(".buildbot/options")).filter(|file| file.is_file());
    let above = start.ancestors().take_while(|folder| ours(folder)).find_map(file);
    above.or_else(|| home.and_then(file))
}

type Mistake = (usize, String);

fn parse(text: &str) -> Result<BTreeMap<String, Setting>, Mistake> {
    let mut settings = BTreeMap::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let line = line.trim_end();
        if line.is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let wrong = |why: &str| (at + 1, why.to_owned());
        let plain = "only lines such as try_connect = 'pb' are read";
        let (name, value) = line.split_once('=').ok_or_else(|| wrong(plain))?;
        let name = name.trim();
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(wrong(plain));
        }
        let mut value = without_comment(value.trim()).to_owned();
        // A list may go on over several lines.
        while opens(&value) {
            let (_, more) = lines.next().ok_or_else(|| wrong("the list has no end"))?;
            value.push(' ');
            value.push_str(without_comment(more.trim()));
        }
        settings.insert(name.to_owned(), value_of(&value).ok_or_else(|| wrong(plain))?);
    }
    Ok(settings)
}

fn opens(value: &str) -> bool {
    value.starts_with(['[', '(']) && !value.ends_with([']', ')'])
}

/// Cuts a comment off that stands outside of quotes.
fn without_comment(value: &str) -> &str {
    let mut quote = None;
    for (at, c) in value.char_indices() {
        match quote {
            None if c == '#' => return value[..at].trim_end(),
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ => {}
        }
    }
    value.trim_end()
}

fn value_of(value: &str) -> Option<Setting> {
    match value {
        "True" => return Some(Setting::Truth(true)),
        "False" => return Some(Setting::Truth(false)),
        "None" => return Some(Setting::None),
        _ => {}
    }
    if let Ok(number) = value.parse() {
        return Some(Setting::Number(number));
    }
    let inside = |open, close| value.strip_prefix(open).and_then(|rest: &str| rest.strip_suffix(close));
    if let Some(items) = inside('[', ']').or_else(|| inside('(', ')')) {
        return texts(items).map(Setting::List);
    }
    match texts(value)?.as_slice() {
        [text] => Some(Setting::Text(text.clone())),
        _ => None,
    }
}

/// Quoted texts with commas between them.
fn texts(mut rest: &str) -> Option<Vec<String>> {
    let mut texts = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', ',', '\t']);
        let Some(quote) = rest.chars().next() else { return Some(texts) };
        rest = rest.strip_prefix(['\'', '"'])?;
        let (mut text, mut end) = (String::new(), None);
        let mut chars = rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => text.push(chars.next()?.1),
                c if c == quote => {
                    end = Some(at + 1);
                    break;
                }
                c => text.push(c),
            }
        }
        texts.push(text);
        rest = &rest[end?..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_16_015_plain_values_are_read() {
        let text = "# ours\ntry_connect = 'pb'\ntry_builders = [\"a\", 'b c',  # two\n  'd']\n\ntry_wait=True\n\
                    masterport = 8031 # number\ntry_who = \"it's # me\"\nnothing = None\n";
        let settings = Settings(parse(text).unwrap());
        assert_eq!(settings.text(&["try_master", "try_connect"]).as_deref(), Some("pb"));
        assert_eq!(settings.list("try_builders"), ["a", "b c", "d"]);
        assert!(settings.truth("try_wait") && !settings.truth("try_quiet"));
        assert_eq!(settings.text(&["masterport"]).as_deref(), Some("8031"));
        assert_eq!(settings.text(&["try_who"]).as_deref(), Some("it's # me"));
        assert_eq!(settings.text(&["nothing"]), None);
    }

    #[test]
    fn row_16_015_what_is_no_plain_value_is_told_with_its_line() {
        for (text, line) in [
            ("a = 'b'\nimport os\n", 2),
            ("a = os.environ['X']", 1),
            ("\nb = 'open", 2),
            ("c = [\n'a'", 1),
            ("d.e = 1", 1),
        ] {
            assert_eq!(parse(text).unwrap_err().0, line, "{text}");
        }
    }

    #[test]
    fn row_16_015_the_nearest_file_counts_and_then_the_home_folder() {
        let dir = tempfile::tempdir().unwrap();
        let put = |folder: &str| {
            let folder = dir.path().join(folder).join(".buildbot");
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("options"), "a = 'b'").unwrap();
            folder.join("options")
        };
        let deep = dir.path().join("tree/sub");
        std::fs::create_dir_all(&deep).unwrap();
        let home = put("home");
        let home_dir = dir.path().join("home");
        assert_eq!(find(&deep, Some(&home_dir)), Some(home));
        let tree = put("tree");
        assert_eq!(find(&deep, Some(&home_dir)), Some(tree));
        assert_eq!(find(&dir.path().join("nowhere"), None), None);
    }
}
