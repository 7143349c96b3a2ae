//! Failures of storages, by what an operator can do about them.

use std::fmt;

/// A failure of the storage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{fault}: {details}")]
pub(crate) struct StorageError {
    pub(crate) fault: Fault,
    /// The storage's own words, without secrets.
    pub(crate) details: String,
}

/// Kind of a storage's failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Another process uses the file.
    InUse,
    /// This process has left the file to the next one.
    HandedOver,
    /// The disk or the server's memory is full.
    Full,
    /// The storage accepts no writes.
    ReadOnly,
    /// The storage's contents cannot be trusted.
    Damaged,
    /// A newer version of this program has written the records.
    Newer,
    /// The server cannot be reached, or is not ready.
    Unreachable,
    /// The server refuses the gateway: password, database, rights, certificate.
    Refused,
    /// The audit log cannot be written, so that the change would not be recorded.
    Unrecorded,
    /// Anything else, such as a failing disk.
    Failed,
}

impl Fault {
    /// True if waiting may help, and no setting has to be changed.
    pub(super) fn may_pass(self) -> bool {
        matches!(self, Self::Unreachable | Self::ReadOnly | Self::Full)
    }
}

/// The reason why a change was not stored.
#[derive(Debug)]
pub(super) enum PersistError {
    /// Another process has changed the records since they were read.
    Conflict,
    /// The storage failed. If the change was stored nevertheless, the next reading shows it.
    Failed(StorageError),
}

impl StorageError {
    /// True if this process has left the storage to the next one.
    pub(crate) fn is_handed_over(&self) -> bool {
        self.fault == Fault::HandedOver
    }

    pub(super) fn new(fault: Fault, details: impl fmt::Display) -> Self {
        Self { fault, details: details.to_string() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InUse => "the storage is in use by another process",
            Self::HandedOver => "the storage is left to the next gateway",
            Self::Full => "the storage is full",
            Self::ReadOnly => "the storage is read-only",
            Self::Damaged => "the storage is damaged",
            Self::Newer => "the storage was written by a newer version",
            Self::Unreachable => "the storage cannot be reached",
            Self::Refused => "the storage refuses the gateway",
            Self::Unrecorded => "the change cannot be recorded in the audit log",
            Self::Failed => "the storage failed",
        })
    }
}
