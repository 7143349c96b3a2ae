//! What a legacy upstream asks in the middle of a call, as a modern client is asked it: as part of an answer
//! (2026-07-28, basic, "Multi Round-Trip Requests").

use serde_json::value::RawValue;

use crate::protocol::{self, INTERNAL_ERROR, Message, Object};
use crate::upstream::Reply;

/// Members of a question that mean something in the legacy era only.
const LEGACY_PARAMS: [&str; 2] = ["elicitationId", "task"];

/// One question to the client.
pub(super) struct Asked {
    /// Under which name the client answers.
    key: String,
    /// The gateway's number of the upstream's request; nothing when the upstream asked by an error.
    serial: Option<u64>,
    method: Box<str>,
    /// Raw, or empty.
    params: Box<str>,
    /// Takes the answer. Without one, all that matters is that there is an answer.
    reply: Option<Reply>,
}

impl Asked {
    /// From an upstream's own request.
    pub(super) fn of_request(key: String, serial: u64, request: &Message, reply: Reply) -> Self {
        let params = modern(request.params());
        Self { key, serial: Some(serial), method: request.method().into(), params, reply: Some(reply) }
    }

    /// From the error by which an upstream wants a URL to be visited first (2025-11-25, elicitation).
    pub(super) fn of_refusal(refusal: &Message, mut key: impl FnMut() -> String) -> Vec<Self> {
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

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn serial(&self) -> Option<u64> {
        self.serial
    }

    pub(super) fn method(&self) -> &str {
        &self.method
    }

    pub(super) fn params(&self) -> &str {
        &self.params
    }

    /// Hands the client's bare result to the upstream.
    pub(super) fn answer(self, result: &str) {
        if let Some(reply) = self.reply
            && let Ok(response) = Message::parse(protocol::result_response("0", result))
        {
            reply.answer(&response);
        }
    }

    /// Tells the upstream that nobody will answer.
    pub(super) fn refuse(self, why: &str) {
        if let Some(reply) = self.reply {
            refuse(reply, why);
        }
    }

    /// `"key":{"method":..}`.
    fn member(&self) -> String {
        let (key, method) = (serde_json::Value::from(self.key.as_str()), serde_json::Value::from(&*self.method));
        let params = if self.params.is_empty() { String::new() } else { format!(r#","params":{}"#, self.params) };
        format!(r#"{key}:{{"method":{method}{params}}}"#)
    }
}

/// The raw result that asks all this.
pub(super) fn input_required(asked: &[Asked], state: &str, server: &str) -> String {
    let requests = asked.iter().map(Asked::member).collect::<Vec<_>>().join(",");
    let key = protocol::SERVER_KEY;
    format!(
        r#"{{"resultType":"input_required","inputRequests":{{{requests}}},"requestState":"{state}","_meta":{{"{key}":{server}}}}}"#
    )
}

/// Tells an upstream why its question is not put to anybody.
pub(super) fn refuse(reply: Reply, why: &str) {
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
