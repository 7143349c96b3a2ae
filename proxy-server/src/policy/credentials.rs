//! Facts about a request that identify its sender.

use std::borrow::Cow;
use std::net::SocketAddr;

use url::form_urlencoded;

use crate::http::server::Peer;
use crate::policy::oauth::Verdict;

/// The properties of a request that identify its sender.
#[derive(Debug, Clone)]
pub(crate) struct Credentials<'a> {
    /// Both ends of the connection.
    pub(crate) from: Peer,
    /// The value of `Host`.
    pub(crate) host: Option<&'a [u8]>,
    /// True if a header or the HTTP version shows that the peer is a proxy.
    pub(crate) is_forwarded: bool,
    /// The values of `X-Forwarded-For`, unparsed and in order.
    pub(crate) forwarded_for: Vec<&'a [u8]>,
    /// The value of `Authorization`, or that of `X-Api-Key` as a bearer token.
    pub(crate) authorization: Option<Cow<'a, str>>,
    /// The query of the request's URL.
    pub(crate) query: Option<&'a str>,
    /// Path of the request's URL.
    pub(crate) path: &'a str,
    /// Outcome of the verification of the token, where an authorization server issues tokens.
    pub(crate) verdict: Option<Verdict>,
}

impl Credentials<'_> {
    /// Returns those of a request without any field, path and query.
    pub(crate) fn of_peer(peer: SocketAddr, local: SocketAddr) -> Self {
        Self {
            from: Peer { peer, local, certificate: None, process: None },
            host: None,
            is_forwarded: false,
            forwarded_for: Vec::new(),
            authorization: None,
            query: None,
            path: "",
            verdict: None,
        }
    }
}

/// A parameter of a query with a token.
#[derive(Debug, Clone, Copy)]
pub(super) struct QueryToken<'a>(&'a str);

impl<'a> QueryToken<'a> {
    /// Finds the first `key` or `token` with a value.
    pub(super) fn find(query: &'a str) -> Option<Self> {
        query.split('&').map(Self).find(|pair| !pair.text().is_empty())
    }

    /// Returns the parameter as it was sent.
    pub(super) fn as_sent(self) -> &'a str {
        self.0
    }

    /// Returns the token; empty if this is another parameter.
    pub(super) fn text(self) -> Cow<'a, str> {
        let pair = form_urlencoded::parse(self.0.as_bytes()).next();
        pair.filter(|(name, _)| matches!(&**name, "key" | "token")).map(|(_, token)| token).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::QueryToken;

    fn check(query: &str, expected: Option<(&str, &str)>) {
        let found = QueryToken::find(query);
        let found = found.map(|token| (token.as_sent(), token.text().into_owned()));
        assert_eq!(found, expected.map(|(sent, text)| (sent, text.to_owned())), "{query}");
    }

    #[test]
    fn a_token_is_the_value_of_key_or_token() {
        check("", None);
        check("key=", None);
        check("Key=a&tokens=b&sessionId=key", None);
        check("key=a", Some(("key=a", "a")));
        check("sessionId=1&token=a%2Bb%20c&key=d", Some(("token=a%2Bb%20c", "a+b c")));
        check("key&key=a=b", Some(("key=a=b", "a=b")));
    }
}
