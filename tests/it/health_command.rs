//! `mcp-proxy health`, the health check of containers and service managers, over every kind of address.

use harness::process::{Ended, Signal};
use harness::{Served, binary, eventually, root};

async fn health(flags: &[&str]) -> Ended {
    binary("mcp-proxy").args(["health"]).args(flags).run().await
}

fn port(gateway: &Served) -> &str {
    gateway.url.rsplit(':').next().unwrap_or_default()
}

#[tokio::test]
async fn a_gateway_that_is_about_to_stop_is_up_and_not_ready() {
    let gateway = binary("mcp-proxy").args(["--port=0", "--storage=memory", "--drain-delay=30s"]).serve().await;
    let port = port(&gateway).to_owned();
    for flags in [&["--port", &port][..], &["--ready", "--port", &port]] {
        let ended = health(flags).await;
        assert_eq!((ended.code, ended.out.as_str()), (Some(0), "ok\n"), "{}", ended.err);
    }
    gateway.process.signal(Signal::TERM);
    let is_draining = || async { (health(&["--ready", "--port", &port]).await.code == Some(1)).then_some(()) };
    eventually("the gateway is not ready", is_draining).await;
    let ended = health(&["--ready", "--port", &port]).await;
    assert!(ended.err.contains("/readyz answers 503"), "{}", ended.err);
    assert_eq!(health(&["--port", &port]).await.code, Some(0));
}

#[tokio::test]
async fn tls_and_unix_sockets_are_spoken_as_the_settings_say() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| root().join("tests/fixtures/tls").join(name).display().to_string();
    let socket = format!("unix:{}", folder.path().join("gateway").display());
    let tls = [format!("--tls-cert={}", file("server.pem")), format!("--tls-key={}", file("server.key.pem"))];
    let serve = async |flags: &[&str]| binary("mcp-proxy").args(["--storage=memory"]).args(flags).serve().await;
    let over_tls = serve(&["--port=0", &tls[0], &tls[1]]).await;
    let _on_socket = serve(&["--host", &socket]).await;
    for flags in [&["--port", port(&over_tls), &tls[0], &tls[1]][..], &["--host", &socket]] {
        let ended = health(flags).await;
        assert_eq!(ended.code, Some(0), "{flags:?}: {}", ended.err);
    }
    let plain = health(&["--port", port(&over_tls)]).await;
    assert_eq!(plain.code, Some(1), "{}", plain.out);
}

#[tokio::test]
async fn a_gateway_that_does_not_answer_is_told_within_the_timeout() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a listener");
    let port = silent.local_addr().expect("its address").port().to_string();
    let ended = health(&["--port", &port, "--timeout", "300ms"]).await;
    assert!(ended.code == Some(1) && ended.err.contains("does not answer"), "{}", ended.err);
}
