//! The gateway: the release binary with default settings; upstreams are registered through the admin API.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command as Blocking;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use harness::{Process, root};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tokio::process::Command;

use super::{Hop, Kind, Running};
use crate::connection::Connection;
use crate::rows::Route;
use crate::upstream::Upstream;

/// Builds the binary as packages have it, without the features that this package enables.
pub(super) fn build() -> Result<PathBuf> {
    // Derive the target folder from the path of the benchmark, `target/release/deps/NAME`.
    let own = env::current_exe()?;
    let target = own.ancestors().nth(3).context("the benchmark lies in no target folder")?;
    let mut cargo = Blocking::new(env!("CARGO"));
    cargo
        .args(["build", "--profile", "dist", "--package", "proxy-server", "--bin", "mcp-proxy", "--target-dir"])
        .arg(target);
    ensure!(cargo.current_dir(root()).status()?.success(), "the gateway does not build");
    Ok(target.join("dist/mcp-proxy"))
}

/// Returns the path of a route on the gateway.
pub(super) fn path(route: Route) -> String {
    if route == Route::All { "/mcp".to_owned() } else { format!("/{}/mcp", route.name()) }
}

/// Starts a gateway, with an access log and an audit log on disk if it `has_logs`.
pub(super) async fn start(
    name: &str,
    (program, has_logs): (&Path, bool),
    upstream: &Upstream,
    routes: &[Route],
) -> Result<Hop> {
    let folder = tempfile::tempdir()?;
    let mut command = Command::new(program);
    if has_logs {
        command.args(["--access-log", "access.jsonl", "--audit-log", "audit.jsonl"]);
    }
    command.args(["--port", "0"]).env_clear().env("HOME", folder.path()).current_dir(folder.path());
    command.envs(env::var_os("PATH").map(|path| ("PATH", path)));
    let process = Process::start(command);
    let line = process.first_line().await;
    let address = line.rsplit('/').next().context("the gateway does not say where it is")?.parse()?;
    let mut connection = Connection::open(address).await?;
    for route in routes {
        for definition in upstream.definitions(*route)? {
            register(&mut connection, &definition).await?;
        }
    }
    let running = Some(Running { _process: process, _folder: folder });
    Ok(Hop { name: name.to_owned(), kind: Kind::Gateway, address, pids: Vec::new(), running })
}

async fn register(connection: &mut Connection, definition: &Value) -> Result<()> {
    let request = Request::post("/admin/mcps").body(Full::new(Bytes::from(definition.to_string())))?;
    let response = connection.send(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    ensure!(status == StatusCode::CREATED, "not registered, {status}: {}", String::from_utf8_lossy(&body));
    Ok(())
}
