//! Accepts connections and serves each in a task of its own.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::admin::Connections;
use crate::downstream::Service;
use crate::gateway::listen::{Accepted, Listening};
use crate::http::server::{Connection, Drain, Peer, PeerProcess, Stream, Tls, Unanswered, http2, serve_overflow};
use crate::tasks::{Lanes, Tasks};

/// Time for a connection to write its last response.
const LAST_BYTES: Duration = Duration::from_millis(500);

/// Time for a connection beyond the limit, because few of them are served at once.
const OVERFLOW_PATIENCE: Duration = Duration::from_secs(1);

/// Connections accepted beyond the limit and answered once, so that health checks still get a response.
const SPARE_CONNECTIONS: usize = 64;

/// State of the accept loop.
pub(super) struct Acceptor {
    /// One for each lane.
    services: Vec<Arc<Service>>,
    lanes: Arc<Lanes>,
    tasks: Tasks,
    places: Arc<Semaphore>,
    /// Permits for connections beyond the limit, which are answered once and closed.
    spare_places: Arc<Semaphore>,
    counts: Arc<Connections>,
    drain: Drain,
    /// Present if clients speak TLS.
    tls: Option<Tls>,
}

impl Acceptor {
    /// Creates the acceptor of one address, with places of its own: a flood at one address leaves the other reachable.
    pub(super) fn new(
        service: Service,
        (lanes, tasks, counts): (Arc<Lanes>, Tasks, Arc<Connections>),
        most: usize,
        (drain, tls): (Drain, Option<Tls>),
    ) -> Self {
        Self {
            services: (0..lanes.count()).map(|_| Arc::new(service.another())).collect(),
            lanes,
            tasks,
            places: Arc::new(Semaphore::new(most)),
            spare_places: Arc::new(Semaphore::new(SPARE_CONNECTIONS)),
            counts,
            drain,
            tls,
        }
    }
}

/// Socket of an accepted connection, not yet bound to the runtime of a lane.
trait Socket: Send + 'static {
    type Stream: Stream;

    /// Binds the socket to the runtime that this is called in. Returns also the process at the other end, if the kernel
    /// tells it.
    fn open(self) -> io::Result<(Self::Stream, Option<PeerProcess>)>;
}

impl Socket for std::net::TcpStream {
    type Stream = TcpStream;

    fn open(self) -> io::Result<(TcpStream, Option<PeerProcess>)> {
        self.set_nodelay(true).ok();
        Ok((TcpStream::from_std(self)?, None))
    }
}

impl Socket for std::os::unix::net::UnixStream {
    type Stream = UnixStream;

    fn open(self) -> io::Result<(UnixStream, Option<PeerProcess>)> {
        let stream = UnixStream::from_std(self)?;
        // A process of another namespace has no number here.
        let process = stream.peer_cred().ok().and_then(|process| {
            let pid = process.pid().filter(|pid| *pid > 0)?;
            Some(PeerProcess { user: process.uid(), pid })
        });
        Ok((stream, process))
    }
}

/// A connection's permit.
enum ConnectionPermit {
    Usual(OwnedSemaphorePermit),
    Spare(OwnedSemaphorePermit),
}

impl Acceptor {
    /// Accepts until the gateway closes, then the connections in the backlog, so that none is reset without a response.
    /// The backlog of an inherited socket is left to the next process, which responds sooner than one that stops.
    pub(super) async fn run(self, Listening { listener, is_inherited, .. }: Listening) {
        loop {
            let accepted = tokio::select! {
                () = self.drain.closed() => break,
                accepted = listener.accept() => accepted,
            };
            // A connection that has been accepted is served if it can be, also while the gateway closes.
            let place = tokio::select! {
                biased;
                place = self.place() => place,
                () = self.drain.closed() => break,
            };
            let Some(place) = place else { return };
            match accepted {
                Ok(accepted) => self.take(accepted, place),
                Err(error) => {
                    // Usually out of file descriptors: an immediate retry would spin.
                    warn!(%error, "cannot accept a connection");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
        if !is_inherited {
            for accepted in listener.backlog() {
                let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return };
                self.take(accepted, ConnectionPermit::Usual(place));
            }
        }
    }

    fn take(&self, accepted: Accepted, place: ConnectionPermit) {
        match accepted {
            Accepted::Tcp(stream, peer) => match stream.local_addr() {
                Ok(local) => {
                    let peer = Peer { peer, local, certificate: None, process: None };
                    match self.tls.clone() {
                        Some(tls) => self.begin((stream, tls), peer, place),
                        None => self.begin((stream, Plain), peer, place),
                    }
                }
                // The connection has ended already.
                Err(error) => debug!(%error, "connection without an address"),
            },
            Accepted::Unix(stream) => {
                // Whoever reaches a socket of this machine is treated as one who reaches its loopback address.
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
                let peer = Peer { peer: address, local: address, certificate: None, process: None };
                self.begin((stream, Plain), peer, place);
            }
        }
    }

    /// Waits for a permit, a spare one if the limit is reached. While none is free, further connections wait in the
    /// system's bounded backlog.
    async fn place(&self) -> Option<ConnectionPermit> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(ConnectionPermit::Usual(place));
        }
        tokio::select! {
            biased;
            place = Arc::clone(&self.places).acquire_owned() => place.ok().map(ConnectionPermit::Usual),
            place = Arc::clone(&self.spare_places).acquire_owned() => place.ok().map(ConnectionPermit::Spare),
        }
    }

    fn begin<T: Socket, P: Protocol<T::Stream>>(
        &self,
        (socket, protocol): (T, P),
        peer: Peer,
        place: ConnectionPermit,
    ) {
        let Some((lane, service)) = self.lanes.next(&self.services) else { return };
        let service = Arc::clone(service);
        match place {
            ConnectionPermit::Usual(place) => {
                self.tasks.spawn_on(lane, "connection", self.serve((socket, protocol), peer, service, place));
            }
            ConnectionPermit::Spare(place) => {
                self.tasks.spawn_on(lane, "connection beyond the limit", async move {
                    if let Ok((stream, process)) = socket.open() {
                        let peer = Peer { process, ..peer };
                        drop(timeout(OVERFLOW_PATIENCE, protocol.overflow(stream, (peer, &*service))).await);
                    }
                    drop(place);
                });
            }
        }
    }

    /// Serves a connection to its end and then gives back its place.
    fn serve<T: Socket, P: Protocol<T::Stream>>(
        &self,
        (socket, protocol): (T, P),
        peer: Peer,
        service: Arc<Service>,
        place: OwnedSemaphorePermit,
    ) -> impl Future<Output = ()> + use<T, P> {
        let (stopping, counts) = (self.tasks.stopping().clone(), Arc::clone(&self.counts));
        let (drain, unanswered) = (self.drain.of_one(), self.drain.accepted());
        let tasks = self.tasks.clone();
        async move {
            let Ok((stream, process)) = socket.open() else { return };
            let peer = Peer { process, ..peer };
            counts.active.fetch_add(1, Ordering::Relaxed);
            counts.total.fetch_add(1, Ordering::Relaxed);
            let mut serving = pin!(protocol.serve((stream, peer, service), (&drain, unanswered), &tasks));
            // Polled only when it is woken, not with every packet.
            let mut stopping = FuturesUnordered::from_iter([stopping.cancelled()]);
            tokio::select! {
                biased;
                () = &mut serving => {}
                Some(()) = stopping.next() => drop(timeout(LAST_BYTES, serving).await),
            }
            counts.active.fetch_sub(1, Ordering::Relaxed);
            drop(place);
        }
    }
}

/// Protocol below HTTP, over sockets of this kind.
trait Protocol<T>: Send + 'static {
    /// Serves a connection to its end.
    fn serve(
        self,
        accepted: (T, Peer, Arc<Service>),
        ending: (&Drain, Unanswered),
        tasks: &Tasks,
    ) -> impl Future<Output = ()> + Send;

    /// Answers the only request of a connection beyond the limit.
    fn overflow(self, stream: T, sender: (Peer, &Service)) -> impl Future<Output = ()> + Send;
}

/// No protocol between the socket and HTTP.
struct Plain;

impl<T: Stream> Protocol<T> for Plain {
    async fn serve(
        self,
        (stream, peer, service): (T, Peer, Arc<Service>),
        (drain, unanswered): (&Drain, Unanswered),
        _: &Tasks,
    ) {
        Connection::new(stream, peer, service).serve(drain, unanswered).await;
    }

    async fn overflow(self, stream: T, (peer, service): (Peer, &Service)) {
        serve_overflow(stream, peer, service).await;
    }
}

impl Protocol<TcpStream> for Tls {
    /// Serves a connection over TLS, in the version of HTTP on which both sides agree (ALPN, RFC 7301). Boxed, so that
    /// plain connections stay small.
    async fn serve(
        self,
        (stream, peer, service): (TcpStream, Peer, Arc<Service>),
        (drain, unanswered): (&Drain, Unanswered),
        tasks: &Tasks,
    ) {
        let serving = async {
            let secured = match self.accept(stream).await {
                Ok(secured) => secured,
                Err(error) => {
                    debug!(%error, peer = %peer.peer, "TLS handshake failed");
                    return;
                }
            };
            let peer = Peer { certificate: secured.certificate, ..peer };
            if !secured.is_http_2 {
                return Connection::new(secured.stream, peer, service).serve(drain, unanswered).await;
            }
            if let Err(error) = http2::serve(secured.stream, (peer, service), (drain, unanswered), tasks).await {
                debug!(%error, peer = %peer.peer, "connection ended");
            }
        };
        Box::pin(serving).await;
    }

    async fn overflow(self, stream: TcpStream, (peer, service): (Peer, &Service)) {
        if let Ok(stream) = self.accept_overflow(stream).await {
            serve_overflow(stream, peer, service).await;
        }
    }
}
