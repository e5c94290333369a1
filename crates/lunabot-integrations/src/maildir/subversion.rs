//! Mails of Subversion's `commit-email.pl` (02.026).
//!
//! ```text
//! Author: joe
//! New Revision: 12
//!
//! Log:
//! the message
//!
//! Modified:
//!    trunk/a.c
//! ```

use super::mail::{Mail, after, paragraph};
use lunabot_data::new::NewChange;

/// The headings of the lists of files.
const HEADINGS: [&str; 3] = ["Added:", "Removed:", "Modified:"];

/// `None` for a mail without a sender, and for one without files.
pub fn read(mail: &Mail) -> Option<NewChange> {
    let mut author = mail.user()?;
    let heading = |line: &String| HEADINGS.contains(&line.trim_end());
    let log = mail.lines.iter().position(|line| line.trim_end() == "Log:").unwrap_or(mail.lines.len());
    let mut revision = None;
    for line in &mail.lines[..log] {
        if let Some(name) = after(line, "Author: ") {
            author = name.split_whitespace().next().unwrap_or(name).to_string();
        }
        if let Some(number) = after(line, "New Revision: ") {
            let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
            revision = Some(digits).filter(|digits| !digits.is_empty());
        }
    }
    let rest = mail.lines.get(log + 1..).unwrap_or_default();
    let lists = rest.iter().position(heading).unwrap_or(rest.len());
    let listed =
        rest[lists..].iter().take_while(|line| !line.trim().is_empty()).filter(|line| !heading(line));
    let files: Vec<String> = listed.map(|line| line.trim().to_string()).collect();
    if files.is_empty() {
        return None;
    }
    Some(NewChange { author, revision, files, comments: paragraph(&rest[..lists]), ..NewChange::default() })
}
