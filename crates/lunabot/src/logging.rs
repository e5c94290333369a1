//! The log of the process: for people, for machines (JSON), or for the journal.

use crate::rotate::RotatingFile;
use anyhow::{Context as _, Result};
use clap::ValueEnum;
use std::io::IsTerminal as _;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry};

/// The environment variable that holds the filter, e.g. `info,lunabot_engine=debug`.
pub const FILTER: &str = "LUNABOT_LOG";

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line of text each; coloured on a terminal.
    #[default]
    Human,
    /// A JSON object each.
    Json,
    /// To the systemd journal, fields included.
    Journald,
}

impl LogFormat {
    /// As it is written on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Human => "human",
            Self::Json => "json",
            Self::Journald => "journald",
        }
    }
}

/// Starts logging, to `file` if given, else to standard error. Once per process.
///
/// # Errors
/// The filter cannot be read, or there is no journal.
pub fn start(format: LogFormat, file: Option<RotatingFile>) -> Result<()> {
    let filter = match std::env::var(FILTER) {
        Ok(text) => {
            EnvFilter::try_new(&text).with_context(|| format!("{FILTER}={text} is not a log filter"))?
        }
        Err(_) => EnvFilter::new("info"),
    };
    let layer = match (format, file) {
        (LogFormat::Journald, _) => {
            tracing_journald::layer().context("cannot reach the journal; try --log-format human")?.boxed()
        }
        (format, Some(file)) => lines(format, move || file.clone(), false),
        (format, None) => lines(format, std::io::stderr, std::io::stderr().is_terminal()),
    };
    tracing_subscriber::registry().with(layer.with_filter(filter)).init();
    log_panics();
    Ok(())
}

fn lines<W>(format: LogFormat, writer: W, colours: bool) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    match format {
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
        LogFormat::Human | LogFormat::Journald => layer.with_ansi(colours).with_target(false).boxed(),
    }
}

/// A panic goes to the log too, where a daemon has no other place for it.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!("{panic}; this is a defect of Lunabot, please report it");
    }));
}
