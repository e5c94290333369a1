//! Steps that move files between master and worker, with a real worker and real files.

use crate::support::{Bench, eventually, object, property};
use lunabot_data::new::NewSourceStamp;
use lunabot_data::new::StampRef;
use lunabot_model::{Json, Results};
use serde_json::json;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

fn write(path: PathBuf, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Bytes that are no text, more than a few blocks.
fn noise() -> Vec<u8> {
    (0..700_001u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o7777
}

/// Everything below a folder, hidden files too.
fn tree(dir: &Path) -> Vec<String> {
    let mut all = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(dir).unwrap().display().to_string();
            match fs::read_link(&path) {
                Ok(to) => all.push(format!("{name} -> {}", to.display())),
                Err(_) if path.is_dir() => {
                    all.push(format!("{name}/"));
                    open.push(path);
                }
                Err(_) => all.push(name),
            }
        }
    }
    all.sort();
    all
}

#[tokio::test]
async fn row_06_031_a_file_is_uploaded_whole_with_mode_times_and_link() {
    let bench = Bench::new().await;
    let source = bench.workdir().join("out/a.bin");
    write(source.clone(), noise());
    let then = fs::File::open(&source).unwrap();
    let past = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    then.set_modified(past).unwrap();
    let steps = [
        object(
            "steps.FileUpload",
            json!({"workersrc": "out/a.bin", "masterdest": "made/for/it/b.bin", "mode": "0640", "keepstamp": true,
                   "url": "http://files/b", "blocksize": 1000}),
        ),
        object(
            "steps.FileUpload",
            json!({"workersrc": "a.bin", "workdir": "build/out", "masterdest": property("where"),
                   "url": "http://files/c", "urlText": "the file", "description": "fetching"}),
        ),
    ];
    let set = object("steps.SetProperty", json!({"property": "where", "value": "c.bin"}));
    write(bench.dir.path().join("c.bin"), "old");
    let built = bench.build(&[&[set], &steps[..]].concat()).await;
    assert_eq!(built.results(), Some(Results::Success), "{built:?}");
    assert_eq!(built.step(1).1, "uploading a.bin");
    assert_eq!(built.step(2).1, "fetching");
    let target = bench.dir.path().join("made/for/it/b.bin");
    assert_eq!(fs::read(&target).unwrap(), noise());
    assert_eq!((mode(&target), target.metadata().unwrap().mtime()), (0o640, 1_000_000_000));
    assert_eq!(fs::read(bench.dir.path().join("c.bin")).unwrap(), noise());
    assert_eq!(tree(&bench.dir.path().join("made")), ["for/", "for/it/", "for/it/b.bin"]);
    let urls = |step: usize| serde_json::to_value(&built.steps[step].0.urls).unwrap();
    assert_eq!(urls(1), json!([{"name": "b.bin", "url": "http://files/b"}]));
    assert_eq!(urls(2), json!([{"name": "the file", "url": "http://files/c"}]));
}

#[tokio::test]
async fn row_06_031_what_cannot_be_uploaded_fails_and_leaves_nothing() {
    let bench = Bench::new().await;
    write(bench.workdir().join("five"), "12345");
    write(bench.workdir().join("empty"), "");
    write(bench.dir.path().join("folder/x"), "");
    let upload = |args: Json| object("steps.FileUpload", args);
    let soft = |mut args: Json| {
        args["haltOnFailure"] = false.into();
        upload(args)
    };
    let steps = [
        soft(json!({"workersrc": "nowhere", "masterdest": "up/nothing"})),
        soft(json!({"workersrc": "five", "masterdest": "up/cut", "maxsize": 3})),
        soft(json!({"workersrc": "five", "masterdest": "folder"})),
        soft(json!({"workersrc": "empty", "masterdest": "up/empty", "maxsize": 3})),
        upload(json!({"workersrc": "nowhere", "masterdest": "up/nothing"})),
        upload(json!({"workersrc": "five", "masterdest": "up/never"})),
    ];
    let built = bench.build(&steps).await;
    let results: Vec<_> = (0..built.steps.len()).map(|step| built.step(step).0).collect();
    assert_eq!(
        results,
        [Results::Failure, Results::Failure, Results::Failure, Results::Success, Results::Failure]
    );
    assert_eq!(built.step(0).1, "uploading nowhere (failure)");
    assert!(built.lines(0, 'e')[0].starts_with("Cannot open file"), "{}", built.log(0, "stdio"));
    assert!(built.lines(2, 'e')[0].starts_with("cannot write"), "{}", built.log(2, "stdio"));
    assert_eq!(tree(&bench.dir.path().join("up")), ["cut", "empty"]);
    assert_eq!(fs::read_to_string(bench.dir.path().join("up/cut")).unwrap(), "123");
    assert_eq!(tree(&bench.dir.path().join("folder")), ["x"]);
}

#[tokio::test]
async fn row_05_050_an_interrupted_upload_leaves_no_partial_file() {
    for (kind, source) in [("steps.FileUpload", "huge"), ("steps.DirectoryUpload", ".")] {
        let bench = Bench::new().await;
        fs::create_dir_all(bench.workdir()).unwrap();
        // At one byte a time a long way to go.
        fs::File::create(bench.workdir().join("huge")).unwrap().set_len(64 << 20).unwrap();
        let step = object(kind, json!({"workersrc": source, "masterdest": "up/it", "blocksize": 1}));
        bench.declare(&[step]).await;
        let finished = bench.begin(vec![StampRef::New(NewSourceStamp::default())]).await;
        let up = bench.dir.path().join("up");
        let begun = async || (up.exists() && !bench.list("builds").await.is_empty()).then_some(());
        eventually("the upload begins", begun).await;
        bench.stop_build(1).await;
        let built = bench.end(finished).await;
        assert_eq!(built.step(0).0, Results::Cancelled, "{built:?}");
        assert_eq!(tree(&up), [""; 0]);
    }
}

#[tokio::test]
async fn row_06_032_a_directory_is_uploaded_for_each_compression() {
    let bench = Bench::new().await;
    let source = bench.workdir().join("site");
    write(source.join("index.html"), "<p>");
    write(source.join("img/a.bin"), &noise()[..90_000]);
    fs::create_dir_all(source.join("empty")).unwrap();
    symlink("../index.html", source.join("img/home")).unwrap();
    fs::set_permissions(source.join("index.html"), fs::Permissions::from_mode(0o604)).unwrap();
    let upload = |args: Json| object("steps.DirectoryUpload", args);
    let steps = [
        upload(json!({"workersrc": "site", "masterdest": "www/plain"})),
        upload(json!({"workersrc": "site", "masterdest": "www/gz", "compress": "gz"})),
        upload(json!({"workersrc": "site", "masterdest": "www/bz2", "compress": "bz2"})),
        upload(json!({"workersrc": "site/empty", "masterdest": "www/plain/more"})),
        upload(json!({"workersrc": "site", "masterdest": "www/plain"})),
        // A link in it leads out of it.
        upload(json!({"workersrc": "site/img", "masterdest": "www/out", "haltOnFailure": false})),
        upload(
            json!({"workersrc": "site", "masterdest": "www/big", "maxsize": 1000, "haltOnFailure": false}),
        ),
        upload(json!({"workersrc": "nowhere", "masterdest": "www/none"})),
    ];
    let built = bench.build(&steps).await;
    let results: Vec<_> = (0..built.steps.len()).map(|step| built.step(step).0).collect();
    let (ok, no) = (Results::Success, Results::Failure);
    assert_eq!(results, [ok, ok, ok, ok, ok, no, no, no], "{built:?}");
    assert!(built.lines(5, 'e')[0].contains("home' of the archive: a link to '../index.html'"));
    let www = bench.dir.path().join("www");
    let same = ["empty/", "img/", "img/a.bin", "img/home -> ../index.html", "index.html"];
    assert_eq!(tree(&www.join("gz")), same);
    assert_eq!(tree(&www.join("bz2")), same);
    assert_eq!(tree(&www.join("plain")), [&same[..], &["more/"]].concat());
    assert_eq!(fs::read(www.join("bz2/img/a.bin")).unwrap(), noise()[..90_000]);
    assert_eq!(mode(&www.join("gz/index.html")), 0o604);
    let mut names: Vec<_> = fs::read_dir(&www).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["bz2", "gz", "plain"]);
}

#[tokio::test]
async fn row_06_033_several_files_and_directories_are_uploaded() {
    let bench = Bench::new().await;
    for name in ["a.log", "b.log", "c.txt", "deep/d.log", "dir/x"] {
        write(bench.workdir().join(name), name);
    }
    let upload = |args: Json| object("steps.MultipleFileUpload", args);
    let steps = [
        upload(
            json!({"workersrcs": ["a.log", "dir"], "masterdest": "some", "mode": "0600", "url": "http://f/"}),
        ),
        upload(
            json!({"workersrcs": ["*.log", "**/*.log"], "masterdest": "found", "glob": true, "compress": "gz"}),
        ),
        upload(json!({"workersrcs": ["*.nothing"], "masterdest": "none", "glob": true})),
        upload(json!({"workersrcs": [], "masterdest": "none"})),
        upload(json!({"workersrcs": "c.txt", "masterdest": "one"})),
        upload(json!({"workersrcs": ["gone", "c.txt"], "masterdest": "never"})),
    ];
    let built = bench.build(&steps).await;
    let results: Vec<_> = (0..built.steps.len()).map(|step| built.step(step).0).collect();
    let (ok, skipped) = (Results::Success, Results::Skipped);
    assert_eq!(results, [ok, ok, skipped, skipped, ok, Results::Failure], "{built:?}");
    let texts: Vec<_> = (0..built.steps.len()).map(|step| built.step(step).1).collect();
    assert_eq!(texts[0], "uploading 2 files");
    assert_eq!(texts[1], "uploading 3 files");
    assert_eq!(texts[4], "uploading 1 file");
    assert_eq!(built.log(5, "stderr").trim(), "'gone' is not on the worker");
    let dir = bench.dir.path();
    assert_eq!(tree(&dir.join("some")), ["a.log", "dir/", "dir/x"]);
    assert_eq!(tree(&dir.join("found")), ["a.log", "b.log", "d.log"]);
    assert_eq!(mode(&dir.join("some/a.log")), 0o600);
    assert!(!dir.join("none").exists() && !dir.join("never").exists() && dir.join("one/c.txt").exists());
    let urls = serde_json::to_value(&built.steps[0].0.urls).unwrap();
    assert_eq!(urls, json!([{"name": "some", "url": "http://f/"}]));
}

#[tokio::test]
async fn row_06_034_a_file_of_the_master_is_downloaded() {
    let bench = Bench::new().await;
    write(bench.dir.path().join("files/a.bin"), noise());
    let download = |args: Json| object("steps.FileDownload", args);
    let steps = [
        download(json!({"mastersrc": "files/a.bin", "workerdest": "in/b.bin", "mode": "0750"})),
        download(
            json!({"mastersrc": bench.dir.path().join("files/a.bin"), "workerdest": "c.bin", "workdir": "other"}),
        ),
        download(
            json!({"mastersrc": "files/a.bin", "workerdest": "cut", "maxsize": 10, "blocksize": 7, "haltOnFailure": false}),
        ),
        download(json!({"mastersrc": "files", "workerdest": "x", "haltOnFailure": false})),
        download(json!({"mastersrc": "nowhere", "workerdest": "y"})),
    ];
    let built = bench.build(&steps).await;
    let results: Vec<_> = (0..built.steps.len()).map(|step| built.step(step).0).collect();
    let (ok, no) = (Results::Success, Results::Failure);
    assert_eq!(results, [ok, ok, no, no, no], "{built:?}");
    assert_eq!(built.step(0).1, "downloading to b.bin");
    assert_eq!(fs::read(bench.workdir().join("in/b.bin")).unwrap(), noise());
    assert_eq!(mode(&bench.workdir().join("in/b.bin")), 0o750);
    assert_eq!(fs::read(bench.builddir().join("other/c.bin")).unwrap(), noise());
    assert_eq!(fs::read(bench.workdir().join("cut")).unwrap(), noise()[..10]);
    assert!(built.lines(4, 'e')[0].starts_with("cannot read"), "{}", built.log(4, "stdio"));
    assert!(built.lines(3, 'e')[0].contains("not a regular file"), "{}", built.log(3, "stdio"));
}

#[tokio::test]
async fn row_06_035_texts_and_values_are_downloaded_as_files() {
    let bench = Bench::new().await;
    let steps = [
        object("steps.SetProperty", json!({"property": "p", "value": [1, "ü"]})),
        object(
            "steps.StringDownload",
            json!({"s": property("buildername"), "workerdest": "s", "mode": "0600"}),
        ),
        object(
            "steps.JSONStringDownload",
            json!({"o": {"a": [1, null, property("p")]}, "workerdest": "o.json"}),
        ),
        object("steps.JSONPropertiesDownload", json!({"workerdest": "sub/p.json"})),
    ];
    let stamp =
        NewSourceStamp { branch: Some("main".into()), project: "pr".into(), ..NewSourceStamp::default() };
    let built = bench.build_for(&steps, vec![stamp]).await;
    assert_eq!(built.results(), Some(Results::Success), "{built:?}");
    let names: Vec<_> = built.steps.iter().map(|(step, _)| step.name.as_str()).collect();
    assert_eq!(names[1..], ["string_download", "json_download", "json_properties_download"]);
    assert_eq!(built.step(3).1, "downloading to p.json");
    let file = |name: &str| fs::read_to_string(bench.workdir().join(name)).unwrap();
    let value = |name: &str| serde_json::from_str::<Json>(&file(name)).unwrap();
    assert_eq!((file("s").as_str(), mode(&bench.workdir().join("s"))), ("b", 0o600));
    assert_eq!(value("o.json"), json!({"a": [1, null, [1, "ü"]]}));
    let facts = value("sub/p.json");
    assert_eq!(facts["properties"]["p"], json!([1, "ü"]));
    assert_eq!(facts["properties"]["branch"], "main");
    let stamp = json!({"branch": "main", "revision": null, "repository": "", "project": "pr", "codebase": "",
                       "patch_level": null, "patch_body": null, "patch_subdir": null, "patch_author": null,
                       "patch_comment": null});
    assert_eq!(facts["sourcestamps"], json!([stamp]));
}

#[tokio::test]
async fn row_06_037_a_regular_file_is_found() {
    let bench = Bench::new().await;
    write(bench.workdir().join("here"), "");
    let exists = |file: &str| object("steps.FileExists", json!({"file": file, "haltOnFailure": false}));
    let halting = object("steps.FileExists", json!({"file": "build/gone"}));
    let built = bench
        .build(&[exists("build/here"), exists("build"), exists("build/gone"), halting, exists("build/here")])
        .await;
    let ended: Vec<_> = (0..built.steps.len()).map(|step| built.step(step)).collect();
    let (ok, no) = (Results::Success, Results::Failure);
    let want = [(ok, "File found."), (no, "Not a file. (failure)"), (no, "File not found. (failure)")];
    assert_eq!(ended[..3], want);
    assert_eq!(ended.len(), 4, "a failure ends the build");
}

#[tokio::test]
async fn row_06_038_directories_are_made_copied_and_removed() {
    let bench = Bench::new().await;
    write(bench.builddir().join("file"), "");
    let step = |name: &str, args: Json| object(&format!("steps.{name}"), args);
    let soft = |name: &str, mut args: Json| {
        args["haltOnFailure"] = false.into();
        step(name, args)
    };
    let steps = [
        step("MakeDirectory", json!({"dir": "build/a/b"})),
        step("MakeDirectory", json!({"dir": ["build/c", "build/d"]})),
        step("CopyDirectory", json!({"src": "build", "dest": "copy"})),
        step("RemoveDirectory", json!({"dir": ["build/c", "build/a"]})),
        step("RemoveDirectory", json!({"dir": "build/never"})),
        soft("MakeDirectory", json!({"dir": "file/x"})),
        soft("CopyDirectory", json!({"src": "gone", "dest": "copy2", "maxTime": 60})),
        soft(
            "CopyDirectory",
            json!({"src": "gone", "dest": "copy2", "timeout": null, "descriptionDone": "tried"}),
        ),
        step("MakeDirectory", json!({"dir": "file/x"})),
        step("MakeDirectory", json!({"dir": "late"})),
    ];
    let built = bench.build(&steps).await;
    let ended: Vec<_> = (0..built.steps.len()).map(|step| built.step(step)).collect();
    let (ok, no) = (Results::Success, Results::Failure);
    let want = [
        (ok, "Created"),
        (ok, "Created"),
        (ok, "Copied build to copy"),
        (ok, "Deleted"),
        (ok, "Deleted"),
        (no, "Create failed. (failure)"),
        (no, "Copying gone to copy2 failed. (failure)"),
        (no, "tried (failure)"),
        (no, "Create failed. (failure)"),
    ];
    assert_eq!(ended, want);
    assert_eq!(tree(&bench.workdir()), ["d/"]);
    assert_eq!(tree(&bench.builddir().join("copy")), ["a/", "a/b/", "c/", "d/"]);
}
