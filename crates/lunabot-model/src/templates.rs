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
}
