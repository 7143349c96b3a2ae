//! `sync`: makes the gateway have what the files declare.

use std::collections::BTreeSet;

use proxy_client::Client;
use register_service::{
    Adopt, ApplyError, Change, Code, Desired, Diagnostic, Done, Outcome, Owner, Plan, Policy, Prune, Settings, apply,
    load, plan,
};
use schemas::admin::Registration;
use schemas::format_duration;
use serde_json::json;

use crate::cli::Sync;
use crate::commands::{Report, chain, changes, count};
use crate::exit::Exit;
use crate::printer::Printer;

const COMMAND: &str = "sync";
const CONCURRENCY: usize = 5;
const POLL_INTERVAL: std::time::Duration = std::time::Duration::from_millis(200);

pub(super) async fn run(sync: &Sync, settings: &Settings, client: &Client, printer: Printer) -> Report {
    let loaded = match load(&sync.files.paths, settings) {
        Ok(loaded) => loaded,
        Err(invalid) => return Report::invalid(COMMAND, invalid),
    };
    let desired = loaded.desired;
    let mut report = Report::new(COMMAND, loaded.remarks);
    let owner = owner(sync, &desired);
    printer.progress(&format!("syncing to {} as owner `{owner}`", settings.gateway));
    let observed = match client.list().await {
        Ok(observed) => observed,
        Err(error) => return unreachable(report, &error),
    };
    let adopt = if sync.adopt { Adopt::Anything } else { Adopt::Nothing };
    let policy = Policy { owner, adopt, prune: Prune::Nothing };
    let plan = plan(&desired.definitions(), &observed, &policy);
    let refused = plan.refused().count();
    let outcome = match sync.dry_run || refused > 0 {
        true => Outcome::new(),
        false => apply(client, &plan, CONCURRENCY).await,
    };
    report.text = changes::text(&plan, &outcome, printer.is_verbose());
    report.json = json!({
        "gateway": settings.gateway.as_str(),
        "owner": policy.owner.as_str(),
        "dryRun": sync.dry_run,
        "changes": changes::objects(&plan, &outcome),
        "summary": changes::Summary::of(&plan, &outcome),
    });
    if refused > 0 {
        return refuse(report, &plan);
    }
    report = settle(report, &outcome);
    if sync.wait && report.exit == Exit::Done {
        report = wait(report, sync, client, &desired, printer).await;
    } else {
        report = missing(report, &desired, &observed);
        if outcome.values().any(|result| matches!(result, Ok(Done::Created | Done::Updated { .. }))) {
            printer.progress("not waiting until upstreams are connected; --wait does");
        }
    }
    if sync.dry_run && sync.detailed_exitcode && report.exit == Exit::Done && !plan.is_empty() {
        report.exit = Exit::UsageOrChanges;
    }
    let direct = desired.entries().iter().filter(|entry| entry.name().is_none()).count();
    if plan.changes.is_empty() && direct > 0 {
        printer
            .progress(&format!("nothing says `use_proxy: true`; --all takes {} as if it did", count(direct, "entry")));
    }
    report
}

fn owner(sync: &Sync, desired: &Desired) -> Owner {
    let project = || desired.project().and_then(|name| name.parse().ok());
    sync.owner.clone().or_else(project).unwrap_or_default()
}

fn unreachable(report: Report, error: &proxy_client::Error) -> Report {
    let exit = Exit::of(error);
    let hint = match exit {
        Exit::NotReady => Some("start the gateway with `mcp-proxy`, or say where it is with --proxy-url"),
        Exit::Unauthorized => Some("give the admin token in MCP_PROXY_ADMIN_TOKEN"),
        _ => None,
    };
    report.failed(exit, chain(error), hint)
}

fn refuse(mut report: Report, plan: &Plan) -> Report {
    for change in plan.refused() {
        if let Change::Refuse { name, holder, .. } = change {
            let whose = holder.as_ref().map_or_else(|| "has no owner".to_owned(), |it| format!("belongs to `{it}`"));
            let hint = "rename the entry, sync as that owner with --owner, or take it over with --adopt";
            let message = format!("`{name}` is registered with other content and {whose}; nothing was changed");
            report = report.failed(Exit::Refused, message, Some(hint));
        }
    }
    report
}

/// What the failures come to: one of a kind if nothing was done, else a part.
fn settle(mut report: Report, outcome: &Outcome) -> Report {
    let kind = |failure: &ApplyError| match failure {
        ApplyError::Stale { .. } => Exit::Stale,
        failure => failure.gateway().map_or(Exit::Failed, Exit::of),
    };
    let failures: Vec<&ApplyError> = outcome.values().filter_map(|result| result.as_ref().err()).collect();
    for failure in &failures {
        report = report.failed(kind(failure), chain(failure), None);
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

/// Without waiting: entries that refer to an upstream the gateway does not have.
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

fn not_there(entry: &register_service::Entry, name: &schemas::ServerName) -> Diagnostic {
    let message = format!("the gateway has no upstream `{name}`");
    let hint = "register it first, or give this entry the `command` to create it from";
    Diagnostic::new(Code::MissingUpstream, &entry.location, message).hint(hint)
}

async fn wait(mut report: Report, sync: &Sync, client: &Client, desired: &Desired, printer: Printer) -> Report {
    let names = desired.names();
    let limit = format_duration(sync.timeout);
    printer.progress(&format!("waiting up to {limit} for {}", count(names.len(), "upstream")));
    let Err(late) = client.wait_for_connections(&names, POLL_INTERVAL, sync.timeout).await else {
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
}
