//! Logins at other sites (10.024), against sites that the tests serve themselves.

use crate::support::{URL, World, object, text};
use axum::body::Body;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lunabot_www::{Endpoint, listen, serve};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use tokio_util::sync::{CancellationToken, DropGuard};

type Pairs = HashMap<String, String>;

/// A site at which people log in.
struct Site {
    url: String,
    key: EcdsaKeyPair,
    /// What `/token` is to answer besides the access token; `$nonce` stands for the login's.
    claims: Mutex<Value>,
    /// What the browser was sent with.
    asked: Mutex<Pairs>,
    /// What `/token` was asked.
    exchanged: Mutex<Vec<(Pairs, Option<String>)>>,
}

impl Site {
    async fn serve() -> (Arc<Site>, DropGuard) {
        let listener =
            listen(&Endpoint::read(&json!("127.0.0.1:0")).unwrap(), std::path::Path::new(".")).await.unwrap();
        let url = format!("http://127.0.0.1:{}", listener.port().unwrap());
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let key =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
        let site = Arc::new(Site {
            url,
            key,
            claims: Mutex::new(json!({})),
            asked: Mutex::default(),
            exchanged: Mutex::default(),
        });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(Site::configuration))
            .route("/keys", get(Site::keys))
            .route("/token", post(Site::token))
            .route("/login/oauth/access_token", post(Site::token))
            .route("/oauth/token", post(Site::token))
            .route("/{*path}", get(Site::resource))
            .with_state(Arc::clone(&site));
        let stop = CancellationToken::new();
        tokio::spawn(serve(listener, router, stop.clone()));
        (site, stop.drop_guard())
    }

    async fn configuration(State(site): State<Arc<Site>>) -> Json<Value> {
        let url = &site.url;
        Json(
            json!({"issuer": url, "authorization_endpoint": format!("{url}/authorize"), "token_endpoint": format!("{url}/token"),
            "jwks_uri": format!("{url}/keys"), "userinfo_endpoint": format!("{url}/person")}),
        )
    }

    async fn keys(State(site): State<Arc<Site>>) -> Json<Value> {
        let point = site.key.public_key().as_ref();
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        Json(json!({"keys": [
            {"kty": "RSA", "kid": "old", "n": "AQAB", "e": "AQAB"},
            {"kty": "EC", "crv": "P-256", "kid": "k1", "use": "sig", "x": part(&point[1..33]), "y": part(&point[33..])},
        ]}))
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    async fn token(State(site): State<Arc<Site>>, headers: HeaderMap, Form(form): Form<Pairs>) -> Response {
        let basic = headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
        site.exchanged.lock().unwrap().push((form.clone(), basic));
        let asked = site.asked.lock().unwrap().clone();
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(form["code_verifier"].as_bytes()));
        let same = |key: &str| form.get(key) == asked.get(key);
        if form["code"] != "good" || challenge != asked["code_challenge"] || !same("redirect_uri") {
            return (StatusCode::BAD_REQUEST, Json(json!({"error": "invalid_grant"}))).into_response();
        }
        let mut claims = site.claims.lock().unwrap().clone();
        if claims["nonce"] == "$nonce" {
            claims["nonce"] = asked["nonce"].as_str().into();
        }
        let header = json!({"alg": "ES256", "kid": "k1"});
        Json(json!({"access_token": "opaque", "token_type": "bearer", "id_token": site.sign(&header, &claims)})).into_response()
    }

    async fn resource(State(site): State<Arc<Site>>, request: axum::extract::Request) -> Response {
        if request.headers().get(header::AUTHORIZATION).is_none_or(|value| value != "Bearer opaque") {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        let answer = match request.uri().path() {
            "/person" => {
                json!({"sub": site.claims.lock().unwrap()["sub"], "email": "evil@example.org", "realm": {"roles": ["staff", "ops"]}})
            }
            "/api/v3/user" => json!({"login": "joe", "name": "Joe", "email": "public@example.org"}),
            "/api/v3/user/emails" => json!([
                {"email": "admin@example.org", "primary": false, "verified": false},
                {"email": "joe@example.org", "primary": true, "verified": true},
            ]),
            "/api/v3/user/orgs" => json!([{"login": "acme"}]),
            "/api/v3/user/teams" => json!([{"slug": "core", "organization": {"login": "acme"}}]),
            "/api/v4/user" => {
                json!({"username": "joe", "name": "Joe", "email": "admin@example.org", "confirmed_at": null})
            }
            "/api/v4/groups" => {
                json!([{"path": "admins", "full_path": "evil/admins"}, {"path": "acme", "full_path": "acme"}])
            }
            _ => return StatusCode::NOT_FOUND.into_response(),
        };
        Json(answer).into_response()
    }
}

/// A browser, as far as logins need one.
struct Browser<'a> {
    world: &'a World,
    cookies: HashMap<String, String>,
}

impl Browser<'_> {
    async fn get(&mut self, path: &str) -> (u16, String, String) {
        let all: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = Request::get(path).header("cookie", all.join("; ")).header("accept", "text/html");
        let response = self.world.send(request.body(Body::empty()).unwrap()).await;
        for set in response.headers().get_all("set-cookie") {
            let (name, value) = set.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.into(), value.into());
        }
        let to = response.headers().get("location").map_or("", |to| to.to_str().unwrap()).to_owned();
        let (status, body) = text(response).await;
        (status, to, body)
    }

    /// To the site; what it is asked.
    async fn begin(&mut self, site: &Site, back: &str) -> Pairs {
        let (status, to, body) = self.get(&format!("/auth/login?redirect={back}")).await;
        assert_eq!(status, 302, "{body}");
        assert!(to.starts_with(&site.url), "{to}");
        let query = to.split_once('?').unwrap().1;
        let asked: Pairs = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        site.asked.lock().unwrap().clone_from(&asked);
        asked
    }

    async fn back(&mut self, code: &str, state: &str) -> (u16, String, String) {
        self.get(&format!("/auth/login?code={code}&state={state}")).await
    }

    async fn whole(&mut self, site: &Site) -> (u16, String, String) {
        let state = self.begin(site, "/builders/3").await["state"].clone();
        self.back("good", &state).await
    }

    /// Who the session is of.
    fn person(&self) -> Value {
        let claims = self.cookies["TWISTED_SESSION"].split('.').nth(1).unwrap();
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        claims["user_info"].clone()
    }
}

fn browser(world: &World) -> Browser<'_> {
    Browser { world, cookies: HashMap::new() }
}

fn secret() -> Value {
    object("Secret", json!({"secret_name": "forge"}))
}

async fn open_id() -> (World, Arc<Site>, DropGuard) {
    let (site, guard) = Site::serve().await;
    let world = World::new().await;
    let auth = json!({"issuer": site.url, "clientId": "ci", "clientSecret": secret(), "groups_claim": "realm.roles"});
    world.access(json!({"auth": object("OpenIDConnectAuth", auth)})).await;
    *site.claims.lock().unwrap() = good(&world, &site);
    (world, site, guard)
}

fn good(world: &World, site: &Site) -> Value {
    json!({"iss": site.url, "aud": "ci", "exp": world.clock.get() + 60, "nonce": "$nonce", "sub": "17",
        "preferred_username": "joe", "name": "Joe", "email": "joe@example.org", "email_verified": true})
}

#[tokio::test]
async fn people_log_in_at_a_provider_of_openid_connect() {
    let (world, site, _guard) = open_id().await;
    let mut browser = browser(&world);
    let asked = browser.begin(&site, "/builders/3").await;
    let redirect = format!("{URL}auth/login");
    for (key, value) in [
        ("response_type", "code"),
        ("client_id", "ci"),
        ("redirect_uri", redirect.as_str()),
        ("scope", "openid email profile"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(asked[key], value, "{key}");
    }
    let (status, to, body) = browser.back("good", &asked["state"]).await;
    assert_eq!((status, to.as_str()), (302, "../builders/3"), "{body}");
    // What the token says counts more than what the person's page says; the latter adds the groups.
    let wanted = json!({"username": "joe", "full_name": "Joe", "email": "joe@example.org", "sub": "17", "groups": ["staff", "ops"]});
    assert_eq!(browser.person(), wanted);
    assert_eq!(browser.cookies["LUNABOT_LOGIN"], "", "the login is over");
    let (_, _, page) = browser.get("/builders").await;
    assert!(page.contains("<span class=\"me\">joe@example.org</span>"), "{page}");
    let (form, basic) = site.exchanged.lock().unwrap().pop().unwrap();
    assert!(!form.contains_key("client_secret") && basic.unwrap().starts_with("Basic "));
    // The same answer again is no login.
    assert_eq!(browser.back("good", &asked["state"]).await.0, 403);
}

#[tokio::test]
async fn a_login_is_ended_in_the_browser_that_began_it() {
    let (world, site, _guard) = open_id().await;
    let (mut one, mut other) = (browser(&world), browser(&world));
    let state = one.begin(&site, "/").await["state"].clone();
    for (own, state) in [(false, state.as_str()), (true, "guessed"), (true, "")] {
        let who = if own { &mut one } else { &mut other };
        let (status, _, page) = who.back("good", state).await;
        assert!(status == 403 && page.contains("begin it again"), "{page}");
    }
    assert!(site.exchanged.lock().unwrap().is_empty(), "no code was given away");
    // One that took too long.
    let state = one.begin(&site, "/").await["state"].clone();
    world.clock.set(world.clock.get() + 901);
    assert_eq!(one.back("good", &state).await.0, 403);
    // One that the site refuses, with a word that is shown as a word.
    let state = one.begin(&site, "/").await["state"].clone();
    let (status, _, page) = one.get(&format!("/auth/login?error=access_denied%3Cb%3E&state={state}")).await;
    assert!(status == 403 && page.contains("the site has refused it: access_deniedb"), "{page}");
    // A session is no login that was begun.
    one.cookies.insert("LUNABOT_LOGIN".into(), "x".into());
    assert_eq!(one.back("good", &state).await.0, 403);
}

#[tokio::test]
async fn tokens_that_are_not_for_this_login_are_refused() {
    let (world, site, _guard) = open_id().await;
    for (key, value, wanted) in [
        ("iss", json!("https://evil.example"), "it is from "),
        ("aud", json!("another"), "for another client"),
        ("aud", json!(["ci", "another"]), "for another client"),
        ("azp", json!("another"), "for another client"),
        ("exp", json!(world.clock.get() - 60), "expired"),
        ("exp", Value::Null, "expired"),
        ("nbf", json!(world.clock.get() + 3600), "not valid yet"),
        ("nonce", json!("other"), "another login"),
        ("nonce", Value::Null, "another login"),
        ("sub", json!(""), "names nobody"),
    ] {
        let mut claims = good(&world, &site);
        claims[key] = value;
        *site.claims.lock().unwrap() = claims;
        let mut browser = browser(&world);
        let (status, _, page) = browser.whole(&site).await;
        assert!(status == 403 && page.contains(wanted), "{key}: {page}");
        assert!(!browser.cookies.contains_key("TWISTED_SESSION"), "{key}");
    }
    // Two receivers are fine where the token says that it was made for us.
    let mut claims = good(&world, &site);
    (claims["aud"], claims["azp"]) = (json!(["ci", "another"]), json!("ci"));
    *site.claims.lock().unwrap() = claims;
    assert_eq!(browser(&world).whole(&site).await.0, 302);
    // An address that nobody has verified is nobody's.
    let mut claims = good(&world, &site);
    claims["email_verified"] = json!(false);
    *site.claims.lock().unwrap() = claims;
    let mut browser = browser(&world);
    browser.whole(&site).await;
    assert_eq!(browser.person()["email"], Value::Null);
}

#[tokio::test]
async fn a_wrong_code_or_a_site_that_is_away_is_told() {
    let (world, site, guard) = open_id().await;
    let mut browser = browser(&world);
    let state = browser.begin(&site, "/").await["state"].clone();
    let (status, _, page) = browser.back("bad", &state).await;
    assert!(status == 403 && page.contains("invalid_grant"), "{page}");
    assert!(!page.contains("s3cret"));
    drop(guard);
    let url = site.url.clone();
    world.access(json!({"auth": object("OpenIDConnectAuth", json!({"issuer": format!("{url}/other"), "clientId": "ci"}))})).await;
    let (status, _, page) = browser.get("/auth/login").await;
    assert!(status == 502 && page.contains("openid-configuration: "), "{page}");
}

#[tokio::test]
async fn row_10_024_github_tells_verified_addresses_organisations_and_teams() {
    let (site, _guard) = Site::serve().await;
    let world = World::new().await;
    let auth = json!({"clientId": "ci", "clientSecret": secret(), "serverURL": format!("{}/", site.url), "getTeamsMembership": true});
    world.access(json!({"auth": object("GitHubAuth", auth)})).await;
    let mut browser = browser(&world);
    assert_eq!(browser.begin(&site, "/").await["scope"], "user:email read:org");
    let (status, _, page) = browser.whole(&site).await;
    assert_eq!(status, 302, "{page}");
    let wanted = json!({"username": "joe", "full_name": "Joe", "email": "joe@example.org", "groups": ["acme", "acme/core"]});
    assert_eq!(browser.person(), wanted);
    let (form, basic) = site.exchanged.lock().unwrap().pop().unwrap();
    assert_eq!((form["client_secret"].as_str(), basic), ("s3cret", None));
}

#[tokio::test]
async fn row_10_024_gitlab_tells_whole_paths_of_groups_and_confirmed_addresses() {
    let (site, _guard) = Site::serve().await;
    let world = World::new().await;
    let auth = json!({"instanceUri": site.url, "clientId": "ci", "clientSecret": "s"});
    world.access(json!({"auth": object("GitLabAuth", auth)})).await;
    let mut browser = browser(&world);
    let (status, _, page) = browser.whole(&site).await;
    assert_eq!(status, 302, "{page}");
    assert_eq!(
        browser.person(),
        json!({"username": "joe", "full_name": "Joe", "groups": ["evil/admins", "acme"]})
    );
}
