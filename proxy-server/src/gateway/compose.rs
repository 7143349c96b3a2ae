//! Assembles the parts of a gateway.

use std::sync::Arc;

use axum::Router;
use schemas::FingerprintSalt;
use tokio::time::Instant;

use crate::admin::{self, Admin, Connections};
use crate::call::AccessLog;
use crate::catalog::{Catalog, GatewayName};
use crate::config::Config;
use crate::control::{Control, follow_token_uses};
use crate::discovery::{self, Discovery};
use crate::downstream::{self, Edge};
use crate::gateway::settings::Settings;
use crate::http::client::Dialer;
use crate::http::server::{Drain, Route};
use crate::keys::Keys;
use crate::policy::oauth::OAuth;
use crate::policy::{AccessTokens, Policy};
use crate::registry::Registry;
use crate::tasks::Tasks;
use crate::telemetry::usage::Trees;
use crate::telemetry::{Audit, StateChanges};
use crate::upstream::{Environment, Upstreams};

/// The parts of a gateway that its transports use.
pub(super) struct Composed {
    pub(super) edge: Arc<Edge>,
    pub(super) control: Arc<Control>,
    pub(super) policy: Arc<Policy>,
    pub(super) counts: Arc<Connections>,
    pub(super) routers: Routers,
    /// Every route, with its audience.
    pub(super) routes: Vec<Route>,
}

/// Routers of the addresses that the gateway listens on.
pub(super) struct Routers {
    pub(super) main: Router,
    /// Router of the admin API, if that has an address of its own; else `main` has its routes, and nobody uses this.
    pub(super) admin: Router,
}

/// Assembles a gateway from its configuration, its keys, and its registry.
pub(super) fn compose(
    (config, settings, keys): (&Config, &Settings, &Keys),
    (registry, dialer, (audit, access_log, events)): (Registry, Dialer, (Audit, AccessLog, StateChanges)),
    tasks: &Tasks,
    drain: &Drain,
) -> Composed {
    tasks.spawn("unused connections", dialer.clone().sweep(tasks.stopping().clone()));
    let url = (config.scheme(), config.downstream.base_url.as_deref());
    let oauth = OAuth::new(&config.policy.oauth, url, dialer.clone(), keys.digest.clone());
    let changes = (tasks.clone(), events.clone());
    let environment = Environment::new(settings.upstream.clone(), changes, dialer, config.children.clone());
    let (upstreams, lifecycle) = Upstreams::new(environment);
    let access_tokens = AccessTokens::new(registry.tokens());
    let control = Control::start(registry, lifecycle, tasks);
    tasks.spawn("repeated refusals", audit.clone().follow_refusals(tasks.stopping().clone()));
    let access = (access_tokens, audit);
    let policy = Arc::new(Policy::new(settings.policy.clone(), keys.digest.clone(), oauth, access));
    let uses = follow_token_uses(Arc::clone(&control), Arc::clone(&policy), tasks.stopping().clone());
    tasks.spawn("token uses", uses);
    let counts = Arc::new(Connections { limit: config.max_connections, ..Connections::default() });
    let catalog =
        Catalog::follow(upstreams.clone(), settings.naming.clone(), GatewayName::new(keys.gateway_name), tasks);
    let discovery = Arc::new(discovery_of(config, settings, (upstreams.clone(), Arc::clone(&policy))));
    let edges = (settings.downstream.clone(), settings.calls.clone());
    let edge =
        Edge::new(upstreams.clone(), catalog.clone(), Arc::clone(&policy), tasks.clone(), (edges, keys, access_log));
    let admin = Arc::new(Admin {
        control: Arc::clone(&control),
        catalog,
        upstreams,
        policy: Arc::clone(&policy),
        salt: FingerprintSalt::new(keys.fingerprint_salt),
        started: Instant::now(),
        connections: Arc::clone(&counts),
        max_definition_bytes: config.max_definition_bytes,
        max_body_bytes: config.downstream.max_body_bytes,
        is_draining: {
            let drain = drain.clone();
            Box::new(move || drain.is_announced())
        },
        sessions: {
            let edge = Arc::clone(&edge);
            Box::new(move || edge.session_count())
        },
        keep_alive: {
            let downstream = settings.downstream.clone();
            Box::new(move || downstream.keep_alive)
        },
        calls: Arc::clone(&edge.services),
        events,
        trees: Trees::default(),
        has_public_metrics: config.public_metrics,
        credentials: downstream::shown,
    });
    let (health, of_health) = admin::health(Arc::clone(&admin));
    let (admin, of_admin) = admin::router(admin);
    let (endpoints, of_endpoints) = downstream::router(Arc::clone(&edge));
    let (documents, of_documents) = discovery::router(discovery);
    let main = endpoints.merge(documents).merge(health.clone());
    let has_own_address = config.admin_place().is_some();
    let main = if has_own_address { main } else { main.merge(admin.clone()) };
    let routers = Routers {
        main: main.fallback(downstream::not_found),
        admin: admin.merge(health).fallback(downstream::not_found),
    };
    Composed {
        edge,
        control,
        policy,
        counts,
        routers,
        routes: [of_endpoints, of_documents, of_health, of_admin].concat(),
    }
}

fn discovery_of(config: &Config, settings: &Settings, (upstreams, policy): (Upstreams, Arc<Policy>)) -> Discovery {
    Discovery {
        upstreams,
        policy,
        has_cards: config.downstream.server_cards,
        scheme: config.scheme(),
        base_url: config.downstream.base_url.clone(),
        eras: {
            let downstream = settings.downstream.clone();
            Box::new(move || downstream.eras)
        },
        credentials: downstream::shown,
    }
}
