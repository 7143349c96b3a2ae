//! The limit of open descriptors: the gateway needs many, and programs that it starts get the one that it had.

use std::io;
use std::sync::OnceLock;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// As many as the limits of connections and upstreams can need by far; some kernels allow a thousand times as many.
const ENOUGH: u64 = 1 << 20;

/// The limit that this process was started with, once it has another.
static BEFORE: OnceLock<Rlimit> = OnceLock::new();

/// Raises the limit of this process to what it may have. Gives the limit before and after where it changed.
pub(crate) fn raise_descriptor_limit() -> Option<(u64, u64)> {
    let before = getrlimit(Resource::Nofile);
    let raised = before.maximum.unwrap_or(ENOUGH).min(ENOUGH);
    let current = before.current.filter(|current| *current < raised)?;
    setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: before.maximum }).ok()?;
    BEFORE.set(before).ok()?;
    Some((current, raised))
}

/// Gives a child process the limit that this process was started with. Makes one system call at most, so that it may run
/// between fork and exec.
pub(super) fn restore_descriptor_limit() -> io::Result<()> {
    match BEFORE.get() {
        Some(before) => Ok(setrlimit(Resource::Nofile, *before)?),
        None => Ok(()),
    }
}
