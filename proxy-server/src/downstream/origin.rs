//! Checks `Host`, `Origin` and `Sec-Fetch-Site` on every path.

use std::net::IpAddr;

use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use schemas::Problem;

use crate::catalog::card::is_document;
use crate::downstream::fields::{Fields, text};
use crate::http::client::OWN_MARK;
use crate::policy::oauth::METADATA_PATH;
use crate::policy::{Foreign, Page, Shown, Sites};

/// Paths of health checks. They may omit `Host` in HTTP/1.0, and pages of other sites may link to them.
pub(super) const HEALTH_PATHS: [&str; 3] = ["/healthz", "/readyz", "/api/v1/ping"];
/// Rules for accepting requests by host, origin and mark.
#[derive(Debug, Clone, Default)]
pub(crate) struct Origins {
    pub(crate) sites: Sites,
    /// Mark of the gateway's own requests. Requests with it are refused: one that an upstream sends back here would be
    /// trusted as a local request.
    pub(crate) own_mark: Option<HeaderValue>,
    /// True if there are server cards, which every page may fetch.
    pub(crate) has_cards: bool,
}

impl Origins {
    /// Returns the page behind a request to this local address, or the response that refuses it.
    pub(super) fn page(&self, fields: &Fields<'_>, local: IpAddr, path: &str) -> Result<Page, Response> {
        let is_own =
            || self.own_mark.as_ref().is_some_and(|own| fields.values(OWN_MARK.as_str()).any(|mark| mark == own));
        if fields.is_marked && is_own() {
            return Err(refusal(StatusCode::FORBIDDEN, "the request is the gateway's own"));
        }
        // Two readers could use different values of a duplicate header.
        if fields.is_ambiguous {
            return Err(refusal(StatusCode::FORBIDDEN, "Host, Origin or Sec-Fetch-Site comes twice"));
        }
        let shown = Shown {
            host: fields.host.map(text_or_empty),
            origin: fields.origin.map(text_or_empty),
            fetch_site: fields.fetch_site.map(text_or_empty),
        };
        let page = self.sites.page(shown, local);
        let is_health = || HEALTH_PATHS.contains(&path);
        match page {
            Ok(page) => Ok(page),
            // Cards and health checks reveal nothing that is not public, and change nothing.
            Err(Foreign::Origin | Foreign::Site) if (self.has_cards && is_document(path)) || is_metadata(path) => {
                Ok(Page::Foreign)
            }
            Err(Foreign::Site) if is_health() => Ok(Page::None),
            Err(Foreign::NoHost) if fields.host.is_none() && fields.is_old_http && is_health() => Ok(Page::None),
            Err(why) => Err(refuse(why)),
        }
    }
}

/// True for the path of metadata of protected resources.
fn is_metadata(path: &str) -> bool {
    let path = path.strip_prefix("/mcp-proxy").unwrap_or(path);
    path.strip_prefix(METADATA_PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Returns a header value as text; empty, and so foreign, if it contains bytes that are invalid in such a value.
fn text_or_empty(value: &[u8]) -> &str {
    text(value).unwrap_or_default()
}

fn refuse(why: Foreign) -> Response {
    match why {
        Foreign::NoHost => {
            refusal(StatusCode::BAD_REQUEST, "Host is required, as a name or address with an optional port")
        }
        Foreign::Host => {
            refusal(StatusCode::FORBIDDEN, "Host names a foreign site; to serve this name, add it to --allowed-hosts")
        }
        Foreign::Origin => refusal(
            StatusCode::FORBIDDEN,
            "Origin names a foreign page; to serve its pages, add it to --allowed-origins",
        ),
        Foreign::Site => {
            refusal(StatusCode::FORBIDDEN, "Sec-Fetch-Site tells that the page of another site sends the request")
        }
    }
}

fn refusal(status: StatusCode, details: &str) -> Response {
    (status, axum::Json(Problem::new("Forbidden").details(details))).into_response()
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderName, header};

    use super::*;

    fn origins() -> Origins {
        let sites = Sites { hosts: vec!["gateway.example".into()], are_hosts_known: true, ..Sites::default() };
        Origins { sites, own_mark: Some(HeaderValue::from_static("mine")), has_cards: true }
    }

    fn status(path: &str, is_old_http: bool, headers: &[(HeaderName, &str)]) -> Option<u16> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value.parse().expect("a header value"));
        }
        let mut fields = Fields::in_headers(&map);
        fields.is_old_http = is_old_http;
        let local = "127.0.0.1".parse().expect("an address");
        origins().page(&fields, local, path).err().map(|refusal| refusal.status().as_u16())
    }

    const OLD: bool = true;

    #[test]
    fn a_host_is_required_but_for_old_health_checks() {
        assert_eq!(status("/mcp", !OLD, &[(header::HOST, "localhost")]), None);
        for (path, is_old_http) in [("/mcp", !OLD), ("/mcp", OLD), ("/admin/mcps", OLD), ("/healthz", !OLD)] {
            assert_eq!(status(path, is_old_http, &[]), Some(400), "{path}");
        }
        assert_eq!(status("/healthz", OLD, &[]), None);
        assert_eq!(status("/healthz", OLD, &[(header::HOST, "evil.example")]), Some(403));
        assert_eq!(status("/healthz", OLD, &[(header::HOST, "")]), Some(400));
    }

    #[test]
    fn a_header_that_occurs_twice_is_refused() {
        let host = (header::HOST, "localhost");
        let site = (HeaderName::from_static("sec-fetch-site"), "none");
        assert_eq!(status("/mcp", !OLD, &[host.clone(), host.clone()]), Some(403));
        assert_eq!(status("/mcp", !OLD, &[host.clone(), site.clone(), site]), Some(403));
        let origin = (header::ORIGIN, "http://localhost");
        assert_eq!(status("/mcp", !OLD, &[host, origin.clone(), origin]), Some(403));
    }

    #[test]
    fn the_gateways_own_requests_do_not_come_in_again() {
        let host = (header::HOST, "localhost");
        assert_eq!(status("/mcp", !OLD, &[host.clone(), (OWN_MARK, "other"), (OWN_MARK, "mine")]), Some(403));
        assert_eq!(status("/mcp", !OLD, &[host, (OWN_MARK, "other")]), None);
    }

    #[test]
    fn a_foreign_page_may_ask_for_cards_and_nothing_else() {
        let (host, origin) = ((header::HOST, "localhost"), (header::ORIGIN, "http://evil.example"));
        for path in [
            "/mcp/server-card",
            "/time/stream/server-card",
            "/.well-known/ai-catalog.json",
            "/.well-known/oauth-protected-resource/mcp",
        ] {
            assert_eq!(status(path, !OLD, &[host.clone(), origin.clone()]), None, "{path}");
            assert_eq!(status(path, !OLD, &[(header::HOST, "evil.example"), origin.clone()]), Some(403), "{path}");
        }
        for path in ["/mcp", "/time/stream", "/time/stream/x/server-card", "/admin/mcps"] {
            assert_eq!(status(path, !OLD, &[host.clone(), origin.clone()]), Some(403), "{path}");
        }
    }
}
