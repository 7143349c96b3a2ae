//! Sprig's functions for times, as far as the result depends neither on the clock nor on the machine's time zone.

use std::rc::Rc;

use crate::template::budget::Budget;
use crate::template::function::{Outcome, any, done, text, utf8};
use crate::template::problem::Problem;
use crate::template::time::{self, Clock, Time, zone};
use crate::template::value::{Integer, Value};

fn now(what: &str) -> Problem {
    Problem::Refused(format!("{what} depends on the clock"))
}

/// Converts a value to the time on a clock in this zone.
fn clock(value: &Value, place: &str) -> Result<Clock, Problem> {
    match (value, place) {
        (Value::Time(time), "Local") => Ok(time.clock),
        (Value::Int(seconds, width), "UTC" | "") if width_is_seconds(*width) => Ok(Clock::from_unix(*seconds)),
        (Value::Time(_) | Value::Int(..), "UTC" | "" | "Local") => Err(zone("this")),
        (Value::Time(_) | Value::Int(..), _) => Err(Problem::Refused("of time zones, `UTC` is known here".to_owned())),
        _ => Err(now("a date of what is no time")),
    }
}

fn width_is_seconds(width: Integer) -> bool {
    matches!(width, Integer::Int | Integer::Int64)
}

fn formatted(layout: &[u8], value: &Value, place: &str) -> Outcome {
    let clock = clock(value, place)?;
    done(time::format(layout, clock, place != "Local")?)
}

pub(super) fn date(values: &[Value], _: &mut Budget) -> Outcome {
    formatted(text(values, 0), &any(values, 1), "Local")
}

pub(super) fn date_in_zone(values: &[Value], _: &mut Budget) -> Outcome {
    formatted(text(values, 0), &any(values, 1), utf8(values, 2)?)
}

pub(super) fn html_date(values: &[Value], _: &mut Budget) -> Outcome {
    formatted(b"2006-01-02", &any(values, 0), "Local")
}

pub(super) fn html_date_in_zone(values: &[Value], _: &mut Budget) -> Outcome {
    formatted(b"2006-01-02", &any(values, 0), utf8(values, 1)?)
}

pub(super) fn to_date(values: &[Value], _: &mut Budget) -> Outcome {
    let clock = time::parse(utf8(values, 0)?, utf8(values, 1)?)?;
    Ok(Value::Time(Rc::new(Time { clock })))
}

/// Formats a number of seconds as a duration: `90` is `1m30s`.
pub(super) fn duration(values: &[Value], _: &mut Budget) -> Outcome {
    let seconds = match any(values, 0) {
        Value::Int(seconds, Integer::Int64) => seconds,
        Value::Text(text) => {
            let text = std::str::from_utf8(&text).unwrap_or_default();
            text.parse().unwrap_or_default()
        }
        _ => 0,
    };
    let nanoseconds =
        seconds.checked_mul(1_000_000_000).ok_or_else(|| Problem::Refused("a duration is too long".to_owned()))?;
    let shown = crate::format_duration(std::time::Duration::from_nanos(nanoseconds.unsigned_abs()));
    done(format!("{}{}", if nanoseconds < 0 { "-" } else { "" }, long_form(&shown)))
}

/// Adds zero units as Go does, which writes every unit below the largest: `1h0m0s`.
fn long_form(shown: &str) -> String {
    let has = |unit: char| shown.contains(unit);
    match (has('h'), has('m'), has('s')) {
        (true, false, false) => format!("{shown}0m0s"),
        (true, false, true) => shown.replacen('h', "h0m", 1),
        (_, true, false) => format!("{shown}0s"),
        _ => shown.to_owned(),
    }
}

/// Formats a duration in its largest unit: `2h10m` is `2h`.
pub(super) fn duration_round(values: &[Value], _: &mut Budget) -> Outcome {
    let nanoseconds: u64 = match any(values, 0) {
        Value::Text(text) => {
            let text = std::str::from_utf8(&text).unwrap_or_default();
            let positive = text.strip_prefix('-').unwrap_or(text);
            crate::parse_duration(positive).map_or(0, |it| u64::try_from(it.as_nanos()).unwrap_or_default())
        }
        Value::Int(number, Integer::Int64) => number.unsigned_abs(),
        Value::Time(_) => return Err(now("the time since another")),
        _ => 0,
    };
    const SECOND: u64 = 1_000_000_000;
    const UNITS: [(u64, &str); 6] = [
        (365 * 86_400 * SECOND, "y"),
        (30 * 86_400 * SECOND, "mo"),
        (86_400 * SECOND, "d"),
        (3_600 * SECOND, "h"),
        (60 * SECOND, "m"),
        (SECOND, "s"),
    ];
    let found = UNITS.iter().find(|(size, _)| nanoseconds > *size);
    done(found.map_or_else(|| "0s".to_owned(), |(size, unit)| format!("{}{unit}", nanoseconds / size)))
}
