//! Changes of an upstream's lists: counters of reasons to read a list again, digests of the lists that a client has
//! read, and change notifications.

use std::hash::{BuildHasher as _, Hasher as _};

use bytes::Bytes;
use foldhash::quality::FixedState;

use crate::protocol::{Kind, Message, Object};

/// List methods, each with the kind in its change notification. Resources and their templates share one.
pub(super) const LISTS: [(&str, &str); 4] = [
    ("tools/list", "tools"),
    ("prompts/list", "prompts"),
    ("resources/list", "resources"),
    ("resources/templates/list", "resources"),
];

/// Counters of the reasons to read each list again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ListChanges {
    /// Number of `list_changed` notifications for tools; likewise the next three.
    pub(crate) tools: u64,
    pub(crate) prompts: u64,
    pub(crate) resources: u64,
    pub(crate) skills: u64,
    /// Number of gaps in which announcements may have been missed.
    pub(crate) gaps: u64,
}

/// Digests of the last response that a client has read for each list.
#[derive(Debug, Default)]
pub(super) struct Shown([Option<Digest>; 4]);

/// Digest of a response to a request for a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Digest {
    /// Response to a request without a cursor, which is the whole list unless it names a next page.
    First(u64),
    /// Response to a request with a cursor, which says nothing about the other pages.
    Later,
}

impl ListChanges {
    /// Returns the notifications for the changes since `then`.
    pub(crate) fn notices_since(self, then: Self) -> impl Iterator<Item = Bytes> {
        let kinds = [
            ("tools", self.tools != then.tools),
            ("prompts", self.prompts != then.prompts),
            ("resources", self.resources != then.resources),
        ];
        kinds.into_iter().filter(|(_, changed)| *changed).map(|(kind, _)| list_changed(kind))
    }

    /// Counts a change of the list of this kind.
    pub(crate) fn count(&mut self, kind: &str) {
        match kind {
            "tools" => self.tools += 1,
            "prompts" => self.prompts += 1,
            _ => self.resources += 1,
        }
    }
}

impl Shown {
    /// Records a response that a client has read.
    pub(super) fn note(&mut self, request: &Message, answer: &Message) {
        let list = LISTS.iter().position(|(method, _)| *method == request.method());
        if let Some(place) = list.and_then(|list| self.0.get_mut(list))
            && answer.kind() == Kind::Result
        {
            let cursor = Object::read(request.params()).ok().and_then(|params| params.get("cursor"));
            *place = Some(if cursor.is_some() { Digest::Later } else { Digest::of(answer) });
        }
    }

    /// Returns the list methods that a client has used, each with the kind of its list.
    pub(super) fn asked(&self) -> Vec<(&'static str, &'static str)> {
        let asked = LISTS.iter().zip(&self.0).filter(|(_, shown)| shown.is_some());
        asked.map(|(list, _)| *list).collect()
    }

    /// True if this response to a request without a cursor is known to equal the one that the client has read. Only here
    /// is the response parsed for a next page, because `note` runs for every list that a client reads.
    pub(super) fn agrees(&self, method: &str, answer: &Message) -> bool {
        let shown = LISTS.iter().zip(&self.0).find(|((known, _), _)| *known == method).and_then(|(_, shown)| *shown);
        let is_whole = || Object::read(answer.body()).is_ok_and(|list| list.get("nextCursor").is_none());
        answer.kind() == Kind::Result && shown == Some(Digest::of(answer)) && is_whole()
    }
}

impl Digest {
    fn of(answer: &Message) -> Self {
        let mut hasher = FixedState::default().build_hasher();
        hasher.write(answer.body().as_bytes());
        Self::First(hasher.finish())
    }
}

/// Builds the notification that the list of this kind has changed.
pub(crate) fn list_changed(kind: &str) -> Bytes {
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","method":"notifications/{kind}/list_changed"}}"#))
}

/// Builds the notification that a resource has changed.
pub(crate) fn updated(uri: &str) -> Bytes {
    let uri = serde_json::Value::from(uri);
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{{"uri":{uri}}}}}"#))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Message {
        Message::parse(Bytes::copy_from_slice(text.as_bytes())).expect("a message")
    }

    fn answer(result: &str) -> Message {
        message(&format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#))
    }

    #[test]
    fn a_list_agrees_with_what_was_shown_only_where_it_is_known_to() {
        let check = |params: &str, shown: &str, now: &str, agrees: bool| {
            let request = message(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{params}}}"#));
            let mut seen = Shown::default();
            seen.note(&request, &answer(shown));
            assert_eq!(seen.asked(), [("tools/list", "tools")]);
            assert_eq!(seen.agrees("tools/list", &answer(now)), agrees, "{params} {shown} {now}");
        };
        let (one, two) = (r#"{"tools":[{"name":"a"}]}"#, r#"{"tools":[{"name":"a"},{"name":"b"}]}"#);
        check("{}", one, one, true);
        check("{}", one, two, false);
        check(r#"{"cursor":"2"}"#, one, one, false);
        let page = r#"{"tools":[{"name":"a"}],"nextCursor":"2"}"#;
        check("{}", page, page, false);
        check("{}", page, one, false);
    }

    #[test]
    fn what_was_never_shown_is_not_asked_for() {
        let mut shown = Shown::default();
        let request = message(r#"{"jsonrpc":"2.0","id":1,"method":"prompts/list"}"#);
        shown.note(&request, &message(r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":""}}"#));
        assert!(shown.asked().is_empty());
        assert!(!shown.agrees("prompts/list", &answer("{}")));
    }

    #[test]
    fn each_kind_is_told_once_however_often_it_changed() {
        let then = ListChanges { tools: 1, ..ListChanges::default() };
        let mut now = ListChanges { tools: 3, gaps: 4, ..then };
        now.count("resources");
        let told: Vec<Bytes> = now.notices_since(then).collect();
        assert_eq!(told, [list_changed("tools"), list_changed("resources")]);
        assert_eq!(now.notices_since(now).count(), 0);
    }
}
