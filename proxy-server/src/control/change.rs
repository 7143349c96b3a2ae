//! Commits changes of registrations.

use tracing::info;

use crate::control::Control;
use crate::registry::{Effect, Expected, Snapshot, TransactError, Write, Written};
use crate::telemetry::Actor;

/// Maximum number of decisions on one change. Each further one means that another change was committed meanwhile.
const MAX_DECISIONS: u32 = 100;

/// A decision on a snapshot: the writes to commit, and the states that it was based on.
pub(crate) struct Decided<T> {
    pub(crate) writes: Vec<Write>,
    pub(crate) expected: Expected,
    /// Given back to the caller with the outcome.
    pub(crate) context: T,
}

impl Control {
    /// Commits all writes, if every registration is in its expected state, or none of them. Returns their outcomes in
    /// order. By then, upstreams are started, restarted and retired accordingly.
    pub(crate) async fn commit(
        &self,
        by: &Actor,
        writes: Vec<Write>,
        expected: &Expected,
    ) -> Result<Vec<Written>, TransactError> {
        let written = self.registry.transact(writes, expected, &self.context(by)).await?;
        self.reconciler.reconcile();
        written.iter().for_each(log);
        Ok(written)
    }

    /// Commits a decision on the newest state. Decides again if another change has come first. A refusal of `decide` is
    /// the outer error.
    pub(crate) async fn decide<T, E>(
        &self,
        by: &Actor,
        mut decide: impl FnMut(&Snapshot) -> Result<Decided<T>, E>,
    ) -> Result<Result<(Vec<Written>, T), TransactError>, E> {
        let mut decisions = 0;
        loop {
            let Decided { writes, expected, context } = decide(&self.snapshot())?;
            decisions += 1;
            if writes.is_empty() && expected.is_empty() {
                return Ok(Ok((Vec::new(), context)));
            }
            match self.commit(by, writes, &expected).await {
                Err(TransactError::Conflict(_) | TransactError::Full(_)) if decisions < MAX_DECISIONS => {}
                outcome => return Ok(outcome.map(|written| (written, context))),
            }
        }
    }
}

fn log(written: &Written) {
    let upstream = &written.name;
    match written.effect {
        Effect::Created => info!(%upstream, "registered"),
        Effect::Redefined => info!(%upstream, "definition changed"),
        Effect::Retagged => info!(%upstream, "tags changed"),
        Effect::Deleted => info!(%upstream, "deregistered"),
        Effect::Leased => {}
    }
}
