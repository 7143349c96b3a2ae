//! Samples of all rounds, and their formatting.

use std::collections::HashMap;
use std::fmt::Write;

use crate::rows::Row;

/// Result of one measurement.
pub(crate) type Sample = Vec<(Column, f64)>;

/// A measured quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Rate,
    P50,
    P99,
    P999,
    Cpu,
    Memory,
    Session,
    FirstAnswer,
}

/// All samples by row and hop, in the order of rounds.
#[derive(Default)]
pub(crate) struct Table(HashMap<(&'static str, usize), Vec<Sample>>);

impl Column {
    fn title(self) -> &'static str {
        match self {
            Self::Rate => "a second",
            Self::P50 => "p50 us",
            Self::P99 => "p99 us",
            Self::P999 => "p99.9 us",
            Self::Cpu => "CPU us each",
            Self::Memory => "PSS MiB",
            Self::Session => "KiB a session",
            Self::FirstAnswer => "ms",
        }
    }

    /// Returns true if the range of values is shown too.
    fn shows_range(self) -> bool {
        matches!(self, Self::Rate | Self::Cpu | Self::Session | Self::FirstAnswer)
    }

    /// Returns true if hops are compared by this column.
    fn is_compared(self) -> bool {
        matches!(self, Self::Cpu | Self::Session | Self::FirstAnswer)
    }

    fn digits(self) -> usize {
        match self {
            Self::Rate | Self::P50 | Self::P99 | Self::P999 => 0,
            Self::Cpu | Self::Memory | Self::Session | Self::FirstAnswer => 1,
        }
    }
}

impl Table {
    pub(crate) fn add(&mut self, row: &Row, hop: usize, sample: Sample) {
        self.0.entry((row.name, hop)).or_default().push(sample);
    }

    /// Formats all rows, with one line per hop.
    pub(crate) fn print(&self, rows: &[Row], hops: &[&str]) -> String {
        let floor = hops.iter().position(|name| *name == "nginx");
        let mut text = String::new();
        for row in rows {
            let samples: Vec<_> = (0..hops.len()).map(|hop| self.samples(row, hop)).collect();
            let widest = samples.iter().filter_map(|samples| samples.first()).max_by_key(|sample| sample.len());
            let columns: Vec<Column> = widest.into_iter().flatten().map(|(column, _)| *column).collect();
            let mut lines = vec![header(row.name, &columns)];
            for (name, own) in hops.iter().zip(&samples).filter(|(_, own)| !own.is_empty()) {
                let floor = floor.and_then(|floor| samples.get(floor));
                lines.push(line(name, &columns, own, floor.copied().unwrap_or_default()));
            }
            write!(text, "\n{}", aligned(&lines)).ok();
        }
        text
    }

    fn samples(&self, row: &Row, hop: usize) -> &[Sample] {
        self.0.get(&(row.name, hop)).map_or(&[], Vec::as_slice)
    }
}

fn header(name: &str, columns: &[Column]) -> Vec<String> {
    let mut cells = vec![name.to_owned()];
    for column in columns {
        cells.push(column.title().to_owned());
        cells.extend(column.is_compared().then(|| "x nginx".to_owned()));
    }
    cells
}

fn line(name: &str, columns: &[Column], samples: &[Sample], floor: &[Sample]) -> Vec<String> {
    let mut cells = vec![format!("  {name}")];
    for column in columns {
        let values: Vec<f64> = samples.iter().filter_map(|sample| value(sample, *column)).collect();
        cells.push(spread(values, column.digits(), column.shows_range()));
        if std::ptr::eq(samples, floor) && column.is_compared() {
            cells.push("1".to_owned());
        } else if column.is_compared() {
            let pairs = samples.iter().zip(floor);
            let ratios = pairs.filter_map(|(own, floor)| Some(value(own, *column)? / value(floor, *column)?));
            cells.push(spread(ratios.collect(), 2, true));
        }
    }
    cells
}

fn value(sample: &Sample, wanted: Column) -> Option<f64> {
    sample.iter().find(|(column, _)| *column == wanted).map(|(_, value)| *value)
}

/// Formats values as `median (lowest-highest)`.
fn spread(mut values: Vec<f64>, digits: usize, range: bool) -> String {
    values.sort_unstable_by(f64::total_cmp);
    let (Some(lowest), Some(highest)) = (values.first(), values.last()) else { return "-".to_owned() };
    let middle = values.get(values.len().saturating_sub(1) / 2..=values.len() / 2).unwrap_or_default();
    let median = middle.iter().sum::<f64>() / middle.len().max(1) as f64;
    match range && values.len() > 1 {
        true => format!("{median:.digits$} ({lowest:.digits$}-{highest:.digits$})"),
        false => format!("{median:.digits$}"),
    }
}

/// Aligns cells in columns, the first one to the left and the others to the right.
fn aligned(lines: &[Vec<String>]) -> String {
    const NAME: usize = 44;
    let width = |at: usize| lines.iter().filter_map(|line| line.get(at)).map(String::len).max().unwrap_or_default();
    let mut text = String::new();
    for line in lines {
        for (at, cell) in line.iter().enumerate() {
            match at {
                0 => write!(text, "{cell:<NAME$}"),
                _ => write!(text, "  {cell:>width$}", width = width(at)),
            }
            .ok();
        }
        text.push('\n');
    }
    text
}
