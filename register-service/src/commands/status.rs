//! `status`: what is registered, whose it is, and how it does.

use proxy_client::Client;
use register_service::{OWNER_TAG, SOURCE_TAG};
use schemas::admin::{Registration, State};
use serde_json::{Value, json};

use crate::cli::Status;
use crate::commands::Report;
use crate::commands::prepare::unreachable;
use crate::exit::Exit;
use crate::printer::{Colour, Printer, clean};

const COMMAND: &str = "status";

pub(super) async fn run(args: &Status, client: &Client, printer: Printer) -> Report {
    let report = Report::new(COMMAND, Vec::new());
    let mut listed = match client.list().await {
        Ok(listed) => listed,
        Err(error) => return unreachable(report, &error),
    };
    listed.sort_by(|one, other| one.definition.name().cmp(other.definition.name()));
    let missing: Vec<_> =
        args.names.iter().filter(|name| !listed.iter().any(|it| it.definition.name() == name.as_str())).collect();
    let is_wanted = |it: &&Registration| {
        (args.names.is_empty() || args.names.iter().any(|name| name.as_str() == it.definition.name()))
            && args.owner.as_ref().is_none_or(|owner| tag(it, OWNER_TAG) == Some(owner.as_str()))
    };
    let shown: Vec<&Registration> = listed.iter().filter(is_wanted).collect();
    let mut report =
        Report { text: table(&shown, printer), json: shown.iter().map(|it| object(it)).collect(), ..report };
    for name in missing {
        report = report.failed(Exit::NotReady, format!("the gateway has no upstream `{name}`"), None);
    }
    report
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

fn table(shown: &[&Registration], printer: Printer) -> String {
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
