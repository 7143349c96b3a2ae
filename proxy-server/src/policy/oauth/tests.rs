//! Tokens, right and wrong, against an authorization server on a real socket.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::*;
use crate::http::client::{Limits, Network};
use crate::keys::Keys;

/// An authorization server that publishes keys.
struct Issuer {
    url: String,
    shared: Arc<Shared>,
    _server: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    url: Mutex<String>,
    /// URL of the keys in the metadata, if it is another.
    keys_url: Mutex<String>,
    keys: Mutex<Vec<Value>>,
    is_down: AtomicBool,
    /// Requests for keys.
    fetches: AtomicUsize,
    /// Answers about opaque tokens, in order.
    states: Mutex<Vec<Value>>,
    introspections: Mutex<Vec<String>>,
}

impl Issuer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::<Shared>::default();
        lock(&shared.url).clone_from(&url);
        let mut server = JoinSet::new();
        server.spawn(serve(listener, Arc::clone(&shared)));
        Self { url, shared, _server: server }
    }

    fn oauth(&self) -> Arc<OAuth> {
        self.oauth_with(Config::default())
    }

    fn oauth_with(&self, more: Config) -> Arc<OAuth> {
        let second = Duration::from_secs(1);
        let limits = Limits { connect_timeout: second, idle_timeout: second };
        let dialer = Dialer::new(limits, Network::default(), HeaderValue::from_static("mark"));
        let config = Config { issuer: self.url.clone(), scopes: vec!["mcp".to_owned()], ..more };
        OAuth::new(&config, ("http", Some("https://gw")), dialer, Keys::of(1).digest).expect("an issuer")
    }

    fn publish(&self, key: Value) {
        lock(&self.shared.keys).push(key);
    }

    fn fetches(&self) -> usize {
        self.shared.fetches.load(Ordering::SeqCst)
    }

    fn claims(&self) -> Value {
        let expiry = now() + 60;
        json!({ "iss": self.url, "aud": "https://gw/a/mcp", "sub": "ada", "client_id": "c", "exp": expiry, "scope": "mcp b" })
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((mut stream, _)) = listener.accept().await else { return };
        let mut request = vec![0; 8192];
        let length = stream.read(&mut request).await.unwrap_or_default();
        let request = String::from_utf8_lossy(&request[..length]).into_owned();
        let path = request.split(' ').nth(1).unwrap_or_default();
        let url = lock(&shared.url).clone();
        let document = match path {
            _ if shared.is_down.load(Ordering::SeqCst) => None,
            "/.well-known/openid-configuration" => {
                let other = lock(&shared.keys_url).clone();
                let keys = if other.is_empty() { format!("{url}/keys") } else { other };
                Some(json!({ "issuer": url, "jwks_uri": keys }))
            }
            "/keys" => {
                shared.fetches.fetch_add(1, Ordering::SeqCst);
                Some(json!({ "keys": *lock(&shared.keys) }))
            }
            "/introspect" => {
                lock(&shared.introspections).push(request.clone());
                lock(&shared.states).pop()
            }
            _ => Some(Value::Null),
        };
        let response = match document {
            Some(Value::Null) => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(),
            Some(document) => {
                let (length, body) = (document.to_string().len(), document.to_string());
                format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
            }
            None => "HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned(),
        };
        stream.write_all(response.as_bytes()).await.ok();
    }
}

struct Signer {
    pair: Ed25519KeyPair,
    id: &'static str,
}

impl Signer {
    fn new(id: &'static str) -> Self {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
        Self { pair: Ed25519KeyPair::from_pkcs8(document.as_ref()).expect("a key"), id }
    }

    fn public(&self) -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": self.id, "x": coded(self.pair.public_key().as_ref()) })
    }

    fn header(&self) -> Value {
        json!({ "alg": "EdDSA", "kid": self.id, "typ": "at+jwt" })
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    fn sign_text(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", coded(header.as_bytes()), coded(claims.as_bytes()));
        format!("{message}.{}", coded(self.pair.sign(message.as_bytes()).as_ref()))
    }
}

fn coded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Returns an object with other members; a member that is null is left out.
fn with(object: &Value, more: Value) -> Value {
    let mut object = object.clone();
    for (name, value) in more.as_object().expect("members") {
        if value.is_null() {
            object.as_object_mut().expect("members").remove(name);
        } else {
            object[name] = value.clone();
        }
    }
    object
}

fn decide(oauth: &OAuth, verdict: &Verdict, endpoint: Endpoint<'_>) -> Result<u64, Denied> {
    oauth.decide(verdict, &oauth.places(verdict, None, 0), endpoint, None)
}

#[tokio::test]
async fn a_right_token_is_that_of_its_subject_at_the_endpoint_of_its_audience() {
    let (issuer, signer) = (Issuer::start().await, Signer::new("k"));
    issuer.publish(signer.public());
    let oauth = issuer.oauth();
    let verify = async |more: Value| oauth.verify(&signer.sign(&signer.header(), &with(&issuer.claims(), more))).await;
    let verdict = verify(json!({})).await;
    let one = decide(&oauth, &verdict, Endpoint::One("a"));
    assert!(one.is_ok(), "{verdict:?}");
    assert_eq!(decide(&oauth, &verdict, Endpoint::One("b")), Err(Denied::WrongToken));
    assert_eq!(decide(&oauth, &verdict, Endpoint::All), Err(Denied::WrongToken));
    // A renewed token is the same subject, another user or client is not.
    let renewed = verify(json!({ "jti": "2", "aud": ["x", "https://gw/a/mcp"], "typ": null })).await;
    assert_eq!(decide(&oauth, &renewed, Endpoint::One("a")), one);
    for other in [json!({ "sub": "bob" }), json!({ "client_id": "d" }), json!({ "client_id": null, "azp": "d" })] {
        let other = verify(other).await;
        assert!(decide(&oauth, &other, Endpoint::One("a")).is_ok_and(|other| Ok(other) != one));
    }
    let poor = verify(json!({ "scope": "b" })).await;
    assert_eq!(decide(&oauth, &poor, Endpoint::One("a")), Err(Denied::Scope));
    for scopes in [json!({ "scope": null, "scp": ["mcp"] }), json!({ "scope": ["b", "mcp"] })] {
        let verdict = verify(scopes).await;
        assert!(decide(&oauth, &verdict, Endpoint::One("a")).is_ok());
    }
    // Just expired, within the skew of clocks; and not valid yet, within it.
    for times in [json!({ "exp": now() - 10 }), json!({ "nbf": now() + 10 }), json!({ "exp": 4_102_444_800.5 })] {
        assert!(matches!(verify(times.clone()).await, Verdict::Valid(_)), "{times}");
    }
    assert_eq!(issuer.fetches(), 1);
}

/// Tokens with claims that are missing, malformed, or of another issuer or time.
fn wrong_claims(signer: &Signer, claims: &Value) -> Vec<(String, String)> {
    let (hour, issuer) = (now() + 3600, claims["iss"].as_str().expect("a text"));
    let all = [
        json!({ "iss": "https://other.example" }),
        json!({ "iss": format!("{issuer}/") }),
        json!({ "iss": [issuer] }),
        json!({ "iss": null }),
        json!({ "iss": "" }),
        json!({ "aud": null }),
        json!({ "aud": 7 }),
        json!({ "exp": now() - 3600 }),
        json!({ "exp": null }),
        json!({ "exp": hour.to_string() }),
        json!({ "exp": -1 }),
        json!({ "exp": 0 }),
        json!({ "exp": [hour] }),
        json!({ "nbf": hour }),
        json!({ "nbf": "soon" }),
        json!({ "sub": null, "client_id": null }),
        json!({ "sub": 7 }),
        json!({ "scope": 7 }),
    ];
    let token = |more: Value| (format!("claims {more}"), signer.sign(&signer.header(), &with(claims, more)));
    all.map(token).into()
}

/// Tokens with another algorithm, key or type in the header.
fn wrong_headers(signer: &Signer, claims: &Value) -> Vec<(String, String)> {
    let all = [
        json!({ "alg": "none" }),
        json!({ "alg": "HS256" }),
        json!({ "alg": "RS256" }),
        json!({ "alg": "ES256" }),
        json!({ "alg": "ed25519" }),
        json!({ "alg": null }),
        json!({ "kid": "other" }),
        json!({ "kid": "ec" }),
        json!({ "kid": "oct" }),
        json!({ "kid": "" }),
        json!({ "kid": 7 }),
        json!({ "typ": "logout+jwt" }),
        json!({ "typ": "dpop+jwt" }),
        json!({ "typ": "id_token" }),
        json!({ "crit": ["b64"], "b64": false }),
    ];
    let token = |more: Value| (format!("header {more}"), signer.sign(&with(&signer.header(), more), claims));
    all.map(token).into()
}

/// Tokens that are signed with a key that is not the server's, or not for signatures.
fn wrong_keys(signer: &Signer, stranger: &Signer, claims: &Value) -> Vec<(String, String)> {
    let by_secret = |id: &str, secret: &[u8]| {
        let header = coded(json!({ "alg": "HS256", "kid": id }).to_string().as_bytes());
        let message = format!("{header}.{}", coded(claims.to_string().as_bytes()));
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
        format!("{message}.{}", coded(signature.as_ref()))
    };
    let own = with(&signer.header(), json!({ "jwk": stranger.public() }));
    let all = [
        ("the key of another", stranger.sign(&signer.header(), claims)),
        ("its own key in the header", stranger.sign(&own, claims)),
        ("the public key as a shared secret", by_secret("k", signer.pair.public_key().as_ref())),
        ("a shared secret that the server published", by_secret("oct", b"secret")),
    ];
    all.map(|(what, token)| (what.to_owned(), token)).into()
}

/// Changes of a right token, and what is no token.
fn wrong_forms(signer: &Signer, right: &str, claims: &Value) -> Vec<(String, String)> {
    let (header, parts) = (signer.header(), right.split('.').collect::<Vec<_>>());
    let (head, body, signature) = (parts[0], parts[1], parts[2]);
    let richer = coded(with(claims, json!({ "scope": "mcp admin" })).to_string().as_bytes());
    let other = coded(with(&header, json!({ "x": 1 })).to_string().as_bytes());
    let twice = claims.to_string().replacen('{', "{\"iss\":\"https://other.example\",", 1);
    let long = with(claims, json!({ "x": "x".repeat(MAX_TOKEN) }));
    let all = [
        ("no signature", format!("{head}.{body}.")),
        ("no signature and no dot", format!("{head}.{body}")),
        ("half a signature", format!("{head}.{body}.{}", &signature[..40])),
        ("a longer signature", format!("{head}.{body}.{signature}AA")),
        ("padding", format!("{head}.{body}.{signature}==")),
        ("other claims", format!("{head}.{richer}.{signature}")),
        ("other header", format!("{other}.{body}.{signature}")),
        ("five parts", format!("{head}.{body}.{signature}.{body}.{signature}")),
        ("a space before", format!(" {right}")),
        ("a dot after", format!("{right}.")),
        ("a member twice", signer.sign_text(&header.to_string(), &twice)),
        ("no object", signer.sign_text(&header.to_string(), "[]")),
        ("no JSON", signer.sign_text(&header.to_string(), "{")),
        ("a header that is no object", signer.sign_text("7", &claims.to_string())),
        ("nothing", String::new()),
        ("two dots", "..".to_owned()),
        ("an opaque token", "7pBn2mXk".to_owned()),
        ("too long", signer.sign(&header, &long)),
    ];
    all.map(|(what, token)| (what.to_owned(), token)).into()
}

#[tokio::test]
async fn every_wrong_token_is_refused() {
    let (issuer, signer, stranger) = (Issuer::start().await, Signer::new("k"), Signer::new("k"));
    let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).expect("a key");
    let random = SystemRandom::new();
    let curve = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).expect("a key");
    let point = curve.public_key().as_ref();
    issuer.publish(signer.public());
    issuer.publish(
        json!({ "kty": "EC", "crv": "P-256", "kid": "ec", "x": coded(&point[1..33]), "y": coded(&point[33..]) }),
    );
    issuer.publish(json!({ "kty": "oct", "kid": "oct", "k": coded(b"secret"), "alg": "HS256" }));
    let (oauth, header, claims) = (issuer.oauth(), signer.header(), issuer.claims());
    let right = signer.sign(&header, &claims);
    assert!(matches!(oauth.verify(&right).await, Verdict::Valid(_)), "the control");
    let message = format!(
        "{}.{}",
        coded(json!({ "alg": "ES256", "kid": "ec" }).to_string().as_bytes()),
        coded(claims.to_string().as_bytes())
    );
    let by_curve =
        format!("{message}.{}", coded(curve.sign(&random, message.as_bytes()).expect("a signature").as_ref()));
    assert!(matches!(oauth.verify(&by_curve).await, Verdict::Valid(_)), "the control of the curve");

    let wrong = [
        wrong_claims(&signer, &claims),
        wrong_headers(&signer, &claims),
        wrong_keys(&signer, &stranger, &claims),
        wrong_forms(&signer, &right, &claims),
    ]
    .concat();
    assert!(wrong.len() > 50, "{}", wrong.len());
    for (what, token) in wrong {
        let verdict = oauth.verify(&token).await;
        assert!(matches!(verdict, Verdict::Invalid), "{what}: {verdict:?}");
        assert!(oauth.recall(&token).is_none(), "{what}: nobody fills the memory with wrong tokens");
    }
    assert!(issuer.fetches() <= 3, "unknown keys do not make a fetch each: {}", issuer.fetches());
}

#[tokio::test]
async fn keys_are_fetched_when_they_are_needed_and_kept_while_their_server_is_away() {
    let (issuer, old, new) = (Issuer::start().await, Signer::new("old"), Signer::new("new"));
    let oauth = issuer.oauth();
    let verify = async |signer: &Signer, id: u32| {
        oauth.verify(&signer.sign(&signer.header(), &with(&issuer.claims(), json!({ "jti": id })))).await
    };
    issuer.shared.is_down.store(true, Ordering::SeqCst);
    assert!(matches!(verify(&old, 1).await, Verdict::Unavailable), "a token that may be right");
    issuer.publish(old.public());
    issuer.shared.is_down.store(false, Ordering::SeqCst);
    let until_valid = async |signer: &Signer, id: u32| {
        let valid = async {
            while !matches!(verify(signer, id).await, Verdict::Valid(_)) {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(Duration::from_secs(20), valid).await.expect("a valid token");
    };
    until_valid(&old, 2).await;
    // The server signs with a new key.
    issuer.publish(new.public());
    until_valid(&new, 3).await;
    let before = issuer.fetches();
    issuer.shared.is_down.store(true, Ordering::SeqCst);
    assert!(matches!(verify(&old, 4).await, Verdict::Valid(_)), "known keys need no server");
    let unknown = Signer::new("unknown");
    let unavailable = async {
        while !matches!(verify(&unknown, 5).await, Verdict::Unavailable) {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(20), unavailable).await.expect("a key that cannot be looked for");
    assert_eq!(issuer.fetches(), before);
}

#[tokio::test]
async fn tokens_that_arrive_together_wait_for_one_fetch() {
    let (issuer, signer) = (Issuer::start().await, Signer::new("k"));
    issuer.publish(signer.public());
    let oauth = issuer.oauth();
    let tokens: Vec<String> =
        (0..20).map(|id| signer.sign(&signer.header(), &with(&issuer.claims(), json!({ "jti": id })))).collect();
    let verdicts = futures_util::future::join_all(tokens.iter().map(|token| oauth.verify(token))).await;
    assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Valid(_))));
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test]
async fn metadata_of_another_issuer_is_no_metadata() {
    let (issuer, signer) = (Issuer::start().await, Signer::new("k"));
    issuer.publish(signer.public());
    let oauth = issuer.oauth();
    lock(&issuer.shared.url).push('/');
    let token = signer.sign(&signer.header(), &issuer.claims());
    assert!(matches!(oauth.verify(&token).await, Verdict::Unavailable));
}

#[tokio::test]
async fn an_opaque_token_is_asked_about_once_in_a_while() {
    let issuer = Issuer::start().await;
    let oauth = issuer.oauth_with(Config {
        introspection_url: Some(format!("{}/introspect", issuer.url).parse().expect("a URL")),
        client_id: "gate:way".to_owned(),
        client_secret: Some("s3cret".into()),
        ..Config::default()
    });
    let ask = async |token: &str, state: Value| {
        lock(&issuer.shared.states).push(state);
        oauth.verify(token).await
    };
    let active = json!({ "active": true, "sub": "ada", "scope": "mcp", "aud": "https://gw/mcp", "exp": now() + 60 });
    let valid = ask("one", active.clone()).await;
    assert!(decide(&oauth, &valid, Endpoint::All).is_ok(), "{valid:?}");
    assert!(matches!(oauth.verify("one").await, Verdict::Valid(_)));
    for (token, state) in [
        ("two", json!({ "active": false })),
        ("three", with(&active, json!({ "iss": "https://other.example" }))),
        ("four", with(&active, json!({ "sub": null }))),
    ] {
        assert!(matches!(ask(token, state).await, Verdict::Invalid), "{token}");
        assert!(matches!(oauth.verify(token).await, Verdict::Invalid), "{token}, without asking again");
    }
    assert!(matches!(ask("five", Value::Null).await, Verdict::Unavailable), "no answer");
    let asked = lock(&issuer.shared.introspections).clone();
    assert_eq!(asked.len(), 5);
    let credentials = base64::engine::general_purpose::STANDARD.encode("gate%3Away:s3cret");
    assert!(
        asked[0].to_lowercase().contains(&format!("authorization: basic {}", credentials.to_lowercase())),
        "{}",
        asked[0]
    );
    assert!(asked[0].ends_with("token=one&token_type_hint=access_token"), "{}", asked[0]);
}

#[tokio::test]
async fn what_is_remembered_has_a_bound_and_wrong_tokens_displace_no_right_one() {
    let oauth = Issuer::start().await.oauth();
    let valid = Verdict::Valid(Arc::default());
    oauth.keep("right", &valid, now() + 60);
    for number in 0..2 * MAX_VERDICTS {
        oauth.keep(&number.to_string(), &Verdict::Invalid, now() + 60);
    }
    assert!(lock(&oauth.verdicts).invalid.len() <= MAX_INVALID);
    assert!(oauth.recall("right").is_some());
    for number in 0..2 * MAX_VERDICTS {
        oauth.keep(&number.to_string(), &valid, now() + 60);
    }
    assert!(lock(&oauth.verdicts).valid.len() <= MAX_VERDICTS);
    oauth.keep("over", &valid, now());
    assert!(oauth.recall("over").is_none());
}

#[tokio::test]
async fn a_name_that_the_sender_claims_is_no_name_of_the_gateway() {
    let config = Config { issuer: "https://as".to_owned(), scopes: vec!["mcp".to_owned()], ..Config::default() };
    let second = Duration::from_secs(1);
    let limits = Limits { connect_timeout: second, idle_timeout: second };
    let dialer = Dialer::new(limits, Network::default(), HeaderValue::from_static("mark"));
    let oauth = OAuth::new(&config, ("http", None), dialer, Keys::of(1).digest).expect("an issuer");
    let check = |host: &str, expected: bool| {
        assert_eq!(oauth.base(Some(host.as_bytes()), 6001).is_some(), expected, "{host}");
    };
    check("127.0.0.1:6001", true);
    check("localhost:6001", true);
    check("[::1]:6001", true);
    for claimed in
        ["evil.example:6001", "localhost:9999", "localhost", "127.0.0.1:6001/time/mcp", "localhost:6001@evil", ""]
    {
        check(claimed, false);
    }
}

#[tokio::test]
async fn keys_at_a_plain_address_of_another_machine_are_not_fetched() {
    let (issuer, signer) = (Issuer::start().await, Signer::new("k"));
    lock(&issuer.shared.keys_url).push_str("http://keys.example/jwks");
    let token = signer.sign(&signer.header(), &issuer.claims());
    assert!(matches!(issuer.oauth().verify(&token).await, Verdict::Unavailable));
}
