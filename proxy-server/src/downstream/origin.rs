//! Protection against pages that talk to a gateway on the visitor's own machine (DNS rebinding, cross-site requests):
//! `Host` and `Origin` are checked on every path.

use std::net::IpAddr;

use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use url::Url;

use crate::downstream::fields::{Fields, text};
use crate::upstream::OWN_MARK;

/// Which hosts a request may name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origins {
    /// Host names besides loopback ones, without port.
    pub(crate) hosts: Vec<String>,
    /// Whether the gateway listens on loopback only. If it does not, the names it is reached by are not known, and only
    /// `Origin` is checked.
    pub(crate) loopback_only: bool,
    /// The mark of the gateway's own requests. An upstream that leads back here would be trusted as this very machine.
    pub(crate) own_mark: Option<HeaderValue>,
}

impl Origins {
    /// The refusal of a request from a foreign page.
    pub(super) fn refusal(&self, fields: &Fields<'_>) -> Option<Response> {
        let refuse = || {
            let problem = schemas::Problem::new("Forbidden")
                .details("the Host or Origin header names a foreign site, or the request is the gateway's own");
            (StatusCode::FORBIDDEN, axum::Json(problem)).into_response()
        };
        (!self.accept(fields)).then(refuse)
    }

    fn accept(&self, fields: &Fields<'_>) -> bool {
        let is_own =
            || self.own_mark.as_ref().is_some_and(|own| fields.values(OWN_MARK.as_str()).any(|mark| mark == own));
        // Of a header that comes twice, two readers could take different ones.
        if fields.is_ambiguous || (fields.is_marked && is_own()) {
            return false;
        }
        let accepts_origin = |origin| text(origin).is_some_and(|origin| self.accepts_origin(origin));
        let accepts_host =
            |host| text(host).is_some_and(|host| !self.loopback_only || self.accepts_host(without_port(host)));
        // HTTP/1.0 has no host, and no browser speaks it.
        fields.origin.is_none_or(accepts_origin) && fields.host.is_none_or(accepts_host)
    }

    fn accepts_origin(&self, origin: &str) -> bool {
        Url::parse(origin).is_ok_and(|origin| origin.host_str().is_some_and(|host| self.accepts_host(host)))
    }

    fn accepts_host(&self, host: &str) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        // An address is read only where it is not the one that nearly all name.
        let loopback = host == "127.0.0.1"
            || host.eq_ignore_ascii_case("localhost")
            || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
        loopback || self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|b| b.is_ascii_digit()) && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        Some(_) | None => host,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, header};

    use super::*;

    const LOOPBACK: bool = true;
    const EVERYWHERE: bool = false;

    fn accepts(loopback_only: bool, headers: &[(header::HeaderName, &str)]) -> bool {
        let origins = Origins {
            hosts: vec!["gateway.example".into()],
            loopback_only,
            own_mark: Some(HeaderValue::from_static("mine")),
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value.parse().expect("a header value"));
        }
        origins.accept(&Fields::in_headers(&map))
    }

    #[test]
    fn a_loopback_gateway_is_reached_by_loopback_names_only() {
        for host in ["localhost:6001", "127.0.0.1:6001", "[::1]:6001", "localhost", "gateway.example", "LOCALHOST:1"] {
            assert!(accepts(LOOPBACK, &[(header::HOST, host)]));
        }
        for host in ["evil.example", "evil.example:6001", "127.0.0.1.evil.example", ""] {
            assert!(!accepts(LOOPBACK, &[(header::HOST, host)]));
        }
    }

    #[test]
    fn an_open_gateway_may_be_called_anything_but_not_by_foreign_pages() {
        assert!(accepts(EVERYWHERE, &[(header::HOST, "mcp-proxy:6001")]));
        assert!(!accepts(EVERYWHERE, &[(header::HOST, "mcp-proxy:6001"), (header::ORIGIN, "http://evil.example")]));
        assert!(!accepts(EVERYWHERE, &[(header::HOST, "x"), (header::ORIGIN, "null")]));
        assert!(accepts(EVERYWHERE, &[(header::HOST, "x"), (header::ORIGIN, "http://localhost:3000")]));
        assert!(accepts(EVERYWHERE, &[(header::HOST, "x"), (header::ORIGIN, "https://gateway.example")]));
    }

    #[test]
    fn the_gateways_own_requests_do_not_come_in_again() {
        assert!(!accepts(EVERYWHERE, &[(header::HOST, "x"), (OWN_MARK, "other"), (OWN_MARK, "mine")]));
        assert!(accepts(EVERYWHERE, &[(header::HOST, "x"), (OWN_MARK, "other")]));
    }

    #[test]
    fn a_header_that_occurs_twice_is_refused() {
        assert!(!accepts(LOOPBACK, &[(header::HOST, "localhost"), (header::HOST, "localhost")]));
        assert!(!accepts(LOOPBACK, &[(header::ORIGIN, "http://localhost"), (header::ORIGIN, "http://localhost")]));
    }
}
