//! The commands. Each returns one report, which is printed once, at the end.

mod changes;
mod documents;
mod dump;
mod explain;
mod import;
mod listing;
mod lock;
mod ownership;
mod plan;
mod prepare;
mod progress;
mod render;
mod status;
mod sync;
mod validate;
mod wait;
mod watch;

use register_service::files::InvalidFiles;

use self::prepare::Context;
use crate::cli::{Cli, Command, Process, Reading};
use crate::printer::Printer;
use crate::report::Report;

/// Runs the command that was selected.
pub(crate) async fn run(cli: &Cli, process: &Process, printer: Printer) -> anyhow::Result<Report> {
    match run_command(cli, process, printer).await {
        // A settings file, such as one of variables, can have diagnostics too.
        Err(error) => error.downcast().map(|invalid: InvalidFiles| Report::invalid("settings", invalid)),
        report => report,
    }
}

async fn run_command(cli: &Cli, process: &Process, printer: Printer) -> anyhow::Result<Report> {
    let global = &cli.global;
    let context = |reading: &Reading| Context::new(global, process, reading, printer);
    match &cli.command {
        Command::Explain(args) => Ok(explain::run(args)),
        Command::Import(args) => Ok(import::run(args, printer)),
        Command::Render(files) => Ok(render::run(files, &global.settings(process, &files.reading)?)),
        Command::Schema(args) => documents::schema(args),
        Command::Completions { shell } => Ok(documents::completions(*shell)),
        Command::Man { folder } => documents::man(folder),
        Command::Status(args) => Ok(status::run(args, &global.own_client(process)?, printer).await),
        Command::Dump(args) => Ok(dump::run(args, &global.own_client(process)?, printer).await),
        Command::Release(args) => Ok(ownership::release(args, &global.own_client(process)?).await),
        Command::Deregister(args) => Ok(ownership::deregister(args, &global.own_client(process)?).await),
        Command::Validate(args) => validate::run(args, global, &process.allowing_unset(args.allow_unset)).await,
        Command::Plan(args) => {
            let process = process.allowing_unset(args.allow_unset);
            plan::run(args, &Context::new(global, &process, &args.changes.files.reading, printer)?).await
        }
        Command::Sync(args) => sync::run(args, &context(&args.changes.files.reading)?).await,
        Command::Watch(args) => watch::run(args, &context(&args.changes.files.reading)?).await,
        Command::Wait(args) => Ok(wait::run(args, &context(&args.reading)?).await),
        Command::Adopt(args) => Ok(ownership::adopt(args, &context(&args.files.reading)?).await),
    }
}
