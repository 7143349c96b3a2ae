//! Documents that the program makes of itself: completions for shells, manual pages, a first configuration file.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::{Context, bail};
use clap::CommandFactory;

use crate::cli::{Cli, InitFlags, InitFormat};
use crate::config::process_environment;

const NAME: &str = "mcp-proxy";

const OWN: &str = "\
# Configuration of mcp-proxy. `mcp-proxy config show` prints every setting, `mcp-proxy config check` checks this file.
# A text may have variables: ${NAME}, ${NAME:-default}, ${file:/run/secrets/NAME}.

port: 6001
# admin-tokens: [\"${MCP_ADMIN_TOKEN}\"]

# Other files, also those of other programs: claude_desktop_config.json, .vscode/mcp.json, config.toml of Codex ...
# include: [conf.d]

servers:
  # time:
  #   command: uvx
  #   args: [mcp-server-time]
  # docs:
  #   url: https://docs.example.com/mcp
  #   headers: {Authorization: \"Bearer ${DOCS_TOKEN}\"}
";

/// Radium's starter file, with its defaults.
const RADIUM: &str = "\
[mcp.proxy]
enable = true
port = 3000
transport = \"sse\"
max_connections = 100

[mcp.proxy.security]
log_requests = true
log_responses = true
redact_patterns = [\"api[_-]?key\", \"password\", \"token\"]
rate_limit_per_minute = 60

# [[mcp.proxy.upstreams]]
# name = \"primary\"
# transport = \"http\"
# url = \"http://localhost:8080/mcp\"
# priority = 1
# health_check_interval = 30
";

/// `init`.
pub(super) fn init(args: &InitFlags) -> anyhow::Result<()> {
    let folder =
        args.workspace.clone().or_else(|| process_environment().radium_workspace()).unwrap_or_else(|| ".".into());
    let by_folder = if folder.join(".radium").is_dir() { InitFormat::Radium } else { InitFormat::Own };
    let (path, text) = match args.format.unwrap_or(by_folder) {
        InitFormat::Own => (folder.join("mcp-proxy.yaml"), OWN),
        InitFormat::Radium => (folder.join(".radium/mcp-proxy.toml"), RADIUM),
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
    }
    let shown = path.display();
    let mut options = File::options();
    options.write(true).create(args.force).truncate(args.force).create_new(!args.force);
    let mut file = match options.open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("`{shown}` is there already; replace it with --force")
        }
        Err(error) => return Err(error).with_context(|| format!("cannot write `{shown}`")),
    };
    file.write_all(text.as_bytes()).with_context(|| format!("cannot write `{shown}`"))?;
    let mut out = std::io::stdout();
    writeln!(out, "\u{2713} {shown} written")?;
    writeln!(out, "next: add servers to it, then run `mcp-proxy start`")?;
    Ok(())
}

/// `completions`.
pub(super) fn completions(shell: clap_complete::Shell) -> anyhow::Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), NAME, &mut text);
    Ok(std::io::stdout().write_all(&text)?)
}

/// `man`: one page for the program and one for each command, named as `man` looks for them.
pub(super) fn man(folder: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
    clap_mangen::generate_to(Cli::command().name(NAME), folder)
        .with_context(|| format!("cannot write manual pages to `{}`", folder.display()))?;
    let pages = fs::read_dir(folder)?.flatten().map(|page| page.path().display().to_string());
    let mut pages: Vec<String> = pages.collect();
    pages.sort();
    for page in pages {
        writeln!(std::io::stdout(), "{page}")?;
    }
    Ok(())
}
