//! Templates of the configuration: files in its folder `templates`, in the language of Jinja.

use super::frame;
use crate::pages::add_filters;
use lunabot_model::{Clock, Json, Templates};
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, Error, path_loader};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The layout of the master's pages, to be extended.
const PAGE: &str = "lunabot/page.html";
/// Steps of one rendering: a loop without end fails, a table of a hundred thousand cells does not.
const FUEL: u64 = 20_000_000;

/// Fills templates of the configuration, with the filters of the master's own pages.
#[derive(Debug)]
pub struct SiteTemplates {
    clock: Arc<dyn Clock>,
    /// Those of the folder that was asked for last, compiled until their files change.
    known: Mutex<Option<(PathBuf, Arc<Environment<'static>>)>>,
}

impl SiteTemplates {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        SiteTemplates { clock, known: Mutex::default() }
    }

    fn environment(&self, folder: &Path) -> Arc<Environment<'static>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, env)) = known.as_ref().filter(|(of, _)| of == folder) {
            return env.clone();
        }
        let env = Arc::new(environment(folder, &self.clock));
        *known = Some((folder.to_owned(), env.clone()));
        env
    }
}

fn environment(folder: &Path, clock: &Arc<dyn Clock>) -> Environment<'static> {
    let mut env = plain(clock);
    let files = path_loader(folder.join("templates"));
    env.set_loader(move |name| if name == PAGE { Ok(Some(frame::source().into())) } else { files(name) });
    env
}

impl Templates for SiteTemplates {
    fn render(&self, folder: &Path, name: &str, vars: Json) -> Result<String, String> {
        let env = self.environment(folder);
        let rendered = env.get_template(name).and_then(|template| template.render(Value::from(Serde(vars))));
        rendered.map_err(|error| told(&error, name))
    }

    fn fill(&self, text: &str, html: bool, vars: Json) -> Result<String, String> {
        let mut env = plain(&self.clock);
        env.set_auto_escape_callback(move |_| if html { AutoEscape::Html } else { AutoEscape::None });
        env.render_str(text, Value::from(Serde(vars))).map_err(|error| told_of_text(&error))
    }

    fn judge(&self, text: &str) -> Result<(), String> {
        plain(&self.clock).template_from_str(text).map(drop).map_err(|error| told_of_text(&error))
    }
}

/// The language, without any files.
fn plain(clock: &Arc<dyn Clock>) -> Environment<'static> {
    let mut env = Environment::new();
    env.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    env.set_fuel(Some(FUEL));
    add_filters(&mut env, clock);
    env
}

/// `template:3: unknown filter: filter foo is unknown`.
fn told_of_text(error: &Error) -> String {
    let line = error.line().map_or(String::new(), |line| format!(":{line}"));
    match error.detail() {
        Some(detail) => format!("template{line}: {}: {detail}", error.kind()),
        None => format!("template{line}: {}", error.kind()),
    }
}

/// `dashboard.html:12: unknown filter: filter foo is unknown`, the innermost place.
fn told(error: &Error, name: &str) -> String {
    let mut inner = error;
    while let Some(next) = std::error::Error::source(inner).and_then(|e| e.downcast_ref::<Error>()) {
        inner = next;
    }
    let place = inner.name().map_or_else(|| format!("templates/{name}"), |name| format!("templates/{name}"));
    let line = inner.line().map_or(String::new(), |line| format!(":{line}"));
    match inner.detail() {
        Some(detail) => format!("{place}{line}: {}: {detail}", inner.kind()),
        None => format!("{place}{line}: {}", inner.kind()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lunabot_model::{BoxFuture, Mono, Time};
    use serde_json::json;

    /// Stands still.
    #[derive(Debug)]
    struct Still;

    impl Clock for Still {
        fn now(&self) -> Time {
            Time::from_secs(0)
        }
        fn mono(&self) -> Mono {
            Mono(std::time::Duration::ZERO)
        }
        fn sleep_until(&self, _: Mono) -> BoxFuture<'static, ()> {
            Box::pin(std::future::pending())
        }
    }

    fn filled(text: &str, vars: Json) -> Result<String, String> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("templates")).unwrap();
        std::fs::write(dir.path().join("templates/t.html"), text).unwrap();
        SiteTemplates::new(Arc::new(Still)).render(dir.path(), "t.html", vars)
    }

    #[test]
    fn templates_of_jinja_are_filled_and_escaped() {
        let text = "{% for k, v in d.items() %}{% if k == 'z' %}{% break %}{% endif %}{{ k.upper() }}={{ v }};{% endfor %}\
                    {{ d.get('none', '-') }} {{ 90|duration }} {{ 2|result }}";
        let told = filled(text, json!({"d": {"a": "<b>", "b": 2, "z": 0}})).unwrap();
        assert_eq!(told, "A=&lt;b&gt;;B=2;- 1 m 30 s failure");
    }

    #[test]
    fn row_11_020_templates_of_the_configuration_are_filled_as_text_or_as_html() {
        let site = SiteTemplates::new(Arc::new(Still));
        let vars = || json!({"x": "<b>", "d": {"a": 1}});
        for (text, html, filled) in [
            ("{{ x }}", false, "<b>"),
            ("{{ x }}", true, "&lt;b&gt;"),
            ("{{ d.get('b', '-') }}{{ nothing }}", false, "-"),
        ] {
            assert_eq!(site.fill(text, html, vars()).as_deref(), Ok(filled), "{text}");
        }
        for (text, place) in [
            ("a\n{% if %}", "template:2: "),
            ("a\n{{ x|nonsense }}", "template:2: "),
            ("{% include 'other.html' %}", "template not found"),
            (
                "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
                "template:1: ",
            ),
        ] {
            let told = site.fill(text, false, vars()).unwrap_err();
            assert!(told.contains(place), "{text}: {told}");
        }
        assert!(site.judge("{% if %}").is_err() && site.judge("{{ x }}").is_ok());
    }

    #[test]
    fn what_is_wrong_has_a_place() {
        for (text, place) in [
            ("a\n{{ x|nonsense }}", "templates/t.html:2: "),
            ("a\n{% if %}", "templates/t.html:2: "),
            ("{% extends 'nowhere.html' %}", "template not found"),
            ("{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}", "t.html:1: "),
        ] {
            let told = filled(text, json!({})).unwrap_err();
            assert!(told.contains(place), "{text}: {told}");
        }
        assert!(filled("{% include '../secret' %}", json!({})).is_err());
    }
}
