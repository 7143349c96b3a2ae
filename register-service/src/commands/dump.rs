//! `dump`: registrations as a file that `sync` takes.

use proxy_client::Client;
use serde_json::json;

use crate::cli::Dump;
use crate::commands::{Report, listing};
use crate::exit::Exit;
use crate::printer::clean;

pub(super) async fn run(args: &Dump, client: &Client) -> Report {
    let report = Report::new("dump", Vec::new());
    let (mut report, listed) = match listing::list(report, client, &args.names, args.owner.as_ref()).await {
        Ok(listed) => listed,
        Err(report) => return report,
    };
    // Half of what was asked for would be taken for the whole behind a pipe.
    if report.exit == Exit::Done {
        report.text = clean(&register_service::dump(&listed));
        report.json = json!({ "yaml": report.text });
    }
    report
}
