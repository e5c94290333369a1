//! What `util.JanitorConfigurator` adds to a configuration: a worker, a builder and its schedulers (14.026).

use super::read::error_at;
use super::{BuilderConfig, Config, ConfigError, DeclaredBuilder, FactoryConfig};
use crate::kinds::janitor::JanitorParams;
use crate::retention::Rule;
use crate::{AnyObject, Json};
use serde_json::{Map, json};

/// The name of its worker, its builder and its nightly scheduler.
const NAME: &str = "__Janitor";

/// Adds what the configurators stand for.
pub(super) fn install(config: &mut Config, configurators: &[AnyObject], errors: &mut Vec<ConfigError>) {
    let [janitor] = configurators else {
        errors.extend(configurators.get(1).map(|second| {
            error_at(
                &second.at,
                second.kind.clone(),
                "there is one already; give that one further rules in retention",
            )
        }));
        return;
    };
    match janitor.typed::<JanitorParams>() {
        Ok(typed) => add(config, janitor, &typed.args),
        Err(error) => errors.push(error_at(&janitor.at, janitor.kind.clone(), error.to_string())),
    }
}

fn add(config: &mut Config, janitor: &AnyObject, params: &JanitorParams) {
    let object = |kind: &str, args: Json| AnyObject {
        kind: kind.to_string(),
        id: janitor.id,
        at: janitor.at.clone(),
        class: None,
        args,
    };
    let steps = steps(params).into_iter().map(|(kind, args)| object(kind, args)).collect();
    let factory = FactoryConfig { steps, ..FactoryConfig::default() };
    let written = serde_json::to_value(&factory).unwrap_or_default();
    config.workers.push(object("worker.LocalWorker", json!({"name": NAME})));
    config.builders.push(DeclaredBuilder {
        at: janitor.at.clone(),
        config: BuilderConfig::plain(NAME, NAME, object("util.BuildFactory", written)),
        factory,
    });
    let mut nightly =
        Map::from_iter(params.times().into_iter().map(|(name, value)| (name.to_string(), value)));
    let name = params.name.as_deref().unwrap_or(NAME);
    nightly.insert("name".into(), name.into());
    nightly.insert("builderNames".into(), json!([NAME]));
    config.schedulers.push(object("schedulers.Nightly", nightly.into()));
    let force =
        json!({"name": format!("{name}_force"), "builderNames": [NAME], "buttonName": "Clean up now"});
    config.schedulers.push(object("schedulers.ForceScheduler", force));
}

fn steps(params: &JanitorParams) -> Vec<(&'static str, Json)> {
    let mut steps = Vec::new();
    // The horizons are the last rule: what another fits is left to that one.
    let spared: Vec<Rule> = params.retention.iter().map(Rule::sparing).collect();
    if !params.retention.is_empty() {
        steps.push(("steps.RetentionJanitor", json!({"rules": params.retention})));
    }
    if let Some(horizon) = params.log_horizon {
        steps.push(("steps.LogChunksJanitor", json!({"logHorizon": horizon, "spared": spared})));
    }
    if let Some(horizon) = params.build_data_horizon {
        steps.push(("steps.BuildDataJanitor", json!({"build_data_horizon": horizon, "spared": spared})));
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn janitor(args: Json) -> AnyObject {
        AnyObject {
            kind: "util.JanitorConfigurator".into(),
            id: 9,
            at: "master.lua:4".into(),
            class: None,
            args,
        }
    }

    #[test]
    fn row_14_026_a_janitor_is_a_builder_with_a_worker_and_schedulers_of_its_own() {
        let (mut config, mut errors) = (Config::default(), Vec::new());
        let args = json!({"logHorizon": 60, "hour": 3, "retention": [{"builds": "1d"}]});
        install(&mut config, &[janitor(args)], &mut errors);
        assert_eq!(errors, []);
        assert_eq!(config.workers[0].arg("name"), Some(&json!("__Janitor")));
        let builder = &config.builders[0];
        let kinds: Vec<_> = builder.factory.steps.iter().map(|step| step.kind.as_str()).collect();
        assert_eq!(
            (builder.config.name.as_str(), kinds),
            ("__Janitor", vec!["steps.RetentionJanitor", "steps.LogChunksJanitor"])
        );
        assert_eq!(config.schedulers[0].arg("hour"), Some(&json!(3)));
        assert_eq!(config.schedulers[1].arg("name"), Some(&json!("__Janitor_force")));
    }

    #[test]
    fn row_14_026_keywords_of_nightly_say_when_and_others_are_told() {
        let (mut config, mut errors) = (Config::default(), Vec::new());
        let args = json!({"logHorizon": 60, "tz": "Europe/Berlin", "name": "sweep"});
        install(&mut config, &[janitor(args)], &mut errors);
        assert_eq!(errors, []);
        let nightly = &config.schedulers[0];
        assert_eq!(
            (nightly.arg("tz"), nightly.arg("name")),
            (Some(&json!("Europe/Berlin")), Some(&json!("sweep")))
        );
        assert_eq!(config.schedulers[1].arg("name"), Some(&json!("sweep_force")));
        let found =
            (crate::kinds::janitor::JANITOR_CONFIGURATOR.check)(&json!({"logHorizon": 1, "branch": "x"}));
        assert!(found[0].path == "branch" && found[0].message.starts_with("has no use here"), "{found:?}");
    }

    #[test]
    fn a_second_janitor_is_a_mistake() {
        let (mut config, mut errors) = (Config::default(), Vec::new());
        install(
            &mut config,
            &[janitor(json!({"logHorizon": 1})), janitor(json!({"logHorizon": 2}))],
            &mut errors,
        );
        assert!(
            config.builders.is_empty() && errors[0].message.contains("there is one already"),
            "{errors:?}"
        );
    }
}
