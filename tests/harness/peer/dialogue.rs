//! Differences between the eras: server requests during a call, cancelling, subscriptions, logging.

use anyhow::{Result, bail, ensure};
use serde_json::{Map, Value, json};

use super::{META, Peer, text};

/// Maximum number of rounds with questions in one call.
const ROUNDS: usize = 10;

impl Peer {
    /// Calls a tool that asks no questions.
    ///
    /// # Errors
    ///
    /// If there is no result that the era allows.
    pub async fn call(&mut self, tool: &str, arguments: Value) -> Result<Value> {
        self.request("tools/call", json!({ "name": tool, "arguments": arguments })).await
    }

    /// Calls a tool and answers its questions. Returns the questions, `{method, params}` each, and the result.
    ///
    /// # Errors
    ///
    /// If the tool asks in a form that the era forbids, asks without end, or gives no result.
    pub async fn converse(
        &mut self,
        tool: &str,
        arguments: Value,
        reply: impl Fn(&Value) -> Value,
    ) -> Result<(Vec<Value>, Value)> {
        let params = json!({ "name": tool, "arguments": arguments });
        if self.revision.is_modern() {
            self.converse_in_rounds(params, reply).await
        } else {
            self.converse_while_it_waits(params, reply).await
        }
    }

    /// Legacy era: the server sends its own requests on the stream of the call.
    async fn converse_while_it_waits(
        &mut self,
        params: Value,
        reply: impl Fn(&Value) -> Value,
    ) -> Result<(Vec<Value>, Value)> {
        let id = self.begin("tools/call", params).await?;
        let mut asked = Vec::new();
        loop {
            let what = format!("question and no answer to {id}");
            let heard = self.find(&what, |heard| heard.is_question() || heard.is_answer(&id)).await?;
            if !heard.is_question() {
                return Ok((asked, self.outcome(heard)?));
            }
            ensure!(!self.has_streams() || heard.on == id, "asked on the stream of {}, not of {id}", heard.on);
            let question = json!({ "method": heard.message["method"], "params": heard.message["params"] });
            let response = json!({ "jsonrpc": "2.0", "id": heard.message["id"], "result": reply(&question) });
            asked.push(question);
            self.tell(response).await?;
        }
    }

    /// Modern era: the result contains the questions, and the call is repeated with the answers.
    async fn converse_in_rounds(
        &mut self,
        mut params: Value,
        reply: impl Fn(&Value) -> Value,
    ) -> Result<(Vec<Value>, Value)> {
        let mut asked = Vec::new();
        for _ in 0..ROUNDS {
            let mut result = self.request("tools/call", params.clone()).await?;
            match text(&result["resultType"]) {
                "complete" => return Ok((asked, result)),
                "input_required" => {}
                other => bail!("`resultType` is `{other}`"),
            }
            let questions = result["inputRequests"].as_object_mut().map(std::mem::take).unwrap_or_default();
            let answers: Map<_, _> = questions.iter().map(|(key, question)| (key.clone(), reply(question))).collect();
            asked.extend(questions.into_iter().map(|(_, question)| question));
            params["inputResponses"] = Value::Object(answers);
            // Remove the state if the result has none: the previous round's state is no longer valid.
            params["requestState"] = result["requestState"].take();
            if let Some(members) = params.as_object_mut() {
                members.retain(|_, value| !value.is_null());
            }
        }
        bail!("asked for ever: {asked:?}")
    }

    /// Cancels a request, by closing its stream if the era says so, otherwise with a notification.
    ///
    /// # Errors
    ///
    /// If the notification cannot be sent.
    pub async fn cancel(&mut self, id: &Value) -> Result<()> {
        if self.revision.is_modern() && self.has_streams() {
            self.wire.close(id);
            return Ok(());
        }
        let params = json!({ "requestId": id, "reason": "no longer wanted" });
        self.tell(json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params })).await
    }

    /// Subscribes to changes of the tool list and to updates of exactly these resources.
    ///
    /// # Errors
    ///
    /// If the server refuses.
    pub async fn watch(&mut self, uris: &[&str]) -> Result<()> {
        let watched = uris.iter().map(|uri| (*uri).to_owned()).collect();
        let before = std::mem::replace(&mut self.watched, watched);
        if self.revision.is_modern() {
            return self.listen(uris).await;
        }
        let (new, old) = (self.watched.clone(), &before);
        let subscribed = new.iter().filter(|uri| !old.contains(uri)).map(|uri| ("resources/subscribe", uri));
        let dropped = old.iter().filter(|uri| !new.contains(uri)).map(|uri| ("resources/unsubscribe", uri));
        for (method, uri) in subscribed.chain(dropped) {
            self.request(method, json!({ "uri": uri })).await?;
        }
        Ok(())
    }

    /// Modern era: opens the new stream before closing the old one, so that no notification is lost.
    async fn listen(&mut self, uris: &[&str]) -> Result<()> {
        let mut wanted = json!({ "toolsListChanged": true });
        if !uris.is_empty() {
            wanted["resourceSubscriptions"] = json!(uris);
        }
        let id = self.begin("subscriptions/listen", json!({ "notifications": wanted })).await?;
        let old = std::mem::replace(&mut self.listening, id);
        let mut honoured = self.notice("notifications/subscriptions/acknowledged").await?["notifications"].take();
        // Ignore members that are not granted: the server may omit them.
        if let Some(members) = honoured.as_object_mut() {
            members.retain(|_, granted| *granted != json!(false) && *granted != json!([]));
        }
        ensure!(honoured == wanted, "of {wanted}, {honoured} was granted");
        if !old.is_null() {
            self.cancel(&old).await?;
        }
        Ok(())
    }

    /// Waits for a change notification on the subscription's stream. Returns its parameters.
    ///
    /// # Errors
    ///
    /// If there is none in time, or it came on another stream.
    pub async fn notice(&mut self, method: &str) -> Result<Value> {
        let (mut params, on) = self.notification(method).await?;
        let subscription = &params["_meta"][format!("{META}subscriptionId")];
        ensure!(*subscription == self.listening, "{method} is of subscription {subscription}, not {}", self.listening);
        ensure!(!self.has_streams() || on == self.listening, "{method} came on the stream of {on}");
        if let Some(params) = params.as_object_mut() {
            params.shift_remove("_meta");
        }
        Ok(params)
    }

    /// Sets the minimum level of log messages; without it, the modern era has none.
    ///
    /// # Errors
    ///
    /// If the server refuses.
    pub async fn log_from(&mut self, level: &'static str) -> Result<()> {
        self.level = Some(level);
        if !self.revision.is_modern() {
            self.request("logging/setLevel", json!({ "level": level })).await?;
        }
        Ok(())
    }
}
