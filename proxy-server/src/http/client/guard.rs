//! Recognises forbidden addresses: link-local ones and the metadata services of clouds, which give credentials to any
//! caller. Also finds them inside of IPv6 transition addresses. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Metadata services that are not link-local: Alibaba's, Oracle's, Azure's.
const METADATA: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192), Ipv4Addr::new(168, 63, 129, 16)];

/// Metadata services with unique local addresses: Google's, Scaleway's, Oracle's.
const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
    Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
];

/// True if an address is link-local or a metadata service, or embeds the IPv4 address of one.
pub(super) fn is_forbidden(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local() || METADATA.contains(&address),
        IpAddr::V6(address) => {
            is_local(address) || embedded(address).into_iter().flatten().any(|v4| is_forbidden(v4.into()))
        }
    }
}

fn is_local(address: Ipv6Addr) -> bool {
    // Amazon's metadata services have a range of their own.
    address.is_unicast_link_local()
        || METADATA_V6.contains(&address)
        || address.segments().starts_with(&[0xfd00, 0x0ec2])
}

/// Returns the IPv4 addresses that translators and tunnels derive from an IPv6 address.
fn embedded(address: Ipv6Addr) -> [Option<Ipv4Addr>; 2] {
    let v4 = |high: u16, low: u16| Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
    match address.segments() {
        // IPv4-compatible, IPv4-mapped, IPv4-translated (RFC 4291, 2.5.5; RFC 2765, 2.1).
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => [v4(high, low), None],
        // NAT64: the well-known prefix, and the one for local use, whose prefix may have 48 bits only; then bits 64 to
        // 71 are not part of the address (RFC 6052, 2.2; RFC 8215).
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => [v4(high, low), None],
        [0x64, 0xff9b, 1, first, second, third, high, low] => [v4(high, low), v4(first, second << 8 | third >> 8)],
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => [v4(high, low), None],
        // Teredo (RFC 4380): the server, and the client with inverted bits.
        [0x2001, 0, high, low, _, _, client_high, client_low] => [v4(high, low), v4(!client_high, !client_low)],
        // ISATAP (RFC 5214), under any prefix.
        [_, _, _, _, 0 | 0x0200, 0x5efe, high, low] => [v4(high, low), None],
        _ => [None, None],
    }
}

/// True if a name always means this machine (RFC 6761, 6.3).
pub(super) fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, forbidden: bool) {
        assert_eq!(is_forbidden(address.parse().expect("an address")), forbidden, "{address}");
    }

    #[test]
    fn link_local_and_metadata_addresses_are_known_in_every_form() {
        for address in [
            "169.254.169.254",
            "169.254.0.1",
            "169.254.170.2",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
            "fe80::1",
            "febf::1",
            "fe80::a9fe:a9fe",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "fd00:42::42",
            "fd00:c1::a9fe:a9fe",
            "::ffff:169.254.169.254",
            "::ffff:100.100.100.200",
            "::169.254.169.254",
            "::ffff:0:169.254.169.254",
            "64:ff9b::169.254.169.254",
            "64:ff9b::100.100.100.200",
            "64:ff9b:1::169.254.169.254",
            "64:ff9b:1:a9fe:a9:fe00::",
            "2002:a9fe:a9fe::1",
            "2002:6464:64c8::",
            "2001:0:a9fe:a9fe::",
            "2001:0:0102:0304:0:0:5601:5601",
            "2001:db8::5efe:169.254.169.254",
            "fd12:3456::200:5efe:100.100.100.200",
        ] {
            check(address, true);
        }
    }

    #[test]
    fn other_addresses_are_dialled() {
        for address in [
            "127.0.0.1",
            "10.0.0.1",
            "169.253.255.255",
            "169.255.0.0",
            "100.100.100.201",
            "0.0.0.0",
            "::1",
            "::",
            "::ffff:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1:a00:0:100::",
            "2002:a00:1::1",
            "2001:db8::1",
            "2001:4860:4860::8888",
            "fd00:42::43",
            "fd12:3456:789a::1",
            "fec0::1",
        ] {
            check(address, false);
        }
    }
}
