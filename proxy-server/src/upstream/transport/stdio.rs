//! A child process that exchanges JSON lines over its standard streams.
//!
//! The child inherits only the basic variables of the gateway's environment, and its descendants end with the gateway:
//! the gateway's executable runs as a `warden` that starts the program. A gateway embedded in another program has no
//! such executable; then the kernel ends the child with the gateway. Only this folder starts processes.

mod confinement;
mod errors;
mod input;
mod output;
mod spawn;
mod warden;

use std::env::split_paths;
use std::ffi::{OsStr, OsString};
use std::io::{PipeWriter, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{Access, access};
use rustix::process::{Pid, Signal, kill_process_group};
use schemas::{Definition, Secret};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::info;

pub use self::warden::warden;
use crate::error::{Error, Kind};
use crate::pieces::Pieces;
use crate::sync::lock;
use crate::tasks::Tasks;
use crate::telemetry::Secrets;
use crate::upstream::inbox::Inbox;
use crate::upstream::log::{LineSource, UpstreamLog, note};
use crate::upstream::noise::Noise;
use crate::upstream::processes::{Processes, RunningProcess};
use crate::upstream::transport::exit::how_it_ended;
use crate::upstream::transport::stdio::confinement::{Confinement, NotAsUser};
use crate::upstream::transport::stdio::errors::{Errors, LastLines};
use crate::upstream::transport::stdio::input::Writer;
use crate::upstream::transport::stdio::output::Output;

/// Name of a warden in process lists.
const NAME: &str = "mcp-proxy-warden";
/// Maximum number of messages that wait for a child that does not read.
const WRITE_QUEUE: usize = 256;
/// Timeout for the end of a child after SIGKILL.
const LAST_PATIENCE: Duration = Duration::from_secs(2);
/// Maximum time between the end of a child and the end of its output.
const SHORT_PATIENCE: Duration = Duration::from_millis(100);

/// Standard input of a child.
pub(crate) struct Pipe {
    lines: mpsc::Sender<Pieces>,
    end: CancellationToken,
    life: Life,
    pid: Option<u32>,
}

/// Life-cycle tokens of a child.
#[derive(Debug, Clone, Default)]
pub(crate) struct Life {
    /// Cancelled once the child has read the first line; until then, its silence means that it is still starting.
    pub(crate) heard: CancellationToken,
    /// Cancelled once the child and its process group have ended.
    pub(crate) gone: CancellationToken,
}

/// The environment of child processes.
#[derive(Debug, Clone, Default)]
pub(crate) struct ChildEnvironment {
    /// Variables that every child inherits from the gateway.
    pub(crate) variables: Vec<(&'static str, OsString)>,
    /// Further variables that a definition may ask for, with the value of those that are set.
    pub(crate) inheritable: Vec<(String, Option<OsString>)>,
    /// Users that programs may run as.
    pub(crate) users: Vec<String>,
    /// Executable that can run as a [`warden`]; without one, only the child's process group is ended with it.
    pub(crate) warden: Option<PathBuf>,
}

/// Variables that every child inherits: those of the official SDKs, the language, and the folder for temporary files.
pub(crate) const INHERITED: [&str; 8] = ["HOME", "LANG", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "USER"];

/// Those of them that describe a user.
const OF_USERS: [&str; 4] = ["HOME", "LOGNAME", "SHELL", "USER"];

/// The reason why a program cannot be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("program `{0}` is not found in PATH")]
    NotInPath(String),
    #[error("program `{0}` is not an executable file")]
    NotExecutable(String),
    #[error("working directory `{0}` is not a folder that the gateway can enter")]
    NoFolder(String),
    #[error(transparent)]
    User(#[from] NotAsUser),
    #[error("variable `{0}` is none that the gateway passes on (--inheritable-env)")]
    NotInheritable(String),
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

    /// Returns the id of the child's process.
    pub(super) fn pid(&self) -> Option<u32> {
        self.pid
    }

    pub(crate) fn life(&self) -> &Life {
        &self.life
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

/// Locates a definition's program, in the child's own `PATH` and working directory.
fn locate(
    definition: &Definition,
    program: &schemas::Stdio,
    environment: &ChildEnvironment,
) -> Result<PathBuf, StartError> {
    let folder = program.cwd.as_deref().map(Path::new);
    if let Some(folder) = folder.filter(|folder| access(*folder, Access::EXEC_OK).is_err() || !folder.is_dir()) {
        return Err(StartError::NoFolder(folder.display().to_string()));
    }
    let in_folder = |path: PathBuf| folder.map_or(path.clone(), |folder| absolute(folder).join(path));
    let command = &program.command;
    if command.contains('/') {
        let path = in_folder(PathBuf::from(command));
        return if is_executable(&path) { Ok(path) } else { Err(StartError::NotExecutable(command.to_owned())) };
    }
    let own = definition.env.get("PATH").map(|path| OsString::from(path.expose()));
    let inherited = || environment.variables.iter().find(|(name, _)| *name == "PATH").map(|(_, path)| path.clone());
    let path = own.or_else(inherited).unwrap_or_default();
    let mut places = split_paths(&path).map(|place| in_folder(place.join(command)));
    places.find(|file| is_executable(file)).ok_or_else(|| StartError::NotInPath(command.to_owned()))
}

/// Checks that the definition's program can be started: that it exists, as do its user and the variables that it asks
/// for. Starts nothing.
pub(crate) fn check(
    definition: &Definition,
    program: &schemas::Stdio,
    environment: &ChildEnvironment,
) -> Result<(), StartError> {
    locate(definition, program, environment)?;
    inherited(definition, environment)?;
    Confinement::of(&definition.process, &environment.users)?;
    Ok(())
}

impl ChildEnvironment {
    /// Returns the secrets of a definition, the values that its program inherits among them.
    pub(crate) fn secrets(&self, definition: &Definition) -> Secrets {
        let inherited = inherited(definition, self).unwrap_or_default();
        if inherited.is_empty() {
            return Secrets::of(definition);
        }
        let mut whole = definition.clone();
        let inherited = inherited.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.to_str()?)));
        whole.env.extend(inherited.map(|(name, value)| (name, Secret::new(value))));
        Secrets::of(&whole)
    }
}

/// Returns the variables that every child inherits, without those that describe the gateway's user if the child has
/// another.
fn basic<'e>(definition: &Definition, environment: &'e ChildEnvironment) -> Vec<(&'e str, &'e OsStr)> {
    let has_user = definition.process.user.is_some();
    let variables = environment.variables.iter().filter(|(name, _)| !has_user || !OF_USERS.contains(name));
    variables.map(|(name, value)| (*name, value.as_os_str())).collect()
}

/// Returns the variables that the definition asks for, without those that are not set.
fn inherited<'e>(
    definition: &Definition,
    environment: &'e ChildEnvironment,
) -> Result<Vec<(&'e str, &'e OsStr)>, StartError> {
    let mut found = Vec::new();
    for asked in &definition.process.inherit_env {
        let offered = environment.inheritable.iter().find(|(name, _)| name == asked);
        let (name, value) = offered.ok_or_else(|| StartError::NotInheritable(asked.clone()))?;
        found.extend(value.as_ref().map(|value| (name.as_str(), value.as_os_str())));
    }
    Ok(found)
}

/// Makes a path absolute.
fn absolute(folder: &Path) -> PathBuf {
    std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned())
}

/// Starts the child and the tasks for its three streams.
pub(crate) fn start(
    definition: &Definition,
    program: &schemas::Stdio,
    environment: &ChildEnvironment,
    streams: Streams<'_>,
) -> Result<Pipe, StartError> {
    let path = locate(definition, program, environment)?;
    let failed = |source| StartError::Spawn { program: program.command.clone(), source };
    let (confinement, of_user) = Confinement::of(&definition.process, &environment.users)?;
    let mut variables = basic(definition, environment);
    variables.extend(of_user.iter().map(|(name, value)| (*name, value.as_os_str())));
    variables.extend(inherited(definition, environment)?);
    variables.extend(definition.env.iter().map(|(name, value)| (name.as_str(), OsStr::new(value.expose()))));
    let (mut command, confinement, warden) = command(&path, confinement, environment).map_err(failed)?;
    let (handed_on, control) = warden.unzip();
    command.args(&program.args).env_clear();
    match &handed_on {
        Some(_) => command.envs(variables.into_iter().map(|(name, value)| (warden::variable(name), value))),
        None => command.envs(variables),
    };
    prepare(&mut command, program);
    let mut child = spawn::spawn(command, handed_on, confinement.prepare()).map_err(failed)?;
    let (lines, queue) = mpsc::channel(WRITE_QUEUE);
    let (end, life) = (CancellationToken::new(), Life::default());
    // Dropped by the last of the two tasks that report about the child.
    let gone = Arc::new(life.gone.clone().drop_guard());
    let errors = LastLines::default();
    let Streams { tasks, processes, place, noise, log, inbox, line_limit, patience } = streams;
    let pid = child.id();
    info!(upstream = %definition.name, pid, "process started");
    note(&log, LineSource::Gateway, pid, "process started");
    if let (Some(input), Some(output), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
        let writer = Writer { end: end.clone(), heard: life.heard.clone(), _gone: Arc::clone(&gone) };
        tasks.spawn("stdio input", writer.run(queue, input));
        let (name, read) = (definition.name.to_string(), CancellationToken::new());
        let all_read = read.clone().drop_guard();
        let reader = Errors {
            name: name.clone(),
            pid,
            is_shown: definition.log_enabled,
            secrets: environment.secrets(definition),
            log: log.clone(),
            last: Arc::clone(&errors),
        };
        tasks.spawn("stdio errors", async move {
            reader.keep_all(stderr).await;
            drop(all_read);
        });
        let secrets = environment.secrets(definition);
        let reader = Output { name, pid, inbox: Arc::clone(&inbox), noise, log, secrets, limit: line_limit };
        let watch = Watch {
            child,
            control,
            errors,
            errors_read: read,
            end: end.clone(),
            inbox,
            patience,
            _gone: gone,
            _process: processes.add(pid),
            _place: place,
        };
        tasks.spawn("stdio output", watch.run(output, reader));
    }
    Ok(Pipe { lines, end, life, pid })
}

/// The descriptor that a warden inherits, and the pipe for its orders.
type Control = (OwnedFd, PipeWriter);

/// Builds the command for a program, or for a warden that confines it. Returns also the confinement of the process that
/// the gateway starts itself.
fn command(
    program: &Path,
    confinement: Confinement,
    environment: &ChildEnvironment,
) -> std::io::Result<(Command, Confinement, Option<Control>)> {
    let Some(warden) = &environment.warden else { return Ok((Command::new(program), confinement, None)) };
    let (control, orders) = std::io::pipe()?;
    let control = OwnedFd::from(control);
    let mut command = Command::new(warden);
    let confinement = serde_json::to_string(&confinement).map_err(std::io::Error::other)?;
    command.arg0(NAME).arg(warden::ARGUMENT).arg(control.as_raw_fd().to_string()).arg(confinement).arg(program);
    Ok((command, Confinement::default(), Some((control, orders))))
}

/// Sets the working directory and the streams of a child.
fn prepare(command: &mut Command, program: &schemas::Stdio) {
    if let Some(folder) = &program.cwd {
        command.current_dir(folder);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
}

/// The receivers of a child's streams.
pub(crate) struct Streams<'a> {
    pub(crate) tasks: &'a Tasks,
    /// The upstream's processes that have not ended.
    pub(crate) processes: &'a Processes,
    /// Permit for one process of all upstreams.
    pub(crate) place: OwnedSemaphorePermit,
    /// Counts the output lines that are not messages.
    pub(crate) noise: Arc<Noise>,
    pub(crate) log: UpstreamLog,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) line_limit: usize,
    /// Time for a child to end after its input was closed, and again after SIGTERM.
    pub(crate) patience: Duration,
}

/// Reads a child's output until it ends or is cancelled, then ends the child and its process group.
struct Watch {
    child: Child,
    /// Pipe for orders to the warden, if there is one.
    control: Option<PipeWriter>,
    errors: LastLines,
    errors_read: CancellationToken,
    end: CancellationToken,
    inbox: Arc<Inbox>,
    patience: Duration,
    _gone: Arc<DropGuard>,
    _process: RunningProcess,
    _place: OwnedSemaphorePermit,
}

impl Watch {
    async fn run(mut self, output: ChildStdout, reader: Output) {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        let reading = reader.deliver_all(output);
        tokio::pin!(reading);
        let told = tokio::select! {
            () = self.end.cancelled() => true,
            () = &mut reading => false,
            // A grandchild may keep the output open; read what the child wrote before its end.
            _ = self.child.wait() => {
                self.inbox.hurry();
                timeout(SHORT_PATIENCE, reading).await.ok();
                false
            }
        };
        if told {
            self.inbox.close("the session was closed");
        }
        // If the output ended, the child has most likely exited, and its status is the better reason.
        let status = if told { None } else { ended(&mut self.child, SHORT_PATIENCE).await };
        // The last lines on standard error are usually the most helpful.
        timeout(SHORT_PATIENCE, self.errors_read.cancelled()).await.ok();
        self.inbox.close(self.reason(status));
        self.end.cancel();
        if status.is_none() && ended(&mut self.child, self.patience).await.is_none() {
            self.order(warden::TERMINATE, pid, Signal::TERM);
            ended(&mut self.child, self.patience).await;
        }
        // Also ends grandchildren that outlive the child. A warden exits when no descendant is left.
        self.order(warden::KILL, pid, Signal::KILL);
        let mut status = ended(&mut self.child, LAST_PATIENCE).await;
        if status.is_none() && self.control.is_some() {
            signal(pid, Signal::KILL);
            status = ended(&mut self.child, LAST_PATIENCE).await;
        }
        let status = status.map_or_else(|| "not ended".to_owned(), how_it_ended);
        info!(upstream = reader.name, pid = reader.pid, status, "process ended");
        note(&reader.log, LineSource::Gateway, reader.pid, &format!("process ended: {status}"));
    }

    /// Sends an order to the warden, or a signal to the child's process group.
    fn order(&mut self, order: u8, group: Option<Pid>, signal: Signal) {
        match &mut self.control {
            // One byte always fits into the pipe. An error means that the warden has ended.
            Some(control) => drop(control.write_all(&[order])),
            None => self::signal(group, signal),
        }
    }

    fn reason(&self, status: Option<ExitStatus>) -> String {
        let mut reason = match status {
            Some(status) => how_it_ended(status),
            None => "process closed its output".to_owned(),
        };
        let errors = lock(&self.errors);
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
        // An error means that the group has ended already.
        kill_process_group(group, signal).ok();
    }
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}
