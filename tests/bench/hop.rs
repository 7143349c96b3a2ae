//! What stands between client and upstream: nothing, nginx, or a gateway.

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

/// How a hop is started.
pub(crate) enum Launch {
    Direct,
    Nginx(PathBuf),
    Gateway { name: String, program: PathBuf },
}

/// A running hop.
pub(crate) struct Hop {
    pub(crate) name: String,
    kind: Kind,
    address: SocketAddr,
    /// Its processes, without the upstreams it started itself.
    pids: Vec<u32>,
    running: Option<Running>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Direct,
    Nginx,
    Gateway,
}

/// A process and the folder it lives in.
struct Running {
    _process: Process,
    _folder: tempfile::TempDir,
}

impl Launch {
    /// The hops of this machine, with these gateways or else the one that cargo builds.
    pub(crate) fn all(gateways: &[(String, PathBuf)]) -> Result<Vec<Self>> {
        let mut all = vec![Self::Direct];
        all.extend(nginx::program().map(Self::Nginx));
        if gateways.is_empty() {
            all.push(Self::Gateway { name: "gateway".to_owned(), program: gateway::build()? });
        }
        all.extend(gateways.iter().cloned().map(|(name, program)| Self::Gateway { name, program }));
        Ok(all)
    }

    /// What is not on this machine, and how to get it.
    pub(crate) fn missing() -> Option<String> {
        let words = "nginx is not installed, so there is nothing to compare with (Debian: apt-get install nginx-light)";
        nginx::program().is_none().then(|| words.to_owned())
    }

    /// Starts the hop and waits until it carries these routes, where it can.
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

    /// Starts the hop with these routes, which may not be there yet.
    pub(crate) async fn launch(&self, upstream: &Upstream, routes: &[Route]) -> Result<Hop> {
        match self {
            Self::Direct => {
                let (name, kind) = ("direct".to_owned(), Kind::Direct);
                Ok(Hop { name, kind, address: upstream.address, pids: Vec::new(), running: None })
            }
            Self::Nginx(program) => nginx::start(program, upstream).await,
            Self::Gateway { name, program } => gateway::start(name, program, upstream, routes).await,
        }
    }
}

impl Hop {
    /// Whether it can stand before this upstream.
    pub(crate) fn carries(&self, route: Route) -> bool {
        route != Route::Stdio || self.kind == Kind::Gateway
    }

    pub(crate) fn endpoint(&self, route: Route) -> Result<Endpoint> {
        let path = if self.kind == Kind::Gateway { gateway::path(route) } else { Upstream::path(route) };
        Ok(Endpoint { address: self.address, path: path.parse()?, is_modern: route.is_modern() })
    }

    /// What its processes used so far; nothing where there are none.
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.running.as_ref().map(|_| Usage::of(&self.pids))
    }
}

/// Opens a session, has a tool say something and leaves.
pub(crate) async fn first_answer(endpoint: &Endpoint) -> Result<()> {
    let mut session = Session::open(endpoint).await?;
    session.call("first").await?;
    session.end().await
}
