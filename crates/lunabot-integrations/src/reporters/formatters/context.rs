//! What templates and functions know of what is reported (11.022, 11.024, 11.029).

use crate::reporters::details::{results_of, stamps_in};
use crate::reporters::means::{Fault, Means};
use crate::reporters::modes::Modes;
use crate::reporters::{details, texts};
use lunabot_model::{Json, Properties, Results};
use serde_json::{Map, json};

/// Colours of results in HTML, by their numbers (11.024).
const STYLES: [&str; 7] = [
    "color: white; background-color: #2e7d32",
    "color: black; background-color: #ffb300",
    "color: white; background-color: #c62828",
    "color: black; background-color: #90caf9",
    "color: white; background-color: #6a1b9a",
    "color: white; background-color: #6a1b9a",
    "color: white; background-color: #ad1457",
];

/// What is reported.
pub(crate) enum About<'a> {
    /// `in_set`: as one of those of a buildset.
    Build {
        build: &'a Json,
        in_set: bool,
    },
    Set {
        set: &'a Json,
        builds: &'a [Json],
        users: &'a [String],
    },
    Worker(&'a Json),
}

/// The names and what they stand for, properties as functions see them.
pub(crate) struct Context {
    names: Map<String, Json>,
    /// Of the build; of a set those of its first.
    pub properties: Properties,
    /// Who has to do with it.
    pub users: Vec<String>,
}

impl Context {
    pub async fn of(means: &Means, modes: &Modes, about: About<'_>) -> Result<Context, Fault> {
        match about {
            About::Build { build, in_set } => Self::of_build(means, modes, build, in_set).await,
            About::Set { set, builds, users } => Self::of_set(means, modes, set, builds, users).await,
            About::Worker(worker) => Ok(Self::of_worker(means, worker)),
        }
    }

    async fn of_build(means: &Means, modes: &Modes, build: &Json, in_set: bool) -> Result<Context, Fault> {
        let properties = match details::properties_in(build) {
            Some(properties) => properties,
            None => details::properties_of(&means.data, build).await?,
        };
        let users = details::users(&means.data, build, &properties).await?;
        let previous = results_of(&build["prev_build"]);
        let mut names = common(means, modes, results_of(build), &build["buildset"], &users);
        let state = build["state_string"].as_str().unwrap_or_default();
        names.extend(object(json!({
            "build": build,
            "buildername": build["builder"]["name"],
            "workername": properties.text("workername").unwrap_or("<unknown>"),
            "is_buildset": in_set,
            "previous_results": previous,
            "status_detected": texts::status_detected(results_of(build), modes, previous),
            "build_url": build["url"],
            "summary": texts::summary(results_of(build), state),
        })));
        Ok(Context { names, properties, users })
    }

    async fn of_set(
        means: &Means,
        modes: &Modes,
        set: &Json,
        builds: &[Json],
        users: &[String],
    ) -> Result<Context, Fault> {
        let properties = match builds.first().map(|build| (details::properties_in(build), build)) {
            Some((Some(properties), _)) => properties,
            Some((None, build)) => details::properties_of(&means.data, build).await?,
            None => Properties::new(),
        };
        let results = results_of(set);
        let mut names = common(means, modes, results, set, users);
        names.extend(object(json!({
            "builds": builds,
            "is_buildset": true,
            "previous_results": null,
            "status_detected": texts::status_detected(results, modes, None),
            "build_url": builds.first().map(|build| &build["url"]),
            "summary": texts::summary(results, ""),
        })));
        Ok(Context { names, properties, users: users.to_vec() })
    }

    fn of_worker(means: &Means, worker: &Json) -> Context {
        let site = means.site();
        let names = json!({"buildbot_title": site.title, "buildbot_url": site.url, "worker": worker});
        Context { names: object(names), properties: Properties::new(), users: Vec::new() }
    }

    pub fn add(&mut self, more: impl IntoIterator<Item = (String, Json)>) {
        self.names.extend(more);
    }

    /// Of a buildset as a whole.
    pub fn is_set(&self) -> bool {
        self.names.contains_key("builds")
    }

    pub fn build(&self) -> &Json {
        self.names.get("build").or_else(|| self.names.get("builds")?.get(0)).unwrap_or(&Json::Null)
    }

    pub fn for_functions(&self) -> Json {
        Json::Object(self.names.clone())
    }

    /// What `extra_info_cb` is called with.
    pub fn about_for_functions(&self) -> Json {
        let about = Some(self.build()).filter(|build| !build.is_null()).or_else(|| self.names.get("worker"));
        about.cloned().unwrap_or_default()
    }

    /// Properties are pairs of value and source here.
    pub fn for_templates(&self, html: bool) -> Json {
        let mut names = plain(Json::Object(self.names.clone()));
        if html {
            names["results_style"] = json!(STYLES);
        }
        names
    }
}

fn object(value: Json) -> Map<String, Json> {
    match value {
        Json::Object(map) => map,
        _ => Map::new(),
    }
}

/// What builds and sets have both.
fn common(
    means: &Means,
    modes: &Modes,
    results: Option<Results>,
    set: &Json,
    users: &[String],
) -> Map<String, Json> {
    let (site, stamps) = (means.site(), stamps_in(set));
    object(json!({
        "results": results,
        "result_names": Results::ALL.map(Results::name),
        "mode": modes.names(),
        "buildset": set,
        "projects": texts::projects(&stamps, &site.title),
        "buildbot_title": site.title,
        "buildbot_url": site.url,
        "blamelist": users,
        "sourcestamps": texts::source_stamps(&stamps),
    }))
}

/// Without the marks that functions need.
pub(crate) fn plain(value: Json) -> Json {
    match value {
        Json::Array(items) => items.into_iter().map(plain).collect(),
        Json::Object(mut map) => match map.remove("$properties") {
            Some(properties) => properties,
            None => map.into_iter().map(|(name, value)| (name, plain(value))).collect(),
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_11_022_templates_see_pairs_of_value_and_source() {
        let wired =
            json!({"builds": [{"properties": {"$properties": {"x": [1, "Build"]}, "$local": true}}], "a": 1});
        assert_eq!(plain(wired), json!({"builds": [{"properties": {"x": [1, "Build"]}}], "a": 1}));
    }
}
