//! `/auth/login` and `/auth/logout` (10.013, 10.020–10.023).

use super::limits::TooMuch;
use super::oauth::{Answer, OAuth};
use super::{Access, Asker, Passwords, User, Way, cookie};
use crate::error::PageError;
use crate::origin::may_act;
use crate::pages::{Asked, Page, Shown};
use crate::router::App;
use crate::site::Site;
use axum::Form;
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::sync::Arc;

/// How programs are asked for a name and a password (10.021).
const CHALLENGE: &str = "Basic realm=\"buildbot\", charset=\"UTF-8\"";

/// What the form sends.
#[derive(Deserialize)]
pub struct Sent {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    redirect: String,
}

/// `GET /auth/login?redirect=/PATH`.
pub async fn login(State(app): State<Arc<App>>, asked: Asked, request: Request) -> Response {
    let site = app.www.site.load();
    let asker = site.access.proxies.asker(request.extensions(), request.headers());
    let (back, headers) = (asked.get("redirect").unwrap_or_default(), request.headers());
    match &site.access.way {
        Way::Nobody => {
            // 10.020
            let text = "Nobody can log in here: the configuration has no www.auth.".to_string();
            app.error_page(&asked, &PageError::Refused(StatusCode::NOT_IMPLEMENTED, text))
        }
        Way::Proxy(remote) => match remote.person(headers, asker) {
            Ok(user) => app.enter(&site.access, &user, back, StatusCode::FOUND).await,
            Err(why) => app.error_page(&asked, &PageError::Refused(StatusCode::FORBIDDEN, why)),
        },
        Way::Site(oauth) => app.at_site(&site, oauth, &asked, headers).await,
        Way::Passwords(passwords) => {
            let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
            match given.and_then(credentials) {
                Some((name, password)) => {
                    match app.try_password(&site, passwords, asker, &name, &password).await {
                        Ok(Some(user)) => app.enter(&site.access, &user, back, StatusCode::FOUND).await,
                        Ok(None) => challenge(),
                        Err(refused) => refused,
                    }
                }
                None if wants_page(headers) => form(&app, &asked, back, None).shown(&app, &asked),
                None => challenge(),
            }
        }
    }
}

/// The form: `POST /auth/login`.
pub async fn send(State(app): State<Arc<App>>, asked: Asked, request: Request) -> Response {
    let site = app.www.site.load();
    let asker = site.access.proxies.asker(request.extensions(), request.headers());
    if !may_act(&site, request.headers()) {
        return app.error_page(&asked, &crate::pages::foreign());
    }
    let Way::Passwords(passwords) = &site.access.way else {
        let text = "There is no form to log in with here.".to_string();
        return app.error_page(&asked, &PageError::Refused(StatusCode::NOT_IMPLEMENTED, text));
    };
    let sent: Sent = match Form::from_request(request, &()).await {
        Ok(Form(sent)) => sent,
        Err(refused) => return refused.into_response(),
    };
    match app.try_password(&site, passwords, asker, &sent.username, &sent.password).await {
        Ok(Some(user)) => app.enter(&site.access, &user, &sent.redirect, StatusCode::SEE_OTHER).await,
        Ok(None) => {
            let page = form(&app, &asked, &sent.redirect, Some(&sent.username)).shown(&app, &asked);
            (StatusCode::UNAUTHORIZED, page).into_response()
        }
        Err(refused) => refused,
    }
}

/// `GET /auth/logout?redirect=/PATH`: the browser forgets the session.
pub async fn logout(State(app): State<Arc<App>>, asked: Asked, headers: HeaderMap) -> Response {
    if headers.get("sec-fetch-site").is_some_and(|from| from == "cross-site") {
        return app.error_page(&asked, &crate::pages::foreign());
    }
    let site = app.www.site.load();
    let gone = site.access.cookies.set(cookie::SESSION, "", 0);
    let to = target(asked.get("redirect").unwrap_or_default());
    (StatusCode::FOUND, [(header::SET_COOKIE, gone), (header::LOCATION, to), no_store()]).into_response()
}

/// `/auth` and whatever else is below it.
pub async fn nothing() -> Response {
    (StatusCode::NOT_FOUND, "there are /auth/login and /auth/logout\n").into_response()
}

/// To the login, and from there back.
pub fn send_login(asked: &Asked) -> Response {
    let back: String = form_urlencoded::byte_serialize(asked.here().as_bytes()).collect();
    let to = format!("{}auth/login?redirect={back}", asked.root);
    match HeaderValue::from_str(&to) {
        Ok(to) => (StatusCode::FOUND, [(header::LOCATION, to), no_store()]).into_response(),
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}

/// 429, and when to come again.
pub fn too_many(wait: &TooMuch) -> Response {
    let text = format!("too many requests; try again in {} s\n", wait.0);
    (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, HeaderValue::from(wait.0))], text).into_response()
}

impl App {
    /// Whom a name and a password let in. The error is the answer for those who are not even asked.
    async fn try_password(
        &self,
        site: &Site,
        passwords: &Passwords,
        asker: Asker,
        name: &str,
        password: &str,
    ) -> Result<Option<User>, Response> {
        let Some(scope) = site.scope("www.auth") else {
            return Err((StatusCode::SERVICE_UNAVAILABLE, "the master is not ready yet\n").into_response());
        };
        self.clients.login(asker, &site.access.limit, &*self.www.clock).map_err(|wait| too_many(&wait))?;
        let found = passwords.person(name, password, &scope).await.unwrap_or_else(|error| {
            tracing::error!("www.auth: {error}");
            None
        });
        let found = found.filter(|user| !user.is_anonymous());
        let from = asker.address.map_or("a socket".into(), |address| address.to_string());
        match &found {
            Some(user) => {
                self.clients.logged_in(asker);
                tracing::info!("{} has logged in from {from}", user.name());
            }
            None => tracing::info!("a login from {from} failed"),
        }
        Ok(found)
    }

    /// To another site, or back from it with `code` or `error`.
    async fn at_site(&self, site: &Site, oauth: &OAuth, asked: &Asked, headers: &HeaderMap) -> Response {
        let (Some(key), Some(scope)) = (self.key().await, site.scope("www.auth")) else {
            return (StatusCode::SERVICE_UNAVAILABLE, "nobody can log in now; the log says more\n")
                .into_response();
        };
        let (cookies, now) = (&site.access.cookies, self.www.clock.now().secs());
        let failed = |status: StatusCode, why: String| {
            tracing::warn!("a login at {} failed: {why}", oauth.place());
            self.error_page(asked, &PageError::Refused(status, format!("You are not logged in: {why}.")))
        };
        let (code, error) = (asked.get("code"), asked.get("error"));
        if code.is_none() && error.is_none() {
            let back = asked.get("redirect").unwrap_or_default();
            return match oauth.begin(&key, cookies, &scope, back, now).await {
                Ok(step) => {
                    let headers =
                        [(header::SET_COOKIE, step.cookie), (header::LOCATION, step.to), no_store()];
                    (StatusCode::FOUND, headers).into_response()
                }
                Err(why) => failed(StatusCode::BAD_GATEWAY, why),
            };
        }
        let answer = Answer { state: asked.get("state").unwrap_or_default(), code, error };
        match oauth.end(&key, headers, &scope, &answer, now).await {
            Ok((user, back)) => {
                tracing::info!("{} has logged in at {}", user.name(), oauth.place());
                let mut response = self.enter(&site.access, &user, &back, StatusCode::FOUND).await;
                response.headers_mut().append(header::SET_COOKIE, OAuth::ended(cookies));
                response
            }
            Err(why) => failed(StatusCode::FORBIDDEN, why),
        }
    }

    /// Begins a session and goes to where the person came from.
    async fn enter(&self, access: &Access, user: &User, back: &str, status: StatusCode) -> Response {
        let Some(key) = self.key().await else {
            return (StatusCode::SERVICE_UNAVAILABLE, "sessions cannot be begun now; the log says more\n")
                .into_response();
        };
        let exp = self.www.clock.now().secs().saturating_add(access.session_seconds);
        let token = key.session(user, &access.via, exp);
        let session = access.cookies.set(cookie::SESSION, &token, access.session_seconds);
        (status, [(header::SET_COOKIE, session), (header::LOCATION, target(back)), no_store()])
            .into_response()
    }
}

/// A place of this master, seen from `/auth/login`: whatever is asked for, it leads nowhere else.
fn target(back: &str) -> HeaderValue {
    let path: String = back
        .trim_start_matches(['/', '\\'])
        .chars()
        .take(2000)
        .map(|c| match c {
            '\\' => "%5C".into(),
            c if c.is_ascii_graphic() => c.to_string(),
            c => form_urlencoded::byte_serialize(c.to_string().as_bytes())
                .collect::<String>()
                .replace('+', "%20"),
        })
        .collect();
    HeaderValue::from_str(&format!("../{path}")).unwrap_or(HeaderValue::from_static("../"))
}

fn no_store() -> (header::HeaderName, HeaderValue) {
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
}

fn challenge() -> Response {
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, CHALLENGE)], "Unauthorized").into_response()
}

/// People get a page, programs a challenge.
pub fn wants_page(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    accepted.into_iter().any(|value| value.contains("text/html"))
}

fn form(app: &App, asked: &Asked, back: &str, failed: Option<&str>) -> Result<Response, PageError> {
    let data = minijinja::context! { back, name => failed.unwrap_or_default(), failed => failed.is_some() };
    app.page(asked, Page { template: "login.html", title: "Log in".into(), nav: "", live: Vec::new(), data })
}

/// User and password of HTTP basic authentication.
pub fn credentials(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.into(), password.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_10_013_the_way_back_stays_on_this_master() {
        for (asked, to) in [
            ("", "../"),
            ("/builders/3?x=1#L5", "../builders/3?x=1#L5"),
            ("/client/#/builders", "../client/#/builders"),
            ("https://evil.example/", "../https://evil.example/"),
            ("//evil.example/", "../evil.example/"),
            ("/\\evil.example", "../evil.example"),
            ("\\\\evil.example", "../evil.example"),
            ("/a\\b", "../a%5Cb"),
            ("/x\r\nSet-Cookie: a=b", "../x%0D%0ASet-Cookie:%20a=b"),
            ("/ä b", "../%C3%A4%20b"),
            ("javascript:alert(1)", "../javascript:alert(1)"),
        ] {
            assert_eq!(target(asked), to, "{asked}");
        }
    }
}
