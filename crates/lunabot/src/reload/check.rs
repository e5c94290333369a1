//! What only the rooms can judge about a configuration that the script host found well-formed.

use lunabot_integrations::CHANGE_SOURCES;
use lunabot_model::config::{Config, ConfigError};
use lunabot_model::{AnyObject, Problem};

/// Every mistake, none of which stops at the first.
pub fn all(config: &Config) -> Vec<ConfigError> {
    change_sources(config)
}

fn change_sources(config: &Config) -> Vec<ConfigError> {
    let mut errors = Vec::new();
    for object in &config.change_sources {
        match CHANGE_SOURCES.iter().find(|source| source.kind.path() == object.kind) {
            None => {
                errors.push(error_at(object, Problem::new("", "this change source is not supported yet")));
            }
            Some(source) => {
                let problems = (source.build)(object).err().unwrap_or_default();
                errors.extend(problems.into_iter().map(|problem| error_at(object, problem)));
            }
        }
    }
    errors
}

/// A problem with an object, at the place where it was declared.
fn error_at(object: &AnyObject, problem: Problem) -> ConfigError {
    let (file, line) = object.at.rsplit_once(':').unwrap_or((&object.at, ""));
    let path = match problem.path.as_str() {
        "" => object.kind.clone(),
        option => format!("{}: {option}", object.kind),
    };
    ConfigError { file: file.into(), line: line.parse().ok(), path, message: problem.message }
}
