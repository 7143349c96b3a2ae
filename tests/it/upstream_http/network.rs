//! Network settings of upstreams: forward proxies, private certificate authorities, client certificates of the gateway.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use harness::web::{Answer, Asked, Web, stream, usual, web, web_over};
use harness::{free_port, gateway, root};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

fn file(name: &str) -> PathBuf {
    root().join("tests/fixtures/tls").join(name)
}

async fn answer(asked: Asked) -> Answer {
    if asked.method == "GET" { stream().1 } else { usual(&asked) }
}

/// Starts a TLS server for `localhost`, which requires client certificates if `knows_clients`.
async fn secure(knows_clients: bool) -> Web {
    rustls::crypto::ring::default_provider().install_default().ok();
    let certificate = |name| CertificateDer::from_pem_file(file(name)).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(file("server.key.pem")).expect("a key");
    let builder = ServerConfig::builder();
    let builder = if knows_clients {
        let mut roots = RootCertStore::empty();
        roots.add(certificate("authority.pem")).expect("an authority");
        builder.with_client_cert_verifier(WebPkiClientVerifier::builder(Arc::new(roots)).build().expect("a verifier"))
    } else {
        builder.with_no_client_auth()
    };
    let config = builder.with_single_cert(vec![certificate("server.pem")], key).expect("a configuration");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let wrap = move |stream| -> futures_util::future::BoxFuture<'static, _> {
        let acceptor = acceptor.clone();
        Box::pin(async move { acceptor.accept(stream).await.ok() })
    };
    web_over((Ipv4Addr::LOCALHOST, 0).into(), wrap, answer).await
}

fn definition(name: &str, url: &str, more: &Value) -> Value {
    let mut definition = json!({ "name": name, "transport": "streamable-http", "url": url, "era": "legacy" });
    for (member, value) in more.as_object().into_iter().flatten() {
        definition[member] = value.clone();
    }
    definition
}

#[tokio::test]
async fn an_authority_of_ones_own_is_believed_once_it_is_named() {
    let server = secure(false).await;
    let url = format!("https://localhost:{}/mcp", server.address.port());
    let plain = gateway().start().await;
    plain.admin.register(&definition("unknown", &url, &json!({}))).await;
    let error = plain.admin.reaches("unknown", "error").await["lastError"].to_string();
    assert!(error.contains("--upstream-ca-file") && error.contains("caFile"), "{error}");
    plain.admin.connect(&definition("one", &url, &json!({ "caFile": file("authority.pem") }))).await;
    plain.admin.register(&definition("none", &url, &json!({ "caFile": "/nowhere/authority.pem" }))).await;
    let error = plain.admin.reaches("none", "error").await["lastError"].to_string();
    assert!(error.contains("cannot read `/nowhere/authority.pem`"), "{error}");

    let trusting = gateway().flags(["--upstream-ca-file", &file("authority.pem").display().to_string()]).start().await;
    trusting.admin.connect(&definition("all", &url, &json!({}))).await;
    assert_eq!(trusting.admin.call("all", "echo", &json!({})).await.status, 200);
    let literal = format!("https://127.0.0.1:{}/mcp", server.address.port());
    trusting.admin.connect(&definition("literal", &literal, &json!({}))).await;
}

#[tokio::test]
async fn the_gateway_shows_a_certificate_to_an_upstream_that_wants_one() {
    let server = secure(true).await;
    let url = format!("https://localhost:{}/mcp", server.address.port());
    let gateway = gateway().flags(["--upstream-ca-file", &file("authority.pem").display().to_string()]).start().await;
    gateway.admin.register(&definition("nobody", &url, &json!({}))).await;
    gateway.admin.reaches("nobody", "error").await;
    let identity = json!({ "clientCertFile": file("client.pem"), "clientKeyFile": file("client.key.pem") });
    gateway.admin.connect(&definition("known", &url, &identity)).await;
    assert_eq!(gateway.admin.call("known", "echo", &json!({})).await.status, 200);
    let half = json!({ "clientCertFile": file("client.pem") });
    let refused = gateway.admin.post("/admin/mcps", definition("half", &url, &half)).await;
    assert_eq!(refused.status, 400, "{}", refused.text);
    assert!(refused.text.contains("clientCertFile and clientKeyFile belong together"), "{}", refused.text);
}

#[tokio::test]
async fn a_proxy_is_asked_for_whole_urls_in_the_clear() {
    let proxy = web(answer).await;
    let gateway = gateway().start().await;
    let via = format!("http://us%40er:secret@{}", proxy.address);
    let definition = definition("far", "http://far.example/mcp?a=b", &json!({ "proxy": via }));
    gateway.admin.connect(&definition).await;
    assert_eq!(gateway.admin.call("far", "echo", &json!({})).await.status, 200);
    for asked in proxy.asked() {
        assert_eq!(asked.path, "http://far.example/mcp?a=b");
        assert_eq!(asked.header("host"), "far.example");
        assert_eq!(asked.header("proxy-authorization"), "Basic dXNAZXI6c2VjcmV0");
    }
    let shown = gateway.admin.get("/admin/mcps/far").await;
    assert!(!shown.text.contains("secret@") && shown.text.contains("\"proxy\":\"[redacted]\""), "{}", shown.text);
    let mut again = definition.clone();
    again["proxy"] = json!("[redacted]");
    again["description"] = json!("the same");
    assert_eq!(gateway.admin.put("/admin/mcps/far", &again).await.status, 200);
    gateway.admin.connected("far").await;
    assert_eq!(gateway.admin.call("far", "echo", &json!({})).await.status, 200);
}

#[tokio::test]
async fn a_proxy_of_the_settings_is_for_all_but_this_machine_and_what_is_exempt() {
    let proxy = web(answer).await;
    let near = web(answer).await;
    let via = format!("http://{}", proxy.address);
    let flags = ["--upstream-proxy", &via, "--upstream-no-proxy", "exempt.localhost.example,192.0.2.0/24"];
    let gateway = gateway().flags(flags).start().await;
    gateway.admin.connect(&definition("far", "http://far.example/mcp", &json!({}))).await;
    gateway.admin.connect(&near.definition("near")).await;
    let direct = definition("direct", &near.url("/mcp"), &json!({ "proxy": "none" }));
    gateway.admin.connect(&direct).await;
    assert!(proxy.asked().iter().all(|asked| asked.path == "http://far.example/mcp"));
    assert!(near.asked().iter().all(|asked| asked.path == "/mcp"));
}

/// Starts a forward proxy that opens tunnels to one address, whatever the requested one, for callers with the password.
async fn tunnels(to: SocketAddr) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        let mut open = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            open.spawn(async move {
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap_or(b'\n').into());
                }
                let is_known =
                    head.starts_with("CONNECT far.example:443 HTTP/1.1\r\n") && head.contains("Basic dTpw\r\n");
                let answer = if is_known { "200 Connection established" } else { "407 Proxy Authentication Required" };
                stream.write_all(format!("HTTP/1.1 {answer}\r\n\r\n").as_bytes()).await.ok();
                if is_known && let Ok(mut far) = TcpStream::connect(to).await {
                    copy_bidirectional(&mut stream, &mut far).await.ok();
                }
            });
        }
    });
    (address, serving)
}

#[tokio::test]
async fn a_proxy_opens_tunnels_to_upstreams_over_tls() {
    let server = secure(false).await;
    let (proxy, _serving) = tunnels(server.address).await;
    let gateway = gateway().start().await;
    let url = "https://far.example/mcp";
    gateway.admin.register(&definition("stranger", url, &json!({ "proxy": format!("http://x:wrong@{proxy}") }))).await;
    let error = gateway.admin.reaches("stranger", "error").await["lastError"].to_string();
    assert!(error.contains(&format!("proxy `http://{proxy}/`")) && error.contains("status 407"), "{error}");
    assert!(!error.contains("wrong"), "{error}");
    // The certificate is for another name, so it can only come from the upstream behind the proxy.
    let known = json!({ "proxy": format!("http://u:p@{proxy}"), "caFile": file("authority.pem") });
    gateway.admin.register(&definition("known", url, &known)).await;
    let error = gateway.admin.reaches("known", "error").await["lastError"].to_string();
    assert!(error.contains("certificate not valid for name"), "{error}");
}

#[tokio::test]
async fn a_definition_that_names_no_usable_way_is_refused_or_shown_so() {
    let gateway = gateway().start().await;
    for (more, why) in [
        (json!({ "proxy": "socks5://p.example:1080" }), "invalid proxy"),
        (json!({ "caFile": "authority.pem" }), "caFile must be an absolute path"),
    ] {
        let refused = gateway.admin.post("/admin/mcps", definition("x", "http://far.example/", &more)).await;
        assert_eq!(refused.status, 400, "{}", refused.text);
        assert!(refused.text.contains(why), "{}", refused.text);
    }
    let forbidden = definition("y", "http://far.example/", &json!({ "proxy": "http://169.254.169.254:80" }));
    gateway.admin.register(&forbidden).await;
    let error = gateway.admin.reaches("y", "error").await["lastError"].to_string();
    assert!(error.contains("link-local"), "{error}");
    let (address, url) = (format!("127.0.0.1:{}", free_port()), "http://far.example/");
    gateway.admin.register(&definition("z", url, &json!({ "proxy": format!("http://{address}") }))).await;
    let error = gateway.admin.reaches("z", "error").await["lastError"].to_string();
    assert!(error.contains(&format!("proxy `http://{address}/`")), "{error}");
}
