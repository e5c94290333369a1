//! What only the rooms can judge about a configuration that the script host found well-formed.

use lunabot_engine::step::LogEncoding;
use lunabot_engine::worker::{PB_CHANGES, change_source_names, client_errors, latent_errors};
use lunabot_integrations::{CHANGE_SOURCES, taken_names};
use lunabot_model::config::{Config, ConfigError};
use lunabot_model::{AnyObject, Problem};

/// Every mistake, none of which stops at the first.
pub fn all(config: &Config) -> Vec<ConfigError> {
    let mut errors = change_sources(config);
    errors.extend(client_errors(config));
    errors.extend(latent_errors(config));
    errors.extend(lunabot_www::hook_errors(&config.www));
    errors.extend(lunabot_www::Badges::load(&config.www).err().into_iter().flatten());
    errors.extend(log_encoding(config));
    errors
}

/// What is odd but not wrong.
pub fn warnings(config: &Config) -> Vec<ConfigError> {
    lunabot_www::hook_warnings(&config.www)
}

/// 13.016.
fn log_encoding(config: &Config) -> Option<ConfigError> {
    let message = LogEncoding::from_json(&config.log_encoding).err()?;
    Some(ConfigError { file: String::new(), line: None, path: "logEncoding".into(), message })
}

fn change_sources(config: &Config) -> Vec<ConfigError> {
    let mut errors = taken_names(&config.change_sources, &change_source_names(config));
    // Those are served at the workers' door.
    for object in config.change_sources.iter().filter(|object| object.kind != PB_CHANGES) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_dialect_that_is_not_there_is_refused_02_028() {
        let mut config = Config { log_encoding: "utf-8".into(), ..Config::default() };
        for dialect in ["base", "github", "bitbucket"] {
            config.www.change_hook_dialects.insert(dialect.into(), true.into());
        }
        let told: Vec<String> = all(&config).iter().map(ToString::to_string).collect();
        assert!(told.len() == 1 && told[0].starts_with("www.change_hook_dialects.bitbucket: "), "{told:?}");
        assert!(
            warnings(&config)[0].to_string().starts_with("www.change_hook_dialects.github: has no secret")
        );
        config.www.port = Some("tcp:8010".into());
        let told: Vec<String> = warnings(&config).iter().map(ToString::to_string).collect();
        let unproven = "www.change_hook_dialects.base: its senders prove nothing";
        assert!(told.iter().any(|line| line.starts_with(unproven)), "reached from elsewhere: {told:?}");
    }
}
