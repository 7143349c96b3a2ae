//! Unix sockets: replaced atomically, and removed at the end unless another gateway has replaced them.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// A socket that is bound in a folder of its own beside its path, so that nobody reaches it before [`UnixSocket::show`].
pub(super) struct UnixSocket {
    listener: UnixListener,
    file: SocketFile,
    _folder: OwnFolder,
    path: PathBuf,
    may_replace: bool,
}

/// File of a socket, which is removed when this is dropped.
pub(super) struct SocketFile {
    path: PathBuf,
    inode: u64,
}

/// Folder that only the gateway's user may enter; removed when this is dropped.
struct OwnFolder(PathBuf);

impl UnixSocket {
    /// Binds a socket with these permissions. Fails if another process listens at the path, unless it may be replaced, or
    /// if something else is there.
    pub(super) fn bind(path: &Path, mode: u32, may_replace: bool) -> io::Result<Self> {
        check(path, may_replace)?;
        let mut random = [0; 4];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let folder = OwnFolder(path.with_file_name(format!(".{name}.{:08x}", u32::from_be_bytes(random))));
        DirBuilder::new().mode(0o700).create(&folder.0)?;
        let beside = folder.0.join("s");
        let listener = UnixListener::bind(&beside)?;
        let file = SocketFile { inode: fs::symlink_metadata(&beside)?.ino(), path: beside };
        fs::set_permissions(&file.path, Permissions::from_mode(mode))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, file, _folder: folder, path: path.to_owned(), may_replace })
    }

    /// Moves the socket to its path, in place of one that is there.
    pub(super) fn show(self) -> io::Result<(UnixListener, SocketFile)> {
        let Self { listener, mut file, _folder, path, may_replace } = self;
        // Another gateway may have begun to listen meanwhile.
        check(&path, may_replace)?;
        fs::rename(&file.path, &path)?;
        file.path = path;
        Ok((listener, file))
    }
}

/// Fails if there is something else at the path than a socket that may be replaced.
fn check(path: &Path, may_replace: bool) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(there) if !there.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the file is not a socket"));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path).map_err(|error| error.kind()) {
        Ok(_) if may_replace => Ok(()),
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        // Nobody listens: it was left behind. Any other error tells nothing about that.
        Err(io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => Ok(()),
        Err(kind) => Err(io::Error::new(kind, "a socket is there, and it cannot be told whether it is in use")),
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_own = fs::symlink_metadata(&self.path).is_ok_and(|there| there.ino() == self.inode);
        if is_own {
            fs::remove_file(&self.path).ok();
        }
    }
}

impl Drop for OwnFolder {
    fn drop(&mut self) {
        fs::remove_dir(&self.0).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(path: &Path, may_replace: bool) -> Result<(UnixListener, SocketFile), io::ErrorKind> {
        UnixSocket::bind(path, 0o600, may_replace).and_then(UnixSocket::show).map_err(|error| error.kind())
    }

    #[test]
    fn a_socket_in_use_stays_and_one_left_behind_is_replaced() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("s");
        let (listener, file) = bind(&path, false).expect("a socket");
        assert_eq!(fs::metadata(&path).expect("a file").mode() & 0o777, 0o600);
        assert_eq!(bind(&path, false).err(), Some(io::ErrorKind::AddrInUse));
        drop(listener);
        std::mem::forget(file);
        let (_listener, file) = bind(&path, false).expect("the socket of a process that was killed");
        let (_newer, newer_file) = bind(&path, true).expect("in place of the other");
        drop(file);
        assert!(UnixStream::connect(&path).is_ok(), "the older one removes only its own");
        drop(newer_file);
        assert!(!path.exists() && fs::read_dir(folder.path()).expect("a folder").next().is_none());
    }

    #[test]
    fn a_file_is_not_replaced() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        assert_eq!(bind(file.path(), true).err(), Some(io::ErrorKind::AlreadyExists));
        assert_eq!(bind(Path::new("/no/such/folder/s"), true).err(), Some(io::ErrorKind::NotFound));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("datagrams");
        let _datagrams = std::os::unix::net::UnixDatagram::bind(&path).expect("a socket");
        assert!(bind(&path, true).is_err() && path.exists(), "a socket of another kind stays");
    }
}
