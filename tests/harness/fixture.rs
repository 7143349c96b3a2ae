//! Programs that `tests/run` installs: public MCP servers and clients.

use std::path::{Path, PathBuf};
use std::{env, ffi::OsString};

/// Returns the root folder of the workspace.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Returns the path of an installed program: `node`, `mcp-inspector`, or one of the `mcp-server-*`.
///
/// # Panics
///
/// If it is not installed.
#[must_use]
pub fn fixture(name: &str) -> PathBuf {
    installed(&format!("bin/{name}"))
}

/// Returns the path of a Python with `jsonschema` and `lxml`.
///
/// # Panics
///
/// If it is not installed.
#[must_use]
pub fn python() -> PathBuf {
    installed("python/modern/bin/python")
}

/// Returns a `PATH` that lists the installed programs first.
///
/// # Panics
///
/// If nothing is installed.
#[must_use]
pub fn fixture_path() -> OsString {
    let folders = env::var_os("PATH").map(|path| env::split_paths(&path).collect::<Vec<_>>()).unwrap_or_default();
    let ours = [installed("bin")];
    env::join_paths(ours.into_iter().chain(folders)).expect("no folder on PATH has a colon in its name")
}

/// Returns the path of a file in `target/fixtures`.
pub(crate) fn installed(path: &str) -> PathBuf {
    let file = root().join("target/fixtures").join(path);
    assert!(file.exists(), "{} is not installed: run `tests/run --install`", file.display());
    file
}

/// Returns the path of a program built by cargo in the profile of the running one, which is a program or a test in
/// `deps`.
#[must_use]
pub fn built(name: &str) -> PathBuf {
    let own = env::current_exe().unwrap_or_default();
    let folder = own.parent().unwrap_or(&own);
    if folder.ends_with("deps") { folder.with_file_name(name) } else { folder.join(name) }
}
