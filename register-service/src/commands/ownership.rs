//! `adopt`, `release` and `deregister`: change the owner of a registration, or remove it.

use proxy_client::Client;
use register_service::plan::{
    ACTOR_TAG, Adopt, ApplyError, COMMIT_TAG, Change, Done, OWNER_TAG, Outcome, PROTECTED_TAG, Plan, Policy, RUN_TAG,
    SOURCE_TAG, apply, sharers,
};
use schemas::admin::Registration;
use schemas::{Definition, Owner, ServerName};
use serde_json::json;

use crate::cli;
use crate::commands::changes::{self, Declared};
use crate::commands::prepare::{self, Context, unreachable};
use crate::commands::sync::{CONCURRENCY, settle};
use crate::exit::Exit;
use crate::report::{Report, count};

/// Takes over registrations of other owners, or of nobody, that the files declare.
pub(super) async fn adopt(args: &cli::Adopt, context: &Context) -> Report {
    const COMMAND: &str = "adopt";
    let loaded = match prepare::read(COMMAND, &args.files, &context.settings) {
        Ok(loaded) => loaded,
        Err(report) => return report,
    };
    let owner = prepare::owner(args.owner.as_ref(), &loaded.desired);
    let adopt = if args.unowned { Adopt::Unowned } else { Adopt::Anything };
    let policy = Policy { adopt, claim: true, ..context.policy(owner) };
    let prepared = match prepare::compare(COMMAND, loaded, policy, context).await {
        Ok(prepared) => prepared,
        Err(report) => return report,
    };
    // Adopt existing registrations only; `sync` registers the others.
    let is_taken = |change: &Change| matches!(change, Change::Update { .. });
    let plan = Plan { changes: prepared.plan.changes.iter().filter(|it| is_taken(it)).cloned().collect() };
    let outcome = apply(&context.client, &plan, CONCURRENCY).await;
    let mut report = Report::new(COMMAND, prepared.remarks.clone());
    let declared = Declared::of(&prepared.desired);
    report.text = changes::text(&plan, &outcome, &declared, context.printer.is_verbose());
    report.json = json!({
        "gateway": context.settings.gateway.as_str(),
        "owner": prepared.policy.owner.as_str(),
        "changes": changes::objects(&plan, &outcome),
    });
    settle(report, &outcome)
}

/// Removes the owner's tags: the registrations stay, without an owner.
pub(super) async fn release(args: &cli::Release, client: &Client) -> Report {
    const COMMAND: &str = "release";
    let refusal = |name: &ServerName, it: &Registration| foreign(name, it, &args.owner);
    let found = match find(COMMAND, client, &args.names, refusal).await {
        Ok(found) => found,
        Err(report) => return report,
    };
    let mut outcome = Outcome::new();
    for (name, registration) in &found {
        outcome.insert(name.clone(), give_up(client, name, registration).await);
    }
    told(Report::new(COMMAND, Vec::new()), &outcome, "released")
}

async fn give_up(client: &Client, name: &ServerName, registration: &Registration) -> Result<Done, ApplyError> {
    let stale = || ApplyError::Stale { name: name.clone() };
    let mut definition = Definition::try_from(registration.definition.document().clone()).map_err(|_| stale())?;
    definition.tags.retain(|tag, _| ![OWNER_TAG, SOURCE_TAG, COMMIT_TAG, ACTOR_TAG, RUN_TAG].contains(&tag.as_str()));
    let change =
        Change::Update { definition: Box::new(definition), revision: registration.revision, reasons: Vec::new() };
    let mut outcome = apply(client, &Plan { changes: vec![change] }, 1).await;
    outcome.remove(name).unwrap_or_else(|| Err(stale()))
}

/// Removes registrations by name.
pub(super) async fn deregister(args: &cli::Deregister, client: &Client) -> Report {
    const COMMAND: &str = "deregister";
    let refusal = |name: &ServerName, it: &Registration| match args.force {
        true => None,
        false => foreign(name, it, &args.owner).or_else(|| protected(name, it)).or_else(|| shared(name, it)),
    };
    let found = match find(COMMAND, client, &args.names, refusal).await {
        Ok(found) => found,
        Err(report) => return report,
    };
    let changes = found.into_iter().map(|(name, it)| Change::Delete { name, revision: it.revision, source: None });
    let outcome = apply(client, &Plan { changes: changes.collect() }, CONCURRENCY).await;
    told(Report::new(COMMAND, Vec::new()), &outcome, "removed")
}

/// Reason why a registration is left alone, and a hint.
type Refusal = (String, &'static str);

fn foreign(name: &ServerName, registration: &Registration, owner: &Owner) -> Option<Refusal> {
    let whose = match registration.definition.owner() {
        Some(holder) if holder == owner.as_str() => return None,
        Some(holder) => format!("`{holder}`"),
        None => "nobody".to_owned(),
    };
    let message = format!("`{name}` belongs to {whose} and not to `{owner}`; nothing was changed");
    Some((message, "say whose it is with --owner"))
}

fn protected(name: &ServerName, registration: &Registration) -> Option<Refusal> {
    let tag = registration.definition.document().tags.get(PROTECTED_TAG);
    let message = || format!("`{name}` says `prevent_destroy`; nothing was changed");
    tag.filter(|value| *value == "true").map(|_| (message(), "remove it with --force"))
}

/// Refuses to remove a registration that another owner declares too.
fn shared(name: &ServerName, registration: &Registration) -> Option<Refusal> {
    let owners: Vec<String> = sharers(registration).iter().map(|owner| format!("`{owner}`")).collect();
    let message = || format!("`{name}` is declared by {} too; nothing was changed", owners.join(", "));
    let hint = "`sync --prune owned` hands it over when no file declares it; --force removes it all the same";
    (!owners.is_empty()).then(|| (message(), hint))
}

/// Returns the registrations of these names, if all of them exist and none is refused.
async fn find(
    command: &'static str,
    client: &Client,
    names: &[ServerName],
    refusal: impl Fn(&ServerName, &Registration) -> Option<Refusal>,
) -> Result<Vec<(ServerName, Registration)>, Report> {
    let mut report = Report::new(command, Vec::new());
    let mut listed = match client.list().await {
        Ok(listed) => listed,
        Err(error) => return Err(unreachable(report, &error)),
    };
    let mut found = Vec::new();
    for name in names {
        let Some(at) = listed.iter().position(|it| it.definition.name() == name.as_str()) else {
            report = report.failed(Exit::NotReady, format!("the gateway has no upstream `{name}`"), None);
            continue;
        };
        let registration = listed.swap_remove(at);
        if let Some((message, hint)) = refusal(name, &registration) {
            report = report.failed(Exit::Refused, message, Some(hint));
        }
        found.push((name.clone(), registration));
    }
    if report.exit == Exit::Done { Ok(found) } else { Err(report) }
}

fn told(mut report: Report, outcome: &Outcome, done: &str) -> Report {
    let names: Vec<&ServerName> = outcome.iter().filter(|(_, came)| came.is_ok()).map(|(name, _)| name).collect();
    report.text = names.iter().map(|name| format!("{done} {name}\n")).collect();
    report.text += &format!("{done} {}\n", count(names.len(), "registration"));
    report.json = json!({ "names": names });
    settle(report, outcome)
}
