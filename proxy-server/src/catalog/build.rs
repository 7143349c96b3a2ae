//! From what each upstream offers to what a client sees of them all together. Pure: the same offers in the same order
//! give the same view.

mod assign;
mod greeting;
mod members;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use schemas::{ServerName, ToolFilter};

use self::assign::{Assignment, Entry, assign};
use self::greeting::{Greeting, greet};
pub(crate) use self::members::Members;
pub(crate) use self::members::page_uris;
use crate::catalog::list::{Item, List, Lists};
use crate::catalog::name::Naming;
use crate::catalog::provenance::{Audience, GatewayName, Via};
use crate::protocol::{Era, odd_schema, splice};

/// What a page of a list holds at the most. A list is one page unless it is huge.
const PAGE_BYTES: usize = 8 << 20;

/// What one upstream brings into a view.
#[derive(Debug, Clone)]
pub(crate) struct Offered {
    pub(crate) name: ServerName,
    /// The lower, the more it is preferred.
    pub(crate) priority: u32,
    /// Which tools may be seen.
    pub(crate) filter: Option<ToolFilter>,
    pub(crate) lists: Lists,
    /// The era that is spoken with it.
    pub(crate) era: Era,
    /// The raw result of the handshake.
    pub(crate) handshake: Arc<str>,
}

/// What a client sees of all upstreams that it may use. Immutable, and written down already.
#[derive(Debug)]
pub(crate) struct View {
    members: Members,
    greeting: Greeting,
    pages: [Pages; 5],
    /// The tools as legacy clients may read them.
    legacy_tools: Pages,
    tools: HashMap<Box<str>, Pool>,
    prompts: HashMap<Box<str>, Pool>,
    names: Vec<Name>,
}

/// One upstream's thing that a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) upstream: ServerName,
    /// The upstream's own name for it.
    pub(crate) name: Box<str>,
    /// Whether it may be called twice: the upstream says that it is read-only or idempotent.
    pub(crate) repeatable: bool,
}

/// What became of one tool's name, for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) upstream: ServerName,
    pub(crate) name: Box<str>,
    /// What clients call it; nothing when they cannot see it.
    pub(crate) exposed: Option<Box<str>>,
    /// Why that is not what this mode of naming gives to all.
    pub(crate) reason: Option<String>,
    /// Whether the definition's filter hides it.
    pub(crate) hidden: bool,
}

/// The raw results of one list, page by page.
#[derive(Debug, Clone, Default)]
struct Pages {
    all: Vec<Bytes>,
    /// The gateways that the items of each page came through; empty where none came through any.
    via: Vec<Vec<Via>>,
}

/// Names one page of one list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page<'a> {
    pub(crate) era: Era,
    pub(crate) list: List,
    pub(crate) cursor: Option<&'a str>,
}

/// Who can carry out what a name stands for.
#[derive(Debug)]
struct Pool {
    /// In order of priority, with the priority.
    candidates: Vec<(u32, Candidate)>,
    turn: AtomicUsize,
}

/// What the upstreams offer together, as this naming has it.
pub(crate) fn build(offers: Vec<Offered>, naming: &Naming) -> View {
    let greeting = greet(&offers);
    let members = Members::new(offers, naming);
    let [tools, prompts, resources, templates, skills] = List::ALL.map(|list| match list {
        List::Skills => members.skills(),
        List::Tools | List::Prompts | List::Resources | List::Templates => {
            assign(list, naming, members.entries(list).collect())
        }
    });
    let paged = |list, assignment, era| paged(&members, list, assignment, era);
    let all_tools = paged(List::Tools, &tools, Era::Modern);
    let is_odd = |(entry, _): &(Entry<'_>, Box<str>)| odd_schema(&entry.item.raw).is_some();
    let has_odd = tools.listed.iter().any(is_odd);
    let legacy_tools = if has_odd { paged(List::Tools, &tools, Era::Legacy) } else { all_tools.clone() };
    let pages = [
        all_tools,
        paged(List::Prompts, &prompts, Era::Modern),
        paged(List::Resources, &resources, Era::Modern),
        paged(List::Templates, &templates, Era::Modern),
        paged(List::Skills, &skills, Era::Modern),
    ];
    let names = tools.names.into_iter().chain(members.hidden_tools()).collect();
    let (tools, prompts) = (pools(tools.pools), pools(prompts.pools));
    View { members, greeting, pages, legacy_tools, tools, prompts, names }
}

impl View {
    /// The raw result of a list for clients of this era, less what they expect of every result; nothing for a cursor that is
    /// none of the list's own.
    pub(crate) fn page(&self, place: Page<'_>) -> Option<&Bytes> {
        let (pages, number) = self.place(place)?;
        pages.all.get(number)
    }

    /// The same for another gateway.
    pub(super) fn page_for_gateway(&self, own: &GatewayName, place: Page<'_>, asked_by: &str) -> Option<Bytes> {
        let (pages, number) = self.place(place)?;
        let page = std::str::from_utf8(pages.all.get(number)?).ok()?;
        let via = pages.via.get(number).map(Vec::as_slice).unwrap_or_default();
        own.page(place.list.member(), page, via, asked_by).map(Bytes::from)
    }

    fn place(&self, Page { era, list, cursor }: Page<'_>) -> Option<(&Pages, usize)> {
        let number = match cursor {
            None => 0,
            Some(cursor) => cursor.parse().ok().filter(|number| *number > 0)?,
        };
        Some((if (era, list) == (Era::Legacy, List::Tools) { &self.legacy_tools } else { self.pages(list) }, number))
    }

    /// Whether a list reads the same in this view and that.
    pub(crate) fn agrees(&self, other: &Self, list: List) -> bool {
        self.pages(list).all == other.pages(list).all
    }

    /// Who can carry out a call of this tool: the preferred first, and those that are equally preferred in turn.
    pub(crate) fn tool(&self, name: &str) -> Option<Vec<Candidate>> {
        self.tools.get(name).map(Pool::in_turn)
    }

    /// Who has this prompt.
    pub(crate) fn prompt(&self, name: &str) -> Option<Vec<Candidate>> {
        self.prompts.get(name).map(Pool::in_turn)
    }

    /// What clients call the tools that they see.
    pub(crate) fn tool_names(&self) -> impl Iterator<Item = &str> {
        self.tools.keys().map(|name| &**name)
    }

    /// What clients call the prompts.
    pub(crate) fn prompt_names(&self) -> impl Iterator<Item = &str> {
        self.prompts.keys().map(|name| &**name)
    }

    /// The upstreams, and what they call what.
    pub(crate) fn members(&self) -> &Members {
        &self.members
    }

    /// What became of each tool's name, upstream by upstream.
    pub(crate) fn names(&self) -> &[Name] {
        &self.names
    }

    /// The raw result of `server/discover`, for another gateway or for anybody else.
    pub(crate) fn discovery(&self, audience: Audience) -> &Bytes {
        &self.greeting.words(audience).discovery
    }

    /// The raw capabilities of all upstreams together, for a legacy client.
    pub(crate) fn capabilities(&self) -> &str {
        &self.greeting.capabilities
    }

    /// The instructions of all upstreams together. Another gateway is not given those that other gateways gave, which may
    /// be its own.
    pub(crate) fn instructions(&self, audience: Audience) -> Option<&str> {
        self.greeting.words(audience).instructions.as_deref()
    }

    fn pages(&self, list: List) -> &Pages {
        let [tools, prompts, resources, templates, skills] = &self.pages;
        match list {
            List::Tools => tools,
            List::Prompts => prompts,
            List::Resources => resources,
            List::Templates => templates,
            List::Skills => skills,
        }
    }
}

impl Candidate {
    fn new(offered: &Offered, item: &Item) -> Self {
        let repeatable = offered.lists.tool(&item.key).is_some_and(|tool| tool.is_repeatable);
        Self { upstream: offered.name.clone(), name: item.key.clone(), repeatable }
    }
}

impl Pool {
    fn in_turn(&self) -> Vec<Candidate> {
        if let [(_, only)] = self.candidates.as_slice() {
            return vec![only.clone()];
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let groups = self.candidates.chunk_by(|(one, _), (other, _)| one == other);
        let rotated = groups.flat_map(|group| group.iter().cycle().skip(turn % group.len()).take(group.len()));
        rotated.map(|(_, candidate)| candidate.clone()).collect()
    }
}

fn pools(pools: HashMap<Box<str>, Vec<Entry<'_>>>) -> HashMap<Box<str>, Pool> {
    let pool = |(name, holders): (Box<str>, Vec<Entry<'_>>)| {
        let candidate = |entry: &Entry<'_>| (entry.offered.priority, Candidate::new(entry.offered, entry.item));
        let mut candidates: Vec<(u32, Candidate)> = holders.iter().map(candidate).collect();
        candidates.sort_by_key(|(priority, _)| *priority);
        (name, Pool { candidates, turn: AtomicUsize::new(0) })
    };
    pools.into_iter().map(pool).collect()
}

fn paged(members: &Members, list: List, assignment: &Assignment<'_>, era: Era) -> Pages {
    let (mut pages, mut open, mut via) = (Vec::new(), String::new(), vec![Vec::new()]);
    for (entry, exposed) in &assignment.listed {
        let mut item = members.written(list, entry, exposed);
        if (era, list) == (Era::Legacy, List::Tools)
            && let Some(odd) = odd_schema(&item)
        {
            item = splice(&item, &[(odd, "")]);
        }
        if !open.is_empty() && open.len() + item.len() > PAGE_BYTES {
            pages.push(std::mem::take(&mut open));
            via.push(Vec::new());
        }
        via.iter_mut().last().into_iter().for_each(|page| page.push(entry.item.via.clone()));
        if !open.is_empty() {
            open.push(',');
        }
        open.push_str(&item);
    }
    pages.push(open);
    let last = pages.len();
    let page = |(items, next): (String, usize)| {
        let cursor = if next < last { format!(r#","nextCursor":"{next}""#) } else { String::new() };
        Bytes::from(format!(r#"{{"{}":[{items}]{cursor}}}"#, list.member()))
    };
    let all = pages.into_iter().zip(1..).map(page).collect();
    let is_known = via.iter().flatten().any(Option::is_some);
    Pages { all, via: if is_known { via } else { Vec::new() } }
}

#[cfg(test)]
mod tests;
