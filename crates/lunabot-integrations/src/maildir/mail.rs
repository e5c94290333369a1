//! What the formats need of a mail.

use mail_parser::MessageParser;

/// A mail.
#[derive(Debug, Default)]
pub struct Mail {
    /// The address of the sender.
    pub from: Option<String>,
    pub subject: String,
    /// Seconds since 1970.
    pub date: Option<i64>,
    /// The lines of its text.
    pub lines: Vec<String>,
}

impl Mail {
    /// `None`: it is no mail.
    pub fn read(bytes: &[u8]) -> Option<Mail> {
        let message = MessageParser::default().parse(bytes)?;
        if message.headers().is_empty() {
            return None;
        }
        let from = message.from().and_then(|from| from.first()).and_then(|from| from.address());
        let text = message.body_text(0).unwrap_or_default();
        Some(Mail {
            from: from.map(str::to_string),
            subject: message.subject().unwrap_or_default().to_string(),
            date: message.date().map(mail_parser::DateTime::to_timestamp),
            lines: text.lines().map(str::to_string).collect(),
        })
    }

    /// Who sent it, as their system knows them: what is before the `@`.
    pub fn user(&self) -> Option<String> {
        let user = self.from.as_deref()?.split('@').next()?;
        (!user.is_empty()).then(|| user.to_string())
    }
}

/// The rest of a line that begins with a word.
pub fn after<'a>(line: &'a str, start: &str) -> Option<&'a str> {
    line.strip_prefix(start).map(str::trim).filter(|rest| !rest.is_empty())
}

/// Lines as one text that ends with a line break, empty lines at the end left out.
pub fn paragraph(lines: &[String]) -> String {
    format!("{}\n", lines.join("\n").trim_end())
}
