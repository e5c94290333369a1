//! File commands and transfers against the real system, with the argument names of PB.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use lunabot_proto::{Dict, Stat, Transfer, Update, Value};
use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, symlink},
        net::UnixListener,
    },
    path::Path,
};
use support::{Bench, Told};

fn path(key: &str, value: &str) -> Dict {
    Dict::new().with(key, value)
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_status_is_the_number_of_the_systems_error() {
    let bench = Bench::new();
    bench.write("f", "x");
    bench.write("d/f", "x");
    let base = bench.builddir().display().to_string();
    for (name, args, rc, header) in [
        ("mkdir", path("dir", "new/deep"), 0, String::new()),
        ("mkdir", path("dir", "new/deep"), 0, String::new()),
        ("mkdir", Dict::new().with("paths", vec!["n1", "n2"]), 0, String::new()),
        ("mkdir", path("dir", "f"), 17, format!("mkdir: File exists: {base}/f\n")),
        ("mkdir", path("dir", "f/x"), 20, format!("mkdir: Not a directory: {base}/f/x\n")),
        ("stat", path("file", "nope"), 2, format!("stat: No such file or directory: {base}/nope\n")),
        ("listdir", path("dir", "f"), 20, format!("listdir: Not a directory: {base}/f\n")),
        ("rmfile", path("path", "d"), 21, format!("rmfile: Is a directory: {base}/d\n")),
        ("rmfile", path("path", "nope"), 2, format!("rmfile: No such file or directory: {base}/nope\n")),
        ("rmfile", path("path", "f"), 0, String::new()),
    ] {
        let told = bench.run(name, args.clone()).await;
        assert_eq!((told.rc(), told.failure()), (Some(rc), None), "{name} {args:?}");
        assert_eq!(told.text("header"), header, "{name} {args:?}");
        assert!(told.keys().contains(&"elapsed"));
    }
    assert!(bench.builddir().join("new/deep").is_dir() && bench.builddir().join("n2").is_dir());
    assert!(!bench.builddir().join("f").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn stat_gives_the_ten_numbers_and_follows_links() {
    let bench = Bench::new();
    bench.write("build/f", "12345");
    symlink("f", bench.builddir().join("build/link")).unwrap();
    let told = bench.run("stat", path("file", "link").with("workdir", "build")).await;
    let meta = fs::metadata(bench.builddir().join("build/f")).unwrap();
    let Some(Update::Stat(stat)) = told.updates.first() else { panic!("{told:?}") };
    let expected = Stat {
        mode: meta.mode(),
        ino: meta.ino(),
        dev: meta.dev(),
        nlink: 1,
        uid: meta.uid(),
        gid: meta.gid(),
        size: 5,
        atime: meta.atime(),
        mtime: meta.mtime(),
        ctime: meta.ctime(),
    };
    assert_eq!(*stat, expected);
    assert!(stat.is_file() && !stat.is_dir());
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_found() {
    let bench = Bench::new();
    for file in ["a.txt", "b.log", ".hidden.txt", "sub/c.txt", "sub/deep/d.txt", "sub/.dot/e.txt", "[x]"] {
        bench.write(file, "");
    }
    symlink("nowhere", bench.builddir().join("broken.txt")).unwrap();
    let base = format!("{}/", bench.builddir().display());
    for (pattern, expected) in [
        ("*.txt", vec!["a.txt", "broken.txt"]),
        (".*.txt", vec![".hidden.txt"]),
        ("**/*.txt", vec!["a.txt", "broken.txt", "sub/c.txt", "sub/deep/d.txt"]),
        ("sub/**", vec!["sub", "sub/c.txt", "sub/deep", "sub/deep/d.txt"]),
        ("s[a-z]b/?.txt", vec!["sub/c.txt"]),
        ("[[]x]", vec!["[x]"]),
        ("[!a]*.log", vec!["b.log"]),
        ("sub/../a.txt", vec!["sub/../a.txt"]),
        ("a.txt", vec!["a.txt"]),
        ("nope", vec![]),
        ("nope/*", vec![]),
        ("a.txt/*", vec![]),
    ] {
        let told = bench.run("glob", path("path", pattern)).await;
        let found: Vec<_> = told.files().iter().map(|f| f.replace(&base, "")).collect();
        assert_eq!(
            (found, told.rc()),
            (expected.into_iter().map(str::to_owned).collect(), Some(0)),
            "{pattern}"
        );
    }
    let told = bench.run("listdir", path("dir", "")).await;
    assert_eq!(told.files(), [".hidden.txt", "[x]", "a.txt", "b.log", "broken.txt", "sub"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_no_text_does_not_lose_the_list() {
    let bench = Bench::new();
    bench.write("plain", "");
    let name = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"a\xffb");
    fs::write(bench.builddir().join(name), "").unwrap();
    let told = bench.run("listdir", path("dir", "")).await;
    assert_eq!((told.files(), told.rc()), (vec!["a\u{FFFD}b".to_owned(), "plain".to_owned()], Some(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn directories_are_removed_and_copied() {
    let bench = Bench::new();
    bench.write("d/sub/f", "x");
    symlink("sub/f", bench.builddir().join("d/link")).unwrap();
    let told = bench.run("cpdir", path("fromdir", "d").with("todir", "copy").with("logEnviron", false)).await;
    assert_eq!(told.rc(), Some(0));
    assert_eq!(fs::read_link(bench.builddir().join("copy/link")).unwrap().to_str(), Some("sub/f"));
    assert!(told.text("stdout").contains("copy/sub/f'\n"));
    let told = bench.run("rmdir", Dict::new().with("dir", vec!["d", "absent", "copy"])).await;
    assert_eq!(told.rc(), Some(0));
    assert!(!bench.builddir().join("d").exists() && !bench.builddir().join("copy").exists());
    let told =
        bench.run("rmdir", Dict::new().with("dir", vec!["/proc/1/mem", "d"]).with("logEnviron", false)).await;
    assert_eq!(told.rc(), Some(1));
    assert_eq!(told.text("header").matches("\nrm -rf /proc/1/mem\n").count(), 1, "tried once more");
    assert!(told.text("header").contains("\nchmod -Rf u+rwx /proc/1/mem\n"));
}

fn upload(source: &str, block: i64) -> Dict {
    path("workersrc", source).with("workdir", "build").with("blocksize", block).with("maxsize", Value::None)
}

#[tokio::test(flavor = "multi_thread")]
async fn files_go_up_in_blocks() {
    let bench = Bench::new();
    let data: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    bench.write("build/f", &data);
    bench.write("build/empty", "");
    nix::unistd::mkfifo(&bench.builddir().join("build/pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for (args, rc, length, blocks, stderr) in [
        (upload("f", 4096), 0, 10_000, 3, ""),
        (upload("f", 10_000_000), 0, 10_000, 1, ""),
        (upload("f", 4096).with("maxsize", 10_000), 1, 10_000, 3, "Maximum filesize reached"),
        (upload("f", 4096).with("maxsize", 5000), 1, 5000, 2, "Maximum filesize reached"),
        (upload("f", 4096).with("maxsize", 20_000), 0, 10_000, 3, ""),
        (upload("empty", 4096), 0, 0, 0, ""),
        (upload("nope", 4096), 1, 0, 0, "Cannot open file"),
        (upload("../build", 4096), 1, 0, 0, "Cannot open file"),
        (upload("pipe", 4096), 1, 0, 0, "/pipe' for upload: it is no regular file\n"),
    ] {
        let told = bench.run("uploadFile", args.clone()).await;
        let (sent, count) = told.sent();
        assert_eq!((told.rc(), sent.len(), count), (Some(rc), length, blocks), "{args:?}");
        assert_eq!(sent, data[..length]);
        assert!(told.text("stderr").contains(stderr) && told.text("stderr").is_empty() == stderr.is_empty());
        assert_eq!(told.transfers.last(), Some(&Transfer::Close), "{args:?}");
    }
    let told = bench.run("uploadFile", upload("f", 4096).with("keepstamp", true)).await;
    let meta = fs::metadata(bench.builddir().join("build/f")).unwrap();
    let [.., Transfer::Close, Transfer::Utime { modified, .. }] = told.transfers[..] else {
        panic!("{told:?}")
    };
    assert!((modified - meta.mtime() as f64 - meta.mtime_nsec() as f64 / 1e9).abs() < 1e-6);
}

fn unpack(bytes: &[u8], compress: &str) -> BTreeMap<String, String> {
    let plain: Box<dyn Read> = match compress {
        "gz" => Box::new(flate2::read::GzDecoder::new(bytes)),
        "bz2" => Box::new(bzip2::read::BzDecoder::new(bytes)),
        _ => Box::new(bytes),
    };
    let mut archive = tar::Archive::new(plain);
    let entry = |entry: std::io::Result<tar::Entry<'_, _>>| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let link = entry.link_name().unwrap().map(|to| format!("-> {}", to.display()));
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        (name.trim_start_matches("./").trim_end_matches('/').to_owned(), link.unwrap_or(text))
    };
    archive.entries().unwrap().map(entry).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn directories_go_up_as_tar_streams() {
    let bench = Bench::new();
    let long = "n".repeat(150);
    bench.write("build/d/a.txt", "hello\n");
    bench.write(&format!("build/d/sub/{long}"), "x");
    symlink("a.txt", bench.builddir().join("build/d/link")).unwrap();
    symlink("nowhere", bench.builddir().join("build/d/broken")).unwrap();
    let socket = UnixListener::bind(bench.builddir().join("build/d/socket")).unwrap();
    for compress in ["", "gz", "bz2"] {
        let told = bench.run("uploadDirectory", upload("d", 512).with("compress", compress)).await;
        assert_eq!((told.rc(), told.failure()), (Some(0), None), "{compress}: {}", told.text("stderr"));
        assert_eq!(told.transfers.last(), Some(&Transfer::Unpack));
        let mut files = unpack(&told.sent().0, compress);
        files.retain(|name, _| !name.is_empty() && name != ".");
        let expected = [("a.txt", "hello\n"), ("broken", "-> nowhere"), ("link", "-> a.txt"), ("sub", "")];
        let mut expected: BTreeMap<_, _> = expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        expected.insert(format!("sub/{long}"), "x".to_owned());
        assert_eq!(files, expected, "{compress}");
    }
    drop(socket);
    for (args, rc, stderr) in [
        (upload("nope", 512).with("compress", Value::None), 1, "Cannot read directory"),
        (upload("d/a.txt", 512), 1, "Cannot read directory"),
        (upload("d", 512).with("maxsize", 700), 1, "Maximum filesize reached"),
    ] {
        let told = bench.run("uploadDirectory", args.clone()).await;
        assert_eq!(told.rc(), Some(rc), "{args:?}");
        assert!(told.text("stderr").contains(stderr), "{args:?}");
    }
    let told = bench.run("uploadDirectory", upload("d", 512).with("compress", "xz")).await;
    assert!(told.failure().unwrap().contains("'compress' must be gz, bz2 or none"));
}

async fn download(bench: &Bench, data: &[u8], args: Dict) -> Told {
    *bench.master.source.lock().unwrap() = data.to_vec().into();
    let args = args.into_iter().fold(path("workdir", "build"), |all, (k, v)| all.with(k, v));
    bench.run("downloadFile", args).await
}

#[tokio::test(flavor = "multi_thread")]
async fn files_come_down() {
    let bench = Bench::new();
    let data: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    let file = |name: &str| bench.builddir().join("build").join(name);
    let dest = |name: &str| path("workerdest", name).with("blocksize", 4096);
    let told = download(&bench, &data, dest("new/dir/f").with("mode", 0o750)).await;
    assert_eq!((told.rc(), fs::read(file("new/dir/f")).unwrap()), (Some(0), data.clone()));
    assert_eq!(fs::metadata(file("new/dir/f")).unwrap().permissions().mode() & 0o7777, 0o750);
    let read = |length| Transfer::Read { length };
    assert_eq!(told.transfers, [read(4096), read(4096), read(4096), read(4096), Transfer::CloseRead]);

    let told = download(&bench, &data, dest("cut").with("maxsize", 5000)).await;
    assert_eq!((told.rc(), fs::read(file("cut")).unwrap()), (Some(1), data[..5000].to_vec()));
    assert_eq!(told.transfers, [read(4096), read(904), Transfer::CloseRead]);
    assert!(told.text("stderr").starts_with("Maximum filesize reached, truncating file '"));

    let told = download(&bench, &data, dest("new/dir")).await;
    assert_eq!((told.rc(), told.transfers.clone()), (Some(1), vec![Transfer::CloseRead]));
    assert!(told.text("stderr").starts_with("Cannot open file '"));

    nix::unistd::mkfifo(&file("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let told = download(&bench, &data, dest("pipe")).await;
    assert!(told.text("stderr").starts_with("Cannot open file '"), "{told:?}");

    let told = download(&bench, &data, dest("cut/x")).await;
    assert!(told.failure().unwrap().starts_with("cannot make the directory"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_refuses_ends_the_transfer() {
    let bench = Bench::new();
    bench.write("build/f", [0; 10_000]);
    *bench.master.refuse_after.lock().unwrap() = Some(1);
    let told = bench.run("uploadFile", upload("f", 4096)).await;
    assert_eq!((told.failure().as_deref(), told.rc()), (Some("no room left"), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_transfer_stops_at_a_block() {
    let bench = Bench::new();
    let file = fs::File::create({
        bench.write("build/x", "");
        bench.builddir().join("build/huge")
    });
    file.unwrap().set_len(1 << 40).unwrap();
    bench.start("up", "uploadFile", upload("huge", 1));
    bench.master.wait_for("up", |told| told.transfers.len() > 3).await;
    bench.core.interrupt("up", "test");
    let told = bench.ended("up").await;
    assert_eq!((told.rc(), told.failure()), (Some(1), None));
    assert_eq!(told.transfers.last(), Some(&Transfer::Close));
}

/// Whether this process reads a file.
fn is_open(file: &Path) -> bool {
    let mut handles = fs::read_dir("/proc/self/fd").unwrap();
    handles
        .any(|handle| handle.and_then(|handle| fs::read_link(handle.path())).is_ok_and(|path| path == file))
}

/// Packing what this makes takes hours: a terabyte, of which nothing is on the disk.
#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_is_packed_is_given_up() {
    let bench = Bench::new();
    bench.write("build/d/huge", "");
    fs::File::options()
        .write(true)
        .open(bench.builddir().join("build/d/huge"))
        .and_then(|file| file.set_len(1 << 40))
        .unwrap();
    for compress in ["gz", "bz2"] {
        bench.start(compress, "uploadDirectory", upload("d", 512).with("compress", compress));
        while !is_open(&bench.builddir().join("build/d/huge")) {
            tokio::task::yield_now().await;
        }
        bench.core.interrupt(compress, "test");
        let told = bench.ended(compress).await;
        assert_eq!((told.rc(), told.failure(), told.transfers.len()), (Some(1), None, 0));
    }
}
