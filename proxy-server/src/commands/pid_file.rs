//! PID file of a gateway that `start` runs. The process holds a lock on it, so that a number that is left over, or that
//! another process has by now, is never taken for a running gateway.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

use crate::config::absolute;

const NAME: &str = "mcp-proxy.pid";
/// Folder of Radium's workspaces, which has the PID file too.
const RADIUM_FOLDER: &str = ".radium";
const POLL: Duration = Duration::from_millis(50);

/// Lock on the PID file of this process. Removes the file when it is dropped.
pub(super) struct OwnPidFile {
    path: PathBuf,
    file: File,
}

/// State of a PID file.
pub(super) enum State {
    /// No file.
    Absent,
    /// A file whose process has ended.
    Stale,
    /// The process that holds the file.
    Running(Pid),
}

/// Returns the path of the PID file: as named, beside Radium's configuration file, or in the state folder, with the name of
/// the configuration file, so that it is found whatever that says now.
pub(super) fn path(named: Option<&Path>, file: Option<&Path>, state: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    if let Some(path) = named {
        return Ok(path.to_owned());
    }
    if let Some(folder) = file.and_then(Path::parent).filter(|folder| folder.ends_with(RADIUM_FOLDER)) {
        return Ok(folder.join(NAME));
    }
    let folder = state.context("no folder for the PID file; name it with --pid-file")?.join("mcp-proxy/run");
    let file = file.map(|file| absolute(file).display().to_string()).unwrap_or_default();
    Ok(folder.join(format!("{}.pid", file.trim_start_matches('/').replace(['/', ' '], "%"))))
}

impl OwnPidFile {
    /// Locks the file. Returns the PID of the gateway that holds it already as the inner error.
    pub(super) fn take(path: &Path) -> anyhow::Result<Result<Self, Option<Pid>>> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
        }
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
        let open = || {
            let hint = "name another one with --pid-file";
            options.open(path).with_context(|| format!("cannot open the PID file `{}`; {hint}", path.display()))
        };
        let mut file = open()?;
        loop {
            if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
                return Ok(Err(read(&file).ok()));
            }
            // Another process may have removed the file between its opening and its locking.
            if is_at(&file, path) {
                break;
            }
            file = open()?;
        }
        // A number that is left over is another process's by now.
        file.set_len(0).with_context(|| format!("cannot write the PID file `{}`", path.display()))?;
        Ok(Ok(Self { path: path.to_owned(), file }))
    }

    /// Writes the PID of this process.
    pub(super) fn write(&mut self) -> anyhow::Result<()> {
        let written = writeln!(self.file, "{}", std::process::id());
        written.with_context(|| format!("cannot write the PID file `{}`", self.path.display()))
    }
}

impl Drop for OwnPidFile {
    fn drop(&mut self) {
        fs::remove_file(&self.path).ok();
    }
}

/// Looks at a PID file. A stale one is removed.
pub(super) fn look(path: &Path) -> anyhow::Result<State> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(State::Absent),
        Err(error) => return Err(error).with_context(|| format!("cannot open the PID file `{}`", path.display())),
    };
    if !is_held(&file) {
        // Removed under the lock, so that a gateway which is starting does not lose its own.
        let is_free = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() && is_at(&file, path);
        if !is_free {
            bail!("a gateway is starting or ending: try again");
        }
        fs::remove_file(path).with_context(|| format!("cannot remove the stale PID file `{}`", path.display()))?;
        return Ok(State::Stale);
    }
    let pid = read(&file)
        .with_context(|| format!("a gateway is starting: `{}` has no number yet; try again", path.display()))?;
    Ok(State::Running(pid))
}

/// Sends SIGTERM, and waits until the process has ended.
pub(super) async fn terminate(path: &Path, pid: Pid, patience: Duration) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| format!("cannot open the PID file `{}`", path.display()))?;
    kill_process(pid, Signal::TERM).with_context(|| format!("cannot end process {pid}"))?;
    let ended = async {
        while is_held(&file) {
            sleep(POLL).await;
        }
    };
    match tokio::time::timeout(patience, ended).await {
        Ok(()) => Ok(()),
        Err(_) => bail!(
            "process {pid} has not ended within {} s; end it with `kill -KILL {pid}`, which loses calls under way",
            patience.as_secs()
        ),
    }
}

/// True if the file is still the one at the path.
fn is_at(file: &File, path: &Path) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let (opened, present) = (file.metadata().map(identity), fs::metadata(path).map(identity));
    matches!((opened, present), (Ok(opened), Ok(present)) if opened == present)
}

/// True if a process holds the lock.
fn is_held(file: &File) -> bool {
    let is_free = flock(file, FlockOperation::NonBlockingLockShared).is_ok();
    if is_free {
        flock(file, FlockOperation::Unlock).ok();
    }
    !is_free
}

fn read(mut file: &File) -> anyhow::Result<Pid> {
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let number = text.trim().parse().ok().and_then(Pid::from_raw);
    number.context("it has no number")
}
