//! Accepts connections and serves each in a task of its own.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::admin::Connections;
use crate::downstream::Service;
use crate::gateway::listen::{LISTEN_QUEUE, Listening};
use crate::http::server::{Connection, Drain, Peer, Tls, Unanswered, http2, serve_overflow};
use crate::tasks::{Lanes, Tasks};

/// Time for a connection to write its last response.
const LAST_BYTES: Duration = Duration::from_millis(500);

/// Time for a connection beyond the limit, because few of them are served at once.
const OVERFLOW_PATIENCE: Duration = Duration::from_secs(1);

/// State of the accept loop.
pub(super) struct Acceptor {
    /// One for each lane.
    pub(super) services: Vec<Arc<Service>>,
    pub(super) lanes: Arc<Lanes>,
    pub(super) tasks: Tasks,
    pub(super) places: Arc<Semaphore>,
    /// Permits for connections beyond the limit, which are answered once and closed.
    pub(super) spare_places: Arc<Semaphore>,
    pub(super) counts: Arc<Connections>,
    pub(super) drain: Drain,
    /// Present if clients speak TLS.
    pub(super) tls: Option<Tls>,
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
            match accepted.and_then(|(stream, peer)| Ok((stream.into_std()?, peer))) {
                Ok((stream, peer)) => self.take(stream, peer, place),
                Err(error) => {
                    // Usually out of file descriptors: an immediate retry would spin.
                    warn!(%error, "cannot accept a connection");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
        if !is_inherited && let Ok(listener) = listener.into_std() {
            self.sweep(&listener);
        }
    }

    /// Accepts the connections in the backlog. Asks the system instead of the runtime, which may not know yet of a
    /// connection that is there.
    fn sweep(&self, listener: &std::net::TcpListener) {
        for _ in 0..LISTEN_QUEUE {
            let place = Arc::clone(&self.places).try_acquire_owned().map(ConnectionPermit::Usual);
            let accepted = listener.accept().and_then(|(stream, peer)| {
                stream.set_nonblocking(true)?;
                Ok((stream, peer))
            });
            let (Ok((stream, peer)), Ok(place)) = (accepted, place) else { return };
            self.take(stream, peer, place);
        }
    }

    fn take(&self, stream: std::net::TcpStream, peer: SocketAddr, place: ConnectionPermit) {
        match stream.local_addr() {
            Ok(local) => self.begin(stream, Peer { peer, local, certificate: None }, place),
            // The connection has ended already.
            Err(error) => debug!(%error, "connection without an address"),
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

    fn begin(&self, stream: std::net::TcpStream, peer: Peer, place: ConnectionPermit) {
        let Some((lane, service)) = self.lanes.next(&self.services) else { return };
        let service = Arc::clone(service);
        match place {
            ConnectionPermit::Usual(place) => {
                self.tasks.spawn_on(lane, "connection", self.serve(stream, peer, service, place));
            }
            ConnectionPermit::Spare(place) => {
                let tls = self.tls.clone();
                self.tasks.spawn_on(lane, "connection beyond the limit", async move {
                    if let Ok(stream) = TcpStream::from_std(stream) {
                        drop(timeout(OVERFLOW_PATIENCE, overflow(stream, tls, (peer, &*service))).await);
                    }
                    drop(place);
                });
            }
        }
    }

    /// Serves a connection to its end and then gives back its place.
    fn serve(
        &self,
        stream: std::net::TcpStream,
        peer: Peer,
        service: Arc<Service>,
        place: OwnedSemaphorePermit,
    ) -> impl Future<Output = ()> + use<> {
        let (stopping, counts) = (self.tasks.stopping().clone(), Arc::clone(&self.counts));
        let (drain, unanswered) = (self.drain.of_one(), self.drain.accepted());
        let (tls, tasks) = (self.tls.clone(), self.tasks.clone());
        async move {
            let Ok(stream) = TcpStream::from_std(stream) else { return };
            counts.active.fetch_add(1, Ordering::Relaxed);
            counts.total.fetch_add(1, Ordering::Relaxed);
            stream.set_nodelay(true).ok();
            let mut serving = pin!(async {
                match tls {
                    None => Connection::new(stream, peer, service).serve(&drain, unanswered).await,
                    // Boxed, so that plain connections stay small.
                    Some(tls) => {
                        let accepted = (stream, peer, service);
                        Box::pin(serve_secured(&tls, accepted, (&drain, unanswered), &tasks)).await;
                    }
                }
            });
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

/// Answers the only request of a connection beyond the limit.
async fn overflow(stream: TcpStream, tls: Option<Tls>, (peer, service): (Peer, &Service)) {
    match tls {
        None => serve_overflow(stream, peer, service).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept_overflow(stream).await {
                serve_overflow(stream, peer, service).await;
            }
        }
    }
}

/// Serves a connection over TLS, in the version of HTTP on which both sides agree (ALPN, RFC 7301).
async fn serve_secured(
    tls: &Tls,
    (stream, peer, service): (TcpStream, Peer, Arc<Service>),
    (drain, unanswered): (&Drain, Unanswered),
    tasks: &Tasks,
) {
    let secured = match tls.accept(stream).await {
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
}
