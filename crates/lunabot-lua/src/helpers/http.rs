//! `util.http`: asking other servers, without blocking the master (lua-api § 2, "Helpers").
//!
//! Statuses are answers; only a request that has no answer raises, with `err.kind`. How the answer looks in Lua is in
//! `prelude/http.lua`.

use crate::cached::seconds_of;
use crate::convert::Reader;
use crate::live::{Outside, args_to_json};
use crate::origin::raise;
use crate::shape::Shape;
use crate::state::Shared;
use crate::values::to_lua;
use lunabot_model::kind::nearest;
use lunabot_model::object::is_dynamic;
use lunabot_model::{Arg, Json};
use lunabot_net::http::{self, HttpError};
use lunabot_net::reqwest::header::{HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use lunabot_net::reqwest::{Client, Method, RequestBuilder, cookie::Jar, redirect::Policy};
use mlua::{AnyUserData, ExternalError, Lua, LuaString, MultiValue, Table, UserData, Value};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Longest answer that is taken.
const MAX_BODY: usize = 64 << 20;
/// For a whole request, where `timeout` says nothing.
const TIMEOUT: f64 = 30.0;
/// Redirections that are followed.
const MAX_REDIRECTS: usize = 30;
/// What a request may say.
const OPTIONS: [&str; 12] = [
    "url",
    "method",
    "headers",
    "params",
    "json",
    "data",
    "auth",
    "timeout",
    "allow_redirects",
    "verify",
    "cookies",
    "token",
];

pub(crate) fn add(lua: &Lua, host: &Table) -> mlua::Result<()> {
    host.raw_set("http_clients", lua.create_function(|lua, jar: bool| clients(lua, jar))?)?;
    host.raw_set("http_request", lua.create_async_function(request)?)
}

/// The clients of one session, or those that all requests without a session share; made when first needed.
struct Clients {
    jar: Option<Arc<Jar>>,
    /// By whether redirections are followed, and whether certificates are checked.
    made: RefCell<HashMap<(bool, bool), Client>>,
}

impl UserData for Clients {}

fn clients(lua: &Lua, jar: bool) -> mlua::Result<AnyUserData> {
    lua.create_userdata(Clients { jar: jar.then(Arc::default), made: RefCell::default() })
}

impl Clients {
    fn client(&self, redirects: bool, verify: bool) -> Result<Client, HttpError> {
        if let Some(known) = self.made.borrow().get(&(redirects, verify)) {
            return Ok(known.clone());
        }
        let policy = if redirects { Policy::limited(MAX_REDIRECTS) } else { Policy::none() };
        let mut builder = http::builder().redirect(policy).tls_danger_accept_invalid_certs(!verify);
        if let Some(jar) = &self.jar {
            builder = builder.cookie_provider(jar.clone());
        }
        let client = builder.build()?;
        self.made.borrow_mut().insert((redirects, verify), client.clone());
        Ok(client)
    }
}

/// An answer, plain.
struct Answer {
    status: u16,
    url: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// Sends one request; `options` are those of the call over those of the session.
async fn request(lua: Lua, (clients, options): (AnyUserData, Table)) -> mlua::Result<Table> {
    render(&lua, &options).await?;
    let prepared = prepare(&lua, &*clients.borrow::<Clients>()?, &options)?;
    let shared = Shared::of(&lua);
    let (work, timeout) = prepared;
    let handle = shared.outside.clone().map_or_else(tokio::runtime::Handle::try_current, Ok);
    let handle = handle.map_err(|error| raise(&lua, error))?;
    let sent = handle.spawn(async move {
        let response = work.timeout(timeout).send().await?;
        let (status, url) = (response.status().as_u16(), response.url().to_string());
        let headers = response.headers().clone();
        let body = http::body(response, MAX_BODY).await?.to_vec();
        Ok(Answer { status, url, headers, body })
    });
    let ended = Running(sent).await.map_err(|error| raise(&lua, error))?;
    answer(&lua, ended.map_err(|error: HttpError| told(&lua, error))?)
}

/// What proves who asks may be a `util.Secret`, a token and the like: they become texts.
async fn render(lua: &Lua, options: &Table) -> mlua::Result<()> {
    let shared = Shared::of(lua);
    for name in ["token", "auth", "headers"] {
        let value = options.raw_get::<Value>(name)?;
        if !value.is_userdata() && !value.as_table().is_some_and(holds_objects) {
            continue;
        }
        let value = args_to_json(lua, MultiValue::from_iter([value]))?.pop().unwrap_or_default();
        let rendered = rendered(lua, &shared, value).await;
        let rendered = rendered.and_then(|found| match holds_null(&found) {
            true => Err("yields nothing".into()),
            false => Ok(found),
        });
        let told = |error: String| raise(lua, format!("util.http: {name}: {error}"));
        options.raw_set(name, to_lua(lua, &shared, &rendered.map_err(told)?)?)?;
    }
    Ok(())
}

/// What a value yields where the function is called: in a build with its properties, and hidden in its logs.
async fn rendered(lua: &Lua, shared: &Shared, value: Json) -> Result<Json, String> {
    let renders = crate::limits::Limits::of(lua).map_err(|error| error.to_string())?.renders();
    if let Some(live) = renders {
        let answer = Outside::new(shared, live.invoke("render", vec![Arg::Value(value)])).await;
        return answer.map_err(|error| error.message)?.into_json();
    }
    let early = "is rendered in callbacks only, not while the file is loaded";
    let port = shared.options.master.clone().ok_or(early)?;
    Outside::new(shared, port.call("render", vec![value, "util.http".into()])).await
}

fn holds_null(value: &Json) -> bool {
    match value {
        Json::Array(items) => items.iter().any(Json::is_null),
        Json::Object(named) => named.values().any(Json::is_null),
        other => other.is_null(),
    }
}

fn holds_objects(table: &Table) -> bool {
    table.pairs::<Value, Value>().flatten().any(|(_, value)| value.is_userdata())
}

/// Ends the request with the callback that made it.
struct Running<T>(JoinHandle<T>);

impl<T> Future for Running<T> {
    type Output = Result<T, tokio::task::JoinError>;
    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        std::pin::Pin::new(&mut self.0).poll(cx)
    }
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The error as Lua sees it: with its place, and `kind`.
fn told(lua: &Lua, error: HttpError) -> mlua::Error {
    let message = crate::failure::message_of(&raise(lua, format!("util.http: {}", error.message)));
    Failed { kind: error.kind.name(), message }.into_lua_err()
}

/// An error that has a kind.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failed {
    pub kind: &'static str,
    pub message: String,
}

fn prepare(lua: &Lua, clients: &Clients, options: &Table) -> mlua::Result<(RequestBuilder, Duration)> {
    check_names(lua, options)?;
    let wrong = |what: &str| raise(lua, format!("util.http: {what}"));
    let url: String = match options.raw_get::<Value>("url")? {
        Value::String(url) => url.to_str()?.to_string(),
        _ => return Err(wrong("url is missing: util.http.get{\"https://…\"}")),
    };
    let method: String = options.raw_get("method")?;
    let method =
        Method::from_bytes(method.as_bytes()).map_err(|_| wrong("method is not a method of HTTP"))?;
    let redirects = options.raw_get::<Option<bool>>("allow_redirects")?.unwrap_or(true);
    let verify = options.raw_get::<Option<bool>>("verify")?.unwrap_or(true);
    let client = clients.client(redirects, verify).map_err(|error| told(lua, error))?;
    let mut request = client.request(method, url);
    if let Some(params) = options.raw_get::<Option<Table>>("params")? {
        request = request.query(&pairs_of(lua, "params", &params)?);
    }
    request = request.headers(headers(lua, options)?);
    request = auth(lua, options, request)?;
    request = payload(lua, options, request)?;
    let seconds = match options.raw_get::<Value>("timeout")? {
        Value::Nil => TIMEOUT,
        given => seconds_of(&given).map_err(|error| wrong(&format!("timeout: {error}")))?,
    };
    if seconds <= 0.0 {
        return Err(wrong("timeout is a length of time above 0"));
    }
    Ok((request, Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)))
}

fn check_names(lua: &Lua, options: &Table) -> mlua::Result<()> {
    for pair in options.pairs::<Value, Value>() {
        let (key, _) = pair?;
        let name = key.to_string()?;
        if !OPTIONS.contains(&name.as_str()) {
            let hint =
                nearest(&name, OPTIONS).map_or(String::new(), |near| format!(", did you mean {near}?"));
            return Err(raise(lua, format!("util.http: {name}: unknown option{hint}")));
        }
    }
    Ok(())
}

fn headers(lua: &Lua, options: &Table) -> mlua::Result<HeaderMap> {
    let mut all = HeaderMap::new();
    let mut put = |name: &str, value: &str| {
        let wrong = || raise(lua, format!("util.http: headers.{name} is not a header that can be sent"));
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| wrong())?;
        all.insert(key, value);
        Ok::<(), mlua::Error>(())
    };
    for (name, value) in options
        .raw_get::<Option<Table>>("headers")?
        .map_or(Ok(Vec::new()), |table| pairs_of(lua, "headers", &table))?
    {
        put(&name, &value)?;
    }
    if let Some(table) = options.raw_get::<Option<Table>>("cookies")? {
        let cookies = pairs_of(lua, "cookies", &table)?;
        let text: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        put("cookie", &text.join("; "))?;
    }
    Ok(all)
}

/// `auth = {"user", "password"}`, or `token = "…"` for a bearer.
fn auth(lua: &Lua, options: &Table, request: RequestBuilder) -> mlua::Result<RequestBuilder> {
    let request = match options.raw_get::<Value>("auth")? {
        Value::Nil => request,
        Value::Table(pair)
            if pair.raw_len() == 2
                && pair.sequence_values().all(|part| part.is_ok_and(|p: Value| p.is_string())) =>
        {
            request.basic_auth(pair.raw_get::<String>(1)?, Some(pair.raw_get::<String>(2)?))
        }
        _ => return Err(raise(lua, "util.http: auth is {\"user\", \"password\"}")),
    };
    let token = options.raw_get::<Option<String>>("token")?;
    Ok(token.into_iter().fold(request, RequestBuilder::bearer_auth))
}

fn payload(lua: &Lua, options: &Table, request: RequestBuilder) -> mlua::Result<RequestBuilder> {
    let (json, data) = (options.raw_get::<Value>("json")?, options.raw_get::<Value>("data")?);
    match (json, data) {
        (Value::Nil, Value::Nil) => Ok(request),
        (Value::Nil, Value::String(text)) => Ok(request.body(text.as_bytes().to_vec())),
        (Value::Nil, Value::Table(form)) => Ok(request.form(&pairs_of(lua, "data", &form)?)),
        (value, Value::Nil) => {
            let shared = Shared::of(lua);
            let mut reader = Reader::new(lua, &shared);
            let json = reader.option("json", &value, &Shape::ANY).unwrap_or(Json::Null);
            match reader.problems.first() {
                Some(problem) => Err(raise(lua, format!("util.http: {}: {}", problem.path, problem.message))),
                None if is_dynamic(&json) => {
                    let told = "util.http: json holds what has to be rendered first, as self:render(…) or \
                                properties:render(…) does";
                    Err(raise(lua, told))
                }
                None => Ok(request.json(&json)),
            }
        }
        _ => Err(raise(lua, "util.http: give json or data, not both; data is a text or a table of texts")),
    }
}

/// Names and values as texts; a list is the same name several times.
fn pairs_of(lua: &Lua, option: &str, table: &Table) -> mlua::Result<Vec<(String, String)>> {
    let text = |name: &str, value: &Value| match value {
        Value::String(_) | Value::Integer(_) | Value::Number(_) | Value::Boolean(_) => value.to_string(),
        _ => Err(raise(lua, format!("util.http: {option}.{name} is not a text or a number"))),
    };
    let mut all = Vec::new();
    for pair in table.pairs::<String, Value>() {
        match pair? {
            (name, Value::Table(items)) => {
                for item in items.sequence_values::<Value>() {
                    all.push((name.clone(), text(&name, &item?)?));
                }
            }
            (name, value) => all.push((name.clone(), text(&name, &value)?)),
        }
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(all)
}

fn answer(lua: &Lua, answer: Answer) -> mlua::Result<Table> {
    let result = lua.create_table()?;
    result.raw_set("status", answer.status)?;
    result.raw_set("ok", answer.status < 400)?;
    result.raw_set("url", answer.url)?;
    let (headers, cookies) = (lua.create_table()?, lua.create_table()?);
    for name in answer.headers.keys() {
        let values: Vec<_> = answer
            .headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        headers.raw_set(name.as_str(), values.join(", "))?;
    }
    for value in answer.headers.get_all(SET_COOKIE) {
        let text = String::from_utf8_lossy(value.as_bytes());
        let pair = text.split(';').next().unwrap_or_default();
        if let Some((name, value)) = pair.split_once('=') {
            cookies.raw_set(name.trim(), value.trim())?;
        }
    }
    result.raw_set("headers", headers)?;
    result.raw_set("cookies", cookies)?;
    let text: LuaString = lua.create_string(String::from_utf8_lossy(&answer.body).as_bytes())?;
    result.raw_set("text", text)?;
    result.raw_set("body", lua.create_string(&answer.body)?)?;
    Ok(result)
}
