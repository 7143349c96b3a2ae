//! The offered items from `catalog.json`: tools, prompts, resources and resource templates.
//!
//! Texts in the catalog may contain `{/a/b}`, a JSON pointer into the arguments and answers of the call.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::message::{Fault, INVALID_PARAMS};

pub(crate) struct Catalog {
    pub(crate) tools: Shelf,
    pub(crate) prompts: Shelf,
    pub(crate) resources: Shelf,
    pub(crate) templates: Shelf,
}

pub(crate) struct Shelf {
    key: &'static str,
    items: Vec<Item>,
    by_name: HashMap<String, usize>,
    page: usize,
    /// True while the hidden items are listed.
    shows_hidden: AtomicBool,
    /// The whole list without and with the hidden items, serialised once.
    lists: [String; 2],
}

/// A tool, a prompt, a resource or a template.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Item {
    definition: Value,
    /// Result once all questions are answered.
    #[serde(default)]
    pub(crate) result: Value,
    /// Questions asked before the result, by round and key.
    #[serde(default)]
    pub(crate) rounds: Vec<Map<String, Value>>,
    /// True if answers count only together with their `requestState`.
    #[serde(default)]
    pub(crate) needs_state: bool,
    /// True if questions that the client cannot answer are skipped.
    #[serde(default)]
    pub(crate) asks_what_it_may: bool,
    #[serde(default)]
    pub(crate) task: Tasking,
    /// True if `script` implements the item.
    #[serde(default)]
    pub(crate) has_code: bool,
    #[serde(default)]
    is_hidden: bool,
    /// The result, if it is always the same.
    #[serde(skip)]
    pub(crate) fixed: Option<String>,
    /// Arguments that are also sent as headers, each with the name after `Mcp-Param-`.
    #[serde(skip)]
    pub(crate) header_parameters: Vec<(String, String)>,
}

/// Rule for running a call as a task.
#[derive(Deserialize, Clone, Copy, Default, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Tasking {
    #[default]
    Never,
    Optional,
    Required,
    /// Required, but only after the questions are answered.
    AfterQuestions,
}

impl Catalog {
    pub(crate) fn new(page: Option<usize>, extra_tools: usize) -> io::Result<Self> {
        let mut document: HashMap<String, Vec<Item>> = serde_json::from_str(include_str!("catalog.json"))?;
        let mut shelf = |key: &'static str| Shelf {
            key,
            items: document.remove(key).unwrap_or_default(),
            by_name: HashMap::new(),
            page: page.unwrap_or(usize::MAX).max(1),
            shows_hidden: AtomicBool::new(false),
            lists: Default::default(),
        };
        let mut tools = shelf("tools");
        for number in 0..extra_tools {
            tools.items.push(serde_json::from_value(extra_tool(number))?);
        }
        let [prompts, resources, templates] = ["prompts", "resources", "templates"].map(shelf);
        let [tools, prompts, resources, templates] = [tools, prompts, resources, templates].map(Shelf::finished);
        Ok(Self { tools, prompts, resources, templates })
    }
}

impl Shelf {
    fn finished(mut self) -> Self {
        for (index, item) in self.items.iter_mut().enumerate() {
            let text = item.result.to_string();
            item.fixed = (item.answers_at_once() && !text.contains("{/")).then_some(text);
            let parameters = item.definition["inputSchema"]["properties"].as_object().into_iter().flatten();
            item.header_parameters = parameters
                .filter_map(|(name, schema)| Some((name.clone(), schema["x-mcp-header"].as_str()?.to_owned())))
                .collect();
            let name = ["name", "uri"].map(|key| item.definition[key].as_str().unwrap_or_default());
            let name = if self.key == "resources" { name[1] } else { name[0] };
            self.by_name.insert(name.to_owned(), index);
        }
        self.lists = [false, true].map(|hidden| self.page_from(0, hidden));
        self
    }

    /// Returns the item with this name or URI, if it is listed now.
    pub(crate) fn get(&self, name: &str) -> Option<&Item> {
        let item = self.items.get(*self.by_name.get(name)?)?;
        (!item.is_hidden || self.shows_hidden()).then_some(item)
    }

    /// Lists or unlists the hidden items.
    pub(crate) fn toggle(&self) {
        self.shows_hidden.fetch_xor(true, Ordering::Relaxed);
    }

    /// Returns the result of a list request.
    pub(crate) fn list(&self, cursor: Option<&str>) -> Result<String, Fault> {
        let [without, with] = &self.lists;
        let Some(cursor) = cursor else {
            return Ok(if self.shows_hidden() { with } else { without }.clone());
        };
        let start = cursor.strip_prefix("from-").and_then(|start| start.parse().ok());
        let start = start.filter(|start| *start < self.items.len());
        let start = start.ok_or_else(|| Fault::new(INVALID_PARAMS, "there is no such page"))?;
        Ok(self.page_from(start, self.shows_hidden()))
    }

    fn page_from(&self, start: usize, hidden: bool) -> String {
        let end = start.saturating_add(self.page).min(self.items.len());
        let shown = self.items.iter().skip(start).take(end - start).filter(|item| hidden || !item.is_hidden);
        let key = if self.key == "templates" { "resourceTemplates" } else { self.key };
        let mut list = json!({ key: shown.map(|item| &item.definition).collect::<Vec<_>>() });
        if end < self.items.len() {
            list["nextCursor"] = json!(format!("from-{end}"));
        }
        list.to_string()
    }

    fn shows_hidden(&self) -> bool {
        self.shows_hidden.load(Ordering::Relaxed)
    }
}

impl Item {
    /// Returns true if the item has no questions, no code and no task.
    pub(crate) fn answers_at_once(&self) -> bool {
        self.rounds.is_empty() && !self.has_code && self.task == Tasking::Never
    }
}

/// Builds one of many similar tools.
fn extra_tool(number: usize) -> Value {
    let query = json!({ "type": "string", "description": "What to look for" });
    let limit = json!({ "type": "integer", "minimum": 1, "maximum": 100, "default": 10 });
    let schema = json!({ "type": "object", "properties": { "query": query, "limit": limit }, "required": ["query"] });
    json!({
        "definition": { "name": format!("extra_{number:04}"), "description": "Makes a list long.", "inputSchema": schema },
        "result": { "content": [{ "type": "text", "text": "{/arguments/query}" }] },
    })
}

/// Replaces every placeholder in the texts of a value.
pub(crate) fn fill(template: &Value, context: &Value) -> Value {
    match template {
        Value::String(text) => Value::String(fill_text(text, context)),
        Value::Array(items) => items.iter().map(|item| fill(item, context)).collect(),
        Value::Object(members) => {
            Value::Object(members.iter().map(|(key, value)| (key.clone(), fill(value, context))).collect())
        }
        other => other.clone(),
    }
}

fn fill_text(text: &str, context: &Value) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{/") {
        let (pointer, tail) = after.split_once('}').unwrap_or((after, ""));
        filled += before;
        match context.pointer(&format!("/{pointer}")) {
            Some(Value::String(value)) => filled += value,
            Some(value) => filled += &value.to_string(),
            None => {}
        }
        rest = tail;
    }
    filled + rest
}
