//! Revisions, locks and leases through our own client.

use std::time::Duration;

use harness::{eventually, gateway};
use proxy_client::{Client, Conditional, Locking, Registered, RegisteredLeased, Renewal};
use schemas::admin::{LeaseRelease, Registration};
use schemas::{Definition, ServerName};
use serde_json::json;

use super::{nowhere, with};

const HOUR: Duration = Duration::from_secs(3600);
const HALF_MINUTE: Duration = Duration::from_secs(30);

fn definition(name: &str, description: &str) -> Definition {
    let definition = with(nowhere(name), json!({ "description": description, "tags": { "owner": "team a/b" } }));
    serde_json::from_value(definition).expect("a definition")
}

fn client(url: &str) -> Client {
    Client::builder(url).build().expect("a client")
}

async fn registered(client: &Client, name: &ServerName) -> Registration {
    client.get(name).await.expect("an answer").expect("a registration")
}

#[tokio::test]
async fn a_change_meets_the_state_it_was_meant_for_or_nothing() {
    let gateway = gateway().start().await;
    let client = client(&gateway.url);
    assert!(client.has_ownership().await.expect("an answer"));
    assert_eq!(client.register(&definition("a", "0")).await.expect("registered"), Registered::Created);
    let name = definition("a", "").name;
    let old = registered(&client, &name).await.revision.expect("a revision");
    let Conditional::Done(updated) = client.update_if(&definition("a", "1"), old).await.expect("an answer") else {
        panic!("it was current")
    };
    let current = updated.revision.expect("a revision");
    assert!(current > old);
    let again = client.update_if(&definition("a", "1"), old).await.expect("an answer");
    assert_eq!(again, Conditional::Done(updated), "a second delivery is no second change");
    for refused in [
        client.update_if(&definition("a", "2"), old).await.expect("an answer").done().map(drop),
        client.deregister_if(&name, old).await.expect("an answer").done().map(drop),
    ] {
        let stale = refused.expect_err("it was stale");
        assert_eq!((stale.revision, stale.owner.as_deref()), (current, Some("team a/b")));
    }
    assert_eq!(client.deregister_if(&name, current).await.expect("an answer"), Conditional::Done(true));
    assert_eq!(client.deregister_if(&name, current).await.expect("an answer"), Conditional::Done(false));
    assert!(client.update_if(&definition("a", "1"), current).await.expect_err("nothing to change").is_not_found());
}

#[tokio::test]
async fn a_lock_is_taken_renewed_given_back_and_lost() {
    let gateway = gateway().start().await;
    let client = client(&gateway.url);
    let owner = "team a/b".parse().expect("an owner");
    let (one, two) = ("one".parse().expect("a holder"), "two".parse().expect("a holder"));
    let Locking::Taken(lock) = client.lock(&owner, &one, HALF_MINUTE).await.expect("an answer") else {
        panic!("it was free")
    };
    let Locking::Held(held) = client.lock(&owner, &two, HALF_MINUTE).await.expect("an answer") else {
        panic!("it was held")
    };
    assert_eq!((&held.holder, &held.since), (&one, &lock.since));
    assert!(matches!(client.lock(&owner, &one, HALF_MINUTE).await, Ok(Locking::Held(_))), "of one name are not one");
    let Renewal::Renewed(lock) = client.renew(&lock, 2 * HALF_MINUTE).await.expect("an answer") else {
        panic!("it was held")
    };
    assert!(lock.expires_at > held.expires_at);
    assert!(client.unlock(&lock).await.expect("an answer"));
    assert!(!client.unlock(&lock).await.expect("an answer"));
    assert_eq!(client.renew(&lock, HALF_MINUTE).await.expect("an answer"), Renewal::Lost(None));
    let Locking::Taken(other) = client.lock(&owner, &two, HALF_MINUTE).await.expect("an answer") else {
        panic!("it was free")
    };
    let Renewal::Lost(Some(held)) = client.renew(&lock, HALF_MINUTE).await.expect("an answer") else {
        panic!("it was lost")
    };
    assert_eq!((held.holder, held.since), (two, other.since));
    let error = client.lock(&owner, &one, HOUR).await.expect_err("too long");
    assert_eq!((error.status(), error.is_unsupported()), (Some(400), false));
}

#[tokio::test]
async fn two_workers_share_a_registration() {
    let gateway = gateway().start().await;
    let client = client(&gateway.url);
    let (one, two) = ("one".parse().expect("a holder"), "two".parse().expect("a holder"));
    let wanted = definition("a", "");
    let created = client.register_leased(&wanted, &one, HOUR).await.expect("an answer");
    assert!(matches!(created, RegisteredLeased::Created { .. }), "{created:?}");
    let taken = client.register_leased(&wanted, &two, HOUR).await.expect("an answer");
    assert_eq!(taken, RegisteredLeased::AlreadyExists);
    let names = [wanted.name.clone(), "missing".parse().expect("a name")];
    let grant = client.lease(&two, HOUR, &names).await.expect("an answer");
    assert_eq!((grant.held, grant.missing), (vec!["a".to_owned()], vec!["missing".to_owned()]));
    let revision = registered(&client, &wanted.name).await.revision;
    let updated = client.update_leased(&definition("a", "new"), revision, &two, HOUR).await.expect("an answer");
    assert!(matches!(updated, Conditional::Done(_)));
    let stale = client.update_leased(&definition("a", "newer"), revision, &two, HOUR).await.expect("an answer");
    assert!(matches!(stale, Conditional::Stale(_)));
    let shown = registered(&client, &wanted.name).await;
    assert!(shown.leased);
    assert_eq!(shown.leases.iter().map(|lease| &lease.holder).collect::<Vec<_>>(), [&one, &two]);
    let holders: Vec<_> = client.leases().await.expect("a list").into_iter().map(|held| held.holder).collect();
    assert_eq!(holders, [one.clone(), two.clone()]);

    let released = client.release(&one).await.expect("an answer");
    assert_eq!(released, LeaseRelease { removed: vec![], kept: vec!["a".to_owned()] });
    assert_eq!(client.renew_leases(&two, Duration::from_secs(1)).await.expect("an answer").held, ["a"]);
    eventually("it has gone with the other", || async {
        client.get(&wanted.name).await.expect("an answer").is_none().then_some(())
    })
    .await;
    assert!(client.renew_leases(&two, HOUR).await.expect("an answer").held.is_empty());
}
