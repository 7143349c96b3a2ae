//! Settings of the storage of registrations.

use super::setting::{Setting, flag};
use super::value::Field;

/// Declarations, in the order of the help.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        variables: &["MCP_PROXY_STORAGE", "MCP_PROXY_STORAGE_TYPE"],
        help: "Where registrations are kept: embedded (a file in --data-dir), memory (lost at exit), or auto: embedded, \
               but memory for --port 0 and where no folder can be written",
        ..flag("storage", |config| Field::Storage(&mut config.storage.kind))
    },
    Setting {
        variables: &["MCP_PROXY_DATA_DIR", "STATE_DIRECTORY"],
        default_help: Some("$XDG_STATE_HOME/mcp-proxy/PORT, or ~/.local/state/mcp-proxy/PORT"),
        help: "Folder of the embedded storage, for one gateway at a time",
        ..flag("data-dir", |config| Field::Folder(&mut config.storage.folder))
    },
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;

    use crate::config::{Alone, Config};
    use crate::registry::{self, Place};

    fn storage(flags: &[&str], variables: &[(&str, &str)]) -> registry::Config {
        let alone = Alone::try_parse_from(["mcp-proxy"].iter().chain(flags)).expect("flags");
        Config::resolve(&alone.flags, &variables.into()).expect("settings").storage
    }

    fn check(flags: &[&str], variables: &[(&str, &str)], port: u16, expected: Option<(&str, bool)>) {
        let place = storage(flags, variables).place(port).expect("a place");
        let expected = match expected {
            Some((folder, may_fall_back)) => Place::Folder { folder: folder.into(), may_fall_back },
            None => Place::Memory,
        };
        assert_eq!(place, expected, "{flags:?} {variables:?} {port}");
    }

    #[test]
    fn the_folder_comes_from_its_flag_the_service_manager_or_the_user() {
        let user = [("HOME", "/home/u")];
        check(&[], &user, 6001, Some(("/home/u/.local/state/mcp-proxy/6001", true)));
        check(&[], &[("HOME", "/home/u"), ("XDG_STATE_HOME", "/s")], 7, Some(("/s/mcp-proxy/7", true)));
        check(
            &[],
            &[("HOME", "/home/u"), ("XDG_STATE_HOME", "relative")],
            7,
            Some(("/home/u/.local/state/mcp-proxy/7", true)),
        );
        check(&[], &[("STATE_DIRECTORY", "/var/lib/a:/var/lib/b"), ("HOME", "/h")], 7, Some(("/var/lib/a", false)));
        check(&["--data-dir", "/d"], &[("STATE_DIRECTORY", "/var/lib/a")], 0, Some(("/d", false)));
        check(&["--storage", "embedded"], &user, 6001, Some(("/home/u/.local/state/mcp-proxy/6001", false)));
    }

    #[test]
    fn memory_is_for_those_who_ask_and_for_gateways_that_nobody_finds_again() {
        check(&[], &[], 6001, None);
        check(&[], &[("HOME", "/h")], 0, None);
        check(&["--storage", "memory", "--data-dir", "/d"], &[("HOME", "/h")], 6001, None);
        check(&[], &[("MCP_PROXY_STORAGE_TYPE", "Memory"), ("HOME", "/h")], 6001, None);
        let nowhere = storage(&["--storage", "embedded"], &[]).place(6001).expect_err("no folder");
        assert!(nowhere.to_string().contains("--data-dir"), "{nowhere}");
        let config = storage(&["--data-dir", "d"], &[]);
        assert_eq!(config.folder.as_deref(), Some(Path::new("d")));
    }
}
