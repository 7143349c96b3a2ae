//! Rewrites an upstream's messages for clients of the aggregated endpoint: replaces URIs of resources and ids of tasks
//! by qualified ones, with which the client can address them. Leaves everything else unchanged, and does not copy
//! messages without such members.

use bytes::Bytes;
use memchr::memmem;
use serde_json::value::RawValue;

use crate::catalog::{Members, View, page_uris, qualified_id};
use crate::protocol::{Kind, Message, Object, quote, skill_uris, text};

const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";

/// Returns the parts of an upstream's answer to replace, with their replacements.
pub(crate) fn answer_edits<'a>(
    view: &View,
    upstream: &str,
    method: &str,
    answer: &'a Message,
) -> Vec<(&'a str, String)> {
    let mut edits = Edits { members: view.members(), upstream, found: Vec::new() };
    let body = answer.body();
    let names = |word: &str| memmem::find(body.as_bytes(), word.as_bytes()).is_some();
    let has_uris = !edits.members.keeps_uris() && (names("\"uri\"") || names("esourceUri\""));
    let has_tasks = names("\"taskId\"");
    if !has_uris && !has_tasks {
        return Vec::new();
    }
    let Ok(object) = Object::read(body) else { return Vec::new() };
    if has_uris {
        edits.uris(method, answer.kind(), &object);
    }
    if has_tasks {
        edits.tasks(&object);
    }
    edits.found
}

/// Returns the `requestState` in an answer of type `input_required`, with a replacement that names this upstream, so
/// that the client's next request is routed to it.
pub(crate) fn state_edit<'a>(upstream: &str, answer: &'a Message) -> Option<(&'a str, String)> {
    memmem::find(answer.body().as_bytes(), b"requestState")?;
    let result = Object::read(answer.body()).ok().filter(|_| answer.kind() == Kind::Result)?;
    let place =
        result.get("requestState").filter(|_| result.text("resultType").as_deref() == Some("input_required"))?;
    Some((place, quote(&qualified_id(upstream, &text(place)?))))
}

/// Rewrites a notification for the client; `None` if the client must not get it. List changes are dropped, because the
/// catalog announces them once its own list has changed.
pub(crate) fn notification(view: &View, upstream: &str, bytes: Bytes) -> Option<Bytes> {
    let names = |word: &str| memmem::find(&bytes, word.as_bytes()).is_some();
    if !(names("/list_changed\"") || names("/updated\"") || names("tasks")) {
        return Some(bytes);
    }
    let Ok(message) = Message::parse(bytes.clone()) else { return Some(bytes) };
    let mut edits = Edits { members: view.members(), upstream, found: Vec::new() };
    let params = Object::read(message.params()).ok();
    match message.method() {
        "notifications/tools/list_changed"
        | "notifications/prompts/list_changed"
        | "notifications/resources/list_changed" => return None,
        "notifications/resources/updated" => {
            if let Some(params) = params {
                edits.uri(&params);
            }
        }
        _ => {
            if let Some(params) = params {
                edits.tasks(&params);
                if message.method() == "notifications/tasks" && !edits.members.keeps_uris() {
                    edits.task_result(&params);
                }
            }
        }
    }
    let found = edits.found;
    if found.is_empty() {
        return Some(bytes);
    }
    let edits: Vec<(&str, &str)> = found.iter().map(|(old, new)| (*old, new.as_str())).collect();
    Some(message.with(&edits))
}

struct Edits<'v, 'a> {
    members: &'v Members,
    upstream: &'v str,
    found: Vec<(&'a str, String)>,
}

impl<'a> Edits<'_, 'a> {
    fn uris(&mut self, method: &str, kind: Kind, body: &Object<'a>) {
        if kind == Kind::Error {
            if let Some(Ok(data)) = body.get("data").map(Object::read) {
                self.uri(&data);
            }
            return;
        }
        match method {
            "tools/call" | "tasks/result" => self.tool_result(body),
            "tasks/get" => self.task_result(body),
            "prompts/get" => {
                for message in items(body.get("messages")) {
                    let Some(content) = message.get("content") else { continue };
                    match Object::read(content) {
                        Ok(block) => self.block(&block),
                        Err(_) => items(Some(content)).iter().for_each(|block| self.block(block)),
                    }
                }
            }
            "skills/get" => {
                if let Some(Ok(skill)) = body.get("skill").map(Object::read) {
                    self.exposed(skill_uris(&skill));
                }
            }
            "resources/directory/read" => {
                for child in items(body.get("resources")) {
                    self.uri(&child);
                    self.exposed(page_uris(&child));
                }
            }
            "resources/read" => items(body.get("contents")).iter().for_each(|contents| self.uri(contents)),
            _ => {}
        }
    }

    fn tool_result(&mut self, result: &Object<'a>) {
        for block in items(result.get("content")) {
            self.block(&block);
        }
        self.exposed(page_uris(result));
    }

    fn exposed(&mut self, places: Vec<(&'a str, String)>) {
        for (place, uri) in places {
            self.replace(place, self.members.exposed_uri(self.upstream, &uri));
        }
    }

    /// Rewrites the result that a finished task contains.
    fn task_result(&mut self, task: &Object<'a>) {
        if let Some(Ok(result)) = task.get("result").map(Object::read) {
            self.tool_result(&result);
        }
    }

    /// Rewrites a content block that embeds or links a resource.
    fn block(&mut self, block: &Object<'a>) {
        match block.text("type").as_deref() {
            Some("resource_link") => self.uri(block),
            Some("resource") => {
                if let Some(Ok(resource)) = block.get("resource").map(Object::read) {
                    self.uri(&resource);
                }
            }
            Some(_) | None => {}
        }
    }

    fn uri(&mut self, object: &Object<'a>) {
        let Some(place) = object.get("uri") else { return };
        let Some(uri) = text(place) else { return };
        self.replace(place, self.members.exposed_uri(self.upstream, &uri));
    }

    /// Rewrites task ids in results and notifications: of the object itself, of its `task`, and of the related task.
    fn tasks(&mut self, object: &Object<'a>) {
        let nested = |object: &Object<'a>, name| Object::read(object.get(name)?).ok();
        let related = nested(object, "_meta").and_then(|meta| nested(&meta, RELATED_TASK));
        let places = [object.get("taskId")]
            .into_iter()
            .chain([nested(object, "task"), related].into_iter().map(|task| task.and_then(|task| task.get("taskId"))));
        for place in places.flatten() {
            if let Some(id) = text(place) {
                self.replace(place, qualified_id(self.upstream, &id));
            }
        }
    }

    fn replace(&mut self, place: &'a str, new: String) {
        let new = quote(&new);
        if new != place {
            self.found.push((place, new));
        }
    }
}

/// Parses a list of objects.
fn items(list: Option<&str>) -> Vec<Object<'_>> {
    let raw: Vec<&RawValue> = list.and_then(|list| serde_json::from_str(list).ok()).unwrap_or_default();
    raw.into_iter().filter_map(|item| Object::read(item.get()).ok()).collect()
}

#[cfg(test)]
mod tests;
