//! State of the legacy era of an upstream whose own session is modern.

use std::sync::{Mutex, MutexGuard, Weak};

use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::sync::lock;
use crate::upstream::session::Session;

/// Legacy support of an upstream, and the process that its legacy clients share.
pub(super) struct LegacySide {
    known: Mutex<Known>,
    /// Serialises the detection: other clients wait for the result.
    pub(super) trial: Semaphore,
    shared: Mutex<Weak<Session>>,
    /// Serialises the start of the shared process.
    pub(super) starting: Semaphore,
}

/// Result of the detection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Nothing,
    Has,
    /// Not supported; tried again at this time.
    HasNot(Instant),
}

impl Default for LegacySide {
    fn default() -> Self {
        Self {
            known: Mutex::new(Known::Nothing),
            trial: Semaphore::new(1),
            shared: Mutex::default(),
            starting: Semaphore::new(1),
        }
    }
}

impl LegacySide {
    pub(super) fn known(&self) -> Known {
        *self.state()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, Known> {
        lock(&self.known)
    }

    pub(super) fn shared(&self) -> MutexGuard<'_, Weak<Session>> {
        lock(&self.shared)
    }
}
