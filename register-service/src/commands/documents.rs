//! Generates documents from this program alone: schemas for editors, completions for shells, manual pages.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use clap::CommandFactory;
use serde_json::json;

use crate::cli::{Cli, Document, Schema};
use crate::report::Report;

const NAME: &str = "register-service";

pub(super) fn schema(args: &Schema) -> anyhow::Result<Report> {
    let text = match args.document {
        Document::Mcp => include_str!("../../../schemas/json/mcp.schema.json"),
        Document::Workflow => include_str!("../../../schemas/json/workflow.schema.json"),
        Document::Agent => include_str!("../../../schemas/json/agent.schema.json"),
        Document::Project => include_str!("../../../schemas/json/project.schema.json"),
        Document::ProxyConfig => include_str!("../../../schemas/json/proxy-config.schema.json"),
        Document::McpProxy => include_str!("../../../schemas/json/mcp-proxy.schema.json"),
        Document::Plan => include_str!("../../../schemas/json/plan.schema.json"),
        Document::Definition => include_str!("../../../schemas/json/definition.schema.json"),
    };
    Ok(Report { text: text.to_owned(), json: serde_json::from_str(text)?, ..Report::new("schema", Vec::new()) })
}

pub(super) fn completions(shell: clap_complete::Shell) -> Report {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), NAME, &mut text);
    let text = String::from_utf8_lossy(&text).into_owned();
    Report { json: json!({ "script": text }), text, ..Report::new("completions", Vec::new()) }
}

/// Writes one page for the program and one for each command, named as `man` looks for them.
pub(super) fn man(folder: &Path) -> anyhow::Result<Report> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
    clap_mangen::generate_to(Cli::command().name(NAME), folder)
        .with_context(|| format!("cannot write manual pages to `{}`", folder.display()))?;
    let mut pages: Vec<String> =
        fs::read_dir(folder)?.flatten().map(|page| page.path().display().to_string()).collect();
    pages.sort();
    Ok(Report { text: pages.join("\n") + "\n", json: json!({ "pages": pages }), ..Report::new("man", Vec::new()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_given_what_people_are() {
        let schema = schema(&Schema { document: Document::Plan }).expect("a schema");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&schema.text).expect("JSON"), schema.json);
        let bash = completions(clap_complete::Shell::Bash);
        assert_eq!(bash.json["script"], bash.text);
        let folder = tempfile::tempdir().expect("a folder");
        let pages = man(folder.path()).expect("pages");
        assert_eq!(pages.json["pages"].as_array().map(Vec::len), Some(pages.text.lines().count()));
    }
}
