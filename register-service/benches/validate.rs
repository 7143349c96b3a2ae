//! Time to read and check a thousand workflow files: `cargo bench -p register-service`.
//!
//! The files are written to a temporary folder first, so the file cache is warm: opening, parsing and checking are
//! measured.

use std::fmt::Write;
use std::path::Path;
use std::{fs, io};

use mimalloc::MiMalloc;
use register_service::files::{InvalidFiles, Loaded};
use register_service::{Environment, Settings, load};
use tokio::time::Instant;

/// Allocator of the command line tool.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const FILES: usize = 1_000;
const ROUNDS: usize = 7;

fn main() -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    measure("all right", &written(folder.path(), "right", workflow)?);
    measure("all wrong", &written(folder.path(), "wrong", mistaken)?);
    Ok(())
}

fn written(folder: &Path, name: &str, file: fn(usize) -> String) -> io::Result<std::path::PathBuf> {
    let folder = folder.join(name);
    fs::create_dir(&folder)?;
    for number in 0..FILES {
        fs::write(folder.join(format!("workflow-{number:04}.yaml")), file(number))?;
    }
    Ok(folder)
}

fn measure(what: &str, folder: &Path) {
    let Ok(gateway) = "http://127.0.0.1:6001".parse() else { return };
    let settings = Settings::new(gateway, Environment::from_iter(std::env::vars()).overlaid([("TOKEN", "t")]));
    let mut times = Vec::new();
    let mut told = String::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let loaded = load(&[folder.to_owned()], &settings);
        times.push(start.elapsed());
        told = match loaded {
            Ok(Loaded { desired, remarks, .. }) => {
                format!(
                    "{} entries, {} tools, {} remarks",
                    desired.entries().len(),
                    desired.tools().len(),
                    remarks.len()
                )
            }
            Err(InvalidFiles { diagnostics, .. }) => format!("{} remarks", diagnostics.len()),
        };
    }
    times.sort();
    let median = times.get(ROUNDS / 2).copied().unwrap_or_default();
    let worst = times.last().copied().unwrap_or_default();
    println!("{FILES} files, {what}: median {median:?}, worst {worst:?} of {ROUNDS} ({told})");
}

/// Returns a workflow of about seventy lines: four servers, two agents that use them, and tasks.
fn workflow(number: usize) -> String {
    let mut text = format!(
        "id: workflow-{number}\nversion: \"1.0\"\ndescription: Number {number} of many\nauthor: {{name: Jane Doe}}\n\
         env:\n  BASE: https://host-{number}.example.com\n  LEVEL: info\n\nmcps:\n"
    );
    for server in 0..2 {
        let _ = write!(
            text,
            "  - id: http-{number}-{server}\n    transport: streamable-http\n    url: \"{{{{ .env.BASE }}}}/mcp/{server}\"\n    \
             headers:\n      Authorization: \"Bearer {{{{ .env.TOKEN }}}}\"\n      X-Level: '{{{{ .env.LEVEL | default \"warn\" | \
             upper }}}}'\n    start_timeout: 30s\n    use_proxy: true\n  - id: stdio-{number}-{server}\n    transport: stdio\n    \
             command: npx -y @example/server-{server}\n    args: [--root, /srv/{number}, --verbose]\n    env:\n      TOKEN: \
             \"{{{{ .env.TOKEN }}}}\"\n      PORT: 80{server}\n    use_proxy: true\n"
        );
    }
    text += "\nagents:\n";
    for agent in 0..2 {
        let _ = write!(
            text,
            "  - id: agent-{number}-{agent}\n    config: {{provider: openai, model: gpt-4o-mini}}\n    instructions: |\n      You \
             answer questions.\n      Be brief, and say so when you do not know.\n    actions:\n      - id: search\n        prompt: \
             \"Find {{{{ .input.query }}}}\"\n        tool: $mcp(http-{number}-{agent}#search)\n        with: {{query: \
             \"{{{{ .input.query }}}}\", limit: 5}}\n      - id: read\n        tool: $mcp(stdio-{number}-{agent}#read_file)\n"
        );
    }
    let _ = write!(
        text,
        "\ntasks:\n  - id: search\n    type: basic\n    agent: agent-{number}-0\n    action: search\n    on_success: {{next: \
         write}}\n  - id: write\n    agent: agent-{number}-1\n    final: true\n"
    );
    text
}

/// Returns `workflow(number)` with a misspelt key, selector, variable, server and agent. Misspelt names have to be
/// looked up among all known ones.
fn mistaken(number: usize) -> String {
    let text = workflow(number).replacen("start_timeout", "start_timout", 1).replacen(".env.BASE", ".env.BSE", 1);
    let text = text.replacen("$mcp(http-", "$mcp(htp-", 1).replacen("agent: agent-", "agent: agnt-", 1);
    text.replacen("\nagents:\n", &format!("  - htp-{number}-0\n\nagents:\n"), 1)
}
