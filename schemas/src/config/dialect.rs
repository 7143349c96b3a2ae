//! The formats of other programs: how each is recognised, and what its words mean.
//!
//! A file per format says what is special about it; [`crate::config::fields`] reads what the formats share.

mod agentgateway;
mod amazonq;
mod amp;
mod claude_code;
mod cline;
mod codex;
mod compozy;
mod continue_dev;
mod copilot_cli;
mod crush;
mod cursor;
mod docker_catalog;
mod docker_profile;
mod gemini;
mod goose;
mod image;
mod kiro;
mod librechat;
mod litellm;
mod mcphub;
mod notes;
mod one_mcp;
mod opencode;
mod plain;
mod ptbsare;
mod qwen;
mod radium;
mod roo;
mod settings;
#[cfg(test)]
mod shown;
mod single;
mod tbxark;
mod tbxark_v1;
#[cfg(test)]
mod tests;
mod toolhive_run;
mod toolhive_vmcp;
mod vscode;
mod vscode_settings;
mod warp;
mod windsurf;
mod zed;

pub use crate::config::dialect::ptbsare::apply_tool_config;
use crate::config::entry::Entries;
use crate::config::fields;
use crate::config::format::{Dialect, File, Imported, Reading, Recognised, is_map_of_maps};
use crate::config::remark::Level;
use crate::config::server::Kind;
use crate::document::Node;

/// Formats in the order in which their evidence is looked for: those with roots of their own, those with `mcpServers`,
/// and those whose roots mean something else where there are servers below one of the former.
static ALL: [&[&Dialect]; 3] = [
    &[
        &amp::DIALECT,
        &zed::DIALECT,
        &toolhive_run::DIALECT,
        &toolhive_vmcp::DIALECT,
        &agentgateway::DIALECT,
        &docker_catalog::DIALECT,
        &docker_profile::DIALECT,
        &tbxark::DIALECT,
        &tbxark_v1::DIALECT,
        &radium::DIALECT,
        &codex::DIALECT,
        &litellm::DIALECT,
        &goose::DIALECT,
        &continue_dev::DIALECT,
        &ptbsare::DIALECT,
        &compozy::DIALECT,
    ],
    &[
        &mcphub::DIALECT,
        &one_mcp::DIALECT,
        &claude_code::USER,
        &librechat::DIALECT,
        &qwen::DIALECT,
        &gemini::DIALECT,
        &amazonq::DIALECT,
        &tbxark::TYPED,
        &cline::DIALECT,
        &roo::DIALECT,
        &warp::DIALECT,
        &windsurf::DIALECT,
        &copilot_cli::DIALECT,
        &claude_code::DIALECT,
        &cursor::DIALECT,
        &kiro::DIALECT,
        &tbxark::FRAGMENT,
        &plain::DIALECT,
    ],
    &[&vscode::DIALECT, &vscode_settings::DIALECT, &opencode::DIALECT, &crush::DIALECT, &single::DIALECT],
];

/// Programs whose files have the format of another one.
const ALIASES: [(&str, &str); 11] = [
    ("antigravity", "windsurf"),
    ("claude-desktop", "plain"),
    ("hermes", "litellm"),
    ("junie", "plain"),
    ("kilo", "opencode"),
    ("lmstudio", "plain"),
    ("metamcp", "plain"),
    ("sparfenyuk", "plain"),
    ("vibe", "codex"),
    ("visual-studio", "vscode"),
    ("zoo", "roo"),
];

fn all() -> impl Iterator<Item = &'static Dialect> {
    ALL.iter().flat_map(|list| list.iter().copied())
}

impl File<'_> {
    /// Finds the format: the first of the list whose evidence is there.
    pub(super) fn recognise(&self) -> Recognised {
        if let Some(because) = self.refusal() {
            return Recognised::Refused { because: because.to_owned() };
        }
        match all().find_map(|dialect| Some((dialect, (dialect.evidence)(self)?))) {
            Some((dialect, because)) => Recognised::Foreign { dialect, because },
            None => {
                let keys: Vec<String> = self.root.entries.iter().take(8).map(|(key, ..)| format!("`{key}`")).collect();
                let found =
                    if keys.is_empty() { "no keys".to_owned() } else { format!("the keys {}", keys.join(", ")) };
                Recognised::Nothing { found }
            }
        }
    }

    /// Returns the reason why a known format is not imported.
    fn refusal(&self) -> Option<&'static str> {
        let has = |key: &str| self.root.get(key).is_some();
        if has("_format_version") {
            return Some("this is a Kong declaration; its routes and plugins are no list of MCP servers");
        }
        if has("apiVersion") && has("kind") {
            return Some("this is a Kubernetes resource; only its operator knows the servers it stands for");
        }
        if self.map(&["remote_servers"]).is_some() {
            return Some("this is a registry of ToolHive, a catalogue of everything and no list of yours");
        }
        if has("manifest_version") {
            return Some("this is the manifest of an MCPB bundle; its program is inside of the bundle");
        }
        let is_named = || self.at(&["name"]).and_then(Node::literal).is_some_and(|name| name.contains('/'));
        if (has("packages") || has("remotes")) && is_named() {
            return Some("this is an entry of the MCP registry, which says how to install a server");
        }
        let is_reference = |node: &Node| node.as_map().is_some_and(|map| map.entries.iter().all(|it| it.0 == "ref"));
        let registry = self.map(&["registry"]).filter(|registry| is_map_of_maps(registry))?;
        let is_list_of_names = registry.entries.iter().all(|(.., node)| is_reference(node));
        is_list_of_names.then_some("this is a list of names from a catalogue of Docker; import the catalogue instead")
    }
}

impl Dialect {
    /// Returns the format with this identifier, or the one that the program with this name uses.
    pub(super) fn by_id(id: &str) -> Option<&'static Self> {
        let id = ALIASES.iter().find(|(alias, _)| *alias == id).map_or(id, |(_, id)| id);
        all().find(|dialect| dialect.id == id)
    }

    /// Returns the identifiers of all formats.
    ///
    /// ```
    /// assert!(schemas::config::Dialect::ids().any(|id| id == "codex"));
    /// ```
    pub fn ids() -> impl Iterator<Item = &'static str> {
        // A format with several kinds of evidence is in the list more than once.
        let is_first = |dialect: &&'static Self| Self::by_id(dialect.id).is_some_and(|it| std::ptr::eq(it, *dialect));
        all().filter(is_first).map(|dialect| dialect.id)
    }

    /// Notes the other formats that the file could have too.
    pub(super) fn note_others(&'static self, because: &str, file: &File<'_>, imported: &mut Imported) {
        let [_, family, _] = ALL;
        if family.iter().any(|dialect| std::ptr::eq(*dialect, self)) {
            imported.remarks.extend(notes::other_formats(family, self, because, file));
        }
    }

    /// Reads the servers of a file, and what concerns it as a whole.
    pub(super) fn read(&self, file: &File<'_>, imported: &mut Imported) {
        let mut entries = Entries::default();
        (self.servers)(file, &mut entries);
        imported.remarks.append(&mut entries.remarks);
        let mut read = Vec::with_capacity(entries.list.len());
        for entry in &entries.list {
            let mut remarks = Vec::new();
            let (mut server, mut used) = fields::read(entry, &self.rules, &mut remarks);
            (self.finish)(&mut Reading { entry, server: &mut server, used: &mut used, remarks: &mut remarks });
            used.remove(fields::of_other_kinds(&server.kind));
            // A server that is not read as a whole must not be used: the missing part may restrict it.
            let (errors, rest): (Vec<_>, Vec<_>) = remarks.into_iter().partition(|it| it.level == Level::Error);
            if !errors.is_empty() {
                let reasons: Vec<String> = errors.into_iter().map(|error| error.message).collect();
                server.kind = Kind::Unsupported(reasons.join("; "));
            }
            imported.remarks.extend(rest);
            // Of a server that is left out as a whole, no key is worth a remark.
            if !matches!(server.kind, Kind::Unsupported(_)) {
                read.push((entry, used));
            }
            imported.servers.push(server);
        }
        imported.remarks.extend(fields::unmapped_remarks(read.iter()));
        (self.whole)(file, imported);
        imported.remarks.extend(notes::other_roots(self.roots, file));
        imported.remarks.extend(notes::asked(&imported.servers));
        imported.remarks.extend(notes::clashes(&imported.servers));
    }
}
