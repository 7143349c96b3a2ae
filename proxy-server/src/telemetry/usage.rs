//! CPU time, memory and descriptors of processes, as the kernel tells them in `/proc` (proc(5)).

use std::collections::{HashMap, HashSet};
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};
use tokio::time::Instant;

use crate::sync::lock;

/// Time for which a reading of the table is used.
const FRESH: Duration = Duration::from_secs(1);

/// Resources that a process uses.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Usage {
    /// CPU time of the process and of those that it has waited for.
    pub(crate) cpu: Duration,
    pub(crate) resident_bytes: u64,
    pub(crate) virtual_bytes: u64,
    pub(crate) threads: u64,
    /// Time from the start of the system to that of the process.
    pub(crate) started: Duration,
}

/// A process in the kernel's table.
struct Entry {
    parent: u32,
    usage: Usage,
}

/// Returns the resources that this process uses; `None` where the kernel has no such table.
pub(crate) fn of_this_process() -> Option<Usage> {
    // Without the CPU time of its children, which is reported as theirs.
    entry("self", false).map(|entry| entry.usage)
}

/// Returns the number of descriptors that this process has open.
pub(crate) fn open_descriptors() -> Option<u64> {
    // One is that of the folder itself.
    Some((fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1))
}

/// Returns the time of the start of the system, in seconds of the epoch.
pub(crate) fn boot_time() -> Option<u64> {
    let table = fs::read_to_string("/proc/stat").ok()?;
    table.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// Resources of processes with their descendants, read at most once a second, because reading them takes milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Trees(Mutex<Option<Reading>>);

/// Time of a reading, and the resources by the root of each tree.
type Reading = (Instant, Arc<HashMap<u32, Usage>>);

impl Trees {
    /// Returns the resources of these processes, as far as they were there when the table was read last. Blocks.
    pub(crate) fn read(&self, roots: impl Iterator<Item = u32>) -> Arc<HashMap<u32, Usage>> {
        let mut last = lock(&self.0);
        if let Some((since, known)) = &*last
            && since.elapsed() < FRESH
        {
            return Arc::clone(known);
        }
        let read = Arc::new(of_trees(&roots.collect()));
        *last = Some((Instant::now(), Arc::clone(&read)));
        read
    }
}

/// Returns the resources that each of these processes uses together with its living descendants.
fn of_trees(roots: &HashSet<u32>) -> HashMap<u32, Usage> {
    if roots.is_empty() {
        return HashMap::new();
    }
    let table: HashMap<u32, Entry> = processes().filter_map(|id| Some((id, entry(&id.to_string(), true)?))).collect();
    let mut sums = HashMap::new();
    for id in table.keys() {
        let Some(root) = root_of(*id, &table, roots) else { continue };
        let (Some(entry), sum) = (table.get(id), sums.entry(root).or_insert_with(Usage::default)) else { continue };
        sum.cpu += entry.usage.cpu;
        sum.resident_bytes += entry.usage.resident_bytes;
        sum.virtual_bytes += entry.usage.virtual_bytes;
        sum.threads += entry.usage.threads;
    }
    sums
}

/// Returns the one of these roots that a process descends from, or is.
fn root_of(id: u32, table: &HashMap<u32, Entry>, roots: &HashSet<u32>) -> Option<u32> {
    let mut current = id;
    // Bounded, because the table may change while it is read.
    for _ in 0..64 {
        if roots.contains(&current) {
            return Some(current);
        }
        current = table.get(&current)?.parent;
    }
    None
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn entry(process: &str, with_children: bool) -> Option<Entry> {
    let line = fs::read(format!("/proc/{process}/stat")).ok()?;
    // The name in parentheses may hold spaces, parentheses and a part of a letter.
    let line = String::from_utf8_lossy(&line);
    let (_, fields) = line.rsplit_once(')')?;
    let fields: Vec<u64> = fields.split_whitespace().skip(1).map(|field| field.parse().unwrap_or_default()).collect();
    // Numbers of proc(5), the first of which here is 4, `ppid`.
    let field = |number: usize| fields.get(number - 4).copied();
    let per_second = sysconf(SysconfVar::CLK_TCK).ok()??.try_into().ok().filter(|ticks: &u64| *ticks > 0)?;
    let time = |ticks: u64| Duration::from_millis(ticks.saturating_mul(1_000) / per_second);
    let page: u64 = sysconf(SysconfVar::PAGE_SIZE).ok()??.try_into().ok()?;
    let children = if with_children { field(16)? + field(17)? } else { 0 };
    let usage = Usage {
        cpu: time(field(14)? + field(15)? + children),
        threads: field(20)?,
        started: time(field(22)?),
        virtual_bytes: field(23)?,
        resident_bytes: field(24)?.saturating_mul(page),
    };
    Some(Entry { parent: u32::try_from(field(4)?).ok()?, usage })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_counts_among_its_own_tree() {
        let usage = of_this_process().expect("an entry");
        assert!(usage.resident_bytes > 1 << 20 && usage.threads > 0 && usage.started > Duration::ZERO, "{usage:?}");
        assert!(open_descriptors().is_some_and(|open| open >= 3));
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time").as_secs();
        assert!(boot_time().is_some_and(|boot| boot + usage.started.as_secs() <= now + 1));
        let own = std::process::id();
        let trees = of_trees(&HashSet::from([own, u32::MAX]));
        assert_eq!(trees.len(), 1);
        assert!(trees[&own].resident_bytes > 1 << 20);
    }

    #[test]
    fn a_process_belongs_to_its_nearest_root() {
        let entry = |parent| Entry { parent, usage: Usage::default() };
        let table = HashMap::from([(2, entry(1)), (3, entry(2)), (4, entry(3)), (5, entry(5))]);
        let check = |id, roots: &[u32], expected| {
            let of = root_of(id, &table, &roots.iter().copied().collect());
            assert_eq!(of, expected, "{id} {roots:?}");
        };
        check(4, &[2], Some(2));
        check(4, &[2, 3], Some(3));
        check(4, &[9], None);
        check(5, &[9], None);
    }
}
