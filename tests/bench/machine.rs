//! Resource usage of processes and of the machine, from `/proc`.

use std::fs;
use std::thread::available_parallelism;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::time::Instant;

/// Resource usage of some processes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    pub(crate) cpu_ns: u64,
    pub(crate) memory_kib: u64,
}

/// CPU usage of other programs during measurements.
#[derive(Default)]
pub(crate) struct Machine {
    others: Vec<f64>,
}

/// CPU usage up to one moment.
pub(crate) struct Look {
    at: Instant,
    busy_ns: u64,
    ours_ns: u64,
}

impl Usage {
    /// Returns the usage of these processes so far, with CPU time in ns; `stat` would be limited to 10 ms.
    pub(crate) fn of(pids: &[u32]) -> Self {
        let sum = |part: fn(u32) -> u64| pids.iter().map(|pid| part(*pid)).sum();
        Self { cpu_ns: sum(cpu_ns), memory_kib: sum(memory_kib) }
    }
}

impl Machine {
    /// Records the usage of other programs since `then`. Programs of ours that have ended since count as others.
    pub(crate) fn note(&mut self, then: &Look) {
        let now = Look::now();
        let ours = now.ours_ns.saturating_sub(then.ours_ns);
        let others = now.busy_ns.saturating_sub(then.busy_ns).saturating_sub(ours);
        self.others.push(others as f64 / (now.at - then.at).as_nanos() as f64);
    }

    /// Describes the usage of other programs; `None` if no load was measured.
    pub(crate) fn report(&self) -> Option<String> {
        let most = self.others.iter().copied().reduce(f64::max)?;
        let mean = self.others.iter().sum::<f64>() / self.others.len() as f64;
        let cores = available_parallelism().map_or(1, usize::from);
        Some(format!("Other programs used {mean:.2} of {cores} cores on average, {most:.2} in the worst row."))
    }
}

impl Look {
    pub(crate) fn now() -> Self {
        let ours_ns = Usage::of(&family(std::process::id())).cpu_ns;
        Self { at: Instant::now(), busy_ns: busy_ns(), ours_ns }
    }
}

/// Returns a process and all its descendants.
pub(crate) fn family(root: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let parents: Vec<(u32, u32)> = pids.filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let mut family = vec![root];
    let mut at = 0;
    while let Some(member) = family.get(at).copied() {
        family.extend(parents.iter().filter(|(_, parent)| *parent == member).map(|(pid, _)| pid));
        at += 1;
    }
    family
}

/// Returns true if a process runs the same program as this one.
pub(crate) fn is_own_program(pid: u32) -> bool {
    let program = |of: &str| fs::read_link(format!("/proc/{of}/exe")).ok();
    program(&pid.to_string()) == program("self")
}

/// Raises the limit of open files, for one connection per session; child processes inherit it.
pub(crate) fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Ignore the error: rows that need more files fail with their own message.
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).ok();
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Skip the second field, the program's name: it is in parentheses and may contain any character.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn cpu_ns(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let used = threads.filter_map(|thread| {
        let schedule = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        schedule.split_whitespace().next()?.parse::<u64>().ok()
    });
    used.sum()
}

/// Proportional set size: pages that processes share count once in their sum (proc_pid_smaps(5)).
fn memory_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

/// Returns the time in ns that all cores were busy; the kernel's resolution is 10 ms.
fn busy_ns() -> u64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let times: Vec<u64> = fields.filter_map(|field| field.parse().ok()).collect();
    // Fields: user nice system idle iowait irq softirq steal; guest time is included in user time.
    let busy = times.iter().take(8).enumerate().filter(|(at, _)| !matches!(at, 3 | 4)).map(|(_, time)| time);
    busy.sum::<u64>() * 10_000_000
}
