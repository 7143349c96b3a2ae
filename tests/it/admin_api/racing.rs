//! Concurrent requests to the admin API.

use futures_util::future::{join, join_all};
use harness::fake::{Via, fake};
use harness::{eventually, gateway};
use serde_json::json;

use super::{nowhere, with};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_registrations_at_once_all_connect() {
    let gateway = gateway().start().await;
    let upstream = fake("any").echo("say").start(Via::Json).await;
    let names: Vec<String> = (0..10).map(|number| format!("n{number}")).collect();
    join_all(names.iter().map(async |name| {
        gateway.admin.connect(&with(upstream.definition(), json!({ "name": name }))).await;
    }))
    .await;
    let listed = gateway.admin.get("/admin/mcps").await.json();
    assert_eq!(listed["count"], 10);
    let metrics = gateway.admin.get("/admin/metrics").await.json();
    assert_eq!(metrics["metrics"]["connected"], 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_registrations_of_one_name_one_is_created_and_starts_one_process() {
    let gateway = gateway().start().await;
    for number in 0..10 {
        let name = format!("n{number}");
        let upstream = fake(&name).start(Via::Stdio).await;
        let answers = join_all((0..8).map(|_| gateway.admin.post("/admin/mcps", upstream.definition()))).await;
        let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
        gateway.admin.connected(&name).await;
        assert_eq!(upstream.live(), 1, "the losers start no process");
    }
}

#[tokio::test]
async fn a_name_is_free_again_as_soon_as_it_is_deregistered() {
    let gateway = gateway().start().await;
    let upstream = fake("a").start(Via::Stdio).await;
    gateway.admin.register(&upstream.definition()).await;
    for _ in 0..20 {
        assert_eq!(gateway.admin.delete("/admin/mcps/a").await.status, 204);
        gateway.admin.register(&upstream.definition()).await;
    }
    gateway.admin.connected("a").await;
    eventually("one process is left", || async { (upstream.live() == 1).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn registering_and_deregistering_at_once_leaves_no_upstream_without_a_registration() {
    let gateway = gateway().start().await;
    for _ in 0..200 {
        let register = join_all((0..4).map(|_| gateway.admin.post("/admin/mcps", nowhere("a"))));
        let deregister = join_all((0..4).map(|_| gateway.admin.delete("/admin/mcps/a")));
        join(register, deregister).await;
        let registered = gateway.admin.get("/admin/mcps").await.json()["count"].take();
        let running = gateway.admin.get("/admin/metrics").await.json()["metrics"]["total_clients"].take();
        assert_eq!(running, registered);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_changes_at_once_the_stored_one_is_the_running_one() {
    let gateway = gateway().start().await;
    let upstreams = [fake("a").echo("zero").start(Via::Json).await, fake("a").echo("one").start(Via::Json).await];
    gateway.admin.register(&upstreams[0].definition()).await;
    for _ in 0..30 {
        let changes = upstreams.each_ref().map(|upstream| gateway.admin.put("/admin/mcps/a", upstream.definition()));
        for answer in join_all(changes).await {
            assert_eq!(answer.status, 200);
        }
        let stored = gateway.admin.get("/admin/mcps/a").await.json()["definition"]["url"].take();
        let expected = if stored == upstreams[0].definition()["url"] { "zero" } else { "one" };
        eventually("the stored one's tools are listed", || async {
            (gateway.admin.get("/admin/tools").await.json()["tools"][0]["name"] == expected).then_some(())
        })
        .await;
    }
}
