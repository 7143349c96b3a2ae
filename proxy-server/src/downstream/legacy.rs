//! Clients of the legacy era, which open a session by a handshake.

mod all;
pub(super) mod batch;
pub(super) mod dialogue;
pub(super) mod event_body;
pub(super) mod event_log;
pub(super) mod session;
pub(super) mod sessions;
