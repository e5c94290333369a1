//! Asking the site at which people log in.

use lunabot_model::Json;
use lunabot_net::http;
use lunabot_net::reqwest::{Client, RequestBuilder, redirect};
use std::time::Duration;

/// For one question.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Longest answer, in bytes.
const MAX_ANSWER: usize = 1 << 20;
/// Items on a page, and pages, of lists.
const PER_PAGE: usize = 100;
const PAGES: usize = 5;

/// Asks in nobody's name.
pub fn client(verify: bool) -> Result<Client, String> {
    // A redirection would carry codes and tokens to elsewhere.
    let builder = http::builder().timeout(TIMEOUT).redirect(redirect::Policy::none());
    builder.tls_danger_accept_invalid_certs(!verify).build().map_err(|e| e.to_string())
}

/// The JSON that a question is answered with. The error holds nothing secret.
pub async fn json(request: RequestBuilder, what: &str) -> Result<Json, String> {
    let request = request.header("accept", "application/json");
    let response = request.send().await.map_err(|e| format!("{what}: {}", http::HttpError::from(e)))?;
    let status = response.status();
    let body = http::body(response, MAX_ANSWER).await.map_err(|e| format!("{what}: {e}"))?;
    let answer = serde_json::from_slice::<Json>(&body);
    if !status.is_success() {
        // OAuth's errors are words that say more than the status.
        let word =
            answer.ok().and_then(|answer| answer["error"].as_str().map(str::to_owned)).unwrap_or_default();
        let word: String = word.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(60).collect();
        return Err(format!("{what}: the site answers {status} {word}"));
    }
    answer.map_err(|_| format!("{what}: the answer is no JSON"))
}

/// Asks in somebody's name.
pub struct Named<'a> {
    pub client: &'a Client,
    pub token: &'a str,
}

impl Named<'_> {
    pub async fn get(&self, url: &str) -> Result<Json, String> {
        json(self.client.get(url).bearer_auth(self.token), url).await
    }

    /// A list of some pages; `key`: where its items are, if not at the top.
    pub async fn list(&self, url: &str, page_size: &str, key: Option<&str>) -> Result<Vec<Json>, String> {
        let mut all = Vec::new();
        for page in 1..=PAGES {
            let query = [(page_size, PER_PAGE.to_string()), ("page", page.to_string())];
            let mut answer = json(self.client.get(url).query(&query).bearer_auth(self.token), url).await?;
            let items = match key {
                Some(key) => answer[key].take(),
                None => answer,
            };
            let Json::Array(items) = items else { return Err(format!("{url}: the answer is not a list")) };
            let last = items.len() < PER_PAGE;
            all.extend(items);
            if last {
                break;
            }
        }
        Ok(all)
    }
}
