//! Finds the configuration file: as named, or in the working folder or one above.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use schemas::Owner;

use super::path::{NAMES, RADIUM_FOLDER, absolute};
use super::{FileFlags, InvalidFiles};
use crate::config::env::Variables;
use crate::control::FILE_OWNER;

const VARIABLE: &str = "MCP_PROXY_CONFIG";
const RADIUM_FILE: &str = ".radium/mcp-proxy.toml";
/// File of ptbsare/mcp-proxy-server, below its working folder.
const PTBSARE_FILE: &str = "config/mcp_server.json";
/// Value for no file.
const NONE: &str = "none";

impl FileFlags {
    /// Returns the path of the configuration file; `None` if there is none.
    pub(crate) fn find(&self, variables: &Variables) -> Result<Option<PathBuf>, InvalidFiles> {
        let named = self.config.clone().or_else(|| variables.path(VARIABLE));
        match named {
            Some(path) if path == Path::new(NONE) => Ok(None),
            Some(path) => Ok(Some(path)),
            None => match std::env::current_dir() {
                Ok(folder) => above(&folder, &folder),
                // The working folder was removed.
                Err(_) => Ok(None),
            },
        }
    }
}

impl FileFlags {
    /// Returns the path of the configuration file for `start`: also that of Radium's workspace.
    pub(crate) fn find_for_process(&self, variables: &Variables) -> Result<Option<PathBuf>, InvalidFiles> {
        let is_named = self.config.is_some() || variables.path(VARIABLE).is_some();
        let workspace = self.foreign.format.workspace.clone().or_else(|| variables.radium_workspace());
        if is_named || workspace.is_none() {
            let found = self.find(variables)?;
            if is_named || found.is_some() {
                return Ok(found);
            }
        }
        let here = std::env::current_dir().unwrap_or_default();
        let folder = match &workspace {
            Some(folder) => Some(folder.as_path()),
            None => here.ancestors().find(|folder| folder.join(RADIUM_FOLDER).is_dir()),
        };
        let Some(folder) = folder else { return Ok(None) };
        let candidates = NAMES.iter().map(|name| folder.join(name)).chain([folder.join(RADIUM_FILE)]);
        let found = candidates.into_iter().find(|path| path.is_file());
        if let (Some(path), None) = (&found, &workspace) {
            trusted(path)?;
        }
        Ok(found)
    }

    /// Returns the owner of the file's servers: the one that was named, or one that follows from the path.
    pub(crate) fn owner(&self, path: &Path) -> Result<Owner, InvalidFiles> {
        if let Some(owner) = &self.config_owner {
            return Ok(owner.clone());
        }
        let path = absolute(path).display().to_string();
        let owner = format!("{FILE_OWNER}{path}").parse();
        owner.map_err(|_| InvalidFiles {
            problems: vec![format!(
                "{path}: error: the path is too long for an owner\n  hint: name one with --config-owner"
            )],
        })
    }
}

/// Returns the first configuration file in a folder or one above it, else that of a predecessor in the folder. Refuses one
/// that another user can change, because it starts programs.
fn above(folder: &Path, here: &Path) -> Result<Option<PathBuf>, InvalidFiles> {
    let candidates = folder.ancestors().flat_map(|folder| NAMES.iter().map(|name| folder.join(name)));
    let candidates = candidates.chain([folder.join(PTBSARE_FILE)]);
    let Some(path) = candidates.into_iter().find(|path| path.is_file()) else { return Ok(None) };
    trusted(&path)?;
    Ok(Some(path.strip_prefix(here).unwrap_or(&path).to_owned()))
}

/// Refuses a file that was found, and not named, if another user can change it, because it starts programs.
fn trusted(path: &Path) -> Result<(), InvalidFiles> {
    let refuse = |reason: &str| {
        let path = path.display();
        InvalidFiles {
            problems: vec![format!(
                "{path}: error: {reason}, and it was not named\n  hint: use it with `--config {path}`, or start without a \
                 file with `--config none`"
            )],
        }
    };
    let own = rustix::process::geteuid().as_raw();
    let folder = path.parent().filter(|folder| folder.ends_with(RADIUM_FOLDER));
    // A link belongs to somebody too.
    let looked_at =
        [fs::symlink_metadata(path), fs::metadata(path)].into_iter().chain(folder.map(fs::symlink_metadata));
    for metadata in looked_at {
        let metadata = metadata.map_err(|error| refuse(&error.to_string()))?;
        if metadata.uid() != own && metadata.uid() != 0 {
            return Err(refuse("it belongs to another user"));
        }
        if metadata.mode() & 0o002 != 0 && !metadata.is_symlink() {
            return Err(refuse("everyone can write to it"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_nearest_file_is_found_unless_others_can_write_to_it() -> std::io::Result<()> {
        let root = tempfile::tempdir()?;
        let inner = root.path().join("a/b");
        fs::create_dir_all(&inner)?;
        assert_eq!(above(&inner, &inner).expect("trusted"), None);
        let outer = root.path().join("mcp-proxy.toml");
        fs::write(&outer, "")?;
        assert_eq!(above(&inner, &inner).expect("trusted"), Some(outer));
        fs::write(inner.join("mcp-proxy.json"), "{}")?;
        fs::write(inner.join("mcp-proxy.yml"), "")?;
        assert_eq!(above(&inner, &inner).expect("trusted"), Some("mcp-proxy.yml".into()));
        fs::set_permissions(inner.join("mcp-proxy.yml"), fs::Permissions::from_mode(0o666))?;
        let refused = above(&inner, &inner).expect_err("open to all").to_string();
        assert!(refused.contains("everyone can write to it") && refused.contains("--config none"), "{refused}");
        Ok(())
    }
}
