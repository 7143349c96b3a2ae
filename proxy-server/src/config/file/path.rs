//! Paths of configuration files.

use std::path::{Component, Path, PathBuf};

/// Names of the gateway's own file, in the order in which they are looked for.
pub(super) const NAMES: [&str; 5] =
    ["mcp-proxy.yaml", "mcp-proxy.yml", "mcp-proxy.json", "mcp-proxy.jsonc", "mcp-proxy.toml"];
/// Folder of Radium's file, which has a name of the gateway's own.
pub(super) const RADIUM_FOLDER: &str = ".radium";

/// True if a file has one of the names that are looked for.
pub(in crate::config) fn is_named_as_own(path: &Path) -> bool {
    path.file_name().is_some_and(|name| NAMES.iter().any(|own| name == *own))
        && !path.parent().is_some_and(|it| it.ends_with(RADIUM_FOLDER))
}

/// Formats a path for display: without `./` in front.
pub(crate) fn displayed(path: &Path) -> String {
    path.strip_prefix(".").unwrap_or(path).display().to_string()
}

/// Returns the folder of a file.
pub(super) fn folder(path: &Path) -> PathBuf {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
}

/// Returns the absolute path, without following links: those of Kubernetes change their targets.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute.components().filter(|part| *part != Component::CurDir).collect()
}
