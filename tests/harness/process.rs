//! Child processes of tests: each leads a process group that is killed when the test ends, however it ends.

use std::process::Stdio;
use std::time::Duration;
use std::{fs, str};

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process, kill_process_group, set_parent_process_death_signal};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::wait::{DEADLINE, within};

/// A running program. Dropping it kills its process group.
pub struct Process {
    child: Child,
    pid: Pid,
    program: String,
    out: watch::Receiver<String>,
    err: watch::Receiver<String>,
    readers: JoinSet<()>,
}

/// Output and exit code of a program that has ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    /// All of standard output.
    pub out: String,
    /// All of standard error.
    pub err: String,
}

/// One process of this machine; its start time distinguishes it from later ones with the same id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    pid: i32,
    started: u64,
}

impl Process {
    /// Starts a program with empty stdin.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    #[must_use]
    pub fn start(command: Command) -> Self {
        Self::start_with(command, Stdio::null())
    }

    /// Starts a program with this stdin.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    #[must_use]
    pub fn start_with(mut command: Command, stdin: Stdio) -> Self {
        command.stdin(stdin);
        let mut process = Self::spawned(command);
        process.out = collect(&mut process.readers, process.child.stdout.take());
        process
    }

    /// Starts a program with pipes. Returns its stdin and stdout.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    #[must_use]
    pub fn talk(mut command: Command) -> (Self, ChildStdin, ChildStdout) {
        command.stdin(Stdio::piped());
        let mut process = Self::spawned(command);
        let input = process.child.stdin.take().expect("a pipe");
        let output = process.child.stdout.take().expect("a pipe");
        (process, input, output)
    }

    fn spawned(mut command: Command) -> Self {
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = spawn(command).unwrap_or_else(|error| panic!("cannot start {program}: {error}"));
        let pid = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)).expect("a process has an id");
        let mut readers = JoinSet::new();
        let err = collect(&mut readers, child.stderr.take());
        let (_, out) = watch::channel(String::new());
        Self { child, pid, program, out, err, readers }
    }

    /// Waits for the first whole line on stdout and returns it.
    ///
    /// # Panics
    ///
    /// If the program ends without printing one.
    pub async fn first_line(&self) -> String {
        let mut out = self.out.clone();
        let line = within(DEADLINE, "a line on standard output", out.wait_for(|text| text.contains('\n'))).await;
        let line = line.map(|text| text.lines().next().unwrap_or_default().to_owned());
        line.unwrap_or_else(|_| panic!("{} ended without a line; it said: {}", self.program, self.err()))
    }

    /// Waits until stdout contains this text.
    ///
    /// # Panics
    ///
    /// If the program ends without printing it.
    pub async fn prints(&self, wanted: &str) {
        let mut out = self.out.clone();
        let printed = within(DEADLINE, wanted, out.wait_for(|text| text.contains(wanted))).await.is_ok();
        assert!(printed, "{} never printed `{wanted}`; it said: {}", self.program, self.err());
    }

    /// Waits until stderr contains this text.
    ///
    /// # Panics
    ///
    /// If the program ends without printing it.
    pub async fn says(&self, wanted: &str) {
        let mut err = self.err.clone();
        let said = within(DEADLINE, wanted, err.wait_for(|text| text.contains(wanted))).await.is_ok();
        assert!(said, "{} never said `{wanted}`, but: {}", self.program, self.err());
    }

    /// Returns the stderr so far.
    #[must_use]
    pub fn err(&self) -> String {
        self.err.borrow().clone()
    }

    /// Returns the process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Sends a signal to the process, not to its group.
    ///
    /// # Panics
    ///
    /// If the process has ended.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap_or_else(|error| panic!("{} gets no signal: {error}", self.program));
    }

    /// Waits for the end of the program, with its output complete.
    ///
    /// # Panics
    ///
    /// If the program does not end within this time.
    pub async fn ended(&mut self, deadline: Duration) -> Ended {
        let what = format!("the end of {}", self.program);
        let status = within(deadline, &what, self.child.wait()).await.expect("the child is ours to wait for");
        // Wait only briefly for the output: a grandchild may hold the streams open.
        let readers = &mut self.readers;
        let all = async { while readers.join_next().await.is_some() {} };
        tokio::time::timeout(Duration::from_secs(1), all).await.ok();
        Ended { code: status.code(), out: self.out.borrow().clone(), err: self.err() }
    }

    /// Returns the running child processes of the program.
    #[must_use]
    pub fn children(&self) -> Vec<Seen> {
        let own = self.pid.as_raw_nonzero().get();
        let all = fs::read_dir("/proc").expect("/proc is there").flatten();
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter_map(|pid| Some((stat(pid)?, pid)))
            .filter(|(stat, _)| stat.parent == own && !stat.is_zombie)
            .map(|(stat, pid)| Seen { pid, started: stat.started })
            .collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {} said:\n{}", self.program, self.err());
        }
        // Ignore the error: it means that the group has already ended.
        kill_process_group(self.pid, Signal::KILL).ok();
    }
}

impl Seen {
    /// Returns the running process with this id, if any.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let pid = i32::try_from(pid).ok()?;
        stat(pid).filter(|stat| !stat.is_zombie).map(|stat| Self { pid, started: stat.started })
    }

    /// Returns true if the process is running. A zombie is not.
    #[must_use]
    pub fn is_running(self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.started == self.started && !stat.is_zombie)
    }
}

/// Runs a program to its end.
pub async fn run(command: Command) -> Ended {
    Process::start(command).ended(DEADLINE).await
}

#[expect(unsafe_code, reason = "std has no safe way to run a call between fork and exec")]
fn spawn(mut command: Command) -> std::io::Result<Child> {
    command.process_group(0);
    // SAFETY: the closure makes one system call, which is async-signal-safe, and touches no memory.
    unsafe {
        command.pre_exec(|| set_parent_process_death_signal(Some(Signal::KILL)).map_err(Into::into));
    }
    command.spawn()
}

fn collect(
    readers: &mut JoinSet<()>,
    stream: Option<impl AsyncRead + Unpin + Send + 'static>,
) -> watch::Receiver<String> {
    let (sender, receiver) = watch::channel(String::new());
    readers.spawn(async move {
        let Some(mut stream) = stream else { return };
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            let read = String::from_utf8_lossy(buffer.get(..count).unwrap_or_default());
            sender.send_modify(|text| text.push_str(&read));
        }
    });
    receiver
}

struct Stat {
    parent: i32,
    is_zombie: bool,
    started: u64,
}

/// Reads `/proc/PID/stat`; `None` if the process does not exist.
fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // Skip the second field, the program's name: it is in parentheses and may contain any character.
    let after_name = text.rsplit(|byte| *byte == b')').next()?;
    let fields: Vec<&str> = str::from_utf8(after_name).ok()?.split_whitespace().collect();
    Some(Stat {
        is_zombie: *fields.first()? == "Z",
        parent: fields.get(1)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}
