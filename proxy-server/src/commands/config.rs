//! `config`: shows the settings in effect, checks files, and writes the gateway's own file from those of other programs.

use std::io::Write;
use std::path::Path;

use anyhow::bail;
use serde_json::{Map, Value};

use super::settings;
use crate::cli::{CheckFlags, MigrateFlags, Output, ShowFlags};
use crate::config::{self, Config, Migrated, displayed, process_environment};
use crate::gateway::check_address;

/// `config show`.
pub(super) async fn show(args: &ShowFlags) -> anyhow::Result<()> {
    let (loaded, _) = Config::load(&args.serve, &process_environment());
    let loaded = loaded?;
    check_address(&loaded.config).await?;
    if let Some(file) = &loaded.file {
        tell(&file.remarks);
    }
    if let Some(servers) = loaded.config.servers.as_ref().filter(|_| args.output == Output::Human) {
        tell(&servers.refused);
    }
    Ok(write!(std::io::stdout(), "{}", settings::show(&loaded, args.output))?)
}

/// `config check`.
pub(super) fn check(args: &CheckFlags) -> anyhow::Result<()> {
    let environment = process_environment();
    let mut out = std::io::stdout();
    let mut broken = 0;
    for path in &args.files {
        let outcome = Config::check_file(path, &args.foreign, &environment);
        let file = displayed(path);
        match outcome {
            Ok(checked) => {
                tell(&checked.remarks);
                let (format, servers) = (checked.format, checked.servers);
                let plural = if servers == 1 { "" } else { "s" };
                writeln!(out, "{file}: format {format}, {servers} server{plural}, no mistake")?;
            }
            Err(invalid) => {
                broken += 1;
                eprintln!("{invalid}");
            }
        }
    }
    match broken {
        0 => Ok(()),
        1 => bail!("one file cannot be used"),
        broken => bail!("{broken} files cannot be used"),
    }
}

/// `config migrate`.
pub(super) fn migrate(args: &MigrateFlags) -> anyhow::Result<()> {
    let mut whole = Map::new();
    for path in &args.files {
        let Migrated { document, remarks } = Config::migrate_file(path, &args.format)?;
        tell(&remarks);
        merge(&mut whole, document, path)?;
    }
    let text = match args.output {
        Output::Human => schemas::document::yaml::text(&Value::Object(whole)),
        Output::Json => {
            // Without it, a file with nothing but `servers` would be one of VS Code.
            let mut marked = Map::new();
            marked.insert("$schema".to_owned(), "mcp-proxy.schema.json".into());
            marked.extend(whole);
            format!("{:#}\n", Value::Object(marked))
        }
    };
    Ok(write!(std::io::stdout(), "{text}")?)
}

/// `config schema`.
pub(super) fn schema() -> anyhow::Result<()> {
    Ok(write!(std::io::stdout(), "{}", config::schema())?)
}

/// Adds the settings and servers of a file to those of earlier ones.
fn merge(whole: &mut Map<String, Value>, document: Map<String, Value>, path: &Path) -> anyhow::Result<()> {
    for (key, value) in document {
        match (whole.get_mut(&key), value) {
            (Some(Value::Object(known)), Value::Object(more)) => {
                for (name, value) in more {
                    if known.contains_key(&name) {
                        bail!("{}: server `{name}` is in an earlier file too; rename one of them", displayed(path));
                    }
                    known.insert(name, value);
                }
            }
            (Some(known), value) if *known != value => {
                bail!("{}: `{key}` has another value in an earlier file", displayed(path));
            }
            (Some(_), _) => {}
            (None, value) => {
                whole.insert(key, value);
            }
        }
    }
    Ok(())
}

/// Prints warnings and notes on standard error.
fn tell(remarks: &[String]) {
    for remark in remarks {
        eprintln!("{remark}");
    }
}
