//! Carries out each sub-command.

mod ask;
mod audit;
mod config;
mod documents;
mod health;
mod pid_file;
mod process;
mod serve;
mod settings;
mod stdio;

use std::io::Write;

use crate::cli::{AuditCommand, Cli, Command, ConfigCommand};

/// Runs the sub-command of a parsed command line.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        None => serve::serve(cli.serve).await,
        Some(Command::Serve(args)) => serve::serve(*args).await,
        Some(Command::Stdio(args)) => stdio::stdio(*args).await,
        Some(Command::Config(ConfigCommand::Show(args))) => config::show(&args).await,
        Some(Command::Config(ConfigCommand::Check(args))) => config::check(&args),
        Some(Command::Config(ConfigCommand::Migrate(args))) => config::migrate(&args),
        Some(Command::Config(ConfigCommand::Schema)) => config::schema(),
        Some(Command::Audit(AuditCommand::Verify(args))) => audit::verify(&args),
        Some(Command::Health(args)) => health::health(&args).await,
        Some(Command::Init(args)) => documents::init(&args),
        Some(Command::Start(args)) => process::start(*args).await,
        Some(Command::Stop(args)) => process::stop(&args).await,
        Some(Command::Status(args)) => process::status(&args).await,
        Some(Command::Completions { shell }) => documents::completions(shell),
        Some(Command::Man { folder }) => documents::man(&folder),
        Some(Command::Version) => Ok(writeln!(std::io::stdout(), "mcp-proxy {}", env!("CARGO_PKG_VERSION"))?),
    }
}
