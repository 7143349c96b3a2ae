//! Where documents use tools, agents and selectors.

use crate::source::File;
use crate::source::node::Node;
use crate::workflow::document::{self, Kind};

/// Something that is named, and where.
pub(super) struct Use<'a> {
    pub(super) what: What,
    pub(super) file: &'a File,
    pub(super) root: &'a Node,
    /// What names it.
    pub(super) node: &'a Node,
    pub(super) place: Holder,
    pub(super) step: Step,
}

/// What is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// A tool, perhaps one of a server.
    Tool,
    /// An agent, by its id.
    Agent,
    /// An item of a list, in one of the older forms.
    Selector,
}

/// The document, and the agent inside of it, whose servers can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Holder {
    pub(super) file: usize,
    pub(super) document: usize,
    pub(super) agent: Option<usize>,
}

/// The action or task that uses a tool: what it says about arguments.
#[derive(Debug, Clone, Default)]
pub(crate) struct Step {
    /// The arguments themselves.
    pub(crate) with: Option<Node>,
    /// The JSON Schema of what the arguments come from.
    pub(crate) input: Option<Node>,
    /// The file, to place what is in those.
    pub(crate) file: Option<File>,
    /// Whether it is a task that gives arguments by way of an action, which names the tool itself.
    pub(crate) is_passed_on: bool,
}

/// Every use in every document of a file that counts.
pub(super) fn uses(index: usize, file: &File) -> Vec<Use<'_>> {
    let mut uses = Vec::new();
    for (document, root) in file.documents.iter().enumerate() {
        let place = Holder { file: index, document, agent: None };
        let mut walk = Walk { file, root, place, uses: &mut uses };
        match document::kind(file, root) {
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

    /// `tool: x` and `tools: [x]`.
    fn tools(&mut self, holder: &'a Node) {
        let one = holder.get("tool").into_iter();
        for tool in one.chain(holder.get("tools").map(Node::items).unwrap_or_default()) {
            if tool.as_text().is_some() {
                self.add(What::Tool, tool, holder);
            }
        }
    }

    /// Tasks, and the tasks inside of them. The parser bounds how deep they nest.
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

    /// `$use: ...` and `$ref: local::...`, wherever they stand.
    fn selectors(&mut self, node: &'a Node) {
        for item in node.items() {
            self.selectors(item);
        }
        for (key, _, value) in node.as_map().map(|map| map.entries.as_slice()).unwrap_or_default() {
            let is_selector = match key.as_str() {
                "$use" => true,
                // In a JSON Schema `$ref` means something else.
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
