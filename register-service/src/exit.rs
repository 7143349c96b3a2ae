//! Exit codes of commands: one stable table, for scripts to branch on.

use std::process::ExitCode;

/// Result of a command. `class` is its name in JSON output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The command did its job, whether or not anything changed.
    Done,
    /// A failure that none of the others describes.
    Failed,
    /// The command line, or a setting, makes no sense.
    Usage,
    /// There are changes, and `--detailed-exitcode` is set.
    Changes,
    /// There are errors in the files. No request was sent.
    InvalidFiles,
    /// A safety guard refused: a registration is another owner's. Nothing was changed.
    Refused,
    /// The gateway changed while the plan was applied. Run again.
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
    /// Returns the exit code.
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

    /// Returns the exit of an invalid command line or setting: with `--detailed-exitcode`, 2 means changes only, so it
    /// is 1.
    pub(crate) fn of_usage(is_detailed: bool) -> Self {
        if is_detailed { Self::Failed } else { Self::Usage }
    }

    /// Returns the name in JSON output.
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

    /// Returns the exit for an error of the gateway, or of the connection to it.
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

/// Rows of the table in `--help`.
const ROWS: [(Exit, &str); 12] = [
    (Exit::Done, "done, whether or not anything changed"),
    (Exit::Failed, "something failed that no other code names"),
    (Exit::Usage, "the command line or a setting makes no sense"),
    (Exit::Changes, "with --detailed-exitcode: there are changes, and nothing else (what makes no sense is 1)"),
    (Exit::InvalidFiles, "there are errors in the files, or with --strict warnings; nothing was changed"),
    (Exit::Refused, "refused, to be safe: another owner's registration or lock, or too many removals"),
    (Exit::Stale, "the gateway, or a file, changed in the meantime; run again"),
    (Exit::NotReady, "the gateway cannot be reached, or an upstream is missing or not ready in time"),
    (Exit::Unauthorized, "the gateway wants another admin token"),
    (Exit::Partial, "some of it was done and the rest failed or was refused; run again to resume"),
    (Exit::Interrupted, "interrupted"),
    (Exit::Terminated, "terminated"),
];

/// Formats the rows of these exits.
pub(crate) fn table(exits: &[Exit]) -> String {
    let rows = ROWS.iter().filter(|(exit, _)| exits.contains(exit));
    let lines = rows.map(|(exit, meaning)| format!("\n  {:<3}  {meaning}", exit.code()));
    std::iter::once("Exit codes:".to_owned()).chain(lines).collect()
}

/// Formats the whole table.
pub(crate) fn whole_table() -> String {
    table(&ROWS.map(|(exit, _)| exit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_order_and_only_those_of_two_meanings_are_there_twice() {
        let codes = ROWS.map(|(exit, _)| exit.code());
        assert_eq!(codes, [0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 130, 143]);
    }

    #[test]
    fn a_page_has_the_rows_of_its_command() {
        let expected = "Exit codes:\n  0    done, whether or not anything changed\n  143  terminated";
        assert_eq!(table(&[Exit::Terminated, Exit::Done]), expected);
    }
}
