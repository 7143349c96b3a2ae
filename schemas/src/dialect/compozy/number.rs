//! Conversion of durations and counts, whose zero means "not set" on the wire.

use std::time::Duration;

use crate::{InvalidDefinition, WireDuration};

const SHORTEST: Duration = Duration::from_millis(1);

pub(super) fn wire(duration: Option<Duration>) -> WireDuration {
    duration.map(WireDuration::from).unwrap_or_default()
}

/// Converts a duration; zero means "not set" on the wire.
pub(super) fn positive(duration: WireDuration, field: &'static str) -> Result<Option<Duration>, InvalidDefinition> {
    let duration = duration.get().ok_or(InvalidDefinition::Negative(field))?;
    // Refuse durations under 1 ms: they are almost certainly seconds or milliseconds written as a bare number.
    if !duration.is_zero() && duration < SHORTEST {
        return Err(InvalidDefinition::tiny(field, duration));
    }
    Ok((!duration.is_zero()).then_some(duration))
}

pub(super) fn count(number: i64, field: &'static str) -> Result<Option<u32>, InvalidDefinition> {
    if number < 0 {
        return Err(InvalidDefinition::Negative(field));
    }
    Ok((number > 0).then(|| u32::try_from(number).unwrap_or(u32::MAX)))
}
