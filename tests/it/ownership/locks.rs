//! Locks of owners: one run at a time for each owner.

use futures_util::future::join_all;
use harness::{Admin, Answer, eventually, gateway};
use serde_json::{Value, json};

use super::{is, refuses, time};

async fn lock(admin: &Admin, owner: &str, body: Value) -> Answer {
    admin.put(&format!("/admin/locks/{owner}"), body).await
}

/// Takes a lock and returns its token.
async fn taken(admin: &Admin, owner: &str, holder: &str, ttl: &str) -> String {
    let answer = lock(admin, owner, json!({ "holder": holder, "ttl": ttl })).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["token"].as_str().expect("a token").to_owned()
}

/// Checks that a lock is refused because of this holder. The times are only compared with each other.
#[track_caller]
fn is_held_by(answer: &Answer, holder: &str) {
    let mut body = answer.json();
    assert!(time(&body["since"].take()) < time(&body["expiresAt"].take()));
    let expected = json!({
        "error": "Owner is locked", "code": "lock_held", "holder": holder, "since": null, "expiresAt": null,
    });
    assert_eq!((answer.status, body), (409, expected));
}

#[tokio::test]
async fn a_lock_that_is_held_is_refused_with_who_holds_it() {
    let gateway = gateway().start().await;
    let answer = lock(&gateway.admin, "team-a", json!({ "holder": "one", "ttl": "30s" })).await;
    let mut grant = answer.json();
    let lasts = time(&grant["expiresAt"].take()).duration_since(time(&grant["since"].take()));
    assert!((29..=31).contains(&lasts.as_secs()), "{lasts}");
    assert_eq!(grant["token"].take().as_str().map(str::len), Some(32));
    is(&answer, 200, answer.json());
    assert_eq!(grant, json!({ "token": null, "holder": "one", "since": null, "expiresAt": null }));
    for token in [Value::Null, json!("guessed")] {
        let body = json!({ "holder": "two", "ttl": "30s", "token": token });
        is_held_by(&lock(&gateway.admin, "team-a", body).await, "one");
    }
    taken(&gateway.admin, "team-b", "two", "30s").await;
}

#[tokio::test]
async fn its_token_renews_and_releases_a_lock_and_no_other_does() {
    let gateway = gateway().start().await;
    let token = taken(&gateway.admin, "team-a", "one", "30s").await;
    let renewed = lock(&gateway.admin, "team-a", json!({ "holder": "one", "ttl": "5m", "token": token })).await.json();
    assert_eq!(renewed["token"], token);
    let lasts = time(&renewed["expiresAt"]).duration_since(time(&renewed["since"]));
    assert!((299..=330).contains(&lasts.as_secs()), "{lasts}");
    let nothing = json!({
        "error": "Lock not found", "details": "team-a is not locked with this token", "code": "no_such_lock",
    });
    is(&gateway.admin.delete("/admin/locks/team-a?token=guessed").await, 404, nothing.clone());
    is_held_by(&lock(&gateway.admin, "team-a", json!({ "holder": "two", "ttl": "30s" })).await, "one");
    let path = format!("/admin/locks/team-a?token={token}");
    assert_eq!(gateway.admin.delete(&path).await.status, 204);
    is(&gateway.admin.delete(&path).await, 404, nothing);
    taken(&gateway.admin, "team-a", "two", "30s").await;
}

#[tokio::test]
async fn a_lock_ends_by_itself_and_is_not_taken_again_by_renewing() {
    let gateway = gateway().start().await;
    let token = taken(&gateway.admin, "team-a", "one", "1s").await;
    let ends = lock(&gateway.admin, "team-a", json!({ "holder": "one", "ttl": "1s", "token": token })).await.json();
    let other = eventually("another can take it", || async {
        let answer = lock(&gateway.admin, "team-a", json!({ "holder": "two", "ttl": "30s" })).await;
        (answer.status == 200).then(|| answer.json()["token"].as_str().expect("a token").to_owned())
    })
    .await;
    assert!(time(&ends["expiresAt"]) <= jiff::Timestamp::now(), "not before its time");
    let late = json!({ "holder": "one", "ttl": "30s", "token": token, "renew": true });
    is_held_by(&lock(&gateway.admin, "team-a", late.clone()).await, "two");
    assert_eq!(gateway.admin.delete(&format!("/admin/locks/team-a?token={token}")).await.status, 404);
    assert_eq!(gateway.admin.delete(&format!("/admin/locks/team-a?token={other}")).await.status, 204);
    assert_eq!(lock(&gateway.admin, "team-a", late).await.status, 404, "it is free, and was lost all the same");
    let again = json!({ "holder": "one", "ttl": "30s", "token": token });
    assert_eq!(lock(&gateway.admin, "team-a", again).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_want_a_lock_at_once_one_gets_it() {
    let gateway = gateway().start().await;
    for owner in ["team-a", "team%20a%2Fb", "%C3%A9quipe"] {
        let answers = join_all((0..20).map(async |number| {
            lock(&gateway.admin, owner, json!({ "holder": format!("h{number}"), "ttl": "30s" })).await.status
        }))
        .await;
        assert_eq!(answers.iter().filter(|status| **status == 200).count(), 1, "{answers:?}");
        assert_eq!(answers.iter().filter(|status| **status == 409).count(), 19, "{answers:?}");
    }
}

#[tokio::test]
async fn a_caller_s_own_token_makes_a_request_that_may_come_twice() {
    let gateway = gateway().start().await;
    for _ in 0..2 {
        let answer = lock(&gateway.admin, "team-a", json!({ "holder": "one", "ttl": "30s", "token": "my own" })).await;
        assert_eq!((answer.status, answer.json()["token"].take()), (200, json!("my own")));
    }
    assert_eq!(gateway.admin.delete("/admin/locks/team-a?token=my%20own").await.status, 204);
}

#[tokio::test]
async fn there_is_a_bound_to_the_number_of_locks_that_those_who_hold_one_do_not_meet() {
    let gateway = gateway().start().await;
    let first = taken(&gateway.admin, "o0", "one", "10m").await;
    for number in 1..1_000 {
        taken(&gateway.admin, &format!("o{number}"), "one", "10m").await;
    }
    let answer = lock(&gateway.admin, "one-more", json!({ "holder": "one", "ttl": "10m" })).await;
    refuses(&answer, 503, "Limit reached", "1000 owners are locked, the most there may be");
    let renewal = json!({ "holder": "one", "ttl": "10m", "token": first });
    assert_eq!(lock(&gateway.admin, "o0", renewal).await.status, 200);
    assert_eq!(gateway.admin.delete(&format!("/admin/locks/o0?token={first}")).await.status, 204);
    taken(&gateway.admin, "one-more", "one", "10m").await;
}
