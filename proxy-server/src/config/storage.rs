//! Settings of the storage of registrations.

use super::setting::{Setting, flag};
use super::value::Field;

/// Declarations, in the order of the help.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        variables: &["MCP_PROXY_STORAGE", "MCP_PROXY_STORAGE_TYPE"],
        help: "Where registrations are kept: embedded (a file in --data-dir), redis, memory (lost at exit), or auto: redis \
               if a server is named, else embedded, but memory for --port 0 and where no folder can be written",
        ..flag("storage", |config| Field::Storage(&mut config.storage.kind))
    },
    Setting {
        variables: &["MCP_PROXY_DATA_DIR", "STATE_DIRECTORY"],
        default_help: Some("$XDG_STATE_HOME/mcp-proxy/PORT, or ~/.local/state/mcp-proxy/PORT"),
        help: "Folder of the embedded storage, for one gateway at a time",
        ..flag("data-dir", |config| Field::Folder(&mut config.storage.folder))
    },
    Setting {
        variables: &["MCP_PROXY_REDIS_URL", "REDIS_URL"],
        help: "URL of the Redis or Valkey server: redis://USER:PASSWORD@HOST:PORT/DATABASE, rediss:// with TLS, \
               unix:///PATH. The settings below override its parts",
        ..flag("redis-url", |config| Field::SecretUrl(&mut config.storage.redis.url))
    },
    Setting {
        variables: &["REDIS_HOST"],
        help: "Host of the server, or path of its Unix socket, if there is no URL",
        ..flag("redis-host", |config| Field::Host(&mut config.storage.redis.host))
    },
    Setting {
        variables: &["REDIS_PORT"],
        help: "Port of the server, if there is no URL",
        ..flag("redis-port", |config| Field::Port(&mut config.storage.redis.port))
    },
    Setting {
        variables: &["REDIS_USERNAME"],
        help: "User of the server's access control list",
        ..flag("redis-username", |config| Field::Host(&mut config.storage.redis.username))
    },
    Setting {
        variables: &["REDIS_PASSWORD"],
        help: "Password of the server",
        ..flag("redis-password", |config| Field::Secret(&mut config.storage.redis.password))
    },
    Setting {
        variables: &["REDIS_DB"],
        help: "Number of the database",
        ..flag("redis-db", |config| Field::Number(&mut config.storage.redis.database))
    },
    Setting {
        variables: &["REDIS_TLS_ENABLED"],
        help: "Use TLS, if there is no URL, and for sentinels",
        ..flag("redis-tls", |config| Field::Switch(&mut config.storage.redis.tls))
    },
    Setting {
        variables: &["MCP_PROXY_REDIS_CA_FILE"],
        help: "PEM file with the certificate authorities that are trusted for the server, in place of the system's",
        ..flag("redis-ca-file", |config| Field::Folder(&mut config.storage.redis.ca_file))
    },
    Setting {
        variables: &["MCP_PROXY_REDIS_SENTINELS"],
        help: "Addresses of sentinels, HOST:PORT, which name the server to use",
        ..flag("redis-sentinels", |config| Field::Names(&mut config.storage.redis.sentinels))
    },
    Setting {
        variables: &["MCP_PROXY_REDIS_SENTINEL_MASTER"],
        help: "Name under which the sentinels know the server",
        ..flag("redis-sentinel-master", |config| Field::Host(&mut config.storage.redis.sentinel_master))
    },
    Setting {
        variables: &["MCP_PROXY_REDIS_SENTINEL_USERNAME"],
        help: "User of the sentinels",
        ..flag("redis-sentinel-username", |config| Field::Host(&mut config.storage.redis.sentinel_username))
    },
    Setting {
        variables: &["MCP_PROXY_REDIS_SENTINEL_PASSWORD"],
        help: "Password of the sentinels",
        ..flag("redis-sentinel-password", |config| Field::Secret(&mut config.storage.redis.sentinel_password))
    },
    Setting {
        variables: &["MCP_PROXY_REDIS_CONNECT_TIMEOUT", "REDIS_DIAL_TIMEOUT"],
        help: "Timeout for opening a connection to the server",
        ..flag("redis-connect-timeout", |config| Field::Time(&mut config.storage.redis.connect_timeout))
    },
    Setting {
        variables: &["MCP_PROXY_REDIS_TIMEOUT", "REDIS_READ_TIMEOUT", "REDIS_WRITE_TIMEOUT"],
        help: "Timeout for a response of the server",
        ..flag("redis-timeout", |config| Field::Time(&mut config.storage.redis.timeout))
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
