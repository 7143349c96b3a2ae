//! `dump`: registrations as a file that `sync` takes.

use proxy_client::Client;
use register_service::OWNER_TAG;
use schemas::admin::Registration;

use crate::cli::Dump;
use crate::commands::Report;
use crate::commands::prepare::unreachable;
use crate::exit::Exit;
use crate::printer::clean;

const COMMAND: &str = "dump";

pub(super) async fn run(args: &Dump, client: &Client) -> Report {
    let mut report = Report::new(COMMAND, Vec::new());
    let mut listed = match client.list().await {
        Ok(listed) => listed,
        Err(error) => return unreachable(report, &error),
    };
    listed.sort_by(|one, other| one.definition.name().cmp(other.definition.name()));
    for name in &args.names {
        if !listed.iter().any(|it| it.definition.name() == name.as_str()) {
            report = report.failed(Exit::NotReady, format!("the gateway has no upstream `{name}`"), None);
        }
    }
    let is_wanted = |it: &&Registration| {
        let owner = it.definition.document().tags.get(OWNER_TAG);
        (args.names.is_empty() || args.names.iter().any(|name| name.as_str() == it.definition.name()))
            && args.owner.as_ref().is_none_or(|wanted| owner.is_some_and(|owner| owner == wanted.as_str()))
    };
    listed.retain(|it| is_wanted(&it));
    report.text = clean(&register_service::dump(&listed));
    report.json = serde_json::json!({ "yaml": report.text });
    report
}
