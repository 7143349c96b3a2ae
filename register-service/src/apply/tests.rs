use super::*;
use crate::fake::{FakeGateway, named, stdio};
use crate::plan::{Adopt, Policy, Prune, plan};

fn pruning() -> Policy {
    Policy { prune: Prune::Owned, adopt: Adopt::Anything, ..Policy::default() }
}

async fn planned(gateway: &FakeGateway, desired: &[Definition]) -> Plan {
    plan(desired, &gateway.client().list().await.expect("a list"), &pruning())
}

fn told(outcome: &Outcome) -> Vec<String> {
    let line = |(name, result): (&ServerName, &Result<Done, ApplyError>)| match result {
        Ok(done) => format!("{name} {done:?}"),
        Err(error) => format!("{name} {error}"),
    };
    outcome.iter().map(line).collect()
}

#[tokio::test]
async fn applying_a_plan_makes_the_gateway_as_declared() {
    let gateway = FakeGateway::start().await;
    let first = planned(&gateway, &[stdio("a", "1"), stdio("b", "1"), stdio("c", "1")]).await;
    apply(&gateway.client(), &first, 2).await;
    gateway.requests();
    let desired = [stdio("a", "1"), stdio("b", "2"), stdio("d", "1")];
    let second = planned(&gateway, &desired).await;
    let outcome = apply(&gateway.client(), &second, 1).await;
    assert_eq!(told(&outcome), ["a Kept", "b Updated { warning: None }", "c Deleted", "d Created"]);
    let requests = gateway.requests();
    assert_eq!(requests, ["GET /admin/mcps", "PUT /admin/mcps/b", "POST /admin/mcps", "DELETE /admin/mcps/c"]);
    assert!(planned(&gateway, &desired).await.is_empty());
}

#[tokio::test]
async fn a_plan_that_no_longer_fits_is_stale() {
    let gateway = FakeGateway::start().await;
    gateway.put(stdio("b", "1"));
    let plan = planned(&gateway, &[stdio("a", "1"), stdio("b", "2")]).await;
    gateway.put(stdio("a", "9"));
    gateway.client().deregister(&named("b")).await.expect("removed");
    let outcome = apply(&gateway.client(), &plan, 5).await;
    let stale = |name: &str| format!("{name} `{name}` was changed at the gateway in the meantime");
    assert_eq!(told(&outcome), [stale("a"), stale("b")]);
}

#[tokio::test]
async fn one_failure_stops_nothing_else() {
    let gateway = FakeGateway::start().await;
    let mut mine = stdio("a", "1");
    mine.tags.insert(crate::plan::OWNER_TAG.to_owned(), Policy::default().owner.to_string());
    gateway.put(mine);
    gateway.fail("PUT /admin/mcps/a", 500);
    let plan = planned(&gateway, &[stdio("a", "2"), stdio("b", "1")]).await;
    assert_eq!(told(&apply(&gateway.client(), &plan, 1).await), ["a cannot update `a`", "b Created"]);
}
