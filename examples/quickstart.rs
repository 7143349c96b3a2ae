//! All steps in one program: load a workflow file, register its server, call a tool.
//!
//! Run it with `cargo run --example quickstart`. It starts a gateway in this process, registers the servers
//! in `workflows/demo.yaml`, waits until they are connected, lists the tools, calls two of them, deregisters and
//! exits. The MCP server is this same binary, which the gateway starts as a child process.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use proxy_client::Client;
use proxy_server::{Config, Gateway};
use register_service::files::{Desired, Usage};
use register_service::{Environment, Options, RegisterService, Settings, Wanted, load};
use schemas::admin::ToolCall;
use serde_json::{json, value::to_raw_value};
use tokio::time::Instant;

/// Argument that turns this program into the MCP server; set in the workflow file.
const AS_SERVER: &str = "--stdio";
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Result<()> {
    if std::env::args().nth(1).as_deref() == Some(AS_SERVER) {
        return demo::serve_stdio().await;
    }
    let began = Instant::now();
    let gateway = Gateway::start(Config::ephemeral()).await?;
    writeln!(io::stdout(), "gateway     {}", gateway.url())?;

    let outcome = run(gateway.url()).await;
    gateway.stop().await;
    outcome?;
    writeln!(io::stdout(), "done        in {} ms", began.elapsed().as_millis())?;
    Ok(())
}

async fn run(url: &str) -> Result<()> {
    let desired = read_workflow(url)?;
    let service = RegisterService::new(Client::builder(url).build()?, Options::default());
    let started = service.start(&Wanted::from(&desired)).await?;
    for entry in desired.entries() {
        if let Usage::Registered { definition, url } = &entry.usage {
            writeln!(io::stdout(), "registered  {}, which the engine reaches at {url}", definition.name)?;
        }
    }
    writeln!(io::stdout(), "{}", started.readiness)?;
    let outcome = use_tools(service.client()).await;
    for name in service.shutdown(PATIENCE).await? {
        writeln!(io::stdout(), "removed     {name}")?;
    }
    outcome
}

fn read_workflow(url: &str) -> Result<Desired> {
    let program = std::env::current_exe().context("cannot find this program's own path")?;
    let program = program.to_str().context("this program's path is not UTF-8")?;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../workflows/demo.yaml");
    let file = file.canonicalize().with_context(|| format!("cannot find `{}`", file.display()))?;
    let settings = Settings::new(url.parse()?, Environment::from_iter([("DEMO_SERVER", program)]));
    Ok(load(&[file], &settings)?.desired)
}

async fn use_tools(client: &Client) -> Result<()> {
    writeln!(io::stdout(), "\n{:<12} {:<12} what it does", "server", "tool")?;
    for tool in client.list_tools().await? {
        writeln!(io::stdout(), "{:<12} {:<12} {}", tool.mcp_name, tool.name, tool.description)?;
    }
    writeln!(io::stdout())?;
    for (tool, arguments) in
        [("add", json!({ "a": 19, "b": 23 })), ("slugify", json!({ "text": "A workflow file in!" }))]
    {
        let call = ToolCall {
            mcp_name: "demo".to_owned(),
            tool_name: tool.to_owned(),
            arguments: Some(to_raw_value(&arguments)?),
        };
        let result = client.call_tool(&call).await?.into_result()?;
        writeln!(io::stdout(), "called      {tool} {arguments} -> {}", result.to_text())?;
    }
    Ok(())
}
