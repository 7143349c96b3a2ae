//! Settings of the programs that the gateway starts.

use super::setting::{Setting, flag};
use super::value::Field;

/// Declarations, in the order of the help.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        variables: &["MCP_PROXY_INHERITABLE_ENV"],
        default_help: Some("none"),
        help: "Variables of the gateway that programs may get, between commas; a program gets those that `inheritEnv` in \
               its definition names",
        ..flag("inheritable-env", |config| Field::Names(&mut config.inheritable_env))
    },
    Setting {
        variables: &["MCP_PROXY_PROGRAM_USERS"],
        default_help: Some("none"),
        help: "Users that programs may run as, between commas: names or numbers, as `user` in a definition writes them",
        ..flag("program-users", |config| Field::Names(&mut config.program_users))
    },
    Setting {
        variables: &["MCP_PROXY_MAX_PROCESSES"],
        help: "Maximum number of programs of all servers that run at once",
        ..flag("max-processes", |config| Field::Count(&mut config.upstream.processes))
    },
    Setting {
        variables: &["MCP_PROXY_CONCURRENT_STARTS"],
        default_help: Some("twice the number of cores"),
        help: "Maximum number of programs that start at once; the others wait for their turn",
        ..flag("concurrent-starts", |config| Field::Count(&mut config.upstream.starts))
    },
];
