//! A small process between the gateway and each program that it starts; it ends every process that the program leaves
//! behind.
//!
//! The kernel can end the children of a killed process, but not their children, and a process that leaves its group
//! (`setsid`, daemons, wrappers such as npx and uvx) cannot be found afterwards. The warden is the program's parent,
//! adopts every orphan below it (subreaper), and reads a pipe from the gateway: each byte is an order, and the end of
//! the pipe means that the gateway has ended in any way. It is the same executable, selected by its first argument
//! before anything else runs.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use rustix::process::{
    Pid, Signal, WaitOptions, getpid, kill_process, kill_process_group, set_child_subreaper, waitpid,
};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::time::{sleep, timeout};

use super::confinement::Confinement;
use super::spawn;

/// First argument that selects the warden. The descriptor of the pipe, the confinement and the program follow.
pub(super) const ARGUMENT: &str = "__warden";
/// Prefix of the program's variables in the environment of its warden. Under their own names, some would act on the
/// warden too (`LD_PRELOAD`), which may have more rights than the program.
const PREFIX: &str = "MCP_PROXY_PROGRAM:";
/// Order to send SIGTERM to the program's process group.
pub(super) const TERMINATE: u8 = b't';
/// Order to kill the program and everything below it.
pub(super) const KILL: u8 = b'k';

/// Time for a program to end after the gateway is gone and its input is closed, and again after SIGTERM.
const GRACE: Duration = Duration::from_secs(1);
/// Timeout for ending the remaining processes, and the interval between checks for them.
const LAST_PATIENCE: Duration = Duration::from_secs(2);
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// Exit codes of shells for a program that cannot be started, and for one that was ended by a signal.
const CANNOT_START: u8 = 127;
const ENDED_BY_SIGNAL: u8 = 128;

/// Returns the name under which the warden finds a variable of the program.
pub(super) fn variable(name: &str) -> String {
    format!("{PREFIX}{name}")
}

/// Returns the variables of the program.
fn variables() -> impl Iterator<Item = (OsString, OsString)> {
    std::env::vars_os().filter_map(|(name, value)| {
        let name = name.as_bytes().strip_prefix(PREFIX.as_bytes())?;
        Some((OsStr::from_bytes(name).to_owned(), value))
    })
}

/// Runs the warden if the command line selects it. Returns the exit code.
pub fn warden() -> Option<ExitCode> {
    let mut words = std::env::args_os().skip(1);
    words.next().filter(|word| word == ARGUMENT)?;
    let control = words.next()?.to_str()?.parse().ok()?;
    let confinement = serde_json::from_str::<Confinement>(words.next()?.to_str()?).ok()?;
    let program = words.next()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served = runtime.and_then(|runtime| runtime.block_on(serve(control, confinement, &program, words.collect())));
    Some(served.unwrap_or_else(|error| {
        eprintln!("cannot start `{}`: {error}", program.display());
        CANNOT_START.into()
    }))
}

async fn serve(
    control: i32,
    confinement: Confinement,
    program: &OsString,
    args: Vec<OsString>,
) -> std::io::Result<ExitCode> {
    let control = pipe::Receiver::from_owned_fd(spawn::adopt(control)?)?;
    set_child_subreaper(Some(getpid()))?;
    // Signal handlers are not inherited by the program, ignored signals would be.
    let signals = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
    let [terminate, interrupt, hangup] = signals.map(signal);
    let ignored = (interrupt?, hangup?);
    let mut command = Command::new(program);
    command.args(args).env_clear().envs(variables());
    let mut child = spawn::spawn(command, None, confinement.prepare())?;
    leave_streams()?;
    let ended = watch(&mut child, control, terminate?).await;
    drop(ignored);
    let status = match ended {
        Some(status) => Some(status),
        None => {
            end_all().await;
            timeout(LAST_PATIENCE, child.wait()).await.ok().and_then(Result::ok)
        }
    };
    end_all().await;
    Ok(exit_like(status))
}

/// Waits until the program ends by itself, or has to end.
async fn watch(child: &mut Child, mut control: pipe::Receiver, mut terminate: Signals) -> Option<ExitStatus> {
    let group = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    let mut orphans = signal(SignalKind::child()).ok()?;
    loop {
        tokio::select! {
            status = child.wait() => return status.ok(),
            order = control.read_u8() => match order {
                Ok(TERMINATE) => pass_on(group, Signal::TERM),
                Ok(_) => return None,
                Err(_) => break,
            },
            // Most likely the whole machine shuts down.
            _ = terminate.recv() => pass_on(group, Signal::TERM),
            _ = orphans.recv() => reap(group),
        }
    }
    // The gateway is gone, which also closed the program's input.
    if let Ok(status) = timeout(GRACE, child.wait()).await {
        return status.ok();
    }
    pass_on(group, Signal::TERM);
    timeout(GRACE, child.wait()).await.ok().and_then(Result::ok)
}

fn pass_on(group: Option<Pid>, signal: Signal) {
    if let Some(group) = group {
        // An error means that the group has ended already.
        kill_process_group(group, signal).ok();
    }
}

/// Replaces the warden's standard streams, so that the other ends see the program close them.
fn leave_streams() -> std::io::Result<()> {
    let nothing = fs::File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    rustix::stdio::dup2_stdout(&nothing)?;
    rustix::stdio::dup2_stderr(&nothing)?;
    Ok(())
}

/// Kills every process below this one until none is left, including new ones.
async fn end_all() {
    let ending = async {
        loop {
            let left = below(getpid());
            if left.iter().all(|process| process.is_ended) {
                reap(None);
                return;
            }
            for process in left {
                kill_process(process.pid, Signal::KILL).ok();
            }
            sleep(LOOK_INTERVAL).await;
            reap(None);
        }
    };
    timeout(LAST_PATIENCE, ending).await.ok();
}

/// Reaps ended processes that the warden adopted, but not the program itself.
fn reap(program: Option<Pid>) {
    let own = getpid();
    for process in below(own) {
        if process.is_ended && process.parent == own && Some(process.pid) != program {
            waitpid(Some(process.pid), WaitOptions::NOHANG).ok();
        }
    }
}

/// A process as listed in `/proc`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    pid: Pid,
    parent: Pid,
    /// True if the process has ended and waits to be reaped.
    is_ended: bool,
}

/// Returns every process below this one.
fn below(root: Pid) -> Vec<Process> {
    let mut children = HashMap::<Pid, Vec<Process>>::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(number) else { continue };
        let Ok(stat) = fs::read(entry.path().join("stat")) else { continue };
        let Some(process) = read(pid, &String::from_utf8_lossy(&stat)) else { continue };
        children.entry(process.parent).or_default().push(process);
    }
    let (mut found, mut open) = (Vec::new(), vec![root]);
    while let Some(parent) = open.pop() {
        for process in children.remove(&parent).unwrap_or_default() {
            open.push(process.pid);
            found.push(process);
        }
    }
    found
}

/// Parses `/proc/PID/stat`: pid, name in parentheses (any text), state, parent.
fn read(pid: Pid, stat: &str) -> Option<Process> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?;
    Some(Process { pid, parent: number(fields.next()?)?, is_ended: matches!(state, "Z" | "X") })
}

fn number(text: &str) -> Option<Pid> {
    text.parse().ok().and_then(Pid::from_raw)
}

/// Exits as the program did, with its code or signal, for the waiting parent.
fn exit_like(status: Option<ExitStatus>) -> ExitCode {
    let Some(status) = status else { return ExitCode::FAILURE };
    if let Some(signal) = status.signal() {
        if let Some(signal) = Signal::from_named_raw(signal).filter(|signal| !is_handled(*signal)) {
            let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
            rustix::process::setrlimit(rustix::process::Resource::Core, none).ok();
            kill_process(getpid(), signal).ok();
        }
        return ENDED_BY_SIGNAL.saturating_add(u8::try_from(signal).unwrap_or_default()).into();
    }
    status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}

fn is_handled(signal: Signal) -> bool {
    [Signal::TERM, Signal::INT, Signal::HUP, Signal::CHILD].contains(&signal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_what_ends_names() {
        let pid = Pid::from_raw(7).expect("a process id");
        let process = |parent, is_ended| Some(Process { pid, parent: Pid::from_raw(parent).expect("one"), is_ended });
        assert_eq!(read(pid, "7 (cat) S 3 7 7 0"), process(3, false));
        assert_eq!(read(pid, "7 (a) Z 9 (b)) Z 3 7 7 0"), process(3, true));
        assert_eq!(read(pid, "7 (cat) S 0 7"), None, "the first process has no parent");
        assert_eq!(read(pid, ""), None);
    }

    #[test]
    fn a_child_is_found_below_its_parent() {
        let mut child = std::process::Command::new("sleep").arg("10").spawn().expect("sleep");
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        assert!(below(getpid()).iter().any(|process| Some(process.pid) == pid && !process.is_ended));
        child.kill().expect("a living child");
        child.wait().expect("its end");
    }
}
