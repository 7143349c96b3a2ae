//! The tasks extension: calls that continue in the background and are polled.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::caller::Caller;
use crate::listen::{Change, Listeners};
use crate::message::{Fault, INVALID_PARAMS, MISSING_CAPABILITY, Request};
use crate::outbox::Outbox;
use crate::script::{Answers, Asked, Call};
use crate::server::{Server, TASKS};
use crate::{lock, spawn, unique};

#[derive(Default)]
pub(crate) struct Tasks(Mutex<HashMap<String, Arc<Task>>>);

pub(crate) struct Task {
    id: String,
    created: String,
    state: Mutex<State>,
    answered: Notify,
}

struct State {
    status: &'static str,
    updated: String,
    /// Questions without an answer.
    questions: Map<String, Value>,
    answers: Answers,
    /// Name and value of the final member: `result` or `error`.
    outcome: Option<(&'static str, Value)>,
    work: Option<AbortHandle>,
}

impl Tasks {
    /// Answers `tasks/get`, `tasks/update` and `tasks/cancel`.
    pub(crate) fn answer(&self, request: &Request, caller: &Caller, listeners: &Listeners) -> Result<String, Fault> {
        if !caller.declares_tasks() {
            let needed = json!({ "requiredCapabilities": { "extensions": { TASKS: {} } } });
            return Err(Fault::new(MISSING_CAPABILITY, "the client does not support tasks").with(needed));
        }
        let id = request.params.task_id.as_deref().unwrap_or_default();
        let task = lock(&self.0).get(id).cloned();
        let task = task.ok_or_else(|| Fault::new(INVALID_PARAMS, "there is no such task"))?;
        match request.method.as_str() {
            "tasks/get" => return Ok(Value::Object(task.describe()).to_string()),
            "tasks/update" => task.update(request.params.input_responses.iter().flatten()),
            _ => task.cancel(listeners),
        }
        Ok("{}".to_owned())
    }
}

impl Task {
    /// Continues a call as a task. Returns the result that announces the task.
    pub(crate) fn start(mut call: Call, answers: Answers) -> String {
        let now = Timestamp::now().to_string();
        let state = State {
            status: "working",
            updated: now.clone(),
            questions: Map::new(),
            answers: Map::new(),
            outcome: None,
            work: None,
        };
        let task = Arc::new(Self { id: unique(), created: now, state: Mutex::new(state), answered: Notify::new() });
        let mut created = task.describe();
        created.insert("resultType".to_owned(), json!("task"));
        // Discard messages before the result: the call's stream has ended.
        call.out = Outbox::new();
        let server = call.server;
        lock(&server.tasks.0).insert(task.id.clone(), Arc::clone(&task));
        let working = Arc::clone(&task);
        let work = spawn(async move {
            let outcome = match call.carry_out(answers, Asked::Task(&working)).await {
                Ok(result) => ("result", serde_json::from_str(&result).unwrap_or_default()),
                Err(fault) => ("error", fault.to_value()),
            };
            working.change(&server.listeners, |state| {
                state.status = if outcome.0 == "result" { "completed" } else { "failed" };
                state.outcome = Some(outcome);
            });
        });
        lock(&task.state).work = Some(work.abort_handle());
        Value::Object(created).to_string()
    }

    /// Asks the questions and waits until all are answered.
    pub(crate) async fn ask(&self, server: &Server, questions: Map<String, Value>) -> Answers {
        self.change(&server.listeners, |state| {
            state.status = "input_required";
            state.questions = questions;
        });
        self.answered.notified().await;
        let mut answers = Answers::new();
        self.change(&server.listeners, |state| {
            state.status = "working";
            answers = std::mem::take(&mut state.answers);
        });
        answers
    }

    /// Records answers to open questions; ignores others.
    fn update<'a>(&self, responses: impl Iterator<Item = (&'a String, &'a Value)>) {
        let mut state = lock(&self.state);
        for (key, answer) in responses.filter(|(_, answer)| answer.is_object()) {
            if state.questions.shift_remove(key).is_some() {
                state.answers.insert(key.clone(), answer.clone());
            }
        }
        if state.status == "input_required" && state.questions.is_empty() {
            self.answered.notify_one();
        }
    }

    fn cancel(&self, listeners: &Listeners) {
        let work = lock(&self.state).work.take();
        if lock(&self.state).outcome.is_none() {
            work.into_iter().for_each(|work| work.abort());
            self.change(listeners, |state| state.status = "cancelled");
        }
    }

    fn change(&self, listeners: &Listeners, change: impl FnOnce(&mut State)) {
        {
            let mut state = lock(&self.state);
            change(&mut state);
            state.updated = Timestamp::now().to_string();
        }
        listeners.tell(&Change::Task(self.id.clone(), self.describe()));
    }

    fn describe(&self) -> Map<String, Value> {
        let state = lock(&self.state);
        let mut described = Map::from_iter([
            ("taskId".to_owned(), json!(self.id)),
            ("status".to_owned(), json!(state.status)),
            ("createdAt".to_owned(), json!(self.created)),
            ("lastUpdatedAt".to_owned(), json!(state.updated)),
            ("ttlMs".to_owned(), json!(600_000)),
            ("pollIntervalMs".to_owned(), json!(100)),
        ]);
        if state.status == "input_required" {
            described.insert("inputRequests".to_owned(), json!(state.questions));
        }
        described.extend(state.outcome.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        described
    }
}
