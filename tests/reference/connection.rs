//! A bidirectional stream of messages between one client and the server, as in stdio and SSE.

use std::sync::{Arc, Mutex};

use crate::lock;
use crate::message::{self, Incoming, Request, refusal, response};
use crate::outbox::Outbox;
use crate::server::{Admitted, Server};
use crate::session::{Running, Session};

pub(crate) struct Connection {
    server: &'static Server,
    pub(crate) out: Arc<Outbox>,
    session: Mutex<Option<Arc<Session>>>,
    running: Arc<Running>,
}

impl Connection {
    pub(crate) fn new(server: &'static Server) -> Self {
        Self { server, out: Outbox::new(), session: Mutex::default(), running: Arc::default() }
    }

    /// Processes one message from the client. Replies go to `out`, immediately or later.
    pub(crate) fn take(&self, bytes: &[u8]) {
        match message::read(bytes) {
            Ok(Incoming::Request(request)) => self.request(request),
            Ok(Incoming::Notification(Request { method, params, .. })) => {
                if let Some(id) = params.request_id.filter(|_| method == "notifications/cancelled") {
                    self.running.cancel(id.get());
                }
            }
            Ok(Incoming::Response(id, answer)) => {
                if let Some(session) = &*lock(&self.session) {
                    session.asked.resolve(id, answer);
                }
            }
            Err((id, fault)) => self.out.push(refusal(id.as_deref(), fault)),
        }
    }

    fn request(&self, request: Request) {
        let known = lock(&self.session).clone();
        let outcome = match self.server.admit(&request, known, None) {
            Ok(Admitted::Ignored) => return,
            Ok(Admitted::Handshake) => {
                let (session, result) = self.server.initialize(&request.params, &self.out);
                *lock(&self.session) = Some(session);
                Ok(result)
            }
            Ok(Admitted::Stranger) => self.server.answer_stranger(&request),
            Ok(Admitted::Caller(caller)) => match self.server.answer_now(&caller, &request) {
                Some(outcome) => outcome,
                None => {
                    let (server, out, id) = (self.server, Arc::clone(&self.out), request.id.clone());
                    self.running.start(&request.id.clone(), async move {
                        let outcome = server.answer(caller, request, Arc::clone(&out)).await;
                        out.push(response(&id, outcome));
                    });
                    return;
                }
            },
            Err(fault) => Err(fault),
        };
        self.out.push(response(&request.id, outcome));
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.running.cancel_all();
    }
}
