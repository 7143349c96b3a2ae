//! `wait`: until upstreams are connected, or a list of those that are not.

use register_service::load;
use schemas::{ServerName, format_duration};
use serde_json::json;

use crate::cli::Wait;
use crate::commands::prepare::Context;
use crate::commands::sync::POLL_INTERVAL;
use crate::commands::{Report, chain, count};
use crate::exit::Exit;

const COMMAND: &str = "wait";

pub(super) async fn run(args: &Wait, context: &Context) -> Report {
    let (mut required, remarks) = match args.paths.is_empty() {
        true => (Vec::new(), Vec::new()),
        false => match load(&args.paths, &context.settings) {
            Ok(loaded) => (loaded.desired.names(), loaded.remarks),
            Err(invalid) => return Report::invalid(COMMAND, invalid),
        },
    };
    required.extend(args.names.iter().cloned());
    required.retain(|name| !args.optional.contains(name));
    required.sort();
    required.dedup();
    let limit = format_duration(args.timeout);
    context.printer.progress(&format!("waiting up to {limit} for {}", count(required.len(), "upstream")));
    let client = &context.client;
    let (late, optional) = tokio::join!(
        client.wait_for_connections(&required, POLL_INTERVAL, args.timeout),
        missing(&args.optional, args, context),
    );
    let mut report = Report::new(COMMAND, remarks);
    let absent = late.as_ref().err().map(|late| late.missing.clone()).unwrap_or_default();
    report.text = format!("ready {} of {}\n", required.len() - absent.len(), required.len());
    for one in &optional {
        report.text += &format!("optional, not ready: {one}\n");
    }
    report.json = json!({
        "required": required,
        "missing": absent.iter().map(|one| json!({
            "name": one.name, "state": one.state, "lastError": one.last_error,
        })).collect::<Vec<_>>(),
        "optionalMissing": optional,
    });
    match late {
        Ok(()) => report,
        Err(late) => {
            let exit = late.source.as_ref().map_or(Exit::NotReady, Exit::of);
            let hint = "the gateway keeps trying; `register-service status` says why";
            report.failed(exit, format!("not ready within {limit}: {}", chain(&late)), Some(hint))
        }
    }
}

/// What of these is not there in time, in words. Nobody fails for it.
async fn missing(names: &[ServerName], args: &Wait, context: &Context) -> Vec<String> {
    match context.client.wait_for_connections(names, POLL_INTERVAL, args.timeout).await {
        Ok(()) => Vec::new(),
        Err(late) => late.missing.iter().map(ToString::to_string).collect(),
    }
}
