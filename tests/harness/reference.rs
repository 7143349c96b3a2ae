//! The reference upstream (`tests/reference/`), started.

use std::path::PathBuf;

use tokio::process::Command;

use crate::fixture::built;
use crate::process::Process;

/// A reference upstream over HTTP or SSE.
pub struct Reference {
    /// Its endpoint.
    pub url: String,
    /// The process; it ends when dropped.
    pub process: Process,
}

/// Starts one with these flags, such as `--http 127.0.0.1:0`.
///
/// # Panics
///
/// When it does not say where it is.
pub async fn reference(flags: &[&str]) -> Reference {
    let mut command = Command::new(reference_program());
    command.args(flags).env_clear();
    let process = Process::start(command);
    Reference { url: process.first_line().await, process }
}

/// The program, for a definition over stdio; cargo builds it before the tests and puts it one folder above theirs.
#[must_use]
pub fn reference_program() -> PathBuf {
    built("reference-upstream")
}
