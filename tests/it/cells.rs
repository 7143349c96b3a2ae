//! Every client in front of every upstream: one scripted session in each cell of {revision} x {downstream transport} x
//! {upstream era} x {upstream transport}, and a table of the results.

mod grid;
mod place;
mod script;

use std::io::{Write as _, stdout};

use futures_util::StreamExt as _;
use futures_util::stream::iter;
use harness::{Served, binary};

use self::grid::{Cell, Grid, Verdict};
use self::place::{Place, behind, directly};
use self::script::{Played, play};

/// Number of concurrent sessions; a session waits more than it computes.
const AT_ONCE: usize = 12;

#[tokio::test]
async fn every_client_has_the_whole_session_with_an_upstream_of_its_own_kind() {
    let is_alike = |cell: &Cell| {
        cell.downstream == cell.upstream.transport && cell.revision.is_modern() == cell.upstream.is_modern
    };
    let cells = Cell::all().into_iter().filter(is_alike);
    let played = iter(cells).map(|cell| async move {
        let verdict = match cell.lacks() {
            Some(reason) => Verdict::NotApplicable(reason),
            None => session(cell, directly(cell.upstream).await).await,
        };
        (cell, verdict)
    });
    conclude("without the gateway", Grid(played.buffered(AT_ONCE).collect().await), 13);
}

#[tokio::test]
async fn every_client_has_the_whole_session_with_every_upstream_behind_the_gateway() {
    let gateway = &binary("mcp-proxy").args(["--port", "0"]).serve().await;
    let played = iter(Cell::all().into_iter().enumerate()).map(|(number, cell)| async move {
        let verdict = match cell.lacks() {
            Some(reason) => Verdict::NotApplicable(reason),
            None => session_behind(gateway, &format!("cell-{number}"), cell).await,
        };
        (cell, verdict)
    });
    let grid = Grid(played.buffered(AT_ONCE).collect().await);
    let possible = Cell::all().into_iter().filter(|cell| cell.lacks().is_none()).count();
    conclude("through the gateway", grid, possible);
}

/// Keeps the place, and the upstream with it, for the duration of the session.
async fn session(cell: Cell, place: Place) -> Verdict {
    Verdict::Played(play(cell.revision, place.link, &place.journal).await)
}

/// Registers the upstream under this name for the duration of the session.
async fn session_behind(gateway: &Served, name: &str, cell: Cell) -> Verdict {
    let verdict = match behind(gateway, name, cell.upstream, cell.downstream).await {
        Ok(place) => session(cell, place).await,
        Err(error) => Verdict::Played(Played::default().failed_at("connect", &error)),
    };
    gateway.admin.delete(&format!("/admin/mcps/{name}")).await;
    verdict
}

/// Prints the table, and fails with every cell that failed.
fn conclude(title: &str, grid: Grid, expected: usize) {
    // Not `println!`: its output appears only if the test fails.
    write!(stdout(), "\n{title}:\n{grid}\n").expect("standard output");
    let failures = grid.failures();
    assert!(failures.is_empty(), "{title}:\n{}", failures.join("\n"));
    assert_eq!(grid.passed(), expected, "{title}");
}
