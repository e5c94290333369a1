//! Live events: `/sse` for any client (09.102, 09.103), `/ws` for Buildbot's web client, `/live` for our pages.

mod command;
mod live;
mod sse;
mod ws;

pub use live::live;
pub use sse::{Consumers, sse};
pub use ws::{Sockets, ws};

use crate::auth::User;
use crate::authz::encoded;
use crate::router::App;
use lunabot_data::TOPICS;
use lunabot_model::Pattern;
use std::time::Duration;

/// The paths that somebody must be allowed to read to hear of a topic: of everything that the pattern may deliver, whichever of its
/// names the pattern uses.
fn read_by(topic: &str) -> Vec<String> {
    let asked: Vec<&str> = topic.split('/').collect();
    let pattern = Pattern::parse(topic);
    let forms = TOPICS.iter().filter(|form| Pattern::parse(form).overlaps(&pattern));
    let mut paths: Vec<String> =
        forms.flat_map(|form| of_form(&form.split('/').collect::<Vec<_>>(), &asked)).collect();
    if paths.is_empty() {
        // Nothing is delivered.
        paths.push(
            topic.split('/').take_while(|part| *part != "*").map(encoded).collect::<Vec<_>>().join("/"),
        );
    }
    paths.sort_unstable();
    paths.dedup();
    paths
}

/// The same of topics of one form: `builders/1/builds` of `builders/1/builds/*/*`, `builders` and `builds` of
/// `builders/*/builds/*/*`.
fn of_form(form: &[&str], asked: &[&str]) -> Vec<String> {
    let (mut paths, mut path, mut owner) = (Vec::new(), String::new(), "");
    for at in (0..form.len() - 1).step_by(2) {
        let (word, id) = (form[at], asked[at + 1]);
        path = if path.is_empty() { word.into() } else { format!("{path}/{word}") };
        // The last part says what happened.
        if at + 1 == form.len() - 1 {
            break;
        }
        if id == "*" {
            paths.push(std::mem::take(&mut path));
        } else {
            path = format!("{path}/{}", encoded(id));
            // These are found by numbers or names that hold below their owner alone.
            let below = matches!((owner, word), ("builders", "builds") | ("steps", "logs"));
            paths.extend((!below).then(|| format!("{word}/{}", encoded(id))));
        }
        owner = word;
    }
    paths.extend((!path.is_empty()).then_some(path));
    paths
}

/// Whether somebody may hear of a topic; the error says why not.
async fn may_hear(app: &App, user: &User, topic: &str) -> Result<(), String> {
    for path in read_by(topic) {
        app.may_read(user, &path).await?;
    }
    Ok(())
}

/// A comment is sent after such a silence, so that proxies keep the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Topics one listener may ask for.
const MAX_TOPICS: usize = 64;
/// Paths that one WebSocket may consume: a page of Buildbot's client asks for some of each step and log it shows.
const MAX_PATHS: usize = 4096;

#[cfg(test)]
mod tests {
    use super::read_by;

    #[test]
    fn a_topic_is_judged_by_all_that_it_may_deliver_09_099_09_102() {
        for (topic, wanted) in [
            ("builds/*/*", "builds"),
            ("builds/5/*", "builds/5"),
            ("builds/*/properties/update", "builds properties"),
            ("builds/5/properties/update", "builds/5 builds/5/properties"),
            ("builders/1/builds/*/*", "builders/1 builders/1/builds"),
            ("builders/*/builds/*/*", "builders builds"),
            ("builders/1/builds/7/*", "builders/1 builders/1/builds/7"),
            ("workers/2/builds/9/new", "builds/9 workers/2 workers/2/builds/9"),
            ("steps/3/logs/stdio/*", "steps/3 steps/3/logs/stdio"),
            (
                "*/5/*",
                "branches/5 builders/5 buildrequests/5 builds/5 buildsets/5 changes/5 codebases/5 commits/5 logs/5 \
                       masters/5 projects/5 schedulers/5 steps/5 test_result_sets/5 workers/5",
            ),
            ("*/*/builds/*/*", "builders builds workers"),
            ("builds/a%2Fb/new", "builds/a%252Fb"),
            ("nothing/*/x", "nothing"),
            ("*", ""),
        ] {
            assert_eq!(read_by(topic).join(" "), wanted, "{topic}");
        }
        assert!(read_by("*/*/*").contains(&"builds".to_owned()));
        assert!(read_by("*/*/*/*/*/*/*").contains(&"buildrequests".to_owned()));
    }
}
