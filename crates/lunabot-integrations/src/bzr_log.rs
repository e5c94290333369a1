//! What `brz log --verbose` prints, and mails of Launchpad quote.
//!
//! ```text
//! ------------------------------------------------------------
//! revno: 12
//! author: Ann <ann@example.org>
//! committer: Joe <joe@example.org>
//! branch nick: trunk
//! timestamp: Fri 2009-05-15 10:35:43 +0200
//! message:
//!   the message
//! modified:
//!   a.c
//! ```

/// One revision.
#[derive(Debug, Default, PartialEq)]
pub struct Revision {
    /// Empty: the text names none.
    pub revno: String,
    pub author: Option<String>,
    pub committer: String,
    /// Seconds since 1970.
    pub when: Option<i64>,
    /// Each line ends with a line break.
    pub message: String,
    /// What was done to each file.
    pub files: Vec<(Deed, String)>,
}

/// The heading under which a file stands. A renamed file is `old => new`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    Removed,
    Added,
    Renamed,
    Modified,
    KindChanged,
}

/// What the indented lines that follow are about.
#[derive(Clone, Copy)]
enum Section {
    Head,
    Message,
    Files(Deed),
    /// Something else.
    Other,
}

/// Reads all revisions, in the order of the text.
pub fn read<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<Revision> {
    let (mut all, mut section) = (Vec::<Revision>::new(), Section::Head);
    for line in lines {
        if line.len() >= 40 && line.bytes().all(|byte| byte == b'-') {
            section = Section::Head;
            all.push(Revision::default());
            continue;
        }
        if all.is_empty() {
            all.push(Revision::default());
        }
        let Some(revision) = all.last_mut() else { continue };
        match (section, line.strip_prefix("  ")) {
            (Section::Message, Some(text)) => revision.message.push_str(&format!("{text}\n")),
            (Section::Files(deed), Some(file)) => revision.files.push((deed, file.to_string())),
            (_, Some(_)) => {}
            (_, None) => section = heading(line).unwrap_or_else(|| revision.note(line, section)),
        }
    }
    all.retain(|revision| *revision != Revision::default());
    all
}

fn heading(line: &str) -> Option<Section> {
    Some(match line.trim_end() {
        "message:" => Section::Message,
        "removed:" => Section::Files(Deed::Removed),
        "added:" => Section::Files(Deed::Added),
        "renamed:" => Section::Files(Deed::Renamed),
        "modified:" => Section::Files(Deed::Modified),
        "kind changed:" => Section::Files(Deed::KindChanged),
        "diff:" => Section::Other,
        _ => return None,
    })
}

impl Revision {
    /// A line of the head; the section that it stands in.
    fn note(&mut self, line: &str, section: Section) -> Section {
        let Some((name, value)) = line.split_once(": ") else { return section };
        let value = value.trim();
        match (name, section) {
            ("revno", Section::Head) => {
                self.revno = value.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
            }
            ("committer", Section::Head) => self.committer = value.into(),
            ("author", Section::Head) => self.author = Some(value.into()),
            ("timestamp", Section::Head) => self.when = moment(value),
            _ => {}
        }
        section
    }
}

/// `Fri 2009-05-15 10:35:43 +0200`, as seconds since 1970.
fn moment(text: &str) -> Option<i64> {
    let (_, time) = text.split_once(' ')?;
    let time = jiff::fmt::strtime::parse("%Y-%m-%d %H:%M:%S %z", time).ok()?;
    Some(time.to_timestamp().ok()?.as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_are_read_one_by_one() {
        let line = "-".repeat(60);
        let text = format!(
            "{line}\nrevno: 2 [merge]\ntags: 1.0\nauthor: Ann <a>\ncommitter: Joe <j>\nbranch nick: x\n\
             timestamp: Fri 2009-05-15 10:35:43 +0200\nmessage:\n  added:\n    revno: 9\nadded:\n  d/\n  d/x y\n\
             renamed:\n  a => b\n{line}\nrevno: 3\ncommitter: Joe <j>\ntimestamp: nonsense\nmessage:\n  three\n\
             Use --include-merged or -n0 to see merged revisions.\n"
        );
        let revisions = read(text.lines());
        assert_eq!(revisions.len(), 2);
        let first = &revisions[0];
        assert_eq!(
            (first.revno.as_str(), first.author.as_deref(), first.when),
            ("2", Some("Ann <a>"), Some(1_242_376_543))
        );
        assert_eq!(first.message, "added:\n  revno: 9\n");
        let added = |name: &str| (Deed::Added, name.to_string());
        assert_eq!(first.files, [added("d/"), added("d/x y"), (Deed::Renamed, "a => b".into())]);
        assert_eq!((revisions[1].revno.as_str(), revisions[1].when), ("3", None));
        assert_eq!(read("".lines()), []);
    }
}
