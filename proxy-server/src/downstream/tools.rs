//! What the gateway has to know of an upstream's tools before it may pass a call on: kept for as long as the upstream
//! session lasts that told it, and until it tells of a change.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::value::RawValue;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use crate::error::{Chain, Error, Kind};
use crate::protocol::{self, Object};
use crate::upstream::{Session, Upstream};

/// How long a call waits to learn what a tool is like; without knowing, it is passed on unchecked.
const PATIENCE: Duration = Duration::from_secs(2);
/// When to ask an upstream again that did not tell.
const RETRY: Duration = Duration::from_secs(30);
const MAX_PAGES: usize = 1_000;
const MAX_TOOLS: usize = 20_000;
const MAX_DEPTH: usize = 16;

/// One tool, as far as the gateway has to know it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tool {
    /// Arguments that travel as headers, too.
    pub(super) mirrored: Vec<Mirrored>,
    /// Whether calling it twice does no more than calling it once.
    pub(super) is_repeatable: bool,
    /// Whether it runs as a task of the legacy era only.
    pub(super) needs_task: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mirrored {
    /// The names that lead to the argument.
    pub(super) path: Vec<String>,
    /// The header, in lower case.
    pub(super) header: String,
}

/// What is known, by upstream.
#[derive(Default)]
pub(super) struct Tools {
    /// By the address of the upstream, which the shelf keeps from being used again.
    shelves: Mutex<HashMap<usize, Arc<Shelf>>>,
}

/// What is known of one upstream.
struct Shelf {
    upstream: Arc<Upstream>,
    /// Only one call at a time asks.
    turn: Semaphore,
    known: Mutex<Option<Arc<Known>>>,
}

struct Known {
    session: Arc<Session>,
    /// How many changes the session had told of when it was asked.
    change: u64,
    tools: HashMap<String, Arc<Tool>>,
    /// Until when a failure counts.
    failed_until: Option<Instant>,
}

impl Tools {
    /// A tool by its own name, if the upstream tells.
    pub(super) async fn get(&self, upstream: &Arc<Upstream>, name: &str) -> Option<Arc<Tool>> {
        let session = upstream.observed().borrow().session.clone()?;
        let shelf = self.shelf(upstream);
        if let Some(known) = shelf.current(&session) {
            return known.tools.get(name).cloned();
        }
        let deadline = Instant::now() + PATIENCE;
        let _turn = timeout_at(deadline, shelf.turn.acquire()).await.ok()?;
        if let Some(known) = shelf.current(&session) {
            return known.tools.get(name).cloned();
        }
        let change = session.lists_changed().borrow().tools;
        let listed = list(&session, deadline).await;
        let failed_until = listed.is_err().then(|| Instant::now() + RETRY);
        let tools = listed.unwrap_or_else(|error| {
            debug!(upstream = %upstream.definition().name, error = %Chain(&error), "cannot look tools up");
            HashMap::new()
        });
        let known = Arc::new(Known { session, change, tools, failed_until });
        *shelf.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&known));
        known.tools.get(name).cloned()
    }

    fn shelf(&self, upstream: &Arc<Upstream>) -> Arc<Shelf> {
        let mut shelves = self.shelves.lock().unwrap_or_else(PoisonError::into_inner);
        let address = Arc::as_ptr(upstream).addr();
        if let Some(shelf) = shelves.get(&address) {
            return Arc::clone(shelf);
        }
        shelves.retain(|_, shelf| !shelf.upstream.retired().is_cancelled());
        let upstream = Arc::clone(upstream);
        let shelf = Arc::new(Shelf { upstream, turn: Semaphore::new(1), known: Mutex::default() });
        shelves.insert(address, Arc::clone(&shelf));
        shelf
    }
}

impl Shelf {
    fn current(&self, session: &Arc<Session>) -> Option<Arc<Known>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let is_current = Arc::ptr_eq(&known.session, session)
            && known.change == session.lists_changed().borrow().tools
            && known.failed_until.is_none_or(|until| Instant::now() < until);
        is_current.then_some(known)
    }
}

/// Every page of `tools/list`, each once.
async fn list(session: &Session, deadline: Instant) -> Result<HashMap<String, Arc<Tool>>, Error> {
    let (mut tools, mut params, mut seen) = (HashMap::new(), "{}".to_owned(), HashSet::new());
    for _ in 0..MAX_PAGES {
        let answer = session.ask("tools/list", &params, deadline).await?;
        let page = Object::read(answer.body()).ok().filter(|_| answer.kind() == protocol::Kind::Result);
        let page = page.ok_or(Kind::BadAnswer)?;
        let listed: Vec<&RawValue> = serde_json::from_str(page.get("tools").unwrap_or("[]"))
            .map_err(|error| Error::new(Kind::BadAnswer).because(error))?;
        tools.extend(listed.iter().filter_map(|raw| read(raw.get())));
        match page.get("nextCursor").map(|cursor| format!(r#"{{"cursor":{cursor}}}"#)) {
            Some(next) if seen.insert(next.clone()) && tools.len() < MAX_TOOLS => params = next,
            Some(_) | None => break,
        }
    }
    Ok(tools)
}

fn read(raw: &str) -> Option<(String, Arc<Tool>)> {
    let name = Object::read(raw).ok()?.text("name")?.into_owned();
    Some((name, Arc::new(Tool::read(raw)?)))
}

impl Tool {
    /// Reads what matters of a tool as an upstream lists it.
    pub(super) fn read(raw: &str) -> Option<Self> {
        let tool = Object::read(raw).ok()?;
        let inner = |name: &str| tool.get(name).and_then(|raw| Object::read(raw).ok());
        let is_true = |name| inner("annotations").is_some_and(|annotations| annotations.get(name) == Some("true"));
        let support = inner("execution").and_then(|execution| execution.text("taskSupport").map(String::from));
        let mut mirrored = Vec::new();
        if let Some(schema) = tool.get("inputSchema") {
            collect(schema, &mut Vec::new(), &mut mirrored);
        }
        let is_repeatable = is_true("readOnlyHint") || is_true("idempotentHint");
        let needs_task = support.as_deref() == Some("required");
        Some(Self { mirrored, is_repeatable, needs_task })
    }
}

/// Finds annotated parameters, through `properties` only (2026-07-28, tools, "x-mcp-header").
fn collect(schema: &str, path: &mut Vec<String>, found: &mut Vec<Mirrored>) {
    // Most schemas have none, and this is cheaper than to read them.
    if path.len() == MAX_DEPTH || memchr::memmem::find(schema.as_bytes(), b"x-mcp-header").is_none() {
        return;
    }
    let properties = Object::read(schema).ok().and_then(|schema| Object::read(schema.get("properties")?).ok());
    let Some(properties) = properties else { return };
    for (name, raw) in properties.members() {
        let Ok(property) = Object::read(raw) else { continue };
        path.push(name.to_owned());
        let kind = property.text("type");
        let is_plain = matches!(kind.as_deref(), Some("string" | "integer" | "boolean"));
        if let Some(header) = property.text("x-mcp-header").filter(|_| is_plain) {
            let header = format!("mcp-param-{}", header.to_ascii_lowercase());
            found.push(Mirrored { path: path.clone(), header });
        }
        collect(raw, path, found);
        path.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(raw: &str, expected: Tool) {
        assert_eq!(read(raw), Some(("a".to_owned(), Arc::new(expected))), "{raw}");
    }

    #[test]
    fn reads_what_matters_of_a_tool() {
        check(r#"{"name":"a"}"#, Tool::default());
        check(r#"{"name":"a","annotations":{"readOnlyHint":true}}"#, Tool { is_repeatable: true, ..Tool::default() });
        check(r#"{"name":"a","annotations":{"idempotentHint":true}}"#, Tool { is_repeatable: true, ..Tool::default() });
        check(r#"{"name":"a","annotations":{"readOnlyHint":"true"}}"#, Tool::default());
        check(r#"{"name":"a","execution":{"taskSupport":"required"}}"#, Tool { needs_task: true, ..Tool::default() });
        check(r#"{"name":"a","execution":{"taskSupport":"optional"}}"#, Tool::default());
    }

    #[test]
    fn finds_annotated_parameters_through_properties_only() {
        let schema = r#"{"name":"a","inputSchema":{"properties":{
            "r":{"type":"string","x-mcp-header":"Region"},
            "l":{"type":"array","items":{"properties":{"n":{"type":"string","x-mcp-header":"No"}}}},
            "f":{"type":"number","x-mcp-header":"No"},
            "o":{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"N"}}}}}}"#;
        let mirrored = |path: &[&str], header: &str| Mirrored {
            path: path.iter().map(|name| (*name).to_owned()).collect(),
            header: header.to_owned(),
        };
        let mirrored = vec![mirrored(&["r"], "mcp-param-region"), mirrored(&["o", "n"], "mcp-param-n")];
        check(schema, Tool { mirrored, ..Tool::default() });
    }
}
