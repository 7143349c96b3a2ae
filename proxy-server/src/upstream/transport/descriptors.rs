//! Limit of open descriptors: raised for the gateway, which needs many, and restored for programs that it starts.

use std::io;
use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Upper bound of the raised limit: far beyond the needs of the gateway, but some kernels allow a thousand times as
/// many.
const ENOUGH: u64 = 1 << 20;

/// The original limit of this process, if it was raised.
static BEFORE: OnceLock<Rlimit> = OnceLock::new();

/// Raises the soft limit to the hard limit. Returns the limit before and after, if it changed.
pub(crate) fn raise_descriptor_limit() -> Option<(u64, u64)> {
    let before = getrlimit(Resource::Nofile);
    let raised = before.maximum.unwrap_or(ENOUGH).min(ENOUGH);
    let current = before.current.filter(|current| *current < raised)?;
    setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: before.maximum }).ok()?;
    BEFORE.set(before).ok()?;
    Some((current, raised))
}

/// Returns the present limit of open descriptors, if there is one.
pub(crate) fn descriptor_limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Restores the original limit in a child process. Makes at most one system call, so that it may run between fork and
/// exec.
pub(super) fn restore_descriptor_limit() -> io::Result<()> {
    match BEFORE.get() {
        Some(before) => Ok(setrlimit(Resource::Nofile, *before)?),
        None => Ok(()),
    }
}
