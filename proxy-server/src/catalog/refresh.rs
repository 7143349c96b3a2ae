//! Keeps the snapshot in step: one follower per upstream, which lists again on every connect and every change notice.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use schemas::ServerName;
use schemas::admin::Tool;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::catalog::{Catalog, Offer};
use crate::error::{Chain, Error, Kind};
use crate::protocol::{self, Object};
use crate::tasks::Tasks;
use crate::upstream::{Session, Upstream};

/// How long all pages of one list may take.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);
/// An upstream that announces changes in a burst is asked once.
const DEBOUNCE: Duration = Duration::from_millis(50);
const RETRY: Duration = Duration::from_secs(30);
const MAX_PAGES: usize = 1_000;
const MAX_TOOLS: usize = 20_000;

/// Starts and stops followers as upstreams come and go.
pub(super) async fn run(catalog: Catalog, tasks: Tasks) {
    let mut upstreams = catalog.upstreams.watch();
    let mut followed: Vec<(Arc<Upstream>, CancellationToken)> = Vec::new();
    loop {
        let live = Arc::clone(&upstreams.borrow_and_update());
        followed.retain(|(upstream, stop)| {
            let lives = live.values().any(|other| Arc::ptr_eq(upstream, other));
            if !lives {
                stop.cancel();
                catalog.withdraw(upstream);
            }
            lives
        });
        for upstream in live.values() {
            if !followed.iter().any(|(known, _)| Arc::ptr_eq(known, upstream)) {
                let stop = tasks.stopping().child_token();
                let follower = follow(catalog.clone(), Arc::clone(upstream));
                let stopped = stop.clone();
                tasks.spawn("catalog follower", async move {
                    tokio::select! {
                        () = stopped.cancelled() => {}
                        () = follower => {}
                    }
                });
                followed.push((Arc::clone(upstream), stop));
            }
        }
        tokio::select! {
            () = tasks.stopping().cancelled() => return,
            changed = upstreams.changed() => if changed.is_err() { return },
        }
    }
}

async fn follow(catalog: Catalog, upstream: Arc<Upstream>) {
    let mut observed = upstream.observed();
    loop {
        let connected = observed.wait_for(|observed| observed.session.as_ref().is_some_and(|s| !s.is_closed())).await;
        let Some(session) = connected.ok().and_then(|observed| observed.session.clone()) else { return };
        tokio::select! {
            () = session.closed().cancelled() => {}
            () = keep_listed(&catalog, &upstream, &session) => {}
        }
        catalog.withdraw(&upstream);
    }
}

async fn keep_listed(catalog: &Catalog, upstream: &Arc<Upstream>, session: &Arc<Session>) {
    let name = &upstream.definition().name;
    let mut changed = session.tools_changed();
    loop {
        changed.mark_unchanged();
        let listed = list_tools(name, session).await;
        let failed = listed.is_err();
        let tools = listed.unwrap_or_else(|error| {
            warn!(upstream = %name, error = %Chain(&error), "cannot list tools");
            Vec::new()
        });
        debug!(upstream = %name, tools = tools.len(), "tools listed");
        catalog.publish(Offer { upstream: Arc::clone(upstream), session: Arc::clone(session), tools: tools.into() });
        tokio::select! {
            change = changed.changed() => if change.is_err() { return },
            () = sleep(RETRY), if failed => {}
        }
        sleep(DEBOUNCE).await;
    }
}

/// Every page of `tools/list`, each once. An upstream that offers no tools is not asked.
async fn list_tools(name: &ServerName, session: &Session) -> Result<Vec<Tool>, Error> {
    let handshake = Object::read(session.handshake().body()).ok();
    let capabilities = handshake.and_then(|result| result.get("capabilities"));
    if capabilities.and_then(|all| Object::read(all).ok()).is_none_or(|all| all.get("tools").is_none()) {
        return Ok(Vec::new());
    }
    let deadline = Instant::now() + LIST_TIMEOUT;
    let (mut tools, mut params, mut seen) = (Vec::new(), "{}".to_owned(), HashSet::new());
    for _ in 0..MAX_PAGES {
        let answer = session.ask("tools/list", &params, deadline).await?;
        if answer.kind() != protocol::Kind::Result {
            return Err(Error::new(Kind::BadAnswer).because(format!("it answered {}", answer.body())));
        }
        let page = Page::deserialize(&mut serde_json::Deserializer::from_str(answer.body()));
        let page = page.map_err(|error| Error::new(Kind::BadAnswer).because(error))?;
        tools.extend(page.tools.into_iter().filter_map(|raw| read_tool(name, raw)));
        let next = page.next_cursor.map(|cursor| format!(r#"{{"cursor":{}}}"#, cursor.get()));
        match next {
            Some(next) if seen.insert(next.clone()) && tools.len() < MAX_TOOLS => params = next,
            Some(_) | None => break,
        }
    }
    Ok(tools)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page<'a> {
    #[serde(borrow)]
    tools: Vec<&'a RawValue>,
    #[serde(borrow)]
    next_cursor: Option<&'a RawValue>,
}

fn read_tool(upstream: &ServerName, raw: &RawValue) -> Option<Tool> {
    let tool = Object::read(raw.get()).ok()?;
    Some(Tool {
        name: tool.text("name")?.into_owned(),
        description: tool.text("description").unwrap_or_default().into_owned(),
        input_schema: tool.get("inputSchema").and_then(|schema| RawValue::from_string(schema.to_owned()).ok()),
        mcp_name: upstream.to_string(),
    })
}
