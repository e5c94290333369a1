//! A master that has nothing but change sources, on a real database.

use crate::support::{Functions, RealClock, eventually};
use lunabot_data::{Answer, Data, OpenOptions};
use lunabot_integrations::{Applied, ChangeSources, Environment, Generation, Secrets, SourceStatus};
use lunabot_model::AnyObject;
use lunabot_model::resources::Change;
use std::sync::Arc;

/// A master with nothing but change sources.
pub struct Master {
    pub dir: tempfile::TempDir,
    pub data: Data,
    pub sources: ChangeSources,
}

impl Master {
    pub async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(RealClock::new());
        let options = OpenOptions {
            url: "sqlite:///state.sqlite".into(),
            basedir: dir.path().into(),
            master_name: "test:/".into(),
            clock: clock.clone(),
        };
        let data = Data::open(options).await.unwrap();
        let env =
            Environment { data: data.clone(), clock, chance: Arc::new(|| 0.5), basedir: dir.path().into() };
        Master { dir, data, sources: ChangeSources::new(env) }
    }

    /// The same database under a new process.
    pub async fn restart(&mut self) {
        self.sources.stop().await;
        let (clock, chance) = (Arc::new(RealClock::new()), Arc::new(|| 0.5));
        let env = Environment { data: self.data.clone(), clock, chance, basedir: self.dir.path().into() };
        self.sources = ChangeSources::new(env);
    }

    pub async fn apply(&self, sources: Vec<AnyObject>) -> Applied {
        let nothing = Functions::new(|name, _| panic!("unexpected call of {name}"));
        self.sources.apply(&generation(sources, nothing)).await.unwrap()
    }

    /// Polls and gives the status afterwards.
    pub async fn poll(&self) -> SourceStatus {
        let before = self.row().polls;
        self.sources.force(None).await.unwrap();
        eventually("a poll", || async { Some(self.row()).filter(|row| row.polls > before && !row.polling) })
            .await
    }

    pub async fn poll_well(&self) {
        let row = self.poll().await;
        assert_eq!(row.last_error, None);
    }

    pub fn row(&self) -> SourceStatus {
        self.sources.status().remove(0)
    }

    pub async fn changes(&self) -> Vec<Change> {
        let Answer::List { items, .. } = self.data.get("changes", "order=changeid").await.unwrap() else {
            panic!()
        };
        items.into_iter().map(|item| serde_json::from_value(item).unwrap()).collect()
    }

    /// `branch: comments` of each change, in order.
    pub async fn told(&self) -> Vec<String> {
        let text = |c: Change| format!("{}: {}", c.branch.unwrap_or_default(), c.comments);
        self.changes().await.into_iter().map(text).collect()
    }
}

pub fn generation(sources: Vec<AnyObject>, functions: Functions) -> Generation {
    let (script, secrets) = (Arc::new(functions), Arc::new(Secrets::default()));
    Generation { sources, elsewhere: Vec::new(), script, secrets, codebase_generator: None, revlink: None }
}
