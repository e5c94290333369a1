//! Logins and sessions (10.013, 10.018–10.023).

use crate::support::{World, function, object, text};
use lunabot_model::config::Config;
use lunabot_www::Access;
use serde_json::{Value, json};

const FORM: &str = "application/x-www-form-urlencoded";
/// joe's password is `pw`, that of ann is a secret.
fn table() -> Value {
    let secret = object("Secret", json!({"secret_name": "forge"}));
    json!({"auth": object("UserPasswordAuth", json!({"users": {"joe": "pw", "ann@example.org": secret}}))})
}

fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {text}")
}

/// Who a page says is logged in.
async fn shown(world: &World, cookie: &str) -> Option<String> {
    let (_, page) = world.get_as(cookie, "/builders").await;
    let (_, rest) = page.split_once("<span class=\"me\">")?;
    Some(rest.split_once('<').unwrap().0.to_owned())
}

#[tokio::test]
async fn row_10_021_a_name_and_a_password_begin_a_session() {
    let world = World::new().await;
    world.access(table()).await;
    let (status, headers, body) = world.ask("/auth/login?redirect=/builders/3", &[]).await;
    assert_eq!((status, body.as_str()), (401, "Unauthorized"));
    assert!(headers["www-authenticate"].to_str().unwrap().starts_with("Basic realm=\"buildbot\""));
    assert!(!headers.contains_key("set-cookie"));

    for (user, password) in [("joe", "wrong"), ("joe", ""), ("nobody", "pw"), ("", ""), ("joe", "pw ")] {
        let (status, headers, _) =
            world.ask("/auth/login", &[("authorization", &basic(user, password))]).await;
        assert_eq!((status, headers.contains_key("set-cookie")), (401, false), "{user} {password}");
    }
    let login = basic("ann@example.org", "s3cret");
    let (status, headers, _) =
        world.ask("/auth/login?redirect=/builders/3", &[("authorization", &login)]).await;
    assert_eq!((status, headers["location"].to_str().unwrap()), (302, "../builders/3"));
    let set = headers["set-cookie"].to_str().unwrap();
    assert!(
        set.starts_with("TWISTED_SESSION=")
            && set.ends_with("; Path=/; Max-Age=604800; HttpOnly; SameSite=Lax"),
        "{set}"
    );
    let cookie = set.split(';').next().unwrap();
    assert_eq!(shown(&world, cookie).await.as_deref(), Some("ann@example.org"));
    assert_eq!(shown(&world, "").await, None);
}

#[tokio::test]
async fn a_browser_gets_a_form_and_no_other_site_can_send_it() {
    let world = World::new().await;
    world.access(table()).await;
    let (status, headers, page) = world.ask("/auth/login?redirect=/a%22b", &[("accept", "text/html")]).await;
    assert_eq!((status, headers.contains_key("www-authenticate")), (200, false));
    assert!(page.contains("name=\"username\" value=\"\""), "{page}");
    assert!(page.contains("type=\"password\"") && page.contains("value=\"&#x2f;a&quot;b\""), "{page}");
    let sent = "username=joe&password=pw&redirect=%2Fbuilders%3Fq%3Dx";
    let response = world.post("/auth/login", FORM, &[("origin", "http://evil.example")], sent).await;
    assert_eq!((response.status().as_u16(), response.headers().contains_key("set-cookie")), (403, false));
    let response = world.post("/auth/login", FORM, &[], sent).await;
    assert_eq!(response.status(), 303);
    assert_eq!(response.headers()["location"], "../builders?q=x");
    let cookie = response.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(shown(&world, &cookie).await.as_deref(), Some("joe"));
    let (status, page) = text(world.post("/auth/login", FORM, &[], "username=joe&password=no").await).await;
    assert!(status == 401 && page.contains("No such name") && page.contains("value=\"joe\""), "{page}");
    assert!(!page.contains("value=\"no\""));
}

#[tokio::test]
async fn row_10_018_sessions_end_and_are_nobody_elses() {
    let world = World::new().await;
    world.access(table()).await;
    let cookie = world.login("joe", "pw").await;
    assert_eq!(shown(&world, &format!("a=b; {cookie}; c=d")).await.as_deref(), Some("joe"));
    // Each login has a session of its own; none that was there before is taken over.
    let (_, headers, _) = world
        .ask("/auth/login", &[("cookie", "TWISTED_SESSION=mine"), ("authorization", &basic("joe", "pw"))])
        .await;
    assert!(!headers["set-cookie"].to_str().unwrap().contains("=mine;"));

    let (signed, signature) = cookie.rsplit_once('.').unwrap();
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    let foreign = World::new().await;
    foreign.access(table()).await;
    let theirs = foreign.login("joe", "pw").await;
    for bad in [
        "TWISTED_SESSION=",
        &format!("{signed}.{flipped}{}", &signature[1..]),
        &format!("{signed}."),
        &theirs,
    ] {
        assert_eq!(shown(&world, bad).await, None, "{bad}");
        // A bad cookie is no error (www-surface § 4).
        assert_eq!(world.get_as(bad, "/api/v2/builders").await.0, 200);
    }
    // Another kind of login, or a user who is gone, ends it.
    world
        .access(json!({"auth": object("CustomAuth", json!({"check_credentials": function("check")}))}))
        .await;
    assert_eq!(shown(&world, &cookie).await, None);
    world.access(json!({"auth": object("UserPasswordAuth", json!({"users": {"jim": "pw"}}))})).await;
    assert_eq!(shown(&world, &cookie).await, None);
    world.access(json!({})).await;
    assert_eq!(shown(&world, &cookie).await, None);

    let mut short = table();
    short["cookie_expiration_time"] = json!("1m");
    world.access(short).await;
    let cookie = world.login("joe", "pw").await;
    world.clock.set(world.clock.get() + 59);
    assert_eq!(shown(&world, &cookie).await.as_deref(), Some("joe"));
    world.clock.set(world.clock.get() + 1);
    assert_eq!(shown(&world, &cookie).await, None);
}

#[tokio::test]
async fn row_10_013_logout_takes_the_cookie_away() {
    let world = World::new().await;
    world.access(table()).await;
    let (status, headers, _) = world.ask("/auth/logout?redirect=/workers", &[]).await;
    assert_eq!((status, headers["location"].to_str().unwrap()), (302, "../workers"));
    assert!(headers["set-cookie"].to_str().unwrap().starts_with("TWISTED_SESSION=; Path=/; Max-Age=0"));
    let (status, headers, _) = world.ask("/auth/logout", &[("sec-fetch-site", "cross-site")]).await;
    assert_eq!((status, headers.contains_key("set-cookie")), (403, false));
    assert_eq!(world.ask("/auth/nosuch", &[]).await.0, 404);
}

#[tokio::test]
async fn row_10_020_without_a_login_nobody_can_log_in() {
    let world = World::new().await;
    world.access(json!({"auth": object("NoAuth", json!({}))})).await;
    let (status, headers, _) = world.ask("/auth/login", &[("authorization", &basic("joe", "pw"))]).await;
    assert_eq!((status, headers.contains_key("set-cookie")), (501, false));
    let (_, page) = world.get("/").await;
    assert!(!page.contains("Log in"));
}

#[tokio::test]
async fn row_10_022_a_function_judges_names_and_passwords() {
    let world = World::new().await;
    world
        .access(json!({"auth": object("CustomAuth", json!({"check_credentials": function("check")}))}))
        .await;
    let cookie = world.login("joe", "right").await;
    assert_eq!(shown(&world, &cookie).await.as_deref(), Some("joe"));
    assert_eq!(world.ask("/auth/login", &[("authorization", &basic("joe", "wrong"))]).await.0, 401);
    world
        .access(json!({"auth": object("CustomAuth", json!({"check_credentials": function("fails")}))}))
        .await;
    assert_eq!(world.ask("/auth/login", &[("authorization", &basic("joe", "right"))]).await.0, 401);
}

#[tokio::test]
async fn row_10_021_a_password_file_is_read_again_when_it_changes() {
    let world = World::new().await;
    let file = world.dir.path().join("passwords");
    std::fs::write(&file, "joe:$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00\nold:rqXexS6ZhobKA\n# x:y\n").unwrap();
    world.access(json!({"auth": object("HTPasswdAuth", json!({"passwdFile": "passwords"}))})).await;
    let cookie = world.login("joe", "password").await;
    assert_eq!(world.ask("/auth/login", &[("authorization", &basic("old", "password"))]).await.0, 401);
    assert_eq!(shown(&world, &cookie).await.as_deref(), Some("joe"));
    std::fs::write(&file, "ann:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n").unwrap();
    world.login("ann", "password").await;
    assert_eq!(world.ask("/auth/login", &[("authorization", &basic("joe", "password"))]).await.0, 401);
    assert_eq!(shown(&world, &cookie).await, None, "who is not in the file any more is not logged in");
}

#[tokio::test]
async fn row_10_023_a_proxy_in_front_says_who_it_is() {
    let world = World::new().await;
    world.access(json!({"auth": object("RemoteUserAuth", json!({}))})).await;
    let user = [("remote_user", "joe@EXAMPLE.ORG")];
    let (_, _, page) = world.ask("/builders", &user).await;
    assert!(page.contains("<span class=\"me\">joe</span>"), "{page}");
    let (status, headers, _) = world.ask("/auth/login?redirect=/x", &user).await;
    assert_eq!(status, 302);
    let cookie = headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(shown(&world, &cookie).await.as_deref(), Some("joe"));
    assert_eq!(world.ask("/auth/login", &[]).await.0, 403);
    assert_eq!(world.ask("/auth/login", &[("remote_user", "nonsense")]).await.0, 403);
    // Another machine may say what it likes.
    world.access(json!({"auth": object("RemoteUserAuth", json!({})), "trusted_proxies": ["10.0.0.1"]})).await;
    let (status, _, page) = world.ask("/auth/login", &user).await;
    assert!(status == 403 && page.contains("trusted_proxies"), "{page}");
    assert!(!world.ask("/builders", &user).await.2.contains("class=\"me\""));
}

#[tokio::test]
async fn passwords_cannot_be_tried_without_end() {
    let world = World::new().await;
    let mut www = table();
    www["rate_limit"] = json!({"logins": 3});
    world.access(www).await;
    // Good ones do not count.
    for _ in 0..10 {
        world.login("joe", "pw").await;
    }
    let from = ("x-forwarded-for", "203.0.113.9");
    let wrong = basic("joe", "wrong");
    let tried = [("authorization", wrong.as_str()), from];
    for _ in 0..3 {
        assert_eq!(world.ask("/auth/login", &tried).await.0, 401);
    }
    let (status, headers, _) = world.ask("/auth/login", &tried).await;
    assert_eq!((status, headers["retry-after"].to_str().unwrap()), (429, "20"));
    // Not even the right one, until some time has passed; and others are not held up.
    assert_eq!(world.ask("/auth/login", &[("authorization", &basic("joe", "pw")), from]).await.0, 429);
    world.login("joe", "pw").await;
    let sent = "username=joe&password=pw";
    assert_eq!(world.post("/auth/login", FORM, &[from], sent).await.status(), 429);
}

#[tokio::test]
async fn a_crawler_is_told_to_wait() {
    let world = World::new().await;
    world.access(json!({"rate_limit": {"requests": 1, "burst": 5}})).await;
    let asked = async |from: &str| world.ask("/api/v2/builders", &[("x-forwarded-for", from)]).await;
    for _ in 0..5 {
        assert_eq!(asked("203.0.113.9").await.0, 200);
    }
    let (status, headers, _) = asked("203.0.113.9").await;
    assert_eq!((status, headers["retry-after"].to_str().unwrap()), (429, "1"));
    assert_eq!(asked("203.0.113.10").await.0, 200);
    // An IPv6 client has a whole network to ask from.
    for n in ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4", "2001:db8::5"] {
        assert_eq!(asked(n).await.0, 200);
    }
    assert_eq!(asked("2001:db8::6").await.0, 429);
    // Programs of this machine are not counted.
    for _ in 0..20 {
        assert_eq!(world.ask("/api/v2/builders", &[]).await.0, 200);
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    for (www, wanted) in [
        (json!({"auth": "joe"}), "www.auth: expected a login such as"),
        (
            json!({"auth": object("ChangeFilter", json!({}))}),
            "master.lua:7: util.ChangeFilter: a util.ChangeFilter is no login",
        ),
        (
            json!({"auth": object("HTPasswdAuth", json!({"passwdFile": "none"}))}),
            "master.lua:7: util.HTPasswdAuth: ",
        ),
        (json!({"authz": {"allowRules": []}}), "www.authz: expected a util.Authz"),
        (
            json!({"authz": object("Authz", json!({"allowRules": [object("NoAuth", json!({}))]}))}),
            "master.lua:7: util.NoAuth: a util.NoAuth is no rule",
        ),
        (
            json!({"authz": object("Authz", json!({"stringsMatcher": "regex", "allowRules": [object("AnyEndpointMatcher", json!({"role": "("}))]}))}),
            "master.lua:7: util.AnyEndpointMatcher: role: '(' is not a regular expression",
        ),
        (json!({"port": "ssl:8443:privateKey=nokey:certKey=nocert"}), "www.port: cannot read"),
        (json!({"trusted_proxies": ["proxy"]}), "www.trusted_proxies: 'proxy' is neither"),
        (json!({"cookie_expiration_time": 0}), "www.cookie_expiration_time: expected"),
        (json!({"avatar_methods": [object("AvatarGitHub", json!({}))]}), "www.avatar_methods: expected"),
    ] {
        let config = Config { www: serde_json::from_value(www.clone()).unwrap(), ..Config::default() };
        let errors = Access::load(&config, folder.path()).await.unwrap_err();
        assert!(errors.len() == 1 && errors[0].to_string().starts_with(wanted), "{www}: {errors:?}");
    }
}

#[tokio::test]
async fn an_open_master_is_warned_of() {
    let told = async |www: Value| {
        let config = Config { www: serde_json::from_value(www).unwrap(), ..Config::default() };
        let access = Access::load(&config, std::path::Path::new("/")).await.unwrap();
        access.warnings(&config).iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    let auth = object("UserPasswordAuth", json!({"users": {"joe": "pw"}}));
    let rule = |kind: &str| object("Authz", json!({"allowRules": [object(kind, json!({"role": "x"}))]}));
    assert!(told(json!({"port": 8010})).await.contains("www.allow_anonymous_control = true"));
    assert!(
        told(json!({"port": 8010, "authz": rule("StopBuildEndpointMatcher")}))
            .await
            .contains("nobody has to log in")
    );
    for quiet in [
        json!({}),
        json!({"port": "127.0.0.1:8010"}),
        json!({"port": "unix:/run/www"}),
        json!({"port": 8010, "allow_anonymous_control": true}),
        json!({"port": 8010, "allow_anonymous_control": false}),
        json!({"port": 8010, "auth": auth}),
        json!({"port": 8010, "authz": rule("AnyControlEndpointMatcher")}),
    ] {
        assert_eq!(told(quiet.clone()).await, "", "{quiet}");
    }
}
