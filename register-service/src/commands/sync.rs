//! `sync`: makes the registrations of the gateway match the files.

use std::collections::BTreeSet;

use anyhow::Context as _;
use proxy_client::{Client, Needs};
use register_service::files::{Code, Desired, Diagnostic};
use register_service::plan::{
    Adopt, ApplyError, Done, Outcome, Plan, Policy, SavedPlan, apply, apply_together, moved, saved_policy,
};
use schemas::admin::Registration;
use schemas::{Owner, format_duration};
use serde_json::json;

use crate::cli::Sync;
use crate::commands::changes::{self, Declared};
use crate::commands::lock::{self, NoLock};
use crate::commands::prepare::{self, Context, Prepared, Reach, unreachable};
use crate::commands::{plan as saved_plan, progress};
use crate::exit::Exit;
use crate::printer::Printer;
use crate::report::{Report, chain, count};

const COMMAND: &str = "sync";
pub(super) const CONCURRENCY: usize = 5;

pub(super) async fn run(sync: &Sync, context: &Context) -> anyhow::Result<Report> {
    let printer = context.printer;
    let loaded = match prepare::read(COMMAND, &sync.changes.files, &context.settings) {
        Ok(loaded) => loaded,
        Err(report) => return Ok(report),
    };
    let saved = sync.plan.as_deref().map(saved_plan::read).transpose()?;
    let policy = match &saved {
        Some(saved) => {
            let policy = saved_policy(saved).with_context(|| "the plan cannot be used")?;
            Policy { adopt: policy.adopt, prune: policy.prune, ..context.policy(policy.owner) }
        }
        None if sync.restore => {
            let adopt = if sync.changes.adopt { Adopt::Anything } else { Adopt::Nothing };
            Policy { adopt, restore: true, ..context.policy(Owner::default()) }
        }
        None => prepare::policy(&sync.changes, context, &loaded.desired)?,
    };
    let name = if policy.restore { "the owner of each".to_owned() } else { format!("owner `{}`", policy.owner) };
    printer.progress(&format!("syncing to {} as {name}", context.settings.gateway));
    if let Some(saved) = &saved {
        saved_plan::compare_version(saved, context).await;
    }
    Ok(match prepare::compare(COMMAND, loaded, policy, context).await {
        // An empty plan needs no lock.
        Ok(prepared) if sync.dry_run || prepared.plan.is_empty() => {
            apply_prepared(sync, prepared, saved.as_ref(), context).await
        }
        Ok(prepared) => locked(sync, prepared, saved.as_ref(), context).await,
        Err(report) => report,
    })
}

/// Applies the changes under the owner's lock, if the gateway has locks.
async fn locked(sync: &Sync, prepared: Prepared, saved: Option<&SavedPlan>, context: &Context) -> Report {
    match lock::take(context, &prepared.policy.owner, sync.lock_timeout).await {
        Ok(Some(lock)) => {
            let work = async {
                // The previous holder of the lock may have changed something.
                match prepared.again(COMMAND, context).await {
                    Ok(prepared) => apply_prepared(sync, prepared, saved, context).await,
                    Err(report) => report,
                }
            };
            lock::under(&context.client, lock, Box::pin(work)).await
        }
        Ok(None) => apply_prepared(sync, prepared, saved, context).await,
        Err(NoLock::Gateway(error)) => unreachable(Report::new(COMMAND, prepared.remarks), &error),
        Err(held) => {
            let hint =
                "wait for it, or give it longer with --lock-timeout; the lock of a run that was killed ends by itself";
            Report::new(COMMAND, prepared.remarks).failed(Exit::Refused, held.to_string(), Some(hint))
        }
    }
}

/// Applies the plan, unless it is refused.
async fn apply_prepared(sync: &Sync, prepared: Prepared, saved: Option<&SavedPlan>, context: &Context) -> Report {
    let (printer, client) = (context.printer, &context.client);
    let report = Report::new(COMMAND, prepared.remarks.clone());
    let reach = if sync.no_atomic { Reach::Itself } else { Reach::Everything };
    // The removals of a saved plan were reviewed when it was made, so the guards do not apply.
    let mut report = match saved {
        Some(saved) => refuse_moved(report, &prepared, saved, context),
        None => prepared.refuse(report, &prepare::guards(&sync.changes), reach),
    };
    if sync.dry_run {
        report = prepared.foretell(report, reach);
    }
    let declared = Declared::of(&prepared.desired);
    if sync.dry_run || report.exit != Exit::Done {
        report.text = changes::planned(&prepared.plan, &declared, printer);
        report.json = saved_plan::told(&prepared, context);
        report = missing(report, &prepared.desired, &prepared.observed);
        if sync.detailed_exitcode && report.exit == Exit::Done && !prepared.plan.is_empty() {
            report.exit = Exit::Changes;
        }
        return report;
    }
    let gateway = prepare::gateway_at(client);
    let outcome = match progress::during(printer, &gateway, apply_plan(sync, client, &prepared.plan, printer)).await {
        Ok(outcome) => outcome,
        Err(error) => return unreachable(report, &error),
    };
    report.text = changes::text(&prepared.plan, &outcome, &declared, printer.is_verbose());
    report.json = json!({
        "gateway": context.settings.gateway.as_str(),
        "owner": prepared.policy.owner.as_str(),
        "dryRun": false,
        "changes": changes::objects(&prepared.plan, &outcome),
        "summary": changes::Summary::of(&prepared.plan, &outcome),
    });
    let Prepared { desired, observed, .. } = &prepared;
    report = settle(report, &outcome);
    if sync.wait && report.exit == Exit::Done {
        report = wait(report, sync, client, desired, printer).await;
    } else {
        report = missing(report, desired, observed);
        if outcome.values().any(|result| matches!(result, Ok(Done::Created | Done::Updated { .. }))) {
            printer.progress("not waiting until upstreams are connected; --wait does");
        }
    }
    saved_plan::remind(&prepared, context);
    let direct = desired.entries().iter().filter(|entry| entry.name().is_none()).count();
    if prepared.plan.changes.is_empty() && direct > 0 {
        printer
            .progress(&format!("nothing says `use_proxy: true`; --all takes {} as if it did", count(direct, "entry")));
    }
    report
}

/// Applies all changes together, unless the gateway or the user wants them one by one.
async fn apply_plan(
    sync: &Sync,
    client: &Client,
    plan: &Plan,
    printer: Printer,
) -> Result<Outcome, proxy_client::Error> {
    if !sync.no_atomic {
        match apply_together(client, plan).await {
            Err(error) if error.is_unsupported() => {
                printer.progress("this gateway makes changes one by one: some can be made although others cannot");
            }
            outcome => return outcome,
        }
    }
    Ok(apply(client, plan, CONCURRENCY).await)
}

/// Adds the differences that make a saved plan stale, if there are any.
fn refuse_moved(mut report: Report, prepared: &Prepared, saved: &SavedPlan, context: &Context) -> Report {
    let now = saved_plan::save(prepared, context.settings.gateway.as_str(), saved.salt.clone());
    for moved in moved(saved, &now) {
        report = report.failed(Exit::Stale, format!("{moved}; nothing was changed"), Some("make a new plan"));
    }
    report
}

/// Adds the failures, and sets the exit code: `Partial` if something was changed, else the code that all failures
/// share, else `Failed`.
pub(super) fn settle(mut report: Report, outcome: &Outcome) -> Report {
    let kind = |failure: &ApplyError| match failure {
        ApplyError::Stale { .. } => Exit::Stale,
        ApplyError::Refused { .. } => Exit::Refused,
        failure => failure.gateway().map_or(Exit::Failed, Exit::of),
    };
    let failed = outcome.values().filter_map(|result| result.as_ref().err());
    let (withheld, failures): (Vec<&ApplyError>, Vec<_>) =
        failed.partition(|failure| matches!(failure, ApplyError::Withheld { .. }));
    if !withheld.is_empty() {
        let message = format!("nothing was changed: {} can be made, but not all", count(withheld.len(), "change"));
        report = report.failed(Exit::Failed, message, Some("mend the others, or make those with --no-atomic"));
    }
    for failure in failures.iter().copied() {
        let hint = match failure {
            ApplyError::Refused { why, .. } => Some(prepare::advice(why)),
            failure => prepare::hint(kind(failure)),
        };
        report = report.failed(kind(failure), chain(failure), hint);
    }
    let touched = outcome.values().any(|result| matches!(result, Ok(done) if *done != Done::Kept));
    let same = failures.iter().all(|failure| kind(failure) == report.exit);
    report.exit = match (failures.is_empty(), touched, same) {
        (true, _, _) => Exit::Done,
        (false, true, _) => Exit::Partial,
        (false, false, true) => report.exit,
        (false, false, false) => Exit::Failed,
    };
    report
}

/// Reports entries that refer to an upstream which the gateway does not have. Used without `--wait`.
fn missing(mut report: Report, desired: &Desired, observed: &[Registration]) -> Report {
    let names: BTreeSet<&str> = observed.iter().map(|it| it.definition.name()).collect();
    for (entry, name) in desired.references() {
        if !names.contains(name.as_str()) {
            report.diagnostics.push(not_there(entry, name));
            report.exit = if report.exit == Exit::Done { Exit::NotReady } else { report.exit };
        }
    }
    report
}

pub(super) fn not_there(entry: &register_service::files::Entry, name: &schemas::ServerName) -> Diagnostic {
    let message = format!("the gateway has no upstream `{name}`");
    let hint = "register it first, or give this entry the `command` to create it from";
    Diagnostic::new(Code::MissingUpstream, &entry.location, message).hint(hint)
}

async fn wait(mut report: Report, sync: &Sync, client: &Client, desired: &Desired, printer: Printer) -> Report {
    let names = desired.names();
    let limit = format_duration(sync.timeout);
    printer.progress(&format!("waiting up to {limit} for {}", count(names.len(), "upstream")));
    let needs = Needs::required(names.iter().cloned());
    let Err(late) = progress::wait(printer, client, &needs, sync.timeout).await.into_result() else {
        report.text += &format!("ready {}\n", names.len());
        return report;
    };
    for (entry, name) in desired.references() {
        if late.missing.iter().any(|missing| missing.name == *name && missing.state.is_none()) && late.source.is_none()
        {
            report.diagnostics.push(not_there(entry, name));
        }
    }
    report.text += &format!("ready {} of {}\n", names.len() - late.missing.len(), names.len());
    let message = format!("not ready within {limit}: {}", chain(&late));
    report.failed(Exit::NotReady, message, Some("the gateway keeps trying; `lastError` in its status says why"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(results: &[(&str, Result<Done, ()>)], expected: Exit) {
        let stale = |name: &schemas::ServerName| ApplyError::Stale { name: name.clone() };
        let named = results.iter().map(|(name, result)| (name.parse::<schemas::ServerName>().expect(name), result));
        let outcome = named.map(|(name, result)| (name.clone(), result.clone().map_err(|()| stale(&name)))).collect();
        assert_eq!(settle(Report::new(COMMAND, Vec::new()), &outcome).exit, expected, "{results:?}");
    }

    #[test]
    fn the_exit_says_whether_all_some_or_nothing_was_done() {
        check(&[], Exit::Done);
        check(&[("a", Ok(Done::Created)), ("b", Ok(Done::Kept))], Exit::Done);
        check(&[("a", Ok(Done::Created)), ("b", Err(()))], Exit::Partial);
        check(&[("a", Ok(Done::Kept)), ("b", Err(()))], Exit::Stale);
    }

    #[test]
    fn what_was_withheld_does_not_hide_why() {
        let name = |name: &str| name.parse::<schemas::ServerName>().expect(name);
        let withheld = Err(ApplyError::Withheld { name: name("a") });
        let outcome = [(name("a"), withheld), (name("b"), Err(ApplyError::Stale { name: name("b") }))].into();
        assert_eq!(settle(Report::new(COMMAND, Vec::new()), &outcome).exit, Exit::Stale);
    }
}
