//! Parsers and formats of single values.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use ipnet::IpNet;
use schemas::{REDACTED, Secret, parse_duration};
use tokio::sync::Semaphore;
use url::{Position, Url};

use super::given::Given;
use crate::config::model::InvalidSetting;
use crate::http::client::Choice;
use crate::policy::split_host;
use crate::telemetry::Components;

pub(super) fn one<T>(
    place: &mut T,
    given: &[Given],
    parse: impl FnOnce(&str) -> Option<T>,
    expected: &str,
) -> Result<(), InvalidSetting> {
    let Some(Given { origin, text }) = given.first() else { return Ok(()) };
    *place = parse(text).ok_or_else(|| InvalidSetting::invalid(origin, text, expected))?;
    Ok(())
}

pub(super) fn all<T>(
    place: &mut Vec<T>,
    given: &[Given],
    parse: impl Fn(&str) -> Option<T>,
    expected: &str,
) -> Result<(), InvalidSetting> {
    let parsed = entries(given).into_iter();
    let parsed =
        parsed.map(|(origin, entry)| parse(entry).ok_or_else(|| InvalidSetting::invalid(origin, entry, expected)));
    *place = parsed.collect::<Result<_, _>>()?;
    Ok(())
}

/// Reads levels of components; the last entry of a component counts.
pub(super) fn components(place: &mut Components, given: &[Given], expected: &str) -> Result<(), InvalidSetting> {
    *place = Components::default();
    for (origin, entry) in entries(given) {
        place.add(entry).ok_or_else(|| InvalidSetting::invalid(origin, entry, expected))?;
    }
    Ok(())
}

/// Splits comma-separated texts into their entries, each with its origin, without empty and repeated ones.
pub(super) fn entries(given: &[Given]) -> Vec<(&str, &str)> {
    let mut entries: Vec<(&str, &str)> = Vec::new();
    for Given { origin, text } in given {
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            if !entries.iter().any(|(_, known)| *known == entry) {
                entries.push((origin, entry));
            }
        }
    }
    entries
}

/// Reads tokens. An empty flag or variable is an error: it usually comes from an unset variable, and would open the
/// gateway to everyone.
pub(super) fn tokens(place: &mut Vec<Secret>, given: &[Given]) -> Result<(), InvalidSetting> {
    place.clear();
    for Given { origin, text } in given {
        for token in Secret::tokens(text).map_err(|error| InvalidSetting::unusable(origin, error))? {
            if !place.contains(&token) {
                place.push(token);
            }
        }
    }
    Ok(())
}

/// Reads a proxy. An invalid value of the gateway's own setting is an error; that of a variable shared with other
/// programs, such as a SOCKS proxy, fails only upstreams that need it.
pub(super) fn proxy(place: &mut Choice, given: &[Given], expected: &str) -> Result<(), InvalidSetting> {
    let Some(Given { origin, text }) = given.first() else { return Ok(()) };
    let choice = Choice::parse(text);
    let is_shared = origin.to_ascii_lowercase().ends_with("_proxy") && !origin.starts_with("MCP_PROXY_");
    if matches!(choice, Choice::Unusable(_)) && !is_shared {
        // Hide the text: it may hold credentials.
        return Err(InvalidSetting::invalid(origin, "...", expected));
    }
    *place = choice;
    Ok(())
}

pub(super) fn web_url(text: &str) -> Option<Url> {
    Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

pub(super) fn time(text: &str) -> Option<Duration> {
    parse_duration(text).ok()
}

/// Parses a number from 1 on, up to the maximum of tokio's semaphore.
pub(super) fn count(text: &str) -> Option<usize> {
    let count = text.parse().ok().filter(|count: &usize| *count > 0);
    count.map(|count| count.min(Semaphore::MAX_PERMITS))
}

pub(super) fn on_or_off(text: &str) -> Option<bool> {
    match text {
        "on" | "true" | "1" => Some(true),
        "off" | "false" | "0" => Some(false),
        _ => None,
    }
}

pub(super) fn network(entry: &str) -> Option<IpNet> {
    let address = || entry.parse::<IpAddr>().map(IpNet::from);
    entry.parse().or_else(|_| address()).ok()
}

/// Reads a host name without its port: the gateway cannot know the port of a proxy in front.
pub(super) fn host(entry: &str) -> Option<String> {
    match split_host(entry) {
        Some((name, _)) => Some(name.to_owned()),
        None => entry.parse::<IpAddr>().ok().map(|_| entry.to_owned()),
    }
}

/// Reads the path of a folder. systemd's variable may hold several between colons, of which the first counts.
pub(super) fn folder(Given { origin, text }: &Given) -> PathBuf {
    let first = text.split(':').next().filter(|_| origin == "STATE_DIRECTORY");
    first.unwrap_or(text).into()
}

pub(super) fn size(text: &str) -> Option<usize> {
    let text = text.trim();
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic() || letter == ' ');
    let unit: usize = match text.get(digits.len()..).unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return None,
    };
    let size = digits.parse().ok().and_then(|number: usize| number.checked_mul(unit));
    size.filter(|size| *size > 0)
}

/// Formats a size in the largest unit that divides it.
pub(super) fn show_size(size: usize) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let unit = units.into_iter().find(|(bits, _)| size > 0 && size.trailing_zeros() >= *bits);
    unit.map_or_else(|| size.to_string(), |(bits, unit)| format!("{}{unit}", size >> bits))
}

pub(super) fn without_user(url: &Url) -> String {
    if url.username().is_empty() && url.password().is_none() {
        return url.to_string();
    }
    format!("{}://{REDACTED}@{}", url.scheme(), &url[Position::BeforeHost..])
}

/// Shows a URL that is stored as a secret: without user, and not at all if it cannot be read.
pub(super) fn shown_url(url: &Secret) -> String {
    Url::parse(url.expose()).map_or_else(|_| REDACTED.to_owned(), |url| without_user(&url))
}

pub(super) fn joined<T: ToString>(entries: impl Iterator<Item = T>) -> String {
    entries.map(|entry| entry.to_string()).collect::<Vec<_>>().join(",")
}

pub(super) fn name_of(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<usize>) {
        assert_eq!(size(text), expected, "{text:?}");
    }

    #[test]
    fn a_size_is_a_number_of_bytes_or_has_a_unit() {
        check("1", Some(1));
        check("16777216", Some(16 << 20));
        check("16MiB", Some(16 << 20));
        check("256 kib", Some(256 << 10));
        check("1G", Some(1 << 30));
        for refused in ["", "0", "0MiB", "-1", "1.5MiB", "MiB", "1TiB", "99999999999999999999", "18446744073709551615k"]
        {
            check(refused, None);
        }
    }

    #[test]
    fn a_size_is_shown_in_the_largest_unit_and_read_back() {
        let sizes = [1, 1_000, 1 << 10, 1_536, 16 << 20, 3 << 30];
        assert_eq!(sizes.map(show_size), ["1", "1000", "1KiB", "1536", "16MiB", "3GiB"]);
        assert_eq!(sizes.map(|bytes| size(&show_size(bytes))), sizes.map(Some));
    }

    #[test]
    fn the_user_of_a_url_is_masked() {
        let shown = |text: &str| without_user(&text.parse().expect("a URL"));
        assert_eq!(shown("https://u:s3cret@gateway.example/base"), "https://[redacted]@gateway.example/base");
        assert_eq!(shown("https://gateway.example/base"), "https://gateway.example/base");
    }
}
