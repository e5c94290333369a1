//! `changes.GitHubPullrequestPoller` (02.024) and `changes.BitbucketPullrequestPoller` (02.025) on small servers.

use super::master::{Master, generation};
use super::server::Server;
use crate::support::{Functions, function};
use lunabot_data::new::StateKey;
use lunabot_model::{AnyObject, Json};
use serde_json::json;

const HEAD: &str = "05c588ba8cd510ecbe112d020f215facb17817a7";

fn declared(kind: &str, args: Json, options: Json) -> AnyObject {
    let mut args = args;
    args.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    let object = json!({"$kind": format!("changes.{kind}"), "$id": 1, "$at": "master.lua:3", "$args": args});
    AnyObject::from_json(&object).unwrap()
}

fn github(server: &Server, options: Json) -> AnyObject {
    let args = json!({"owner": "octo", "repo": "hello", "baseURL": server.url, "pollInterval": 0});
    declared("GitHubPullrequestPoller", args, options)
}

/// A pull request as GitHub tells it.
fn pull(number: i64, head: &str, base: &str) -> Json {
    let repo = |owner: &str| {
        json!({"full_name": format!("{owner}/hello"), "clone_url": format!("https://github.com/{owner}/hello.git"),
               "ssh_url": format!("git@github.com:{owner}/hello.git"), "git_url": format!("git://github.com/{owner}/hello.git"),
               "svn_url": format!("https://github.com/{owner}/hello")})
    };
    json!({"number": number, "html_url": format!("https://github.com/octo/hello/pull/{number}"),
           "title": format!("Title {number}"), "body": "Body", "updated_at": "2026-05-05T23:41:00Z", "commits": 2,
           "head": {"ref": "changes", "sha": head, "repo": repo("cleo")},
           "base": {"ref": base, "repo": repo("octo")}})
}

/// Puts pull requests up for the poller.
fn show(server: &Server, pulls: &[Json]) {
    server.put("/repos/octo/hello/pulls", &json!(pulls));
    let commit = |name: &str| json!({"sha": "1", "commit": {"author": {"name": name, "email": "a@x"}, "committer": {"name": "C", "email": "c@x"}}});
    for pull in pulls {
        let path = format!("/repos/octo/hello/pulls/{}", pull["number"]);
        server.put(&path, pull);
        server.put(&format!("{path}/commits"), &json!([commit("First"), commit("Last")]));
        server.put(
            &format!("{path}/files"),
            &json!([{"filename": "a.c"}, {"filename": "n.c", "previous_filename": "o.c"}]),
        );
    }
}

/// 02.024: each new head of an open pull request is one change, once, also after a restart.
#[tokio::test]
async fn github_each_new_head_is_one_change_02_024() {
    let (server, mut master) = (Server::start().await, Master::new().await);
    show(&server, &[pull(50, HEAD, "main")]);
    let source = github(&server, json!({"token": "tok", "github_property_whitelist": ["github.head.ref"]}));
    assert_eq!(master.apply(vec![source.clone()]).await.started, ["GitHubPullrequestPoller:octo/hello"]);
    master.poll_well().await;
    let change = master.changes().await.remove(0);
    assert_eq!((change.author.as_str(), change.committer.as_deref()), ("First <a@x>", Some("C <c@x>")));
    assert_eq!(change.comments, "GitHub Pull Request #50 (2 commits)\nTitle 50\nBody");
    assert_eq!((change.branch.as_deref(), change.category.as_deref()), (Some("changes"), Some("pull")));
    assert_eq!((change.revision.as_deref(), change.when_timestamp), (Some(HEAD), 1_778_024_460));
    assert_eq!(
        (change.repository.as_str(), change.project.as_str()),
        ("https://github.com/cleo/hello.git", "octo/hello")
    );
    assert_eq!(change.files, ["a.c", "n.c", "o.c"]);
    assert_eq!(change.revlink.as_deref(), Some("https://github.com/octo/hello/pull/50"));
    let properties = change.properties.as_dict();
    assert_eq!(
        json!(properties),
        json!({"github.head.ref": "changes", "pullrequesturl": "https://github.com/octo/hello/pull/50"})
    );
    assert!(server.asked().iter().all(|(_, who)| who == "token tok"));

    master.poll_well().await;
    assert_eq!(
        server.paths(),
        ["/repos/octo/hello/pulls?per_page=100&page=1"],
        "nothing new, nothing else asked"
    );
    master.restart().await;
    master.apply(vec![source]).await;
    show(&server, &[pull(51, "51", "main"), pull(50, "50", "main")]);
    master.poll_well().await;
    let revisions: Vec<_> = master.changes().await.into_iter().filter_map(|c| c.revision).collect();
    assert_eq!(revisions, [HEAD, "50", "51"]);
}

/// 02.024: the options that choose and name.
#[tokio::test]
async fn github_options_02_024() {
    let (server, master) = (Server::start().await, Master::new().await);
    let mut gone = pull(53, "53", "main");
    gone["head"]["repo"] = Json::Null;
    show(&server, &[pull(50, "50", "main"), pull(51, "51", "main"), pull(52, "52", "release"), gone.clone()]);
    let options = json!({"branches": ["main"], "magic_link": true, "repository_type": "ssh", "project": "P",
                         "category": function("category"), "pullrequest_filter": function("filter"), "name": "mine"});
    let functions = Functions::new(|name, args| match name {
        "pullrequest_filter" => Ok(json!(args[0]["number"] != 51)),
        "category" => Ok(json!(format!("c-{}", args[0]["branch"].as_str().unwrap()))),
        other => panic!("{other}"),
    });
    master.sources.apply(&generation(vec![github(&server, options)], functions)).await.unwrap();
    master.poll_well().await;
    let told: Vec<_> = master
        .changes()
        .await
        .into_iter()
        .map(|c| (c.branch.unwrap(), c.repository, c.project, c.category.unwrap()))
        .collect();
    let of = |n: i64| {
        let branch = format!("refs/pull/{n}/merge");
        (branch.clone(), "git@github.com:octo/hello.git".to_string(), "P".to_string(), format!("c-{branch}"))
    };
    assert_eq!(told, [of(50), of(53)]);

    let plain = Master::new().await;
    plain.apply(vec![github(&server, json!({}))]).await;
    plain.poll_well().await;
    assert_eq!(plain.changes().await.len(), 3, "one whose repository is gone is left out");
}

/// A poll that fails is told and repeated; what was reported before is not repeated.
#[tokio::test]
async fn github_failures_lose_nothing_and_repeat_nothing_02_024() {
    let (server, mut master) = (Server::start().await, Master::new().await);
    show(&server, &[pull(50, "50", "main"), pull(51, "51", "main")]);
    server.put_text("/repos/octo/hello/pulls/51/commits", 500, "{\"message\": \"oops\"}");
    master.apply(vec![github(&server, json!({}))]).await;
    let told = master.poll().await.last_error.unwrap();
    assert!(
        told.contains("/repos/octo/hello/pulls/51/commits answers 500 Internal Server Error oops"),
        "{told}"
    );
    for answer in ["no json", "{}", "[3]"] {
        server.put_text("/repos/octo/hello/pulls", 200, answer);
        assert!(master.poll().await.last_error.is_some(), "{answer}");
    }
    show(&server, &[pull(50, "50", "main"), pull(51, "51", "main")]);
    master.poll_well().await;
    assert_eq!(master.changes().await.len(), 2);

    // Killed after the change of 52 was stored and before that was remembered.
    show(&server, &[pull(52, "52", "main")]);
    master.poll_well().await;
    let key = |name: &str| StateKey {
        object: "GitHubPullrequestPoller:octo/hello".into(),
        class: "GitHubPullrequestPoller".into(),
        name: name.into(),
    };
    master.data.set_state(&key("lastRev"), json!({})).await.unwrap().await.unwrap();
    master.restart().await;
    master.apply(vec![github(&server, json!({}))]).await;
    master.poll_well().await;
    let told: Vec<String> = master.told().await;
    assert_eq!(told.len(), 3);
    assert!(told[2].starts_with("changes: GitHub Pull Request #52 "), "{told:?}");
}

/// 02.024: more than a page.
#[tokio::test]
async fn github_reads_all_pages_02_024() {
    let (server, master) = (Server::start().await, Master::new().await);
    let pulls: Vec<Json> = (1..=101).map(|n| pull(n, &n.to_string(), "main")).collect();
    show(&server, &pulls);
    server.put("/repos/octo/hello/pulls?per_page=100&page=1", &json!(pulls[..100]));
    server.put("/repos/octo/hello/pulls?per_page=100&page=2", &json!(pulls[100..]));
    master.apply(vec![github(&server, json!({}))]).await;
    master.poll_well().await;
    assert_eq!(master.changes().await.len(), 101);
}

fn bitbucket(server: &Server, options: Json) -> AnyObject {
    let args = json!({"owner": "owner", "slug": "slug", "baseURL": format!("{}/2.0", server.url), "pollInterval": 0});
    declared("BitbucketPullrequestPoller", args, options)
}

/// Puts pull requests up as Bitbucket tells them: number, head, branch.
fn show_bitbucket(server: &Server, pulls: &[(i64, &str, &str)]) {
    let base = format!("{}/2.0/repositories", server.url);
    let row = |(number, head, branch): &(i64, &str, &str)| {
        json!({"id": number, "title": format!("Title {number}"), "author": {"display_name": "Ann Ash"},
               "updated_on": "2026-05-05T23:41:00.123456+00:00",
               "links": {"self": {"href": format!("{base}/owner/slug/pullrequests/{number}")},
                         "html": {"href": format!("https://bitbucket.org/owner/slug/pull-requests/{number}")}},
               "source": {"branch": {"name": branch}, "repository": {"links": {"self": {"href": format!("{base}/fork/slug")}}},
                          "commit": {"hash": head, "links": {"self": {"href": format!("{base}/fork/slug/commit/{head}")}}}}})
    };
    let rows: Vec<Json> = pulls.iter().map(row).collect();
    server.put("/2.0/repositories/owner/slug/pullrequests", &json!({"values": rows}));
    server.put(
        "/2.0/repositories/fork/slug",
        &json!({"links": {"html": {"href": "https://bitbucket.org/fork/slug"}}}),
    );
    for (row, (number, head, _)) in rows.iter().zip(pulls) {
        server.put(&format!("/2.0/repositories/owner/slug/pullrequests/{number}"), row);
        let commit = json!({"hash": format!("{head}-in-full"), "links": {"html": {"href": format!("https://bitbucket.org/fork/slug/commits/{head}")}}});
        server.put(&format!("/2.0/repositories/fork/slug/commit/{head}"), &commit);
    }
}

/// 02.025.
#[tokio::test]
async fn bitbucket_each_new_head_is_one_change_02_025() {
    let (server, master) = (Server::start().await, Master::new().await);
    show_bitbucket(&server, &[(7, "abcdef012345", "topic"), (8, "8", "other")]);
    let options = json!({"branch": "topic", "auth": ["u", "p"], "category": "C", "project": "P", "bitbucket_property_whitelist": ["bitbucket.title"]});
    assert_eq!(master.apply(vec![bitbucket(&server, options)]).await.started, ["owner/slug"]);
    master.poll_well().await;
    master.poll_well().await;
    let [change] = master.changes().await.try_into().unwrap();
    assert_eq!((change.author.as_str(), change.committer.as_deref()), ("Ann Ash", None));
    let link = "https://bitbucket.org/owner/slug/pull-requests/7";
    assert_eq!(change.comments, format!("pull-request #7: Title 7\n{link}"));
    assert_eq!((change.branch.as_deref(), change.category.as_deref()), (Some("topic"), Some("C")));
    assert_eq!(
        (change.revision.as_deref(), change.when_timestamp),
        (Some("abcdef012345-in-full"), 1_778_024_460)
    );
    assert_eq!(
        (change.repository.as_str(), change.project.as_str()),
        ("https://bitbucket.org/fork/slug", "P")
    );
    assert_eq!(change.revlink.as_deref(), Some("https://bitbucket.org/fork/slug/commits/abcdef012345"));
    assert_eq!(
        json!(change.properties.as_dict()),
        json!({"bitbucket.title": "Title 7", "pullrequesturl": link})
    );
    assert!(server.asked().iter().all(|(_, who)| who == "Basic dTpw"));
    show_bitbucket(&server, &[(7, "fedcba012345", "topic")]);
    master.poll_well().await;
    assert_eq!(master.changes().await.len(), 2);
}

/// The password goes to no other server, whatever an answer says.
#[tokio::test]
async fn bitbucket_follows_no_link_to_elsewhere_02_025() {
    let (server, other, master) = (Server::start().await, Server::start().await, Master::new().await);
    show_bitbucket(&server, &[(7, "7", "topic")]);
    let page = json!({"values": [], "next": format!("{}/2.0/next", other.url)});
    server.put("/2.0/repositories/owner/slug/pullrequests", &page);
    master.apply(vec![bitbucket(&server, json!({"auth": ["u", "p"]}))]).await;
    let told = master.poll().await.last_error.unwrap();
    assert!(told.contains("leads away from"), "{told}");
    assert_eq!(other.paths(), [""; 0]);
}

/// A filter chooses, and its nonsense is told.
#[tokio::test]
async fn bitbucket_filters_02_025() {
    let (server, master) = (Server::start().await, Master::new().await);
    show_bitbucket(&server, &[(1, "1", "a"), (2, "2", "b"), (3, "3", "odd")]);
    let functions = Functions::new(|_, args| {
        Ok(match args[0]["id"].as_i64() {
            Some(1) => json!(true),
            Some(2) => json!(false),
            _ => json!("yes"),
        })
    });
    let source = bitbucket(&server, json!({"pullrequest_filter": function("f"), "useTimestamps": false}));
    master.sources.apply(&generation(vec![source], functions)).await.unwrap();
    let told = master.poll().await.last_error.unwrap();
    assert!(told.contains("pullrequest_filter returned \"yes\"; wanted true or false"), "{told}");
    let [change] = master.changes().await.try_into().unwrap();
    assert_eq!(change.branch.as_deref(), Some("a"));
    assert!(
        change.when_timestamp >= 1_700_000_000 && change.when_timestamp < 1_700_100_000,
        "when it was found"
    );
}

/// Bad options are told before anything is asked.
#[tokio::test]
async fn options_are_checked_02_024_02_025() {
    let (server, master) = (Server::start().await, Master::new().await);
    for (source, part) in [
        (github(&server, json!({"owner": "a/b"})), "owner: must be one part of OWNER/REPO"),
        (github(&server, json!({"baseURL": "ftp://x"})), "baseURL: ftp://x is not an address"),
        (github(&server, json!({"repository_type": "cvs"})), "repository_type"),
        (
            github(&server, json!({"pullrequest_filter": 3})),
            "pullrequest_filter: expected true or a function",
        ),
        (bitbucket(&server, json!({"auth": ["a"]})), "auth: must be {user, password}"),
        (bitbucket(&server, json!({"slug": ""})), "slug: must be one part of OWNER/SLUG"),
    ] {
        let nothing = Functions::new(|name, _| panic!("unexpected call of {name}"));
        let told: Vec<String> = master
            .sources
            .check(&generation(vec![source], nothing))
            .await
            .iter()
            .map(ToString::to_string)
            .collect();
        assert!(told.len() == 1 && told[0].contains(part), "{part}: {told:?}");
    }
}
