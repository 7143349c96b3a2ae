//! The lists that an upstream may have, and their items as received bytes.

use std::collections::HashMap;
use std::sync::Arc;

use crate::catalog::provenance::Via;
use crate::catalog::tool::Tool;
use crate::protocol::{Object, Skills};
use crate::upstream::ListChanges;

/// One of the lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum List {
    Tools,
    Prompts,
    Resources,
    Templates,
    /// Skills of the skills extension (SEP-2640).
    Skills,
}

/// All lists of one upstream.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lists {
    all: [Arc<[Item]>; 5],
    /// Properties of the tools that have any of note.
    special: Arc<HashMap<Box<str>, Tool>>,
}

/// One tool, prompt, resource, template or skill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// Name, URI or URI template of the item.
    pub(crate) key: Box<str>,
    /// The whole item, as the upstream sent it.
    pub(crate) raw: Box<str>,
    /// Gateways that the item passed through.
    pub(crate) via: Via,
}

impl List {
    pub(crate) const ALL: [Self; 5] = [Self::Tools, Self::Prompts, Self::Resources, Self::Templates, Self::Skills];

    /// Returns the request method that reads the list.
    pub(crate) fn method(self) -> &'static str {
        match self {
            Self::Tools => "tools/list",
            Self::Prompts => "prompts/list",
            Self::Resources => "resources/list",
            Self::Templates => "resources/templates/list",
            Self::Skills => "skills/list",
        }
    }

    /// Returns the list that a request method reads.
    pub(crate) fn asked_by(method: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|list| list.method() == method)
    }

    /// Returns the member of the result that holds the items.
    pub(crate) fn member(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
            Self::Skills => "skills",
        }
    }

    /// Returns the member that identifies an item.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Self::Tools | Self::Prompts => "name",
            Self::Resources | Self::Skills => "uri",
            Self::Templates => "uriTemplate",
        }
    }

    /// Returns the capability that declares the list, which is also part of the method of its change notification.
    /// `None` for skills: an extension declares them, and has no such notification.
    pub(crate) fn kind(self) -> Option<&'static str> {
        match self {
            Self::Tools => Some("tools"),
            Self::Prompts => Some("prompts"),
            Self::Resources | Self::Templates => Some("resources"),
            Self::Skills => None,
        }
    }

    /// Returns true if the raw handshake declares the list.
    pub(crate) fn is_declared(self, handshake: &str) -> bool {
        let Some(kind) = self.kind() else { return Skills::declared(handshake).is_some() };
        let result = Object::read(handshake).ok();
        let capabilities = result.and_then(|result| Object::read(result.get("capabilities")?).ok());
        capabilities.is_some_and(|all| all.get(kind).is_some())
    }

    /// Counts the reasons to read the list again.
    pub(crate) fn changes(self, changes: &ListChanges) -> u64 {
        self.announcements(changes) + changes.gaps
    }

    /// Counts the changes of the list that the upstream announced.
    pub(crate) fn announcements(self, changes: &ListChanges) -> u64 {
        match self {
            Self::Tools => changes.tools,
            Self::Prompts => changes.prompts,
            Self::Resources | Self::Templates => changes.resources,
            // Count resource changes too, because the files of a skill are resources.
            Self::Skills => changes.resources + changes.skills,
        }
    }
}

impl Lists {
    pub(crate) fn get(&self, list: List) -> &Arc<[Item]> {
        let [tools, prompts, resources, templates, skills] = &self.all;
        match list {
            List::Tools => tools,
            List::Prompts => prompts,
            List::Resources => resources,
            List::Templates => templates,
            List::Skills => skills,
        }
    }

    /// Returns the known properties of a tool, if any are of note.
    pub(crate) fn tool(&self, name: &str) -> Option<&Tool> {
        self.special.get(name)
    }

    /// Replaces the items of a list.
    pub(crate) fn set(&mut self, list: List, items: Arc<[Item]>) {
        if list == List::Tools {
            let read =
                |item: &Item| Some((item.key.clone(), Tool::read(&item.raw).filter(|tool| *tool != Tool::default())?));
            self.special = Arc::new(items.iter().filter_map(read).collect());
        }
        let [tools, prompts, resources, templates, skills] = &mut self.all;
        let place = match list {
            List::Tools => tools,
            List::Prompts => prompts,
            List::Resources => resources,
            List::Templates => templates,
            List::Skills => skills,
        };
        *place = items;
    }
}

impl Item {
    /// Parses one item of this list; `None` if its key is missing.
    pub(crate) fn read(list: List, raw: &str) -> Option<Self> {
        let key = Object::read(raw).ok()?.text(list.key())?.as_ref().into();
        Some(Self { key, raw: raw.into(), via: None })
    }
}
