//! Calls that are more than one answer: questions, progress, code.
//!
//! The questions are the same in both eras, but asked differently. A legacy session gets requests while the call
//! waits. A modern caller gets `input_required` and repeats the call, with the previous answers sealed into
//! `requestState`. A task waits for `tasks/update`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::sleep;

use crate::caller::Caller;
use crate::catalog::{Item, Tasking, fill};
use crate::listen::Change;
use crate::message::{Fault, INTERNAL_ERROR, Level, MISSING_CAPABILITY, Request, notification};
use crate::outbox::Outbox;
use crate::seal;
use crate::server::{Server, TASKS};
use crate::session::Session;
use crate::tasks::Task;

/// Pause between two messages.
const PAUSE: Duration = Duration::from_millis(50);

pub(crate) type Answers = Map<String, Value>;

pub(crate) struct Call {
    pub(crate) server: &'static Server,
    pub(crate) caller: Caller,
    pub(crate) item: &'static Item,
    pub(crate) request: Request,
    /// Values for the placeholders in the item's texts, without the answers.
    pub(crate) context: Value,
    /// Stream for progress, log messages and requests to a legacy client.
    pub(crate) out: Arc<Outbox>,
}

/// Receiver of questions while the call waits.
pub(crate) enum Asked<'a> {
    Session(&'a Session),
    Task(&'a Task),
}

/// Counts a call as cancelled when dropped; forgotten once the call has ended.
struct Unfinished(&'static Server, String);

impl Drop for Unfinished {
    fn drop(&mut self) {
        self.0.counters.cancelled.fetch_add(1, Ordering::Relaxed);
        self.0.note("cancelled", &self.1);
    }
}

impl Call {
    pub(crate) async fn answer(self) -> Result<String, Fault> {
        self.server.counters.calls.fetch_add(1, Ordering::Relaxed);
        let name = self.request.params.name.clone().unwrap_or_default();
        self.server.note("called", &name);
        let unfinished = Unfinished(self.server, name);
        let result = match &self.caller {
            Caller::Legacy(session) => self.carry_out(Answers::new(), Asked::Session(session)).await,
            Caller::Modern { .. } => self.answer_modern().await,
        };
        std::mem::forget(unfinished);
        result
    }

    async fn answer_modern(self) -> Result<String, Fault> {
        if self.server.settings.thin_modern && !self.item.rounds.is_empty() {
            return Err(Fault::new(INTERNAL_ERROR, "nobody is asked anything in this era"));
        }
        let (task, declared) = (self.item.task, self.caller.declares_tasks());
        if !declared && [Tasking::Required, Tasking::AfterQuestions].contains(&task) {
            return Err(missing(json!({ "extensions": { TASKS: {} } })));
        }
        let answers = self.answers_so_far()?;
        if declared && [Tasking::Required, Tasking::Optional].contains(&task) {
            return Ok(Task::start(self, answers));
        }
        let open = self.open_questions(&answers)?;
        if !open.is_empty() {
            let state = seal::seal(&self.key(), &answers);
            let result = json!({ "resultType": "input_required", "inputRequests": open, "requestState": state });
            return Ok(result.to_string());
        }
        if task == Tasking::AfterQuestions {
            return Ok(Task::start(self, answers));
        }
        let result = self.conclude(&answers).await?;
        Ok(self.caller.complete(&self.request.method, &result))
    }

    /// Asks all questions, then runs the item.
    pub(crate) async fn carry_out(&self, mut answers: Answers, asked: Asked<'_>) -> Result<String, Fault> {
        loop {
            let open = match self.open_questions(&answers) {
                // Report a missing capability as a tool error: the legacy era has no error code for it.
                Err(fault) if matches!(asked, Asked::Session(_)) && self.request.method == "tools/call" => {
                    return Ok(tool_error(&fault.to_value()["message"]));
                }
                open => open?,
            };
            if open.is_empty() {
                return self.conclude(&answers).await;
            }
            answers.extend(match asked {
                Asked::Session(session) => session.asked.ask(open, &self.out).await?,
                Asked::Task(task) => task.ask(self.server, open).await,
            });
        }
    }

    /// Returns the answers of earlier rounds and of this one.
    fn answers_so_far(&self) -> Result<Answers, Fault> {
        let params = &self.request.params;
        let state = params.request_state.as_ref();
        let mut answers = state.map(|state| seal::open(&self.key(), state)).transpose()?.unwrap_or_default();
        if state.is_some() || !self.item.needs_state {
            let was_asked = |key: &String| self.item.rounds.iter().any(|round| round.contains_key(key));
            let fresh = params.input_responses.iter().flatten();
            let fresh = fresh.filter(|(key, answer)| was_asked(key) && answer.is_object());
            answers.extend(fresh.map(|(key, answer)| (key.clone(), answer.clone())));
        }
        Ok(answers)
    }

    /// Returns the open questions of the first round that is not completely answered.
    fn open_questions(&self, answers: &Answers) -> Result<Map<String, Value>, Fault> {
        for round in &self.item.rounds {
            let open = round.iter().filter(|(key, _)| !answers.contains_key(*key));
            let (may, may_not): (Vec<_>, Vec<_>) =
                open.partition(|(_, question)| self.caller.declares(needs(question)));
            if !may_not.is_empty() && !self.item.asks_what_it_may {
                let needed: Map<_, _> = may_not.iter().map(|(_, what)| (needs(what).to_owned(), json!({}))).collect();
                return Err(missing(Value::Object(needed)));
            }
            if !may.is_empty() {
                return Ok(may.into_iter().map(|(key, what)| (key.clone(), fill(what, &self.context))).collect());
            }
        }
        Ok(Map::new())
    }

    /// Runs the item; the result has the form common to both eras.
    async fn conclude(&self, answers: &Answers) -> Result<String, Fault> {
        let catalog = &self.server.catalog;
        match self.request.params.name.as_deref().filter(|_| self.item.has_code) {
            Some("test_tool_with_logging") => {
                for text in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
                    self.log(Level::Info, text);
                    sleep(PAUSE).await;
                }
            }
            Some("test_logging_tool") => self.log(Level::Info, "Logging was asked for"),
            Some("test_tool_with_progress") => {
                for progress in [0, 50, 100] {
                    self.report(progress, 100);
                    sleep(PAUSE).await;
                }
            }
            Some("test_reconnection") => {
                self.out.hang_up();
                sleep(PAUSE * 2).await;
            }
            Some("test_wait") => {
                let whole = self.context["arguments"]["milliseconds"].as_u64().unwrap_or(60_000);
                let pauses = whole / 50;
                for done in 0..pauses {
                    self.report(done, pauses);
                    sleep(PAUSE).await;
                }
            }
            Some("slow_compute") => {
                let seconds = self.context["arguments"]["seconds"].as_f64().unwrap_or_default();
                sleep(Duration::try_from_secs_f64(seconds).unwrap_or_default()).await;
            }
            Some("failing_job") => sleep(PAUSE * 4).await,
            Some("protocol_error_job") => return Err(Fault::new(INTERNAL_ERROR, "the job broke the protocol")),
            Some("test_trigger_tool_change") => self.change(|| catalog.tools.toggle(), &Change::Tools),
            Some("test_trigger_prompt_change") => self.change(|| catalog.prompts.toggle(), &Change::Prompts),
            Some("test_trigger_resource_change") => self.change(|| catalog.resources.toggle(), &Change::Resources),
            Some("test_trigger_resource_update") => {
                let uri = self.context["arguments"]["uri"].as_str().unwrap_or_default().to_owned();
                self.change(|| {}, &Change::Resource(uri));
            }
            Some("test_counters") => return Ok(self.counters()),
            _ => {}
        }
        let mut context = self.context.clone();
        if let Some(context) = context.as_object_mut() {
            context.extend(answers.clone());
        }
        Ok(fill(&self.item.result, &context).to_string())
    }

    fn change(&self, change: impl FnOnce(), what: &Change) {
        change();
        self.server.listeners.tell(what);
    }

    fn log(&self, level: Level, text: &str) {
        let is_mute = self.server.settings.thin_modern && matches!(self.caller, Caller::Modern { .. });
        if self.caller.logs(level) && !is_mute {
            let params = json!({ "level": level, "logger": "reference", "data": text });
            self.out.push(notification("notifications/message", &params));
        }
    }

    fn report(&self, progress: u64, total: u64) {
        if let Some(token) = &self.request.params.meta.progress_token {
            let params = json!({ "progressToken": token, "progress": progress, "total": total });
            self.out.push(notification("notifications/progress", &params));
        }
    }

    fn counters(&self) -> String {
        let counters = &self.server.counters;
        let [handshakes, calls, cancelled] =
            [&counters.handshakes, &counters.calls, &counters.cancelled].map(|count| count.load(Ordering::Relaxed));
        let pid = std::process::id();
        let counts = json!({ "pid": pid, "handshakes": handshakes, "calls": calls, "cancelled": cancelled });
        json!({ "content": [{ "type": "text", "text": counts.to_string() }], "structuredContent": counts }).to_string()
    }

    /// Returns the identity of the call that a `requestState` belongs to.
    fn key(&self) -> String {
        let Request { method, params, .. } = &self.request;
        format!("{method} {}", params.name.as_ref().or(params.uri.as_ref()).map_or("", String::as_str))
    }
}

/// Returns the client capability that a question requires.
fn needs(question: &Value) -> &'static str {
    match question["method"].as_str() {
        Some("elicitation/create") => "elicitation",
        Some("sampling/createMessage") => "sampling",
        _ => "roots",
    }
}

fn missing(capabilities: Value) -> Fault {
    let names = capabilities.as_object().into_iter().flat_map(Map::keys).cloned().collect::<Vec<_>>().join(", ");
    let fault = Fault::new(MISSING_CAPABILITY, format!("the client does not support {names}"));
    fault.with(json!({ "requiredCapabilities": capabilities }))
}

fn tool_error(text: &Value) -> String {
    json!({ "content": [{ "type": "text", "text": text }], "isError": true }).to_string()
}
