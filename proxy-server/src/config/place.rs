//! Addresses to listen on, as settings write them: a host and a port, or `unix:` and a path.

use std::path::Path;

use super::model::{Config, InvalidSetting};
use crate::policy::split_host;

/// Prefix of an address that is a Unix socket.
const UNIX: &str = "unix:";
/// Maximum length of a socket's path (`sun_path` of unix(7), with room for the name beside it under which it is bound).
const MAX_PATH: usize = 90;

/// Address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    Tcp(&'a str, u16),
    Unix(&'a Path),
}

impl Config {
    /// Returns the address of the endpoints.
    pub(crate) fn place(&self) -> Place<'_> {
        unix(&self.host).unwrap_or(Place::Tcp(&self.host, self.port))
    }

    /// Returns the address that only the admin API has; `None` if it is served where the endpoints are.
    pub(crate) fn admin_place(&self) -> Option<Place<'_>> {
        unix(&self.admin_listen).or_else(|| {
            let (host, port) = split_host(&self.admin_listen)?;
            Some(Place::Tcp(host, port?))
        })
    }

    /// Returns the permissions of Unix sockets; `None` if they are no octal number up to 777.
    pub(crate) fn socket_permissions(&self) -> Option<u32> {
        let is_octal = self.socket_mode.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
        u32::from_str_radix(&self.socket_mode, 8).ok().filter(|mode| is_octal && *mode <= 0o777)
    }

    /// Refuses addresses that nothing can listen on, and settings that have no effect at them.
    pub(super) fn check_places(&self) -> Result<(), InvalidSetting> {
        let place = self.place();
        for (name, place) in [("host", Some(place)), ("admin-listen", self.admin_place())] {
            if let Some(Place::Unix(path)) = place
                && let Some(reason) = misfit(path)
            {
                return Err(InvalidSetting::unusable(name, reason.to_owned()));
            }
        }
        let refuse = |reason: &str| Err(InvalidSetting::unusable("admin-listen", reason.to_owned()));
        match self.admin_place() {
            None if !self.admin_listen.is_empty() => {
                return refuse("it is neither HOST:PORT, such as `127.0.0.1:6002`, nor unix:PATH");
            }
            Some(admin) if admin == place && admin != Place::Tcp(&self.host, 0) => {
                return refuse("it is the address of the endpoints; leave it out to serve both there");
            }
            _ => {}
        }
        let are_all_unix = |place: Option<Place<'_>>| place.is_none_or(|place| matches!(place, Place::Unix(_)));
        if self.tls.certificate.is_some() && are_all_unix(Some(place)) && are_all_unix(self.admin_place()) {
            let reason = "Unix sockets speak plain HTTP: leave TLS out, or listen on a TCP port";
            return Err(InvalidSetting::unusable("tls-cert", reason.to_owned()));
        }
        match self.socket_permissions() {
            Some(_) => Ok(()),
            None => Err(InvalidSetting::unusable("socket-mode", "it is no octal number up to 777".to_owned())),
        }
    }
}

fn unix(text: &str) -> Option<Place<'_>> {
    text.strip_prefix(UNIX).map(|path| Place::Unix(Path::new(path)))
}

/// Returns the reason why there can be no socket at this path.
fn misfit(path: &Path) -> Option<&'static str> {
    if !path.is_absolute() || path.file_name().is_none() {
        return Some("the path behind `unix:` must be absolute, and name a file");
    }
    (path.as_os_str().len() > MAX_PATH).then_some("the path behind `unix:` has more than 90 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(flags: &[&str], expected: Result<(Place<'_>, Option<Place<'_>>), &str>) {
        let config = Config::from_flags(flags.iter().copied());
        let found = config.as_ref().map(|config| (config.place(), config.admin_place()));
        assert_eq!(found.map_err(ToString::to_string), expected.map_err(str::to_owned), "{flags:?}");
    }

    #[test]
    fn an_address_is_a_host_with_a_port_or_a_socket() {
        let (socket, other) = (Place::Unix(Path::new("/run/a.sock")), Place::Unix(Path::new("/run/b.sock")));
        check(&["--host=::1", "--port=7"], Ok((Place::Tcp("::1", 7), None)));
        check(&["--host=unix:/run/a.sock"], Ok((socket, None)));
        check(&["--host=unix:/run/a.sock", "--admin-listen=unix:/run/b.sock"], Ok((socket, Some(other))));
        check(&["--admin-listen=[::1]:8"], Ok((Place::Tcp("127.0.0.1", 6001), Some(Place::Tcp("::1", 8)))));
        check(
            &["--admin-listen=127.0.0.1:0", "--port=0"],
            Ok((Place::Tcp("127.0.0.1", 0), Some(Place::Tcp("127.0.0.1", 0)))),
        );
        let same = "invalid admin-listen: it is the address of the endpoints; leave it out to serve both there";
        check(&["--admin-listen=127.0.0.1:6001"], Err(same));
        check(&["--host=unix:/run/a.sock", "--admin-listen=unix:/run/a.sock"], Err(same));
        let relative = "invalid host: the path behind `unix:` must be absolute, and name a file";
        check(&["--host=unix:a.sock"], Err(relative));
        check(&["--host=unix:"], Err(relative));
        check(
            &[&format!("--host=unix:/{}", "a".repeat(90))],
            Err("invalid host: the path behind `unix:` has more than 90 bytes"),
        );
        check(&["--socket-mode=888"], Err("invalid socket-mode: it is no octal number up to 777"));
        let tls = "invalid tls-cert: Unix sockets speak plain HTTP: leave TLS out, or listen on a TCP port";
        check(&["--host=unix:/run/a.sock", "--tls-cert=/c", "--tls-key=/k"], Err(tls));
    }
}
