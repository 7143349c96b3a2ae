//! What starting a process takes that std has no safe way for. The one file of the gateway with unsafe code.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};
use tokio::process::{Child, Command};

use crate::upstream::transport::descriptors::restore_descriptor_limit;

/// Starts a process in a group of its own. It inherits `handed_on` besides its standard streams, or else is killed when the
/// thread that started it ends.
#[expect(unsafe_code, reason = "std has no safe way to run a call between fork and exec")]
pub(super) fn spawn(mut command: Command, handed_on: Option<OwnedFd>) -> io::Result<Child> {
    command.process_group(0);
    let parent = getpid();
    let before_exec = move || {
        restore_descriptor_limit()?;
        match &handed_on {
            Some(descriptor) => Ok(fcntl_setfd(descriptor, FdFlags::empty())?),
            None => {
                set_parent_process_death_signal(Some(Signal::KILL))?;
                // A parent that died before this sends no signal any more.
                if getppid() == Some(parent) { Ok(()) } else { Err(Errno::SRCH.into()) }
            }
        }
    };
    // SAFETY: the closure makes system calls only, which are async-signal-safe, and touches no memory of others.
    unsafe {
        command.pre_exec(before_exec);
    }
    command.spawn()
}

/// Takes over a descriptor that whoever started this process handed on, so that no further process inherits it.
#[expect(unsafe_code, reason = "a descriptor that was inherited is known by its number only")]
pub(super) fn adopt(number: i32) -> io::Result<OwnedFd> {
    if number <= 2 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: nothing else in this process, which has just begun, knows the number; a number without a descriptor behind it
    // fails in the next line.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    match fcntl_setfd(&descriptor, FdFlags::CLOEXEC) {
        Ok(()) => Ok(descriptor),
        Err(error) => {
            // There is nothing to close.
            std::mem::forget(descriptor);
            Err(error.into())
        }
    }
}
