//! `steps.HTTPStep` and `steps.POST GET PUT DELETE HEAD OPTIONS` (06.044): the master asks a web server.

mod request;

use crate::common::step_kind;
use async_trait::async_trait;
use lunabot_engine::step::{
    LogEncoding, LogHandle, OwnChecks, Renderable, Results, Step, StepContext, StepDefaults, StepError,
    StepKind, TextPieces, read,
};
use lunabot_engine::step_params;
use lunabot_model::kind::{check_as, schema_of};
use lunabot_model::resources::LogType;
use lunabot_model::{Duration, FromLua, Json, Kind, Problem, StringOrList};
use lunabot_net::http::HttpError;
use lunabot_net::reqwest::Response;
use lunabot_net::reqwest::header::HeaderMap;
use request::{RequestOptions, Verify};
use std::collections::BTreeMap;

/// Methods of `HTTPStep`.
const METHODS: &[&str] = &["POST", "GET", "PUT", "DELETE", "HEAD", "OPTIONS"];

/// The options of all steps of this file.
macro_rules! http_params {
    ($(#[$attr:meta])* $name:ident { $($own:tt)* }) => {
        step_params! {
            $(#[$attr])*
            #[allow(dead_code, reason = "checked here, and read again as RequestOptions")]
            pub struct $name {
                /// The address.
                pub url: Renderable<String>,
                $($own)*
                /// Names of request headers whose values the log does not show.
                pub hide_request_headers: Option<Renderable<Vec<String>>>,
                /// Names of response headers whose values the log does not show.
                pub hide_response_headers: Option<Renderable<Vec<String>>>,
                /// Parameters that are added to the address.
                pub params: Option<Renderable<BTreeMap<String, Json>>>,
                /// What is sent: a text, or a table that is sent as a form.
                pub data: Option<Renderable<Json>>,
                /// What is sent, as JSON.
                pub json: Option<Renderable<Json>>,
                /// Headers of the request.
                pub headers: Option<Renderable<BTreeMap<String, String>>>,
                /// Cookies of the request.
                pub cookies: Option<Renderable<BTreeMap<String, String>>>,
                /// Files of a form: name → content, or `{filename, content, content_type}`.
                pub files: Option<Renderable<BTreeMap<String, StringOrList>>>,
                /// `{user, password}`.
                pub auth: Option<Renderable<Vec<String>>>,
                /// Seconds without a sign of the server after which it is given up. Default 300.
                #[schemars(extend("default" = 300))]
                pub timeout: Option<Renderable<Duration>>,
                /// Whether redirections are followed. Default true.
                #[schemars(extend("default" = true))]
                pub allow_redirects: Option<Renderable<bool>>,
                /// Proxies by scheme: `{https = "http://proxy:3128"}`. Default: those of the environment.
                pub proxies: Option<Renderable<BTreeMap<String, String>>>,
                /// Whether the server's certificate is checked; or a file of certificates to trust. Default true.
                #[schemars(extend("default" = true))]
                pub verify: Option<Renderable<Verify>>,
                /// A file with the client's certificate and key, or `{certificate, key}`.
                pub cert: Option<Renderable<StringOrList>>,
                /// Not supported.
                pub hooks: Option<Json>,
                /// Not supported: the answer is always read to its end.
                pub stream: Option<Json>,
            }
        }

        impl OwnChecks for $name {
            fn problems(&self) -> Vec<Problem> {
                let both = self.json.is_some() && (self.data.is_some() || self.files.is_some());
                let pair = |auth: &Renderable<Vec<String>>| auth.literal().is_none_or(|pair| pair.len() == 2);
                let negative = |time: &Renderable<Duration>| time.literal().is_some_and(|time| time.0 < 0.0);
                let told = [
                    (self.timeout.as_ref().is_some_and(negative), "timeout", "expected 0 seconds or more"),
                    (self.hooks.is_some(), "hooks", "not supported yet"),
                    (self.stream.is_some(), "stream", "has no use: the answer is read to its end; leave it out"),
                    (both, "json", "excludes data and files"),
                    (!self.auth.as_ref().is_none_or(pair), "auth", "expected {user, password}"),
                ];
                told.iter().filter(|(is, ..)| *is).map(|(_, option, text)| Problem::new(*option, *text)).collect()
            }
        }
    };
}

http_params! {
    /// Asks a web server.
    HttpStepParams {
        /// `POST GET PUT DELETE HEAD OPTIONS`.
        pub method: Renderable<Method>,
    }
}

http_params! {
    /// Asks a web server by one method.
    HttpVerbParams {}
}

/// A method of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    Post,
    Get,
    Put,
    Delete,
    Head,
    Options,
}

const POSITIONAL: &[&str] = &["url", "method", "hide_request_headers", "hide_response_headers"];
const DEFAULTS: StepDefaults = StepDefaults::named("HTTPStep").described("Requesting", "Requested");

/// Declares `steps.HTTPStep`.
pub static HTTP_STEP: StepKind = StepKind {
    kind: step_kind(
        "HTTPStep",
        POSITIONAL,
        "Sends a request to a web server, from the master. A status below 400 is success.",
        schema_of::<HttpStepParams>,
        check_as::<HttpStepParams>,
    ),
    defaults: DEFAULTS,
    build: |rendered| {
        let params: HttpStepParams = read(rendered)?;
        let missing = || StepError::Exception("method: not a method".into());
        made(rendered, METHODS[params.method.literal().ok_or_else(missing)? as usize])
    },
};

const fn verb(name: &'static str, doc: &'static str) -> Kind {
    step_kind(name, &["url"], doc, schema_of::<HttpVerbParams>, check_as::<HttpVerbParams>)
}

fn made_verb(rendered: &Json, method: &'static str) -> Result<Box<dyn Step>, StepError> {
    read::<HttpVerbParams>(rendered)?;
    made(rendered, method)
}

macro_rules! verbs {
    ($($name:ident),*) => {
        $(
            /// Declares the step for this method.
            pub static $name: StepKind = StepKind {
                kind: verb(stringify!($name), concat!("HTTPStep with the method ", stringify!($name), ".")),
                defaults: DEFAULTS,
                build: |rendered| made_verb(rendered, stringify!($name)),
            };
        )*
    };
}
verbs!(POST, GET, PUT, DELETE, HEAD, OPTIONS);

fn made(rendered: &Json, method: &'static str) -> Result<Box<dyn Step>, StepError> {
    let options: RequestOptions =
        FromLua(rendered).read().map_err(|error| StepError::Exception(error.to_string()))?;
    Ok(Box::new(HttpStep { options, method, status: None }))
}

struct HttpStep {
    options: RequestOptions,
    method: &'static str,
    status: Option<u16>,
}

#[async_trait]
impl Step for HttpStep {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        let log = cx.add_log("log", LogType::Stdio).await?;
        let asked = tokio::select! {
            asked = self.ask(cx, &log) => asked?,
            () = cx.interrupted() => return Err(cx.interruption()),
        };
        match asked {
            Ok(status) if status < 400 => Ok(Results::Success),
            Ok(_) => Ok(Results::Failure),
            Err(error) => {
                log.add_stderr(&format!("the request failed: {error}\n")).await?;
                Ok(Results::Failure)
            }
        }
    }

    fn result_summary(&self, _: Results) -> Option<String> {
        self.status.map(|status| format!("Status code: {status}"))
    }
}

impl HttpStep {
    /// Asks; gives the status. The inner error is one of the request, the outer of the step.
    async fn ask(&mut self, cx: &StepContext, log: &LogHandle) -> Result<Result<u16, String>, StepError> {
        let (client, request) = match self.options.prepare(cx, self.method).await {
            Ok(prepared) => prepared,
            Err(error) => return Ok(Err(error)),
        };
        let url = request.url().clone();
        log.add_header(&format!("{} {url}\n", self.method)).await?;
        let headers = shown(request.headers(), &self.options.hide_request_headers);
        log.add_header(&format!("request headers:\n{headers}")).await?;
        let response = match client.execute(request).await {
            Ok(response) => response,
            Err(error) => return Ok(Err(HttpError::from(error).message)),
        };
        let status = response.status();
        self.status = Some(status.as_u16());
        if response.url() != &url {
            log.add_stdout(&format!("answered by {}\n", response.url())).await?;
        }
        let headers = shown(response.headers(), &self.options.hide_response_headers);
        log.add_stdout(&format!("status: {status}\n")).await?;
        log.add_header(&format!("response headers:\n{headers}")).await?;
        Ok(content(cx, response).await?.map(|()| status.as_u16()))
    }
}

/// Headers for the log, one a line.
fn shown(headers: &HeaderMap, hidden: &[String]) -> String {
    let line = |(name, value): (
        &lunabot_net::reqwest::header::HeaderName,
        &lunabot_net::reqwest::header::HeaderValue,
    )| {
        let is_hidden = hidden.iter().any(|one| one.eq_ignore_ascii_case(name.as_str()));
        let value = String::from_utf8_lossy(value.as_bytes());
        format!("  {name}: {}\n", if is_hidden { "<HIDDEN>" } else { &value })
    };
    headers.iter().map(line).collect()
}

/// The answer, into the log `content` as it comes: of any size, within the limits of logs.
async fn content(cx: &StepContext, mut response: Response) -> Result<Result<(), String>, StepError> {
    let log = cx.add_log("content", LogType::Stdio).await?;
    // The configuration's is that of commands.
    let mut text = TextPieces::new(&cx.own_encoding().unwrap_or(LogEncoding::UTF_8));
    let ended = loop {
        match response.chunk().await {
            Ok(Some(piece)) => log.add_stdout(&text.push(cx, &piece).await?).await?,
            Ok(None) => break Ok(()),
            Err(error) => break Err(HttpError::from(error).message),
        }
    };
    log.add_stdout(&text.finish()).await?;
    Ok(ended)
}
