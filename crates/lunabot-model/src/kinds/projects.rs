//! Projects, and the codebases in them (reference 1d).

use crate::kind::{Category, Kind, Params, Problem, check_as, schema_of};
use crate::result_spec::is_identifier;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest name, in characters.
const LONGEST: usize = 70;

/// `util.Project` (01.068).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectParams {
    /// Unique.
    pub name: String,
    /// Its name in addresses; default: `name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slug: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `markdown` or nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description_format: Option<String>,
}

impl ProjectParams {
    pub fn slug(&self) -> &str {
        self.slug.as_deref().unwrap_or(&self.name)
    }
}

impl Params for ProjectParams {
    fn validate(&self) -> Vec<Problem> {
        let mut problems = names(&self.name, self.slug());
        if self.description_format.as_deref().is_some_and(|format| format != "markdown") {
            problems.push(Problem::new("description_format", "the only format is \"markdown\""));
        }
        problems
    }
}

/// `util.Codebase` (01.070).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CodebaseParams {
    /// Unique within the project.
    pub name: String,
    /// The name of its project, which `c.projects` must have.
    pub project: String,
    /// Its name in addresses; default: `name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slug: Option<String>,
}

impl CodebaseParams {
    pub fn slug(&self) -> &str {
        self.slug.as_deref().unwrap_or(&self.name)
    }
}

impl Params for CodebaseParams {
    fn validate(&self) -> Vec<Problem> {
        names(&self.name, self.slug())
    }
}

/// Names that paths of the API can hold (09.015, 09.016).
fn names(name: &str, slug: &str) -> Vec<Problem> {
    let wrong = |text: &str| text.chars().count() > LONGEST || !is_identifier(text);
    let checked = [("name", name), ("slug", slug)];
    let wrong = checked.into_iter().filter(|(_, text)| wrong(text));
    let problem = |(option, text): (&str, &str)| {
        let message = format!(
            "{text:?} must be of letters, digits, '_', '-' and '.', not begin with a digit or '.', \
             and have at most {LONGEST} characters"
        );
        Problem::new(option, message)
    };
    // What is wrong with the name is wrong with the slug made of it, and told once.
    wrong.map(problem).take(if name == slug { 1 } else { 2 }).collect()
}

/// `util.Project`.
pub const PROJECT: Kind = Kind {
    namespace: "util",
    name: "Project",
    aliases: &[],
    category: Category::Project,
    positional: &["name", "slug", "description", "description_format"],
    flat: false,
    doc: "A project: builders that belong together. c.projects lists them; a builder names its own with `project`.",
    schema: schema_of::<ProjectParams>,
    check: check_as::<ProjectParams>,
    callbacks: &[],
    extensible: false,
};

/// `util.Codebase`.
pub const CODEBASE: Kind = Kind {
    namespace: "util",
    name: "Codebase",
    aliases: &[],
    category: Category::Project,
    positional: &["name", "project", "slug"],
    flat: false,
    doc: "A codebase of a project, whose commits and branches are kept. c.codebases lists them; a GitPoller that has \
          one with `codebase` records what it sees.",
    schema: schema_of::<CodebaseParams>,
    check: check_as::<CodebaseParams>,
    callbacks: &[],
    extensible: false,
};
