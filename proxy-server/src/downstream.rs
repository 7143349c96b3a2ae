//! MCP endpoints: HTTP requests in, HTTP responses out. Only this row of modules and the admin API use status codes.

mod aggregate;
mod batch;
mod bridged;
mod cards;
mod connection;
mod conversation;
mod dialogue;
mod event_log;
mod fields;
mod forward;
mod headers;
mod hub;
mod kept;
mod listen;
mod mcp;
mod merged;
mod modern;
mod notices;
mod open_questions;
mod origin;
mod own_lists;
mod parked;
mod pool;
mod pulse;
mod question;
mod reply;
mod respond;
mod routed;
mod seal;
mod session;
mod sse;
mod stdio;
mod stream;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{RawPathParams, Request, State};
use axum::http::{Extensions, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{BoxError, Router};
use bytes::{Bytes, BytesMut};
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use schemas::{Eras, admin};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tower_service::Service;

pub(crate) use self::connection::{Connection, Drain, serve_overflow};
use self::event_log::LogLimits;
use self::fields::Fields;
use self::kept::Kept;
pub(crate) use self::origin::Origins;
use self::parked::Parked;
use self::pool::Pool;
use self::respond::Reply;
pub(crate) use self::respond::not_found;
use self::session::{Scope, Sessions};
pub(crate) use self::stdio::{Servers, serve as serve_stdio};
use crate::catalog::{Catalog, View};
use crate::error::Kind;
use crate::policy::{Caller, Credentials, Page, Policy, Principal};
use crate::protocol::Message;
use crate::tasks::Tasks;
use crate::upstream::{Attachment, EventQueue, OpenError, Upstream, Upstreams};

/// Maximum number of bytes reserved at once for a body on the strength of its announced length alone.
const MOST_FORESEEN: usize = 1 << 20;
const DRAIN_INTERVAL: Duration = Duration::from_millis(20);

/// Limits towards clients.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Maximum size of a request body in bytes.
    pub(crate) max_body_bytes: usize,
    /// Timeout for reading a body.
    pub(crate) body_timeout: Duration,
    /// Timeout for the upstream's part in a client's `initialize`.
    pub(crate) initialize_timeout: Duration,
    /// Idle timeout of a session.
    pub(crate) idle_timeout: Duration,
    /// Interval of keep-alive comments on an idle event stream.
    pub(crate) keep_alive: Duration,
    /// Interval of keep-alive comments while a call waits for its answer.
    pub(crate) call_keep_alive: Duration,
    /// Minimum time without a request after which a connection is closed.
    pub(crate) connection_idle_timeout: Duration,
    /// Maximum number of sessions; the same limit holds for pooled upstream sessions and for listeners.
    pub(crate) max_sessions: usize,
    /// Timeout for a client's answer to a question.
    pub(crate) question_timeout: Duration,
    /// Timeout for a write of which the client accepts nothing.
    pub(crate) write_timeout: Duration,
    /// Maximum size of one event stream's log, kept for resumption: in bytes and in events.
    pub(crate) stream_bytes: usize,
    pub(crate) stream_events: usize,
    /// Maximum total size of all kept streams and parked calls, in bytes.
    pub(crate) kept_bytes: usize,
    /// Maximum number of parked calls, which wait for their clients' answers.
    pub(crate) parked_calls: usize,
    /// Time after which an unfinished response becomes an event stream, which legacy clients can resume.
    pub(crate) patience: Duration,
    /// Eras that the endpoint of all upstreams supports.
    pub(crate) eras: Eras,
    /// Base URL for the path in the `endpoint` event, which needs none, and for cards, which otherwise use `Host`.
    pub(crate) base_url: Option<String>,
    /// True if endpoints have server cards.
    pub(crate) server_cards: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_body_bytes: 16 << 20,
            body_timeout: Duration::from_secs(30),
            initialize_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(30 * 60),
            keep_alive: Duration::from_secs(15),
            call_keep_alive: Duration::from_secs(5),
            connection_idle_timeout: Duration::from_secs(130),
            max_sessions: 10_000,
            question_timeout: Duration::from_secs(300),
            write_timeout: Duration::from_secs(30),
            stream_bytes: 16 << 20,
            stream_events: 10_000,
            kept_bytes: 192 << 20,
            parked_calls: 1_000,
            patience: Duration::from_secs(1),
            eras: Eras::default(),
            base_url: None,
            server_cards: true,
        }
    }
}

/// Shared state of all endpoints. Cheap to clone. Each lane has its own copy, because threads that share a reference
/// count contend for it.
#[derive(Clone)]
pub(crate) struct Edge {
    upstreams: Upstreams,
    catalog: Catalog,
    policy: Arc<Policy>,
    tasks: Tasks,
    sessions: Arc<Sessions>,
    /// Upstream sessions for clients of the modern era.
    pool: Arc<Pool>,
    parked: Arc<Parked>,
    /// Permits for listeners.
    listeners: Arc<Semaphore>,
    /// Cancelled to end every stream.
    closing: CancellationToken,
    config: Arc<Config>,
}

impl Edge {
    pub(crate) fn new(
        upstreams: Upstreams,
        catalog: Catalog,
        policy: Arc<Policy>,
        tasks: Tasks,
        config: Config,
    ) -> Arc<Self> {
        let kept = Kept::new(config.kept_bytes);
        let streams =
            LogLimits { bytes: config.stream_bytes, events: config.stream_events, patience: config.write_timeout };
        let sessions = Arc::new(Sessions::new(config.max_sessions, streams, Arc::clone(&kept)));
        let pool = Arc::new(Pool::new(config.max_sessions));
        let parked = Parked::new(config.parked_calls, config.question_timeout, kept);
        let listeners = Arc::new(Semaphore::new(config.max_sessions.min(Semaphore::MAX_PERMITS)));
        let closing = CancellationToken::new();
        let (spawn, config) = (tasks.clone(), Arc::new(config));
        let edge = Self { upstreams, catalog, policy, tasks, sessions, pool, parked, listeners, closing, config };
        let edge = Arc::new(edge);
        spawn.spawn("session reaper", session::reap(Arc::clone(&edge)));
        spawn.spawn("pool reaper", pool::reap(Arc::clone(&edge)));
        edge
    }

    /// True if an endpoint supports the modern era.
    fn speaks_modern(&self, scope: &Scope) -> bool {
        let eras = match scope {
            Scope::One(upstream) => upstream.definition().eras,
            Scope::All(_) => self.config.eras,
        };
        eras == Eras::Both
    }

    /// Returns this caller's view of all upstreams.
    fn view(&self, caller: &Caller) -> Arc<View> {
        self.catalog.view(&|definition| self.policy.reaches(caller, definition))
    }

    /// Returns an upstream by its name, if it is registered and this caller may use it.
    fn reachable(&self, caller: &Caller, name: &str) -> Option<Arc<Upstream>> {
        self.upstreams.get(name).filter(|upstream| self.policy.reaches(caller, upstream.definition()))
    }

    /// Evicts the least recently used upstream session at this upstream, a pooled one if possible. Returns true if one
    /// has ended.
    async fn make_room(&self, upstream: &Arc<Upstream>) -> bool {
        self.pool.evict(Arc::as_ptr(upstream).addr()).await || self.sessions.evict(upstream).await
    }

    /// Attaches a client to an upstream. If all permits are taken, evicts idle sessions.
    async fn attach(
        &self,
        upstream: &Arc<Upstream>,
        hello: &str,
    ) -> Result<(Arc<Attachment>, Message, EventQueue), OpenError> {
        let deadline = Instant::now() + self.config.initialize_timeout;
        loop {
            match Attachment::open(Arc::clone(upstream), hello, deadline).await {
                Err(OpenError::Failed(error))
                    if error.kind() == Kind::TooManySessions
                        && Instant::now() < deadline
                        && Box::pin(self.make_room(upstream)).await => {}
                outcome => return outcome,
            }
        }
    }

    /// Waits until no call is in flight, at most for `grace`.
    pub(crate) async fn drain(&self, grace: Duration) {
        // Clients can no longer answer questions.
        self.parked.end_all();
        let idle = async {
            while self.upstreams.all().values().any(|upstream| !upstream.is_idle()) {
                sleep(DRAIN_INTERVAL).await;
            }
        };
        timeout(grace, idle).await.ok();
    }

    /// Waits until every upstream is connected and listed, or has failed, at most until `deadline`. Returns true if all
    /// are connected.
    async fn settle(&self, deadline: Instant) -> bool {
        let mut connected = true;
        for upstream in self.upstreams.all().values() {
            let mut observed = upstream.observed();
            let settled = observed.wait_for(|observed| observed.state != admin::State::Connecting);
            connected &=
                matches!(timeout_at(deadline, settled).await, Ok(Ok(now)) if now.state == admin::State::Connected);
        }
        // `tools` itself waits for the lists of upstreams that have just connected.
        drop(timeout_at(deadline, self.catalog.tools()).await);
        connected
    }

    /// Ends every session and every open stream.
    pub(crate) fn end_sessions(&self) {
        self.sessions.end_all();
        self.closing.cancel();
        self.pool.end_all();
    }
}

/// Builds the routes of the endpoint of all upstreams, of the endpoints of single upstreams, and of server cards. Each
/// also exists under `/mcp-proxy`, except `/` and the catalog of cards. After `mcp`, `stream` and `sse` of a single
/// upstream, further path segments are ignored.
pub(crate) fn router(edge: Arc<Edge>) -> Router {
    let mut router = Router::new().route("/", post(mcp::serve).fallback(not_found));
    if edge.config.server_cards {
        router = router.route(cards::catalog_path(), any(cards::catalog));
        for path in cards::CARD_PATHS {
            router = router.route(path, any(cards::card)).route(&format!("/mcp-proxy{path}"), any(cards::card));
        }
    }
    for prefix in ["", "/mcp-proxy"] {
        router = router
            .route(&format!("{prefix}/mcp"), any(mcp::serve))
            .route(&format!("{prefix}/sse"), get(sse::open))
            .route(&format!("{prefix}/message"), any(sse::message));
        for path in ["stream", "mcp"] {
            router = router
                .route(&format!("{prefix}/{{name}}/{path}"), any(mcp::serve))
                .route(&format!("{prefix}/{{name}}/{path}/{{*extra}}"), any(mcp::serve));
        }
        router = router
            .route(&format!("{prefix}/{{name}}/sse"), get(sse::open))
            .route(&format!("{prefix}/{{name}}/sse/{{*extra}}"), get(sse::open))
            .route(&format!("{prefix}/{{name}}/message"), any(sse::message));
    }
    router.with_state(edge)
}

/// Entry point of every HTTP request.
#[derive(Clone)]
pub(crate) struct Front {
    pub(crate) origins: Origins,
    pub(crate) edge: Arc<Edge>,
    /// Router for all requests that are not answered before it.
    pub(crate) router: Router,
}

impl Front {
    /// Returns a copy with its own `Edge`, for one more lane.
    pub(crate) fn another(&self) -> Self {
        Self { edge: Arc::new(Edge::clone(&self.edge)), ..self.clone() }
    }

    /// Answers any request.
    async fn answer<B>(&self, peer: Peer, request: http::Request<B>) -> Response
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let page = match self.origins.page(&Fields::of(&request), peer.local.ip(), request.uri().path()) {
            Ok(page) => page,
            Err(refusal) => return fresh(refusal),
        };
        let is_admin = request.uri().path().starts_with("/admin");
        let is_shown = page == Page::Allowed || (page == Page::Neighbour && !is_admin);
        let origin = request.headers().get(header::ORIGIN).filter(|_| is_shown).cloned();
        let mut response = if origin.is_some() && origin::is_preflight(request.method(), request.headers()) {
            origin::allow_page(request.headers())
        } else {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer);
            request.extensions_mut().insert(page);
            let Ok(response) = self.router.clone().call(request).await;
            response
        };
        if let Some(origin) = origin {
            origin::show_to(origin, &mut response);
        }
        fresh(response)
    }

    /// True if the page that sends a request may use the MCP endpoints.
    fn admits_page(&self, peer: Peer, fields: &Fields<'_>) -> bool {
        self.origins.page(fields, peer.local.ip(), "").is_ok()
    }

    /// Authorizes a usual request to the endpoint of this upstream, or of all upstreams.
    fn admit(&self, peer: Peer, name: Option<&str>, fields: &Fields<'_>) -> Result<mcp::Caller, Reply> {
        self.origins.page(fields, peer.local.ip(), "")?;
        mcp::Caller::admit(Arc::clone(&self.edge), name, &fields.credentials(peer))
    }
}

/// Adds `Cache-Control: no-store` unless the response has that field: a missing resource may exist soon, and most
/// responses are for one caller only.
fn fresh(mut response: Response) -> Response {
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Addresses of both ends of a connection; an extension of every request that goes through the router.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    /// Client's end.
    pub(crate) peer: SocketAddr,
    /// Gateway's end.
    pub(crate) local: SocketAddr,
}

#[cfg(test)]
impl Peer {
    /// Returns a peer with the address of the gateway.
    fn of(peer: SocketAddr) -> Self {
        Self { peer, local: peer }
    }
}

/// Scope and principal of a request, or the refusal.
type Admitted = Result<(Scope, Principal), Reply>;

/// Authorizes a request to the named upstream, or to all upstreams.
fn admit(edge: &Edge, name: Option<&str>, credentials: &Credentials<'_>) -> Admitted {
    let Some(name) = name else {
        let caller = edge.policy.caller(credentials);
        let all = edge.upstreams.all();
        let definitions = all.values().map(|upstream| upstream.definition());
        let principal = edge.policy.client_of_all(&caller, definitions).map_err(respond::denied)?;
        return Ok((Scope::All(Mutex::new(caller)), principal));
    };
    let upstream = edge.upstreams.get(name).ok_or_else(|| respond::unknown_upstream(name))?;
    let principal = edge.policy.client(credentials, upstream.definition()).map_err(respond::denied)?;
    Ok((Scope::One(upstream), principal))
}

/// Returns the upstream's name in a path; `None` for the endpoint of all upstreams.
fn upstream_name(path: &RawPathParams) -> Option<&str> {
    path.iter().find(|(name, _)| *name == "name").map(|(_, value)| value)
}

/// Reason why a body was not read.
enum Unread {
    TooLarge,
    Broken,
}

/// Reads the whole body, within the limits of size and time.
async fn read_body(edge: &Edge, body: impl HttpBody<Data = Bytes>) -> Result<Bytes, Reply> {
    let limit = edge.config.max_body_bytes;
    // Refuse a body by its announced length, before it is sent.
    if body.size_hint().lower() > limit as u64 {
        return Err(respond::too_large(limit));
    }
    match timeout(edge.config.body_timeout, collect(body, limit)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(Unread::TooLarge)) => Err(respond::too_large(limit)),
        Ok(Err(Unread::Broken)) => Err(respond::bad_request("the body ended early")),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT.into_response().into()),
    }
}

/// Collects a body. A body of a single frame is not copied.
async fn collect(body: impl HttpBody<Data = Bytes>, limit: usize) -> Result<Bytes, Unread> {
    let mut body = pin!(body);
    let (mut only, mut all) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Unread::Broken)?.into_data() else { continue };
        let left = limit - only.len() - all.len();
        if data.len() > left {
            return Err(Unread::TooLarge);
        }
        if only.is_empty() && all.is_empty() {
            only = data;
            continue;
        }
        if all.is_empty() {
            let expected =
                usize::try_from(body.size_hint().lower()).unwrap_or(MOST_FORESEEN).min(left).min(MOST_FORESEEN);
            all.reserve(only.len() + expected.max(data.len()));
            all.extend_from_slice(&std::mem::take(&mut only));
        }
        all.extend_from_slice(&data);
    }
    Ok(if all.is_empty() { only } else { all.freeze() })
}

/// Returns the credentials of a request that goes through the router.
pub(crate) fn shown(request: &Request) -> Credentials<'_> {
    Fields::of(request).credentials(peer(request.extensions()))
}

/// Returns the peer of a request that goes through the router; `0.0.0.0:0` if it is missing.
fn peer(extensions: &Extensions) -> Peer {
    let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
    extensions.get().copied().unwrap_or(Peer { peer: unknown, local: unknown })
}

/// Shared state of a handler.
type Shared = State<Arc<Edge>>;
