use std::error::Error as _;

use super::*;

fn check(given: &str, expected: &str) {
    let built = Client::builder(given).build().map(|client| client.base_url().to_string());
    assert_eq!(built.unwrap_or_else(|error| error.to_string()), expected, "{given}");
}

fn from(variables: &[(&str, &str)]) -> Result<ClientBuilder, Error> {
    ClientBuilder::from_lookup(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, it)| (*it).to_owned()))
}

fn token(variables: &[(&str, &str)]) -> Option<String> {
    let builder = from(&[&[("MCP_PROXY_URL", "h")], variables].concat()).unwrap();
    builder.token.map(|token| token.expose().to_owned())
}

#[test]
fn adds_a_scheme_and_strips_the_slash_at_the_end() {
    check("localhost:6001", "http://localhost:6001/");
    check(" http://localhost:6001/ ", "http://localhost:6001/");
    check("HTTP://h", "http://h/");
    check("[::1]:6001", "http://[::1]:6001/");
}

#[test]
fn keeps_a_path_as_a_prefix() {
    check("h/mcp/gateway/", "http://h/mcp/gateway");
    check("http://h/a%2Fb", "http://h/a%2Fb");
}

#[test]
fn refuses_an_address_it_could_not_or_should_not_use() {
    check("ftp://h", "invalid base URL `ftp://h`: the scheme is neither http nor https");
    check("unix:///run/x", "invalid base URL `unix:///run/x`: the scheme is neither http nor https");
    check("http://h/?a=b", "invalid base URL `http://h/`: it has a query or a fragment");
    check("", "invalid base URL ``");
    check("http://h:port", "invalid base URL `http://h:port`");
}

#[test]
fn does_not_repeat_credentials_in_an_address() {
    check("http://u:hunter2@h", "invalid base URL `…`: it holds credentials; the token is a setting of its own");
    check("http://u:hunter2@h:port", "invalid base URL `…`");
}

#[test]
fn plain_http_needs_no_certificates() {
    // Run the other tests again in a child process without root certificates: variables of a running process cannot be
    // set.
    let tests = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["builder::tests::", "--skip", "plain_http_needs_no_certificates"])
        .env("SSL_CERT_FILE", "/nonexistent")
        .env("SSL_CERT_DIR", "/nonexistent")
        .output()
        .unwrap();
    assert!(tests.status.success(), "{}", String::from_utf8_lossy(&tests.stdout));
}

#[test]
fn shows_no_token() {
    let builder = Client::builder("h").token("hunter2");
    assert!(!format!("{builder:?}{:?}", builder.clone().build()).contains("hunter2"));
    let error = Client::builder("h").token("hunter2\n").build().map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "the token holds a character that HTTP does not allow in a header");
}

#[test]
fn refuses_to_leave_no_time() {
    for builder in [Client::builder("h").timeout(Duration::ZERO), Client::builder("h").deadline(Duration::ZERO)] {
        let error = builder.build().map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), "a timeout or deadline of zero leaves no time for an answer");
    }
    assert!(Client::builder("h").timeout(Duration::MAX).deadline(Duration::MAX).build().is_ok());
}

#[test]
fn the_environment_must_name_the_gateway() {
    for variables in [&[][..], &[("MCP_PROXY_URL", " ")]] {
        assert_eq!(from(variables).map(|_| ()).unwrap_err().to_string(), "`MCP_PROXY_URL` is not set");
    }
    assert_eq!(from(&[("MCP_PROXY_URL", "h:1")]).unwrap().base_url, "h:1");
}

#[test]
fn the_environment_names_the_token_three_ways_in_order() {
    let (one, many, old) =
        (("MCP_PROXY_ADMIN_TOKEN", "one"), ("MCP_PROXY_ADMIN_TOKENS", " , two ,three"), ("MCP_ADMIN_TOKEN", "four"));
    assert_eq!(token(&[one, many, old]).as_deref(), Some("one"));
    assert_eq!(token(&[many, old]).as_deref(), Some("two"));
    assert_eq!(token(&[old]).as_deref(), Some("four"));
    assert_eq!(token(&[]), None);
}

#[test]
fn the_environment_may_set_the_timeout() {
    let with = |timeout| from(&[("MCP_PROXY_URL", "h"), ("MCP_CLIENT_TIMEOUT", timeout)]);
    assert_eq!(with("1m30s").unwrap().timeout, Duration::from_secs(90));
    assert_eq!(with("").unwrap().timeout, Duration::from_secs(30));
    let error = with("soon").map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "cannot read `MCP_CLIENT_TIMEOUT`");
    assert!(error.source().is_some());
}

#[test]
fn the_deadline_is_twice_the_timeout_unless_set() {
    let client = Client::builder("h").timeout(Duration::from_secs(7)).build().unwrap();
    assert!(format!("{client:?}").contains("deadline: 14s"), "{client:?}");
    let client = client.within(Duration::from_secs(1));
    assert!(format!("{client:?}").contains("deadline: 1s"), "{client:?}");
}

/// Counts the connections that two requests 50 ms apart open.
async fn connections(adjust: impl FnOnce(ClientBuilder) -> ClientBuilder) -> usize {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{\"status\":\"healthy\"}";
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = adjust(Client::builder(listener.local_addr().unwrap().to_string())).build().unwrap();
    let count = std::sync::atomic::AtomicUsize::new(0);
    let serve = async {
        let mut open = tokio::task::JoinSet::new();
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            open.spawn(async move {
                let mut buffer = [0; 1024];
                while connection.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                    connection.write_all(ANSWER).await.unwrap();
                }
            });
        }
    };
    let ask = async {
        client.health().await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        client.health().await.unwrap();
    };
    tokio::select! {
        () = serve => {}
        () = ask => {}
    }
    count.into_inner()
}

#[tokio::test]
async fn connections_are_kept_as_many_and_as_long_as_it_is_said() {
    assert_eq!(connections(|builder| builder).await, 1);
    assert_eq!(connections(|builder| builder.max_idle_connections(0)).await, 2);
    assert_eq!(connections(|builder| builder.idle_timeout(Duration::from_millis(1))).await, 2);
}

#[test]
fn a_token_that_is_set_and_empty_is_an_error() {
    for name in ["MCP_PROXY_ADMIN_TOKEN", "MCP_PROXY_ADMIN_TOKENS", "MCP_ADMIN_TOKEN"] {
        for (value, why) in [("", "is empty"), (" , ", "is empty"), ("${TOKEN}", "nothing has replaced")] {
            let lookup = |asked: &str| match asked {
                "MCP_PROXY_URL" => Some("http://h".to_owned()),
                _ => (asked == name).then(|| value.to_owned()),
            };
            let error = ClientBuilder::from_lookup(lookup).map(drop).expect_err(name);
            assert_eq!(error.to_string(), format!("cannot use `{name}`"));
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            assert!(cause.contains(why), "{name}={value:?}: {cause}");
        }
    }
    for value in ["", " ", ",", "{{ .env.TOKEN }}"] {
        assert!(Client::builder("h").token(value).build().is_err(), "{value:?}");
    }
}
