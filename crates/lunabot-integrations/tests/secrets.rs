//! Secret stores on real folders (12.001, 12.002).
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use lunabot_integrations::Secrets;
use lunabot_model::script::CallSite;
use lunabot_model::{AnyObject, Arg, BoxFuture, Callback, Json, ScriptError, ScriptHost, SecretSource};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

/// A configuration without functions.
struct NoFunctions;

impl ScriptHost for NoFunctions {
    fn call<'a>(
        &'a self,
        callback: &'a Callback,
        _: CallSite,
        _: Vec<Arg>,
    ) -> BoxFuture<'a, Result<Json, ScriptError>> {
        panic!("{callback:?} is called")
    }
    fn nonsense(&self, _: &Callback, _: CallSite, _: &str) {}
    fn generation(&self) -> u64 {
        1
    }
}

fn no_functions() -> Arc<dyn ScriptHost> {
    Arc::new(NoFunctions)
}

fn store(args: serde_json::Value) -> AnyObject {
    let object = json!({"$kind": "secrets.SecretInAFile", "$id": 1, "$at": "master.lua:7", "$args": args});
    AnyObject::from_json(&object).unwrap()
}

fn write(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

async fn errors(declared: &[AnyObject], base: &Path) -> Vec<String> {
    Secrets::load(declared, base, &no_functions())
        .await
        .err()
        .unwrap_or_default()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[tokio::test]
async fn files_are_secrets_and_the_first_store_wins() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["one", "two"] {
        std::fs::create_dir(dir.path().join(name)).unwrap();
    }
    write(&dir.path().join("one/a.secret"), "1\r\n", 0o600);
    write(&dir.path().join("one/other.txt"), "not one", 0o644);
    write(&dir.path().join("two/a"), " 2 \n\n", 0o640);
    write(&dir.path().join("two/b"), "b\n", 0o600);
    std::fs::create_dir(dir.path().join("two/folder")).unwrap();
    let first = store(json!({"dirname": "one", "suffixes": [".secret"]}));
    let second = store(json!({"dirname": dir.path().join("two"), "strip": false}));
    let secrets = Secrets::load(&[first, second], dir.path(), &no_functions()).await.unwrap();
    let get = |name: &'static str| {
        let secrets = &secrets;
        async move { secrets.get(name).await.unwrap() }
    };
    assert_eq!(get("a").await.as_deref(), Some("1"));
    assert_eq!(get("b").await.as_deref(), Some("b\n"));
    assert_eq!(get("folder").await, None);
    // Read once: what changes later counts after a reload.
    write(&dir.path().join("two/c"), "c", 0o600);
    assert_eq!(get("c").await, None);
}

#[tokio::test]
async fn open_files_and_missing_folders_are_errors_with_their_place() {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("x"), "x", 0o604);
    write(&dir.path().join("y"), "y", 0o601);
    let found =
        errors(&[store(json!({"dirname": "."})), store(json!({"dirname": "gone"}))], dir.path()).await;
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(
        found[0].starts_with("master.lua:7: secrets.SecretInAFile: ") && found[0].contains("mode 604"),
        "{found:?}"
    );
    assert!(found[1].contains("mode 601"), "{found:?}");
    assert!(found[2].contains("cannot read the folder"), "{found:?}");
}

#[tokio::test]
async fn other_stores_are_not_supported_yet() {
    let mut other = store(json!({}));
    other.kind = "secrets.SecretInPass".into();
    let found = errors(&[other], Path::new("/")).await;
    assert_eq!(found, ["master.lua:7: secrets.SecretInPass: this secret store is not supported yet"]);
}
