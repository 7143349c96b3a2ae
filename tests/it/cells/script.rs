//! Session of every client with every upstream: one script for all revisions and transports.
//!
//! Written against the reference upstream: lists must match its catalog exactly, and every value that is sent must come
//! back in an answer.

use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use anyhow::{Context as _, Result, bail, ensure};
use harness::peer::{Link, PATIENCE, Peer, Revision};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

const CATALOG: &str = include_str!("../../reference/catalog.json");
const WATCHED: &str = "test://watched-resource";
const DYNAMIC: &str = "test_dynamic_tool";
const TOOLS_CHANGED: &str = "notifications/tools/list_changed";
const UPDATED: &str = "notifications/resources/updated";
const LOGGED: &str = "notifications/message";
const PROGRESS: &str = "notifications/progress";
const CANCELLED: &str = "the token of what is cancelled";

/// Steps of the session, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    List,
    Call,
    Read,
    Progress,
    Cancel,
    Elicitation,
    Sampling,
    Roots,
    ThreeQuestions,
    TwoRounds,
    ChangeNotice,
    ResourceUpdate,
    LogLevel,
}

impl Step {
    const ALL: [Self; 13] = [
        Self::List,
        Self::Call,
        Self::Read,
        Self::Progress,
        Self::Cancel,
        Self::Elicitation,
        Self::Sampling,
        Self::Roots,
        Self::ThreeQuestions,
        Self::TwoRounds,
        Self::ChangeNotice,
        Self::ResourceUpdate,
        Self::LogLevel,
    ];

    /// Returns the reason if a client of this revision cannot take this step.
    fn lacks(self, revision: Revision) -> Option<&'static str> {
        let asks_the_user = [Self::Elicitation, Self::ThreeQuestions, Self::TwoRounds].contains(&self);
        (asks_the_user && !revision.has_elicitation()).then_some("elicitation came with 2025-06-18")
    }

    async fn take(self, peer: &mut Peer, journal: &Path) -> Result<()> {
        match self {
            Self::List => list(peer).await,
            Self::Call => call(peer).await,
            Self::Read => read(peer).await,
            Self::Progress => progress(peer).await,
            Self::Cancel => cancel(peer, journal).await,
            Self::Elicitation => elicitation(peer).await,
            Self::Sampling => sampling(peer).await,
            Self::Roots => roots(peer).await,
            Self::ThreeQuestions => three_questions(peer).await,
            Self::TwoRounds => two_rounds(peer).await,
            Self::ChangeNotice => change_notice(peer).await,
            Self::ResourceUpdate => resource_update(peer).await,
            Self::LogLevel => log_level(peer).await,
        }
    }
}

/// Result of a session.
#[derive(Default)]
pub(crate) struct Played {
    /// Number of steps that passed, including the greeting and the end.
    pub(crate) passed: usize,
    /// Steps that the revision does not have, with the reason.
    pub(crate) left_out: Vec<(String, &'static str)>,
    /// Step that failed, with the error; it was the last one.
    pub(crate) failed: Option<(String, String)>,
    /// Duration of the session.
    pub(crate) took: Duration,
}

/// Runs the whole session with an upstream that writes to this journal.
pub(crate) async fn play(revision: Revision, link: Link, journal: &Path) -> Played {
    let started = Instant::now();
    let played = play_steps(revision, link, journal).await;
    Played { took: started.elapsed(), ..played }
}

async fn play_steps(revision: Revision, link: Link, journal: &Path) -> Played {
    let mut played = Played::default();
    let mut peer = match Peer::connect(revision, link).await {
        Ok(peer) => peer,
        Err(error) => return played.failed_at("greet", &error),
    };
    played.passed += 1;
    for step in Step::ALL {
        let name = format!("{step:?}");
        if let Some(reason) = step.lacks(revision) {
            played.left_out.push((name, reason));
        } else if let Err(error) = step.take(&mut peer, journal).await {
            return played.failed_at(&name, &error);
        } else {
            played.passed += 1;
        }
    }
    match end(peer).await {
        Ok(()) => played.passed += 1,
        Err(error) => return played.failed_at("end", &error),
    }
    played
}

impl Played {
    /// Records the step that failed.
    pub(crate) fn failed_at(mut self, step: &str, error: &anyhow::Error) -> Self {
        self.failed = Some((step.to_owned(), format!("{error:#}")));
        self
    }
}

async fn list(peer: &mut Peer) -> Result<()> {
    let catalog: Value = serde_json::from_str(CATALOG)?;
    for (method, member, shelf) in [
        ("tools/list", "tools", "tools"),
        ("prompts/list", "prompts", "prompts"),
        ("resources/list", "resources", "resources"),
        ("resources/templates/list", "resourceTemplates", "templates"),
    ] {
        let offered = catalog[shelf].as_array().into_iter().flatten();
        let expected: Vec<_> =
            offered.filter(|item| item["is_hidden"] != true).map(|item| item["definition"].clone()).collect();
        let listed = peer.list(method, member).await?;
        let strange = listed.iter().find(|item| !expected.contains(item));
        ensure!(strange.is_none(), "{method} changed an item: {strange:?}");
        ensure!(listed == expected, "{method} gave {} items, not {} in order", listed.len(), expected.len());
    }
    Ok(())
}

async fn call(peer: &mut Peer) -> Result<()> {
    let message = "grüße 🙂 \" \\ \u{2028} 1e400";
    let result = peer.call("echo", json!({ "message": message })).await?;
    says(&result, message)?;
    // Modern clients over HTTP also send some of these arguments as headers.
    let arguments = json!({ "region": "Zürich", "limit": 5, "dry_run": true, "note": "only here" });
    let result = peer.call("test_header_params", arguments.clone()).await?;
    ensure!(serde_json::from_str::<Value>(text(&result))? == arguments, "called with {}", text(&result));
    let result = peer.call("test_error_handling", json!({})).await?;
    ensure!(result["isError"] == true, "no error of a tool: {result}");
    Ok(())
}

async fn read(peer: &mut Peer) -> Result<()> {
    let uri = "test://template/7/data";
    let result = peer.request("resources/read", json!({ "uri": uri })).await?;
    let content = &result["contents"][0];
    ensure!(content["uri"] == uri && content["text"].as_str().is_some_and(|text| text.contains("ID: 7")), "{result}");
    let arguments = json!({ "arg1": "one", "arg2": "two" });
    let params = json!({ "name": "test_prompt_with_arguments", "arguments": arguments });
    let result = peer.request("prompts/get", params).await?;
    let said = &result["messages"][0]["content"]["text"];
    ensure!(said == "Prompt with arguments: arg1='one', arg2='two'", "{result}");
    Ok(())
}

async fn progress(peer: &mut Peer) -> Result<()> {
    let token = "token / ✓";
    let id = begin(peer, "test_tool_with_progress", json!({}), token).await?;
    for done in [0, 50, 100] {
        let (params, on) = peer.notification(PROGRESS).await?;
        ensure!(params == json!({ "progressToken": token, "progress": done, "total": 100 }), "{done}: {params}");
        ensure!(!peer.has_streams() || on == id, "progress came on the stream of {on}, not of {id}");
    }
    says(&peer.answer(&id).await?, "Tool with progress executed successfully")
}

async fn cancel(peer: &mut Peer, journal: &Path) -> Result<()> {
    let id = begin(peer, "test_wait", json!({ "milliseconds": 600_000 }), CANCELLED).await?;
    let (params, _) = peer.notification(PROGRESS).await?;
    ensure!(params["progressToken"] == CANCELLED, "{params}");
    peer.cancel(&id).await?;
    // Checks the upstream's own journal: silence at the client would not prove that the upstream was told.
    let deadline = Instant::now() + PATIENCE;
    while !noted(journal)?.contains("cancelled test_wait") {
        ensure!(Instant::now() < deadline, "the upstream knows nothing of it: {}", noted(journal)?);
        sleep(Duration::from_millis(10)).await;
    }
    let lines = noted(journal)?;
    let of_it: Vec<_> = lines.lines().filter(|line| line.ends_with(" test_wait")).collect();
    ensure!(of_it == ["called test_wait", "cancelled test_wait"], "the upstream knows {of_it:?}");
    let answers: Vec<_> = peer.rest().into_iter().filter(|message| message["id"] == id).collect();
    ensure!(answers.is_empty(), "what was cancelled is answered: {answers:?}");
    Ok(())
}

async fn elicitation(peer: &mut Peer) -> Result<()> {
    let content = json!({ "username": "ada", "email": "ada@example.com" });
    let answer = json!({ "action": "accept", "content": content });
    let (asked, result) =
        peer.converse("test_elicitation", json!({ "message": "Who are you?" }), |_| answer.clone()).await?;
    let [question] = &asked[..] else { bail!("asked {asked:?}") };
    ensure!(question["method"] == "elicitation/create", "asked {question}");
    ensure!(question["params"]["message"] == "Who are you?", "asked {question}");
    ensure!(question["params"]["requestedSchema"]["required"] == json!(["username", "email"]), "asked {question}");
    says(&result, &format!("User response: action=accept, content={content}"))
}

async fn sampling(peer: &mut Peer) -> Result<()> {
    let (asked, result) =
        peer.converse("test_sampling", json!({ "prompt": "What is 6 x 7?" }), |_| sample("42")).await?;
    let message = json!({ "role": "user", "content": { "type": "text", "text": "What is 6 x 7?" } });
    let question = json!({ "method": "sampling/createMessage", "params": { "messages": [message], "maxTokens": 100 } });
    ensure!(asked == [question], "asked {asked:?}");
    says(&result, "LLM response: 42")
}

async fn roots(peer: &mut Peer) -> Result<()> {
    let roots = json!([{ "uri": "file:///srv/ada", "name": "Ada's" }]);
    let (asked, result) =
        peer.converse("test_input_required_result_list_roots", json!({}), |_| json!({ "roots": roots })).await?;
    ensure!(asked.len() == 1 && asked[0]["method"] == "roots/list", "asked {asked:?}");
    ensure!(serde_json::from_str::<Value>(text(&result))? == roots, "roots are {}", text(&result));
    Ok(())
}

async fn three_questions(peer: &mut Peer) -> Result<()> {
    let (asked, result) = peer
        .converse("test_input_required_result_multiple_inputs", json!({}), |question| match method(question) {
            "elicitation/create" => json!({ "action": "accept", "content": { "name": "Ada" } }),
            "roots/list" => json!({ "roots": [] }),
            _ => sample("Welcome,"),
        })
        .await?;
    let mut methods: Vec<_> = asked.iter().map(method).collect();
    methods.sort_unstable();
    ensure!(methods == ["elicitation/create", "roots/list", "sampling/createMessage"], "asked {asked:?}");
    says(&result, "Welcome, Ada []")
}

async fn two_rounds(peer: &mut Peer) -> Result<()> {
    let is_first = |question: &Value| question["params"]["message"] == "Step 1: What is your name?";
    let (asked, result) = peer
        .converse("test_input_required_result_multi_round", json!({}), |question| {
            let content = if is_first(question) { json!({ "name": "Ada" }) } else { json!({ "color": "green" }) };
            json!({ "action": "accept", "content": content })
        })
        .await?;
    ensure!(asked.len() == 2 && is_first(&asked[0]) && !is_first(&asked[1]), "asked {asked:?}");
    says(&result, "Ada likes green")
}

async fn change_notice(peer: &mut Peer) -> Result<()> {
    peer.watch(&[]).await?;
    for is_there in [true, false] {
        change_tools(peer).await?;
        let tools = peer.list("tools/list", "tools").await?;
        let found = tools.iter().any(|tool| tool["name"] == DYNAMIC);
        ensure!(found == is_there, "`{DYNAMIC}` is listed: {found}, but should be: {is_there}");
    }
    Ok(())
}

async fn resource_update(peer: &mut Peer) -> Result<()> {
    peer.watch(&[WATCHED]).await?;
    // The client is not subscribed to the first resource.
    for uri in ["test://static-text", WATCHED] {
        update(peer, uri).await?;
    }
    let params = peer.notice(UPDATED).await?;
    ensure!(params == json!({ "uri": WATCHED }), "updated is {params}");
    peer.watch(&[]).await?;
    update(peer, WATCHED).await?;
    // Later notifications prove that no update came before them; called twice to restore the original tools.
    change_tools(peer).await?;
    change_tools(peer).await?;
    hears_nothing(peer, UPDATED)
}

async fn log_level(peer: &mut Peer) -> Result<()> {
    if peer.revision.is_modern() {
        peer.call("test_logging_tool", json!({})).await?;
        hears_nothing(peer, LOGGED).context("nobody asked for logs")?;
    }
    peer.log_from("info").await?;
    let id = peer.begin("tools/call", json!({ "name": "test_logging_tool", "arguments": {} })).await?;
    let (params, on) = peer.notification(LOGGED).await?;
    let expected = json!({ "level": "info", "logger": "reference", "data": "Logging was asked for" });
    ensure!(params == expected, "logged {params}");
    ensure!(!peer.has_streams() || on == id, "the log came on the stream of {on}, not of {id}");
    says(&peer.answer(&id).await?, "Logged, if that was asked for")?;
    peer.log_from("error").await?;
    peer.call("test_logging_tool", json!({})).await?;
    hears_nothing(peer, LOGGED).context("only errors were asked for")
}

/// Checks for unexpected messages, then ends the session in the way of its transport.
async fn end(mut peer: Peer) -> Result<()> {
    let is_late = |message: &Value| message["params"]["progressToken"] == CANCELLED;
    let unwanted: Vec<_> = peer.rest().into_iter().filter(|message| !is_late(message)).collect();
    ensure!(unwanted.is_empty(), "nobody wanted {unwanted:?}");
    if peer.is_program() {
        let ended = peer.hang_up().await?;
        ensure!(ended.code == Some(0), "the program ended with {ended:?}");
    } else if peer.has_streams() && !peer.revision.is_modern() {
        let (ended, late) = peer.leave().await?;
        ensure!([200, 204].contains(&ended) && late == 404, "the session ended with {ended}, and gave {late} after it");
    }
    Ok(())
}

/// Sends a `tools/call` request with a progress token.
async fn begin(peer: &mut Peer, tool: &str, arguments: Value, token: &str) -> Result<Value> {
    let params = json!({ "name": tool, "arguments": arguments, "_meta": { "progressToken": token } });
    peer.begin("tools/call", params).await
}

/// Shows or hides a tool, and waits for the client's notification.
async fn change_tools(peer: &mut Peer) -> Result<()> {
    says(&peer.call("test_trigger_tool_change", json!({})).await?, "The tools have changed")?;
    peer.notice(TOOLS_CHANGED).await.map(drop)
}

async fn update(peer: &mut Peer, uri: &str) -> Result<()> {
    says(&peer.call("test_trigger_resource_update", json!({ "uri": uri })).await?, &format!("{uri} was updated"))
}

/// Returns the upstream's journal so far.
fn noted(journal: &Path) -> io::Result<String> {
    match fs::read_to_string(journal) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read,
    }
}

fn sample(text: &str) -> Value {
    let content = json!({ "type": "text", "text": text });
    json!({ "role": "assistant", "content": content, "model": "script", "stopReason": "endTurn" })
}

fn hears_nothing(peer: &mut Peer, kind: &str) -> Result<()> {
    let heard: Vec<_> = peer.rest().into_iter().filter(|message| method(message) == kind).collect();
    ensure!(heard.is_empty(), "nobody wanted {heard:?}");
    Ok(())
}

fn says(result: &Value, expected: &str) -> Result<()> {
    ensure!(text(result) == expected, "{result} does not say `{expected}`");
    Ok(())
}

fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap_or_default()
}

fn method(message: &Value) -> &str {
    message["method"].as_str().unwrap_or_default()
}
