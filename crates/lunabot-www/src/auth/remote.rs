//! Logins at a proxy in front, which tells in a header who somebody is (10.023).

use super::kinds::RemoteUserAuthParams;
use super::peer::Asker;
use super::user::User;
use axum::http::HeaderMap;
use lunabot_model::{Json, Problem, pattern};
use regex::Regex;

/// Reads the proxy's header.
#[derive(Debug, Clone)]
pub struct RemoteUser {
    header: String,
    pattern: Regex,
}

impl RemoteUser {
    pub fn new(params: &RemoteUserAuthParams) -> Result<RemoteUser, Problem> {
        let pattern = pattern::anchored(&params.pattern).map_err(|why| Problem::new("headerRegex", why))?;
        Ok(RemoteUser { header: params.header.clone(), pattern })
    }

    /// Whom the header names. The error says why it names nobody.
    pub fn person(&self, headers: &HeaderMap, asker: Asker) -> Result<User, String> {
        let header = &self.header;
        if !asker.trusted {
            let from = asker.address.map_or("a socket".into(), |address| address.to_string());
            return Err(format!(
                "the header {header} is not believed of {from}: it is not among www.trusted_proxies"
            ));
        }
        let mut values = headers.get_all(header).into_iter();
        let value = values.next().and_then(|value| value.to_str().ok());
        let value = value.ok_or_else(|| format!("the proxy sent no header {header}"))?;
        if values.next().is_some() {
            return Err(format!("the header {header} came more than once"));
        }
        let found = self
            .pattern
            .captures(value)
            .ok_or_else(|| format!("the header {header} does not match headerRegex"))?;
        let groups = self.pattern.capture_names().flatten();
        let info: serde_json::Map<String, Json> =
            groups.filter_map(|name| Some((name.to_owned(), found.name(name)?.as_str().into()))).collect();
        let username = info.get("username").and_then(Json::as_str).filter(|name| !name.is_empty());
        let username = username.ok_or_else(|| format!("the header {header} names nobody"))?;
        let mut info = info.clone();
        info.entry("email").or_insert_with(|| username.into());
        Ok(User::from_info(info))
    }
}
