//! Change hooks (2c): routing, answers, the base and poller dialects, and who may use them. The forges are in
//! `hooks/`.

use crate::support::{World, text};
use base64::Engine as _;
use serde_json::json;

#[path = "hooks/bitbucket.rs"]
mod bitbucket;
#[path = "hooks/gitea.rs"]
mod gitea;
#[path = "hooks/github.rs"]
mod github;
#[path = "hooks/gitlab.rs"]
mod gitlab;
#[path = "hooks/sender.rs"]
mod sender;

const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test]
async fn routing_and_responses_02_028_02_029() {
    let world = World::new().await;
    let refused = |name: &str| format!("The dialect specified, '{name}', wasn't whitelisted in change_hook");
    let table = [
        ("/change_hook", "author=joe", 202, "1 change found".to_string()),
        ("/change_hook/", "author=joe", 202, "1 change found".into()),
        ("/change_hook/base/further", "author=joe", 202, "1 change found".into()),
        ("/change_hook/-", "author=joe", 202, "1 change found".into()),
        (
            "/change_hook/base",
            "who=joe&files=%5B%22a%22%5D&properties=%7B%22x%22%3A1%7D&when=5",
            202,
            "1 change found".into(),
        ),
        ("/change_hook/base?author=joe", "", 202, "1 change found".into()),
        ("/change_hook/gitlab", "author=joe", 400, refused("gitlab")),
        ("/change_hook/bas", "author=joe", 400, refused("bas")),
        (
            "/change_hook/base",
            "author=joe&when=noon",
            400,
            "could not convert string to float: 'noon'".into(),
        ),
    ];
    for (path, form, status, body) in table {
        let got = text(world.post(path, FORM, &[], form.to_string()).await).await;
        assert_eq!(got, (status, body), "{path} {form}");
    }
    assert_eq!(
        world.get("/change_hook/base?author=ann").await,
        (202, "1 change found".into()),
        "GET and POST alike"
    );
    assert_eq!(world.api("changes").await["meta"]["total"], 7);
}

#[tokio::test]
async fn an_acknowledged_change_is_stored_whole_02_032() {
    let world = World::new().await;
    let form = "author=J%C3%B6rg&committer=c&comments=hi%3Cscript%3E&branch=main&revision=abc&category=k&revlink=http%3A%2F%2Fx%2F&\
                repository=r&project=p&codebase=cb&when_timestamp=1700000000.7&files=%5B%22a%22%2C%22b%22%5D&properties=%7B%22n%22%3A%5B1%5D%7D";
    let response = world.post("/change_hook/base", FORM, &[], form).await;
    assert_eq!(response.status(), 202);
    let change = world.api("changes/1").await["changes"][0].clone();
    for (field, value) in [
        ("author", "Jörg"),
        ("committer", "c"),
        ("comments", "hi<script>"),
        ("branch", "main"),
        ("revision", "abc"),
        ("category", "k"),
        ("revlink", "http://x/"),
        ("repository", "r"),
        ("project", "p"),
        ("codebase", "cb"),
    ] {
        assert_eq!(change[field], value, "{field}");
    }
    assert_eq!(change["files"], json!(["a", "b"]));
    assert_eq!(change["when_timestamp"], 1_700_000_000);
    assert_eq!(change["properties"], json!({"n": [[1], "Change"]}));
    let page = world.page("/changes/1").await;
    assert!(page.contains("hi&lt;script&gt;") && !page.contains("hi<script>"));
}

#[tokio::test]
async fn what_is_too_long_or_unlisted_is_refused() {
    let world = World::new().await;
    let huge = format!("author=joe&comments={}", "x".repeat(5 << 20));
    assert_eq!(world.post("/change_hook/base", FORM, &[], huge).await.status(), 413);
    world.hooks(json!({"base": false}), None);
    assert_eq!(world.post("/change_hook/base", FORM, &[], "author=joe").await.status(), 400);
    assert_eq!(world.api("changes").await["meta"]["total"], 0);
}

#[tokio::test]
async fn a_store_that_takes_nothing_is_told_as_500_02_029() {
    let world = World::new().await;
    world.data.close().await.unwrap();
    let got = text(world.post("/change_hook/base", FORM, &[], "author=joe").await).await;
    assert_eq!(got, (500, "Error processing changes.".into()));
}

#[tokio::test]
async fn only_who_is_listed_gets_in_02_030() {
    let world = World::new().await;
    let secret =
        json!({"$kind": "util.Secret", "$id": 1, "$at": "m.lua:1", "$args": {"secret_name": "forge"}});
    let users = json!({"joe": "pw", "forge": secret, "lost": {"$kind": "util.Secret", "$id": 2, "$at": "m.lua:2",
                       "$args": {"secret_name": "nobody"}}});
    let auth =
        json!([{"$kind": "util.UserPasswordAuth", "$id": 3, "$at": "m.lua:3", "$args": {"users": users}}]);
    world.hooks(json!({"base": true}), Some(auth));
    // joe:pw, forge:s3cret; joe:no, lost:, ann:pw, no colon, no base64, another scheme.
    for header in ["Basic am9lOnB3", "basic Zm9yZ2U6czNjcmV0"] {
        let got = world.post("/change_hook/base", FORM, &[("authorization", header)], "author=joe").await;
        assert_eq!(text(got).await, (202, "1 change found".into()), "{header}");
    }
    for header in [
        "Basic am9lOm5v",
        "Basic bG9zdDo=",
        "Basic YW5uOnB3",
        "Basic am9l",
        "Basic !",
        "Bearer am9lOnB3",
        "Basic",
    ] {
        let got = world.post("/change_hook/base", FORM, &[("authorization", header)], "author=joe").await;
        assert_eq!(got.status(), 401, "{header}");
    }
    let got = world.post("/change_hook/nothing", FORM, &[], "").await;
    assert_eq!(got.status(), 401, "not even what there is is told");
    let realm = got.headers()["www-authenticate"].to_str().unwrap().to_string();
    assert!(realm.starts_with("Basic realm=\"Protected area\""), "{realm}");
    assert_eq!(world.api("changes").await["meta"]["total"], 2);
}

#[tokio::test]
async fn files_and_functions_say_who_gets_in_too_02_030() {
    let world = World::new().await;
    std::fs::write(world.dir.path().join("changehook.passwd"), "joe:a:b\nann:pw\r\nno line\nempty:\n")
        .unwrap();
    std::fs::write(world.dir.path().join("htpasswd"), "bob:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n").unwrap();
    world.access(json!({"rate_limit": {"logins": 100}})).await;
    let check = json!({"$kind": "util.CustomAuth", "$args": {"check_credentials": crate::support::function("check")}});
    let hashed = json!({"$kind": "util.HTPasswdAuth", "$args": {"passwdFile": "htpasswd"}});
    for (auth, who, wrong) in [
        (json!("file:changehook.passwd"), "joe:a:b", "joe:a"),
        (json!(["file:changehook.passwd"]), "ann:pw", "empty:"),
        (json!([hashed.clone()]), "bob:password", "bob:passwort"),
        (json!([check]), "eve:right", "eve:left"),
        (json!([hashed, "file:changehook.passwd"]), "ann:pw", "no line:"),
    ] {
        world.hooks(json!({"base": true}), Some(auth.clone()));
        for (given, status) in [(who, 202), (wrong, 401)] {
            let header = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(given));
            let got = world
                .post("/change_hook/base", FORM, &[("authorization", header.as_str())], "author=x")
                .await;
            assert_eq!(got.status(), status, "{auth} {given}");
        }
    }
    let files = json!({"change_hook_auth": ["file:nowhere"], "change_hook_dialects": {"base": true}});
    let config = lunabot_model::config::Config {
        www: serde_json::from_value(files).unwrap(),
        ..lunabot_model::config::Config::default()
    };
    let errors = lunabot_www::Access::load(&config, world.dir.path()).await.unwrap_err();
    assert!(errors[0].path == "www.change_hook_auth" && errors[0].message.contains("nowhere"), "{errors:?}");
}

#[tokio::test]
async fn whoever_guesses_has_to_wait_02_030() {
    let world = World::new().await;
    world.hooks(
        json!({"base": true}),
        Some(json!([{"$kind": "util.UserPasswordAuth", "$args": {"users": {"joe": "pw"}}}])),
    );
    let ask = async |header: &str| {
        world.post("/change_hook/base", FORM, &[("authorization", header)], "author=x").await
    };
    for _ in 0..20 {
        // joe:pw
        assert_eq!(ask("Basic am9lOnB3").await.status(), 202);
    }
    for _ in 0..10 {
        assert_eq!(ask("Basic am9lOm5v").await.status(), 401);
    }
    let late = ask("Basic am9lOnB3").await;
    assert!(late.status() == 429 && late.headers().contains_key("retry-after"), "{}", late.status());
}

#[tokio::test]
async fn forms_of_several_parts_are_read_02_032() {
    let world = World::new().await;
    let body = "--xx\r\nContent-Disposition: form-data; name=\"who\"\r\n\r\njoe\r\n--xx\r\n\
                Content-Disposition: form-data; name=\"branch\"\r\n\r\nmain\r\n--xx--\r\n";
    let got = world.post("/change_hook/base?project=p", "multipart/form-data; boundary=xx", &[], body).await;
    assert_eq!(text(got).await, (202, "1 change found".into()));
    let change = world.api("changes/1").await["changes"][0].clone();
    assert_eq!(
        (&change["author"], &change["branch"], &change["project"]),
        (&json!("joe"), &json!("main"), &json!("p"))
    );
}

#[tokio::test]
async fn secrets_that_nobody_knows_are_found_before_they_are_needed_12_009() {
    let world = World::new().await;
    let secret = |name: &str| json!({"$kind": "util.Secret", "$id": 1, "$at": "m.lua:1", "$args": {"secret_name": name}});
    let github = json!({"secret": secret("forge"), "token": secret("lost")});
    let auth = json!([{"$kind": "util.UserPasswordAuth", "$args": {"users": {"joe": secret("gone")}}}]);
    world.hooks(json!({"github": github, "gitlab": {"secret": secret("away")}, "base": true}), Some(auth));
    let hooks = &world.site.load().hooks;
    let missing = lunabot_www::missing_hook_secrets(
        hooks,
        world.script.clone(),
        std::sync::Arc::new(crate::support::TestSecrets),
    )
    .await;
    let paths: Vec<&str> = missing.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(
        paths,
        ["www.change_hook_dialects.github", "www.change_hook_dialects.gitlab", "www.change_hook_auth"]
    );
    for ((_, told), part) in missing.iter().zip(["token: ", "secret: ", "password of joe: "]) {
        assert!(told.starts_with(part) && told.contains("is not known to any secrets provider"), "{told}");
    }
}

#[tokio::test]
async fn pollers_are_asked_02_040() {
    let world = World::new().await;
    world.hooks(json!({"poller": true}), None);
    let nothing = || (202, "no change found".to_string());
    let table = [
        ("", "", nothing(), vec!["one", "two"]),
        ("", "poller=two", nothing(), vec!["two"]),
        ("?poller=one&poller=two", "", nothing(), vec!["one", "two"]),
        ("?poller=one", "poller=x&poller=y", (400, "Could not find pollers: x,y".into()), vec![]),
    ];
    for (query, form, wanted, asked) in table {
        let path = format!("/change_hook/poller{query}");
        assert_eq!(text(world.post(&path, FORM, &[], form).await).await, wanted, "{query} {form}");
        assert_eq!(std::mem::take(&mut *world.pollers.asked.lock().unwrap()), asked, "{query} {form}");
    }
    world.hooks(json!({"poller": {"allowed": ["one"]}}), None);
    assert_eq!(text(world.post("/change_hook/poller", FORM, &[], "").await).await, nothing());
    let refused = text(world.post("/change_hook/poller", FORM, &[], "poller=two").await).await;
    assert_eq!(refused, (400, "Could not find pollers: two".into()));
    assert_eq!(*world.pollers.asked.lock().unwrap(), ["one"]);
}

/// What change sources serve is below `custom`, for POST alone, whatever dialects there are.
#[tokio::test]
async fn sources_are_asked_for_what_they_serve() {
    let world = World::new().await;
    let (status, told) =
        text(world.post("/change_hook/custom/in/here?a=b%20c&a=d", FORM, &[], "x=y").await).await;
    assert_eq!((status, told.as_str()), (200, r#"["/change_hook/custom/in/here","POST",null,{"a":"b c"}]"#));
    for (path, status, wanted) in [
        ("/change_hook/custom/in", 404, "no change source serves \"in\""),
        ("/change_hook/custom/", 404, "no change source serves \"\""),
        ("/change_hook/custom", 400, "The dialect specified, 'custom', wasn't whitelisted in change_hook"),
        (
            "/change_hook/customs/in/here",
            400,
            "The dialect specified, 'customs', wasn't whitelisted in change_hook",
        ),
    ] {
        assert_eq!(
            text(world.post(path, FORM, &[], String::new()).await).await,
            (status, wanted.into()),
            "{path}"
        );
    }
    assert_eq!(world.get("/change_hook/custom/in/here").await.0, 405);
}
