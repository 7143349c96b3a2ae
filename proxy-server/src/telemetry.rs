//! Audit log, state changes, histograms of metrics, and logs: one line per event on standard error, as text or JSON. Never
//! contains a URL's query, a token, or tool arguments; `secrets` masks known secrets in every line.

pub(crate) mod audit;
mod events;
mod histogram;
mod levels;
mod ring;
mod secrets;
pub(crate) mod usage;

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

pub(crate) use self::audit::{Actor, Audit, Entry, EventType, PendingRecords, Refusal};
pub(crate) use self::events::{StateChange, StateChanges};
pub(crate) use self::histogram::Histogram;
pub(crate) use self::levels::{
    Components, ForeignLogger, Level, Levels, LevelsInEffect, STDERR, configure, levels, override_levels,
};
pub(crate) use self::ring::Ring;
use self::secrets::Masking;
pub(crate) use self::secrets::{Secrets, mask_known, never_log};

/// Levels and format of the log.
#[derive(Debug, Clone, Default)]
pub(crate) struct Config {
    pub(crate) levels: Levels,
    pub(crate) format: Format,
    /// True if lines name the source file.
    pub(crate) source: bool,
}

/// Format of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Installs the process's logger. A second call has no effect.
pub(crate) fn init(config: Config) {
    let (filter, handle) = reload::Layer::new(config.levels.targets());
    let lines = fmt::layer()
        .with_writer(|| Masking(std::io::stderr()))
        .with_file(config.source)
        .with_line_number(config.source);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match config.format {
        Format::Text => lines.with_ansi(std::io::stderr().is_terminal()).with_target(false).with_filter(filter).boxed(),
        Format::Json => lines.json().flatten_event(true).with_current_span(false).with_filter(filter).boxed(),
    };
    if tracing_subscriber::registry().with(lines).try_init().is_ok() {
        levels::install(handle, config.levels);
    }
}
