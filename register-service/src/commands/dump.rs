//! `dump`: writes registrations to a file that `sync` accepts; with `--secrets` a backup, which is verified by reading
//! it back.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use proxy_client::Client;
use register_service::files::{Engine, GatewayUrl, dump_with_secrets, load_text, restored};
use register_service::plan::{Change, Policy, plan};
use register_service::{Environment, Settings};
use schemas::admin::Registration;
use serde_json::json;

use crate::cli::Dump;
use crate::commands::listing;
use crate::exit::Exit;
use crate::printer::{Printer, clean};
use crate::report::{Report, count};

pub(super) async fn run(args: &Dump, client: &Client, printer: Printer) -> Report {
    let report = Report::new("dump", Vec::new());
    let listed = match args.secrets {
        true => client.list_with_secrets().await,
        false => client.list().await,
    };
    let (mut report, listed) = match listing::choose(report, listed, &args.names, args.owner.as_ref()) {
        Ok(listed) => listed,
        Err(report) => return report,
    };
    // A partial dump could be mistaken for a complete one behind a pipe.
    if report.exit != Exit::Done {
        return report;
    }
    let text = match args.secrets {
        true => {
            let kept = without_leased(listed, printer);
            let text = dump_with_secrets(&kept);
            report = check(report, &text, &kept, client);
            text
        }
        // Control characters are removed from text for a terminal; a backup is exact.
        false => clean(&register_service::files::dump(&listed)),
    };
    match &args.out {
        None => {
            report.json = json!({ "yaml": text });
            report.text = text;
        }
        Some(path) => match write(path, &text) {
            Ok(()) => {
                printer.progress(&format!("written to `{}`, which only its owner can read", path.display()));
                report.json = json!({ "file": path });
            }
            Err(error) => report = report.failed(Exit::Failed, format!("{error:#}"), None),
        },
    }
    report
}

/// Leaves out leased registrations: workers register them again themselves, and a restored one would stay forever.
fn without_leased(listed: Vec<Registration>, printer: Printer) -> Vec<Registration> {
    let (leased, kept): (Vec<_>, Vec<_>) = listed.into_iter().partition(|it| it.leased);
    if !leased.is_empty() {
        let names: Vec<&str> = leased.iter().map(|it| it.definition.name()).collect();
        printer.progress(&format!(
            "left out, because workers hold and register {}: `{}`",
            count(leased.len(), "registration"),
            names.join("`, `")
        ));
    }
    kept
}

/// Reads a backup as `sync --restore` would, and reports registrations that are missing or different in it.
fn check(mut report: Report, text: &str, kept: &[Registration], client: &Client) -> Report {
    let gateway = match client.base_url().as_str().parse::<GatewayUrl>() {
        Ok(gateway) => gateway,
        Err(error) => return report.failed(Exit::Partial, format!("the backup was not checked: {error}"), None),
    };
    let settings = Settings { engine: Engine::None, ..Settings::new(gateway, Environment::default()) };
    let definitions = match load_text("backup", text, &settings) {
        Ok(loaded) => restored(&loaded.desired),
        Err(invalid) => {
            for diagnostic in invalid.diagnostics.iter().filter(|it| it.is_error()) {
                report = report.failed(Exit::Partial, format!("the backup cannot be read: {diagnostic}"), None);
            }
            return report;
        }
    };
    let policy = Policy { restore: true, ..Policy::default() };
    for change in plan(&definitions, &[], &policy).refused() {
        let places: Vec<&str> = change.reasons().iter().map(|reason| reason.field.as_str()).collect();
        let message = format!("`{}` is in the backup without its secrets: {}", change.name(), places.join(", "));
        report = report.failed(Exit::Partial, message, Some("the gateway shows none; is it an earlier version?"));
    }
    for change in plan(&definitions, kept, &policy).changes.iter().filter(|it| !matches!(it, Change::Keep { .. })) {
        let places: Vec<String> = change.reasons().iter().map(ToString::to_string).collect();
        let message =
            format!("`{}` is in the backup otherwise than it is registered: {}", change.name(), places.join(", "));
        report = report.failed(Exit::Partial, message, None);
    }
    for registration in kept.iter().filter(|it| !definitions.iter().any(|of| of.name.as_str() == it.definition.name()))
    {
        let message =
            format!("`{}` cannot be declared in a file, and is not in the backup", registration.definition.name());
        report = report.failed(Exit::Partial, message, None);
    }
    report
}

/// Writes a file atomically, readable by its owner only.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let beside = path.with_file_name(name);
    let written = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    });
    if written.is_err() {
        fs::remove_file(&beside).ok();
    }
    written.with_context(|| format!("cannot write `{}`", path.display()))
}
