//! Tells the kinds of failures apart: the library's own words for retrying are made for its cluster client.

use ::redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::registry::failure::{Fault, StorageError};

/// Describes a failure, without the address.
pub(super) fn storage_error(error: &RedisError) -> StorageError {
    StorageError::new(fault(error), error)
}

fn fault(error: &RedisError) -> Fault {
    match error.kind() {
        ErrorKind::Server(kind) => match kind {
            ServerErrorKind::ReadOnly => Fault::ReadOnly,
            ServerErrorKind::NoPerm => Fault::Refused,
            ServerErrorKind::BusyLoading
            | ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown => Fault::Unreachable,
            ServerErrorKind::ResponseError if error.to_string().contains("DB index") => Fault::Refused,
            ServerErrorKind::ExecAbort | ServerErrorKind::ResponseError => by_words(error),
            _ => Fault::Failed,
        },
        ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig | ErrorKind::EmptySentinelList => {
            Fault::Refused
        }
        ErrorKind::Extension => by_words(error),
        ErrorKind::Io if is_about_certificates(&error.to_string()) => Fault::Refused,
        ErrorKind::Io | ErrorKind::MasterNameNotFoundBySentinel | ErrorKind::NoValidReplicasFoundBySentinel => {
            Fault::Unreachable
        }
        _ => Fault::Failed,
    }
}

/// Tells the kind of an error of the server by its code, which a failure inside a script has in its text.
fn by_words(error: &RedisError) -> Fault {
    let text = error.to_string();
    let says = |codes: &[&str]| codes.iter().any(|code| error.code() == Some(*code) || text.contains(code));
    if says(&["NOAUTH", "WRONGPASS", "NOPERM"]) {
        Fault::Refused
    } else if says(&["OOM", "MISCONF"]) {
        Fault::Full
    } else if says(&["READONLY", "NOREPLICAS"]) {
        Fault::ReadOnly
    } else if says(&["BUSY", "LOADING"]) {
        Fault::Unreachable
    } else {
        Fault::Failed
    }
}

fn is_about_certificates(text: &str) -> bool {
    ["certificate", "fatal alert", "PEM"].iter().any(|word| text.contains(word))
}
