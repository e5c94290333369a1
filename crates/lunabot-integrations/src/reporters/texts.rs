//! What is said of builds in words (11.023, 11.025, 11.026), and where their pages are (11.031).

use super::modes::{Mode, Modes};
use lunabot_model::resources::SourceStamp;
use lunabot_model::{Json, Results};

/// The page of a build.
pub fn build_url(base: &str, builder: &Json, number: &Json) -> String {
    format!("{base}#/builders/{builder}/builds/{number}")
}

/// The page of a request.
pub fn request_url(base: &str, request: &Json) -> String {
    format!("{base}#/buildrequests/{request}")
}

/// The page of a log of a build, and its text: as a file, and to be shown.
pub fn log_urls(base: &str, build_url: &str, step: &Json, log: &Json) -> [(&'static str, String); 3] {
    let (slug, id) = (log["slug"].as_str().unwrap_or_default(), &log["logid"]);
    [
        ("url", format!("{build_url}/steps/{}/logs/{slug}", step["number"])),
        ("url_raw", format!("{base}api/v2/logs/{id}/raw")),
        ("url_raw_inline", format!("{base}api/v2/logs/{id}/raw_inline")),
    ]
}

/// 11.025.
pub fn status_detected(results: Option<Results>, modes: &Modes, previous: Option<Results>) -> String {
    let differs = previous.is_some_and(|previous| Some(previous) != results);
    match results {
        Some(Results::Failure) if differs && modes.looks_back() => "new failure".into(),
        Some(Results::Failure) => "failed build".into(),
        Some(Results::Warnings) => "problem in the build".into(),
        Some(Results::Success) if differs && modes.has(Mode::Change) => "restored build".into(),
        Some(Results::Success) => "passing build".into(),
        Some(Results::Exception) => "build exception".into(),
        Some(other) => format!("{other} build"),
        None => "running build".into(),
    }
}

/// 11.026.
pub fn summary(results: Option<Results>, state: &str) -> String {
    let with_state = |text: &str| if state.is_empty() { text.to_owned() } else { format!("{text}: {state}") };
    match results {
        None => with_state("Build is running"),
        Some(Results::Success) => "Build succeeded!".into(),
        Some(Results::Warnings) => with_state("Build Had Warnings"),
        Some(Results::Cancelled) => "Build was cancelled".into(),
        Some(_) => with_state("BUILD FAILED"),
    }
}

/// 11.023: a line for each.
pub fn source_stamps(stamps: &[SourceStamp]) -> String {
    stamps.iter().map(source_stamp).collect()
}

fn source_stamp(stamp: &SourceStamp) -> String {
    let codebase = if stamp.codebase.is_empty() { String::new() } else { format!(" '{}'", stamp.codebase) };
    let branch = stamp.branch.as_deref().filter(|branch| !branch.is_empty());
    let branch = branch.map_or(String::new(), |branch| format!("[branch {branch}] "));
    let revision = stamp.revision.as_deref().filter(|revision| !revision.is_empty()).unwrap_or("HEAD");
    let patch = if stamp.patch.is_some() { " (plus patch)" } else { "" };
    format!("Build Source Stamp{codebase}: {branch}{revision}{patch}\n")
}

/// The projects of the stamps, or the title.
pub fn projects(stamps: &[SourceStamp], title: &str) -> String {
    let mut names: Vec<&str> = stamps.iter().map(|s| s.project.as_str()).filter(|n| !n.is_empty()).collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() { title.to_owned() } else { names.join(", ") }
}

/// What a build or a set is called in a subject.
pub struct Named<'a> {
    pub results: Option<Results>,
    pub title: &'a str,
    pub builder: &'a str,
}

/// The subject where nobody has another (11.008).
pub const SUBJECT: &str = "Buildbot %(result)s in %(title)s on %(builder)s";

/// What is filled in.
pub const SUBJECT_NAMES: [&str; 4] = ["result", "title", "projectName", "builder"];

/// A name in a subject that is not filled in.
pub fn unknown_name(format: &str) -> Option<&str> {
    let known = |rest: &str| {
        SUBJECT_NAMES.iter().any(|name| rest.strip_prefix(name).is_some_and(|rest| rest.starts_with(")s")))
    };
    format.split("%(").skip(1).find(|rest| !known(rest)).and_then(|rest| rest.split(')').next())
}

/// Fills in a subject.
pub fn subject(format: &str, named: &Named<'_>) -> String {
    let result = named.results.map_or("running", Results::name);
    let pairs = [
        ("%(result)s", result),
        ("%(title)s", named.title),
        ("%(projectName)s", named.title),
        ("%(builder)s", named.builder),
    ];
    let filled = pairs.iter().fold(format.to_owned(), |text, (key, value)| text.replace(key, value));
    filled.replace(['\r', '\n'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const EVERY: [Option<Results>; 8] = [
        None,
        Some(Results::Success),
        Some(Results::Warnings),
        Some(Results::Failure),
        Some(Results::Skipped),
        Some(Results::Exception),
        Some(Results::Retry),
        Some(Results::Cancelled),
    ];

    #[test]
    fn row_11_025_what_is_detected_depends_on_the_modes_and_the_build_before() {
        for previous in EVERY {
            for mode in ["failing", "change", "problem"] {
                let modes: Modes = serde_json::from_value(json!(mode)).unwrap();
                let told = |results| status_detected(results, &modes, previous);
                let back = mode != "failing" && !matches!(previous, None | Some(Results::Failure));
                let restored = mode == "change" && !matches!(previous, None | Some(Results::Success));
                assert_eq!(told(Some(Results::Failure)), if back { "new failure" } else { "failed build" });
                assert_eq!(
                    told(Some(Results::Success)),
                    if restored { "restored build" } else { "passing build" }
                );
                assert_eq!(told(Some(Results::Warnings)), "problem in the build");
                assert_eq!(told(Some(Results::Exception)), "build exception");
                assert_eq!(told(Some(Results::Cancelled)), "cancelled build");
                assert_eq!(told(Some(Results::Skipped)), "skipped build");
            }
        }
    }

    #[test]
    fn row_11_026_summaries() {
        for (results, state, text) in [
            (Results::Success, "ok", "Build succeeded!"),
            (Results::Warnings, "w", "Build Had Warnings: w"),
            (Results::Warnings, "", "Build Had Warnings"),
            (Results::Cancelled, "x", "Build was cancelled"),
            (Results::Failure, "failed make", "BUILD FAILED: failed make"),
            (Results::Exception, "", "BUILD FAILED"),
        ] {
            assert_eq!(summary(Some(results), state), text);
        }
    }

    #[test]
    fn row_11_023_source_stamps_are_a_line_each() {
        let stamp =
            |codebase: &str, branch: Option<&str>, revision: Option<&str>, patch: bool| -> SourceStamp {
                let patch = patch.then(
                || json!({"patchid": 1, "body": "", "level": 1, "subdir": "", "author": "", "comment": ""}),
            );
                serde_json::from_value(json!({
                    "ssid": 1, "revision": revision, "branch": branch, "repository": "", "project": "p",
                    "codebase": codebase, "patch": patch, "created_at": 0,
                }))
                .unwrap()
            };
        let stamps = [
            stamp("", None, None, false),
            stamp("lib", Some("main"), Some("abc"), false),
            stamp("", Some(""), Some("abc"), true),
        ];
        assert_eq!(
            source_stamps(&stamps),
            "Build Source Stamp: HEAD\nBuild Source Stamp 'lib': [branch main] abc\nBuild Source Stamp: abc (plus patch)\n"
        );
        assert_eq!(projects(&stamps, "T"), "p");
        assert_eq!(projects(&[], "T"), "T");
    }

    #[test]
    fn row_11_008_subjects_are_filled_in() {
        let named = Named { results: Some(Results::Failure), title: "T", builder: "b" };
        assert_eq!(subject(SUBJECT, &named), "Buildbot failure in T on b");
        assert_eq!(subject("%(projectName)s: 100%", &named), "T: 100%");
        for (format, unknown) in [
            (SUBJECT, None),
            ("100% of %(projectName)s", None),
            ("%(builder)s %(worker)s", Some("worker")),
            ("%(builder)d", Some("builder")),
        ] {
            assert_eq!(unknown_name(format), unknown, "{format}");
        }
    }

    #[test]
    fn row_11_031_pages_have_addresses() {
        let url = build_url("http://ci/", &json!(3), &json!(7));
        assert_eq!(url, "http://ci/#/builders/3/builds/7");
        assert_eq!(request_url("http://ci/", &json!(9)), "http://ci/#/buildrequests/9");
        let urls = log_urls("http://ci/", &url, &json!({"number": 2}), &json!({"logid": 5, "slug": "stdio"}));
        assert_eq!(urls[0].1, "http://ci/#/builders/3/builds/7/steps/2/logs/stdio");
        assert_eq!(urls[1].1, "http://ci/api/v2/logs/5/raw");
        assert_eq!(urls[2].1, "http://ci/api/v2/logs/5/raw_inline");
    }
}
