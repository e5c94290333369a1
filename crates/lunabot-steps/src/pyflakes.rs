//! `steps.PyFlakes` (06.053).

use crate::common::{command_of, run_observed, step_kind};
use crate::kept::Kept;
use async_trait::async_trait;
use lunabot_engine::step::{
    Channel, HasShell, LineObserver, OwnChecks, Results, ShellOptions, Step, StepContext, StepDefaults,
    StepError, StepKind, read,
};
use lunabot_engine::step_params;
use lunabot_model::Problem;
use lunabot_model::kind::{check_as, schema_of};
use std::collections::BTreeMap;

/// The classes of messages.
const CLASSES: [&str; 5] = ["unused", "undefined", "redefs", "import*", "misc"];
/// What a message of a class says; the rest is `misc`.
const SIGNS: [(&str, usize); 4] = [
    ("imported but unused", 0),
    ("*' used; unable to detect undefined names", 3),
    ("undefined name", 1),
    ("redefinition of unused", 2),
];
const UNDEFINED: usize = 1;
const MISC: usize = 4;

step_params! {
    /// Runs pyflakes.
    pub struct PyFlakesParams: shell {}
}

impl OwnChecks for PyFlakesParams {
    fn problems(&self) -> Vec<Problem> {
        let given = self.decode_rc.as_ref().map(|_| Problem::new("decodeRC", "the messages decide here"));
        given.into_iter().collect()
    }
}

/// Declares the step.
pub static PYFLAKES: StepKind = StepKind {
    kind: step_kind(
        "PyFlakes",
        &[],
        "Runs pyflakes (`make pyflakes` unless told otherwise) and sorts its messages by class: a log and a property \
         `pyflakes-…` for each. Undefined names and syntax errors fail the step, other messages give it WARNINGS.",
        schema_of::<PyFlakesParams>,
        check_as::<PyFlakesParams>,
    ),
    defaults: StepDefaults::named("pyflakes").forgiving().described("running pyflakes", "pyflakes"),
    build: |rendered| {
        let params: PyFlakesParams = read(rendered)?;
        let mut options = params.shell()?;
        options.command.get_or_insert_with(|| command_of(["make", "pyflakes"]));
        // The program ends with 1 for any message at all.
        options.decode_rc = BTreeMap::from([(0, Results::Success), (1, Results::Warnings)]);
        Ok(Box::new(PyFlakes { options, messages: None }))
    },
};

struct PyFlakes {
    options: ShellOptions,
    messages: Option<Messages>,
}

/// Messages by class.
#[derive(Debug, Default)]
struct Messages {
    /// A line with a colon came: what came before were commands that make repeats.
    begun: bool,
    syntax_error: bool,
    classes: [Kept; CLASSES.len()],
}

impl LineObserver for Messages {
    fn line(&mut self, _: Channel, line: &str) {
        self.begun |= line.contains(':');
        if !self.begun {
            return;
        }
        self.syntax_error |= line.contains("invalid syntax");
        let class = SIGNS.iter().find(|(sign, _)| line.contains(sign)).map_or(MISC, |(_, class)| *class);
        self.classes[class].add(line);
    }
}

impl Messages {
    fn counts(&self) -> impl Iterator<Item = (&'static str, &Kept)> {
        CLASSES.into_iter().zip(&self.classes)
    }

    fn total(&self) -> u64 {
        self.classes.iter().map(Kept::count).sum()
    }

    fn results(&self) -> Results {
        if self.syntax_error || self.classes[UNDEFINED].count() > 0 {
            Results::Failure
        } else if self.total() > 0 {
            Results::Warnings
        } else {
            Results::Success
        }
    }

    /// After a syntax error there is nothing but what is said about it.
    async fn tell(&self, cx: &StepContext) -> Result<(), StepError> {
        if self.syntax_error {
            return self.classes[MISC].add_log(cx, "syntax-error").await;
        }
        for (class, kept) in self.counts() {
            kept.add_log(cx, class).await?;
            cx.set_property(&format!("pyflakes-{class}"), kept.count().into(), "pyflakes");
        }
        cx.set_property("pyflakes-total", self.total().into(), "pyflakes");
        Ok(())
    }
}

#[async_trait]
impl Step for PyFlakes {
    async fn run(&mut self, cx: &StepContext) -> Result<Results, StepError> {
        let (command, messages) = run_observed(cx, &self.options, Messages::default()).await?;
        messages.tell(cx).await?;
        let results = match command.results() {
            Results::Success | Results::Warnings => messages.results(),
            other => other,
        };
        self.messages = Some(messages);
        Ok(results)
    }

    fn description_done(&self, done: Option<&str>) -> Option<String> {
        let found = self.messages.as_ref()?.counts().filter(|(_, kept)| kept.count() > 0);
        let counts = found.map(|(class, kept)| format!(" {class}={}", kept.count())).collect::<String>();
        Some(format!("{}{counts}", done.unwrap_or("pyflakes")))
    }
}
