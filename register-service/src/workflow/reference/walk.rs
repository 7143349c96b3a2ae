//! Walks documents and collects their uses of tools, agents and selectors.

use schemas::document::Node;

use crate::source::File;
use crate::workflow::kind::{Kind, kind};
use crate::workflow::reference::tool::Step;

/// Use of a tool, agent or selector, with its position.
pub(super) struct Use<'a> {
    pub(super) what: What,
    pub(super) file: &'a File,
    pub(super) root: &'a Node,
    /// Node that names the target.
    pub(super) node: &'a Node,
    pub(super) place: Holder,
    pub(super) step: Step,
}

/// Kind of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// A tool, possibly one of a server.
    Tool,
    /// An agent, by its id.
    Agent,
    /// An item of a list, in one of the older forms.
    Selector,
}

/// Document, and agent inside of it, whose servers are visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Holder {
    pub(super) file: usize,
    pub(super) document: usize,
    pub(super) agent: Option<usize>,
}

/// Collects every use in a file's documents, except foreign ones.
pub(super) fn uses(index: usize, file: &File) -> Vec<Use<'_>> {
    let mut uses = Vec::new();
    for (document, root) in file.documents.iter().enumerate() {
        let place = Holder { file: index, document, agent: None };
        let mut walk = Walk { file, root, place, uses: &mut uses };
        match kind(file, root) {
            Kind::Foreign => continue,
            Kind::Agent => walk.agent(root),
            Kind::Workflow | Kind::Project => {
                walk.tasks(root);
                for (agent, node) in root.get("agents").map(Node::items).unwrap_or_default().iter().enumerate() {
                    walk.place.agent = Some(agent);
                    match node.as_map() {
                        Some(_) => walk.agent(node),
                        None => walk.add(What::Agent, node, node),
                    }
                }
            }
        }
        walk.place.agent = None;
        walk.selectors(root);
    }
    uses
}

struct Walk<'a, 'u> {
    file: &'a File,
    root: &'a Node,
    place: Holder,
    uses: &'u mut Vec<Use<'a>>,
}

impl<'a> Walk<'a, '_> {
    fn add(&mut self, what: What, node: &'a Node, step: &'a Node) {
        let is_reference = what == What::Tool && node.as_text().is_some_and(|text| text.text.contains('#'));
        let step = match is_reference {
            true => Step {
                with: step.get("with").cloned(),
                input: step.get("input").cloned(),
                file: Some(self.file.without_documents()),
                is_passed_on: false,
            },
            false => Step::default(),
        };
        self.uses.push(Use { what, file: self.file, root: self.root, node, place: self.place, step });
    }

    fn agent(&mut self, agent: &'a Node) {
        self.tools(agent);
        for action in agent.get("actions").map(Node::items).unwrap_or_default() {
            self.tools(action);
        }
    }

    /// Collects `tool: x` and `tools: [x]`.
    fn tools(&mut self, holder: &'a Node) {
        let one = holder.get("tool").into_iter();
        for tool in one.chain(holder.get("tools").map(Node::items).unwrap_or_default()) {
            if tool.as_text().is_some() {
                self.add(What::Tool, tool, holder);
            }
        }
    }

    /// Collects uses in tasks and their nested tasks. The parser bounds the nesting.
    fn tasks(&mut self, holder: &'a Node) {
        let one = holder.get("task").into_iter();
        for task in holder.get("tasks").map(Node::items).unwrap_or_default().iter().chain(one) {
            self.tools(task);
            if let Some(agent) = task.get("agent").filter(|agent| agent.as_text().is_some()) {
                self.add(What::Agent, agent, task);
            }
            self.tasks(task);
        }
    }

    /// Collects `$use: ...` and `$ref: local::...` at any depth.
    fn selectors(&mut self, node: &'a Node) {
        for item in node.items() {
            self.selectors(item);
        }
        for (key, _, value) in node.as_map().map(|map| map.entries.as_slice()).unwrap_or_default() {
            let is_selector = match key.as_str() {
                "$use" => true,
                // `$ref` has another meaning in a JSON Schema.
                "$ref" => value.literal().is_some_and(|it| it.contains("::")),
                _ => false,
            };
            match is_selector && value.as_text().is_some() {
                true => self.add(What::Selector, value, value),
                false => self.selectors(value),
            }
        }
    }
}
