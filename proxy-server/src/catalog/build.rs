//! Builds the view that a client has of all upstreams together. Pure: the same offers in the same order give the same
//! view.

mod assign;
mod greeting;
mod members;
mod offered;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use self::assign::{Assignment, Entry, assign};
use self::greeting::{Greeting, greet};
pub(crate) use self::members::Members;
pub(crate) use self::members::page_uris;
pub(crate) use self::offered::{Candidate, Name, Offered};
use crate::catalog::list::List;
use crate::catalog::name::Naming;
use crate::catalog::provenance::{Audience, GatewayName, Via};
use crate::protocol::{Era, odd_schema, splice};

/// Maximum size of a page of a list. Lists have one page unless they are huge.
const PAGE_BYTES: usize = 8 << 20;

/// The items of all upstreams that a client may use. Immutable, with all pages already serialised.
#[derive(Debug)]
pub(crate) struct View {
    members: Members,
    greeting: Greeting,
    pages: [Pages; 5],
    /// The tools without schemas that legacy clients refuse.
    legacy_tools: Pages,
    tools: HashMap<Box<str>, Pool>,
    prompts: HashMap<Box<str>, Pool>,
    names: Vec<Name>,
}

/// Raw results of one list, page by page.
#[derive(Debug, Clone, Default)]
struct Pages {
    all: Vec<Bytes>,
    /// Gateways that each page's items passed through; empty if no item passed through one.
    via: Vec<Vec<Via>>,
}

/// Address of one page of a list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page<'a> {
    pub(crate) era: Era,
    pub(crate) list: List,
    pub(crate) cursor: Option<&'a str>,
}

/// The upstreams that can answer a call of one name.
#[derive(Debug)]
struct Pool {
    /// Candidates with their priorities, sorted by priority.
    candidates: Vec<(u32, Candidate)>,
    turn: AtomicUsize,
}

/// Builds a view of these offers under a naming scheme.
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
    /// Returns the raw result of a list for clients of this era, without the members that every result has; `None` for
    /// an unknown cursor.
    pub(crate) fn page(&self, place: Page<'_>) -> Option<&Bytes> {
        let (pages, number) = self.place(place)?;
        pages.all.get(number)
    }

    /// Returns a page for another gateway, without the items that came through that gateway.
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

    /// Returns true if a list is identical in both views.
    pub(crate) fn agrees(&self, other: &Self, list: List) -> bool {
        self.pages(list).all == other.pages(list).all
    }

    /// Returns the candidates for a tool: sorted by priority, in rotation among equal priorities.
    pub(crate) fn tool(&self, name: &str) -> Option<Vec<Candidate>> {
        self.tools.get(name).map(Pool::in_turn)
    }

    /// Returns the candidates for a prompt.
    pub(crate) fn prompt(&self, name: &str) -> Option<Vec<Candidate>> {
        self.prompts.get(name).map(Pool::in_turn)
    }

    /// Returns the names under which clients see the tools.
    pub(crate) fn tool_names(&self) -> impl Iterator<Item = &str> {
        self.tools.keys().map(|name| &**name)
    }

    /// Returns the names under which clients see the prompts.
    pub(crate) fn prompt_names(&self) -> impl Iterator<Item = &str> {
        self.prompts.keys().map(|name| &**name)
    }

    /// Returns the upstreams of the view, with their resources.
    pub(crate) fn members(&self) -> &Members {
        &self.members
    }

    /// Returns the naming result of each tool, upstream by upstream.
    pub(crate) fn names(&self) -> &[Name] {
        &self.names
    }

    /// Returns the raw result of `server/discover`, for another gateway or for any other client.
    pub(crate) fn discovery(&self, audience: Audience) -> &Bytes {
        &self.greeting.words(audience).discovery
    }

    /// Returns the raw merged capabilities of all upstreams, for a legacy client.
    pub(crate) fn capabilities(&self) -> &str {
        &self.greeting.capabilities
    }

    /// Returns the merged instructions of all upstreams. For another gateway, omits those of upstreams that are
    /// gateways themselves, because they may contain its own.
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
