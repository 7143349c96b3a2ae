//! `status`: what is registered, whose it is, and how it does.

use proxy_client::Client;
use register_service::{OWNER_TAG, SOURCE_TAG};
use schemas::admin::{Registration, State};
use serde_json::{Value, json};

use crate::cli::Status;
use crate::commands::{Report, listing};
use crate::printer::{Colour, Printer, clean};

pub(super) async fn run(args: &Status, client: &Client, printer: Printer) -> Report {
    let report = Report::new("status", Vec::new());
    let (report, listed) = match listing::list(report, client, &args.names, args.owner.as_ref()).await {
        Ok(listed) => listed,
        Err(report) => return report,
    };
    Report { text: table(&listed, printer), json: listed.iter().map(object).collect(), ..report }
}

fn tag<'a>(registration: &'a Registration, name: &str) -> Option<&'a str> {
    registration.definition.document().tags.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

fn object(registration: &Registration) -> Value {
    let status = &registration.status;
    json!({
        "name": registration.definition.name(),
        "state": status.status,
        "owner": tag(registration, OWNER_TAG),
        "source": tag(registration, SOURCE_TAG),
        "era": status.era,
        "lastError": status.last_error,
        "reconnectAttempts": status.reconnect_attempts,
        "totalRequests": status.total_requests,
        "totalErrors": status.total_errors,
    })
}

fn table(shown: &[Registration], printer: Printer) -> String {
    let head = ["NAME", "STATE", "OWNER", "ERA", "SOURCE", "LAST ERROR"].map(str::to_owned);
    let rows = shown.iter().map(|it| {
        let word = |text: Option<&str>| clean(text.unwrap_or("-")).replace('\n', " ");
        [
            word(Some(it.definition.name())),
            state(it.status.status).to_owned(),
            word(tag(it, OWNER_TAG)),
            word(it.status.era.as_deref()),
            word(tag(it, SOURCE_TAG)),
            word(it.status.last_error.as_deref()),
        ]
    });
    let rows: Vec<[String; 6]> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|it| it.chars().count()).max();
    let widths: Vec<usize> = (0..6).map(|column| width(column).unwrap_or_default()).collect();
    let line = |row: &[String; 6]| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let colour = match row[1].as_str() {
            "connected" => Colour::Green,
            "connecting" => Colour::Yellow,
            "error" => Colour::Red,
            _ => Colour::Plain,
        };
        printer.paint_result(colour, cells.join("  ").trim_end()) + "\n"
    };
    rows.iter().map(line).collect()
}

fn state(state: State) -> &'static str {
    match state {
        State::Connected => "connected",
        State::Connecting => "connecting",
        State::Disconnected => "disconnected",
        State::Error => "error",
    }
}
