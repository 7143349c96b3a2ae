//! Registrations that exist for as long as a holder needs them.

use futures_util::future::join_all;
use harness::fake::{Via, fake};
use harness::{Admin, eventually, gateway};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{hold, is, names, nowhere, only_at, refuses, register_leased, shown, time};

async fn gone(admin: &Admin, name: &str) {
    let path = format!("/admin/mcps/{name}");
    eventually(&format!("{name} is gone"), || async { (admin.get(&path).await.status == 404).then_some(()) }).await;
}

/// Returns the leases of all holders, as `holder: names`.
async fn held(admin: &Admin) -> Vec<String> {
    let listed = admin.get("/admin/leases").await.json();
    let leases = listed["leases"].as_array().expect("a list");
    assert_eq!(listed["count"], leases.len());
    leases.iter().map(|one| format!("{}: {}", one["holder"].as_str().expect("a holder"), one["mcps"])).collect()
}

#[tokio::test]
async fn a_registration_outlives_one_of_its_two_holders_and_goes_with_the_other() {
    let gateway = gateway().start().await;
    let upstream = fake("a").start(Via::Stdio).await;
    register_leased(&gateway.admin, "one", "1h", &upstream.definition()).await;
    let grant = hold(&gateway.admin, "two", "1h", &["a"]).await;
    assert_eq!((&grant["held"], &grant["missing"]), (&json!(["a"]), &json!([])));
    gateway.admin.connected("a").await;
    let both = shown(&gateway.admin, "a").await;
    assert_eq!(
        (&both["leased"], &both["leases"][0]["holder"], &both["leases"][1]["holder"]),
        (&json!(true), &json!("one"), &json!("two"),)
    );
    assert_eq!(both["leases"][1]["expiresAt"], grant["expiresAt"]);

    hold(&gateway.admin, "one", "1s", &["a"]).await;
    eventually("the first is dead", || async { (held(&gateway.admin).await == [r#"two: ["a"]"#]).then_some(()) }).await;
    let one = shown(&gateway.admin, "a").await;
    assert_eq!((one["leases"].as_array().map(Vec::len), &one["revision"]), (Some(1), &both["revision"]));
    assert_eq!((gateway.admin.status("a").await["status"].take(), upstream.live()), (json!("connected"), 1));

    let ends = hold(&gateway.admin, "two", "1s", &["a"]).await["expiresAt"].take();
    gone(&gateway.admin, "a").await;
    let late = Timestamp::now().duration_since(time(&ends)).as_secs_f64();
    assert!((0.0..2.0).contains(&late), "{late} s after its time");
    eventually("its process is gone", || async { (upstream.live() == 0).then_some(()) }).await;
    assert_eq!((names(&gateway.admin).await.len(), held(&gateway.admin).await.len()), (0, 0));
}

#[tokio::test]
async fn what_was_registered_without_a_lease_stays_when_leases_end() {
    let gateway = gateway().start().await;
    gateway.admin.register(&nowhere("a")).await;
    register_leased(&gateway.admin, "one", "1h", &nowhere("b")).await;
    hold(&gateway.admin, "one", "1h", &["a", "b"]).await;
    assert_eq!(shown(&gateway.admin, "a").await.get("leased"), None);
    is(&gateway.admin.delete("/admin/leases/one").await, 200, json!({ "removed": ["b"], "kept": ["a"] }));
    assert_eq!(names(&gateway.admin).await, ["a"]);
    is(&gateway.admin.delete("/admin/leases/one").await, 200, json!({ "removed": [], "kept": [] }));
    hold(&gateway.admin, "two", "1s", &["a"]).await;
    eventually("the lease has ended", || async { held(&gateway.admin).await.is_empty().then_some(()) }).await;
    assert_eq!(names(&gateway.admin).await, ["a"]);
}

#[tokio::test]
async fn a_change_without_a_lease_makes_a_leased_registration_permanent() {
    let gateway = gateway().start().await;
    for name in ["declared", "leased"] {
        register_leased(&gateway.admin, "one", "1h", &nowhere(name)).await;
    }
    assert_eq!(gateway.admin.put("/admin/mcps/declared", nowhere("declared")).await.status, 200);
    let changed = gateway.admin.put("/admin/mcps/leased?lease=two&ttl=1h", nowhere("leased")).await.json();
    assert!(time(&changed["expiresAt"]) > Timestamp::now());
    let declared = shown(&gateway.admin, "declared").await;
    assert_eq!((declared.get("leased"), &declared["leases"][0]["holder"]), (None, &json!("one")));
    assert_eq!(shown(&gateway.admin, "leased").await["leased"], true);
    assert_eq!(held(&gateway.admin).await, [r#"one: ["declared","leased"]"#, r#"two: ["leased"]"#]);
    let released = gateway.admin.delete("/admin/leases/one").await;
    is(&released, 200, json!({ "removed": [], "kept": ["declared", "leased"] }));
    is(&gateway.admin.delete("/admin/leases/two").await, 200, json!({ "removed": ["leased"], "kept": [] }));
    assert_eq!(names(&gateway.admin).await, ["declared"]);
    // A lease does not limit a permanent registration.
    gateway.admin.put("/admin/mcps/declared?lease=two&ttl=1h", nowhere("declared")).await;
    is(&gateway.admin.delete("/admin/leases/two").await, 200, json!({ "removed": [], "kept": ["declared"] }));
}

#[tokio::test]
async fn declaring_what_is_leased_is_a_change_though_its_content_is_the_same() {
    let gateway = gateway().start().await;
    let old = register_leased(&gateway.admin, "one", "1h", &nowhere("a")).await.header("etag").to_owned();
    let leased = "/admin/mcps/a?lease=one&ttl=1h";
    let answer = gateway.admin.put(leased, nowhere("a")).await;
    let declare = async |tag: &str| only_at(&gateway.admin, reqwest::Method::PUT, "a", tag, nowhere("a")).await.status;
    assert_eq!(declare(&old).await, 412, "it is leased, and was to become permanent");
    assert_eq!(shown(&gateway.admin, "a").await["leased"], true);
    assert_eq!(declare(answer.header("etag")).await, 200);
    assert_eq!(declare(&old).await, 200, "by now it is as asked for");
}

#[tokio::test]
async fn a_holder_holds_exactly_what_it_names() {
    let gateway = gateway().start().await;
    for name in ["a", "b", "c"] {
        register_leased(&gateway.admin, "one", "1h", &nowhere(name)).await;
    }
    assert_eq!(held(&gateway.admin).await, [r#"one: ["a","b","c"]"#]);
    let grant = hold(&gateway.admin, "one", "1h", &["c", "no", "b", "c", "admin"]).await;
    assert_eq!((&grant["held"], &grant["missing"]), (&json!(["b", "c"]), &json!(["admin", "no"])));
    assert_eq!(names(&gateway.admin).await, ["b", "c"], "a was given back");
    let renewed = gateway.admin.put("/admin/leases/one", json!({ "ttl": 60_000_000_000_u64 })).await.json();
    assert_eq!((&renewed["held"], &renewed["missing"]), (&json!(["b", "c"]), &json!([])));
    assert!(time(&renewed["expiresAt"]) < time(&grant["expiresAt"]), "what a holder says last counts");
    let unknown = gateway.admin.put("/admin/leases/nobody", json!({ "ttl": "1h" })).await.json();
    assert_eq!((&unknown["held"], &unknown["missing"]), (&json!([]), &json!([])));
    hold(&gateway.admin, "one", "1h", &[]).await;
    assert_eq!((names(&gateway.admin).await.len(), held(&gateway.admin).await.len()), (0, 0));
}

#[tokio::test]
async fn a_taken_name_is_a_conflict_on_which_no_lease_is_taken() {
    let gateway = gateway().start().await;
    gateway.admin.register(&nowhere("a")).await;
    let answer = gateway.admin.post("/admin/mcps?lease=one&ttl=1h", nowhere("a")).await;
    is(&answer, 409, json!({ "error": "MCP already exists", "details": "MCP already exists: a" }));
    assert_eq!(held(&gateway.admin).await.len(), 0);
}

#[tokio::test]
async fn deregistering_ends_the_leases_and_the_next_of_that_name_has_none() {
    let gateway = gateway().start().await;
    register_leased(&gateway.admin, "one", "1h", &nowhere("a")).await;
    assert_eq!(gateway.admin.delete("/admin/mcps/a").await.status, 204);
    assert_eq!(held(&gateway.admin).await.len(), 0);
    register_leased(&gateway.admin, "two", "1h", &nowhere("a")).await;
    is(&gateway.admin.delete("/admin/leases/one").await, 200, json!({ "removed": [], "kept": [] }));
    assert_eq!(names(&gateway.admin).await, ["a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn workers_that_come_and_go_at_once_leave_no_upstream_without_a_registration() {
    let gateway = gateway().start().await;
    for _ in 0..100 {
        join_all((0..6).map(async |worker| {
            let holder = format!("w{worker}");
            let path = format!("/admin/mcps?lease={holder}&ttl=1h");
            let created = gateway.admin.post(&path, nowhere("a")).await.status;
            assert!([201, 409].contains(&created), "{created}");
            hold(&gateway.admin, &holder, "1h", &["a"]).await;
            gateway.admin.delete(&format!("/admin/leases/{holder}")).await;
        }))
        .await;
        let running = gateway.admin.get("/admin/metrics").await.json()["metrics"]["total_clients"].take();
        let registered = names(&gateway.admin).await;
        assert_eq!((running, registered, held(&gateway.admin).await), (json!(0), vec![], vec![]));
    }
}

#[tokio::test]
async fn there_is_a_bound_to_the_number_of_holders_and_nothing_is_done_beyond_it() {
    let gateway = gateway().start().await;
    gateway.admin.register(&nowhere("a")).await;
    for number in 0..1_000 {
        hold(&gateway.admin, &format!("h{number}"), "1h", &["a"]).await;
    }
    let before = shown(&gateway.admin, "a").await["revision"].take();
    let grasp = json!({ "ttl": "1h", "mcps": ["a"] });
    for answer in [
        gateway.admin.post("/admin/mcps?lease=one-more&ttl=1h", nowhere("b")).await,
        gateway.admin.put("/admin/mcps/a?lease=one-more&ttl=1h", nowhere("a")).await,
        gateway.admin.put("/admin/leases/one-more", grasp).await,
    ] {
        refuses(&answer, 503, "Limit reached", "1000 holders have leases, which is as many as there may be");
    }
    assert_eq!(
        (names(&gateway.admin).await, shown(&gateway.admin, "a").await["revision"].take()),
        (vec!["a".to_owned()], before)
    );
    gateway.admin.delete("/admin/leases/h0").await;
    register_leased(&gateway.admin, "one-more", "1h", &nowhere("b")).await;
    let all: Value = gateway.admin.get("/admin/leases").await.json()["count"].take();
    assert_eq!(all, 1_000);
}
