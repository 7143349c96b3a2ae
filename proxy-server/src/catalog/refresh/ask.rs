//! Reads one list of an upstream: all its pages, within limits.

use std::collections::HashSet;
use std::time::Duration;

use schemas::ServerName;
use serde_json::value::RawValue;
use tokio::time::Instant;
use tracing::{debug, warn};

use crate::catalog::{GatewayName, Item, List, provenance};
use crate::error::{Error, Kind, Limit};
use crate::protocol::{self, METHOD_NOT_FOUND, Message, Object};
use crate::upstream::{Session, Upstream};

const MAX_PAGES: usize = 1_000;
const MAX_ITEMS: usize = 20_000;
/// Maximum size of all items of one list together, in bytes.
const MAX_BYTES: usize = 32 << 20;

/// A list, as read from an upstream.
#[derive(Default)]
pub(super) struct Listed {
    pub(super) items: Vec<Item>,
    /// Time to live of the list: the shortest of its pages.
    pub(super) ttl: Option<Duration>,
    bytes: usize,
}

/// Reads all pages of a list. Sends no request to an upstream that does not declare the list.
///
/// Omits items that have passed through this gateway.
pub(super) async fn ask(
    list: List,
    upstream: &Upstream,
    session: &Session,
    own: &GatewayName,
) -> Result<Listed, Error> {
    let name = &upstream.definition().name;
    let mut listed = Listed::default();
    if !list.is_declared(session.handshake().body()) {
        return Ok(listed);
    }
    let timeout = upstream.list_timeout();
    let deadline = Instant::now() + timeout;
    let (mut params, mut seen) = (own.params(session, None), HashSet::new());
    for _ in 0..MAX_PAGES {
        let answer = session.ask(list.method(), &params, deadline).await;
        let answer = answer.map_err(|error| match error.kind() {
            Kind::TimedOut => error.limited(Some(Limit::time(timeout, "--list-timeout", "listTimeout"))),
            _ => error,
        })?;
        if answer.kind() != protocol::Kind::Result {
            // Treat an unknown method as an empty list: an upstream with resources may not support templates.
            if answer.error_code() == Some(METHOD_NOT_FOUND) {
                return Ok(Listed::default());
            }
            return Err(Error::new(Kind::InvalidResponse).because(format!("it answered {}", answer.body())));
        }
        let next = listed.add((list, own), name, &answer)?;
        match next.map(|cursor| own.params(session, Some(cursor))) {
            Some(next) if seen.insert(next.clone()) && listed.has_room() => params = next,
            Some(_) => {
                warn!(upstream = %name, list = list.method(), items = listed.items.len(), "the list has no end; the rest is left out");
                break;
            }
            None => break,
        }
    }
    listed.items.truncate(MAX_ITEMS);
    Ok(listed)
}

impl Listed {
    /// Adds a page. Returns the raw cursor of the next page.
    fn add<'a>(
        &mut self,
        (list, own): (List, &GatewayName),
        name: &ServerName,
        answer: &'a Message,
    ) -> Result<Option<&'a str>, Error> {
        let bad = |error: serde_json::Error| Error::new(Kind::InvalidResponse).because(error);
        let page = Object::read(answer.body()).map_err(|error| Error::new(Kind::InvalidResponse).because(error))?;
        let raw: Vec<&RawValue> = serde_json::from_str(page.get(list.member()).unwrap_or("[]")).map_err(bad)?;
        self.bytes += answer.body().len();
        let mut via = provenance::told(&page).into_iter();
        self.items.extend(raw.into_iter().filter_map(|raw| {
            let via = via.next().flatten();
            if own.is_in(&via) || provenance::is_far(&via) {
                return None;
            }
            let item = Item::read(list, raw.get());
            if item.is_none() {
                debug!(upstream = %name, list = list.method(), "an item without a name is left out");
            }
            item.map(|item| Item { via, ..item })
        }));
        let ttl = page.get("ttlMs").and_then(|raw| raw.parse().ok()).map(Duration::from_millis);
        self.ttl = [self.ttl, ttl].into_iter().flatten().min();
        Ok(page.get("nextCursor").filter(|cursor| *cursor != "null"))
    }

    fn has_room(&self) -> bool {
        self.items.len() < MAX_ITEMS && self.bytes < MAX_BYTES
    }
}
