//! The kinds that are nouns of the model itself: renderables and filters, factories and builders.
//!
//! One file per family declares each kind as a constant; [`KINDS`] lists them. What must never enter: anything that
//! acts; a kind here is described and checked, and carried out elsewhere.

pub mod builders;
pub mod collapse;
pub mod commands;
pub mod configurator;
pub mod factories;
pub mod filters;
pub mod gerrit_filter;
pub mod janitor;
pub mod locks;
pub mod projects;
pub mod renderables;

use crate::Kind;

/// The kinds of this room.
pub static KINDS: &[Kind] = &[
    renderables::PROPERTY,
    renderables::INTERPOLATE,
    renderables::SECRET,
    renderables::RENDERER,
    renderables::TRANSFORM,
    renderables::FLATTEN_LIST,
    renderables::WITH_PROPERTIES,
    renderables::URL_FOR_BUILD,
    renderables::BINARY_OP,
    commands::OBFUSCATED,
    commands::SHELL_ARG,
    filters::CHANGE_FILTER,
    locks::MASTER_LOCK,
    locks::WORKER_LOCK,
    locks::LOCK_ACCESS,
    gerrit_filter::GERRIT_CHANGE_FILTER,
    filters::SOURCE_STAMP_FILTER,
    builders::BUILDER_CONFIG,
    projects::PROJECT,
    projects::CODEBASE,
    collapse::COLLAPSE_BY,
    builders::BUILD_FACTORY,
    builders::BUILD,
    janitor::JANITOR_CONFIGURATOR,
    configurator::CONFIGURATOR,
    factories::GNU_AUTOCONF,
    factories::CPAN,
    factories::TRIAL,
    factories::BASIC_BUILD_FACTORY,
    factories::QUICK_BUILD_FACTORY,
    factories::BASIC_SVN,
    factories::DISTUTILS,
    crate::git::GIT_CREDENTIAL_OPTIONS,
    crate::revlink::REVLINK_MATCH,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_positional_options_are_in_the_schema() {
        let mut seen = std::collections::HashSet::new();
        for kind in KINDS {
            assert!(seen.insert(kind.path()), "{} is listed twice", kind.path());
            let schema = serde_json::to_value((kind.schema)()).unwrap();
            for option in kind.positional {
                assert!(schema["properties"].get(*option).is_some(), "{}: {option}", kind.path());
            }
        }
    }
}
