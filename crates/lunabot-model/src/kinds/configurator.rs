//! `util.Configurator` (01.025): code that adds to a configuration whatever belongs together.

use crate::kind::{Category, Kind, Params, check_as, schema_of};
use schemars::JsonSchema;
use serde::Deserialize;

/// It has no options but those that a class of the configuration declares.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConfiguratorParams {}

impl Params for ConfiguratorParams {}

/// `util.Configurator`.
pub const CONFIGURATOR: Kind = Kind {
    namespace: "util",
    name: "Configurator",
    aliases: &[],
    category: Category::Value,
    positional: &[],
    flat: false,
    doc: "The base of configurators of your own: extend it with configure(self, c), which adds to the configuration.",
    schema: schema_of::<ConfiguratorParams>,
    check: check_as::<ConfiguratorParams>,
    callbacks: &[],
    extensible: true,
};
