//! Bounds the memory that a template may use.

use crate::template::problem::Problem;
use crate::template::value::Value;

/// Most bytes that all calls of one template may allocate; a string counts its length, a list its items.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Most changes of dicts in one template; each may add a level.
const MAX_CHANGES: usize = 256;

/// Memory and changes that the calls of one template may still use.
#[derive(Debug)]
pub(super) struct Budget {
    bytes: usize,
    changes: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { bytes: MAX_BYTES, changes: MAX_CHANGES }
    }
}

impl Budget {
    /// Subtracts the bytes that a call is about to allocate.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), Problem> {
        match self.bytes.checked_sub(bytes) {
            Some(left) => {
                self.bytes = left;
                Ok(())
            }
            None => Err(Problem::Refused("the template makes texts or lists that are too large".to_owned())),
        }
    }

    /// Subtracts one change of a dict.
    pub(super) fn change(&mut self) -> Result<(), Problem> {
        match self.changes.checked_sub(1) {
            Some(left) => {
                self.changes = left;
                Ok(())
            }
            None => Err(Problem::Refused(format!("the template changes dicts more than {MAX_CHANGES} times"))),
        }
    }
}

/// Returns the bytes to subtract from the budget for a new value.
pub(super) fn size(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::List(list) => list.items.len().saturating_mul(16),
        Value::Map(map) => map.entries.borrow().len().saturating_mul(32),
        _ => 0,
    }
}
