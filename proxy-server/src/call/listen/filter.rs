//! Filter of a `subscriptions/listen` request: the changes that the client wants to be notified of.

use std::collections::{BTreeSet, VecDeque};

use bytes::Bytes;

use crate::error::{Error, Kind};
use crate::protocol::{self, Message, Object};
use crate::upstream::{list_changed, updated};

/// Maximum number of resources, and of tasks, per listener.
const MAX_WANTED: usize = 1_000;

/// Changes that one listener is notified of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) tools: bool,
    pub(super) prompts: bool,
    pub(super) resources: bool,
    pub(super) uris: BTreeSet<String>,
    /// Task ids.
    pub(super) tasks: BTreeSet<String>,
}

impl Filter {
    /// Reads the filter from the `params` of a request.
    pub(super) fn read(params: &str) -> Result<Self, Error> {
        let malformed = || Error::from(Kind::InvalidParams("`notifications` must say what to listen for"));
        let params = Object::read(params).map_err(|_| malformed())?;
        let wanted = params.get("notifications").and_then(|raw| Object::read(raw).ok()).ok_or_else(malformed)?;
        let is = |name| wanted.get(name) == Some("true");
        let texts = |name| match wanted.get(name) {
            Some(raw) => serde_json::from_str::<BTreeSet<String>>(raw).map_err(|_| malformed()),
            None => Ok(BTreeSet::new()),
        };
        let (uris, tasks) = (texts("resourceSubscriptions")?, texts("taskIds")?);
        if uris.len() > MAX_WANTED || tasks.len() > MAX_WANTED {
            return Err(Kind::InvalidParams("too many resources or tasks in one subscription").into());
        }
        let (tools, prompts) = (is("toolsListChanged"), is("promptsListChanged"));
        Ok(Self { tools, prompts, resources: is("resourcesListChanged"), uris, tasks })
    }

    /// Restricts the filter to the capabilities in a legacy upstream's response to `initialize`.
    pub(super) fn offered(self, handshake: &Message) -> Self {
        let result = Object::read(handshake.body()).ok();
        let all = result.and_then(|result| Object::read(result.get("capabilities")?).ok());
        let has = |name: &str, what: &str| {
            let one = all.as_ref().and_then(|all| Object::read(all.get(name)?).ok());
            one.is_some_and(|one| one.get(what) == Some("true"))
        };
        Self {
            tools: self.tools && has("tools", "listChanged"),
            prompts: self.prompts && has("prompts", "listChanged"),
            resources: self.resources && has("resources", "listChanged"),
            uris: if has("resources", "subscribe") { self.uris } else { BTreeSet::new() },
            tasks: BTreeSet::new(),
        }
    }

    /// Writes the filter as the JSON object of the request and the acknowledgement.
    pub(super) fn written(&self) -> String {
        let mut members = Vec::new();
        for (is, name) in [
            (self.tools, "toolsListChanged"),
            (self.prompts, "promptsListChanged"),
            (self.resources, "resourcesListChanged"),
        ] {
            if is {
                members.push(format!("\"{name}\":true"));
            }
        }
        for (texts, name) in [(&self.uris, "resourceSubscriptions"), (&self.tasks, "taskIds")] {
            if !texts.is_empty() {
                members.push(format!("\"{name}\":{}", serde_json::Value::from_iter(texts.iter().map(String::as_str))));
            }
        }
        format!("{{{}}}", members.join(","))
    }

    /// Builds change notifications for every entry of the filter, for the listener with this raw id that may have
    /// missed some.
    pub(super) fn everything(&self, id: &str) -> VecDeque<Bytes> {
        let kinds = [(self.tools, "tools"), (self.prompts, "prompts"), (self.resources, "resources")];
        let lists = kinds.into_iter().filter(|(is, _)| *is).map(|(_, kind)| list_changed(kind));
        let notices = lists.chain(self.uris.iter().map(|uri| updated(uri))).map(Message::parse);
        notices.flatten().map(|notice| protocol::subscribed(&notice, id)).collect()
    }

    pub(super) fn wants(&self, message: &Message) -> bool {
        match message.method() {
            "notifications/tools/list_changed" => self.tools,
            "notifications/prompts/list_changed" => self.prompts,
            "notifications/resources/list_changed" => self.resources,
            "notifications/resources/updated" => {
                let params = Object::read(message.params()).ok();
                let uri = params.and_then(|params| params.text("uri").map(String::from)).unwrap_or_default();
                // The URI may name a part of a subscribed resource (2025-11-25, resources, "Subscriptions").
                self.uris.iter().any(|wanted| part_of(&uri, wanted).is_some())
            }
            _ => false,
        }
    }
}

/// Returns the rest of `uri` after `whole`, if `uri` is that resource itself or a part of it.
pub(super) fn part_of<'a>(uri: &'a str, whole: &str) -> Option<&'a str> {
    uri.strip_prefix(whole).filter(|rest| rest.is_empty() || rest.starts_with(['/', '#', '?']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Message {
        Message::parse(Bytes::copy_from_slice(text.as_bytes())).expect(text)
    }

    #[test]
    fn acknowledges_what_is_wanted_and_offered() {
        let check = |wanted: &str, capabilities: &str, expected: &str| {
            let text = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"capabilities":{capabilities}}}}}"#);
            let wanted = Filter::read(&format!(r#"{{"notifications":{wanted}}}"#)).expect(wanted);
            assert_eq!(wanted.offered(&message(&text)).written(), expected);
        };
        let all = r#"{"tools":{"listChanged":true},"resources":{"subscribe":true}}"#;
        check("{}", all, "{}");
        check(r#"{"toolsListChanged":true,"promptsListChanged":true}"#, all, r#"{"toolsListChanged":true}"#);
        check(r#"{"resourceSubscriptions":["a"]}"#, all, r#"{"resourceSubscriptions":["a"]}"#);
        check(r#"{"resourceSubscriptions":["a"],"toolsListChanged":false}"#, r#"{"resources":{}}"#, "{}");
        check(r#"{"taskIds":["a"]}"#, all, "{}");
        assert!(Filter::read("{}").is_err());
        assert!(Filter::read(r#"{"notifications":{"resourceSubscriptions":[1]}}"#).is_err());
    }

    #[test]
    fn what_may_have_been_missed_is_told_as_changed() {
        let filter = Filter { tools: true, uris: ["a://b".to_owned()].into(), ..Filter::default() };
        let told: Vec<String> =
            filter.everything("7").iter().map(|it| String::from_utf8_lossy(it).into_owned()).collect();
        assert_eq!(told.len(), 2);
        assert!(told[0].contains("notifications/tools/list_changed") && told[0].contains(r#"subscriptionId":7"#));
        assert!(told[1].contains(r#""uri":"a://b""#), "{told:?}");
    }

    #[test]
    fn tells_what_was_asked_for_only() {
        let filter = Filter { tools: true, uris: ["a://b".to_owned()].into(), ..Filter::default() };
        let check = |method: &str, uri: &str, expected: bool| {
            let text = format!(r#"{{"jsonrpc":"2.0","method":"notifications/{method}","params":{{"uri":"{uri}"}}}}"#);
            assert_eq!(filter.wants(&message(&text)), expected, "{text}");
        };
        check("tools/list_changed", "", true);
        check("prompts/list_changed", "", false);
        check("resources/list_changed", "", false);
        check("resources/updated", "a://b", true);
        check("resources/updated", "a://b/c", true);
        check("resources/updated", "a://bc", false);
        check("message", "", false);
    }
}
