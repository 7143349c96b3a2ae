//! `serve`: runs the gateway until a signal, and applies its configuration file again when it changes.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_util::FutureExt;
use schemas::Secret;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

use crate::config::{Config, Loaded, ServeFlags, Stamps, Variables, process_environment};
use crate::error::Chain;
use crate::gateway::{Gateway, Inherited};
use crate::telemetry::{self, Format};
use crate::upstream::raise_descriptor_limit;

/// Interval at which the configuration files are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// Longest time for which files may go on changing before they are read.
const SETTLE: Duration = Duration::from_secs(2);

/// Time within which signals count as one.
const SAME_SIGNAL: Duration = Duration::from_millis(20);

/// Sources of the configuration, to read it again.
pub(super) struct Sources {
    pub(super) args: ServeFlags,
    pub(super) variables: Variables,
}

/// Serves until a signal.
pub(super) async fn serve(args: ServeFlags) -> anyhow::Result<()> {
    let sources = Sources { args, variables: process_environment() };
    let (loaded, stamps) = Config::load(&sources.args, &sources.variables);
    run(sources, (loaded?, stamps), || Ok(())).await
}

/// Serves until a signal. `listening` is called once clients can connect; what it returns is kept until the end.
pub(super) async fn run<T>(
    mut sources: Sources,
    (loaded, stamps): (Loaded, Stamps),
    listening: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<()> {
    // First, while there are no other threads, because it changes the environment.
    let inherited = Inherited::take()?;
    // A reload reads the file that was found, and no other, even if it has gone.
    let found = loaded.file.as_ref().map_or_else(|| "none".into(), |file| file.path.clone());
    sources.args.files.config = Some(found);
    sources.args.files.is_reload = true;
    let sources = Arc::new(sources);
    let config = loaded.config.clone().with_wardens();
    telemetry::init(config.telemetry.clone());
    for (variable, reason) in Config::without_effect(&sources.variables) {
        warn!(variable, reason, "this variable has no effect");
    }
    log_file(&loaded);
    hide_secrets(&config);
    if config.policy.allow_insecure_admin {
        warn!("--allow-insecure-admin: whoever reaches the admin API can run programs on this machine");
    }
    if let Some((before, now)) = raise_descriptor_limit() {
        info!(before, now, "limit of open descriptors raised");
    }
    let mut signals = Signals::new()?;
    let format = config.telemetry.format;
    let gateway = Gateway::start_on(inherited, config).await?;
    announce(&gateway, format)?;
    let _kept = listening()?;
    let drains = follow(&gateway, sources, stamps, &mut signals).await;
    signals.settle().await;
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
        () = signals.again() => warn!("stopped without waiting, on a second signal"),
    }
    Ok(())
}

/// Signals that the gateway handles.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?,
            hangup: signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?,
        })
    }

    /// Waits for signals that count as the one that was received: `timeout` of coreutils signals the process and its
    /// group.
    async fn settle(&mut self) {
        sleep(SAME_SIGNAL).await;
        self.terminate.recv().now_or_never();
        self.interrupt.recv().now_or_never();
    }

    /// Completes on another signal to stop.
    async fn again(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Applies the configuration again on SIGHUP and when its files change. Returns when the gateway has to stop: true on
/// SIGTERM, false on SIGINT.
async fn follow(gateway: &Gateway, sources: Arc<Sources>, mut stamps: Stamps, signals: &mut Signals) -> bool {
    loop {
        let cause = tokio::select! {
            _ = signals.terminate.recv() => return true,
            _ = signals.interrupt.recv() => return false,
            _ = signals.hangup.recv() => "SIGHUP",
            () = changed(&stamps) => "the file has changed",
        };
        let loading = Arc::clone(&sources);
        let load = spawn_blocking(move || Config::load(&loading.args, &loading.variables));
        // Only a panic ends it otherwise, which has its own log line; the next change is waited for.
        let Ok((loaded, newest)) = load.await else {
            stamps = stamps.renewed();
            continue;
        };
        stamps = newest;
        let applied = match loaded {
            Ok(loaded) => {
                hide_secrets(&loaded.config);
                log_file(&loaded);
                gateway.reload(&loaded.config).map_err(|error| Chain(&error).to_string())
            }
            Err(invalid) => Err(invalid.to_string()),
        };
        match applied {
            Ok(()) => info!(cause, "configuration applied"),
            Err(reason) => {
                error!(cause, reason, "configuration not applied; the last good one stays in effect");
                gateway.reject_file(reason);
            }
        }
    }
}

/// Completes when the files have changed, and do not change any more.
async fn changed(stamps: &Stamps) {
    if stamps.is_empty() {
        return std::future::pending().await;
    }
    let look = |before: Stamps| async move {
        sleep(LOOK).await;
        let look = spawn_blocking(move || (before.renewed(), before)).await;
        // Only a panic ends it otherwise.
        look.unwrap_or_default()
    };
    let mut last = loop {
        let (now, before) = look(stamps.clone()).await;
        if now != before {
            break now;
        }
    };
    let settled = async {
        loop {
            let (now, before) = look(last).await;
            if now == before {
                return;
            }
            last = now;
        }
    };
    drop(timeout(SETTLE, settled).await);
}

fn log_file(loaded: &Loaded) {
    let Some(file) = &loaded.file else { return };
    let refused = loaded.config.servers.as_ref().map(|servers| servers.refused.as_slice()).unwrap_or_default();
    for remark in &file.remarks {
        warn!(remark, "configuration file");
    }
    for refusal in refused {
        error!(refusal, "server of the configuration file not usable");
    }
    let servers = loaded.config.servers.as_ref().map(|servers| servers.definitions.len()).unwrap_or_default();
    info!(file = %file.path.display(), format = file.format, servers, "configuration file read");
}

fn hide_secrets(config: &Config) {
    let tokens = config.policy.admin_tokens.iter().chain(&config.policy.global_tokens);
    let stored = config.storage.redis.secrets();
    let oauth = &config.policy.oauth.client_secret;
    telemetry::never_log(tokens.chain(&stored).chain(oauth).map(Secret::expose));
}

/// Prints the gateway's address on standard output, for people and for programs that started it on a free port.
fn announce(gateway: &Gateway, format: Format) -> anyhow::Result<()> {
    let (address, url) = (gateway.address(), gateway.url());
    info!(%address, url, "listening");
    let admin_address = gateway.admin_address();
    if admin_address != address {
        info!(address = %admin_address, "admin API listening");
    }
    let line = match format {
        Format::Text => {
            let place = address.tcp().map_or_else(|| address.to_string(), |_| url.to_owned());
            format!("mcp-proxy {} listening on {place}", env!("CARGO_PKG_VERSION"))
        }
        Format::Json => serde_json::json!({
            "message": "Starting MCP proxy server",
            "host": address.tcp().map_or(address.to_string(), |address| address.ip().to_string()),
            "port": address.tcp().map(|address| address.port().to_string()).unwrap_or_default(),
            "base_url": url,
        })
        .to_string(),
    };
    let mut out = std::io::stdout();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("cannot write to standard output")
}
