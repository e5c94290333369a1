//! Failures on the wire: what was raised, as text.

use super::Jelly;

const CLASS: &str = "twisted.spread.pb.CopyableFailure";

/// A failed call, or a command that broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The class's full name.
    pub class: String,
    pub message: String,
    /// Empty where there is none.
    pub traceback: String,
}

impl Failure {
    /// What a worker waits after and tries again: any other failure of a login ends its process.
    pub fn unauthorized() -> Self {
        Self::new("twisted.cred.error.UnauthorizedLogin", "")
    }

    /// An object or a method that is not there.
    pub fn no_such(what: &str) -> Self {
        Self::new("twisted.spread.flavors.NoSuchMethod", what)
    }

    /// A failure of the master's own.
    pub fn error(message: &str) -> Self {
        Self::new("twisted.spread.pb.Error", message)
    }

    fn new(class: &str, message: &str) -> Self {
        Failure { class: class.into(), message: message.into(), traceback: String::new() }
    }

    /// The value on the wire. Peers look into `parents`, and end if it is not there.
    pub fn write(&self) -> Jelly {
        let parents = [self.class.as_str()].into_iter().chain(self.parents().iter().copied());
        let state = vec![
            ("type".into(), Jelly::Bytes(self.class.clone().into())),
            ("value".into(), Jelly::Text(self.message.clone())),
            ("parents".into(), Jelly::List(parents.map(Jelly::from).collect())),
            ("traceback".into(), "Traceback unavailable\n".into()),
            ("tb".into(), Jelly::None),
            ("frames".into(), Jelly::List(Vec::new())),
            ("stack".into(), Jelly::List(Vec::new())),
        ];
        Jelly::Copied(CLASS.into(), Box::new(Jelly::Dict(state)))
    }

    fn parents(&self) -> &'static [&'static str] {
        if self.class.starts_with("twisted.cred.") {
            &[
                "twisted.cred.error.LoginFailed",
                "twisted.cred.error.Unauthorized",
                "builtins.Exception",
                "builtins.BaseException",
                "builtins.object",
            ]
        } else {
            &["builtins.Exception", "builtins.BaseException", "builtins.object"]
        }
    }

    /// Reads what a peer sent as one, whatever its shape.
    pub fn read(value: &Jelly) -> Self {
        let Jelly::Copied(class, state) = value else {
            let message = value.text().unwrap_or_else(|| format!("{value:?}"));
            return Failure { class: "an error".into(), message, traceback: String::new() };
        };
        let field = |key| state.get(key).and_then(Jelly::text).unwrap_or_default();
        let (kind, traceback) = (field("type"), field("traceback"));
        Failure {
            class: if kind.is_empty() { class.clone() } else { kind },
            message: field("value"),
            traceback: if traceback.starts_with("Traceback unavailable") { String::new() } else { traceback },
        }
    }
}

impl std::fmt::Display for Failure {
    /// The traceback ends in class and message; without one they stand alone.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.traceback.is_empty() {
            write!(f, "{}: {}", self.class, self.message)
        } else {
            write!(f, "{}", self.traceback)
        }
    }
}
