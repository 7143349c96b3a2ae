use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use super::sockets::{TIME_WAIT, address};
use super::*;

const OWN: u32 = 1000;
const GATEWAY: &str = "127.0.0.1:6001";

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// The socket at the caller's end of its connection to the gateway.
fn end(local: &str, uid: u32, inode: u64) -> Socket {
    Socket { local: at(local), remote: at(GATEWAY), state: 1, uid, inode }
}

fn socket(local: &str, remote: &str, state: u8, inode: u64) -> Socket {
    Socket { local: at(local), remote: at(remote), state, uid: OWN, inode }
}

fn check(sockets: &[Socket], peer: &str, beside: Option<&[u64]>, expected: Option<Elsewhere>) {
    let beside = |_| beside.map(|inodes| inodes.iter().copied().collect());
    assert_eq!(judge(sockets, (at(peer), at(GATEWAY)), OWN, beside), expected, "{sockets:?}");
}

#[test]
fn the_peers_socket_must_be_of_the_same_user() {
    let peer = "127.0.0.1:40000";
    check(&[end(peer, OWN, 7)], peer, None, None);
    check(&[end(peer, OWN, 7)], "[::ffff:127.0.0.1]:40000", None, None);
    for other in [end(peer, 33, 7), end(peer, 0, 7), end("127.0.0.1:40001", OWN, 7), end(peer, OWN, 0)] {
        check(&[other], peer, None, Some(Elsewhere::Owner));
    }
    check(&[], peer, None, Some(Elsewhere::Owner));
    for state in [LISTEN, TIME_WAIT] {
        check(&[socket(peer, GATEWAY, state, 7)], peer, None, Some(Elsewhere::Owner));
    }
    let to_another = socket(peer, "127.0.0.1:6002", 1, 7);
    check(&[to_another], peer, None, Some(Elsewhere::Owner));
}

#[test]
fn a_process_that_serves_another_machine_is_no_caller_of_this_one() {
    let peer = "127.0.0.1:40000";
    let with = |more: Vec<Socket>| more.into_iter().chain([end(peer, OWN, 7)]).collect::<Vec<_>>();
    let listener = || socket("0.0.0.0:80", "0.0.0.0:0", LISTEN, 8);
    let accepted = |remote: &str| with(vec![listener(), socket("192.0.2.1:80", remote, 1, 9)]);
    check(&accepted("198.51.100.1:999"), peer, Some(&[7, 8, 9]), Some(Elsewhere::Relay));
    check(&accepted("198.51.100.1:999"), peer, Some(&[7]), None);
    check(&accepted("198.51.100.1:999"), peer, None, Some(Elsewhere::Owner));
    check(&accepted("127.0.0.1:999"), peer, Some(&[7, 8, 9]), None);
    let connected = with(vec![listener(), socket("192.0.2.1:5000", "198.51.100.1:443", 1, 9)]);
    check(&connected, peer, Some(&[7, 8, 9]), None);
    check(&with(vec![listener()]), peer, Some(&[7, 8]), None);
}

#[test]
fn rows_of_both_tables_are_read() {
    if cfg!(target_endian = "big") {
        return;
    }
    let row = "   1: 0100007F:1771 0200007F:9C40 01 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0 20";
    let expected =
        Socket { local: at("127.0.0.1:6001"), remote: at("127.0.0.2:40000"), state: 1, uid: 1000, inode: 4242 };
    assert_eq!(Socket::read(row), Some(expected));
    let ends = [
        ("00000000000000000000000001000000:0050", "[::1]:80"),
        ("0000000000000000FFFF00000100007F:0050", "127.0.0.1:80"),
    ];
    for (text, expected) in ends {
        assert_eq!(address(text), Some(at(expected)));
    }
    for wrong in ["", "0100007F", "0100007F:x", "01:0050", "  sl  local_address rem_address   st tx_queue"] {
        assert_eq!((address(wrong), Socket::read(wrong)), (None, None), "{wrong:?}");
    }
}

#[test]
fn a_connection_of_this_very_process_is_its_own() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let mut client = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
    let (mut accepted, peer) = listener.accept().expect("a connection");
    let ends = (peer, accepted.local_addr().expect("an address"));
    assert_eq!(judge(&sockets::around(ends.0, ends.1), ends, own_uid(), sockets_beside), None);
    assert_eq!(judge(&sockets::around(ends.0, ends.1), ends, own_uid() + 1, sockets_beside), Some(Elsewhere::Owner));
    let of_client = sockets::around(ends.0, ends.1).into_iter().find(|socket| socket.local == peer).expect("a socket");
    assert!(sockets_beside(of_client.inode).expect("this process").contains(&of_client.inode));
    client.write_all(b"x").expect("a peer");
    accepted.read_exact(&mut [0]).expect("a peer");
}

fn shows(peer: &str, host: Option<&str>, is_forwarded: bool) -> Option<Elsewhere> {
    let (peer, local) = (at(peer), at(GATEWAY));
    let host = host.map(str::as_bytes);
    let credentials = Credentials { host, is_forwarded, ..Credentials::of_peer(peer, local) };
    shown(&credentials, &["127.0.0.9/32".parse().expect("a network")])
}

#[test]
fn a_request_must_look_like_one_of_this_machine() {
    let (peer, host) = ("127.0.0.1:40000", Some("localhost:6001"));
    for host in ["localhost", "LOCALHOST:6001", "127.0.0.1:6001", "127.8.8.8", "[::1]:6001", "[::1]"] {
        assert_eq!(shows(peer, Some(host), false), None, "{host}");
    }
    for host in ["gateway.example", "localhost.example:6001", "", "192.0.2.1", "localhost:x", "[::1", "::2"] {
        assert_eq!(shows(peer, Some(host), false), Some(Elsewhere::Host), "{host}");
    }
    assert_eq!(shows(peer, None, false), Some(Elsewhere::Host));
    assert_eq!(shows(peer, host, true), Some(Elsewhere::Forwarded));
    assert_eq!(shows("127.0.0.9:40000", host, false), Some(Elsewhere::TrustedProxy));
    assert_eq!(shows("[::ffff:127.0.0.9]:40000", host, false), Some(Elsewhere::TrustedProxy));
    assert_eq!(shows("192.0.2.1:40000", host, false), Some(Elsewhere::Peer));
    assert_eq!(shows("[::ffff:127.0.0.1]:40000", host, false), None);
}
