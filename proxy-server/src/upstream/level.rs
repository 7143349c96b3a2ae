//! Levels of log messages (2025-11-25, logging, "Log Levels").

/// Log levels; an attachment stores its level as an index into this list.
pub(super) const LEVELS: [&str; 8] = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/// True if a word is the name of a log level.
pub(crate) fn is_level(word: &str) -> bool {
    level(word).is_some()
}

/// True if a message of level `word` passes the minimum level `least`. Unknown levels pass.
pub(crate) fn is_severe(word: &str, least: &str) -> bool {
    level(word).is_none_or(|rank| level(least).is_none_or(|least| rank >= least))
}

/// Returns the rank of a log level's name (RFC 5424, `LoggingLevel` of the specification).
pub(super) fn level(word: &str) -> Option<usize> {
    LEVELS.iter().position(|known| *known == word)
}
