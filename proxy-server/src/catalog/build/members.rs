//! The upstreams of a view, and the owner of each resource URI.

mod member;
mod skill_index;
mod skills;

use std::collections::HashMap;

use indexmap::IndexMap;
use schemas::ServerName;

use self::member::Member;
use self::skill_index::SkillIndex;
use super::assign::Entry;
use super::offered::{Candidate, Name, Offered};
use crate::catalog::list::{Item, List};
use crate::catalog::name::{Mode, Naming, qualified_uri, split_uri};
use crate::protocol::{Object, quote, skill_uris, splice, text};

/// The upstreams of a view, in registration order.
#[derive(Debug)]
pub(crate) struct Members {
    naming: Naming,
    all: IndexMap<ServerName, Member>,
    /// The first upstream that lists each URI.
    resources: HashMap<Box<str>, usize>,
    /// Literal prefixes of the URI templates, each with the first upstream that has it.
    templates: Vec<(Box<str>, usize)>,
    /// The only upstream with resources, if exactly one has any.
    only: Option<usize>,
    skills: SkillIndex,
}

impl Members {
    pub(super) fn new(offers: Vec<Offered>, naming: &Naming) -> Self {
        let all: IndexMap<ServerName, Member> =
            offers.into_iter().map(|offered| (offered.name.clone(), Member::new(offered))).collect();
        let (mut resources, mut templates, mut skills) = (HashMap::new(), Vec::new(), SkillIndex::default());
        for (index, member) in all.values().enumerate() {
            for item in member.offered.lists.get(List::Resources).iter() {
                resources.entry(item.key.clone()).or_insert(index);
            }
            for item in member.offered.lists.get(List::Templates).iter() {
                let literal: Box<str> = item.key.split('{').next().unwrap_or_default().into();
                if !templates.iter().any(|(known, _)| *known == literal) {
                    templates.push((literal, index));
                }
            }
            skills.add(index, member, &mut resources);
        }
        skills.close(all.values());
        let mut having = all.values().enumerate().filter(|(_, member)| member.has_resources);
        let only = having.next().map(|(index, _)| index).filter(|_| having.next().is_none());
        Self { naming: naming.clone(), all, resources, templates, only, skills }
    }

    /// Returns all visible items of one list, in order. Within an upstream, the first item of a name counts.
    pub(super) fn entries(&self, list: List) -> impl Iterator<Item = Entry<'_>> {
        self.all.values().flat_map(move |member| {
            let offered = &member.offered;
            let mut seen = std::collections::HashSet::new();
            let visible = offered.lists.get(list).iter().filter(move |item| list != List::Tools || offered.shows(item));
            visible.filter(move |item| seen.insert(&*item.key)).map(move |item| Entry { offered, item })
        })
    }

    pub(super) fn hidden_tools(&self) -> impl Iterator<Item = Name> + '_ {
        self.all.values().flat_map(|member| {
            let offered = &member.offered;
            let hidden = offered.lists.get(List::Tools).iter().filter(|item| !offered.shows(item));
            hidden.map(|item| Name {
                upstream: offered.name.clone(),
                name: item.key.clone(),
                exposed: None,
                reason: Some("hidden by the definition's tool filter".to_owned()),
                hidden: true,
            })
        })
    }

    pub(crate) fn naming(&self) -> &Naming {
        &self.naming
    }

    /// Returns the names of the upstreams.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.all.keys().map(ServerName::as_str)
    }

    /// Returns the URIs under which clients see the resources.
    pub(crate) fn uris(&self) -> impl Iterator<Item = String> {
        self.all.iter().flat_map(|(name, member)| {
            let items = member.offered.lists.get(List::Resources).iter();
            items.map(|item| self.exposed_uri(name.as_str(), &item.key))
        })
    }

    pub(crate) fn get(&self, upstream: &str) -> Option<&Member> {
        self.all.get(upstream)
    }

    /// Returns one upstream's tool or prompt by its own name. An unlisted one is returned too, because the upstream
    /// may offer it only to some clients or since recently; but not an unlisted tool if a filter exists, because
    /// hidden and missing tools must look the same.
    pub(crate) fn own(&self, upstream: &str, list: List, name: &str) -> Option<Candidate> {
        let offered = &self.all.get(upstream)?.offered;
        let visible = |item: &&Item| &*item.key == name && (list != List::Tools || offered.shows(item));
        let listed = offered.lists.get(list).iter().find(visible).map(|item| Candidate::new(offered, item));
        let unlisted = || Candidate { upstream: offered.name.clone(), name: name.into(), repeatable: false };
        listed.or_else(|| (list != List::Tools || offered.filter.is_none()).then(unlisted))
    }

    /// Returns the upstream that has a resource, and the upstream's own URI of it.
    pub(crate) fn resource<'a>(&self, uri: &'a str) -> Option<(&ServerName, &'a str)> {
        if let Some((upstream, own)) = split_uri(uri)
            && let Some((name, _)) = self.all.get_key_value(upstream.as_str())
        {
            return Some((name, own));
        }
        let only = self.only.filter(|_| !self.is_foreign(uri));
        let listed = self.resources.get(uri).copied().or_else(|| self.skills.around(uri));
        let index = listed.or_else(|| self.like_a_template(uri)).or(only)?;
        self.all.get_index(index).map(|(name, _)| (name, uri))
    }

    /// Returns true if a URI contains the name of an upstream. If that upstream is not in the view, no other one has
    /// the URI.
    fn is_foreign(&self, uri: &str) -> bool {
        self.naming.mode != Mode::Never && split_uri(uri).is_some()
    }

    /// Returns the URI under which clients see this upstream's resource.
    pub(crate) fn exposed_uri(&self, upstream: &str, uri: &str) -> String {
        let stays = match self.naming.mode {
            Mode::Always => false,
            Mode::Never => true,
            Mode::OnConflict => self.resource(uri).is_some_and(|(owner, _)| owner.as_str() == upstream),
        };
        if stays { uri.to_owned() } else { qualified_uri(upstream, uri) }
    }

    /// Returns true if all URIs are exposed unchanged.
    pub(crate) fn keeps_uris(&self) -> bool {
        match self.naming.mode {
            Mode::Always => false,
            Mode::Never => true,
            Mode::OnConflict => self.all.len() == 1,
        }
    }

    /// Serialises an item with the name or URI that clients use, also in the URI of its page and of a skill's files.
    pub(super) fn written(&self, list: List, entry: &Entry<'_>, exposed: &str) -> String {
        let raw = &*entry.item.raw;
        let Ok(object) = Object::read(raw) else { return raw.to_owned() };
        let key = object.get(list.key()).filter(|_| *entry.item.key != *exposed);
        let mut others = if self.keeps_uris() { Vec::new() } else { page_uris(&object) };
        if list == List::Skills && !self.keeps_uris() {
            // Skip the first URI, the skill itself: it is replaced above.
            others.extend(skill_uris(&object).into_iter().skip(1));
        }
        let upstream = entry.offered.name.as_str();
        let others = others.into_iter().map(|(place, uri)| (place, quote(&self.exposed_uri(upstream, &uri))));
        let edits: Vec<(&str, String)> = key.map(|key| (key, quote(exposed))).into_iter().chain(others).collect();
        let edits: Vec<(&str, &str)> = edits.iter().map(|(old, new)| (*old, new.as_str())).collect();
        splice(raw, &edits)
    }

    /// Returns the upstream of the template with the longest literal prefix of this URI.
    fn like_a_template(&self, uri: &str) -> Option<usize> {
        let alike = self.templates.iter().filter(|(literal, _)| !literal.is_empty() && uri.starts_with(&**literal));
        let longest = alike.fold(None, |best: Option<&(Box<str>, usize)>, next| match best {
            Some(best) if best.0.len() >= next.0.len() => Some(best),
            Some(_) | None => Some(next),
        });
        longest.map(|(_, index)| *index)
    }
}

/// Returns the URIs of the page in an object's `_meta`: `_meta.ui.resourceUri`, its older form `ui/resourceUri`, and
/// `openai/outputTemplate` of the Apps SDK.
pub(crate) fn page_uris<'a>(object: &Object<'a>) -> Vec<(&'a str, String)> {
    let Some(meta) = object.get("_meta").and_then(|meta| Object::read(meta).ok()) else { return Vec::new() };
    let nested = meta.get("ui").and_then(|ui| Object::read(ui).ok()).and_then(|ui| ui.get("resourceUri"));
    let flat = ["ui/resourceUri", "openai/outputTemplate"].into_iter().filter_map(|name| meta.get(name));
    let places = nested.into_iter().chain(flat);
    places.filter_map(|place| Some((place, text(place)?.into_owned()))).collect()
}
