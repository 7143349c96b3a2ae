//! Memory, descriptors and child processes of the gateway, with leak detection.

use std::fs;

/// Samples, one every ten seconds.
pub(crate) struct Resources {
    pid: u32,
    looks: Vec<Look>,
}

#[derive(Debug, Clone, Copy)]
struct Look {
    resident_kib: u64,
    descriptors: usize,
    processes: usize,
}

/// Name of a quantity, its value in a sample, and the growth that is noise.
type Figure = (&'static str, fn(&Look) -> u64, u64);

/// Ratio of growth that counts as a leak: median of the last quarter to that of the second quarter.
const MOST_GROWTH: f64 = 1.10;
/// Growth that is noise regardless of the ratio.
const NOISE_KIB: u64 = 8 << 10;
const NOISE_COUNT: u64 = 16;

impl Resources {
    pub(crate) fn of(pid: u32) -> Self {
        Self { pid, looks: Vec::new() }
    }

    pub(crate) fn look(&mut self) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        let resident_kib = line.split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or_default();
        let descriptors = fs::read_dir(format!("/proc/{}/fd", self.pid)).map(Iterator::count).unwrap_or_default();
        self.looks.push(Look { resident_kib, descriptors, processes: family_size(self.pid) });
    }

    pub(crate) fn line(&self) -> String {
        let Some(Look { resident_kib, descriptors, processes }) = self.looks.last() else { return String::new() };
        format!(
            "{:>4} s: {} MiB, {descriptors} descriptors, {processes} processes",
            (self.looks.len() - 1) * 10,
            resident_kib >> 10
        )
    }

    /// Returns a message for each quantity that leaks.
    pub(crate) fn wrong(&self) -> Vec<String> {
        let figures: [Figure; 3] = [
            ("memory in KiB", |look| look.resident_kib, NOISE_KIB),
            ("descriptors", |look| look.descriptors as u64, NOISE_COUNT),
            ("processes", |look| look.processes as u64, NOISE_COUNT),
        ];
        let growth = |(name, figure, noise): &Figure| {
            let (before, after) = (self.median(1, *figure), self.median(3, *figure));
            let grew = after > before + noise && after as f64 > before as f64 * MOST_GROWTH;
            grew.then(|| format!("{name} grew from {before} to {after}"))
        };
        figures.iter().filter_map(growth).collect()
    }

    pub(crate) fn report(&self) -> String {
        let quarters = |figure: fn(&Look) -> u64| -> Vec<String> {
            (0..4).map(|quarter| self.median(quarter, figure).to_string()).collect()
        };
        format!(
            "medians by quarter: memory {} KiB; descriptors {}; processes {}",
            quarters(|look| look.resident_kib).join(", "),
            quarters(|look| look.descriptors as u64).join(", "),
            quarters(|look| look.processes as u64).join(", "),
        )
    }

    fn median(&self, quarter: usize, figure: fn(&Look) -> u64) -> u64 {
        let part = |of: usize| self.looks.len() * of / 4;
        let looks = self.looks.get(part(quarter)..part(quarter + 1)).unwrap_or_default();
        let mut figures: Vec<u64> = looks.iter().map(figure).collect();
        figures.sort_unstable();
        figures.get(figures.len() / 2).copied().unwrap_or_default()
    }
}

/// Counts the descendants of a process.
pub(crate) fn family_size(pid: u32) -> usize {
    let below = children(pid);
    below.len() + below.iter().map(|child| family_size(*child)).sum::<usize>()
}

/// Returns the running child processes of a process.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>()).collect()
}
