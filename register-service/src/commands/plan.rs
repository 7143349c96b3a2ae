//! `plan`: shows the changes that `sync` would make, and the reasons. Only reads from the gateway.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use register_service::Settings;
use register_service::files::{Diagnostic, Offer, Unset, check_tools};
use register_service::plan::{Outcome, SavedPlan, saved};
use schemas::FingerprintSalt;
use serde_json::json;

use crate::cli::Plan;
use crate::commands::changes::{self, Declared};
use crate::commands::prepare::{self, Context, Prepared, Reach};
use crate::exit::Exit;
use crate::printer::clean;
use crate::report::{Report, chain};

const COMMAND: &str = "plan";

pub(super) async fn run(args: &Plan, context: &Context) -> anyhow::Result<Report> {
    let unset = if args.allow_unset { Unset::Warn } else { context.settings.unset };
    let settings = Settings { unset, ..context.settings.clone() };
    let loaded = match prepare::read(COMMAND, &args.changes.files, &settings) {
        Ok(loaded) => loaded,
        Err(report) => return Ok(report),
    };
    let policy = prepare::policy(&args.changes, context, &loaded.desired)?;
    context.printer.progress(&format!("comparing with {} as owner `{}`", context.settings.gateway, policy.owner));
    let mut prepared = match prepare::compare(COMMAND, loaded, policy, context).await {
        Ok(prepared) => prepared,
        Err(report) => return Ok(report),
    };
    prepared.keep_unresolved();
    let mut report = Report::new(COMMAND, prepared.remarks.clone());
    report.text = changes::planned(&prepared.plan, &Declared::of(&prepared.desired), context.printer);
    report.text += &not_known(&prepared);
    report.json = told(&prepared, context);
    report.diagnostics.extend(tool_remarks(&prepared, context).await);
    report = prepared.refuse(report, &prepare::guards(&args.changes), Reach::Everything);
    report = prepared.foretell(report, Reach::Everything);
    if let Some(path) = args.out.as_ref().filter(|_| report.exit == Exit::Done) {
        let saved = save(&prepared, context.settings.gateway.as_str(), new_salt()?);
        let saved = SavedPlan { gateway_version: version(context).await, ..saved };
        match write(path, &saved) {
            Ok(()) => {
                let next = format!("saved; `register-service sync --plan {}` carries it out", path.display());
                context.printer.progress(&next);
            }
            Err(error) => report = report.failed(Exit::Failed, format!("{error:#}"), None),
        }
    }
    remind(&prepared, context);
    if args.detailed_exitcode && report.exit == Exit::Done && !prepared.plan.is_empty() {
        report.exit = Exit::Changes;
    }
    Ok(report)
}

/// Lists the entries whose meaning depends on variables that are not set here.
fn not_known(prepared: &Prepared) -> String {
    let line = |(id, at): &(String, register_service::files::Location)| {
        clean(&format!("? {id}  ({at}: not known here, it needs variables that are not set)")).replace('\n', " ") + "\n"
    };
    prepared.desired.unresolved().iter().map(line).collect()
}

/// Checks the tools that actions name at the gateway. Returns warnings only, because applying the plan may change the
/// result.
async fn tool_remarks(prepared: &Prepared, context: &Context) -> Vec<Diagnostic> {
    if prepared.desired.tools().is_empty() {
        return Vec::new();
    }
    match context.client.list_all_tools().await {
        Ok(tools) => {
            let offer = Offer { registrations: &prepared.observed, tools: &tools };
            check_tools(&prepared.desired, offer).into_iter().map(Diagnostic::as_warning).collect()
        }
        Err(error) => {
            context.printer.progress(&format!("tools were not checked: {}", chain(&error)));
            Vec::new()
        }
    }
}

/// Returns the JSON result of `plan` and of `sync --dry-run`.
pub(super) fn told(prepared: &Prepared, context: &Context) -> serde_json::Value {
    json!({
        "gateway": context.settings.gateway.as_str(),
        "owner": prepared.policy.owner.as_str(),
        "dryRun": true,
        "notKnown": prepared.desired.unresolved().iter().map(|(id, at)| json!({ "id": id, "source": at.to_string() }))
            .collect::<Vec<_>>(),
        "changes": changes::objects(&prepared.plan, &Outcome::new()),
        "summary": changes::Summary::of(&prepared.plan, &Outcome::new()),
    })
}

/// Reminds the user of registrations that stay although no file declares them any more.
pub(super) fn remind(prepared: &Prepared, context: &Context) {
    prepared.warn_of_others(context.printer);
    let left = prepared.left();
    if !left.is_empty() {
        let names = left.join("`, `");
        context.printer.progress(&format!("declared nowhere any more: `{names}`; --prune owned removes what is left"));
    }
}

/// Returns the gateway's version, if it reports one.
async fn version(context: &Context) -> Option<String> {
    context.client.health().await.ok().map(|health| health.version).filter(|version| !version.is_empty())
}

/// Warns if a saved plan was made with another version of the gateway, which may normalize definitions differently.
pub(super) async fn compare_version(saved: &SavedPlan, context: &Context) {
    let now = version(context).await;
    if let (Some(then), Some(now)) = (&saved.gateway_version, now)
        && *then != now
    {
        context.printer.progress(&format!("the plan was made with version {then} of the gateway, which is {now} now"));
    }
}

/// Reads a saved plan.
pub(super) fn read(path: &Path) -> anyhow::Result<SavedPlan> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read the plan `{}`", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("`{}` is no plan", path.display()))
}

pub(super) fn save(prepared: &Prepared, gateway: &str, salt: FingerprintSalt) -> SavedPlan {
    let found = (prepared.definitions.as_slice(), prepared.observed.as_slice());
    saved(&prepared.plan, found, &prepared.policy, gateway, salt)
}

fn write(path: &Path, saved: &SavedPlan) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(saved)? + "\n";
    fs::write(path, text).with_context(|| format!("cannot write the plan `{}`", path.display()))
}

fn new_salt() -> anyhow::Result<FingerprintSalt> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no randomness: {error}"))?;
    Ok(FingerprintSalt::new(random))
}
