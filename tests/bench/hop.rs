//! The hop between client and upstream: none, nginx, or a gateway.

mod gateway;
mod nginx;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use harness::Process;

use crate::machine::{Usage, family, is_own_program};
use crate::rows::Route;
use crate::session::{Endpoint, Session};
use crate::upstream::Upstream;

/// Recipe for starting a hop.
pub(crate) enum Launch {
    Direct,
    Nginx(PathBuf),
    Gateway { name: String, program: PathBuf, has_logs: bool },
}

/// A running hop.
pub(crate) struct Hop {
    pub(crate) name: String,
    kind: Kind,
    address: SocketAddr,
    /// Process ids of the hop, without the upstreams that it started.
    pids: Vec<u32>,
    running: Option<Running>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Direct,
    Nginx,
    Gateway,
}

/// A process with its temporary folder.
struct Running {
    _process: Process,
    _folder: tempfile::TempDir,
}

impl Launch {
    /// Returns the hops available on this machine, with these gateways, or with one built by cargo; if `with_logs`, each also
    /// with its logs.
    pub(crate) fn all(gateways: &[(String, PathBuf)], with_logs: bool) -> Result<Vec<Self>> {
        let mut all = vec![Self::Direct];
        all.extend(nginx::program().map(Self::Nginx));
        let built = if gateways.is_empty() { vec![("gateway".to_owned(), gateway::build()?)] } else { Vec::new() };
        for (name, program) in built.iter().chain(gateways) {
            all.push(Self::Gateway { name: name.clone(), program: program.clone(), has_logs: false });
            if with_logs {
                all.push(Self::Gateway { name: format!("{name}, logs"), program: program.clone(), has_logs: true });
            }
        }
        Ok(all)
    }

    /// Returns a hint if nginx is missing.
    pub(crate) fn missing() -> Option<String> {
        let words = "nginx is not installed, so there is nothing to compare with (Debian: apt-get install nginx-light)";
        nginx::program().is_none().then(|| words.to_owned())
    }

    /// Starts the hop and waits until it serves those of the routes that it supports.
    pub(crate) async fn start(&self, upstream: &Upstream, routes: &[Route]) -> Result<Hop> {
        let others = family(std::process::id());
        let mut hop = self.launch(upstream, routes).await?;
        for route in routes.iter().filter(|route| hop.carries(**route) && **route != Route::All) {
            first_answer(&hop.endpoint(*route)?).await?;
        }
        let mut pids = family(std::process::id());
        pids.retain(|pid| !others.contains(pid) && !is_own_program(*pid));
        hop.pids = pids;
        Ok(hop)
    }

    /// Starts the hop with these routes, without waiting for them.
    pub(crate) async fn launch(&self, upstream: &Upstream, routes: &[Route]) -> Result<Hop> {
        match self {
            Self::Direct => {
                let (name, kind) = ("direct".to_owned(), Kind::Direct);
                Ok(Hop { name, kind, address: upstream.address, pids: Vec::new(), running: None })
            }
            Self::Nginx(program) => nginx::start(program, upstream).await,
            Self::Gateway { name, program, has_logs } => {
                gateway::start(name, (program, *has_logs), upstream, routes).await
            }
        }
    }
}

impl Hop {
    /// Returns true if the hop supports this route.
    pub(crate) fn carries(&self, route: Route) -> bool {
        route != Route::Stdio || self.kind == Kind::Gateway
    }

    pub(crate) fn endpoint(&self, route: Route) -> Result<Endpoint> {
        let path = if self.kind == Kind::Gateway { gateway::path(route) } else { Upstream::path(route) };
        Ok(Endpoint { address: self.address, path: path.parse()?, is_modern: route.is_modern() })
    }

    /// Returns the resource usage of the hop's processes; `None` without processes.
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.running.as_ref().map(|_| Usage::of(&self.pids))
    }
}

/// Opens a session, calls a tool once and ends the session.
pub(crate) async fn first_answer(endpoint: &Endpoint) -> Result<()> {
    let mut session = Session::open(endpoint).await?;
    session.call("first").await?;
    session.end().await
}
