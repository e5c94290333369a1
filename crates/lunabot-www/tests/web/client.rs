//! Buildbot's web client below its path, from a folder that looks like its package (10.011, 10.012, 10.039).

use crate::support::World;
use lunabot_model::config::{ClientConfig, Config};
use lunabot_www::Client;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

const PAGE: &str = "<head>\n    <!-- BUILDBOT_THEME_CSS_PLACEHOLDER_BEGIN --><style>own</style>\
     <!-- BUILDBOT_THEME_CSS_PLACEHOLDER_END --></head><body></body> <!-- BUILDBOT_CONFIG_PLACEHOLDER --></html>";

/// Packages as pip lays them out.
fn packages(folder: &Path) {
    for (file, content) in [
        ("buildbot_www/static/index.html", PAGE),
        ("buildbot_www/static/assets/index.js", "run()"),
        ("buildbot_grid_view/static/scripts.js", "grid()"),
        ("secret.txt", "not for you"),
    ] {
        let path = folder.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}

fn config(client: Value) -> Config {
    let mut config =
        Config { title: "</script>".into(), buildbot_url: "http://ci/".into(), ..Config::default() };
    config.www.default_page = Some("builders".into());
    config.www.client = Some(serde_json::from_value::<ClientConfig>(client).unwrap());
    config
}

async fn world(client: Value) -> World {
    let world = World::new().await;
    packages(world.dir.path());
    let client = Client::load(&config(client), world.dir.path(), &Default::default()).await.unwrap().unwrap();
    let mut site = (*world.site.load()).clone();
    site.client = Some(Arc::new(client));
    world.site.store(site);
    world
}

async fn get(world: &World, path: &str) -> (u16, axum::http::HeaderMap, String) {
    world.ask(path, &[("accept", "application/json")]).await
}

#[tokio::test]
async fn row_10_039_the_page_its_files_and_the_api_are_below_the_path() {
    let world =
        world(json!({"dir": "buildbot_www/static", "path": "/ui", "plugins": {"grid_view": {"n": 3}}})).await;
    let (status, headers, body) = get(&world, "/ui").await;
    assert_eq!((status, headers["location"].to_str().unwrap(), body.as_str()), (308, "./ui/", ""));

    let (status, headers, page) = get(&world, "/ui/").await;
    assert_eq!((status, headers["cache-control"].to_str().unwrap()), (200, "public,max-age=0"));
    assert!(page.contains("<script id=\"bb-config\">\n    window.buildbotFrontendConfig = {"), "{page}");
    assert!(!page.contains("PLACEHOLDER") && page.matches("</script>").count() == 1, "{page}");
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("img-src 'self' data: blob: https:"), "10.014: {policy}");
    assert!(policy.contains("script-src 'self' 'sha256-") && !policy.contains("script-src 'self' 'unsafe"));

    let (status, headers, settings) = get(&world, "/ui/config").await;
    let settings: Value = serde_json::from_str(&settings).unwrap();
    assert_eq!((status, headers["content-type"].to_str().unwrap()), (200, "application/json; charset=utf-8"));
    assert_eq!(settings["plugins"], json!({"grid_view": {"n": 3}}));
    assert_eq!(settings["user"], json!({"anonymous": true}));
    assert_eq!(settings["buildbotURL"], "http://ci/ui/");
    assert_eq!(settings["default_page"], "builders", "10.009");
    for key in [
        "port",
        "auth",
        "authz",
        "avatar_methods",
        "versions",
        "buildbotURL",
        "title",
        "titleURL",
        "multiMaster",
    ] {
        assert!(settings.get(key).is_some(), "{key}");
    }

    for (path, status, content) in [
        ("/ui/assets/index.js", 200, "run()"),
        ("/ui/plugins/grid_view/scripts.js", 200, "grid()"),
        // The package has none, and the client can live with that.
        ("/ui/plugins/grid_view/styles.css", 404, ""),
        ("/ui/plugins/other/scripts.js", 404, "no such plug-in"),
        ("/ui/nothing.js", 404, ""),
        ("/ui/../../secret.txt", 404, ""),
        ("/ui/..%2f..%2fsecret.txt", 404, ""),
        ("/ui/plugins/grid_view/..%2f..%2f..%2fsecret.txt", 404, ""),
        ("/ui/ws", 426, "WebSocket"),
        ("/ui/api/v2/builds?limit=x", 400, "invalid limit"),
        ("/ui/api/v2/builds", 200, "\"builds\":[]"),
    ] {
        let (got, _, body) = get(&world, path).await;
        assert!(got == status && body.contains(content), "{path}: {got} {body}");
    }
    // 10.012
    assert_eq!(get(&world, "/config").await.2, get(&world, "/ui/config").await.2);
    assert!(world.page("/").await.contains("data-client=\""));
    // The master's own pages stay where they are.
    assert_eq!(get(&world, "/").await.0, 200);
    assert!(world.page("/").await.contains("<nav"));
    assert_eq!(get(&world, "/uix/").await.0, 404);
    let posted = world.post("/ui/config", "application/json", &[], "{}").await;
    assert_eq!(posted.status(), 405);
}

#[tokio::test]
async fn without_a_client_its_path_is_nothing() {
    let world = World::new().await;
    assert_eq!(get(&world, "/client/").await.0, 404);
    assert_eq!(get(&world, "/config").await.0, 404);
    assert!(!world.page("/").await.contains("data-client"));
}

#[tokio::test]
async fn row_10_032_an_avatar_is_gravatars() {
    let world = World::new().await;
    let (status, headers, _) = get(&world, "/avatar?email=%20Ann@Example.org&size=64").await;
    let wanted = "https://www.gravatar.com/avatar/8b5a6a28fc840441be692d74a81ccd1a?d=retro&s=64";
    assert_eq!((status, headers["location"].to_str().unwrap()), (302, wanted));
    world.access(json!({"avatar_methods": []})).await;
    let (status, headers, _) = get(&world, "/avatar?email=ann@example.org").await;
    assert_eq!((status, headers["location"].to_str().unwrap()), (302, "img/nobody.png"));
}

#[tokio::test]
async fn what_is_wrong_with_a_client_is_told_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    packages(folder.path());
    std::fs::create_dir_all(folder.path().join("other")).unwrap();
    std::fs::write(folder.path().join("other/index.html"), "<html>").unwrap();
    let good = "buildbot_www/static";
    let table = [
        (json!({"dir": "missing"}), "www.client.dir", "package buildbot_www"),
        (json!({"dir": "other"}), "www.client.dir", "not the page of Buildbot 4's client"),
        (json!({"dir": good, "path": "/"}), "www.client.path", "such as /client/"),
        (json!({"dir": good, "path": "/api/x"}), "www.client.path", "in use"),
        (json!({"dir": good, "path": "builders"}), "www.client.path", "in use"),
        (json!({"dir": good, "path": "/a b"}), "www.client.path", "letters"),
        (
            json!({"dir": good, "plugins": {"console_view": {}}}),
            "www.client.plugins.console_view",
            "buildbot-console-view",
        ),
        (
            json!({"dir": good, "plugins": {"grid_view": 3}}),
            "www.client.plugins.grid_view",
            "table of settings",
        ),
        (
            json!({"dir": good, "plugins": {"base_react": {}}}),
            "www.client.plugins.base_react",
            "leave it out",
        ),
    ];
    for (client, path, message) in table {
        let errors =
            Client::load(&config(client.clone()), folder.path(), &Default::default()).await.unwrap_err();
        assert!(errors.len() == 1 && errors[0].path == path, "{client}: {errors:?}");
        assert!(errors[0].message.contains(message), "{client}: {errors:?}");
    }
    let mut elsewhere = config(json!({"dir": good}));
    elsewhere.www.plugins.insert("console_view".into(), json!({}));
    let errors = Client::load(&elsewhere, folder.path(), &Default::default()).await.unwrap_err();
    assert_eq!(errors[0].path, "www.plugins.console_view");
    let mut none = Config::default();
    none.www.plugins.insert("grid_view".into(), json!({}));
    let errors = Client::load(&none, folder.path(), &Default::default()).await.unwrap_err();
    assert!(errors[0].path == "www.plugins" && errors[0].message.contains("www.client"), "{errors:?}");
    assert!(Client::load(&Config::default(), folder.path(), &Default::default()).await.unwrap().is_none());
}
