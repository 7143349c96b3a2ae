//! The end of a process: its maximum time, and a description of it.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

/// Maximum time to end a process, from closing its input to SIGKILL. Only an unkillable process takes longer.
pub(crate) const LONGEST_END: Duration = Duration::from_secs(15);

/// The signals that end processes, with Linux's numbers on most machines.
const SIGNALS: [(i32, &str); 18] = [
    (1, "SIGHUP"),
    (2, "SIGINT"),
    (3, "SIGQUIT"),
    (4, "SIGILL"),
    (5, "SIGTRAP"),
    (6, "SIGABRT"),
    (7, "SIGBUS"),
    (8, "SIGFPE"),
    (9, "SIGKILL"),
    (10, "SIGUSR1"),
    (11, "SIGSEGV"),
    (12, "SIGUSR2"),
    (13, "SIGPIPE"),
    (14, "SIGALRM"),
    (15, "SIGTERM"),
    (24, "SIGXCPU"),
    (25, "SIGXFSZ"),
    (31, "SIGSYS"),
];

/// Describes an exit status: the exit code or the signal, with the meaning of the usual ones.
pub(super) fn how_it_ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(126), _) => "process ended with exit code 126 (found, but cannot be executed)".to_owned(),
        (Some(127), _) => "process ended with exit code 127 (a command was not found)".to_owned(),
        (Some(code), _) => format!("process ended with exit code {code}"),
        (None, Some(signal)) => match SIGNALS.iter().find(|(number, _)| *number == signal) {
            Some((_, name)) => format!("process was killed by {name}"),
            None => format!("process was killed by signal {signal}"),
        },
        (None, None) => "process ended".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(raw: i32, expected: &str) {
        assert_eq!(how_it_ended(ExitStatus::from_raw(raw)), format!("process {expected}"));
    }

    #[test]
    fn a_code_is_a_number_and_a_signal_has_its_name() {
        check(0, "ended with exit code 0");
        check(3 << 8, "ended with exit code 3");
        check(127 << 8, "ended with exit code 127 (a command was not found)");
        check(9, "was killed by SIGKILL");
        check(11 | 0x80, "was killed by SIGSEGV");
        check(40, "was killed by signal 40");
    }
}
