//! How a command ends: one table of exit codes, stable, for scripts to branch on.

use std::process::ExitCode;

/// What a command came to. The number is the exit code; `class` is the word for it in JSON output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The command did its job, whether or not anything changed.
    Done = 0,
    /// Something failed that none of the others names.
    Failed = 1,
    /// The command line makes no sense; or, with `--detailed-exitcode`, there are changes.
    UsageOrChanges = 2,
    /// There are errors in the files. No request was sent.
    InvalidFiles = 3,
    /// A safety guard refused: a registration is another owner's. Nothing was changed.
    Refused = 4,
    /// The gateway changed while the plan was carried out. Running again will tell.
    Stale = 5,
    /// The gateway cannot be reached, or an upstream is missing or not ready in time.
    NotReady = 6,
    /// The gateway wants another token.
    Unauthorized = 7,
    /// Some changes were made and others failed. Running again resumes.
    Partial = 8,
    /// Ended by an interrupt (SIGINT).
    Interrupted = 130,
    /// Ended by SIGTERM.
    Terminated = 143,
}

impl Exit {
    /// The word for it in JSON output.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Done => "ok",
            Self::Failed => "error",
            Self::UsageOrChanges => "changes",
            Self::InvalidFiles => "invalid-files",
            Self::Refused => "refused",
            Self::Stale => "stale",
            Self::NotReady => "not-ready",
            Self::Unauthorized => "unauthorized",
            Self::Partial => "partial",
            Self::Interrupted => "interrupted",
            Self::Terminated => "terminated",
        }
    }

    /// What an error of the gateway, or of the way to it, comes to.
    pub(crate) fn of(error: &proxy_client::Error) -> Self {
        if error.is_unreachable() || error.is_timeout() {
            return Self::NotReady;
        }
        match error.status() {
            Some(401 | 403) => Self::Unauthorized,
            Some(409 | 412) => Self::Stale,
            Some(502..=504) => Self::NotReady,
            Some(_) | None => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The table in `--help`.
pub(crate) const TABLE: &str = "\
Exit codes:
  0    done, whether or not anything changed
  1    something failed that no other code names
  2    the command line makes no sense; with --detailed-exitcode: there are changes
  3    there are errors in the files; no request was sent
  4    refused: a registration belongs to another owner; nothing was changed
  5    the gateway changed in the meantime; run again
  6    the gateway cannot be reached, or an upstream is missing or not ready in time
  7    the gateway wants another admin token
  8    some changes were made and others failed; run again to resume
  130  interrupted (143: terminated)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_in_the_help_names_every_code() {
        let codes = [
            Exit::Done,
            Exit::Failed,
            Exit::UsageOrChanges,
            Exit::InvalidFiles,
            Exit::Refused,
            Exit::Stale,
            Exit::NotReady,
            Exit::Unauthorized,
            Exit::Partial,
            Exit::Interrupted,
        ];
        for code in codes {
            let start = format!("  {:<3}  ", code as u8);
            assert!(TABLE.lines().any(|line| line.starts_with(&start)), "{code:?}");
        }
        assert!(TABLE.contains(&(Exit::Terminated as u8).to_string()));
    }
}
