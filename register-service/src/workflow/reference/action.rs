//! Checks tasks that ask an agent for an action: that the agent has it, and which arguments it gets.
//!
//! A task's `with` is the input of the agent's action. An action that names a tool and has no `with` of its own passes
//! that input on to the tool.

use std::collections::HashMap;

use schemas::document::Node;

use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::source::File;
use crate::workflow::kind::{Kind, kind};
use crate::workflow::selector;

/// Task and the agent that it asks.
pub(super) struct Request<'a> {
    pub(super) file: &'a File,
    task: &'a Node,
    agent: &'a Node,
    action: &'a Node,
}

/// Arguments that a task gives a tool through an action.
pub(super) struct PassedOn<'a> {
    /// Node with the text that names the tool.
    pub(super) tool: &'a Node,
    pub(super) with: &'a Node,
}

/// Returns every task that names an action and an agent of these files.
pub(super) fn requests(files: &[File]) -> Vec<Request<'_>> {
    let agents = agents(files);
    let mut requests = Vec::new();
    for (file, root) in documents(files) {
        let mut tasks = Vec::new();
        add_tasks(root, &mut tasks);
        for task in tasks {
            let Some(action) = task.get("action").filter(|it| it.as_text().is_some()) else { continue };
            let agent = match task.get("agent") {
                Some(agent) if agent.as_map().is_some() => Some(agent),
                _ => named(task).and_then(|id| agents.get(id.as_str()).copied().flatten()),
            };
            requests.extend(agent.map(|agent| Request { file, task, agent, action }));
        }
    }
    requests
}

fn documents(files: &[File]) -> impl Iterator<Item = (&File, &Node)> {
    files.iter().flat_map(|file| file.documents.iter().map(move |root| (file, root)))
}

/// Returns agents by id; `None` for an id that several have.
fn agents(files: &[File]) -> HashMap<&str, Option<&Node>> {
    let mut agents = HashMap::new();
    for (file, root) in documents(files) {
        let found = match kind(file, root) {
            Kind::Agent => std::slice::from_ref(root),
            Kind::Workflow | Kind::Project => root.get("agents").map(Node::items).unwrap_or_default(),
            Kind::Foreign => &[],
        };
        for agent in found.iter().filter(|agent| agent.as_map().is_some()) {
            let Some(id) = agent.get("id").and_then(Node::literal) else { continue };
            agents.entry(id).and_modify(|other| *other = None).or_insert(Some(agent));
        }
    }
    agents
}

fn add_tasks<'a>(holder: &'a Node, tasks: &mut Vec<&'a Node>) {
    let one = holder.get("task").into_iter();
    for task in holder.get("tasks").map(Node::items).unwrap_or_default().iter().chain(one) {
        tasks.push(task);
        add_tasks(task, tasks);
    }
}

/// Returns the id of the agent that a task names, in any form.
fn named(task: &Node) -> Option<String> {
    if let Some(id) = task.get("agent").and_then(Node::literal) {
        return Some(id.to_owned());
    }
    let selector = selector::parse(task.get("$use")?.literal()?).ok()?;
    (selector.list == "agents").then_some(selector.id)
}

impl<'a> Request<'a> {
    /// Returns a diagnostic if the agent has no such action. Agents with an action without an id are not checked.
    pub(super) fn unknown(&self) -> Option<Diagnostic> {
        let wanted = self.action.literal().filter(|it| !it.contains("{{"))?;
        let actions = self.agent.get("actions").map(Node::items).filter(|it| !it.is_empty())?;
        let ids: Vec<&str> = actions.iter().map(|it| it.get("id").and_then(Node::literal)).collect::<Option<_>>()?;
        if ids.contains(&wanted) {
            return None;
        }
        let agent = self.agent.get("id").and_then(Node::literal).unwrap_or_default();
        let message = format!("agent `{agent}` has no action `{wanted}`");
        let remark = Diagnostic::new(Code::UnknownReference, &self.file.at(self.action.span), message);
        let near = nearest(wanted, ids.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        Some(near.into_iter().fold(remark, Diagnostic::hint))
    }

    /// Returns the arguments that the task gives the action's tool, if the action passes them on.
    pub(super) fn passed_on(&self) -> Option<PassedOn<'a>> {
        let with = self.task.get("with")?;
        let wanted = self.action.literal()?;
        let actions = self.agent.get("actions").map(Node::items).unwrap_or_default();
        let action = actions.iter().find(|it| it.get("id").and_then(Node::literal) == Some(wanted))?;
        if action.get("with").is_some() {
            return None;
        }
        Some(PassedOn { tool: action.get("tool")?, with })
    }
}
