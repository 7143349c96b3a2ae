//! A child process that speaks JSON lines on its standard streams.
//!
//! The child leads a process group of its own, gets nothing of the gateway's environment but what every program needs,
//! and dies with the gateway. This is the one place that starts processes.

use std::collections::VecDeque;
use std::env::split_paths;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustix::io::{Errno, ioctl_fionread};
use rustix::process::{Pid, Signal, getpid, getppid, kill_process_group, set_parent_process_death_signal};
use schemas::Definition;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::{debug, info};

use crate::error::{Error, Kind};
use crate::protocol::Pieces;
use crate::tasks::Tasks;
use crate::upstream::inbox::Inbox;
use crate::upstream::transport::lines::{Lines, TooLong};
use crate::upstream::transport::{self, put_one_line};

/// Messages that may wait for a child that does not read.
const WRITE_QUEUE: usize = 256;
/// How long the end of a child that got SIGKILL may take to be known.
const LAST_PATIENCE: Duration = Duration::from_secs(2);
/// How long the end of a child and the end of its output may lie apart.
const SHORT_PATIENCE: Duration = Duration::from_millis(100);
/// How often it is looked whether a child has read its first line.
const GLANCE: Duration = Duration::from_millis(20);
/// The last lines of standard error that are kept for a status text.
const KEPT_LINES: usize = 5;
const KEPT_LINE_BYTES: usize = 500;
/// A line on standard error that is longer counts as several.
const LONGEST_LINE: u64 = 8 * 1024;

/// The input of a child.
pub(in crate::upstream) struct Pipe {
    lines: mpsc::Sender<Pieces>,
    end: CancellationToken,
    life: Life,
}

/// What can be seen of a child besides what it says.
#[derive(Debug, Clone, Default)]
pub(in crate::upstream) struct Life {
    /// Cancelled once the child has read the first line: before that, its silence means only that it is still starting.
    pub(in crate::upstream) heard: CancellationToken,
    /// Cancelled once the child and its process group have ended.
    pub(in crate::upstream) gone: CancellationToken,
}

/// What a child may see of the gateway's own environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct ChildEnvironment(pub(crate) Vec<(&'static str, OsString)>);

/// The variables every child is given, where the gateway has them.
pub(crate) const INHERITED: [&str; 4] = ["PATH", "HOME", "LANG", "TMPDIR"];

/// A program that cannot be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("program `{0}` is not found in PATH")]
    NotInPath(String),
    #[error("program `{0}` is not an executable file")]
    NotExecutable(String),
    #[error("cannot start `{program}`")]
    Spawn {
        program: String,
        #[source]
        source: std::io::Error,
    },
}

impl Pipe {
    pub(super) async fn send(&self, message: Pieces) -> Result<(), Error> {
        self.lines.send(message).await.map_err(|_| Kind::NotReady.into())
    }

    pub(super) fn close(&self) {
        self.end.cancel();
    }

    pub(in crate::upstream) fn life(&self) -> &Life {
        &self.life
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

/// Where a definition's program is, looked up as the child's own `PATH` says.
pub(crate) fn locate(
    definition: &Definition,
    command: &str,
    environment: &ChildEnvironment,
) -> Result<PathBuf, StartError> {
    if command.contains('/') {
        let path = PathBuf::from(command);
        return if is_executable(&path) { Ok(path) } else { Err(StartError::NotExecutable(command.to_owned())) };
    }
    let own = definition.env.get("PATH").map(|path| OsString::from(path.expose()));
    let inherited = || environment.0.iter().find(|(name, _)| *name == "PATH").map(|(_, path)| path.clone());
    let path = own.or_else(inherited).unwrap_or_default();
    let found = split_paths(&path).map(|folder| folder.join(command)).find(|file| is_executable(file));
    found.ok_or_else(|| StartError::NotInPath(command.to_owned()))
}

/// Starts the child and the tasks around its three streams.
pub(in crate::upstream) fn start(
    definition: &Definition,
    program: &schemas::Stdio,
    environment: &ChildEnvironment,
    streams: Streams<'_>,
) -> Result<Pipe, StartError> {
    let path = locate(definition, &program.command, environment)?;
    let mut command = Command::new(path);
    command.args(&program.args).env_clear().envs(environment.0.iter().map(|(name, value)| (name, value)));
    command.envs(definition.env.iter().map(|(name, value)| (name, value.expose())));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = spawn(command).map_err(|source| StartError::Spawn { program: program.command.clone(), source })?;
    let (lines, queue) = mpsc::channel(WRITE_QUEUE);
    let (end, life) = (CancellationToken::new(), Life::default());
    // Dropped by the last of the two tasks that tell of the child.
    let gone = Arc::new(life.gone.clone().drop_guard());
    let errors = Arc::new(Mutex::new(VecDeque::new()));
    let Streams { tasks, processes, inbox, line_limit, patience } = streams;
    info!(upstream = %definition.name, pid = child.id(), "process started");
    if let (Some(input), Some(output), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
        let writer = Writer { end: end.clone(), heard: life.heard.clone(), _gone: Arc::clone(&gone) };
        tasks.spawn("stdio input", writer.run(queue, input));
        let (definition, kept, read) = (definition.clone(), Arc::clone(&errors), CancellationToken::new());
        let name = definition.name.to_string();
        let all_read = read.clone().drop_guard();
        tasks.spawn("stdio errors", async move {
            keep_errors(definition, stderr, kept).await;
            drop(all_read);
        });
        let watch = Watch {
            name,
            child,
            errors,
            errors_read: read,
            end: end.clone(),
            inbox,
            patience,
            _gone: gone,
            _process: processes.token(),
        };
        tasks.spawn("stdio output", watch.run(output, line_limit));
    }
    Ok(Pipe { lines, end, life })
}

/// What a child's streams are connected to.
pub(in crate::upstream) struct Streams<'a> {
    pub(in crate::upstream) tasks: &'a Tasks,
    /// Counts the processes that have not ended.
    pub(in crate::upstream) processes: &'a TaskTracker,
    pub(in crate::upstream) inbox: Arc<Inbox>,
    pub(in crate::upstream) line_limit: usize,
    /// How long a child may take to end by itself once its input is closed, and again once it got SIGTERM.
    pub(in crate::upstream) patience: Duration,
}

#[expect(unsafe_code, reason = "std has no safe way to run a call between fork and exec")]
fn spawn(mut command: Command) -> std::io::Result<Child> {
    command.process_group(0);
    let gateway = getpid();
    let die_with_gateway = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // A gateway that died before this sends no signal any more.
        if getppid() == Some(gateway) { Ok(()) } else { Err(Errno::SRCH.into()) }
    };
    // SAFETY: the closure makes two system calls, which are async-signal-safe, and touches no memory of others.
    unsafe {
        command.pre_exec(die_with_gateway);
    }
    command.spawn()
}

/// Writes to a child's input, and notes when the child has read the first line.
struct Writer {
    end: CancellationToken,
    heard: CancellationToken,
    _gone: Arc<DropGuard>,
}

impl Writer {
    async fn run(self, mut queue: mpsc::Receiver<Pieces>, mut input: ChildStdin) {
        let mut is_waiting = false;
        tokio::select! {
            () = self.end.cancelled() => {}
            () = self.write(&mut queue, &mut input, &mut is_waiting) => {}
        }
        // A child that has ended may have read the line just before.
        if is_waiting {
            self.note(&input);
        }
    }

    async fn write(&self, queue: &mut mpsc::Receiver<Pieces>, input: &mut ChildStdin, is_waiting: &mut bool) {
        let mut batch = Vec::new();
        let mut lines = BytesMut::new();
        loop {
            let count = tokio::select! {
                count = queue.recv_many(&mut batch, 64) => count,
                () = sleep(GLANCE), if *is_waiting => {
                    *is_waiting = !self.note(input);
                    continue;
                }
            };
            if count == 0 {
                return;
            }
            for message in batch.drain(..) {
                message.iter().for_each(|piece| put_one_line(&mut lines, piece));
                lines.extend_from_slice(b"\n");
            }
            if input.write_all(&lines).await.is_err() {
                return;
            }
            *is_waiting = !self.heard.is_cancelled();
            lines.clear();
        }
    }

    /// Looks whether the pipe is empty, which it is once the child has read everything. The kernel tells how much a pipe
    /// holds at either of its ends; a child whose pipe does not tell counts as one that has read.
    fn note(&self, input: &ChildStdin) -> bool {
        let is_read = ioctl_fionread(input).map_or(true, |unread| unread == 0);
        if is_read {
            self.heard.cancel();
        }
        is_read
    }
}

/// Reads a child's output until it ends or is told to, then makes sure that nothing of it is left.
struct Watch {
    name: String,
    child: Child,
    errors: Arc<Mutex<VecDeque<String>>>,
    errors_read: CancellationToken,
    end: CancellationToken,
    inbox: Arc<Inbox>,
    patience: Duration,
    _gone: Arc<DropGuard>,
    _process: TaskTrackerToken,
}

impl Watch {
    async fn run(mut self, output: ChildStdout, line_limit: usize) {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        let reading = deliver_all(&self.name, output, line_limit, &self.inbox);
        tokio::pin!(reading);
        let (told, why) = tokio::select! {
            () = self.end.cancelled() => (true, Some("the session was closed".to_owned())),
            why = &mut reading => (false, why),
            // A grandchild may hold the output open; what the child said last is read all the same.
            _ = self.child.wait() => (false, timeout(SHORT_PATIENCE, reading).await.ok().flatten()),
        };
        if let Some(why) = why {
            self.inbox.close(why);
        }
        // A child whose output ended is most often gone already: its status makes the better reason.
        let status = if told { None } else { ended(&mut self.child, SHORT_PATIENCE).await };
        // What it complained of last tells most.
        timeout(SHORT_PATIENCE, self.errors_read.cancelled()).await.ok();
        self.inbox.close(self.reason(status));
        self.end.cancel();
        if status.is_none() && ended(&mut self.child, self.patience).await.is_none() {
            signal(pid, Signal::TERM);
            ended(&mut self.child, self.patience).await;
        }
        // Also for grandchildren that outlive the child.
        signal(pid, Signal::KILL);
        let status = ended(&mut self.child, LAST_PATIENCE).await;
        info!(upstream = self.name, pid = pid.map(|pid| pid.as_raw_nonzero().get()), status = ?status, "process ended");
    }

    fn reason(&self, status: Option<ExitStatus>) -> String {
        let mut reason = match status {
            Some(status) => format!("process ended with {status}"),
            None => "process closed its output".to_owned(),
        };
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        for (index, line) in errors.iter().enumerate() {
            reason += if index == 0 { ": " } else { " | " };
            reason += line;
        }
        reason
    }
}

async fn ended(child: &mut Child, within: Duration) -> Option<ExitStatus> {
    timeout(within, child.wait()).await.ok()?.ok()
}

fn signal(group: Option<Pid>, signal: Signal) {
    if let Some(group) = group {
        // An error means that there is no such group any more, which is what was wanted.
        kill_process_group(group, signal).ok();
    }
}

/// Delivers one message a line. Returns why it stopped, where the process itself is not to blame.
async fn deliver_all(name: &str, output: ChildStdout, limit: usize, inbox: &Inbox) -> Option<String> {
    let mut lines = Lines::new(output, limit);
    while let Some(line) = lines.next().await {
        match line {
            Ok(line) => deliver(name, line, inbox),
            Err(TooLong) => return Some(format!("process wrote a line of more than {limit} bytes")),
        }
    }
    None
}

/// Servers print logs where only messages belong; those lines are passed over.
fn deliver(name: &str, line: Bytes, inbox: &Inbox) {
    if let Err(error) = transport::deliver(line, inbox, None) {
        debug!(upstream = name, %error, "line on standard output is no message");
    }
}

async fn keep_errors(definition: Definition, stderr: ChildStderr, kept: Arc<Mutex<VecDeque<String>>>) {
    let (mut stderr, mut line) = (BufReader::new(stderr), Vec::new());
    while let Ok(1..) = (&mut stderr).take(LONGEST_LINE).read_until(b'\n', &mut line).await {
        let text = String::from_utf8_lossy(line.get(..line.len().min(KEPT_LINE_BYTES)).unwrap_or_default());
        let text = text.trim_end();
        if definition.log_enabled {
            info!(upstream = %definition.name, line = text, "standard error");
        } else {
            debug!(upstream = %definition.name, line = text, "standard error");
        }
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if !text.is_empty() {
            kept.push_back(text.to_owned());
            let excess = kept.len().saturating_sub(KEPT_LINES);
            kept.drain(..excess);
        }
        line.clear();
    }
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}
