//! Levels of the log: one for everything, others for components, changed while the process runs.
//!
//! There is one logger in a process, so the levels in effect are one value too.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, OnceLock};

use clap::ValueEnum;
use jiff::Timestamp;
use schemas::admin::{LogComponent, LogLevel};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::{Registry, reload};

use crate::sync::lock;

/// Target of the lines that programs write to their standard error.
pub(crate) const STDERR: &str = "proxy_server::stderr";

/// The logger of this process, once [`init`](super::init) has installed it.
static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Least important level that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, ValueEnum)]
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

/// Levels of components that differ from that of everything else.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Components(pub(crate) BTreeMap<LogComponent, Level>);

/// Names of components in the ancestors' documents.
const ALIASES: [(&str, LogComponent); 4] = [
    ("router", LogComponent::Call),
    ("auth", LogComponent::Policy),
    ("storage", LogComponent::Registry),
    ("transport", LogComponent::Upstream),
];

/// Levels of the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Levels {
    /// Level of all components that have none of their own.
    pub(crate) level: Level,
    pub(crate) components: Components,
}

/// Levels in effect, and where they come from.
#[derive(Debug, Clone)]
pub(crate) struct LevelsInEffect {
    pub(crate) configured: Levels,
    /// Levels that replace the configured ones, and the time at which they end.
    pub(crate) temporary: Option<(Levels, Option<Timestamp>)>,
}

/// The logger was installed by the program that this gateway is a part of.
#[derive(Debug, thiserror::Error)]
#[error("the program that the gateway is a part of has a logger of its own")]
pub(crate) struct ForeignLogger;

struct Logger {
    filter: reload::Handle<Targets, Registry>,
    levels: Mutex<LevelsInEffect>,
}

/// Returns the targets of a component's log lines.
fn targets(component: LogComponent) -> &'static [&'static str] {
    match component {
        LogComponent::Admin => &["proxy_server::admin"],
        LogComponent::Call => &["proxy_server::call", "proxy_server::route"],
        LogComponent::Catalog => &["proxy_server::catalog"],
        LogComponent::Config => &["proxy_server::config", "proxy_server::commands", "proxy_server::gateway"],
        LogComponent::Control => &["proxy_server::control"],
        LogComponent::Downstream => &["proxy_server::downstream", "proxy_server::discovery"],
        LogComponent::Http => &["proxy_server::http"],
        LogComponent::Policy => &["proxy_server::policy"],
        LogComponent::Registry => &["proxy_server::registry"],
        LogComponent::Stderr => &[STDERR],
        LogComponent::Upstream => &["proxy_server::upstream"],
    }
}

impl Level {
    fn filter(self) -> LevelFilter {
        match self {
            Self::Debug => LevelFilter::DEBUG,
            Self::Info => LevelFilter::INFO,
            Self::Warn => LevelFilter::WARN,
            Self::Error => LevelFilter::ERROR,
        }
    }
}

impl Components {
    /// Describes valid texts.
    pub(crate) fn expected() -> String {
        let names = LogComponent::ALL.map(|component| component.to_string());
        format!(
            "COMPONENT or COMPONENT=LEVEL, with a component of {} and a level of debug, info, warn, error",
            names.join(", ")
        )
    }

    /// Adds `COMPONENT=LEVEL`, or `COMPONENT` for `debug`.
    pub(crate) fn add(&mut self, entry: &str) -> Option<()> {
        let (component, level) = entry.split_once('=').unwrap_or((entry, "debug"));
        self.0.insert(self::component(component)?, Level::from_str(level.trim(), true).ok()?);
        Some(())
    }
}

impl fmt::Display for Components {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (component, level)) in self.0.iter().enumerate() {
            write!(f, "{}{component}={level}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// Finds a component by its name, or that of an ancestor.
fn component(name: &str) -> Option<LogComponent> {
    let name = name.trim().to_ascii_lowercase();
    let alias = || ALIASES.iter().find(|(alias, _)| *alias == name).map(|(_, component)| *component);
    name.parse().ok().or_else(alias)
}

impl From<LogLevel> for Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Debug => Self::Debug,
            LogLevel::Info => Self::Info,
            LogLevel::Warn => Self::Warn,
            LogLevel::Error => Self::Error,
        }
    }
}

impl From<Level> for LogLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::Debug => Self::Debug,
            Level::Info => Self::Info,
            Level::Warn => Self::Warn,
            Level::Error => Self::Error,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}

impl Levels {
    /// Returns the filter for these levels. Other crates log from `info` at the most.
    pub(super) fn targets(&self) -> Targets {
        let level = self.level.filter();
        let general = Targets::new().with_default(level.min(LevelFilter::INFO)).with_target("proxy_server", level);
        let own = self.components.0.iter();
        general.with_targets(
            own.flat_map(|(component, level)| targets(*component).iter().map(move |target| (*target, level.filter()))),
        )
    }
}

/// Takes over the filter of the installed logger.
pub(super) fn install(filter: reload::Handle<Targets, Registry>, configured: Levels) {
    let levels = Mutex::new(LevelsInEffect { configured, temporary: None });
    // An error means that a logger was installed before, which stays.
    LOGGER.set(Logger { filter, levels }).ok();
}

/// Replaces the configured levels. They apply unless temporary ones are in effect.
pub(crate) fn configure(configured: Levels) {
    // Without a logger of its own, the gateway has no levels.
    change(|levels| levels.configured = configured).ok();
}

/// Replaces the levels until the time, or until the process ends; `None` ends temporary ones.
pub(crate) fn override_levels(temporary: Option<(Levels, Option<Timestamp>)>) -> Result<LevelsInEffect, ForeignLogger> {
    change(|levels| levels.temporary = temporary)
}

/// Returns the levels in effect. Ends temporary ones whose time has come.
pub(crate) fn levels(now: Timestamp) -> Result<LevelsInEffect, ForeignLogger> {
    change(|levels| {
        if levels.temporary.as_ref().is_some_and(|(_, until)| until.is_some_and(|until| until <= now)) {
            levels.temporary = None;
        }
    })
}

fn change(change: impl FnOnce(&mut LevelsInEffect)) -> Result<LevelsInEffect, ForeignLogger> {
    let logger = LOGGER.get().ok_or(ForeignLogger)?;
    let mut levels = lock(&logger.levels);
    let before = levels.current().clone();
    change(&mut levels);
    if *levels.current() != before {
        // An error means that the logger is gone, with the process.
        logger.filter.reload(levels.current().targets()).ok();
    }
    Ok(levels.clone())
}

impl LevelsInEffect {
    /// Returns the levels that apply.
    pub(crate) fn current(&self) -> &Levels {
        self.temporary.as_ref().map_or(&self.configured, |(levels, _)| levels)
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level as Event;

    use super::*;

    fn check(level: Level, components: &[&str], enabled: &[(&str, Event)], disabled: &[(&str, Event)]) {
        let mut levels = Levels { level, ..Levels::default() };
        for entry in components {
            levels.components.add(entry).expect("a component");
        }
        let targets = levels.targets();
        for (target, event) in enabled {
            assert!(targets.would_enable(target, event), "{levels:?} enables {target} {event}");
        }
        for (target, event) in disabled {
            assert!(!targets.would_enable(target, event), "{levels:?} disables {target} {event}");
        }
    }

    #[test]
    fn a_component_has_the_level_of_its_own_and_no_other_has_it() {
        let (call, upstream) = ("proxy_server::call::failover", "proxy_server::upstream::supervisor");
        check(Level::Info, &[], &[(call, Event::INFO)], &[(call, Event::DEBUG)]);
        check(Level::Info, &["router"], &[(call, Event::DEBUG)], &[(upstream, Event::DEBUG)]);
        check(Level::Info, &["upstream=Error"], &[(call, Event::INFO)], &[(upstream, Event::WARN)]);
        check(Level::Debug, &["stderr=warn"], &[(upstream, Event::DEBUG)], &[(STDERR, Event::INFO)]);
        check(Level::Debug, &[], &[("hyper", Event::INFO)], &[("hyper", Event::DEBUG)]);
    }

    #[test]
    fn an_unknown_component_or_level_is_refused() {
        for entry in ["", "x", "call=x", "call=", "=debug", "call=debug=info"] {
            assert_eq!(Components::default().add(entry), None, "{entry}");
        }
    }

    #[test]
    fn components_are_shown_as_they_are_set() {
        let mut components = Components::default();
        for entry in ["auth", "stderr = WARNING"] {
            components.add(entry).expect("a component");
        }
        assert_eq!(components.to_string(), "policy=debug,stderr=warn");
    }
}
