//! A small MCP server built with the official SDK: a few tools that work offline, over stdio and HTTP.
//!
//! A library, so that other examples can run the server in their own process.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{Implementation, ProgressNotificationParam, RequestMetaObject, ServerCapabilities, ServerConfig};
use rmcp::schemars::{self, JsonSchema};
use rmcp::transport::stdio;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{Json, Peer, RoleServer, ServerHandler, ServiceExt, tool, tool_handler, tool_router};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Path of the HTTP endpoint.
pub const PATH: &str = "/mcp";

const MAX_DICE: u32 = 100;
const MAX_WAIT_SECONDS: u32 = 600;

/// The server. It is stateless, so one value serves any number of sessions.
#[derive(Debug, Clone, Copy, Default)]
pub struct Demo;

/// Serves stdin and stdout until the input ends.
pub async fn serve_stdio() -> Result<()> {
    let session = Demo.serve(stdio()).await.context("the client did not begin a session")?;
    session.waiting().await.context("the session failed")?;
    Ok(())
}

/// Serves Streamable HTTP at [`PATH`] until the token is cancelled, which also ends open streams.
pub async fn serve_http(listener: TcpListener, stop: CancellationToken) -> Result<()> {
    let ended = stop.clone();
    axum::serve(listener, router(stop))
        .with_graceful_shutdown(async move { ended.cancelled().await })
        .await
        .context("cannot serve HTTP")
}

/// Returns the Streamable HTTP endpoint as a router, for a process that serves other paths too.
pub fn router(stop: CancellationToken) -> Router {
    // Validate `Origin` too, so that no web page can use the server; the SDK always validates `Host`.
    let config = StreamableHttpServerConfig::default().with_cancellation_token(stop).enforce_origin_validation();
    let service = StreamableHttpService::new(|| Ok(Demo), LocalSessionManager::default().into(), config);
    Router::new().nest_service(PATH, service)
}

/// Binds a listener. Returns it with the URL of the server.
pub async fn bind(address: SocketAddr) -> Result<(TcpListener, String)> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    let url = format!("http://{}{PATH}", listener.local_addr().context("cannot tell the port")?);
    Ok((listener, url))
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Add {
    /// The first number.
    a: f64,
    /// The second number.
    b: f64,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Now {
    /// Offset from UTC in hours, such as 2 or -5. UTC if absent.
    utc_offset_hours: Option<i8>,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Text {
    /// The text.
    text: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct RollDice {
    /// Number of dice; 1 if absent.
    dice: Option<u32>,
    /// Number of sides of each die; 6 if absent.
    sides: Option<u32>,
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Wait {
    /// Duration of the wait in seconds.
    seconds: u32,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Counts {
    words: usize,
    lines: usize,
    characters: usize,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Rolls {
    rolls: Vec<u32>,
    total: u32,
}

#[tool_router]
impl Demo {
    /// Adds two numbers.
    #[tool(annotations(read_only_hint = true))]
    fn add(&self, Parameters(Add { a, b }): Parameters<Add>) -> String {
        (a + b).to_string()
    }

    /// Returns the current time (RFC 3339).
    #[tool(annotations(read_only_hint = true))]
    fn now(&self, Parameters(Now { utc_offset_hours }): Parameters<Now>) -> Result<String, String> {
        let hours = utc_offset_hours.unwrap_or_default();
        let offset = Offset::from_hours(hours).map_err(|_| format!("{hours} is no offset in hours"))?;
        let seconds = Timestamp::now().round(jiff::Unit::Second).map_err(|error| error.to_string())?;
        Ok(seconds.display_with_offset(offset).to_string())
    }

    /// Counts the words, lines and characters of a text.
    #[tool(annotations(read_only_hint = true))]
    fn word_count(&self, Parameters(Text { text }): Parameters<Text>) -> Json<Counts> {
        Json(Counts {
            words: text.split_whitespace().count(),
            lines: text.lines().count(),
            characters: text.chars().count(),
        })
    }

    /// Converts a text for use in a URL: lower-case letters and digits, with single hyphens between words.
    #[tool(annotations(read_only_hint = true))]
    fn slugify(&self, Parameters(Text { text }): Parameters<Text>) -> String {
        let text = text.to_lowercase();
        let words = text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join("-")
    }

    /// Rolls dice.
    #[tool(annotations(destructive_hint = false))]
    fn roll_dice(&self, Parameters(RollDice { dice, sides }): Parameters<RollDice>) -> Result<Json<Rolls>, String> {
        let (dice, sides) = (dice.unwrap_or(1), sides.unwrap_or(6));
        if !(1..=MAX_DICE).contains(&dice) || !(2..=1000).contains(&sides) {
            return Err(format!("I have 1 to {MAX_DICE} dice of 2 to 1000 sides"));
        }
        // Accept the bias of the modulo: with 64 random bits over at most 1000 sides it is not measurable.
        let roll = |_| getrandom::u64().map(|bits| 1 + u32::try_from(bits % u64::from(sides)).unwrap_or_default());
        let rolls = (0..dice).map(roll).collect::<Result<Vec<u32>, _>>().map_err(|error| error.to_string())?;
        Ok(Json(Rolls { total: rolls.iter().sum(), rolls }))
    }

    /// Waits, and reports progress every second if the request has a progress token.
    #[tool(annotations(read_only_hint = true))]
    async fn wait(
        &self,
        Parameters(Wait { seconds }): Parameters<Wait>,
        meta: RequestMetaObject,
        client: Peer<RoleServer>,
    ) -> Result<String, String> {
        if seconds > MAX_WAIT_SECONDS {
            return Err(format!("I wait {MAX_WAIT_SECONDS} seconds at most"));
        }
        for second in 1..=seconds {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if let Some(token) = meta.get_progress_token() {
                let progress = ProgressNotificationParam::new(token, second.into()).with_total(seconds.into());
                client.notify_progress(progress).await.map_err(|error| error.to_string())?;
            }
        }
        Ok(format!("waited {:#}", SignedDuration::from_secs(seconds.into())))
    }
}

#[tool_handler]
impl ServerHandler for Demo {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("demo", env!("CARGO_PKG_VERSION")))
            .with_instructions("Small tools that need no network.")
    }
}
