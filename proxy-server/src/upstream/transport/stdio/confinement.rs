//! Rights and limits of a child process, as its definition sets them, applied between fork and exec.
//!
//! A gateway with a warden passes them on to it, so that only the program has them: the warden keeps the right to end
//! whatever the program starts.

use std::ffi::{CString, OsString};
use std::io;

use nix::unistd::{User, getgrouplist};
use rustix::fs::Mode;
use rustix::process::{
    Gid, Resource, Rlimit, Uid, geteuid, getpriority_process, setpriority_process, setrlimit, umask,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, set_capabilities, set_no_new_privs,
    set_thread_gid, set_thread_groups, set_thread_uid,
};
use schemas::ProcessSettings;
use serde::{Deserialize, Serialize};

/// Variables that describe a user.
type Variables = Vec<(&'static str, OsString)>;

/// CPU time between SIGXCPU, which a program can handle, and SIGKILL.
const CPU_GRACE: u64 = 5;

/// The reason why a program cannot run as its user.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotAsUser {
    #[error("there is no user `{0}` on the gateway's machine")]
    Unknown(String),
    #[error("user `{0}` is none that programs may run as (--program-users)")]
    NotOffered(String),
    #[error(
        "cannot run the program as user `{0}`: the gateway is not root (or lacks CAP_SETUID, CAP_SETGID and CAP_KILL)"
    )]
    NotRoot(String),
    #[error("cannot read the machine's users")]
    Users(#[source] io::Error),
}

/// Rights and limits of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Confinement {
    user: Option<Ids>,
    umask: Option<u32>,
    memory_bytes: Option<u64>,
    cpu_seconds: Option<u64>,
    open_files: Option<u64>,
    nice: Option<u8>,
}

/// A user and its groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Ids {
    user: u32,
    group: u32,
    groups: Vec<u32>,
}

/// Applies a confinement without allocating, as is required between fork and exec.
pub(super) struct Prepared {
    confinement: Confinement,
    groups: Vec<Gid>,
}

impl Confinement {
    /// Reads the settings, with the variables that describe the user. Fails if the user is none of those `offered`, if
    /// there is no such user, or if the gateway may not run programs as another.
    pub(super) fn of(settings: &ProcessSettings, offered: &[String]) -> Result<(Self, Variables), NotAsUser> {
        let (user, variables) = match &settings.user {
            Some(name) if !offered.contains(name) => return Err(NotAsUser::NotOffered(name.clone())),
            Some(name) => identify(name).map(|(ids, variables)| (Some(ids), variables))?,
            None => (None, Vec::new()),
        };
        let confinement = Self {
            user,
            umask: settings.umask,
            memory_bytes: settings.memory_bytes,
            cpu_seconds: settings.cpu_time.map(|time| time.as_millis().div_ceil(1_000).try_into().unwrap_or(u64::MAX)),
            open_files: settings.open_files.map(u64::from),
            nice: settings.nice,
        };
        Ok((confinement, variables))
    }

    pub(super) fn prepare(self) -> Prepared {
        let groups = self.user.iter().flat_map(|ids| &ids.groups).map(|group| Gid::from_raw(*group)).collect();
        Prepared { confinement: self, groups }
    }
}

impl Prepared {
    /// Applies the confinement to this process. Makes system calls only.
    pub(super) fn apply(&self) -> io::Result<()> {
        let Confinement { user, umask: mask, memory_bytes, cpu_seconds, open_files, nice } = &self.confinement;
        if let Some(mask) = mask {
            umask(Mode::from_raw_mode(*mask));
        }
        if let Some(nice) = nice {
            // Never raises the priority of a gateway that has a low one.
            setpriority_process(None, getpriority_process(None)?.max(i32::from(*nice)))?;
        }
        if let Some(bytes) = memory_bytes {
            limit(Resource::Data, *bytes, *bytes)?;
        }
        if let Some(seconds) = cpu_seconds {
            limit(Resource::Cpu, *seconds, seconds.saturating_add(CPU_GRACE))?;
        }
        if let Some(files) = open_files {
            limit(Resource::Nofile, *files, *files)?;
        }
        // Those that a service manager gives to the gateway would pass to programs. Old kernels have none.
        clear_ambient_capability_set().ok();
        let Some(ids) = user else { return Ok(()) };
        set_thread_groups(&self.groups)?;
        set_thread_gid(Gid::from_raw(ids.group))?;
        set_thread_uid(Uid::from_raw(ids.user))?;
        // The kernel drops capabilities on the way from root to another user only.
        let none = CapabilitySet::empty();
        set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
        Ok(set_no_new_privs(true)?)
    }
}

/// Lowers a limit. A limit that is lower already stays.
fn limit(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    let before = rustix::process::getrlimit(resource);
    let hard = before.maximum.map_or(hard, |before| before.min(hard));
    Ok(setrlimit(resource, Rlimit { current: Some(soft.min(hard)), maximum: Some(hard) })?)
}

/// Finds a user by name or number, with the variables that a login sets.
fn identify(text: &str) -> Result<(Ids, Variables), NotAsUser> {
    let number = text.parse::<u32>().ok();
    let found = match number {
        Some(number) => User::from_uid(number.into()),
        None => User::from_name(text),
    };
    let found = found.map_err(|error| NotAsUser::Users(error.into()))?;
    let (ids, variables) = match (found, number) {
        (Some(user), _) => {
            let name = CString::new(user.name.as_str()).unwrap_or_default();
            let groups = getgrouplist(&name, user.gid).map_err(|error| NotAsUser::Users(error.into()))?;
            let groups = groups.into_iter().map(nix::unistd::Gid::as_raw).collect();
            let name = OsString::from(&user.name);
            let variables = vec![
                ("HOME", user.dir.into_os_string()),
                ("LOGNAME", name.clone()),
                ("SHELL", user.shell.into_os_string()),
                ("USER", name),
            ];
            (Ids { user: user.uid.as_raw(), group: user.gid.as_raw(), groups }, variables)
        }
        // Containers run as numbers that have no name.
        (None, Some(number)) => {
            let ids = Ids { user: number, group: number, groups: Vec::new() };
            (ids, vec![("HOME", OsString::from("/"))])
        }
        (None, None) => return Err(NotAsUser::Unknown(text.to_owned())),
    };
    if may_switch() { Ok((ids, variables)) } else { Err(NotAsUser::NotRoot(text.to_owned())) }
}

/// True if this process may run programs as another user, and end them.
fn may_switch() -> bool {
    let needed = CapabilitySet::SETUID | CapabilitySet::SETGID | CapabilitySet::KILL;
    match capabilities(None) {
        Ok(sets) => sets.effective.contains(needed),
        Err(_) => geteuid().is_root(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(settings: &ProcessSettings) -> String {
        match Confinement::of(settings, &["no-such-user".to_owned()]) {
            Ok((confinement, variables)) => format!("{} {variables:?}", serde_json::json!(confinement)),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn limits_are_as_declared_and_seconds_are_rounded_up() {
        let settings = ProcessSettings {
            umask: Some(0o27),
            memory_bytes: Some(7),
            cpu_time: Some(std::time::Duration::from_millis(1_500)),
            ..ProcessSettings::default()
        };
        let expected = r#"{"user":null,"umask":23,"memory_bytes":7,"cpu_seconds":2,"open_files":null,"nice":null} []"#;
        assert_eq!(of(&settings), expected);
    }

    #[test]
    fn a_user_that_does_not_exist_is_told() {
        let settings = ProcessSettings { user: Some("no-such-user".to_owned()), ..ProcessSettings::default() };
        assert_eq!(of(&settings), "there is no user `no-such-user` on the gateway's machine");
        let settings = ProcessSettings { user: Some("root".to_owned()), ..ProcessSettings::default() };
        assert_eq!(of(&settings), "user `root` is none that programs may run as (--program-users)");
    }

    #[test]
    fn a_limit_that_is_lower_already_stays() {
        let before = rustix::process::getrlimit(Resource::Core).maximum;
        limit(Resource::Core, u64::MAX - 1, u64::MAX - 1).expect("set");
        let after = rustix::process::getrlimit(Resource::Core).maximum;
        assert_eq!(after, before.or(Some(u64::MAX - 1)));
    }
}
