//! Cookie jar of one session with an upstream (RFC 6265), for load balancers that pin a session to a node by a cookie.
//!
//! A jar belongs to one origin, so cookies are never sent to another host: `Domain` only decides whether one is accepted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use crate::sync::lock;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use url::Url;

/// Maximum number of cookies of one session; a further one replaces the oldest.
const MAX_COOKIES: usize = 50;
/// Maximum length of a name and value together, in bytes.
const MAX_BYTES: usize = 4 * 1024;

/// The cookies of one session.
#[derive(Default)]
pub(super) struct Jar {
    is_used: AtomicBool,
    cookies: Mutex<Vec<Cookie>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Cookie {
    name: String,
    value: String,
    path: String,
    /// True if the cookie is sent only over TLS, or to this machine.
    is_secure: bool,
    /// `None` for a session cookie.
    expires: Option<Timestamp>,
}

impl Jar {
    /// Creates a jar with the cookies of a definition's `Cookie` header.
    pub(super) fn new(declared: &str) -> Self {
        let jar = Self::default();
        for pair in declared.split(';').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or(("", pair));
            let (name, value) = (name.to_owned(), value.to_owned());
            jar.put(Cookie { name, value, path: "/".to_owned(), is_secure: false, expires: None });
        }
        jar
    }

    /// True if the jar never held a cookie. Takes no lock, because every request asks.
    pub(super) fn is_empty(&self) -> bool {
        !self.is_used.load(Ordering::Relaxed)
    }

    /// Stores the `Set-Cookie` fields of a response from this URL.
    pub(super) fn store<'a>(&self, fields: impl Iterator<Item = &'a [u8]>, url: &Url, now: Timestamp) {
        for field in fields {
            let Some(cookie) = std::str::from_utf8(field).ok().and_then(|text| Cookie::read(text, url)) else {
                continue;
            };
            let is_over = cookie.has_expired(now);
            self.cookies().retain(|known| !known.is_replaced_by(&cookie));
            if !is_over && (!cookie.is_secure || is_private(url)) {
                self.put(cookie);
            }
        }
    }

    /// Builds the value of the `Cookie` field for a request to this URL.
    pub(super) fn header(&self, url: &Url, now: Timestamp) -> Option<String> {
        let mut cookies = self.cookies();
        cookies.retain(|cookie| !cookie.has_expired(now));
        let sent = |cookie: &&Cookie| cookie.matches(url.path()) && (!cookie.is_secure || is_private(url));
        let mut chosen: Vec<&Cookie> = cookies.iter().filter(sent).collect();
        // Longest path first, then oldest first (RFC 6265, 5.4).
        chosen.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pair = |cookie: &&Cookie| match cookie.name.as_str() {
            "" => cookie.value.clone(),
            name => format!("{name}={}", cookie.value),
        };
        let pairs: Vec<String> = chosen.iter().map(pair).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    fn put(&self, cookie: Cookie) {
        let mut cookies = self.cookies();
        if cookies.len() >= MAX_COOKIES {
            cookies.remove(0);
        }
        cookies.push(cookie);
        self.is_used.store(true, Ordering::Relaxed);
    }

    fn cookies(&self) -> MutexGuard<'_, Vec<Cookie>> {
        lock(&self.cookies)
    }
}

impl Cookie {
    /// Reads a `Set-Cookie` field; `None` if the cookie is not acceptable.
    fn read(text: &str, url: &Url) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (name, value) = parts.next()?.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        let is_plain = |text: &str| text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if name.is_empty() || name.len() + value.len() > MAX_BYTES || !is_plain(name) || !is_plain(value) {
            return None;
        }
        let mut cookie = Self {
            name: name.to_owned(),
            value: value.to_owned(),
            path: default_path(url),
            is_secure: false,
            expires: None,
        };
        let mut max_age = None;
        for part in parts {
            let (attribute, value) = part.split_once('=').unwrap_or((part, ""));
            let (attribute, value) = (attribute.trim().to_ascii_lowercase(), value.trim());
            match attribute.as_str() {
                "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
                "path" => cookie.path = default_path(url),
                "secure" => cookie.is_secure = true,
                "expires" => cookie.expires = date(value).or(cookie.expires),
                "max-age" => max_age = value.parse::<i64>().ok().or(max_age),
                "domain" if !value.is_empty() && !covers(value, url) => return None,
                _ => {}
            }
        }
        if let Some(seconds) = max_age {
            let end = Timestamp::now().as_second().saturating_add(seconds);
            // A timestamp beyond the type's range means that the cookie never expires.
            cookie.expires = if seconds <= 0 { Some(Timestamp::MIN) } else { Timestamp::from_second(end).ok() };
        }
        Some(cookie)
    }

    fn has_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    fn is_replaced_by(&self, other: &Self) -> bool {
        self.name == other.name && self.path == other.path
    }

    /// True if a request to this path carries the cookie (RFC 6265, 5.1.4).
    fn matches(&self, path: &str) -> bool {
        path.strip_prefix(self.path.as_str())
            .is_some_and(|rest| rest.is_empty() || self.path.ends_with('/') || rest.starts_with('/'))
    }
}

/// The default path of a cookie: the URL's path up to its last slash (RFC 6265, 5.1.4).
fn default_path(url: &Url) -> String {
    match url.path().rsplit_once('/') {
        Some((folder, _)) if !folder.is_empty() => folder.to_owned(),
        _ => "/".to_owned(),
    }
}

/// True if the URL's host belongs to a cookie's domain.
fn covers(domain: &str, url: &Url) -> bool {
    let domain = domain.trim_start_matches('.').to_ascii_lowercase();
    let Some(host) = url.host_str() else { return false };
    host == domain || (url.domain().is_some() && host.strip_suffix(&domain).is_some_and(|rest| rest.ends_with('.')))
}

/// True if requests to this URL are encrypted or stay on this machine.
fn is_private(url: &Url) -> bool {
    match url.host() {
        _ if url.scheme() == "https" => true,
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

/// Reads a date as in e-mail headers, also in the form with dashes of old servers.
fn date(text: &str) -> Option<Timestamp> {
    let text = text.replace('-', " ");
    let zoned = rfc2822::DateTimeParser::new().relaxed_weekday(true).parse_timestamp(&text);
    zoned.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn url(text: &str) -> Url {
        text.parse().expect("a URL")
    }

    /// Checks the cookies sent to `to` after responses from `from` have set these.
    fn check(from: &str, set: &[&str], to: &str, expected: &str) {
        let jar = Jar::default();
        jar.store(set.iter().map(|text| text.as_bytes()), &url(from), NOW);
        assert_eq!(jar.header(&url(to), NOW).unwrap_or_default(), expected, "{set:?} from {from} to {to}");
    }

    #[test]
    fn a_cookie_comes_back_as_it_was_set() {
        let from = "https://x.example/a/mcp";
        check(from, &["ALB=n0; Path=/; HttpOnly"], from, "ALB=n0");
        check(from, &["a=\"1 2\"; SameSite=None; Partitioned; odd=1;"], from, "a=\"1 2\"");
        check(from, &["a=1==; path=/", "b=; Path=/"], from, "a=1==; b=");
        check(from, &["a=1", "a=2"], from, "a=2");
        check(from, &["", "a", "=1", "a=\u{1}", "é=1", ";", "a=1; Domain=other.example"], from, "");
        check(from, &[&format!("a={}", "x".repeat(MAX_BYTES))], from, "");
    }

    #[test]
    fn a_cookie_goes_only_where_its_path_leads() {
        let from = "https://x.example/a/mcp";
        for (to, expected) in [("/a/mcp", "c=1"), ("/a", "c=1"), ("/a/", "c=1"), ("/ab", ""), ("/", ""), ("/b/mcp", "")]
        {
            check(from, &["c=1"], &format!("https://x.example{to}"), expected);
            check(from, &["c=1; Path=/a"], &format!("https://x.example{to}"), expected);
        }
        check(from, &["c=1; Path=/", "d=2; Path=/a", "e=3; Path=/a/"], from, "e=3; d=2; c=1");
        check("https://x.example/mcp", &["c=1; Path=relative"], "https://x.example/", "c=1");
    }

    #[test]
    fn a_cookie_is_forgotten_when_it_expires_or_is_deleted() {
        let from = "https://x.example/mcp";
        check(from, &["a=1; Expires=Wed, 21 Oct 2099 07:28:00 GMT"], from, "a=1");
        check(from, &["a=1; expires=Wed, 21-Oct-2099 07:28:00 GMT"], from, "a=1");
        check(from, &["a=1", "a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT"], from, "");
        check(from, &["a=1", "a=gone; Max-Age=0"], from, "");
        check(from, &["a=1; Max-Age=-1"], from, "");
        check(from, &["a=1; Max-Age=99999999999999; Expires=Thu, 01 Jan 1970 00:00:00 GMT"], from, "a=1");
        check(from, &["a=1; Expires=some day"], from, "a=1");
        let jar = Jar::default();
        jar.store([b"a=1; Max-Age=60".as_slice()].into_iter(), &url(from), Timestamp::now());
        assert!(jar.header(&url(from), Timestamp::now()).is_some());
        let later = Timestamp::from_second(Timestamp::now().as_second() + 61).expect("a time");
        assert_eq!(jar.header(&url(from), later), None);
    }

    #[test]
    fn a_secure_cookie_is_not_sent_in_the_clear() {
        check("https://x.example/", &["a=1; Secure"], "http://x.example/", "");
        check("https://x.example/", &["a=1; Secure; Domain=.Example"], "https://x.example/", "a=1");
        check("http://x.example/", &["a=1; secure"], "https://x.example/", "");
        check("http://127.0.0.1:1/", &["a=1; Secure"], "http://127.0.0.1:1/", "a=1");
    }

    #[test]
    fn declared_cookies_are_sent_until_the_upstream_replaces_them() {
        let jar = Jar::new("a=1; b=2; bare");
        assert!(!jar.is_empty() && Jar::new("").is_empty());
        let to = url("https://x.example/mcp");
        assert_eq!(jar.header(&to, NOW).as_deref(), Some("a=1; b=2; bare"));
        jar.store([b"b=3; Path=/".as_slice()].into_iter(), &to, NOW);
        assert_eq!(jar.header(&to, NOW).as_deref(), Some("a=1; bare; b=3"));
    }

    #[test]
    fn a_jar_holds_no_more_than_it_may() {
        let jar = Jar::default();
        let many: Vec<String> = (0..MAX_COOKIES + 5).map(|number| format!("c{number}=1")).collect();
        jar.store(many.iter().map(|text| text.as_bytes()), &url("https://x.example/"), NOW);
        let sent = jar.header(&url("https://x.example/"), NOW).expect("cookies");
        assert_eq!(sent.split("; ").count(), MAX_COOKIES);
        assert!(sent.starts_with("c5=1; "), "{sent}");
    }
}
