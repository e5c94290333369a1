//! The port through which functions of the configuration fill templates (lua-api § 3, dashboards).

use crate::Json;
use std::path::Path;

/// Fills a template from a file, as `util.render(name, vars)` wants it.
pub trait Templates: Send + Sync + std::fmt::Debug {
    /// `name` is a file in the folder `templates` of the configuration's `folder`; it is read anew each time.
    ///
    /// # Errors
    /// The text of what is wrong, with the template's name and line.
    fn render(&self, folder: &Path, name: &str, vars: Json) -> Result<String, String>;

    /// Fills a template that is written in the configuration; `html`: what is filled in is escaped (11.020).
    ///
    /// # Errors
    /// The text of what is wrong, with its line.
    fn fill(&self, text: &str, html: bool, vars: Json) -> Result<String, String>;

    /// Whether such a template can be filled at all. The error as there.
    fn judge(&self, text: &str) -> Result<(), String>;
}
