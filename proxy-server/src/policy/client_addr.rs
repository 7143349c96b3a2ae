//! Determines the client's address behind any number of trusted proxies.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::policy::credentials::Credentials;

/// Walks `X-Forwarded-For` from the right for as long as the previous hop is a trusted proxy. Entries further left are
/// unverified. Returns `None` if the client stays unknown: a trusted proxy names none or an unreadable address, or an
/// untrusted proxy on this machine forwards the request.
pub(super) fn client_address(credentials: &Credentials<'_>, trusted: &[IpNet]) -> Option<IpAddr> {
    let forwarded_for = &credentials.forwarded_for;
    let mut address = credentials.from.peer.ip().to_canonical();
    if !is_trusted(address, trusted) {
        return (!credentials.is_forwarded || !address.is_loopback()).then_some(address);
    }
    if forwarded_for.is_empty() {
        return None;
    }
    for hop in forwarded_for.iter().flat_map(|value| value.split(|byte| *byte == b',')).rev() {
        if !is_trusted(address, trusted) {
            break;
        }
        address = std::str::from_utf8(hop).ok()?.trim().parse::<IpAddr>().ok()?.to_canonical();
    }
    Some(address)
}

/// True if the address belongs to a trusted proxy.
pub(super) fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&address.to_canonical()))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn check(peer: &str, forwarded_for: &[&[u8]], expected: Option<&str>) {
        let trusted = ["10.0.0.0/8".parse().expect("a network")];
        let peer = SocketAddr::new(peer.parse().expect("an address"), 40_000);
        let is_forwarded = !forwarded_for.is_empty();
        let forwarded_for = forwarded_for.to_vec();
        let credentials = Credentials { is_forwarded, forwarded_for, ..Credentials::of_peer(peer, peer) };
        let address = client_address(&credentials, &trusted);
        assert_eq!(address.map(|address| address.to_string()).as_deref(), expected, "{credentials:?}");
    }

    #[test]
    fn believes_only_trusted_hops() {
        check("192.0.2.1", &[b"203.0.113.9"], Some("192.0.2.1"));
        check("10.0.0.1", &[b"203.0.113.9"], Some("203.0.113.9"));
        check("10.0.0.1", &[b"127.0.0.1, 203.0.113.9, 10.0.0.2"], Some("203.0.113.9"));
        check("10.0.0.1", &[b"203.0.113.9", b"10.0.0.2"], Some("203.0.113.9"));
        check("::ffff:10.0.0.1", &[b"203.0.113.9"], Some("203.0.113.9"));
        check("192.0.2.1", &[b"garbage"], Some("192.0.2.1"));
    }

    #[test]
    fn an_address_that_cannot_be_read_is_nobodys() {
        for hop in [&b"garbage"[..], b"203.0.113.9:80", b"unknown", b"\xff", b"", b"10.0.0.2, \xff, 10.0.0.3"] {
            check("10.0.0.1", &[hop], None);
        }
        check("10.0.0.1", &[b"\xff, 203.0.113.9"], Some("203.0.113.9"));
    }

    #[test]
    fn a_proxy_that_names_nobody_leaves_the_caller_unknown() {
        check("10.0.0.1", &[], None);
        check("127.0.0.1", &[b"203.0.113.9"], None);
        check("::1", &[b"203.0.113.9"], None);
        check("127.0.0.1", &[], Some("127.0.0.1"));
    }
}
