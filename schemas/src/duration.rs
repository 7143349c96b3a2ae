//! Durations: read from Go's text form (`1h2m3.5s`) or nanosecond integers, written as nanosecond integers.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Reason why a text is not a duration.
///
/// ```
/// let error = schemas::parse_duration("30").map_err(|error| error.to_string());
/// assert_eq!(error, Err("invalid duration `30`: a unit is one of ns, us, ms, s, m, h".to_owned()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid duration `{text}`: {reason}")]
pub struct InvalidDuration {
    text: String,
    reason: &'static str,
}

/// A duration in the admin API and in files. Reads an integer of nanoseconds or a text such as `30s`; writes an
/// integer.
///
/// Keeps a negative value as read, so that a definition refuses it in its own order of checks.
///
/// ```
/// use schemas::WireDuration;
///
/// let text: WireDuration = serde_json::from_str(r#""1.5s""#)?;
/// let number: WireDuration = serde_json::from_str("1500000000")?;
/// assert_eq!(text, number);
/// assert_eq!(serde_json::to_string(&text)?, "1500000000");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WireDuration {
    nanoseconds: i64,
}

impl WireDuration {
    /// Returns the duration, or `None` if it is negative.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use schemas::WireDuration;
    ///
    /// assert_eq!(WireDuration::from(Duration::from_secs(30)).get(), Some(Duration::from_secs(30)));
    /// assert_eq!(serde_json::from_str::<WireDuration>(r#""-30s""#)?.get(), None);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn get(self) -> Option<Duration> {
        u64::try_from(self.nanoseconds).ok().map(Duration::from_nanos)
    }

    /// Returns true if the duration is exactly zero, which means "not set" on the wire.
    ///
    /// ```
    /// use schemas::WireDuration;
    ///
    /// assert!(WireDuration::default().is_zero());
    /// assert!(!serde_json::from_str::<WireDuration>(r#""1ns""#)?.is_zero());
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn is_zero(&self) -> bool {
        self.nanoseconds == 0
    }
}

impl From<Duration> for WireDuration {
    fn from(duration: Duration) -> Self {
        Self { nanoseconds: i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX) }
    }
}

/// Parses Go's duration text: one or more decimal numbers, each with a unit of `ns us µs ms s m h`.
///
/// ```
/// use std::time::Duration;
/// assert_eq!(schemas::parse_duration("1m30s")?, Duration::from_secs(90));
/// assert_eq!(schemas::parse_duration("1.5s")?, Duration::from_millis(1500));
/// # Ok::<(), schemas::InvalidDuration>(())
/// ```
pub fn parse_duration(text: &str) -> Result<Duration, InvalidDuration> {
    let refuse = |reason| InvalidDuration { text: text.to_owned(), reason };
    let nanoseconds = signed_nanoseconds(text).map_err(refuse)?;
    u64::try_from(nanoseconds).map(Duration::from_nanos).map_err(|_| refuse("it is negative"))
}

/// Formats a duration as Go's `ParseDuration` reads it, in the largest exact units: 90 s is `1m30s`, 1.5 s is `1.5s`.
///
/// ```
/// use std::time::Duration;
/// assert_eq!(schemas::format_duration(Duration::from_secs(90)), "1m30s");
/// ```
pub fn format_duration(duration: Duration) -> String {
    let (seconds, nanoseconds) = (duration.as_secs(), duration.subsec_nanos());
    if seconds == 0 && nanoseconds > 0 {
        let (unit, size) = match nanoseconds {
            0..1_000 => ("ns", 1),
            1_000..1_000_000 => ("us", 1_000),
            _ => ("ms", 1_000_000),
        };
        return format!("{}{unit}", decimal(nanoseconds.into(), size));
    }
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut text = String::new();
    if hours > 0 {
        text += &format!("{hours}h");
    }
    if minutes > 0 {
        text += &format!("{minutes}m");
    }
    if rest > 0 || nanoseconds > 0 || text.is_empty() {
        text += &format!("{}s", decimal(rest * 1_000_000_000 + u64::from(nanoseconds), 1_000_000_000));
    }
    text
}

fn decimal(value: u64, size: u64) -> String {
    let width = size.ilog10() as usize;
    let (whole, part) = (value / size, value % size);
    if part == 0 {
        return whole.to_string();
    }
    let digits = format!("{part:0width$}");
    format!("{whole}.{}", digits.trim_end_matches('0'))
}

const TOO_LONG: &str = "it is too long";
/// Magnitude in nanoseconds of the longest negative duration in Go; the longest positive one is 1 ns shorter.
const LIMIT: u64 = 1 << 63;

fn signed_nanoseconds(text: &str) -> Result<i64, &'static str> {
    let (is_negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err("expected a number with a unit, such as `30s` or `1m30s`");
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at(letters);
        let size = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, size)| *size);
        let size = size.ok_or("a unit is one of ns, us, ms, s, m, h")?;
        total = total.checked_add(scaled(number, size)?).filter(|total| *total <= LIMIT).ok_or(TOO_LONG)?;
        rest = next;
    }
    match is_negative {
        true => Ok(0_i64.wrapping_sub_unsigned(total)),
        false => i64::try_from(total).map_err(|_| TOO_LONG),
    }
}

fn scaled(number: &str, size: u64) -> Result<u64, &'static str> {
    const NUMBER: &str = "a number looks like `30` or `1.5`";
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && part.is_empty()) || part.contains('.') {
        return Err(NUMBER);
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| TOO_LONG)? };
    let whole = whole.checked_mul(size).filter(|whole| *whole <= LIMIT).ok_or(TOO_LONG)?;
    whole.checked_add(fraction(part, size)).filter(|total| *total <= LIMIT).ok_or(TOO_LONG)
}

/// Converts the digits after the point as Go does: as many as fit an integer, multiplied in floating point, truncated.
fn fraction(digits: &str, size: u64) -> u64 {
    let (mut value, mut scale) = (0_u64, 1_f64);
    for digit in digits.bytes() {
        let next = (value <= (LIMIT - 1) / 10).then(|| value * 10 + u64::from(digit.wrapping_sub(b'0')));
        let Some(next) = next.filter(|next| *next <= LIMIT) else { break };
        value = next;
        scale *= 10.0;
    }
    (value as f64 * (size as f64 / scale)) as u64
}

impl Serialize for WireDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.nanoseconds)
    }
}

impl<'de> Deserialize<'de> for WireDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WireDurationVisitor)
    }
}

struct WireDurationVisitor;

impl Visitor<'_> for WireDurationVisitor {
    type Value = WireDuration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as `30s`, or an integer of nanoseconds")
    }

    fn visit_i64<E: de::Error>(self, nanoseconds: i64) -> Result<WireDuration, E> {
        Ok(WireDuration { nanoseconds })
    }

    fn visit_u64<E: de::Error>(self, nanoseconds: u64) -> Result<WireDuration, E> {
        let nanoseconds = i64::try_from(nanoseconds).map_err(|_| E::custom("the duration is too long"))?;
        Ok(WireDuration { nanoseconds })
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<WireDuration, E> {
        let refuse = |reason| E::custom(InvalidDuration { text: text.to_owned(), reason });
        signed_nanoseconds(text).map(|nanoseconds| WireDuration { nanoseconds }).map_err(refuse)
    }
}

impl JsonSchema for WireDuration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["string", "integer"],
            "pattern": r"^[+-]?(0|(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$",
            "examples": ["30s", "1m30s"],
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: Result<u64, &str>) {
        let read = parse_duration(text).map(|d| d.as_nanos() as u64).map_err(|error| error.reason);
        assert_eq!(read, expected, "{text}");
    }

    #[test]
    fn reads_what_go_writes() {
        check("30s", Ok(30_000_000_000));
        check("1h2m3.5s", Ok(3_723_500_000_000));
        check("100ms", Ok(100_000_000));
        check("1.5h", Ok(5_400_000_000_000));
        check("2µs", Ok(2_000));
        check("0", Ok(0));
        check(".5s", Ok(500_000_000));
        check("0.3333333333333333333h", Ok(1_200_000_000_000));
        check("0.100000000000000000000h", Ok(360_000_000_000));
        check("0.9223372036854775807h", Ok(3_320_413_933_267));
        check("9223372036854775807ns", Ok(9_223_372_036_854_775_807));
        check("+1s", Ok(1_000_000_000));
    }

    #[test]
    fn refuses_what_go_refuses() {
        check("", Err("expected a number with a unit, such as `30s` or `1m30s`"));
        check("30", Err("a unit is one of ns, us, ms, s, m, h"));
        check(" 30s", Err("a unit is one of ns, us, ms, s, m, h"));
        check("9223372036854775808ns", Err("it is too long"));
        check("30 s", Err("a unit is one of ns, us, ms, s, m, h"));
        check("s", Err("a number looks like `30` or `1.5`"));
        check("1.2.3s", Err("a number looks like `30` or `1.5`"));
        check("-1s", Err("it is negative"));
        check("99999999999999999999s", Err("it is too long"));
    }

    #[test]
    fn the_wire_takes_both_forms_and_writes_integers() -> Result<(), serde_json::Error> {
        let text: WireDuration = serde_json::from_str(r#""1.5s""#)?;
        let integer: WireDuration = serde_json::from_str("1500000000")?;
        assert_eq!(text, integer);
        assert_eq!(serde_json::to_string(&text)?, "1500000000");
        assert_eq!(serde_json::from_str::<WireDuration>("-5")?.get(), None);
        let longest: WireDuration = serde_json::from_str(r#""-9223372036854775808ns""#)?;
        assert_eq!(serde_json::to_string(&longest)?, "-9223372036854775808");
        assert!(serde_json::from_str::<WireDuration>(r#"" 30s""#).is_err());
        Ok(())
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(nanoseconds in 0..i64::MAX as u64) {
            let duration = Duration::from_nanos(nanoseconds);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }
    }
}
