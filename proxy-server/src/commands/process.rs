//! `start`, `stop` and `status`: a gateway in the foreground that others can find by its PID file. Outcomes and exit codes
//! are those of Radium's `rad mcp proxy`.

use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use http::StatusCode;
use schemas::admin::GatewayStatus;
use serde_json::json;

use super::ask::{Question, get};
use super::pid_file::{self, OwnPidFile, State};
use super::serve::{self, Sources};
use crate::cli::{Output, ProcessFlags, StartFlags, StatusFlags};
use crate::config::{Config, InvalidConfig, Loaded, Place, process_environment};

const STATUS_PATH: &str = "/admin/status";
/// Timeout for the gateway's answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Time beyond the grace period in which a gateway ends its children.
const BEYOND_GRACE: Duration = Duration::from_secs(15);
/// Exit code of `status --exit-code` if no gateway runs, as the Linux Standard Base has it for services.
const NOT_RUNNING: i32 = 3;

/// `start`.
pub(super) async fn start(mut args: StartFlags) -> anyhow::Result<()> {
    let variables = process_environment();
    let Some(path) = args.serve.files.find_for_process(&variables)? else {
        return say("\u{2717} no configuration file: write one with `mcp-proxy init`");
    };
    args.serve.files.config = Some(path.clone());
    let (loaded, stamps) = Config::load(&args.serve, &variables);
    let loaded = loaded?;
    let pid_path = pid_file::path(args.pid_file.as_deref(), Some(&path), variables.state_home())?;
    let mut pid_file = match OwnPidFile::take(&pid_path)? {
        Ok(pid_file) => pid_file,
        Err(pid) => {
            let pid = pid.map(|pid| format!(" (PID {pid})")).unwrap_or_default();
            return say(&format!("\u{26a0} a gateway is running already{pid}: end it with `mcp-proxy stop`"));
        }
    };
    if loaded.file.as_ref().is_some_and(|file| file.is_switched_off) {
        let path = path.display();
        return say(&format!("\u{26a0} the gateway is switched off: set `enable = true` in {path}"));
    }
    let sources = Sources { args: args.serve, variables };
    let shown = pid_path.display().to_string();
    let announce = move || {
        pid_file.write()?;
        say(&format!("PID {}, in {shown}; end it with Ctrl-C or `mcp-proxy stop`", std::process::id()))?;
        Ok(pid_file)
    };
    serve::run(sources, (loaded, stamps), announce).await
}

/// `stop`.
pub(super) async fn stop(args: &ProcessFlags) -> anyhow::Result<()> {
    let (path, loaded) = find(args)?;
    match pid_file::look(&path)? {
        absent @ (State::Absent | State::Stale) => say(not_running(&absent)),
        State::Running(pid) => {
            say(&format!("stopping PID {pid}"))?;
            let config = loaded.map(|loaded| loaded.config).unwrap_or_default();
            let patience = config.shutdown_timeout + config.drain_delay + BEYOND_GRACE;
            pid_file::terminate(&path, pid, patience).await?;
            say("\u{2713} stopped")
        }
    }
}

/// `status`.
pub(super) async fn status(args: &StatusFlags) -> anyhow::Result<()> {
    let (path, loaded) = find(&args.process)?;
    let (config, invalid) = match loaded {
        Ok(loaded) => (Some(loaded.config), None),
        Err(invalid) => (None, Some(anyhow::Error::new(invalid).context("its configuration file has a mistake now"))),
    };
    let (pid, gateway, error) = match pid_file::look(&path)? {
        State::Running(pid) => {
            let asked = match &config {
                Some(config) => ask(config).await.map_err(Some),
                None => Err(invalid),
            };
            let (gateway, error) = match asked {
                Ok(status) => (Some(status), None),
                Err(error) => (None, error),
            };
            (Some(pid.as_raw_nonzero().get()), gateway, error)
        }
        absent => {
            if args.output == Output::Human {
                say(not_running(&absent))?;
            }
            (None, None, None)
        }
    };
    match (args.output, pid) {
        (Output::Json, _) => {
            let shown = json!({
                "version": 1, "running": pid.is_some(), "pid": pid,
                "host": config.as_ref().map(|config| &config.host), "port": config.as_ref().map(|config| config.port),
                "gateway": gateway, "error": error.map(|error| format!("{error:#}")),
            });
            say(&format!("{shown:#}"))?;
        }
        (Output::Human, Some(pid)) => {
            let address = config.map(|config| format!(", {}", shown(config.place()))).unwrap_or_default();
            say(&format!("\u{2713} running, PID {pid}{address}"))?;
            if let Some(status) = gateway {
                show(&status)?;
            }
            if let Some(error) = error {
                say(&format!("\u{26a0} it does not tell its status: {error:#}"))?;
            }
        }
        (Output::Human, None) => {}
    }
    if args.exit_code && pid.is_none() {
        std::process::exit(NOT_RUNNING);
    }
    Ok(())
}

fn not_running(state: &State) -> &'static str {
    match state {
        State::Stale => "\u{2717} no gateway is running; its stale PID file is removed",
        State::Absent | State::Running(_) => "\u{2717} no gateway is running",
    }
}

/// Returns the PID file, and the configuration or the reason why there is none: the process can be found without it.
fn find(args: &ProcessFlags) -> anyhow::Result<(PathBuf, Result<Loaded, InvalidConfig>)> {
    let variables = process_environment();
    let mut serve = args.serve.clone();
    let file = serve.files.find_for_process(&variables)?;
    serve.files.config = Some(file.clone().unwrap_or_else(|| PathBuf::from("none")));
    let (loaded, _) = Config::load(&serve, &variables);
    Ok((pid_file::path(args.pid_file.as_deref(), file.as_deref(), variables.state_home())?, loaded))
}

/// Writes an address as its settings do.
fn shown(place: Place<'_>) -> String {
    match place {
        Place::Tcp(host, port) => format!("{host}:{port}"),
        Place::Unix(path) => format!("unix:{}", path.display()),
    }
}

/// Asks the gateway for its status.
async fn ask(config: &Config) -> anyhow::Result<GatewayStatus> {
    let place = config.admin_place().unwrap_or(config.place());
    let (status, body) = get(Question { config, path: STATUS_PATH, is_admin: true }, place, PATIENCE).await?;
    anyhow::ensure!(status == StatusCode::OK, "it answers {status}");
    Ok(serde_json::from_slice(&body)?)
}

fn show(status: &GatewayStatus) -> anyhow::Result<()> {
    say(&format!("sessions {}, servers {}", status.active_sessions, status.registered_servers))?;
    for (name, health) in &status.server_health {
        say(&format!("  {name}  {health}"))?;
    }
    if let Some(file) = &status.configuration {
        say(&format!("configuration {}, generation {}, since {}", file.file, file.generation, file.loaded_at))?;
        for problem in file.refused.iter().chain(&file.pending) {
            say(&format!("\u{26a0} {problem}"))?;
        }
        if let Some(rejected) = &file.rejected {
            say(&format!("\u{26a0} a newer version is not in effect:\n{rejected}"))?;
        }
    }
    Ok(())
}

fn say(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}
