//! Sources that read mails, on real maildirs (02.008, 02.026).

use super::master::{Master, generation};
use crate::support::{Functions, eventually, function};
use lunabot_model::{AnyObject, Json};
use serde_json::json;
use std::path::PathBuf;

const SUBVERSION: &str = "From: Joe Doe <joe@svn.example.org>
Subject: svn commit: r12 - in trunk: . lib
Date: Fri, 15 May 2009 10:35:43 +0200
Content-Type: text/plain; charset=UTF-8
Content-Transfer-Encoding: quoted-printable

Author: jdoe
Date: Fri May 15 10:35:43 2009
New Revision: 12

Log:
Say gr=C3=BC=C3=9Fe

and more

Modified:
   trunk/a.c
   trunk/lib/b.c
Added:
   docs/x

Modified: trunk/a.c
=3D=3D=3D=3D
";

const CVS: &str = "From: joe@cvs.example.org
Subject: cvs update for project None
Date: Fri, 15 May 2009 10:35:43 +0200

Cvsmode: 1.12
Category: nightly
CVSROOT: :ext:cvs.example.org:/cvsroot
Files: a file.c 1.1 1.2 b.c NONE 1.1 gone.c 1.4.2.1 NONE
Path: module/folder
Project: proj

Update of /cvsroot/module/folder

Modified Files:
 Tag: REL_1
\ta file.c
Log Message:
the message

second line
";

const OLD_CVS: &str = "From: Joe <joe@cvs.example.org>
Date: Fri, 15 May 2009 10:35:43 +0200

Cvsmode: 1.11
Category: None
CVSROOT: /cvsroot
Files: module/folder a.c,1.1,1.2 b.c,NONE,1.1
Project: None

Log Message:
old style
";

const LAUNCHPAD: &str = "From: noreply@launchpad.net
Subject: [Branch ~joe/project/trunk] Rev 12: the message
Date: Fri, 15 May 2009 10:40:00 -0000
Content-Type: text/plain; charset=\"utf-8\"

------------------------------------------------------------
revno: 12
committer: Joe Ö <joe@example.org>
branch nick: trunk
timestamp: Fri 2009-05-15 10:35:43 +0200
message:
  the message
  more of it
removed:
  old.c
renamed:
  a.c => b.c
modified:
  main.c
diff:
=== modified file 'main.c'
";

fn source(kind: &str, options: Json) -> AnyObject {
    let mut args = json!({"maildir": "mail"});
    args.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    let object = json!({"$kind": format!("changes.{kind}"), "$id": 1, "$at": "master.lua:3", "$args": args});
    AnyObject::from_json(&object).unwrap()
}

fn path(master: &Master, name: &str) -> PathBuf {
    master.dir.path().join("mail").join(name)
}

/// As a mail program does: written elsewhere, then moved.
fn deliver(master: &Master, name: &str, text: &[u8]) {
    std::fs::write(path(master, "tmp").join(name), text).unwrap();
    std::fs::rename(path(master, "tmp").join(name), path(master, "new").join(name)).unwrap();
}

fn names(master: &Master, folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(path(master, folder)).unwrap();
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Changes as the formats tell them: author, revision, branch, category, repository, project, files, comments, time.
async fn told(master: &Master) -> Vec<Json> {
    let row = |c: lunabot_model::resources::Change| {
        json!([c.author, c.revision, c.branch, c.category, c.repository, c.project, c.files, c.comments])
    };
    master.changes().await.into_iter().map(row).collect()
}

#[tokio::test]
async fn row_02_026_each_format_is_read() {
    for (kind, options, mail, want) in [
        (
            "SVNCommitEmailMaildirSource",
            json!({"repository": "svn://h/r", "category": "c"}),
            SUBVERSION,
            json!([
                "jdoe",
                "12",
                null,
                "c",
                "svn://h/r",
                "",
                ["trunk/a.c", "trunk/lib/b.c", "docs/x"],
                "Say grüße\n\nand more\n"
            ]),
        ),
        (
            "SVNCommitEmailMaildirSource",
            json!({"prefix": "trunk/"}),
            SUBVERSION,
            json!(["jdoe", "12", null, null, "", "", ["a.c", "lib/b.c"], "Say grüße\n\nand more\n"]),
        ),
        (
            "CVSMaildirSource",
            json!({"category": "other", "properties": {"p": 1}}),
            CVS,
            json!([
                "joe",
                "2009-05-15 08:35:43",
                "REL_1",
                "nightly",
                ":ext:cvs.example.org:/cvsroot",
                "proj",
                ["module/folder/a file.c", "module/folder/b.c", "module/folder/gone.c"],
                "the message\n\nsecond line\n"
            ]),
        ),
        (
            "CVSMaildirSource",
            json!({"category": "other"}),
            OLD_CVS,
            json!([
                "joe",
                "2009-05-15 08:35:43",
                null,
                "other",
                "/cvsroot",
                "",
                ["module/folder/a.c", "module/folder/b.c"],
                "old style\n"
            ]),
        ),
        (
            "BzrLaunchpadEmailMaildirSource",
            json!({}),
            LAUNCHPAD,
            json!([
                "Joe Ö <joe@example.org>",
                "12",
                "lp:~joe/project/trunk",
                null,
                "~joe/project/trunk",
                "",
                ["old.c REMOVED", "a.c RENAMED b.c", "main.c MODIFIED"],
                "the message\nmore of it\n"
            ]),
        ),
        (
            "BzrLaunchpadEmailMaildirSource",
            json!({"branchMap": {"lp:~joe/project/trunk": "main"}, "defaultBranch": "other", "prefix": "main"}),
            LAUNCHPAD,
            json!([
                "Joe Ö <joe@example.org>",
                "12",
                "main",
                null,
                "~joe/project/trunk",
                "",
                [".c MODIFIED"],
                "the message\nmore of it\n"
            ]),
        ),
    ] {
        let master = Master::new().await;
        master.apply(vec![source(kind, options)]).await;
        master.poll_well().await;
        deliver(&master, "1242376543.1.host", mail.as_bytes());
        eventually("a change", || async { (!told(&master).await.is_empty()).then_some(()) }).await;
        master.poll_well().await;
        assert_eq!(told(&master).await, [want], "{kind}");
        assert_eq!(
            (names(&master, "new"), names(&master, "cur")),
            (vec![], vec!["1242376543.1.host:2,S".into()])
        );
        let change = master.changes().await.remove(0);
        match kind {
            "SVNCommitEmailMaildirSource" => {
                assert!(change.when_timestamp >= 1_700_000_000, "when it was read");
            }
            _ => assert_eq!(change.when_timestamp, 1_242_376_543),
        }
    }
}

/// 02.008: in the order of delivery, each once, also where the process was killed after a change and before its mail was put
/// away; what tells of nothing is passed over.
#[tokio::test]
async fn row_02_008_each_mail_is_taken_in_once_and_in_order() {
    let mut master = Master::new().await;
    let declared = source("SVNCommitEmailMaildirSource", json!({"prefix": "trunk/"}));
    master.apply(vec![declared.clone()]).await;
    master.poll_well().await;
    master.sources.stop().await;
    let with = |revision: &str| SUBVERSION.replace("New Revision: 12", &format!("New Revision: {revision}"));
    deliver(&master, "10.x.host", with("3").as_bytes());
    deliver(&master, "9.z.host", with("2").as_bytes());
    deliver(&master, "9.a.host", with("1").as_bytes());
    deliver(&master, "11.elsewhere", with("4").replace("trunk/", "branches/").as_bytes());
    deliver(&master, ".hidden", with("5").as_bytes());
    master.restart().await;
    master.apply(vec![declared.clone()]).await;
    master.poll_well().await;
    let revisions = async |master: &Master| -> Vec<String> {
        master.changes().await.into_iter().filter_map(|change| change.revision).collect()
    };
    assert_eq!(revisions(&master).await, ["1", "2", "3"]);
    assert_eq!(names(&master, "cur").len(), 4);
    master.sources.stop().await;
    std::fs::rename(path(&master, "cur").join("10.x.host:2,S"), path(&master, "new").join("10.x.host"))
        .unwrap();
    master.restart().await;
    master.apply(vec![declared]).await;
    master.poll_well().await;
    assert_eq!(revisions(&master).await, ["1", "2", "3"]);
    assert_eq!(names(&master, "new"), [".hidden"]);
}

#[tokio::test]
async fn row_02_008_what_cannot_be_read_is_kept_aside_and_told() {
    let master = Master::new().await;
    master.apply(vec![source("SVNCommitEmailMaildirSource", json!({}))]).await;
    master.poll_well().await;
    let long = format!("{SUBVERSION}{}", "x".repeat(5 << 20));
    let (empty, good): (&[u8], _) = (b"", SUBVERSION.as_bytes());
    for (name, text) in [("1.long", long.as_bytes()), ("2.empty", empty), ("3.good", good)] {
        std::fs::write(path(&master, "tmp").join(name), text).unwrap();
    }
    master.sources.stop().await;
    let mut master = master;
    for name in ["1.long", "2.empty", "3.good"] {
        std::fs::rename(path(&master, "tmp").join(name), path(&master, "new").join(name)).unwrap();
    }
    master.restart().await;
    master.apply(vec![source("SVNCommitEmailMaildirSource", json!({}))]).await;
    let row = eventually("a failure", || async { Some(master.row()).filter(|row| row.failures > 0) }).await;
    assert_eq!(row.failures, 1, "one look found all three");
    assert_eq!(names(&master, "bad"), ["1.long", "2.empty"]);
    assert_eq!(told(&master).await.len(), 1);
}

/// A function that fails keeps the mail where it is: the poll is repeated.
#[tokio::test]
async fn a_mail_whose_change_cannot_be_stored_is_tried_again() {
    let master = Master::new().await;
    let declared = source("CVSMaildirSource", json!({"change_fn": function("alter")}));
    let failing = Functions::new(|_, _| Err("not now".into()));
    master.sources.apply(&generation(vec![declared.clone()], failing)).await.unwrap();
    eventually("a look", || async { (master.row().polls > 0).then_some(()) }).await;
    deliver(&master, "1.a", CVS.as_bytes());
    let row =
        eventually("a failure", || async { Some(master.row()).filter(|row| row.last_error.is_some()) }).await;
    assert!(row.last_error.unwrap().contains("not now"));
    assert_eq!(names(&master, "new"), ["1.a"]);
    let altering = Functions::new(|_, mut args| {
        let mut change = args.remove(0);
        change["branch"] = json!("altered");
        Ok(change)
    });
    master.sources.apply(&generation(vec![declared], altering)).await.unwrap();
    master.poll_well().await;
    assert_eq!(master.changes().await[0].branch.as_deref(), Some("altered"));
}
