//! Time limits, in the unit of each program.

use std::time::Duration;

use crate::config::remark::Remark;
use crate::document::{Node, Number, Value};
use crate::parse_duration;

/// Unit of a number that is a time limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum Unit {
    Seconds,
    Millis,
    Nanos,
    /// Unknown: milliseconds from 1,000 on, seconds below.
    Guessed,
    /// Unknown: milliseconds above 3,600, seconds up to it.
    GuessedAboveHour,
    /// Written behind the number, as in `30s`; a number alone is one of nanoseconds.
    Written,
}

/// Reads a time limit; warns about a value that is none. `path` names it in the warning.
pub(in crate::config) fn time_limit(
    path: &str,
    node: &Node,
    unit: Unit,
    remarks: &mut Vec<Remark>,
) -> Option<Duration> {
    let mut warn = |message: &str| {
        remarks.push(Remark::warning(node.head(), format!("{path} {message}")));
    };
    let number = match node.value {
        Value::Number(Number::Natural(number), _) => Some(number as f64),
        Value::Number(Number::Float(number), _) => Some(number),
        _ => node.literal().and_then(|text| text.parse().ok()),
    };
    if number.is_none()
        && let Some(duration) = node.literal().and_then(|text| parse_duration(text).ok())
        && !duration.is_zero()
    {
        return Some(duration);
    }
    let Some(number) = number.filter(|number: &f64| number.is_finite() && *number > 0.0) else {
        warn("is not a number above zero, and has no effect");
        return None;
    };
    let seconds = match unit {
        Unit::Written if number < 1e6 => {
            warn("has no unit, so that it is one of nanoseconds, and has no effect; write it as in `30s`");
            return None;
        }
        Unit::Guessed if number < 1e3 => {
            warn("is taken as seconds, because it is below 1000");
            number
        }
        Unit::GuessedAboveHour if number <= 3_600.0 => number,
        Unit::Seconds => number,
        Unit::Millis | Unit::Guessed | Unit::GuessedAboveHour => number / 1e3,
        Unit::Nanos | Unit::Written => number / 1e9,
    };
    Duration::try_from_secs_f64(seconds).ok()
}
