//! Tokens that are made: what is in them, verified by openssl, and when another is made.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "pollers/server.rs"]
#[allow(dead_code, reason = "the pollers' tests use all of it")]
mod server;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::future::join_all;
use lunabot_integrations::Tokens;
use lunabot_integrations::tokens::{KINDS, unusable_keys};
use lunabot_model::{BoxFuture, Clock, Json, Mono, Time};
use serde_json::json;
use server::Server;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// 2023-11-14T22:13:20Z.
const BEGIN: i64 = 1_700_000_000;

/// A clock that is moved by hand.
#[derive(Debug)]
struct Hand(Mutex<Time>);

impl Clock for Hand {
    fn now(&self) -> Time {
        *self.0.lock().unwrap()
    }
    fn mono(&self) -> Mono {
        Mono::default()
    }
    fn sleep_until(&self, _: Mono) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

struct Maker {
    dir: tempfile::TempDir,
    clock: Arc<Hand>,
    tokens: Tokens,
}

impl Maker {
    fn new() -> Maker {
        let clock = Arc::new(Hand(Mutex::new(Time::from_secs(BEGIN))));
        let dir = tempfile::tempdir().unwrap();
        let tokens = Tokens::new(dir.path().into(), clock.clone());
        Maker { dir, clock, tokens }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let file = self.file(name);
        std::fs::write(&file, bytes).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        file
    }

    /// A private key in `NAME.pem`, its public half in `NAME.pub`.
    fn key(&self, name: &str, options: &[&str]) {
        let file = self.write(&format!("{name}.pem"), b"");
        openssl(&[&["genpkey", "-out", text(&file)], options].concat());
        let public = self.file(&format!("{name}.pub"));
        openssl(&["pkey", "-in", text(&file), "-pubout", "-out", text(&public)]);
    }

    fn later(&self, seconds: u64) {
        let mut now = self.clock.0.lock().unwrap();
        *now = *now + Duration::from_secs(seconds);
    }

    async fn jwt(&self, options: Json) -> Result<String, String> {
        self.tokens.get("util.jwt", &options).await.map(|token| token.text)
    }

    async fn github(&self, server: &Server) -> Result<String, String> {
        let options =
            json!({"app_id": 12, "installation_id": "7", "key_file": "rsa.pem", "api_url": server.url});
        self.tokens.get("util.GitHubAppToken", &options).await.map(|token| token.text)
    }
}

const RSA: &[&str] = &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn openssl(args: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(args).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {told}");
    output.stdout
}

/// Header and claims.
fn parts(token: &str) -> (Json, Json) {
    let parts: Vec<Json> = token
        .split('.')
        .take(2)
        .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
        .collect();
    (parts[0].clone(), parts[1].clone())
}

/// Has openssl verify a signature with `args`, where `MESSAGE` and `SIGNATURE` stand for files.
fn verify(maker: &Maker, token: &str, args: &str) {
    let (message, signature) = token.rsplit_once('.').unwrap();
    let mut signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    if args.contains("ec") {
        signature = der(&signature);
    }
    let (message, signature) = (maker.write("message", message.as_bytes()), maker.write("sig", &signature));
    let known = |word: &str| match word {
        "MESSAGE" => text(&message).to_string(),
        "SIGNATURE" => text(&signature).to_string(),
        file if file.ends_with(".pub") => text(&maker.file(file)).to_string(),
        other => other.to_string(),
    };
    let words: Vec<String> = args.split(' ').map(known).collect();
    openssl(&words.iter().map(String::as_str).collect::<Vec<_>>());
}

/// Two numbers of the same length, as openssl wants them.
fn der(fixed: &[u8]) -> Vec<u8> {
    let number = |bytes: &[u8]| {
        let mut bytes: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
        if bytes[0] & 0x80 != 0 {
            bytes.insert(0, 0);
        }
        [vec![2, bytes.len() as u8], bytes].concat()
    };
    let (r, s) = fixed.split_at(fixed.len() / 2);
    let both = [number(r), number(s)].concat();
    [vec![0x30, both.len() as u8], both].concat()
}

#[tokio::test]
async fn openssl_verifies_tokens_of_every_algorithm() {
    let maker = Maker::new();
    maker.key("rsa", RSA);
    maker.key("ec256", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    maker.key("ec384", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"]);
    maker.key("ed", &["-algorithm", "ED25519"]);
    let pss = "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest -verify";
    for (algorithm, key, check) in [
        ("RS256", "rsa", "dgst -sha256 -verify rsa.pub -signature SIGNATURE MESSAGE"),
        ("RS384", "rsa", "dgst -sha384 -verify rsa.pub -signature SIGNATURE MESSAGE"),
        ("RS512", "rsa", "dgst -sha512 -verify rsa.pub -signature SIGNATURE MESSAGE"),
        ("PS256", "rsa", &format!("dgst -sha256 {pss} rsa.pub -signature SIGNATURE MESSAGE")),
        ("PS384", "rsa", &format!("dgst -sha384 {pss} rsa.pub -signature SIGNATURE MESSAGE")),
        ("PS512", "rsa", &format!("dgst -sha512 {pss} rsa.pub -signature SIGNATURE MESSAGE")),
        ("ES256", "ec256", "dgst -sha256 -verify ec256.pub -signature SIGNATURE MESSAGE"),
        ("ES384", "ec384", "dgst -sha384 -verify ec384.pub -signature SIGNATURE MESSAGE"),
        ("EdDSA", "ed", "pkeyutl -verify -pubin -inkey ed.pub -rawin -in MESSAGE -sigfile SIGNATURE"),
    ] {
        let options = json!({"algorithm": algorithm, "key_file": format!("{key}.pem"), "issuer": "me"});
        let token = maker.jwt(options).await.unwrap();
        assert_eq!(parts(&token).0, json!({"alg": algorithm, "typ": "JWT"}));
        verify(&maker, &token, check);
    }
    for (algorithm, digest) in [("HS256", "-sha256"), ("HS384", "-sha384"), ("HS512", "-sha512")] {
        let token = maker.jwt(json!({"algorithm": algorithm, "key": "s3cret"})).await.unwrap();
        let (message, signature) = token.rsplit_once('.').unwrap();
        let message = maker.write("message", message.as_bytes());
        let mac = openssl(&["dgst", digest, "-hmac", "s3cret", "-binary", text(&message)]);
        assert_eq!(signature, URL_SAFE_NO_PAD.encode(mac), "{algorithm}");
    }
}

#[tokio::test]
async fn a_jwt_says_what_it_is_told_and_is_used_for_half_of_its_lifetime() {
    let maker = Maker::new();
    maker.write("key", b"s3cret\n");
    let options = json!({"algorithm": "HS256", "key_file": "key", "issuer": "me", "subject": "you", "audience": ["a", "b"],
                         "lifetime": "100s", "claims": {"jti": "x", "n": [1]}, "key_id": "k"});
    let token = maker.jwt(options.clone()).await.unwrap();
    let (header, claims) = parts(&token);
    assert_eq!(header, json!({"alg": "HS256", "typ": "JWT", "kid": "k"}));
    let wanted = json!({"iss": "me", "sub": "you", "aud": ["a", "b"], "jti": "x", "n": [1], "iat": BEGIN - 60, "exp": BEGIN + 100});
    assert_eq!(claims, wanted);
    // The file may be exchanged: a token that is made later is signed with what it holds then.
    maker.write("key", b"another");
    maker.later(49);
    assert_eq!(maker.jwt(options.clone()).await.unwrap(), token);
    maker.later(1);
    let next = maker.jwt(options).await.unwrap();
    assert_eq!(parts(&next).1["exp"], BEGIN + 150);
    let by_hand = json!({"algorithm": "HS256", "key": "another", "issuer": "me", "subject": "you", "audience": ["a", "b"],
                         "lifetime": 100, "claims": {"jti": "x", "n": [1]}, "key_id": "k"});
    assert_eq!(maker.jwt(by_hand).await.unwrap(), next);
}

#[tokio::test]
async fn githubs_token_is_fetched_once_and_anew_five_minutes_before_it_expires() {
    let (maker, server) = (Maker::new(), Server::start().await);
    maker.key("rsa", RSA);
    let path = "/app/installations/7/access_tokens";
    server.put_text(path, 201, r#"{"token": "ghs_1", "expires_at": "2023-11-14T23:13:20Z"}"#);
    let all = join_all((0..5).map(|_| maker.github(&server))).await;
    assert!(all.iter().all(|token| *token == Ok("ghs_1".into())), "{all:?}");
    let asked = server.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(asked[0].0, path);
    let proof = asked[0].1.strip_prefix("Bearer ").unwrap();
    assert_eq!(parts(proof).1, json!({"iss": "12", "iat": BEGIN - 60, "exp": BEGIN + 540}));
    verify(&maker, proof, "dgst -sha256 -verify rsa.pub -signature SIGNATURE MESSAGE");

    server.put_text(path, 201, r#"{"token": "ghs_2", "expires_at": "2023-11-15T00:13:20Z"}"#);
    maker.later(55 * 60 - 1);
    assert_eq!(maker.github(&server).await.unwrap(), "ghs_1");
    maker.later(1);
    assert_eq!(maker.github(&server).await.unwrap(), "ghs_2");
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn an_exchange_that_fails_is_told_to_all_who_wait_and_tried_when_it_is_asked_for_again() {
    let (maker, server) = (Maker::new(), Server::start().await);
    maker.key("rsa", RSA);
    let path = "/app/installations/7/access_tokens";
    server.put_text(path, 401, r#"{"message": "A JSON web token could not be decoded"}"#);
    let all = join_all((0..3).map(|_| maker.github(&server))).await;
    let told = format!("127.0.0.1{path} answers 401 Unauthorized A JSON web token could not be decoded");
    assert!(all.iter().all(|error| *error == Err(told.clone())), "{all:?}");
    assert_eq!(server.asked().len(), 1);
    server.put_text(path, 201, "{}");
    assert_eq!(maker.github(&server).await.unwrap_err(), "the answer has no token");
    server.put_text(path, 201, r#"{"token": "ghs_1"}"#);
    for _ in 0..2 {
        assert_eq!(maker.github(&server).await.unwrap(), "ghs_1");
    }
    assert_eq!(server.asked().len(), 3, "nobody knows how long it lasts");
}

#[tokio::test]
async fn keys_that_make_no_token_are_told_with_their_place() {
    let maker = Maker::new();
    maker.key("rsa", RSA);
    maker.key("ec256", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    let old = maker.write("old.pem", b"");
    openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", text(&old)]);
    let open = maker.write("open", b"x");
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
    maker.write("empty", b"\n");
    maker.write("public", &std::fs::read(maker.file("rsa.pub")).unwrap());
    let declared =
        |id: i64, args: &Json| json!({"$kind": "util.jwt", "$id": id, "$at": "master.lua:4", "$args": args});
    for (args, told) in [
        (json!({"key_file": "gone"}), "gone: No such file or directory"),
        (json!({"key_file": "open"}), "open: others may use this file (mode 644); run chmod o= on it"),
        (json!({"key_file": "public"}), "public: holds no private key in PEM form"),
        (json!({"key_file": "empty"}), "empty: holds no private key in PEM form"),
        (json!({"key_file": "empty", "algorithm": "HS256"}), "empty: is empty"),
        (json!({"key_file": "rsa.pem", "algorithm": "ES256"}), "rsa.pem: is no key for ES256"),
        (json!({"key_file": "ec256.pem"}), "ec256.pem: is no key for RS256"),
        (json!({"key_file": "old.pem", "algorithm": "ES256"}), "rewrite it by `openssl pkcs8 -topk8"),
        (json!({"key_file": "ec256.pem", "algorithm": "ES384"}), "ec256.pem: is no key for ES384"),
    ] {
        let error = maker.jwt(args.clone()).await.unwrap_err();
        assert!(error.starts_with("key_file: ") && error.contains(told), "{args}: {error}");
        let values = vec![json!({"env": [declared(1, &args)]}), declared(1, &args)];
        let found = unusable_keys(values, maker.dir.path().into()).await;
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, [format!("master.lua:4: util.jwt: {error}")]);
    }
    let fixed = maker.write("new.pem", b"");
    openssl(&["pkcs8", "-topk8", "-nocrypt", "-in", text(&old), "-out", text(&fixed)]);
    assert!(maker.jwt(json!({"key_file": "new.pem", "algorithm": "ES256"})).await.is_ok());
}

#[test]
fn options_are_checked() {
    let problems = |kind: usize, args: Json| {
        let all = (KINDS[kind].check)(&args);
        all.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let no_key = "has no key: give key_file, or key = util.Secret \"NAME\"";
    assert_eq!(problems(0, json!({})), [no_key]);
    assert_eq!(problems(1, json!({"app_id": 1, "installation_id": 2})), [no_key]);
    assert_eq!(problems(0, json!({"key": "k", "key_file": "f"})), ["key: give this or key_file, not both"]);
    let wrong = problems(0, json!({"key": "k", "lifetime": 0, "claims": {"exp": 1}}));
    assert!(wrong[0].starts_with("key: holds no private key in PEM form"), "{wrong:?}");
    assert_eq!(wrong[1..], ["lifetime: must be at least a second", "claims.exp: write lifetime = …"]);
    let app = json!({"app_id": 1, "installation_id": 2, "key_file": "f", "api_url": "example"});
    assert!(problems(1, app)[0].starts_with("api_url: example is not an address"));
}
