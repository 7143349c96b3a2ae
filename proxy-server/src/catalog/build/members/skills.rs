//! Skills of the upstreams of a view: the URI of each skill, and the upstream that has it. The files of a skill are
//! resources, so skills are looked up by the same URIs as resources.

use schemas::ServerName;

use super::Members;
use crate::catalog::build::assign::{Assignment, Entry};
use crate::catalog::list::List;
use crate::catalog::name::{Conflict, Mode, qualified_uri};
use crate::protocol::Skills;

impl Members {
    /// Lists every skill under a URI by which its files can be read too. In modes without a prefix, omits a skill
    /// whose URI belongs to another upstream.
    pub(in crate::catalog::build) fn skills(&self) -> Assignment<'_> {
        let mut assignment = Assignment::default();
        for entry in self.entries(List::Skills) {
            if let Some(uri) = self.skill_uri(&entry) {
                assignment.listed.push((entry, uri.into()));
            }
        }
        assignment
    }

    fn skill_uri(&self, entry: &Entry<'_>) -> Option<String> {
        let (upstream, uri) = (entry.offered.name.as_str(), &*entry.item.key);
        let is_owner = || self.resource(uri).is_some_and(|(owner, own)| owner.as_str() == upstream && own == uri);
        match (self.naming.mode, self.naming.conflict) {
            (Mode::Always, _) => Some(qualified_uri(upstream, uri)),
            (Mode::OnConflict | Mode::Never, _) if is_owner() => Some(uri.to_owned()),
            (Mode::OnConflict, Conflict::AutoPrefix) => Some(qualified_uri(upstream, uri)),
            (Mode::OnConflict | Mode::Never, _) => None,
        }
    }

    /// True if an upstream has skills.
    pub(crate) fn have_skills(&self) -> bool {
        self.all.values().any(|member| member.skills.is_some())
    }

    /// True if an upstream reads directories.
    pub(crate) fn have_directories(&self) -> bool {
        self.all.values().any(|member| member.skills.is_some_and(|skills| skills.has_directories))
    }

    /// Returns the upstream that has a skill, and the upstream's own URI of it. Only upstreams with skills count.
    pub(crate) fn skill<'a>(&self, uri: &'a str) -> Option<(&ServerName, &'a str)> {
        self.found(uri, |_| true, || self.skills.only)
    }

    /// Returns the upstream that has a directory of resources, and the upstream's own URI of it. Only upstreams that
    /// can read directories count.
    pub(crate) fn directory<'a>(&self, uri: &'a str) -> Option<(&ServerName, &'a str)> {
        self.found(uri, |skills| skills.has_directories, || self.skills.below(uri).or(self.skills.only))
    }

    fn found<'a>(
        &self,
        uri: &'a str,
        can: impl Fn(Skills) -> bool,
        otherwise: impl Fn() -> Option<usize>,
    ) -> Option<(&ServerName, &'a str)> {
        let has = |name: &ServerName| self.all.get(name).and_then(|member| member.skills).is_some_and(&can);
        let known = self.resource(uri).filter(|(name, _)| has(name));
        let other = || self.all.get_index(otherwise()?).map(|(name, _)| (name, uri)).filter(|(name, _)| has(name));
        known.or_else(|| if self.is_foreign(uri) { None } else { other() })
    }
}
