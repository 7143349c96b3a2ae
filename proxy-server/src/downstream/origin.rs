//! Checks `Host`, `Origin` and `Sec-Fetch-Site` on every path, and responds to CORS preflight requests.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemas::Problem;

use crate::downstream::cards::is_document;
use crate::downstream::fields::{Fields, text};
use crate::http::client::OWN_MARK;
use crate::policy::{Foreign, Page, Shown, Sites};

/// Paths of health checks. They may omit `Host` in HTTP/1.0, and pages of other sites may link to them.
pub(super) const HEALTH_PATHS: [&str; 3] = ["/healthz", "/readyz", "/api/v1/ping"];
/// Request headers that every preflight response allows.
const ALLOWED_HEADERS: &str = "accept, authorization, content-type, if-match, last-event-id, mcp-method, mcp-name, \
                               mcp-protocol-version, mcp-session-id, traceparent, tracestate, x-api-key";
const ALLOWED_METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, DELETE, OPTIONS");
/// Response headers that a page may read.
const EXPOSED_HEADERS: HeaderValue =
    HeaderValue::from_static("etag, location, mcp-protocol-version, mcp-session-id, retry-after, www-authenticate");
/// Time for which a browser caches a preflight response, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");
/// Maximum length in bytes of `Access-Control-Request-Headers`. A longer value is ignored.
const MAX_ASKED: usize = 1024;
const ASKS_FOR_NETWORK: HeaderName = HeaderName::from_static("access-control-request-private-network");
const ALLOWS_NETWORK: HeaderName = HeaderName::from_static("access-control-allow-private-network");
const YES: HeaderValue = HeaderValue::from_static("true");

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
            Err(Foreign::Origin | Foreign::Site) if self.has_cards && is_document(path) => Ok(Page::Foreign),
            Err(Foreign::Site) if is_health() => Ok(Page::None),
            Err(Foreign::NoHost) if fields.host.is_none() && fields.is_old_http && is_health() => Ok(Page::None),
            Err(why) => Err(refuse(why)),
        }
    }
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

/// True for a CORS preflight request.
pub(super) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::OPTIONS
        && headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Allows all methods and the requested headers in a preflight response, because the request itself is checked again.
pub(super) fn allow_page(headers: &HeaderMap) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let allowed = response.headers_mut();
    allowed.insert(header::ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS);
    allowed.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed_headers(headers));
    allowed.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    if headers.get(&ASKS_FOR_NETWORK) == Some(&YES) {
        allowed.insert(ALLOWS_NETWORK, YES);
    }
    response
}

/// Returns the fixed headers plus those that the browser asks for: `Mcp-Param-*` headers have arbitrary names.
fn allowed_headers(headers: &HeaderMap) -> HeaderValue {
    let asked = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).and_then(|value| value.to_str().ok());
    let usual: Vec<&str> = ALLOWED_HEADERS.split(", ").collect();
    let more = asked.filter(|asked| asked.len() <= MAX_ASKED).into_iter().flat_map(|asked| asked.split(','));
    let more = more.map(str::trim).filter(|name| !usual.iter().any(|known| known.eq_ignore_ascii_case(name)));
    let more = more.filter(|name| HeaderName::from_bytes(name.as_bytes()).is_ok());
    let all: Vec<&str> = usual.iter().copied().chain(more).collect();
    HeaderValue::from_str(&all.join(", ")).unwrap_or(HeaderValue::from_static(ALLOWED_HEADERS))
}

/// Allows the page of this origin to read a response.
pub(super) fn show_to(origin: HeaderValue, response: &mut Response) {
    let headers = response.headers_mut();
    // A response that already allows every page stays so.
    headers.entry(header::ACCESS_CONTROL_ALLOW_ORIGIN).or_insert(origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
    headers.append(header::VARY, HeaderValue::from_static("origin"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::downstream::fields::SESSION_ID;
    use crate::downstream::modern::headers::PROTOCOL_VERSION;

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
        for path in ["/mcp/server-card", "/time/stream/server-card", "/.well-known/ai-catalog.json"] {
            assert_eq!(status(path, !OLD, &[host.clone(), origin.clone()]), None, "{path}");
            assert_eq!(status(path, !OLD, &[(header::HOST, "evil.example"), origin.clone()]), Some(403), "{path}");
        }
        for path in ["/mcp", "/time/stream", "/time/stream/x/server-card", "/admin/mcps"] {
            assert_eq!(status(path, !OLD, &[host.clone(), origin.clone()]), Some(403), "{path}");
        }
    }

    #[test]
    fn a_page_may_send_what_its_browser_asks_for() {
        let mut headers = HeaderMap::new();
        assert_eq!(allowed_headers(&headers), ALLOWED_HEADERS);
        let asked = "content-type,Mcp-Param-Region, b@d, mcp-session-id";
        headers.insert(header::ACCESS_CONTROL_REQUEST_HEADERS, HeaderValue::from_static(asked));
        assert_eq!(allowed_headers(&headers), format!("{ALLOWED_HEADERS}, Mcp-Param-Region"));
        for name in [SESSION_ID, PROTOCOL_VERSION, "last-event-id", "authorization", "content-type"] {
            assert!(ALLOWED_HEADERS.split(", ").any(|allowed| allowed == name), "{name}");
        }
    }
}
