//! Index from the URIs of skills to the upstreams that have them.

use std::collections::HashMap;

use super::member::Member;
use crate::catalog::list::List;
use crate::protocol::{Object, skill_root, skill_uris};

/// The upstreams that have skills, by the URIs of the skills' directories.
#[derive(Debug, Default)]
pub(super) struct SkillIndex {
    roots: HashMap<Box<str>, usize>,
    /// The only upstream with skills, if exactly one has any.
    pub(super) only: Option<usize>,
}

impl SkillIndex {
    /// Adds the skills of an upstream, and their files as resources. The first upstream with a URI counts.
    pub(super) fn add(&mut self, index: usize, member: &Member, resources: &mut HashMap<Box<str>, usize>) {
        for item in member.offered.lists.get(List::Skills).iter() {
            let Ok(skill) = Object::read(&item.raw) else { continue };
            for (_, uri) in skill_uris(&skill) {
                resources.entry(uri.into()).or_insert(index);
            }
            if let Some(root) = skill_root(&item.key) {
                self.roots.entry(root.into()).or_insert(index);
            }
        }
    }

    /// Finds the upstream with skills, if exactly one has any.
    pub(super) fn close<'m>(&mut self, all: impl Iterator<Item = &'m Member>) {
        let mut having = all.enumerate().filter(|(_, member)| member.skills.is_some());
        self.only = having.next().map(|(index, _)| index).filter(|_| having.next().is_none());
    }

    /// Returns the upstream with the skill whose directory contains this URI.
    pub(super) fn around(&self, uri: &str) -> Option<usize> {
        if self.roots.is_empty() {
            return None;
        }
        let ends = uri.rmatch_indices('/').map(|(end, _)| end);
        std::iter::once(uri.len()).chain(ends).find_map(|end| self.roots.get(uri.get(..end)?).copied())
    }

    /// Returns the first upstream with a skill somewhere below this directory.
    pub(super) fn below(&self, uri: &str) -> Option<usize> {
        let is_below = |root: &str| root.strip_prefix(uri).is_some_and(|rest| rest.starts_with('/'));
        self.roots.iter().filter(|(root, _)| is_below(root)).map(|(_, index)| *index).min()
    }
}
