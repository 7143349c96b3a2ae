//! Starts the reference upstream (`tests/reference/`).

use std::path::PathBuf;

use tokio::process::Command;

use crate::fixture::built;
use crate::process::Process;

/// A running reference upstream over HTTP or SSE.
pub struct Reference {
    /// URL of its endpoint.
    pub url: String,
    /// The process; killed on drop.
    pub process: Process,
}

/// Starts a reference upstream with these flags, such as `--http 127.0.0.1:0`.
///
/// # Panics
///
/// If it does not print its URL.
pub async fn reference(flags: &[&str]) -> Reference {
    let mut command = Command::new(reference_program());
    command.args(flags).env_clear();
    let process = Process::start(command);
    Reference { url: process.first_line().await, process }
}

/// Returns the program, for a stdio definition; cargo builds it before the tests, one folder above theirs.
#[must_use]
pub fn reference_program() -> PathBuf {
    built("reference-upstream")
}
