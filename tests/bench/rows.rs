//! The rows: request, upstream and number of clients.

use anyhow::{Result, bail};

/// One row.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// Group that selects the row with `--rows`.
    group: &'static str,
    pub(crate) route: Route,
    pub(crate) work: Work,
}

/// Destination of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// An HTTP upstream that answers with JSON.
    Json,
    /// An HTTP upstream that answers with event streams, as servers of the official SDKs do.
    Events,
    /// An HTTP upstream with 200 tools.
    Tools,
    /// A modern HTTP upstream.
    Modern,
    /// A stdio upstream.
    Stdio,
    /// Several upstreams with 200 tools in all, on the aggregated endpoint.
    All,
}

/// Work of the clients.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Work {
    /// Each client sends its next request after the previous answer.
    Closed { clients: usize, step: Step },
    /// Requests are sent at a fixed rate, regardless of answers; each duration counts from the scheduled time.
    Rate { clients: usize, step: Step },
    /// Sessions that only hold their stream open.
    Idle { sessions: usize },
    /// Start of the program, up to a tool's first answer.
    Start,
}

/// One step of a client.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// Calls a tool that returns its argument, a text of this many bytes.
    Call { bytes: usize },
    /// Lists the tools.
    List,
    /// Opens and closes a session: `initialize`, `notifications/initialized`, DELETE.
    Session,
}

impl Row {
    /// Returns true if the row runs on a shared hop.
    pub(crate) fn is_load(&self) -> bool {
        matches!(self.work, Work::Closed { .. } | Work::Rate { .. }) && self.route != Route::All
    }
}

impl Route {
    /// Routes of a shared hop.
    pub(crate) const SINGLE: [Self; 5] = [Self::Json, Self::Events, Self::Tools, Self::Modern, Self::Stdio];

    /// Returns the name of the upstream at the gateway.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Events => "events",
            Self::Tools => "tools",
            Self::Modern => "modern",
            Self::Stdio => "stdio",
            Self::All => "all",
        }
    }

    /// Returns the number of listed tools.
    pub(crate) fn tools(self) -> usize {
        if matches!(self, Self::Tools | Self::All) { 200 } else { 1 }
    }

    /// Returns true if the route is of the modern era.
    pub(crate) fn is_modern(self) -> bool {
        self == Self::Modern
    }
}

const SMALL: Step = Step::Call { bytes: 100 };
const LARGE: Step = Step::Call { bytes: 64 * 1024 };

const ROWS: [Row; 17] = [
    row("1 client x 100 B (JSON)", "small", Route::Json, closed(1, SMALL)),
    row("16 clients x 100 B (JSON)", "small", Route::Json, closed(16, SMALL)),
    row("64 clients x 100 B (JSON)", "small", Route::Json, closed(64, SMALL)),
    row("1 client x 100 B (SSE)", "small", Route::Events, closed(1, SMALL)),
    row("16 clients x 100 B (SSE)", "small", Route::Events, closed(16, SMALL)),
    row("16 clients x 100 B (JSON, modern)", "small", Route::Modern, closed(16, SMALL)),
    row("16 clients x 100 B at a fixed rate (SSE)", "rate", Route::Events, Work::Rate { clients: 16, step: SMALL }),
    row("16 clients x 64 KiB (JSON)", "large", Route::Json, closed(16, LARGE)),
    row("16 clients x 64 KiB (SSE)", "large", Route::Events, closed(16, LARGE)),
    row("16 clients x 100 B (stdio)", "stdio", Route::Stdio, closed(16, SMALL)),
    row("16 clients x 64 KiB (stdio)", "stdio", Route::Stdio, closed(16, LARGE)),
    row("16 clients list 200 tools (JSON)", "list", Route::Tools, closed(16, Step::List)),
    row("16 clients list 200 tools of 4 upstreams", "list", Route::All, closed(16, Step::List)),
    row("16 clients open and close a session (JSON)", "sessions", Route::Json, closed(16, Step::Session)),
    row("500 idle sessions with their stream", "idle", Route::Json, Work::Idle { sessions: 500 }),
    row("start to first answer (HTTP)", "start", Route::Json, Work::Start),
    row("start to first answer (stdio)", "start", Route::Stdio, Work::Start),
];

/// Returns the rows of these groups, or with these texts in their names; all rows if none are given.
pub(crate) fn chosen(wanted: &[String]) -> Result<Vec<Row>> {
    let is = |row: &Row, word: &String| row.group == word || row.name.contains(word.as_str());
    if let Some(unknown) = wanted.iter().find(|word| !ROWS.iter().any(|row| is(row, word))) {
        bail!("no rows are called `{unknown}`");
    }
    Ok(ROWS.into_iter().filter(|row| wanted.is_empty() || wanted.iter().any(|word| is(row, word))).collect())
}

const fn row(name: &'static str, group: &'static str, route: Route, work: Work) -> Row {
    Row { name, group, route, work }
}

const fn closed(clients: usize, step: Step) -> Work {
    Work::Closed { clients, step }
}
