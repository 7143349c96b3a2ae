//! Carries out each sub-command.

mod settings;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, bail};
use schemas::dialect::desktop::Document;
use schemas::{Definition, Secret};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};
use url::Url;

use crate::cli::{Cli, Command, ConfigCommand, StdioFlags};
use crate::config::{Config, Flags, one_token, process_environment};
use crate::downstream::Servers;
use crate::gateway::{Gateway, check_address, serve_stdio};
use crate::telemetry::{self, Format};
use crate::upstream::raise_descriptor_limit;

/// Runs the sub-command of a parsed command line.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        None => serve(&cli.serve).await,
        Some(Command::Serve(args)) => serve(&args).await,
        Some(Command::Stdio(args)) => stdio(*args).await,
        Some(Command::Config(ConfigCommand::Show(args))) => {
            let (config, settings) = Config::explain(&args.serve, &process_environment())?;
            check_address(&config).await?;
            Ok(write!(std::io::stdout(), "{}", settings::show(&settings, args.output))?)
        }
        Some(Command::Version) => Ok(writeln!(std::io::stdout(), "mcp-proxy {}", env!("CARGO_PKG_VERSION"))?),
    }
}

async fn serve(args: &Flags) -> anyhow::Result<()> {
    let variables = process_environment();
    let config = Config::resolve(args, &variables)?.with_wardens();
    telemetry::init(config.telemetry);
    for variable in Config::without_effect(&variables) {
        warn!(variable, "this variable has no effect: the gateway uses two connections to Redis and no pool");
    }
    let tokens = config.policy.admin_tokens.iter().chain(&config.policy.global_tokens);
    let stored = config.storage.redis.secrets();
    telemetry::never_log(tokens.chain(&stored).map(Secret::expose));
    warn_of_open_doors(&config);
    if let Some((before, now)) = raise_descriptor_limit() {
        info!(before, now, "limit of open descriptors raised");
    }
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let format = config.telemetry.format;
    let gateway = Gateway::start(config).await?;
    announce(&gateway, format)?;
    let drains = tokio::select! {
        _ = terminate.recv() => true,
        _ = interrupt.recv() => false,
    };
    info!(signal = if drains { "SIGTERM" } else { "SIGINT" }, "stopping");
    let stop = async {
        // SIGINT comes from a terminal: skip the drain delay, which is for load balancers.
        if drains {
            gateway.drain().await;
        }
        gateway.stop().await;
    };
    tokio::select! {
        () = stop => info!("stopped"),
        _ = interrupt.recv() => warn!("stopped without waiting, on a second signal"),
        _ = terminate.recv() => warn!("stopped without waiting, on a second signal"),
    }
    Ok(())
}

/// Serves the parent process on standard streams. Returns without joining the thread that reads standard input, because
/// only another line would end its blocking read.
async fn stdio(args: StdioFlags) -> anyhow::Result<()> {
    let environment = process_environment();
    let config = Config::for_stdio(args.log_level, &environment)?.with_wardens();
    telemetry::init(config.telemetry);
    let servers = match (&args.config, &args.url) {
        (Some(path), _) => Servers::All(read_servers(path)?),
        (None, Some(url)) => {
            let token = one_token(args.token.as_deref(), &environment)?;
            Servers::One(Box::new(remote(url, token)?))
        }
        (None, None) => bail!("either --config or --url is needed"),
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

/// Reads the servers of an `mcpServers` file.
fn read_servers(path: &Path) -> anyhow::Result<Vec<Definition>> {
    let file = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{file}`"))?;
    let (document, foreign) = Document::read(&text).with_context(|| format!("`{file}` is not as it should be"))?;
    for member in foreign {
        warn!(file = %file, member, "this member is for other programs and has no effect");
    }
    let definitions = document.definitions().with_context(|| format!("`{file}` cannot be used"))?;
    if definitions.is_empty() {
        bail!("`{file}` has no server that is not disabled");
    }
    Ok(definitions)
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

/// Prints the gateway's address on standard output, for people and for programs that started it on a free port.
fn announce(gateway: &Gateway, format: Format) -> anyhow::Result<()> {
    let (address, url) = (gateway.address(), gateway.url());
    info!(%address, url, "listening");
    let line = match format {
        Format::Text => format!("mcp-proxy {} listening on {url}", env!("CARGO_PKG_VERSION")),
        Format::Json => serde_json::json!({
            "message": "Starting MCP proxy server",
            "host": address.ip().to_string(),
            "port": address.port().to_string(),
            "base_url": url,
        })
        .to_string(),
    };
    let mut out = std::io::stdout();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("cannot write to standard output")
}

fn warn_of_open_doors(config: &Config) {
    if config.policy.allow_insecure_admin {
        warn!("--allow-insecure-admin: whoever reaches the admin API can run programs on this machine");
    }
}
