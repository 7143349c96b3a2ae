//! Authenticates callers by token and address.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use schemas::{Definition, Secret};
use subtle::ConstantTimeEq;

use crate::policy::access_tokens::issued_digest;
use crate::policy::client_addr::client_address;
use crate::policy::credentials::{Credentials, QueryToken};
use crate::policy::denied::Denied;
use crate::policy::oauth::{Endpoint, Places, Verdict};
use crate::policy::{Config, Policy};
use crate::registry::{TokenDigest, TokenId};
use crate::telemetry::Actor;

/// The identity of a caller of an upstream's endpoints, as its token shows. A session belongs to one principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Principal {
    /// No token is required.
    Anonymous,
    /// The holder of the global token with this index.
    Global(usize),
    /// The holder of the definition's own token with this index: one caller only together with the upstream.
    Own(usize),
    /// The holder of some definitions' own token, at the endpoint of all upstreams; a keyed digest of the token.
    Holder(u64),
    /// The subject of an access token; a keyed digest of issuer, subject and client.
    Subject(u64),
    /// The holder of a client certificate; a digest of the certificate.
    Certificate(u64),
    /// The holder of an access token.
    Token(TokenId),
}

impl Principal {
    /// Returns the kind of the principal, for metrics.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::Global(_) => "global_token",
            Self::Own(_) | Self::Holder(_) => "server_token",
            Self::Subject(_) => "oauth",
            Self::Certificate(_) => "certificate",
            Self::Token(_) => "access_token",
        }
    }
}

impl fmt::Display for Principal {
    /// Writes the name by which logs tell principals apart.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => out.write_str("anonymous"),
            Self::Global(index) => write!(out, "global {index}"),
            Self::Own(index) => write!(out, "own {index}"),
            Self::Holder(digest) => write!(out, "holder {digest}"),
            Self::Subject(digest) => write!(out, "subject {digest}"),
            Self::Certificate(digest) => write!(out, "certificate {digest}"),
            Self::Token(id) => write!(out, "token {}", id.name),
        }
    }
}

/// The properties of a sender that later decisions need, without the request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    address: Option<IpAddr>,
    authorization: Option<Secret>,
    grant: Option<Grant>,
    certificate: Option<u64>,
    issued: Option<TokenDigest>,
}

/// A verified access token, and the endpoints that it is for.
#[derive(Debug, Clone)]
struct Grant {
    verdict: Verdict,
    places: Places,
}

/// Facts by which a caller is judged.
#[derive(Clone, Copy)]
struct Shown<'a> {
    address: Option<IpAddr>,
    authorization: Option<&'a str>,
    grant: Option<&'a Grant>,
    certificate: Option<u64>,
    /// Digest of the token, if a gateway may have issued it.
    issued: Option<TokenDigest>,
}

impl Caller {
    /// Returns the digest of the token, if a gateway may have issued it.
    pub(super) fn issued(&self) -> Option<TokenDigest> {
        self.issued
    }

    fn shown(&self) -> Shown<'_> {
        Shown {
            address: self.address,
            authorization: self.authorization.as_ref().map(Secret::expose),
            grant: self.grant.as_ref(),
            certificate: self.certificate,
            issued: self.issued,
        }
    }
}

impl Policy {
    /// Decides whether a caller may use the endpoints of this upstream.
    pub(crate) fn client(&self, credentials: &Credentials<'_>, definition: &Definition) -> Result<Principal, Denied> {
        let (authorization, grant) = (self.authorization(credentials), self.grant(credentials));
        let shown = Shown {
            address: self.address(credentials),
            authorization: authorization.as_deref(),
            grant: grant.as_ref(),
            certificate: credentials.from.certificate,
            issued: authorization.as_deref().and_then(bearer).and_then(issued_digest),
        };
        self.noted(self.decide(shown, Endpoint::One(definition.name.as_str()), definition))
    }

    /// Notes the use of an access token.
    fn noted(&self, decided: Result<Principal, Denied>) -> Result<Principal, Denied> {
        if let Ok(Principal::Token(id)) = decided {
            self.access_tokens.note_use(id.name);
        }
        decided
    }

    /// Extracts the properties of a caller for later decisions.
    pub(crate) fn caller(&self, credentials: &Credentials<'_>) -> Caller {
        let authorization = self.authorization(credentials);
        Caller {
            address: self.address(credentials),
            issued: authorization.as_deref().and_then(bearer).and_then(issued_digest),
            authorization: authorization.as_deref().map(Into::into),
            grant: self.grant(credentials),
            certificate: credentials.from.certificate,
        }
    }

    /// True if a caller of the endpoint of all upstreams may use this one.
    pub(crate) fn reaches(&self, caller: &Caller, definition: &Definition) -> bool {
        self.of_one(caller, definition).is_ok()
    }

    /// Decides whether a caller may use the endpoint of all upstreams: it must be allowed to use at least one of them.
    /// If there are none, it needs a global token, unless none is configured.
    pub(crate) fn client_of_all<'a>(
        &self,
        caller: &Caller,
        definitions: impl Iterator<Item = &'a Definition>,
    ) -> Result<Principal, Denied> {
        self.noted(self.decide_for_all(caller, definitions))
    }

    fn decide_for_all<'a>(
        &self,
        caller: &Caller,
        definitions: impl Iterator<Item = &'a Definition>,
    ) -> Result<Principal, Denied> {
        // An access token identifies its holder independently of the registrations, so that a session goes on.
        let holder = caller.issued.map(|digest| self.access_tokens.caller(&digest, None).map(Principal::Token));
        let (mut open, mut denied) = (None, None);
        for definition in definitions {
            match self.of_one(caller, definition) {
                Ok(Principal::Anonymous) => open = Some(Principal::Anonymous),
                // A caller with a token is identified by it also at upstreams that require none.
                Ok(Principal::Own(_)) => return Ok(self.holder(caller)),
                Ok(
                    known @ (Principal::Global(_)
                    | Principal::Holder(_)
                    | Principal::Subject(_)
                    | Principal::Certificate(_)
                    | Principal::Token(_)),
                ) => return Ok(known),
                // A refusal that a token would change says more than one of an upstream's own rules.
                Err(why) if denied.is_none() || !is_own_rule(why) => denied = Some(why),
                Err(_) => {}
            }
        }
        match (open, denied) {
            (Some(open), _) => Ok(holder.and_then(Result::ok).unwrap_or(open)),
            (None, None) if !self.asks_for_identity() => {
                Ok(holder.and_then(Result::ok).unwrap_or(Principal::Anonymous))
            }
            // Whoever may use the endpoint finds it without upstreams, instead of a request for the scopes of one of them.
            (None, Some(Denied::Scope | Denied::Address | Denied::Server))
                if self.oauth.is_some() || caller.issued.is_some() =>
            {
                self.holder_of(caller.shown(), &[], (Endpoint::All, None))
            }
            (None, Some(why)) => Err(why),
            (None, None) => self.holder_of(caller.shown(), &[], (Endpoint::All, None)),
        }
    }

    /// True if the endpoints of this upstream ask for a token.
    pub(crate) fn needs_token(&self, definition: &Definition) -> bool {
        let access = &definition.access;
        let has_own = !access.auth_tokens.is_empty() || access.require_auth || !access.required_scopes.is_empty();
        has_own || self.asks_for_identity()
    }

    /// True if the endpoint of all upstreams asks for a token: if each of them does.
    pub(crate) fn needs_token_for_all<'a>(&self, definitions: impl Iterator<Item = &'a Definition>) -> bool {
        let mut definitions = definitions.peekable();
        let are_locked = definitions.peek().is_some() && definitions.all(|definition| self.needs_token(definition));
        self.asks_for_identity() || are_locked
    }

    fn of_one(&self, caller: &Caller, definition: &Definition) -> Result<Principal, Denied> {
        self.decide(caller.shown(), Endpoint::All, definition)
    }

    /// Names a principal in a way that another process with the same keys understands: by a digest of its token, because
    /// tokens may be in another order there. `definition` is that of the upstream whose endpoint it uses.
    pub(crate) fn lasting_name(&self, principal: Principal, definition: Option<&Definition>) -> String {
        let own = definition.map(|definition| definition.access.auth_tokens.as_slice()).unwrap_or_default();
        let named = |kind: &str, token: Option<&Secret>| {
            format!("{kind} {:016x}", self.digest_key.digest(token.map(Secret::expose).unwrap_or_default()))
        };
        match principal {
            Principal::Anonymous => "anonymous".to_owned(),
            Principal::Global(index) => named("global", self.config.global_tokens.get(index)),
            Principal::Own(index) => named("own", own.get(index)),
            Principal::Holder(digest) => format!("holder {digest:016x}"),
            Principal::Subject(digest) => format!("subject {digest:016x}"),
            Principal::Certificate(digest) => format!("certificate {digest:016x}"),
            Principal::Token(TokenId { name, epoch }) => format!("token {name} {}", epoch.get()),
        }
    }

    fn holder(&self, caller: &Caller) -> Principal {
        let token = caller.authorization.as_ref().and_then(|authorization| bearer(authorization.expose()));
        Principal::Holder(self.digest_key.digest(token.unwrap_or_default()))
    }

    fn decide(&self, shown: Shown<'_>, endpoint: Endpoint<'_>, definition: &Definition) -> Result<Principal, Denied> {
        let allowed = shown.address.map(|address| definition.allows(address));
        if !allowed.unwrap_or(definition.access.allowed_ips.is_empty()) {
            return Err(Denied::Address);
        }
        let own = &definition.access.auth_tokens;
        if !self.asks_for_identity() && own.is_empty() {
            // Scopes that nobody can have are not the same as none.
            let is_closed = definition.access.require_auth || !definition.access.required_scopes.is_empty();
            let issued =
                shown.issued.map(|digest| self.access_tokens.caller(&digest, Some(definition)).map(Principal::Token));
            return match (issued, is_closed) {
                (Some(Ok(holder)), _) => Ok(holder),
                (Some(Err(why)), true) => Err(why),
                (None, true) => Err(Denied::NoToken),
                (_, false) => Ok(Principal::Anonymous),
            };
        }
        self.holder_of(shown, own, (endpoint, Some(definition)))
    }

    fn holder_of(
        &self,
        shown: Shown<'_>,
        own: &[Secret],
        (endpoint, definition): (Endpoint<'_>, Option<&Definition>),
    ) -> Result<Principal, Denied> {
        // A token says more than the connection does, so it counts first.
        let authorization = match (shown.authorization, shown.certificate) {
            (Some(authorization), _) => authorization,
            (None, Some(certificate)) if !self.asks_for_scopes(definition) => {
                return Ok(Principal::Certificate(certificate));
            }
            (None, Some(_)) => return Err(Denied::NoToken),
            (None, None) => return Err(Denied::NoToken),
        };
        let global = &self.config.global_tokens;
        let token = bearer(authorization).ok_or(Denied::NoBearer)?;
        let principal = find(global, token).map(Principal::Global).or_else(|| find(own, token).map(Principal::Own));
        if let (None, Some(digest)) = (principal, shown.issued) {
            return self.access_tokens.caller(&digest, definition).map(Principal::Token);
        }
        match (principal, &self.oauth, shown.grant) {
            (Some(principal), _, _) => Ok(principal),
            (None, Some(oauth), Some(Grant { verdict, places })) => {
                oauth.decide(verdict, places, endpoint, definition).map(Principal::Subject)
            }
            (None, _, _) => Err(Denied::WrongToken),
        }
    }

    /// True if every endpoint asks who the caller is.
    fn asks_for_identity(&self) -> bool {
        let Config { require_auth, client_certificates, .. } = *self.config;
        require_auth || client_certificates || !self.config.global_tokens.is_empty() || self.oauth.is_some()
    }

    /// True if a caller needs scopes, which a certificate does not have.
    fn asks_for_scopes(&self, definition: Option<&Definition>) -> bool {
        self.oauth.is_some() || definition.is_some_and(|definition| !definition.access.required_scopes.is_empty())
    }

    fn grant(&self, credentials: &Credentials<'_>) -> Option<Grant> {
        let (oauth, verdict) = self.oauth.as_ref().zip(credentials.verdict.clone())?;
        let places = oauth.places(&verdict, credentials.host, credentials.from.local.port());
        Some(Grant { verdict, places })
    }

    /// Completes credentials from what is known about their token. Returns the token if it has to be verified first: not one
    /// of the gateway's own, nor one of these definitions.
    pub(crate) fn recall<'d>(
        &self,
        credentials: &mut Credentials<'_>,
        definitions: impl FnOnce() -> Vec<&'d Definition>,
    ) -> Option<String> {
        let oauth = self.oauth.as_ref()?;
        let authorization = self.authorization(credentials)?.into_owned();
        let token = bearer(&authorization).filter(|token| issued_digest(token).is_none())?;
        credentials.verdict = oauth.recall(token);
        let is_own = |tokens: &[Secret]| find(tokens, token).is_some();
        let is_known = credentials.verdict.is_some()
            || is_own(&self.config.global_tokens)
            || is_own(&self.config.admin_tokens)
            || definitions().iter().any(|definition| is_own(&definition.access.auth_tokens));
        (!is_known).then(|| token.to_owned())
    }

    /// Names a client for audit records: by its address, and its access token if it has one.
    fn client_actor(&self, credentials: &Credentials<'_>) -> Actor {
        let authorization = self.authorization(credentials);
        let digest = authorization.as_deref().and_then(bearer).and_then(issued_digest);
        let name = digest.and_then(|digest| self.access_tokens.name(&digest));
        Actor::Client { principal: name.map(|name| format!("token {name}")), address: self.address(credentials) }
    }

    /// Counts and records a refusal. Returns the value of `WWW-Authenticate` for the caller.
    pub(crate) fn refuse(
        &self,
        denied: Denied,
        credentials: &Credentials<'_>,
        definition: Option<&Definition>,
    ) -> Option<String> {
        self.note_denied(denied, || (self.client_actor(credentials), credentials.path.to_owned()));
        let place = (credentials.host, credentials.from.local.port(), credentials.path);
        match (&self.oauth, denied) {
            (Some(oauth), _) => oauth.challenge(denied, credentials.verdict.as_ref(), place, definition),
            (None, Denied::NoToken | Denied::NoBearer | Denied::WrongToken) => Some("Bearer".to_owned()),
            (None, _) => None,
        }
    }

    /// Returns what a caller shows to identify itself: a header, else a parameter of the query where that is accepted.
    pub(super) fn authorization<'c>(&self, credentials: &'c Credentials<'_>) -> Option<Cow<'c, str>> {
        let header = credentials.authorization.as_deref().map(Cow::from);
        header.or_else(|| Some(format!("Bearer {}", self.query_token(credentials)?.text()).into()))
    }

    /// Returns the parameter of the query that identifies a caller, as it was sent; `None` if a header does, or nothing.
    pub(crate) fn query_credential<'c>(&self, credentials: &Credentials<'c>) -> Option<&'c str> {
        self.query_token(credentials).filter(|_| credentials.authorization.is_none()).map(QueryToken::as_sent)
    }

    fn query_token<'c>(&self, credentials: &Credentials<'c>) -> Option<QueryToken<'c>> {
        credentials.query.filter(|_| self.config.query_tokens).and_then(QueryToken::find)
    }

    /// Returns the caller's address; `None` if a proxy forwards the request and no trusted proxy names the client.
    pub(super) fn address(&self, credentials: &Credentials<'_>) -> Option<IpAddr> {
        client_address(credentials, &self.config.trusted_proxies)
    }
}

/// True for a refusal by a rule of one upstream.
fn is_own_rule(denied: Denied) -> bool {
    matches!(denied, Denied::Scope | Denied::Address | Denied::Server)
}

pub(super) fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Compares every token in constant time, so that the duration reveals nothing about a guess.
pub(super) fn find(tokens: &[Secret], given: &str) -> Option<usize> {
    let mut found = None;
    for (index, token) in tokens.iter().enumerate() {
        if bool::from(token.expose().as_bytes().ct_eq(given.as_bytes())) {
            found = Some(index);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use schemas::admin::Right;
    use serde_json::json;

    use super::*;
    use crate::keys::Keys;
    use crate::live::Live;
    use crate::policy::denied::Elsewhere;
    use crate::policy::{AccessTokens, AdminPrincipal};
    use crate::telemetry::Audit;

    fn of_all(policy: &Policy, authorization: Option<&str>, more: &[serde_json::Value]) -> Result<Principal, Denied> {
        let caller = policy.caller(&credentials("192.0.2.1", authorization));
        let definitions: Vec<Definition> = more.iter().map(definition).collect();
        policy.client_of_all(&caller, definitions.iter())
    }

    #[test]
    fn the_endpoint_of_all_upstreams_is_for_whoever_may_use_one() {
        let (plain, own) = (json!({}), json!({ "authTokens": ["o"] }));
        let (locked, elsewhere) = (json!({ "requireAuth": true }), json!({ "allowedIPs": ["10.0.0.0/8"] }));
        let open = policy(Config::default());
        assert_eq!(of_all(&open, None, &[]), Ok(Principal::Anonymous));
        assert_eq!(of_all(&open, None, &[locked.clone(), plain.clone()]), Ok(Principal::Anonymous));
        assert_eq!(of_all(&open, None, &[locked]), Err(Denied::NoToken));
        assert_eq!(of_all(&open, None, &[elsewhere]), Err(Denied::Address));
        assert_eq!(of_all(&open, Some("Bearer x"), std::slice::from_ref(&own)), Err(Denied::WrongToken));
        let holder = of_all(&open, Some("Bearer o"), &[plain.clone(), own.clone()]);
        assert!(matches!(holder, Ok(Principal::Holder(_))));
        assert_eq!(holder, of_all(&open, Some("bearer o"), &[own.clone(), plain.clone()]), "the same caller");
        let closed = policy(Config { global_tokens: vec!["g".into()], ..Config::default() });
        assert_eq!(of_all(&closed, Some("Bearer g"), &[]), Ok(Principal::Global(0)));
        assert_eq!(of_all(&closed, None, &[]), Err(Denied::NoToken));
        assert_eq!(of_all(&closed, Some("Bearer g"), &[own.clone(), plain.clone()]), Ok(Principal::Global(0)));
        assert!(matches!(of_all(&closed, Some("Bearer o"), &[plain, own]), Ok(Principal::Holder(_))));
    }

    #[test]
    fn gateways_with_equal_keys_identify_the_holder_of_a_token_alike() {
        let own = json!({ "authTokens": ["o", "p"] });
        let holder = |keys: &Keys, authorization| {
            let policy = Policy::of(Live::new(Config::default()), keys.digest.clone());
            of_all(&policy, Some(authorization), std::slice::from_ref(&own)).expect("a principal")
        };
        let (one, other) = (Keys::of(1), Keys::of(2));
        assert_eq!(holder(&one, "Bearer o"), holder(&Keys::of(1), "Bearer o"));
        assert_ne!(holder(&one, "Bearer o"), holder(&one, "Bearer p"));
        assert_ne!(holder(&one, "Bearer o"), holder(&other, "Bearer o"));
    }

    fn credentials<'a>(peer: &str, authorization: Option<&'a str>) -> Credentials<'a> {
        let peer = SocketAddr::new(peer.parse().expect("an address"), 40_000);
        let local = SocketAddr::new(peer.ip(), 6001);
        Credentials { authorization: authorization.map(Into::into), ..Credentials::of_peer(peer, local) }
    }

    fn policy(config: Config) -> Policy {
        Policy::of(Live::new(config), Keys::of(1).digest)
    }

    fn definition(more: &serde_json::Value) -> Definition {
        let mut document = json!({ "name": "a", "transport": "stdio", "command": "x" });
        for (name, value) in more.as_object().expect("members") {
            document[name] = value.clone();
        }
        serde_json::from_value(document).expect("a definition")
    }

    #[test]
    fn an_upstream_accepts_global_and_own_tokens() {
        let policy = policy(Config { global_tokens: vec!["g".into()], ..Config::default() });
        let definition = definition(&json!({ "authTokens": ["o"] }));
        let check = |authorization| policy.client(&credentials("192.0.2.1", authorization), &definition);
        assert_eq!(check(Some("Bearer g")), Ok(Principal::Global(0)));
        assert_eq!(check(Some("bearer o")), Ok(Principal::Own(0)));
        assert_eq!(check(Some("Bearer x")), Err(Denied::WrongToken));
        assert_eq!(check(Some("o")), Err(Denied::NoBearer));
        assert_eq!(check(None), Err(Denied::NoToken));
    }

    #[test]
    fn an_upstream_without_tokens_is_open_unless_it_requires_one() {
        let policy = policy(Config::default());
        let caller = credentials("192.0.2.1", None);
        let scoped = definition(&json!({ "requiredScopes": ["payroll"] }));
        assert_eq!(policy.client(&caller, &scoped), Err(Denied::NoToken), "without an authorization server");
        assert_eq!(policy.client(&caller, &definition(&json!({}))), Ok(Principal::Anonymous));
        assert_eq!(policy.client(&caller, &definition(&json!({ "requireAuth": true }))), Err(Denied::NoToken));
        assert_eq!(policy.client(&caller, &definition(&json!({ "allowedIPs": ["10.0.0.0/8"] }))), Err(Denied::Address));
    }

    #[test]
    fn a_token_in_the_query_counts_where_it_is_accepted_and_no_header_has_one() {
        let tokens = || vec!["t".into()];
        let settings = |query_tokens| Config {
            query_tokens,
            admin_tokens: tokens(),
            global_tokens: tokens(),
            ..Config::default()
        };
        let (open, closed) = (policy(settings(true)), policy(settings(false)));
        let asked = |policy: &Policy, authorization, query| {
            let credentials = Credentials { query: Some(query), ..credentials("192.0.2.1", authorization) };
            let client = policy.client(&credentials, &definition(&json!({})));
            assert_eq!(client.is_ok(), policy.admin(&credentials, Right::Read).is_ok(), "{query}");
            assert_eq!(client, policy.client_of_all(&policy.caller(&credentials), std::iter::empty()), "{query}");
            (client, policy.query_credential(&credentials).map(str::to_owned))
        };
        assert_eq!(asked(&open, None, "key=t"), (Ok(Principal::Global(0)), Some("key=t".to_owned())));
        assert_eq!(asked(&open, None, "token=t"), (Ok(Principal::Global(0)), Some("token=t".to_owned())));
        assert_eq!(asked(&open, None, "key=x"), (Err(Denied::WrongToken), Some("key=x".to_owned())));
        assert_eq!(asked(&open, Some("Bearer x"), "key=t"), (Err(Denied::WrongToken), None));
        assert_eq!(asked(&open, None, "keys=t"), (Err(Denied::NoToken), None));
        assert_eq!(asked(&closed, None, "key=t"), (Err(Denied::NoToken), None));
    }

    #[tokio::test]
    async fn only_a_token_that_may_come_from_the_authorization_server_is_verified_there() {
        let second = std::time::Duration::from_secs(1);
        let limits = crate::http::client::Limits { connect_timeout: second, idle_timeout: second };
        let mark = http::HeaderValue::from_static("mark");
        let dialer = crate::http::client::Dialer::new(limits, crate::http::client::Network::default(), mark);
        let oauth = crate::policy::oauth::Config { issuer: "https://as".to_owned(), ..Default::default() };
        let oauth = crate::policy::oauth::OAuth::new(&oauth, ("http", None), dialer, Keys::of(1).digest);
        let config = Config { global_tokens: vec!["g".into()], admin_tokens: vec!["a".into()], ..Config::default() };
        let policy =
            Policy::new(Live::new(config), Keys::of(1).digest, oauth, (AccessTokens::none(), Audit::default()));
        let own = definition(&json!({ "authTokens": ["o"] }));
        let unverified = |authorization| policy.recall(&mut credentials("192.0.2.1", authorization), || vec![&own]);
        for known in [None, Some("Bearer g"), Some("Bearer a"), Some("bearer o"), Some("Basic eDp5")] {
            assert_eq!(unverified(known), None, "{known:?}");
        }
        assert_eq!(unverified(Some("Bearer t")).as_deref(), Some("t"));
    }

    #[test]
    fn a_certificate_counts_like_a_global_token_but_not_for_scopes() {
        let policy = policy(Config { client_certificates: true, ..Config::default() });
        let with = |certificate, authorization| {
            let mut credentials = credentials("192.0.2.1", authorization);
            credentials.from.certificate = certificate;
            let plain = policy.client(&credentials, &definition(&json!({ "authTokens": ["o"] })));
            let scoped = policy.client(&credentials, &definition(&json!({ "requiredScopes": ["payroll"] })));
            (plain, scoped)
        };
        assert_eq!(with(None, None), (Err(Denied::NoToken), Err(Denied::NoToken)));
        assert_eq!(with(Some(7), None), (Ok(Principal::Certificate(7)), Err(Denied::NoToken)));
        assert_eq!(with(Some(7), Some("Bearer o")).0, Ok(Principal::Own(0)));
        assert_eq!(with(Some(7), Some("Bearer x")).0, Err(Denied::WrongToken));
    }

    #[test]
    fn at_the_endpoint_of_all_a_rule_of_one_upstream_hides_no_request_for_a_token() {
        let policy = policy(Config { global_tokens: vec!["g".into()], ..Config::default() });
        let (elsewhere, plain) = (json!({ "allowedIPs": ["10.0.0.0/8"] }), json!({}));
        for order in [[elsewhere.clone(), plain.clone()], [plain, elsewhere.clone()]] {
            assert_eq!(of_all(&policy, None, &order), Err(Denied::NoToken));
            assert_eq!(of_all(&policy, Some("Bearer g"), &order), Ok(Principal::Global(0)));
        }
        assert_eq!(of_all(&policy, None, &[elsewhere]), Err(Denied::Address));
    }

    #[test]
    fn new_settings_apply_to_the_next_request() {
        let settings = Live::new(Config { admin_tokens: vec!["t".into()], ..Config::default() });
        let policy = Policy::of(settings.clone(), Keys::of(1).digest);
        let check = |token| policy.admin(&credentials("192.0.2.1", Some(token)), Right::Write);
        assert_eq!((check("t"), check("u")), (Ok(AdminPrincipal::Configured(0)), Err(Denied::WrongToken)));
        settings.replace(Config { admin_tokens: vec!["u".into()], ..Config::default() });
        assert_eq!((check("t"), check("u")), (Err(Denied::WrongToken), Ok(AdminPrincipal::Configured(0))));
    }

    #[test]
    fn the_admin_api_takes_a_token_with_or_without_scheme() {
        let policy = policy(Config { admin_tokens: vec!["t".into()], ..Config::default() });
        let check = |authorization| policy.admin(&credentials("192.0.2.1", authorization), Right::Write);
        assert_eq!(check(Some("Bearer t")), Ok(AdminPrincipal::Configured(0)));
        assert_eq!(check(Some("t")), Ok(AdminPrincipal::Configured(0)));
        assert_eq!(check(Some("Bearer tt")), Err(Denied::WrongToken));
        assert_eq!(check(None), Err(Denied::NoToken));
    }

    #[test]
    fn secrets_are_for_who_shows_an_admin_token_and_for_nobody_else() {
        let guarded = policy(Config { admin_tokens: vec!["s".into(), "t".into()], ..Config::default() });
        let check = |policy: &Policy, peer, authorization| policy.revealer(&credentials(peer, authorization));
        assert_eq!(check(&guarded, "192.0.2.1", Some("Bearer t")), Ok(1));
        assert_eq!(check(&guarded, "127.0.0.1", Some("Bearer x")), Err(Denied::WrongToken));
        assert_eq!(check(&guarded, "127.0.0.1", None), Err(Denied::NoToken));
        let insecure = policy(Config { allow_insecure_admin: true, ..Config::default() });
        for open in [insecure, policy(Config::default())] {
            assert_eq!(check(&open, "127.0.0.1", Some("Bearer t")), Err(Denied::MayNotReveal));
        }
    }

    #[test]
    fn without_tokens_the_caller_must_be_proved_to_be_on_this_machine() {
        let stranger = credentials("192.0.2.1", None);
        let refusal = Err(Denied::MayNotStart(Elsewhere::Peer));
        assert_eq!(policy(Config::default()).starter(&stranger).may_start(), refusal);
        let insecure = policy(Config { allow_insecure_admin: true, ..Config::default() });
        assert_eq!(insecure.starter(&stranger).may_start(), Ok(()));
        let guarded = policy(Config { admin_tokens: vec!["t".into()], ..Config::default() });
        assert_eq!(guarded.starter(&stranger).may_start(), Ok(()), "the token is asked for before");
    }

    #[test]
    fn a_caller_whose_address_is_unknown_is_refused_where_addresses_matter() {
        let trust = |net: &str| Config { trusted_proxies: vec![net.parse().expect("a network")], ..Config::default() };
        let everyone = vec!["0.0.0.0/0".parse().expect("a network"), "::/0".parse().expect("a network")];
        let proxy = policy(Config { admin_allow_ips: everyone.clone(), ..trust("127.0.0.1/32") });
        let silent = credentials("127.0.0.1", None);
        assert_eq!(proxy.admin(&silent, Right::Read), Err(Denied::Address), "a trusted proxy that names nobody");
        let picky = definition(&json!({ "allowedIPs": ["127.0.0.1"] }));
        assert_eq!(proxy.client(&silent, &picky), Err(Denied::Address));
        assert_eq!(proxy.client(&silent, &definition(&json!({}))), Ok(Principal::Anonymous));
        let open = policy(Config { admin_allow_ips: everyone, ..Config::default() });
        assert_eq!(open.admin(&silent, Right::Read), Ok(AdminPrincipal::Anonymous));
        let forwarded = Credentials { is_forwarded: true, ..silent };
        assert_eq!(
            open.admin(&forwarded, Right::Read),
            Err(Denied::Address),
            "a proxy on this machine that nobody trusts"
        );
        assert_eq!(open.client(&forwarded, &picky), Err(Denied::Address));
    }
}
