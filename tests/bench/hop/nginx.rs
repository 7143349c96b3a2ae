//! nginx as a plain HTTP proxy, configured comparably to the gateway.
//!
//! One worker per core (Debian's default, and tokio's), persistent connections to the upstream, no access log.
//! `proxy_buffering` is off, because streams must not be delayed. Bodies stay in memory, with buffers that hold a
//! message of 64 KiB: with nginx's default of one page, such a message would cost half as much again, and nginx would
//! be a poor baseline.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use anyhow::{Result, ensure};
use harness::{Process, free_port};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use super::{Hop, Kind, Running};
use crate::upstream::Upstream;

const PATIENCE: Duration = Duration::from_secs(10);

/// Finds nginx, also in `/usr/sbin`, which is not in the `PATH` of ordinary users on Debian.
pub(super) fn program() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders = env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.find_map(|folder| {
        let program = folder.join("nginx");
        let is_program = program.metadata().is_ok_and(|file| file.permissions().mode() & 0o111 != 0);
        is_program.then_some(program)
    })
}

pub(super) async fn start(program: &Path, upstream: &Upstream) -> Result<Hop> {
    let folder = tempfile::tempdir()?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let file = folder.path().join("nginx.conf");
    fs::write(&file, configuration(folder.path(), address, upstream.address))?;
    let mut command = Command::new(program);
    command.arg("-p").arg(folder.path()).arg("-e").arg("stderr").arg("-c").arg(&file);
    let process = Process::start(command);
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = TcpStream::connect(address).await {
        ensure!(Instant::now() < deadline, "nginx does not start, {error}: {}", process.err());
        sleep(Duration::from_millis(1)).await;
    }
    let running = Some(Running { _process: process, _folder: folder });
    Ok(Hop { name: "nginx".to_owned(), kind: Kind::Nginx, address, pids: Vec::new(), running })
}

fn configuration(folder: &Path, address: SocketAddr, upstream: SocketAddr) -> String {
    let folder = folder.display();
    format!(
        "daemon off;
worker_processes auto;
worker_rlimit_nofile 8192;
pid {folder}/pid;
error_log stderr;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000000;
    client_max_body_size 16m;
    client_body_buffer_size 1m;
    upstream mcp {{
        server {upstream};
        keepalive 256;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {address};
        location / {{
            proxy_pass http://mcp;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_buffering off;
            proxy_buffer_size 64k;
            proxy_buffers 8 64k;
            proxy_read_timeout 1h;
        }}
    }}
}}
"
    )
}
