//! Formats a plan and its outcome, change by change.

use std::collections::BTreeMap;

use register_service::files::{ConnectionFields, Desired, Usage};
use register_service::plan::{ApplyError, Change, Done, Outcome, Plan, Reason};
use schemas::ServerName;
use serde::Serialize;
use serde_json::{Value, json};

use crate::printer::{Colour, Printer, clean};
use crate::report::chain;

/// Number of names by the result of their change, actual or planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(super) struct Summary {
    created: usize,
    updated: usize,
    unchanged: usize,
    deleted: usize,
    refused: usize,
    failed: usize,
}

impl Summary {
    pub(super) fn of(plan: &Plan, outcome: &Outcome) -> Self {
        let mut summary = Self::default();
        for change in &plan.changes {
            let counter = match (outcome.get(change.name()), change) {
                (Some(Err(ApplyError::Refused { .. })), _) => &mut summary.refused,
                (Some(Err(_)), _) => &mut summary.failed,
                (_, Change::Create { .. }) => &mut summary.created,
                (_, Change::Update { .. }) => &mut summary.updated,
                (_, Change::Keep { .. }) => &mut summary.unchanged,
                (_, Change::Delete { .. }) => &mut summary.deleted,
                (_, Change::Refuse { .. }) => &mut summary.refused,
            };
            *counter += 1;
        }
        summary
    }

    /// Formats the last line of the result.
    fn text(self, is_planned: bool) -> String {
        let Self { created, updated, unchanged, deleted, refused, failed } = self;
        let mut text = match is_planned {
            true => format!("to create {created}, to update {updated}, unchanged {unchanged}"),
            false => format!("created {created}, updated {updated}, unchanged {unchanged}"),
        };
        let removed = if is_planned { "to delete" } else { "deleted" };
        for (count, word) in [(deleted, removed), (refused, "refused"), (failed, "failed")] {
            if count > 0 {
                text += &format!(", {word} {count}");
            }
        }
        text
    }
}

/// Positions, as paths from the working folder, and written fields of each name in the files.
#[derive(Debug, Default)]
pub(super) struct Declared {
    places: BTreeMap<ServerName, String>,
    written: BTreeMap<ServerName, ConnectionFields>,
}

impl Declared {
    pub(super) fn of(desired: &Desired) -> Self {
        let mut places = BTreeMap::new();
        for entry in desired.entries() {
            if let Usage::Registered { definition, .. } = &entry.usage {
                let place = format!("{}:{}", entry.location.file, entry.location.line);
                places.entry(definition.name.clone()).or_insert(place);
            }
        }
        Self { places, written: desired.connection_fields() }
    }

    /// Returns the position that a change comes from: that in the given files, else the one recorded at its
    /// registration.
    fn place<'a>(&'a self, change: &'a Change) -> Option<&'a str> {
        self.places.get(change.name()).map(String::as_str).or_else(|| change.source())
    }
}

/// Formats a plan as a diff: each change with its position, and below it the registered fields or the differences.
pub(super) fn planned(plan: &Plan, declared: &Declared, printer: Printer) -> String {
    let told = plan.changes.iter().filter(|change| printer.is_verbose() || !matches!(change, Change::Keep { .. }));
    let lines: String = told.map(|change| hunk(change, declared, printer)).collect();
    let summary = Summary::of(plan, &Outcome::new()).text(true);
    if lines.is_empty() { format!("{summary}\n") } else { format!("{lines}\n{summary}\n") }
}

fn hunk(change: &Change, declared: &Declared, printer: Printer) -> String {
    let (source, written) = (declared.place(change), declared.written.get(change.name()));
    let (sign, colour, place) = match change {
        Change::Create { .. } => ('+', Colour::Green, source.map(str::to_owned)),
        Change::Update { .. } => ('~', Colour::Yellow, source.map(str::to_owned)),
        Change::Keep { .. } => ('=', Colour::Plain, None),
        Change::Delete { .. } => ('-', Colour::Red, Some(gone(source))),
        Change::Refuse { why, .. } => ('!', Colour::Red, Some(why.to_string())),
    };
    let place = place.map(|place| format!("  ({place})")).unwrap_or_default();
    let line = |text: String| clean(&text).replace('\n', " ");
    let head = line(format!("{sign} {}{place}", change.name()));
    let below: Vec<String> = match change {
        Change::Create { .. } => {
            written.into_iter().flatten().map(|(field, text)| format!("{field}: {text}")).collect()
        }
        _ => change.reasons().iter().map(|reason| differs(reason, written)).collect(),
    };
    let below: String = below.into_iter().map(|text| format!("    {}\n", line(text))).collect();
    format!("{}\n{below}", printer.paint_result(colour, &head))
}

/// Formats a difference with the new value.
fn differs(reason: &Reason, written: Option<&ConnectionFields>) -> String {
    let field = reason.field.as_str();
    if let Some(detail) = &reason.detail {
        return format!("{field}: {detail}");
    }
    // The arguments may be part of the command line.
    let key = if field == "args" { "command" } else { field };
    match written.into_iter().flatten().find(|(field, _)| *field == key) {
        Some((_, text)) => format!("{field}: now {text}"),
        None => field.to_owned(),
    }
}

/// Formats the former position of a registration that is no longer declared.
fn gone(source: Option<&str>) -> String {
    source.map_or_else(|| "declared nowhere".to_owned(), |it| format!("declared nowhere; was {it}"))
}

/// Formats one line for each change, then the summary. Unchanged registrations have a line only on demand.
pub(super) fn text(plan: &Plan, outcome: &Outcome, declared: &Declared, with_kept: bool) -> String {
    let told = plan.changes.iter().filter(|change| with_kept || !matches!(change, Change::Keep { .. }));
    let lines: String = told.map(|change| line(change, outcome, declared)).collect();
    format!("{lines}{}\n", Summary::of(plan, outcome).text(false))
}

fn line(change: &Change, outcome: &Outcome, declared: &Declared) -> String {
    let result = outcome.get(change.name());
    let mut text = format!("{} {}", verb(change, result), change.name());
    let reasons: Vec<String> = change.reasons().iter().map(ToString::to_string).collect();
    if !reasons.is_empty() {
        text += &format!(": {}", reasons.join(", "));
    }
    if let Some(source) = declared.place(change).filter(|_| !matches!(change, Change::Keep { .. })) {
        text += &format!(" [{source}]");
    }
    if let Some(warning) = warning(result) {
        text += &format!(" (not connected: {warning})");
    }
    clean(&text).replace('\n', " ") + "\n"
}

type Came = Result<Done, ApplyError>;

/// Returns the verb for the result of a change, or for the planned change.
fn verb(change: &Change, result: Option<&Came>) -> &'static str {
    match result {
        None => change.verb(),
        Some(Ok(Done::Created)) => "created",
        Some(Ok(Done::Updated { .. })) => "updated",
        Some(Ok(Done::Kept)) => "kept",
        Some(Ok(Done::Deleted)) => "deleted",
        Some(Err(ApplyError::Refused { .. })) => "refused",
        Some(Err(_)) => "failed",
    }
}

fn warning(result: Option<&Came>) -> Option<&str> {
    match result {
        Some(Ok(Done::Updated { warning })) => warning.as_deref(),
        Some(Ok(Done::Created | Done::Kept | Done::Deleted) | Err(_)) | None => None,
    }
}

/// Returns the changes as JSON.
pub(super) fn objects(plan: &Plan, outcome: &Outcome) -> Vec<Value> {
    let object = |change: &Change| {
        let result = outcome.get(change.name());
        let error = result.and_then(|result| result.as_ref().err());
        json!({
            "name": change.name(),
            "change": change.verb(),
            "result": result.map(|came| verb(change, Some(came))),
            "source": change.source(),
            "reasons": change.reasons(),
            "warning": warning(result),
            "error": error.map(|error| chain(error)),
        })
    };
    plan.changes.iter().map(object).collect()
}

#[cfg(test)]
mod tests {
    use register_service::plan::{Policy, plan};
    use schemas::Definition;
    use schemas::admin::{DefinitionView, Registration, Status};

    use super::*;
    use crate::printer::Verbosity;

    fn definition(name: &str, argument: &str) -> Definition {
        serde_json::from_value(json!({"name": name, "transport": "stdio", "command": "prog", "args": [argument],
            "tags": {"owner": "register-service", "source": format!("{name}.yaml:3")}}))
        .expect("a definition")
    }

    fn planned() -> Plan {
        let mut foreign = definition("foreign", "1");
        foreign.tags.insert("owner".to_owned(), "you".to_owned());
        let observed = [definition("changed", "1"), definition("kept", "1"), foreign].map(|it| {
            let name = it.name.to_string();
            Registration::new(DefinitionView::new(it, "t0".into(), "t0".into()), Status::new(name))
        });
        let desired =
            ["new", "changed", "kept", "foreign"].map(|name| definition(name, if name == "kept" { "1" } else { "2" }));
        plan(&desired, &observed, &Policy::default())
    }

    fn outcome() -> Outcome {
        let name = |name: &str| name.parse::<ServerName>().expect(name);
        let warning = Some("no such program".to_owned());
        [
            (name("new"), Err(ApplyError::Stale { name: name("new") })),
            (name("changed"), Ok(Done::Updated { warning })),
            (name("kept"), Ok(Done::Kept)),
        ]
        .into()
    }

    #[test]
    fn a_plan_says_what_would_be_done() {
        let printer = |verbosity| Printer { verbosity, ..Printer::plain() };
        let written =
            ["new", "changed"].map(|name| (name.parse().expect(name), vec![("command", "prog 2".to_owned())]));
        let places = [("new".parse().expect("a name"), "workflows/new.yaml:3".to_owned())].into();
        let declared = Declared { places, written: written.into() };
        let shown = super::planned(&planned(), &declared, printer(Verbosity::Verbose));
        insta::assert_snapshot!(shown, @r#"
        + new  (workflows/new.yaml:3)
            command: prog 2
        ~ changed  (changed.yaml:3)
            args: now prog 2
        = kept
        ! foreign  (is registered by `you` with other content)
            args

        to create 1, to update 1, unchanged 1, refused 1
        "#);
    }

    #[test]
    fn a_result_says_what_was_done() {
        insta::assert_snapshot!(text(&planned(), &outcome(), &Declared::default(), true), @r#"
        failed new [new.yaml:3]
        updated changed: args [changed.yaml:3] (not connected: no such program)
        kept kept
        refuse foreign: args [foreign.yaml:3]
        created 0, updated 1, unchanged 1, refused 1, failed 1
        "#);
    }

    #[test]
    fn programs_are_told_the_same() {
        let shown = serde_json::to_string_pretty(&objects(&planned(), &outcome())[..2]).expect("json");
        insta::assert_snapshot!(shown, @r#"
        [
          {
            "name": "new",
            "change": "create",
            "result": "failed",
            "source": "new.yaml:3",
            "reasons": [],
            "warning": null,
            "error": "`new` was changed at the gateway in the meantime"
          },
          {
            "name": "changed",
            "change": "update",
            "result": "updated",
            "source": "changed.yaml:3",
            "reasons": [
              {
                "field": "args"
              }
            ],
            "warning": "no such program",
            "error": null
          }
        ]
        "#);
    }
}
