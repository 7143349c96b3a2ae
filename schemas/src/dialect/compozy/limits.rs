//! Limits in Compozy's document format.

use crate::dialect::compozy::DefinitionDocument;
use crate::dialect::compozy::number::{count, positive, wire};
use crate::{InvalidDefinition, Limits};

/// Reads the limits of a document.
pub(super) fn read(document: &DefinitionDocument) -> Result<Limits, InvalidDefinition> {
    Ok(Limits {
        call: positive(document.call_timeout, "callTimeout")?,
        call_in_all: positive(document.max_call_timeout, "maxCallTimeout")?,
        list: positive(document.list_timeout, "listTimeout")?,
        refresh: positive(document.refresh_interval, "refreshInterval")?,
        in_flight: count(document.max_in_flight, "maxInFlight")?,
        message_bytes: count(document.max_message_bytes, "maxMessageBytes")?.map(u64::from),
    })
}

/// Creates a document that sets only these limits.
pub(super) fn written(limits: &Limits) -> DefinitionDocument {
    DefinitionDocument {
        call_timeout: wire(limits.call),
        max_call_timeout: wire(limits.call_in_all),
        list_timeout: wire(limits.list),
        refresh_interval: wire(limits.refresh),
        max_in_flight: limits.in_flight.map_or(0, i64::from),
        max_message_bytes: limits.message_bytes.map_or(0, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
        ..DefinitionDocument::default()
    }
}
