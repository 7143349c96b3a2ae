//! Settings of TLS towards clients.

use super::model::{Config, InvalidSetting};
use super::setting::{Setting, flag};
use super::value::Field;

/// Declarations, in the order of the help.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        variables: &["MCP_PROXY_TLS_CERT"],
        help: "Speak TLS with clients (HTTP/2 and HTTP/1.1): PEM file with the gateway's certificate chain. It is read again \
               when it changes and on SIGHUP",
        ..flag("tls-cert", |config| Field::Folder(&mut config.tls.certificate))
    },
    Setting {
        variables: &["MCP_PROXY_TLS_KEY"],
        help: "PEM file with the private key of the certificate",
        ..flag("tls-key", |config| Field::Folder(&mut config.tls.key))
    },
    Setting {
        variables: &["MCP_PROXY_TLS_CLIENT_CA"],
        help: "PEM files with authorities whose certificates identify clients at the endpoints of servers, which then ask for \
               one, or for a token",
        ..flag("tls-client-ca", |config| Field::Files(&mut config.tls.client_authorities))
    },
];

/// Checks settings that make sense together only.
pub(super) fn check(config: &Config) -> Result<(), InvalidSetting> {
    let tls = &config.tls;
    let needs = |name: &str, other: &str| Err(InvalidSetting::unusable(name, format!("it needs {other}")));
    match (&tls.certificate, &tls.key, tls.client_authorities.is_empty()) {
        (Some(_), None, _) => needs("tls-cert", "tls-key"),
        (None, Some(_), _) => needs("tls-key", "tls-cert"),
        (None, None, false) => needs("tls-client-ca", "tls-cert"),
        (Some(_), Some(_), _) | (None, None, true) => Ok(()),
    }
}
