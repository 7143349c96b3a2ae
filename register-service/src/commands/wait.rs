//! `wait`: waits until upstreams are connected, and lists those that are not.

use std::collections::BTreeSet;

use proxy_client::Needs;
use register_service::load;
use schemas::{ServerName, format_duration};
use serde_json::json;

use crate::cli::Wait;
use crate::commands::prepare::{self, Context};
use crate::commands::progress;
use crate::exit::Exit;
use crate::report::{Report, chain, count};

const COMMAND: &str = "wait";

pub(super) async fn run(args: &Wait, context: &Context) -> Report {
    let (declared, remarks) = match args.paths.is_empty() {
        true => (Vec::new(), Vec::new()),
        false => match load(&args.paths, &context.settings) {
            Ok(loaded) => (loaded.desired.names(), loaded.remarks),
            Err(invalid) => return Report::invalid(COMMAND, invalid),
        },
    };
    let is_optional = |name: &ServerName| args.optional.contains(name);
    let required = declared.iter().chain(&args.names).filter(|name| !is_optional(name));
    let required: BTreeSet<&ServerName> = required.collect();
    let limit = format_duration(args.timeout);
    context.printer.progress(&format!("waiting up to {limit} for {}", count(required.len(), "upstream")));
    // Optional upstreams are waited for as long as the others, because the user named them.
    let needs = Needs::required(required.iter().copied().chain(&args.optional).cloned());
    let mut readiness = progress::wait(context.printer, &context.client, &needs, args.timeout).await;
    let late = std::mem::take(&mut readiness.missing).into_iter();
    (readiness.absent, readiness.missing) = late.partition(|one| is_optional(&one.name));
    let absent: Vec<String> = readiness.absent.iter().map(ToString::to_string).collect();
    let mut report = Report::new(COMMAND, remarks);
    report.text = format!("ready {} of {}\n", required.len() - readiness.missing.len(), required.len());
    for one in &absent {
        report.text += &format!("optional, not ready: {one}\n");
    }
    report.json = json!({
        "required": required,
        "missing": readiness.missing.iter().map(|one| json!({
            "name": one.name, "state": one.state, "lastError": one.last_error,
        })).collect::<Vec<_>>(),
        "optionalMissing": absent,
    });
    match readiness.into_result() {
        Ok(_optional) => report,
        Err(late) => {
            let exit = late.source.as_ref().map_or(Exit::NotReady, Exit::of);
            let hint = match &late.source {
                Some(_) => prepare::hint(exit),
                None => Some("the gateway keeps trying; `register-service status` says why"),
            };
            report.failed(exit, format!("not ready within {limit}: {}", chain(&late)), hint)
        }
    }
}
