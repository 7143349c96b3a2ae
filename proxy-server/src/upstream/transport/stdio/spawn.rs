//! System calls for starting a process that std does not offer as safe functions. The gateway's only unsafe code.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};
use tokio::process::{Child, Command};

use crate::upstream::transport::descriptors::restore_descriptor_limit;
use crate::upstream::transport::stdio::confinement::Prepared;

/// Starts a process in a new process group: a warden, which inherits `handed_on` besides its standard streams, or without
/// that descriptor a program, which is confined, and which the kernel kills when the thread that started it ends.
#[expect(unsafe_code, reason = "std has no safe way to run a call between fork and exec")]
pub(super) fn spawn(mut command: Command, handed_on: Option<OwnedFd>, confinement: Prepared) -> io::Result<Child> {
    command.process_group(0);
    let parent = getpid();
    let before_exec = move || {
        restore_descriptor_limit()?;
        match &handed_on {
            Some(descriptor) => Ok(fcntl_setfd(descriptor, FdFlags::empty())?),
            None => {
                // Before the death signal, which the kernel resets when the user changes.
                confinement.apply()?;
                set_parent_process_death_signal(Some(Signal::KILL))?;
                // If the parent died before this point, no death signal follows.
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

/// Takes over an inherited descriptor, and sets it to close on exec, so that no further process inherits it.
#[expect(unsafe_code, reason = "a descriptor that was inherited is known by its number only")]
pub(super) fn adopt(number: i32) -> io::Result<OwnedFd> {
    if number <= 2 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: the process has just begun and nothing else uses the number; if no descriptor has it, the next call
    // fails.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    match fcntl_setfd(&descriptor, FdFlags::CLOEXEC) {
        Ok(()) => Ok(descriptor),
        Err(error) => {
            // The number is not an open descriptor, so it must not be closed.
            std::mem::forget(descriptor);
            Err(error.into())
        }
    }
}
