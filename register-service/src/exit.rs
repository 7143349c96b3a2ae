//! How a command ends: one table of exit codes, stable, for scripts to branch on.

use std::process::ExitCode;

/// What a command came to. `class` is the word for it in JSON output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The command did its job, whether or not anything changed.
    Done,
    /// Something failed that none of the others names.
    Failed,
    /// The command line, or a setting, makes no sense.
    Usage,
    /// There are changes, and `--detailed-exitcode` asked.
    Changes,
    /// There are errors in the files. No request was sent.
    InvalidFiles,
    /// A safety guard refused: a registration is another owner's. Nothing was changed.
    Refused,
    /// The gateway changed while the plan was carried out. Running again will tell.
    Stale,
    /// The gateway cannot be reached, or an upstream is missing or not ready in time.
    NotReady,
    /// The gateway wants another token.
    Unauthorized,
    /// Some changes were made and others failed. Running again resumes.
    Partial,
    /// Ended by an interrupt (SIGINT).
    Interrupted,
    /// Ended by SIGTERM.
    Terminated,
}

impl Exit {
    /// The exit code.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage | Self::Changes => 2,
            Self::InvalidFiles => 3,
            Self::Refused => 4,
            Self::Stale => 5,
            Self::NotReady => 6,
            Self::Unauthorized => 7,
            Self::Partial => 8,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// What an error of the command line or of a setting comes to: where 2 was to mean changes, it means nothing else.
    pub(crate) fn of_usage(is_detailed: bool) -> Self {
        if is_detailed { Self::Failed } else { Self::Usage }
    }

    /// The word for it in JSON output.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Done => "ok",
            Self::Failed => "error",
            Self::Usage => "usage",
            Self::Changes => "changes",
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
        Self::from(exit.code())
    }
}

/// The table in `--help`.
pub(crate) const TABLE: &str = "\
Exit codes:
  0    done, whether or not anything changed
  1    something failed that no other code names
  2    the command line makes no sense; with --detailed-exitcode only: there are changes
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
            Exit::Usage,
            Exit::Changes,
            Exit::InvalidFiles,
            Exit::Refused,
            Exit::Stale,
            Exit::NotReady,
            Exit::Unauthorized,
            Exit::Partial,
            Exit::Interrupted,
        ];
        for code in codes {
            let start = format!("  {:<3}  ", code.code());
            assert!(TABLE.lines().any(|line| line.starts_with(&start)), "{code:?}");
        }
        assert!(TABLE.contains(&Exit::Terminated.code().to_string()));
    }
}
