//! Positions of byte offsets, for parsers that count bytes.

use std::cell::Cell;
use std::ops::Range;

use crate::document::node::{Position, Span};

/// Start of every line of a text.
pub(super) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
    /// Last offset that was asked for, with its position. Offsets are asked for nearly in order, and a line can be the
    /// whole text.
    last: Cell<(usize, Position)>,
}

impl<'t> Lines<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
        Self { text, starts: starts.collect(), last: Cell::new((0, Position { line: 1, column: 1 })) }
    }

    pub(super) fn text(&self) -> &'t str {
        self.text
    }

    /// Returns the position of a byte.
    pub(super) fn position(&self, offset: usize) -> Position {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let (last, at) = self.last.get();
        let (from, at) = match last >= start && last <= offset {
            true => (last, at),
            false => (start, Position { line: u32::try_from(line).unwrap_or(u32::MAX), column: 1 }),
        };
        let position = at.behind(self.text.get(from..offset).unwrap_or_default());
        self.last.set((offset, position));
        position
    }

    /// Returns the span of a range of bytes.
    pub(super) fn span(&self, bytes: &Range<usize>) -> Span {
        Span { start: self.position(bytes.start), end: self.position(bytes.end) }
    }
}
