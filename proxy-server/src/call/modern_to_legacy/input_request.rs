//! Translates questions of a legacy upstream in the middle of a call for a modern client, which receives them in an
//! `input_required` result (2026-07-28, basic, "Multi Round-Trip Requests").

use serde_json::value::RawValue;

use crate::protocol::{self, INTERNAL_ERROR, Message, Object};
use crate::upstream::Reply;

/// Parameters of a question that only the legacy era knows.
const LEGACY_PARAMS: [&str; 2] = ["elicitationId", "task"];

/// A question for the client.
pub(in crate::call) struct InputRequest {
    /// Key under which the client answers.
    key: String,
    /// Gateway's serial number of the upstream's request; `None` if the upstream asked through an error response.
    serial: Option<u64>,
    method: Box<str>,
    /// Raw JSON, or empty.
    params: Box<str>,
    /// Takes the answer. `None` if only the existence of an answer matters.
    reply: Option<Reply>,
}

impl InputRequest {
    /// Builds a question from an upstream's own request.
    pub(in crate::call) fn of_request(key: String, serial: u64, request: &Message, reply: Reply) -> Self {
        let params = modern(request.params());
        Self { key, serial: Some(serial), method: request.method().into(), params, reply: Some(reply) }
    }

    /// Builds questions from the error by which an upstream requires visits to URLs first (2025-11-25, elicitation).
    pub(in crate::call) fn of_refusal(refusal: &Message, mut key: impl FnMut() -> String) -> Vec<Self> {
        let read = || {
            let error = Object::read(refusal.body()).ok()?;
            let data = Object::read(error.get("data")?).ok()?;
            serde_json::from_str::<Vec<&RawValue>>(data.get("elicitations")?).ok()
        };
        let asked = |raw: &RawValue| Self {
            key: key(),
            serial: None,
            method: "elicitation/create".into(),
            params: modern(raw.get()),
            reply: None,
        };
        read().unwrap_or_default().into_iter().map(asked).collect()
    }

    pub(in crate::call) fn key(&self) -> &str {
        &self.key
    }

    pub(in crate::call) fn serial(&self) -> Option<u64> {
        self.serial
    }

    pub(in crate::call) fn method(&self) -> &str {
        &self.method
    }

    pub(in crate::call) fn params(&self) -> &str {
        &self.params
    }

    /// Sends the client's raw result to the upstream.
    pub(in crate::call) fn answer(self, result: &str) {
        if let Some(reply) = self.reply
            && let Ok(response) = Message::parse(protocol::result_response("0", result))
        {
            reply.answer(&response);
        }
    }

    /// Refuses the question towards the upstream.
    pub(crate) fn refuse(self, why: &str) {
        if let Some(reply) = self.reply {
            refuse(reply, why);
        }
    }

    /// Writes `"key":{"method":..}`.
    fn member(&self) -> String {
        let (key, method) = (serde_json::Value::from(self.key.as_str()), serde_json::Value::from(&*self.method));
        let params = if self.params.is_empty() { String::new() } else { format!(r#","params":{}"#, self.params) };
        format!(r#"{key}:{{"method":{method}{params}}}"#)
    }
}

/// Builds the raw `input_required` result with these questions.
pub(in crate::call) fn input_required(asked: &[InputRequest], state: &str, server: &str) -> String {
    let requests = asked.iter().map(InputRequest::member).collect::<Vec<_>>().join(",");
    let key = protocol::SERVER_KEY;
    format!(
        r#"{{"resultType":"input_required","inputRequests":{{{requests}}},"requestState":"{state}","_meta":{{"{key}":{server}}}}}"#
    )
}

/// Refuses an upstream's question with an error response that gives the reason.
pub(crate) fn refuse(reply: Reply, why: &str) {
    if let Ok(response) = Message::parse(protocol::error_response("0", INTERNAL_ERROR, why, "")) {
        reply.answer(&response);
    }
}

fn modern(params: &str) -> Box<str> {
    let Ok(object) = Object::read(params) else { return "".into() };
    if LEGACY_PARAMS.iter().all(|name| object.get(name).is_none()) {
        return params.into();
    }
    protocol::without(&object, &LEGACY_PARAMS).into()
}
