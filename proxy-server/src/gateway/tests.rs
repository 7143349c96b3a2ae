//! Tries every route with every credential.

use std::collections::BTreeSet;
use std::time::Duration;

use schemas::admin::Right;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Gateway;
use crate::config::Config;
use crate::http::server::{Audience, Route};
use crate::registry::TokenGrant;
use crate::telemetry::Actor;

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// True for answers that tell a stranger nothing: no credential, no such thing, no such method, and the methods of a
/// document, which are the same whether it is there or not.
fn is_refusal((method, status): (&str, u16)) -> bool {
    [401, 404, 405].contains(&status) || (method, status) == ("OPTIONS", 204)
}

fn are_refusals(statuses: &[u16]) -> bool {
    METHODS.into_iter().zip(statuses.iter().copied()).all(is_refusal)
}

/// A gateway with a token of each kind, and a server that is not there.
async fn gateway() -> Gateway {
    let flags = ["--port", "0", "--admin-tokens", "admin", "--global-auth-tokens", "global", "--query-tokens", "on"];
    let gateway = Gateway::start(Config::from_flags(flags).expect("flags")).await.expect("a gateway");
    let definition =
        r#"{"name":"u","transport":"streamable-http","url":"http://127.0.0.1:1/mcp","authTokens":["own"]}"#;
    let registered = ask(&gateway, "POST", "/admin/mcps", Some("Bearer admin"), definition).await;
    assert_eq!(registered, 201);
    gateway
}

/// Issues an access token with these rights. Returns it as a value of `Authorization`.
async fn issue(gateway: &Gateway, name: &str, rights: &[Right]) -> String {
    let (name, rights) = (name.parse().expect("a name"), rights.iter().copied().collect());
    let grant = TokenGrant { rights, servers: BTreeSet::new(), lifetime: None };
    let (secret, _) = gateway.control.issue_token(&Actor::Gateway, name, grant).await.expect("a token");
    format!("Bearer {}", secret.expose())
}

/// Sends a request over a connection of its own. Returns the status.
async fn ask(gateway: &Gateway, method: &str, target: &str, authorization: Option<&str>, body: &str) -> u16 {
    let authorization = authorization.map(|value| format!("Authorization: {value}\r\n")).unwrap_or_default();
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n{authorization}\r\n",
        body.len()
    );
    let response = async {
        let mut stream = TcpStream::connect(gateway.address().tcp().expect("a port")).await?;
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body.as_bytes()).await?;
        // `HTTP/1.1 200`
        let mut start = [0; 12];
        stream.read_exact(&mut start).await?;
        std::io::Result::Ok(String::from_utf8_lossy(&start[9..]).parse().expect("a status"))
    };
    timeout(Duration::from_secs(20), response).await.expect("a response in time").expect("a response")
}

async fn statuses(gateway: &Gateway, route: &Route, authorization: Option<&str>, query: &str) -> Vec<u16> {
    let path = ["{name}", "{holder}", "{owner}"].iter().fold(route.path.clone(), |path, name| path.replace(name, "u"));
    let target = format!("{}{query}", path.replace("{*extra}", "x"));
    let mut statuses = Vec::new();
    for method in METHODS {
        let body = if matches!(method, "POST" | "PUT" | "PATCH") { "{}" } else { "" };
        statuses.push(ask(gateway, method, &target, authorization, body).await);
    }
    statuses
}

fn of(gateway: &Gateway, audience: Audience) -> impl Iterator<Item = &Route> {
    gateway.routes.iter().filter(move |route| route.audience == audience)
}

#[tokio::test]
async fn routes_for_everyone_ask_for_nothing() {
    let gateway = gateway().await;
    for route in of(&gateway, Audience::Everyone) {
        for authorization in [None, Some("Bearer wrong"), Some("Basic eDp5")] {
            let statuses = statuses(&gateway, route, authorization, "").await;
            assert!(!statuses.iter().any(|status| [401, 403].contains(status)), "{route:?} {statuses:?}");
        }
    }
}

#[tokio::test]
async fn routes_for_clients_refuse_everyone_else_by_every_method() {
    let gateway = gateway().await;
    for route in of(&gateway, Audience::Clients) {
        let strangers =
            [None, Some("Bearer wrong"), Some("Bearer admin"), Some("own"), Some("Bearer "), Some("Basic b3du")];
        for authorization in strangers {
            let statuses = statuses(&gateway, route, authorization, "").await;
            assert!(are_refusals(&statuses), "{route:?} {authorization:?} {statuses:?}");
        }
        let asked = statuses(&gateway, route, None, "?key=wrong").await;
        assert!(are_refusals(&asked), "{route:?} {asked:?}");
        for authorization in ["Bearer global", "Bearer own"] {
            let statuses = statuses(&gateway, route, Some(authorization), "").await;
            assert!(!are_refusals(&statuses), "{route:?} {statuses:?}");
            assert!(!statuses.contains(&401), "{route:?} {authorization} {statuses:?}");
        }
        let asked = statuses(&gateway, route, None, "?token=own").await;
        assert!(!asked.contains(&401), "{route:?} {asked:?}");
    }
}

#[tokio::test]
async fn routes_for_admins_refuse_everyone_else_by_every_method() {
    let gateway = gateway().await;
    for route in of(&gateway, Audience::Admins) {
        for authorization in
            [None, Some("Bearer wrong"), Some("Bearer global"), Some("Bearer own"), Some("Basic YWRtaW4=")]
        {
            let statuses = statuses(&gateway, route, authorization, "").await;
            assert!(statuses.iter().all(|status| *status == 401), "{route:?} {authorization:?} {statuses:?}");
        }
        let asked = statuses(&gateway, route, None, "?key=global").await;
        assert!(asked.iter().all(|status| *status == 401), "{route:?} {asked:?}");
        for (authorization, query) in [(Some("Bearer admin"), ""), (Some("admin"), ""), (None, "?token=admin")] {
            let statuses = statuses(&gateway, route, authorization, query).await;
            assert!(!statuses.iter().any(|status| [401, 403].contains(status)), "{route:?} {statuses:?}");
        }
    }
}

#[tokio::test]
async fn an_access_token_opens_the_routes_and_methods_of_its_rights() {
    let gateway = gateway().await;
    let call = issue(&gateway, "call", &[Right::Call]).await;
    let read = issue(&gateway, "read", &[Right::Read]).await;
    let write = issue(&gateway, "write", &[Right::Write]).await;
    for route in of(&gateway, Audience::Clients) {
        let allowed = statuses(&gateway, route, Some(&call), "").await;
        assert!(!allowed.iter().any(|status| [401, 403].contains(status)), "{route:?} {allowed:?}");
        for other in [&read, &write] {
            let refused = statuses(&gateway, route, Some(other), "").await;
            assert!(
                METHODS
                    .iter()
                    .zip(refused.iter())
                    .all(|(method, status)| *status == 403 || is_refusal((method, *status))),
                "{route:?} {refused:?}"
            );
        }
    }
    for route in of(&gateway, Audience::Admins) {
        let of_call = statuses(&gateway, route, Some(&call), "").await;
        assert!(of_call.iter().all(|status| *status == 403), "{route:?} {of_call:?}");
        for (token, is_safe) in [(&read, true), (&write, false)] {
            let statuses = statuses(&gateway, route, Some(token), "").await;
            for (method, status) in METHODS.into_iter().zip(statuses) {
                let is_allowed = matches!(method, "GET" | "HEAD" | "OPTIONS") == is_safe;
                // The right to write is not enough to issue access tokens, and to change what is logged.
                let is_own = ["/admin/tokens", "/admin/log-levels"].iter().any(|path| route.path.starts_with(path));
                let is_refused = !is_allowed || (is_own && status == 403 && !is_safe);
                assert_eq!(status == 403, is_refused, "{route:?} {method} {status}");
            }
        }
    }
}

#[tokio::test]
async fn every_audience_has_routes_and_no_path_has_two() {
    let gateway = gateway().await;
    for audience in [Audience::Everyone, Audience::Clients, Audience::Admins] {
        assert!(of(&gateway, audience).count() > 3, "{audience:?}");
    }
    let mut paths: Vec<&str> = gateway.routes.iter().map(|route| route.path.as_str()).collect();
    paths.sort_unstable();
    assert!(paths.windows(2).all(|two| two[0] != two[1]), "{paths:?}");
    assert_eq!(
        ask(&gateway, "GET", "/console", Some("Bearer admin"), "").await,
        404,
        "what is not declared is not there"
    );
}
