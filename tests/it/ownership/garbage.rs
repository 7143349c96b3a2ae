//! Invalid requests are refused with the name of the invalid member, and change nothing.

use harness::gateway;
use reqwest::Method;
use serde_json::json;

use super::{names, nowhere, refuses};

#[tokio::test]
async fn a_request_that_makes_no_sense_is_refused_with_the_member_that_is_wrong() {
    let gateway = gateway().start().await;
    let lock = [
        ("", "invalid JSON payload: EOF"),
        ("[]", "invalid JSON payload: expected an object"),
        ("7", "invalid JSON payload: invalid type: integer"),
        ("{}", "invalid JSON payload: missing field `holder`"),
        (r#"{"holder":"h"}"#, "invalid JSON payload: missing field `ttl`"),
        (r#"{"holder":"h","ttl":"30s","tokn":"x"}"#, "invalid JSON payload: `tokn`: unknown field `tokn`"),
        (r#"{"holder":"h","holder":"i","ttl":"30s"}"#, "invalid JSON payload: duplicate field `holder`"),
        (r#"{"holder":7,"ttl":"30s"}"#, "invalid JSON payload: `holder`: invalid type"),
        (r#"{"holder":"","ttl":"30s"}"#, "invalid JSON payload: `holder`: a holder is 1 to 128 printable"),
        (r#"{"holder":"a\nb","ttl":"30s"}"#, "invalid JSON payload: `holder`: a holder is 1 to 128 printable"),
        (r#"{"holder":"h","ttl":"soon"}"#, "invalid JSON payload: `ttl`: invalid duration `soon`"),
        (r#"{"holder":"h","ttl":"999ms"}"#, "`ttl` must be from 1s to 10m"),
        (r#"{"holder":"h","ttl":"10m1s"}"#, "`ttl` must be from 1s to 10m"),
        (r#"{"holder":"h","ttl":-1}"#, "`ttl` must be from 1s to 10m"),
        (r#"{"holder":"h","ttl":"30s","token":""}"#, "`token` must be 1 to 128 printable characters"),
        (r#"{"holder":"h","ttl":"30s","token":"a\tb"}"#, "`token` must be 1 to 128 printable characters"),
        (r#"{"holder":"h","ttl":"30s","renew":true}"#, "`token` is required to renew a lock"),
        (r#"{"holder":"h","ttl":"30s","renew":"yes"}"#, "invalid JSON payload: `renew`: invalid type"),
    ];
    for (body, details) in lock {
        refuses(&gateway.admin.put("/admin/locks/o", body).await, 400, "Invalid request", details);
    }
    let many = format!(r#"{{"ttl":"1h","mcps":[{}"x"]}}"#, r#""x","#.repeat(1_000));
    let lease = [
        ("null", "invalid JSON payload: invalid type: null"),
        ("{}", "invalid JSON payload: missing field `ttl`"),
        (r#"{"ttl":"30s","names":[]}"#, "invalid JSON payload: `names`: unknown field `names`"),
        (r#"{"ttl":"30s","mcps":"a"}"#, "invalid JSON payload: `mcps`: invalid type"),
        (r#"{"ttl":"30s","mcps":["a",7]}"#, "invalid JSON payload: `mcps[1]`: invalid type"),
        (r#"{"ttl":"61m"}"#, "`ttl` must be from 1s to 1h"),
        (r#"{"ttl":0}"#, "`ttl` must be from 1s to 1h"),
        (r#"{"ttl":9e99}"#, "invalid JSON payload: `ttl`: "),
        (&many, "`mcps` holds more than 1000 names"),
    ];
    for (body, details) in lease {
        refuses(&gateway.admin.put("/admin/leases/h", body).await, 400, "Invalid request", details);
    }
}

#[tokio::test]
async fn a_path_or_query_that_makes_no_sense_is_refused_with_the_part_that_is_wrong() {
    let gateway = gateway().start().await;
    gateway.admin.register(&nowhere("a")).await;
    let long = "x".repeat(129);
    for segment in ["%0A", "%20a", "%FF", &*long] {
        for (kind, member) in [("locks", "`owner`: "), ("leases", "`holder`: ")] {
            for method in [Method::PUT, Method::DELETE] {
                let request = gateway.admin.request(method, &format!("/admin/{kind}/{segment}?token=t"));
                let answer = harness::send(request.body(r#"{"ttl":"30s","holder":"h"}"#)).await;
                refuses(&answer, 400, "Invalid request", member);
            }
        }
    }
    for query in ["", "?token", "?token=a&token=b"] {
        let answer = gateway.admin.delete(&format!("/admin/locks/o{query}")).await;
        let status = if query == "?token" { 404 } else { 400 };
        assert_eq!(answer.status, status, "{query}: {}", answer.text);
    }
    for (query, details) in [
        ("lease=h", "`lease` needs `ttl` beside it"),
        ("ttl=30s", "`ttl` needs `lease` beside it"),
        ("lease=&ttl=30s", "`lease`: a holder is 1 to 128 printable"),
        ("lease=h&ttl=soon", "`ttl`: invalid duration `soon`"),
        ("lease=h&ttl=61m", "`ttl` must be from 1s to 1h"),
        ("lease=h&lease=i&ttl=30s", "`lease` and `ttl` may stand once each"),
    ] {
        let created = gateway.admin.post(&format!("/admin/mcps?{query}"), nowhere("b")).await;
        let changed = gateway.admin.put(&format!("/admin/mcps/a?{query}"), nowhere("a")).await;
        for answer in [created, changed] {
            refuses(&answer, 400, "Invalid request", details);
        }
    }
    let leases = gateway.admin.get("/admin/leases").await.json();
    assert_eq!((names(&gateway.admin).await, leases), (vec!["a".to_owned()], json!({ "leases": [], "count": 0 })));
}

#[tokio::test]
async fn the_paths_are_behind_the_admin_token() {
    let gateway = gateway().flags(["--admin-tokens", "t0"]).start().await;
    for path in ["/admin/leases", "/admin/leases/h", "/admin/locks/o"] {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            assert_eq!(harness::send(gateway.admin.request(method, path)).await.status, 401);
        }
    }
    assert_eq!(gateway.admin.with_token("t0").get("/admin/leases").await.status, 200);
}
