//! Contents of server cards (SEP-2127) and of their catalog: what a client needs to connect to an endpoint, and nothing
//! of what the endpoint offers.

use schemas::{Eras, ServerName};
use serde_json::{Value, json};
use url::{Host, Url};

use crate::protocol::{server_of, versions};
use crate::upstream::Upstream;

/// Suffix of an endpoint's path that gives the path of its card.
pub(crate) const CARD_SUFFIX: &str = "/server-card";
pub(crate) const CATALOG_PATH: &str = "/.well-known/ai-catalog.json";
const SCHEMA: &str = "https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json";
pub(crate) const CARD_TYPE: &str = "application/mcp-server-card+json";
pub(crate) const CATALOG_TYPE: &str = "application/ai-catalog+json";
/// Revision of the catalog's own specification.
const CATALOG_VERSION: &str = "1.0";
/// Name of the endpoint of all upstreams.
const OWN_NAME: &str = "mcp-proxy";
/// Maximum length of a description and of a title in characters, and of a version in bytes.
const MAX_TEXT: usize = 100;
const MAX_VERSION: usize = 255;
/// Maximum length of a publisher, so that with any server's name a card's name has at most 200 characters.
const MAX_PUBLISHER: usize = 128;

/// True for the path of a card or of the catalog.
pub(crate) fn is_document(path: &str) -> bool {
    let Some(endpoint) = path.strip_suffix(CARD_SUFFIX) else { return path == CATALOG_PATH };
    let endpoint = endpoint.strip_prefix("/mcp-proxy").filter(|rest| rest.starts_with('/')).unwrap_or(endpoint);
    let mut segments = endpoint.split('/').skip(1);
    match (segments.next(), segments.next(), segments.next()) {
        (Some("mcp"), None, None) => true,
        (Some(name), Some("mcp" | "stream"), None) => !name.is_empty(),
        _ => false,
    }
}

/// URL by which a caller reaches the gateway.
pub(crate) struct Site {
    /// URL without a slash at the end.
    url: String,
    /// True if the operator configured the URL, including any prefix.
    is_configured: bool,
    /// Domain in a form that fits into names.
    publisher: String,
    /// Publisher in reverse order, from the top-level domain on.
    namespace: String,
}

impl Site {
    /// Parses the URL; `None` if it is none. `is_configured` is true if the operator configured it.
    pub(crate) fn new(url: &str, is_configured: bool) -> Option<Self> {
        let (publisher, namespace) = names(&Url::parse(url).ok()?)?;
        let url = url.trim_end_matches('/').to_owned();
        Some(Self { url, is_configured, publisher, namespace })
    }

    /// Returns the catalog of the cards of all upstreams together, and of each of these.
    pub(crate) fn catalog<'a>(&self, upstreams: impl Iterator<Item = &'a ServerName>) -> Value {
        let mut entries = vec![self.entry(OWN_NAME, &format!("/mcp{CARD_SUFFIX}"))];
        entries.extend(upstreams.map(|name| self.entry(name.as_str(), &format!("/{name}/mcp{CARD_SUFFIX}"))));
        json!({ "specVersion": CATALOG_VERSION, "entries": entries })
    }

    /// Returns the URL of a requested path. A configured base has its own prefix.
    fn url(&self, path: &str) -> String {
        let path = if self.is_configured { path.strip_prefix("/mcp-proxy").unwrap_or(path) } else { path };
        format!("{}{path}", self.url)
    }

    fn entry(&self, name: &str, path: &str) -> Value {
        let identifier = format!("urn:air:{}:{name}", self.publisher);
        json!({ "identifier": identifier, "displayName": name, "type": CARD_TYPE, "url": self.url(path) })
    }

    /// Returns the card of all upstreams together, which names none of them.
    pub(crate) fn card_of_all(&self, endpoint: &str, eras: Eras, needs_token: bool) -> Value {
        json!({
            "$schema": SCHEMA,
            "name": format!("{}/{OWN_NAME}", self.namespace),
            "version": env!("CARGO_PKG_VERSION"),
            "description": "MCP gateway: the tools, prompts and resources of several MCP servers at one address",
            "title": OWN_NAME,
            "remotes": self.remotes(endpoint, versions(eras == Eras::Both), needs_token),
        })
    }

    /// Returns the card of one upstream.
    pub(crate) fn card_of(&self, upstream: &Upstream, endpoint: &str, needs_token: bool) -> Value {
        let definition = upstream.definition();
        let name = definition.name.as_str();
        let session = upstream.observed().borrow().session.clone();
        let says = |member: &str| {
            let server = server_of(session.as_ref()?.handshake().body())?;
            Some(server.text(member)?.trim().to_owned()).filter(|text| !text.is_empty())
        };
        let description = definition.description.clone().filter(|text| !text.trim().is_empty());
        let description = description.or_else(|| says("description")).unwrap_or_else(|| format!("MCP server {name}"));
        let version = says("version").filter(|version| version.len() <= MAX_VERSION);
        json!({
            "$schema": SCHEMA,
            "name": format!("{}/{name}", self.namespace),
            "version": version.unwrap_or_else(|| "unknown".to_owned()),
            "description": shortened(&description),
            "title": shortened(&says("title").unwrap_or_else(|| name.to_owned())),
            "remotes": self.remotes(endpoint, versions(definition.eras == Eras::Both), needs_token),
        })
    }

    /// Returns the ways to connect: the endpoint itself, and its form with a separate event stream.
    fn remotes(&self, endpoint: &str, spoken: Vec<&str>, needs_token: bool) -> Value {
        let streams = endpoint.rsplit_once('/').map(|(parent, _)| format!("{parent}/sse")).unwrap_or_default();
        let both = [("streamable-http", endpoint, spoken), ("sse", streams.as_str(), versions(false))];
        let remote = |(kind, path, spoken): (&str, &str, Vec<&str>)| {
            let url = self.url(path);
            if !needs_token {
                return json!({ "type": kind, "url": url, "supportedProtocolVersions": spoken });
            }
            let header = json!({ "name": "authorization", "isRequired": true, "isSecret": true,
                "description": "Bearer TOKEN, with a token of the gateway or of the server" });
            json!({ "type": kind, "url": url, "supportedProtocolVersions": spoken, "headers": [header] })
        };
        both.into_iter().map(remote).collect()
    }
}

/// Returns the publisher and the namespace for the host of a URL. IP addresses are not reversed.
fn names(url: &Url) -> Option<(String, String)> {
    let (publisher, namespace) = match url.host()? {
        Host::Domain(domain) => {
            let domain = domain.trim_end_matches('.').to_ascii_lowercase();
            let reversed: Vec<&str> = domain.rsplit('.').collect();
            (domain.clone(), reversed.join("."))
        }
        Host::Ipv4(address) => (address.to_string(), address.to_string()),
        Host::Ipv6(address) => {
            let plain = address.to_string().replace(':', "-");
            (plain.clone(), plain)
        }
    };
    let is_plain =
        |name: &str| name.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-'));
    let fits = (1..=MAX_PUBLISHER).contains(&publisher.len()) && is_plain(&publisher);
    Some(if fits { (publisher, namespace) } else { (OWN_NAME.to_owned(), OWN_NAME.to_owned()) })
}

/// Returns a text as one line of at most `MAX_TEXT` characters.
fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_TEXT - 1) {
        Some((end, _)) if line.chars().count() > MAX_TEXT => format!("{}…", line.get(..end).unwrap_or_default()),
        Some(_) | None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_gives_the_names_of_its_cards() {
        let check = |url: &str, publisher: &str, namespace: &str| {
            let found = names(&Url::parse(url).expect("a URL")).expect("names");
            assert_eq!((found.0.as_str(), found.1.as_str()), (publisher, namespace), "{url}");
        };
        check("https://MCP.example.com:8443/gw", "mcp.example.com", "com.example.mcp");
        check("http://localhost:6001", "localhost", "localhost");
        check("http://127.0.0.1:6001", "127.0.0.1", "127.0.0.1");
        check("http://[::1]:6001", "--1", "--1");
        check("http://a_b:6001", "mcp-proxy", "mcp-proxy");
    }

    #[test]
    fn texts_are_as_long_as_a_card_may_have_them() {
        assert_eq!(shortened(" a\n b "), "a b");
        assert_eq!(shortened(&"ü".repeat(100)), "ü".repeat(100));
        assert_eq!(shortened(&"ü".repeat(101)), format!("{}…", "ü".repeat(99)));
    }

    #[test]
    fn only_endpoints_have_cards() {
        for path in [
            CATALOG_PATH,
            "/mcp/server-card",
            "/time/mcp/server-card",
            "/time/stream/server-card",
            "/mcp-proxy/mcp/server-card",
            "/mcp-proxy/time/stream/server-card",
        ] {
            assert!(is_document(path), "{path}");
        }
        for path in [
            "/server-card",
            "/mcp",
            "/sse/server-card",
            "/time/sse/server-card",
            "/time/mcp/extra/server-card",
            "//mcp/server-card",
            "/mcp/server-card/",
            "/time/stream/server-card/x",
            "/.well-known/ai-catalog.json/server-card",
            "/mcp-proxy/server-card",
            "/admin/mcps/server-card",
        ] {
            assert!(!is_document(path), "{path}");
        }
    }
}
