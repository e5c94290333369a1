//! Change hooks (2c).

use crate::support::{World, text};

const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test]
async fn routing_and_responses_02_028_02_029() {
    let world = World::new().await;
    let refused = |name: &str| format!("The dialect specified, '{name}', wasn't whitelisted in change_hook");
    let table = [
        ("/change_hook", "author=joe", 202, "1 change found".to_string()),
        ("/change_hook/", "author=joe", 202, "1 change found".into()),
        (
            "/change_hook/base",
            "who=joe&files=%5B%22a%22%5D&properties=%7B%22x%22%3A1%7D&when=5",
            202,
            "1 change found".into(),
        ),
        ("/change_hook/base?author=joe", "", 202, "1 change found".into()),
        ("/change_hook/gitlab", "author=joe", 400, refused("gitlab")),
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
    assert_eq!(world.api("changes").await["meta"]["total"], 5);
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
    assert_eq!(change["files"], serde_json::json!(["a", "b"]));
    assert_eq!(change["when_timestamp"], 1_700_000_000);
    assert_eq!(change["properties"], serde_json::json!({"n": [[1], "Change"]}));
    let page = world.page("/changes/1").await;
    assert!(page.contains("hi&lt;script&gt;") && !page.contains("hi<script>"));
}

#[tokio::test]
async fn what_is_too_long_or_unlisted_is_refused() {
    let world = World::new().await;
    let huge = format!("author=joe&comments={}", "x".repeat(5 << 20));
    assert_eq!(world.post("/change_hook/base", FORM, &[], huge).await.status(), 413);
    let mut site = (*world.site.load()).clone();
    site.www.change_hook_dialects.insert("base".into(), serde_json::json!(false));
    world.site.store(site);
    assert_eq!(world.post("/change_hook/base", FORM, &[], "author=joe").await.status(), 400);
    assert_eq!(world.api("changes").await["meta"]["total"], 0);
}
