//! The address a request comes from, behind however many trusted proxies.

use std::net::IpAddr;

use ipnet::IpNet;

/// Walks `X-Forwarded-For` from the right, hop by hop, for as long as the hop before is trusted. What stands further
/// left was written by someone nobody vouches for. Nothing when a trusted hop names an address that cannot be read.
pub(super) fn client_address(peer: IpAddr, forwarded_for: &[&[u8]], trusted: &[IpNet]) -> Option<IpAddr> {
    let mut address = peer.to_canonical();
    for hop in forwarded_for.iter().flat_map(|value| value.split(|byte| *byte == b',')).rev() {
        if !is_trusted(address, trusted) {
            break;
        }
        address = std::str::from_utf8(hop).ok()?.trim().parse::<IpAddr>().ok()?.to_canonical();
    }
    Some(address)
}

/// Whether this address belongs to a proxy whose word counts.
pub(super) fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&address.to_canonical()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(peer: &str, forwarded_for: &[&[u8]], expected: Option<&str>) {
        let trusted = ["10.0.0.0/8".parse().expect("a network")];
        let address = client_address(peer.parse().expect("an address"), forwarded_for, &trusted);
        assert_eq!(address.map(|address| address.to_string()).as_deref(), expected, "{peer} {forwarded_for:?}");
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
}
