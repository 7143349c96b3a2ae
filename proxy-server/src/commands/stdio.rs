//! `stdio`: serves the parent process on standard streams.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail};
use schemas::{Definition, Secret};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, warn};
use url::Url;

use crate::cli::StdioFlags;
use crate::config::{Config, FileFlags, Files, Variables, one_token, process_environment};
use crate::downstream::Servers;
use crate::gateway::serve_stdio;
use crate::telemetry;

/// Serves until the input ends. Returns without joining the thread that reads standard input, because only another line
/// would end its blocking read.
pub(super) async fn stdio(args: StdioFlags) -> anyhow::Result<()> {
    let environment = process_environment();
    let config = Config::for_stdio(args.log_level, &environment)?.with_wardens();
    telemetry::init(config.telemetry.clone());
    let servers = match &args.url {
        Some(url) => {
            let token = one_token(args.token.as_deref(), &environment)?;
            Servers::One(Box::new(remote(url, token)?))
        }
        None => {
            let flags = FileFlags { config: args.config.clone(), ..FileFlags::default() };
            let path =
                flags.find(&environment)?.context("no server: name a file with --config, or a gateway with --url")?;
            Servers::All(read_servers(&path, &args, &environment)?)
        }
    };
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let unwanted = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    serve_stdio(config, servers, unwanted).await?;
    std::process::exit(0)
}

/// Reads the servers of a configuration file in any format.
fn read_servers(path: &Path, args: &StdioFlags, environment: &Variables) -> anyhow::Result<Vec<Definition>> {
    let files = Config::read_file(path, &args.foreign, environment)?;
    for (setting, place) in files.settings() {
        warn!(setting, %place, "this setting of the configuration file has no effect on `stdio`");
    }
    let Files { servers, remarks, refused, .. } = files;
    for remark in remarks {
        warn!(remark, "configuration file");
    }
    for refusal in &refused {
        error!(refusal, "server not usable");
    }
    let file = path.display();
    match (servers.is_empty(), refused.as_slice()) {
        (false, _) => Ok(servers),
        (true, []) => bail!("`{file}` has no server that is not disabled"),
        (true, refused) => bail!("`{file}` has no server that can be used\n{}", refused.join("\n")),
    }
}

/// Builds the definition of the gateway at this URL, the only upstream of this process.
fn remote(url: &Url, token: Option<Secret>) -> anyhow::Result<Definition> {
    let mut url = url.clone();
    if matches!(url.path(), "" | "/") {
        url.set_path("/mcp");
    }
    let headers: BTreeMap<_, _> =
        token.map(|token| ("Authorization", format!("Bearer {}", token.expose()))).into_iter().collect();
    let document =
        serde_json::json!({ "name": "gateway", "transport": "streamable-http", "url": url, "headers": headers });
    serde_json::from_value(document).with_context(|| format!("--url {url} cannot be used"))
}
