//! Histograms of metrics, and logs: one line per event on standard error, as text or JSON. Never contains a URL's query, a token, or tool
//! arguments; `secrets` masks known secrets in every line.

mod histogram;
mod secrets;
pub(crate) mod usage;

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

pub(crate) use self::histogram::Histogram;
use self::secrets::Masking;
pub(crate) use self::secrets::{Secrets, mask_known, never_log};

/// Level and format of the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Config {
    pub(crate) level: Level,
    pub(crate) format: Format,
    /// True if lines name the source file.
    pub(crate) source: bool,
}

/// Least important level that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Level {
    /// Per request.
    Debug,
    /// The life cycle of the gateway and its upstreams.
    #[default]
    Info,
    /// Degraded but serving.
    #[value(alias = "warning")]
    Warn,
    /// Someone must act.
    Error,
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
    let level = match config.level {
        Level::Debug => LevelFilter::DEBUG,
        Level::Info => LevelFilter::INFO,
        Level::Warn => LevelFilter::WARN,
        Level::Error => LevelFilter::ERROR,
    };
    let filter = Targets::new().with_default(level.min(LevelFilter::INFO)).with_target("proxy_server", level);
    let lines = fmt::layer()
        .with_writer(|| Masking(std::io::stderr()))
        .with_file(config.source)
        .with_line_number(config.source);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match config.format {
        Format::Text => lines.with_ansi(std::io::stderr().is_terminal()).with_target(false).with_filter(filter).boxed(),
        Format::Json => lines.json().flatten_event(true).with_current_span(false).with_filter(filter).boxed(),
    };
    tracing_subscriber::registry().with(lines).try_init().ok();
}
