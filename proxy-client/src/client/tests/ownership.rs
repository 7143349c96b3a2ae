//! Tests of revisions, locks and leases, with gateways that support them and gateways that do not.

use schemas::admin::{LeaseRelease, Revision};
use schemas::{Holder, Owner};

use super::*;
use crate::client::conditional::Conditional;
use crate::client::lease::RegisteredLeased;
use crate::client::lock::{Lock, Locking, Renewal};
use crate::scripted::answer_with;

const TTL: Duration = Duration::from_secs(30);
const GRANT: &str =
    r#"{"token":"hush","holder":"me","since":"2025-10-01T10:00:00Z","expiresAt":"2025-10-01T10:00:30Z"}"#;
const HELD: &str = r#"{"error":"Owner is locked","code":"lock_held","holder":"other","since":"2025-10-01T10:00:00Z","expiresAt":"2025-10-01T10:00:30Z"}"#;
const NO_LOCK: &str = r#"{"error":"Lock not found","code":"no_such_lock"}"#;

fn holder() -> Holder {
    "me".parse().unwrap()
}

fn owner() -> Owner {
    "team a/b".parse().unwrap()
}

fn body(request: &str) -> &str {
    request.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

fn tagged(status: u16, revision: u64, body: &str) -> Line {
    answer_with(status, &format!("ETag: \"{revision}\""), body)
}

async fn playing(script: impl IntoIterator<Item = Line>) -> (Scripted, Client) {
    let gateway = Scripted::start(script).await;
    let client = gateway.client();
    (gateway, client)
}

async fn lock(client: &Client) -> Lock {
    match client.lock(&owner(), &holder(), TTL).await.unwrap() {
        Locking::Taken(lock) => lock,
        Locking::Held(held) => panic!("{held:?}"),
    }
}

#[tokio::test]
async fn a_conditional_change_carries_its_condition_on_every_attempt() {
    let (gateway, client) =
        playing([Line::Reset, answer(503, ""), tagged(200, 8, r#"{"message":"m","name":"fs"}"#)]).await;
    let Conditional::Done(updated) = client.update_if(&definition(), Revision::new(7)).await.unwrap() else { panic!() };
    assert_eq!((updated.warning, updated.revision), (None, Some(Revision::new(8))));
    let requests = gateway.requests();
    assert_eq!(requests.len(), 3);
    for request in &requests[1..] {
        assert_eq!(line(request), "PUT /admin/mcps/fs HTTP/1.1");
        assert!(request.contains("\r\nif-match: \"7\"\r\n"), "{request}");
    }

    let (gateway, client) = playing([Line::Reset, answer(204, "")]).await;
    assert_eq!(client.deregister_if(&name("fs"), Revision::new(7)).await.unwrap(), Conditional::Done(true));
    assert!(gateway.requests()[1].contains("\r\nif-match: \"7\"\r\n"));
}

#[tokio::test]
async fn a_state_that_has_passed_is_a_value_and_asked_once() {
    let stale = r#"{"error":"Registration has changed","details":"d","name":"fs","code":"stale_revision","revision":9,"owner":"x","more":1}"#;
    let (gateway, client) = playing([tagged(412, 9, stale)]).await;
    let refused = client.update_if(&definition(), Revision::new(7)).await.unwrap().done().map(drop).unwrap_err();
    assert_eq!((refused.revision, refused.owner.as_deref()), (Revision::new(9), Some("x")));
    let refused = client.deregister_if(&name("fs"), Revision::new(7)).await.unwrap().done().unwrap_err();
    assert_eq!(refused.revision, Revision::new(9));
    let refused = client.update_leased(&definition(), Some(Revision::new(7)), &holder(), TTL).await.unwrap();
    assert!(matches!(refused, Conditional::Stale(_)));
    assert_eq!(gateway.requests().len(), 3);
}

#[tokio::test]
async fn a_gateway_without_revisions_gives_none_back() {
    for header in ["X-Nothing: 1", "ETag: W/\"7\"", "ETag: \"abc\""] {
        let (_gateway, client) = playing([answer_with(200, header, "{}")]).await;
        let Conditional::Done(updated) = client.update_if(&definition(), Revision::new(7)).await.unwrap() else {
            panic!()
        };
        assert_eq!(updated.revision, None, "{header}");
    }
    let (_gateway, client) = playing([answer(200, REGISTERED)]).await;
    let shown = client.get(&name("gh")).await.unwrap().unwrap();
    assert_eq!((shown.revision, shown.leased, shown.leases.len()), (None, false, 0));
}

#[tokio::test]
async fn every_method_says_that_a_gateway_has_no_such_thing() {
    for (status, text) in [(404, "404 page not found"), (405, ""), (404, r#"{"error":"Not found"}"#)] {
        let (_one, has_locks) = playing([answer(200, GRANT)]).await;
        let lock = lock(&has_locks).await;
        let (gateway, client) = playing([answer(status, text)]).await;
        let errors = [
            (client.lock(&owner(), &holder(), TTL).await.unwrap_err(), "locks"),
            (client.renew(&lock, TTL).await.unwrap_err(), "locks"),
            (client.unlock(&lock).await.unwrap_err(), "locks"),
            (client.lease(&holder(), TTL, &[name("a")]).await.unwrap_err(), "leases"),
            (client.renew_leases(&holder(), TTL).await.unwrap_err(), "leases"),
            (client.release(&holder()).await.unwrap_err(), "leases"),
            (client.leases().await.unwrap_err(), "leases"),
        ];
        for (error, what) in errors {
            assert!(error.is_unsupported() && !error.is_not_found(), "{error}");
            assert_eq!((error.status(), error.code(), error.retries()), (Some(status), None, 0));
            assert_eq!(error.to_string(), format!("the gateway at `{}/` has no {what}", gateway.url()));
        }
        assert!(!client.has_ownership().await.unwrap());
    }
    let (_gateway, client) = playing([answer(200, r#"{"leases":[],"count":0}"#), answer(401, "")]).await;
    assert!(client.has_ownership().await.unwrap());
    assert!(client.has_ownership().await.unwrap_err().is_unauthorized(), "nobody knows");
}

#[tokio::test]
async fn a_lock_is_asked_for_with_one_token_however_often() {
    let (gateway, client) = playing([Line::Reset, answer(500, ""), answer(200, GRANT)]).await;
    let lock = lock(&client).await;
    assert_eq!((lock.owner.as_str(), lock.holder.as_str()), ("team a/b", "me"));
    assert_eq!(lock.expires_at, "2025-10-01T10:00:30Z");
    assert!(!format!("{lock:?}").contains("hush"), "{lock:?}");
    let requests = gateway.requests();
    assert_eq!(line(&requests[1]), "PUT /admin/locks/team%20a%2Fb HTTP/1.1");
    assert_eq!(body(&requests[1]), body(&requests[2]));
    assert!(body(&requests[1]).starts_with(r#"{"holder":"me","ttl":30000000000,"token":""#), "{}", requests[1]);
    self::lock(&client).await;
    assert_ne!(body(&gateway.requests()[3]), body(&requests[2]), "another lock has another token");
}

#[tokio::test]
async fn a_lock_of_another_is_a_value() {
    let (gateway, client) = playing([answer(409, HELD)]).await;
    let Locking::Held(held) = client.lock(&owner(), &holder(), TTL).await.unwrap() else { panic!() };
    assert_eq!((held.holder.as_str(), held.since.as_str()), ("other", "2025-10-01T10:00:00Z"));
    assert_eq!(gateway.requests().len(), 1);
}

#[tokio::test]
async fn a_lock_is_renewed_or_lost_and_given_back_with_its_token() {
    let script = [answer(200, GRANT), answer(200, GRANT), answer(404, NO_LOCK), answer(409, HELD)];
    let (gateway, client) = playing(script).await;
    let lock = lock(&client).await;
    assert_eq!(client.renew(&lock, TTL).await.unwrap(), Renewal::Renewed(lock.clone()));
    let renewal = r#"{"holder":"me","ttl":30000000000,"token":"hush","renew":true}"#;
    assert_eq!(body(&gateway.requests()[1]), renewal);
    assert_eq!(client.renew(&lock, TTL).await.unwrap(), Renewal::Lost(None));
    let lost = client.renew(&lock, TTL).await.unwrap();
    assert!(matches!(lost, Renewal::Lost(Some(held)) if held.holder.as_str() == "other"));

    let (gateway, client) = playing([answer(204, ""), answer(404, NO_LOCK)]).await;
    assert!(client.unlock(&lock).await.unwrap());
    assert!(!client.unlock(&lock).await.unwrap());
    assert_eq!(line(&gateway.requests()[0]), "DELETE /admin/locks/team%20a%2Fb?token=hush HTTP/1.1");
}

#[tokio::test]
async fn registering_with_a_lease_tells_whether_there_is_one() {
    let created = r#"{"message":"m","name":"fs","expiresAt":"2025-10-01T10:00:30Z"}"#;
    let script = [tagged(201, 7, created), answer(201, ""), tagged(201, 7, "{}"), answer(409, "")];
    let (gateway, client) = playing(script).await;
    let expected = [
        RegisteredLeased::Created { revision: Revision::new(7), expires_at: "2025-10-01T10:00:30Z".to_owned() },
        RegisteredLeased::CreatedForGood,
        RegisteredLeased::CreatedForGood,
        RegisteredLeased::AlreadyExists,
    ];
    for expected in expected {
        assert_eq!(client.register_leased(&definition(), &holder(), TTL).await.unwrap(), expected);
    }
    assert_eq!(line(&gateway.requests()[0]), "POST /admin/mcps?lease=me&ttl=30s HTTP/1.1");
}

#[tokio::test]
async fn registering_with_a_lease_is_sent_again_as_any_registration_is() {
    let (gateway, client) = playing([answer(503, ""), answer(409, "")]).await;
    let outcome = client.register_leased(&definition(), &holder(), TTL).await.unwrap();
    assert_eq!((outcome, gateway.requests().len()), (RegisteredLeased::AlreadyExists, 2));
    let (gateway, client) = playing([Line::Reset, answer(201, "")]).await;
    client.register_leased(&definition(), &holder(), TTL).await.unwrap_err();
    assert_eq!(gateway.requests().len(), 1, "whether it was done is not known");
}

#[tokio::test]
async fn leases_are_taken_renewed_listed_and_released() {
    let grant = r#"{"expiresAt":"2025-10-01T10:00:30Z","held":["a"],"missing":["b"]}"#;
    let list = r#"{"leases":[{"holder":"me","expiresAt":"2025-10-01T10:00:30Z","mcps":["a"]}],"count":1}"#;
    let script = [Line::Reset, answer(200, grant), answer(200, grant), answer(200, list), answer(503, "")];
    let (gateway, client) = playing(script.into_iter().chain([answer(200, r#"{"removed":["a"],"kept":[]}"#)])).await;
    let taken = client.lease(&holder(), TTL, &[name("a"), name("b")]).await.unwrap();
    assert_eq!((taken.held, taken.missing), (vec!["a".to_owned()], vec!["b".to_owned()]));
    client.renew_leases(&holder(), TTL).await.unwrap();
    assert_eq!(client.leases().await.unwrap()[0].mcps, ["a"]);
    let released = client.release(&holder()).await.unwrap();
    assert_eq!(released, LeaseRelease { removed: vec!["a".to_owned()], kept: vec![] });
    let requests = gateway.requests();
    let lines: Vec<&str> = requests.iter().map(|request| line(request)).collect();
    let (put, get) = ("PUT /admin/leases/me HTTP/1.1", "GET /admin/leases HTTP/1.1");
    let delete = "DELETE /admin/leases/me HTTP/1.1";
    assert_eq!(lines, ["", put, put, get, delete, delete]);
    assert_eq!(body(&requests[1]), r#"{"ttl":30000000000,"mcps":["a","b"]}"#);
    assert_eq!(body(&requests[2]), r#"{"ttl":30000000000}"#);
}
