//! Cost of one hop through the gateway, compared with nginx. Run with `cargo bench -p tests`; see `--help`.

mod connection;
mod hop;
mod load;
mod machine;
mod measure;
mod options;
mod rows;
mod session;
mod table;
mod upstream;

use anyhow::{Context, Result};
use clap::Parser;

use crate::hop::Launch;
use crate::machine::{Look, Machine};
use crate::measure::Bench;
use crate::options::{Options, Role};
use crate::rows::Route;
use crate::table::Table;
use crate::upstream::Upstream;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    if !options::is_meant() {
        println!("a benchmark, which tests do not run: `cargo bench -p tests`, with `-- --help` for more");
        return Ok(());
    }
    let options = Options::parse();
    match options.role {
        Some(Role::Upstream) => upstream::http::serve().await,
        Some(Role::StdioUpstream) => upstream::stdio::serve(),
        None => run(&options).await,
    }
}

/// Measures every row on every hop, in turn, in several rounds.
async fn run(options: &Options) -> Result<()> {
    machine::raise_file_limit();
    let rows = rows::chosen(&options.rows)?;
    let launches = Launch::all(&options.gateway, options.with_logs)?;
    let upstream = Upstream::start().await?;
    let bench = Bench { options, upstream: &upstream };
    let mut hops = Vec::new();
    for launch in launches {
        hops.push((launch.start(&upstream, &Route::SINGLE).await?, launch));
    }
    let (mut table, mut machine) = (Table::default(), Machine::default());
    for round in 0..options.rounds() {
        for row in &rows {
            let look = Look::now();
            eprintln!("round {} of {}: {}", round + 1, options.rounds(), row.name);
            for turn in 0..hops.len() {
                // Rotate the order of hops, because the first and the last find the machine in different states.
                let at = (turn + round) % hops.len();
                if let Some((hop, launch)) = hops.get(at).filter(|(hop, _)| hop.carries(row.route)) {
                    let sample = bench.measure(row, hop, launch).await;
                    table.add(row, at, sample.with_context(|| format!("{} by {}", row.name, hop.name))?);
                }
            }
            if row.is_load() {
                machine.note(&look);
            }
        }
    }
    let names: Vec<&str> = hops.iter().map(|(hop, _)| hop.name.as_str()).collect();
    println!("{}", table.print(&rows, &names));
    for line in machine.report().into_iter().chain(Launch::missing()) {
        println!("{line}");
    }
    Ok(())
}
