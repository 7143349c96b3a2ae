//! `status`: lists registrations with owner and state.

use proxy_client::Client;
use register_service::plan::{OWNER_TAG, SOURCE_TAG, sharers};
use schemas::admin::{Registration, State};
use serde_json::{Value, json};

use crate::cli::Status;
use crate::commands::prepare::gateway_at;
use crate::commands::{listing, progress};
use crate::printer::{Colour, Printer, clean, cut};
use crate::report::Report;

pub(super) async fn run(args: &Status, client: &Client, printer: Printer) -> Report {
    let report = Report::new("status", Vec::new());
    let (report, mut listed) = match listing::choose(
        report,
        progress::during(printer, &gateway_at(client), client.list()).await,
        &args.names,
        args.owner.as_ref(),
    ) {
        Ok(listed) => listed,
        Err(report) => return report,
    };
    listed.sort_by(|one, other| one.definition.name().cmp(other.definition.name()));
    Report { text: table(&listed, printer), json: listed.iter().map(object).collect(), ..report }
}

fn tag<'a>(registration: &'a Registration, name: &str) -> Option<&'a str> {
    registration.definition.document().tags.get(name).map(String::as_str).filter(|value| !value.is_empty())
}

/// Formats the owner, followed by the other owners that declare the registration.
fn owners(registration: &Registration) -> String {
    let owner = tag(registration, OWNER_TAG).unwrap_or("-");
    let all =
        std::iter::once(owner.to_owned()).chain(sharers(registration).into_iter().map(|owner| format!("+{owner}")));
    all.collect::<Vec<_>>().join(" ")
}

fn object(registration: &Registration) -> Value {
    let status = &registration.status;
    json!({
        "name": registration.definition.name(),
        "state": status.status,
        "owner": tag(registration, OWNER_TAG),
        "sharedWith": sharers(registration),
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
            word(Some(&owners(it))),
            word(it.status.era.as_deref()),
            word(tag(it, SOURCE_TAG)),
            word(it.status.last_error.as_deref()),
        ]
    });
    let rows: Vec<[String; 6]> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|it| it.chars().count()).max();
    let widths = [0, 1, 2, 3, 4, 5].map(|column| width(column).unwrap_or_default());
    let widths = printer.result_columns.map_or(widths, |columns| fitting(widths, columns));
    let line = |row: &[String; 6]| {
        let cell = |(cell, width): (&String, &usize)| format!("{:width$}", cut(cell, *width));
        let cells: Vec<String> = row.iter().zip(&widths).map(cell).collect();
        let colour = match row[1].as_str() {
            "connected" => Colour::Green,
            "connecting" => Colour::Yellow,
            "error" => Colour::Red,
            _ => Colour::Plain,
        };
        printer.paint_result(colour, cells.join(&" ".repeat(GAP)).trim_end()) + "\n"
    };
    rows.iter().map(line).collect()
}

/// Blanks between two columns.
const GAP: usize = 2;
/// Least width of each column; a state and an era are never cut.
const LEAST: [usize; 6] = [12, usize::MAX, 8, usize::MAX, 12, 16];

/// Shrinks the widest columns until a row fits, or all have their least width.
fn fitting(mut widths: [usize; 6], columns: usize) -> [usize; 6] {
    while widths.iter().sum::<usize>() + GAP * (widths.len() - 1) > columns {
        let can_spare = widths.iter_mut().zip(LEAST).filter(|(width, least)| **width > *least);
        let Some((widest, _)) = can_spare.max_by_key(|(width, _)| **width) else { break };
        *widest -= 1;
    }
    widths
}

fn state(state: State) -> &'static str {
    match state {
        State::Connected => "connected",
        State::Connecting => "connecting",
        State::Disconnected => "disconnected",
        State::Error => "error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registration(name: &str, error: &str) -> Registration {
        let tags = json!({ "owner": "team-a", "source": "workflows/chat.yaml:12", "shared_with": "[\"team-b\"]" });
        let definition = json!({ "name": name, "transport": "stdio", "command": "x", "tags": tags });
        let status = json!({ "name": name, "status": "error", "lastError": error });
        serde_json::from_value(json!({ "definition": definition, "status": status })).expect("a registration")
    }

    #[test]
    fn a_table_fits_the_terminal_and_is_whole_elsewhere() {
        let (name, error) =
            ("a-name-that-goes-on-and-on-and-on", "cannot start `no-such-program`: no such file or directory");
        let listed = [registration(name, error), registration("b", "-")];
        let at = |result_columns| table(&listed, Printer { result_columns, ..Printer::plain() });
        let whole = at(None);
        assert!(whole.contains(name) && whole.contains(error) && whole.contains("team-a +team-b"), "{whole}");
        insta::assert_snapshot!(at(Some(100)), @r#"
        NAME                     STATE  OWNER           ERA  SOURCE                  LAST ERROR
        a-name-that-goes-on-an…  error  team-a +team-b  -    workflows/chat.yaml:12  cannot start `no-such-…
        b                        error  team-a +team-b  -    workflows/chat.yaml:12  -
        "#);
        for columns in [90, 100, 140] {
            assert!(at(Some(columns)).lines().all(|line| line.chars().count() <= columns), "{columns}");
        }
        assert_eq!(at(Some(500)), whole);
        assert_eq!(at(Some(10)), at(Some(50)), "there is an end to cutting");
    }
}
