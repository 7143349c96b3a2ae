//! Table of cells: a row for each revision over each transport, a column for each kind of upstream.

use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::time::Duration;

use harness::peer::{Revision, Transport};

use crate::cells::place::Upstream;
use crate::cells::script::Played;

/// Combination of a client and an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) revision: Revision,
    pub(crate) downstream: Transport,
    pub(crate) upstream: Upstream,
}

/// Result of a cell.
pub(crate) enum Verdict {
    /// Impossible combination, with the reason.
    NotApplicable(&'static str),
    Played(Played),
}

/// Verdicts on a set of cells.
pub(crate) struct Grid(pub(crate) Vec<(Cell, Verdict)>);

impl Cell {
    /// Returns every combination, including the impossible ones.
    pub(crate) fn all() -> Vec<Self> {
        let rows = Revision::ALL.into_iter().flat_map(|revision| Transport::ALL.map(|way| (revision, way)));
        let cell = |(revision, downstream), upstream| Self { revision, downstream, upstream };
        rows.flat_map(|row| Upstream::all().into_iter().map(move |upstream| cell(row, upstream))).collect()
    }

    /// Returns the reason if this combination is impossible.
    pub(crate) fn lacks(self) -> Option<&'static str> {
        self.revision.lacks(self.downstream).or_else(|| self.upstream.lacks())
    }
}

impl Grid {
    /// Returns a line for each cell that failed.
    pub(crate) fn failures(&self) -> Vec<String> {
        let failed = self.0.iter().filter_map(|(cell, verdict)| match verdict {
            Verdict::Played(Played { failed: Some((step, how)), .. }) => Some(format!("{cell}: {step}: {how}")),
            _ => None,
        });
        failed.collect()
    }

    /// Returns the number of cells that passed.
    pub(crate) fn passed(&self) -> usize {
        let is_passed = |verdict: &Verdict| matches!(verdict, Verdict::Played(Played { failed: None, .. }));
        self.0.iter().filter(|(_, verdict)| is_passed(verdict)).count()
    }

    fn slowest(&self) -> Option<(Cell, Duration)> {
        let took = self.0.iter().filter_map(|(cell, verdict)| match verdict {
            Verdict::Played(played) => Some((*cell, played.took)),
            Verdict::NotApplicable(_) => None,
        });
        took.max_by_key(|(_, took)| *took)
    }

    /// Returns the reasons for impossible cells and for steps that were left out.
    fn reasons(&self) -> BTreeSet<String> {
        let reasons = self.0.iter().filter_map(|(cell, verdict)| match verdict {
            Verdict::NotApplicable(reason) => Some(format!("n/a: {reason}")),
            Verdict::Played(Played { left_out, .. }) => left_out.first().map(|(_, reason)| {
                let steps: Vec<_> = left_out.iter().map(|(step, _)| step.as_str()).collect();
                format!("{} n/a in {}: {reason}", steps.join(", "), cell.revision)
            }),
        });
        reasons.collect()
    }
}

impl Display for Grid {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut columns: Vec<Upstream> = Vec::new();
        let mut rows: Vec<(Revision, Transport)> = Vec::new();
        for (cell, _) in &self.0 {
            let row = (cell.revision, cell.downstream);
            if !columns.contains(&cell.upstream) {
                columns.push(cell.upstream);
            }
            if !rows.contains(&row) {
                rows.push(row);
            }
        }
        write!(to, "{:23}", "client \\ upstream")?;
        columns.iter().try_for_each(|column| write!(to, " | {:17}", column.to_string()))?;
        for (revision, downstream) in rows {
            write!(to, "\n{revision:10}  {downstream:11}")?;
            for column in &columns {
                let cell = Cell { revision, downstream, upstream: *column };
                let verdict = self.0.iter().find(|(other, _)| *other == cell);
                let text = verdict.map(|(_, verdict)| verdict.to_string()).unwrap_or_default();
                write!(to, " | {text:17}")?;
            }
        }
        writeln!(to)?;
        if let Some((cell, took)) = self.slowest() {
            writeln!(to, "  slowest: {cell}, {:.1} s", took.as_secs_f32())?;
        }
        self.reasons().iter().try_for_each(|reason| writeln!(to, "  {reason}"))
    }
}

impl Display for Verdict {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotApplicable(_) => write!(to, "n/a"),
            Self::Played(Played { failed: Some((step, _)), .. }) => write!(to, "FAILED {step}"),
            Self::Played(Played { passed, left_out, .. }) if left_out.is_empty() => write!(to, "ok {passed}"),
            Self::Played(Played { passed, left_out, .. }) => write!(to, "ok {passed}, {} n/a", left_out.len()),
        }
    }
}

impl Display for Upstream {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} {}", if self.is_modern { "modern" } else { "legacy" }, self.transport)
    }
}

impl Display for Cell {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{} over {} in front of {}", self.revision, self.downstream, self.upstream)
    }
}
