//! The table of rows: what is asked, of which upstream, by how many clients.

use anyhow::{Result, bail};

/// One row.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// By which `--rows` chooses it.
    group: &'static str,
    pub(crate) route: Route,
    pub(crate) work: Work,
}

/// Where requests go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// An HTTP upstream that answers by JSON.
    Json,
    /// The same, answering by an event stream, as the servers of the official SDKs do.
    Events,
    /// One with 200 tools.
    Tools,
    /// One of the modern era.
    Modern,
    /// A process of the gateway's.
    Stdio,
    /// Several with 200 tools in all, at the gateway's one address for everything.
    All,
}

/// What is done there.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Work {
    /// Each client goes on as soon as it is answered.
    Closed { clients: usize, step: Step },
    /// The next request comes when it is due, whatever became of those before, and its time runs from then.
    Rate { clients: usize, step: Step },
    /// Sessions that do nothing but hold their stream open.
    Idle { sessions: usize },
    /// From starting the program to the first answer of a tool.
    Start,
}

/// What a client does again and again.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// Calls a tool that answers with the text it was given, of so many bytes.
    Call { bytes: usize },
    /// Lists the tools.
    List,
    /// Opens a session and closes it: `initialize`, `notifications/initialized`, DELETE.
    Session,
}

impl Row {
    /// Whether it uses hops that run all the time.
    pub(crate) fn is_load(&self) -> bool {
        matches!(self.work, Work::Closed { .. } | Work::Rate { .. }) && self.route != Route::All
    }
}

impl Route {
    /// Where a hop that runs all the time leads.
    pub(crate) const SINGLE: [Self; 5] = [Self::Json, Self::Events, Self::Tools, Self::Modern, Self::Stdio];

    /// Its name as an upstream of the gateway.
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

    /// How many tools are listed there.
    pub(crate) fn tools(self) -> usize {
        if matches!(self, Self::Tools | Self::All) { 200 } else { 1 }
    }

    /// Whether what is said there is of the modern era.
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

/// The rows of these groups, or with these words in their names; all when nothing is asked for.
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
