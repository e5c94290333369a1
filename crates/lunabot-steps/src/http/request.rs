//! From the options of an HTTP step to a request.

use lunabot_engine::step::StepContext;
use lunabot_model::{Duration, Json, StringOrList, percent};
use lunabot_net::http::{HttpError, builder};
use lunabot_net::reqwest::header::{COOKIE, HeaderMap, HeaderName, HeaderValue};
use lunabot_net::reqwest::multipart::{Form, Part};
use lunabot_net::reqwest::redirect::Policy;
use lunabot_net::reqwest::{Certificate, Client, Identity, Method, Proxy, Request, RequestBuilder};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Redirections that are followed.
const MAX_REDIRECTS: usize = 30;
/// Seconds without a sign of the server, where the step does not say.
const TIMEOUT: f64 = 300.0;

/// `verify`: whether the certificate is checked, or a file of those to trust.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Verify {
    Switch(bool),
    File(String),
}

/// The options, rendered. Those of every step are passed over.
#[derive(Debug, Deserialize)]
pub struct RequestOptions {
    pub url: String,
    #[serde(default)]
    pub hide_request_headers: Vec<String>,
    #[serde(default)]
    pub hide_response_headers: Vec<String>,
    #[serde(default)]
    params: BTreeMap<String, Json>,
    data: Option<Json>,
    json: Option<Json>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    cookies: BTreeMap<String, String>,
    #[serde(default)]
    files: BTreeMap<String, StringOrList>,
    auth: Option<Vec<String>>,
    timeout: Option<Duration>,
    allow_redirects: Option<bool>,
    #[serde(default)]
    proxies: BTreeMap<String, String>,
    verify: Option<Verify>,
    cert: Option<StringOrList>,
}

impl RequestOptions {
    /// The error names the option.
    pub async fn prepare(&self, cx: &StepContext, method: &str) -> Result<(Client, Request), String> {
        let client = self.client(cx).await?;
        let method = Method::from_bytes(method.as_bytes()).map_err(|error| format!("method: {error}"))?;
        let mut request = client.request(method, &self.url).headers(self.headers()?);
        if !self.params.is_empty() {
            request = request.query(&pairs(&self.params)?);
        }
        request = match self.auth.as_deref() {
            None => request,
            Some([user, password]) => request.basic_auth(user, Some(password)),
            Some(_) => return Err("auth: expected {user, password}".into()),
        };
        let request = self.payload(request)?.build();
        Ok((client, request.map_err(|error| HttpError::from(error).message)?))
    }

    async fn client(&self, cx: &StepContext) -> Result<Client, String> {
        let redirects = self.allow_redirects.unwrap_or(true);
        let policy = if redirects { Policy::limited(MAX_REDIRECTS) } else { Policy::none() };
        let timeout = self.timeout.unwrap_or(Duration(TIMEOUT)).std();
        let mut client = builder().redirect(policy).read_timeout(timeout).connect_timeout(timeout);
        for (scheme, address) in &self.proxies {
            let proxy = match scheme.as_str() {
                "http" => Proxy::http(address),
                "https" => Proxy::https(address),
                "all" => Proxy::all(address),
                other => return Err(format!("proxies: {other} is none of http, https, all")),
            };
            client = client.proxy(proxy.map_err(|error| format!("proxies.{scheme}: {error}"))?);
        }
        match &self.verify {
            None | Some(Verify::Switch(true)) => {}
            Some(Verify::Switch(false)) => client = client.tls_danger_accept_invalid_certs(true),
            Some(Verify::File(path)) => {
                let bundle = Certificate::from_pem_bundle(&file(cx, "verify", path).await?);
                for certificate in bundle.map_err(|error| format!("verify: {path}: {error}"))? {
                    client = client.add_root_certificate(certificate);
                }
            }
        }
        if let Some(StringOrList(paths)) = &self.cert {
            let mut pem = Vec::new();
            for path in paths {
                pem.extend(file(cx, "cert", path).await?);
                pem.push(b'\n');
            }
            client = client.identity(Identity::from_pem(&pem).map_err(|error| format!("cert: {error}"))?);
        }
        client.build().map_err(|error| HttpError::from(error).message)
    }

    fn headers(&self) -> Result<HeaderMap, String> {
        let mut all = HeaderMap::new();
        for (name, value) in &self.headers {
            let wrong = || format!("headers.{name} is not a header that can be sent");
            let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
            all.insert(key, HeaderValue::from_str(value).map_err(|_| wrong())?);
        }
        if !self.cookies.is_empty() {
            let cookies: Vec<String> =
                self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let value = HeaderValue::from_str(&cookies.join("; "));
            all.insert(
                COOKIE,
                value.map_err(|_| "cookies cannot be sent: they hold line breaks or the like")?,
            );
        }
        Ok(all)
    }

    fn payload(&self, request: RequestBuilder) -> Result<RequestBuilder, String> {
        if let Some(json) = &self.json {
            return Ok(request.json(json));
        }
        if !self.files.is_empty() {
            return Ok(request.multipart(self.form()?));
        }
        match &self.data {
            None | Some(Json::Null) => Ok(request),
            Some(Json::Object(fields)) => {
                let fields: BTreeMap<String, Json> = fields.clone().into_iter().collect();
                Ok(request.form(&pairs(&fields)?))
            }
            Some(Json::Array(_)) => Err("data: expected a text or a table with names".into()),
            Some(other) => Ok(request.body(percent::text(other))),
        }
    }

    fn form(&self) -> Result<Form, String> {
        let mut form = Form::new();
        match &self.data {
            None | Some(Json::Null) => {}
            Some(Json::Object(fields)) => {
                for (name, value) in pairs(&fields.clone().into_iter().collect())? {
                    form = form.text(name.to_string(), value);
                }
            }
            Some(_) => return Err("data: with files, expected a table with names".into()),
        }
        for (name, StringOrList(file)) in &self.files {
            let part = match file.as_slice() {
                [content] => Part::text(content.clone()).file_name(name.clone()),
                [filename, content] => Part::text(content.clone()).file_name(filename.clone()),
                [filename, content, kind] => {
                    let part = Part::text(content.clone()).file_name(filename.clone());
                    part.mime_str(kind).map_err(|error| format!("files.{name}: {error}"))?
                }
                _ => {
                    return Err(format!(
                        "files.{name}: expected a text or {{filename, content, content_type}}"
                    ));
                }
            };
            form = form.part(name.clone(), part);
        }
        Ok(form)
    }
}

async fn file(cx: &StepContext, option: &str, path: &str) -> Result<Vec<u8>, String> {
    let path = cx.master_path(path);
    let read = tokio::fs::read(&path).await;
    read.map_err(|error| format!("{option}: cannot read {} on the master: {error}", path.display()))
}

/// Names and values as texts; a list is the same name several times.
fn pairs(fields: &BTreeMap<String, Json>) -> Result<Vec<(&str, String)>, String> {
    let mut all = Vec::new();
    for (name, value) in fields {
        let values = match value {
            Json::Array(items) => items.as_slice(),
            Json::Null => &[],
            one => std::slice::from_ref(one),
        };
        for value in values {
            match value {
                Json::Bool(truth) => all.push((name.as_str(), truth.to_string())),
                Json::String(_) | Json::Number(_) => all.push((name.as_str(), percent::text(value))),
                other => return Err(format!("{name} is not a text or a number: {other}")),
            }
        }
    }
    Ok(all)
}
