//! What a pull request's payload lacks, asked of GitHub: the message of the head commit, and the files.
//!
//! An API that does not answer, or a token that cannot be had, costs the change its files, not its build: GitHub sends an
//! event once.

use super::GitHub;
use crate::hooks::{HookError, HookScope};
use lunabot_model::{Clock, Json, Properties};
use lunabot_net::http;
use lunabot_net::reqwest::header::{ACCEPT, AUTHORIZATION};
use lunabot_net::reqwest::{Client, Url};
use std::sync::Arc;
use std::time::Duration;

/// For one question.
const TIMEOUT: Duration = Duration::from_secs(10);
/// For all pages of the list of files.
const TIMEOUT_OF_ALL: Duration = Duration::from_secs(30);
/// Longest answer, in bytes: a page of files comes with their patches.
const MAX_ANSWER: usize = 32 << 20;
/// Files on a page, and pages; GitHub tells no more than 3000 files.
const PER_PAGE: usize = 100;
const PAGES: usize = 30;

/// Reads the address of an API. The error says what is wrong.
pub fn address(text: &str) -> Result<Url, String> {
    let wanted = || format!("{text} is not the address of an API, e.g. https://github.example.org/api/v3");
    let url = Url::parse(text).map_err(|_| wanted())?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() { Ok(url) } else { Err(wanted()) }
}

/// What proves to GitHub who asks; it may depend on the repository's full name (02.033). `None`, too, where it cannot be
/// had now: what is public is told without.
pub async fn token(options: &GitHub, project: &str, scope: &HookScope) -> Option<String> {
    let mut properties = Properties::new();
    properties.set("full_name", project, "change_hook");
    let value = scope.service.value_of(options.token.as_ref()?, &properties).await;
    value
        .inspect_err(|error| tracing::warn!("change hook github: GitHub is asked without the token: {error}"))
        .ok()
}

pub struct Api {
    client: Client,
    base: Url,
    token: Option<String>,
    debug: bool,
    clock: Arc<dyn Clock>,
}

impl Api {
    /// `project`: the repository's full name.
    pub async fn new(options: &GitHub, project: &str, scope: &HookScope) -> Result<Self, HookError> {
        let failed = |error: String| HookError::Failed(error);
        let token = token(options, project, scope).await;
        let client = http::builder().timeout(TIMEOUT).tls_danger_accept_invalid_certs(!options.verify);
        Ok(Api {
            client: client.build().map_err(|error| failed(error.to_string()))?,
            base: address(&options.github_api_endpoint).map_err(failed)?,
            token,
            debug: options.debug,
            clock: Arc::clone(&scope.clock),
        })
    }

    /// The message of a commit and the files of a pull request; empty where GitHub does not tell.
    pub async fn commit_and_files(
        &self,
        project: &str,
        revision: &str,
        number: i64,
    ) -> (String, Vec<String>) {
        let (message, files) = futures::join!(self.message(project, revision), self.files(project, number));
        let told = |what: &str, error: String| {
            tracing::warn!("change hook github: {what} of pull request {project}#{number}: {error}");
        };
        let message = message.unwrap_or_else(|error| {
            told("the commit message", error);
            String::new()
        });
        let files = files.unwrap_or_else(|error| {
            told("the files", error);
            Vec::new()
        });
        (message, files)
    }

    pub async fn message(&self, project: &str, revision: &str) -> Result<String, String> {
        let answer = self.get(project, &["commits", revision], &[]).await?;
        let message = answer["commit"]["message"].as_str();
        message.map(String::from).ok_or_else(|| "the answer has no commit.message".into())
    }

    async fn files(&self, project: &str, number: i64) -> Result<Vec<String>, String> {
        let late = self.clock.sleep(TIMEOUT_OF_ALL);
        tokio::select! {
            files = self.all_files(project, number) => files,
            () = late => Err(format!("they were not told within {} s", TIMEOUT_OF_ALL.as_secs())),
        }
    }

    async fn all_files(&self, project: &str, number: i64) -> Result<Vec<String>, String> {
        let mut names = Vec::new();
        for page in 1..=PAGES {
            let query = [("per_page", PER_PAGE.to_string()), ("page", page.to_string())];
            let answer = self.get(project, &["pulls", &number.to_string(), "files"], &query).await?;
            let files = answer.as_array().ok_or("the answer is not a list")?;
            // A file that was renamed touches both places.
            let both = files.iter().flat_map(|file| [file.get("filename"), file.get("previous_filename")]);
            names.extend(both.flatten().filter_map(Json::as_str).map(String::from));
            if files.len() < PER_PAGE {
                break;
            }
        }
        Ok(names)
    }

    async fn get(&self, project: &str, path: &[&str], query: &[(&str, String)]) -> Result<Json, String> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("repos").extend(project.split('/')).extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        if self.debug {
            tracing::info!("change hook github asks {url}");
        }
        let mut request = self.client.get(url).header(ACCEPT, "application/vnd.github+json");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("token {token}"));
        }
        let response = request.send().await.map_err(|e| http::HttpError::from(e).to_string())?;
        let status = response.status();
        if !status.is_success() {
            return Err(format!("GitHub answers {status}"));
        }
        let body = http::body(response, MAX_ANSWER).await.map_err(|e| e.to_string())?;
        serde_json::from_slice(&body).map_err(|e| format!("the answer is no JSON: {e}"))
    }
}
