//! Transport-independent part of a fake server: sessions, record, default behaviour.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::json;
use tokio::sync::{mpsc, watch};

use super::call::{Action, Call, Peer};
use super::{Behaviour, Received, Script, spawn};

/// The shared state of one fake server.
pub(super) struct Server {
    pub(super) script: Script,
    /// Notified when anything is received.
    pub(super) changed: watch::Sender<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    received: Vec<Received>,
    peers: Vec<Arc<Peer>>,
    refused: HashMap<String, Refusal>,
}

/// Reaction to an HTTP request that the server does not process.
#[derive(Clone, Copy)]
pub(super) enum Refusal {
    Status(u16),
    Silence,
}

impl Server {
    pub(super) fn new(script: Script) -> Self {
        Self { script, changed: watch::Sender::new(()), state: Mutex::default() }
    }

    pub(super) fn received(&self) -> Vec<Received> {
        self.state().received.clone()
    }

    pub(super) fn peer(&self, number: usize) -> Option<Arc<Peer>> {
        self.state().peers.get(number).cloned()
    }

    pub(super) fn peers(&self) -> Vec<Arc<Peer>> {
        self.state().peers.clone()
    }

    pub(super) fn live(&self) -> usize {
        self.state().peers.iter().filter(|peer| peer.is_live()).count()
    }

    pub(super) fn new_peer(&self, pids: Vec<u32>) -> Arc<Peer> {
        let mut state = self.state();
        let peer = Arc::new(Peer::new(state.peers.len(), pids, self.script.forgets));
        state.peers.push(Arc::clone(&peer));
        drop(state);
        self.changed.send_replace(());
        peer
    }

    pub(super) fn forget(&self) {
        for peer in &self.state().peers {
            peer.end();
        }
    }

    pub(super) fn refuse(&self, method: &str, refusal: Option<Refusal>) {
        let refused = &mut self.state().refused;
        match refusal {
            Some(refusal) => refused.insert(method.to_owned(), refusal),
            None => refused.remove(method),
        };
    }

    /// Returns the refusal set for this method, if any.
    pub(super) fn refusal(&self, method: &str) -> Option<Refusal> {
        self.state().refused.get(method).copied()
    }

    pub(super) fn record(&self, received: Received) {
        if self.script.records {
            self.state().received.push(received);
        }
        self.changed.send_replace(());
    }

    /// Processes a recorded message. `own` is the stream for its answer, if the transport has one per request.
    pub(super) fn take(self: &Arc<Self>, peer: &Arc<Peer>, received: Received, own: Option<mpsc::Sender<Action>>) {
        let Received { bytes, envelope, .. } = received;
        if envelope.method == "response" {
            peer.answered(&envelope.id, bytes);
        } else if !envelope.id.is_empty() {
            let id = envelope.id.clone();
            let call = Call { id, envelope, peer: Arc::clone(peer), own, server: Arc::clone(self) };
            match self.behaviour(&call) {
                Some(behaviour) => drop(spawn(behaviour(call))),
                None => call.proceed(),
            }
        }
    }

    fn behaviour(&self, call: &Call) -> Option<&Behaviour> {
        let tool = format!("tools/call {}", call.argument("name"));
        let method = &call.envelope.method;
        self.script.behaviours.get(if method == "tools/call" { &tool } else { method })
    }

    fn proceed(&self, call: &Call) {
        match call.envelope.method.as_str() {
            "initialize" => call.reply(&self.handshake(call)),
            "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe" => call.reply("{}"),
            "tools/list" => call.reply(&self.page(call.argument("cursor").parse().unwrap_or(0))),
            "tools/call" => call.echo(),
            _ => call.fail(r#"{"code":-32601,"message":"Method not found"}"#),
        }
    }

    fn handshake(&self, call: &Call) -> String {
        json!({
            "protocolVersion": call.argument("protocolVersion"),
            "capabilities": { "tools": { "listChanged": true }, "resources": { "subscribe": true }, "logging": {} },
            "serverInfo": { "name": self.script.name, "version": "1" },
        })
        .to_string()
    }

    fn page(&self, from: usize) -> String {
        let tools = &self.script.tools;
        let page: Vec<&str> = tools.iter().skip(from).take(self.script.page).map(String::as_str).collect();
        let next = from + page.len();
        let cursor = if next < tools.len() { format!(r#","nextCursor":"{next}""#) } else { String::new() };
        format!(r#"{{"tools":[{}]{cursor}}}"#, page.join(","))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Call {
    /// Does the default for this request.
    pub fn proceed(&self) {
        self.server.proceed(self);
    }

    /// Returns a member of `params` as text; empty if absent.
    pub fn argument(&self, name: &str) -> String {
        self.envelope.text(name)
    }

    /// Answers a tool call with its own arguments.
    pub fn echo(&self) {
        let arguments = self.envelope.param("arguments");
        let arguments = if arguments.is_empty() { "{}" } else { &arguments };
        let text = json!({ "type": "text", "text": arguments });
        self.reply(&format!(r#"{{"content":[{text}],"structuredContent":{arguments}}}"#));
    }
}
