//! Who a worker says it is: HTTP Basic authentication in the WebSocket's opening request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Name and password, as sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub name: String,
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Why the request tells nobody's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadLogin {
    /// To be answered with 401.
    #[error("no Authorization header")]
    Missing,
    /// To be answered with 400.
    #[error("an Authorization header that is not Basic, or not base64 of name:password")]
    Malformed,
}

impl BadLogin {
    /// The status of the HTTP answer.
    pub fn status(self) -> u16 {
        match self {
            BadLogin::Missing => 401,
            BadLogin::Malformed => 400,
        }
    }
}

impl Credentials {
    /// Reads the value of the header `Authorization`. A password may hold colons, a name cannot.
    pub fn read(header: Option<&[u8]>) -> Result<Self, BadLogin> {
        let text = std::str::from_utf8(header.ok_or(BadLogin::Missing)?).map_err(|_| BadLogin::Malformed)?;
        let (scheme, encoded) = text.trim().split_once(' ').ok_or(BadLogin::Malformed)?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return Err(BadLogin::Malformed);
        }
        let bytes = STANDARD.decode(encoded.trim()).map_err(|_| BadLogin::Malformed)?;
        let text = String::from_utf8(bytes).map_err(|_| BadLogin::Malformed)?;
        let (name, password) = text.split_once(':').ok_or(BadLogin::Malformed)?;
        Ok(Credentials { name: name.into(), password: password.into() })
    }

    /// The value of the header `Authorization`: [`Credentials::read`] the other way round.
    pub fn header(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", self.name, self.password)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_08_031_the_header_is_read_or_refused_with_a_status() {
        let ok =
            |name: &str, password: &str| Ok(Credentials { name: name.into(), password: password.into() });
        for (header, wanted) in [
            (Some("Basic bXAtbG9naW46cGE1NXfDtnJk"), ok("mp-login", "pa55wörd")),
            (Some("basic dzE6YTpi"), ok("w1", "a:b")),
            (Some("Basic bm9jb2xvbg=="), Err(BadLogin::Malformed)),
            (Some("Basic ///"), Err(BadLogin::Malformed)),
            (Some("Bearer bXAtbG9naW46cGE1NXfDtnJk"), Err(BadLogin::Malformed)),
            (Some("Basic"), Err(BadLogin::Malformed)),
            (None, Err(BadLogin::Missing)),
        ] {
            assert_eq!(Credentials::read(header.map(str::as_bytes)), wanted, "{header:?}");
        }
        let written = Credentials { name: "mp-login".into(), password: "pa55wörd".into() }.header();
        assert_eq!(written, "Basic bXAtbG9naW46cGE1NXfDtnJk");
        assert_eq!((BadLogin::Missing.status(), BadLogin::Malformed.status()), (401, 400));
    }

    #[test]
    fn a_password_is_not_printed() {
        let credentials = Credentials { name: "w".into(), password: "hush".into() };
        assert!(!format!("{credentials:?}").contains("hush"));
    }
}
