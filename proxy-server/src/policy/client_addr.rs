//! The address a request comes from, behind however many trusted proxies.

use std::net::IpAddr;

use ipnet::IpNet;

/// Walks `X-Forwarded-For` from the right, hop by hop, for as long as the hop before is trusted. What stands further
/// left was written by someone nobody vouches for.
pub(super) fn client_address(peer: IpAddr, forwarded_for: &[&str], trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|net| net.contains(&address));
    let mut address = peer.to_canonical();
    for hop in forwarded_for.iter().flat_map(|value| value.split(',')).rev() {
        if !is_trusted(address) {
            break;
        }
        let Ok(next) = hop.trim().parse::<IpAddr>() else { break };
        address = next.to_canonical();
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(peer: &str, forwarded_for: &[&str], expected: &str) {
        let trusted = ["10.0.0.0/8".parse().expect("a network")];
        let address = client_address(peer.parse().expect("an address"), forwarded_for, &trusted);
        assert_eq!(address.to_string(), expected, "{peer} {forwarded_for:?}");
    }

    #[test]
    fn believes_only_trusted_hops() {
        check("192.0.2.1", &["203.0.113.9"], "192.0.2.1");
        check("10.0.0.1", &["203.0.113.9"], "203.0.113.9");
        check("10.0.0.1", &["127.0.0.1, 203.0.113.9, 10.0.0.2"], "203.0.113.9");
        check("10.0.0.1", &["203.0.113.9", "10.0.0.2"], "203.0.113.9");
        check("10.0.0.1", &["garbage"], "10.0.0.1");
        check("::ffff:10.0.0.1", &["203.0.113.9"], "203.0.113.9");
    }
}
