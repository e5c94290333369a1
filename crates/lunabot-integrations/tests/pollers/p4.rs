//! `changes.P4Source` against a stand-in for `p4` that answers in its recorded form (02.019).

use super::master::{Master, generation};
use crate::support::{Functions, function, script};
use lunabot_model::{AnyObject, Json};
use serde_json::json;
use std::path::Path;

/// A `p4` that knows the changes in the files `N` beside it, and notes how it was called.
fn stand_in(dir: &Path) -> String {
    let text = r#"#!/bin/sh
cd "$(dirname "$0")"
echo "$@" >>calls
while [ "${1#-}" != "$1" ]; do shift 2; done
case $1 in
login) read -r password; [ "$password" = s3cret ] || exit 1; printf 'Enter password: \nTICKET\n';;
changes)
  since=0; most=1000
  for word; do case $word in *@*) since=${word##*@}; since=${since%%,*};; esac; done
  [ "$4" = -m ] && most=1
  for number in $(ls | grep -x '[0-9]*' | sort -rn); do
    [ "$number" -ge "$since" ] && [ "$most" -gt 0 ] && { echo "Change $number on 2008/04/07 by joe@host 'text'"; most=$((most - 1)); }
  done; true;;
describe) cat "$3";;
esac
"#;
    script(dir, "p4", text).display().to_string()
}

fn submit(dir: &Path, number: u32, files: &[&str]) {
    let files: String = files.iter().map(|file| format!("... {file}#1 edit\n")).collect();
    let text = format!(
        "Change {number} by joe@host on 2008/04/07 12:30:00\n\n\tchange {number}\n\tin two lines\n\nAffected files ...\n\n{files}\n"
    );
    std::fs::write(dir.join(number.to_string()), text).unwrap();
}

fn source(p4: &str, options: Json) -> AnyObject {
    let mut args =
        json!({"p4bin": p4, "p4port": "h:1666", "p4base": "//depot/", "pollInterval": 0, "server_tz": "UTC"});
    args.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    let object = json!({"$kind": "changes.P4Source", "$id": 1, "$at": "master.lua:3", "$args": args});
    AnyObject::from_json(&object).unwrap()
}

#[tokio::test]
async fn row_02_019_each_submitted_change_is_told_once_per_branch() {
    let (dir, mut master) = (tempfile::tempdir().unwrap(), Master::new().await);
    let p4 = stand_in(dir.path());
    submit(dir.path(), 1, &["//depot/trunk/a"]);
    let functions = || {
        Functions::new(|name, args| match name {
            "split_file" => {
                let path = args[0].as_str().unwrap();
                Ok(path.split_once('/').map_or(Json::Null, |(branch, file)| json!([branch, file])))
            }
            "resolvewho" => Ok(json!(format!("{} <x@h>", args[0].as_str().unwrap()))),
            _ => Ok(json!(format!("http://h/{}/{}", args[0].as_str().unwrap(), args[1].as_str().unwrap()))),
        })
    };
    let options = json!({"split_file": function("s"), "resolvewho": function("w"), "revlink": function("l"),
                         "p4user": "bot", "p4passwd": "s3cret", "project": "P"});
    let declared = source(&p4, options);
    let applied = master.sources.apply(&generation(vec![declared.clone()], functions())).await.unwrap();
    assert_eq!(applied.started, ["P4Source:h:1666://depot/"]);
    master.poll_well().await;
    assert_eq!(master.told().await, [""; 0]);
    submit(
        dir.path(),
        2,
        &["//depot/trunk/a", "//depot/trunk/b c", "//depot/rel/a", "//depot/top", "//other/x"],
    );
    submit(dir.path(), 12, &["//depot/trunk/a"]);
    master.poll_well().await;
    master.poll_well().await;
    let comments = |n: u32| format!("change {n}\nin two lines");
    let wanted = [
        format!("trunk: {}", comments(2)),
        format!("rel: {}", comments(2)),
        format!("trunk: {}", comments(12)),
    ];
    assert_eq!(master.told().await, wanted);
    let first = master.changes().await.remove(0);
    assert_eq!((first.author.as_str(), first.when_timestamp), ("joe <x@h>", 1_207_571_400));
    assert_eq!((first.files, first.revision.as_deref()), (vec!["a".to_string(), "b c".into()], Some("2")));
    assert_eq!((first.revlink.as_deref(), first.project.as_str()), (Some("http://h/trunk/2"), "P"));
    let calls = std::fs::read_to_string(dir.path().join("calls")).unwrap();
    let second = calls.lines().nth(1).unwrap();
    assert_eq!(second, "-p h:1666 -u bot -P s3cret changes -s submitted //depot/...@2,#head");
    assert!(calls.contains("-p h:1666 -u bot -P s3cret describe -s 12"), "{calls}");

    master.restart().await;
    master.sources.apply(&generation(vec![declared], functions())).await.unwrap();
    std::fs::write(dir.path().join("13"), "Perforce is down\n").unwrap();
    let error = master.poll().await.last_error.unwrap();
    assert!(error.contains("p4 describe gave \"Perforce is down\""), "{error}");
    master.sources.skip("P4Source:h:1666://depot/", "13").await.unwrap();
    submit(dir.path(), 14, &["//depot/trunk/a"]);
    master.poll_well().await;
    assert_eq!(master.told().await[3..], [format!("trunk: {}", comments(14))]);
}

#[tokio::test]
async fn row_02_019_a_ticket_stands_for_the_password() {
    let (dir, master) = (tempfile::tempdir().unwrap(), Master::new().await);
    let p4 = stand_in(dir.path());
    submit(dir.path(), 1, &["//depot/a"]);
    let options = json!({"use_tickets": true, "p4user": "bot", "p4passwd": "s3cret"});
    master.apply(vec![source(&p4, options)]).await;
    master.poll_well().await;
    submit(dir.path(), 2, &["//depot/a"]);
    master.poll_well().await;
    assert_eq!(master.changes().await.len(), 1);
    let calls = std::fs::read_to_string(dir.path().join("calls")).unwrap();
    assert_eq!(calls.lines().filter(|line| line.ends_with("login -p")).count(), 1, "{calls}");
    assert!(calls.contains("-P TICKET describe -s 2") && !calls.contains("s3cret"), "{calls}");
    let wrong = json!({"name": "wrong", "use_tickets": true, "p4user": "bot", "p4passwd": "guess-it"});
    master.apply(vec![source(&p4, wrong)]).await;
    let error = master.poll().await.last_error.unwrap();
    assert!(error.starts_with("p4 login failed") && !error.contains("guess-it"), "{error}");
}
