//! Parses host names as in `Host`, `Origin` and settings.

use std::net::IpAddr;

/// Splits a `Host` value into the name, without brackets, and the port. `None` for any other form.
pub(crate) fn split_host(host: &str) -> Option<(&str, Option<u16>)> {
    let (name, rest) = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => host.split_at(host.bytes().position(|byte| byte == b':').unwrap_or(host.len())),
    };
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => None,
        None => return None,
        // RFC 3986, 3.2.3: the port may be empty.
        Some("") => None,
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(port.parse().ok()?),
        Some(_) => return None,
    };
    let is_address = host.starts_with('[');
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let is_name = !name.is_empty()
        && (is_address || name.bytes().all(is_plain))
        && (!is_address || name.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6()));
    is_name.then_some((name, port))
}

/// True if a `Host` value is a loopback name or address.
pub(crate) fn is_loopback_host(host: &str) -> bool {
    split_host(host).is_some_and(|(name, _)| is_loopback_name(name))
}

/// True if a host name, without brackets, is a loopback name or address.
pub(crate) fn is_loopback_name(name: &str) -> bool {
    // Skip parsing for the usual address.
    name == "127.0.0.1"
        || name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_split_where_its_port_begins() {
        for (host, expected) in [
            ("gw.example", ("gw.example", None)),
            ("gw.example:80", ("gw.example", Some(80))),
            ("gw.example:", ("gw.example", None)),
            ("[::1]:6001", ("::1", Some(6001))),
            ("[::1]", ("::1", None)),
        ] {
            assert_eq!(split_host(host), Some(expected), "{host}");
        }
        for wrong in [
            "",
            ":80",
            "a:b",
            "a:80:90",
            "a:+80",
            "a:99999",
            "[::1",
            "[::1]x",
            "[]",
            "[a]",
            "[127.0.0.1]",
            "::1",
            "a/b",
            "a@b",
            "a b",
            "a?b",
            "a\"b",
            "a%2fb",
            "é",
        ] {
            assert_eq!(split_host(wrong), None, "{wrong}");
        }
    }
}
