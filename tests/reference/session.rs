//! State of a legacy session, and its pending requests to the client.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::listen::Listener;
use crate::message::{Fault, INTERNAL_ERROR, Level, question};
use crate::outbox::Outbox;
use crate::{lock, spawn};

/// Time limit for the client's answer.
const PATIENCE: Duration = Duration::from_secs(120);

type Answer = Result<Value, Value>;

pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) version: &'static str,
    pub(crate) capabilities: Value,
    /// Minimum level of log messages; all levels until set.
    pub(crate) level: Mutex<Option<Level>>,
    pub(crate) listener: Arc<Listener>,
    pub(crate) asked: Questions,
}

/// Requests to the client that await an answer.
#[derive(Default)]
pub(crate) struct Questions {
    waiting: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
    last: AtomicU64,
}

impl Questions {
    /// Sends all questions at once on the call's stream, and waits for the answers.
    pub(crate) async fn ask(&self, questions: Map<String, Value>, out: &Outbox) -> Result<Map<String, Value>, Fault> {
        let mut asked = Vec::new();
        for (key, what) in questions {
            let id = self.last.fetch_add(1, Ordering::Relaxed);
            let (sender, receiver) = oneshot::channel();
            lock(&self.waiting).insert(id, sender);
            out.push(question(id, &what));
            asked.push((key, receiver));
        }
        let mut answers = Map::new();
        for (key, receiver) in asked {
            let answer = timeout(PATIENCE, receiver).await;
            match answer {
                Ok(Ok(Ok(answer @ Value::Object(_)))) => answers.insert(key, answer),
                Ok(Ok(Err(error))) => {
                    let fault = Fault::new(INTERNAL_ERROR, format!("the client cannot answer `{key}`"));
                    return Err(fault.with(error));
                }
                _ => return Err(Fault::new(INTERNAL_ERROR, format!("the client gave no answer to `{key}`"))),
            };
        }
        Ok(answers)
    }

    /// Processes an answer; ignores one with an unknown id.
    pub(crate) fn resolve(&self, id: u64, answer: Answer) {
        if let Some(waiting) = lock(&self.waiting).remove(&id) {
            waiting.send(answer).ok();
        }
    }
}

/// Running requests by id, so that they can be cancelled.
#[derive(Default)]
pub(crate) struct Running(Mutex<HashMap<String, AbortHandle>>);

impl Running {
    pub(crate) fn start(self: &Arc<Self>, id: &str, work: impl Future<Output = ()> + Send + 'static) {
        let (running, key) = (Arc::clone(self), id.to_owned());
        // Hold the lock until the handle is inserted: the task must not remove it before.
        let mut all = lock(&self.0);
        let task = spawn(async move {
            work.await;
            lock(&running.0).remove(&key);
        });
        all.insert(id.to_owned(), task.abort_handle());
    }

    pub(crate) fn cancel(&self, id: &str) {
        if let Some(task) = lock(&self.0).remove(id) {
            task.abort();
        }
    }

    pub(crate) fn cancel_all(&self) {
        lock(&self.0).drain().for_each(|(_, task)| task.abort());
    }
}
