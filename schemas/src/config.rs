//! Configuration files of the gateway and of other programs that use MCP servers.
//!
//! [`import`] recognises a file by its content and reads its servers into one neutral form, [`Server`], with its
//! variables kept. A server becomes a definition, an entry of the gateway's own file, or an entry of a
//! workflow. Nothing is executed, and nothing is dropped in silence: what has no meaning here is a [`Remark`].

mod convert;
mod dialect;
mod entry;
mod fields;
mod format;
mod glob;
mod own;
mod pattern;
mod remark;
mod server;

pub use crate::config::convert::EntryForm;
pub use crate::config::dialect::apply_tool_config;
use crate::config::format::File;
use crate::config::format::Recognised;
pub use crate::config::format::{Dialect, Imported};
pub use crate::config::own::{OwnFile, OwnServer, OwnSetting, is_own, read_own};
pub use crate::config::pattern::{ReadFile, Surroundings};
pub use crate::config::remark::{Level, Remark};
pub use crate::config::server::{Kind, Server, Setting};
use crate::document::{Document, Span};

/// Reads the file of another program. The stem of its name becomes the name of a server that has none.
///
/// ```
/// let imported = schemas::config::import("{\"command\": \"uvx\", \"args\": [\"demo\"]}", "demo");
/// assert_eq!(imported.servers[0].name, "demo");
/// ```
pub fn import(text: &str, stem: &str) -> Imported {
    import_document(&Document::parse(text), stem, None)
}

/// Reads the file of another program in the format with this identifier, or else in the one that its content shows.
///
/// ```
/// use schemas::config::import_document;
/// use schemas::document::Document;
///
/// let document = Document::parse("{\"mcpServers\": {\"a\": {\"url\": \"https://a.example/sse\"}}}");
/// assert_eq!(import_document(&document, "a", None).servers[0].kind.as_str(), "auto");
/// assert_eq!(import_document(&document, "a", Some("qwen")).servers[0].kind.as_str(), "sse");
/// ```
pub fn import_document(document: &Document, stem: &str, forced: Option<&str>) -> Imported {
    let mut imported = Imported::default();
    imported.remarks.extend(document.malformed.iter().cloned().map(Remark::from));
    let Some(root) = document.root.as_map() else { return imported };
    let file = File::new(document.syntax, root, stem);
    let recognised = match forced {
        None => file.recognise(),
        Some(id) => match Dialect::by_id(id) {
            Some(dialect) => Recognised::Foreign { dialect, because: "it was asked for".to_owned() },
            None => {
                let unknown = Remark::error(Span::default(), format!("there is no format `{id}`"));
                imported.remarks.push(unknown.did_you_mean(id, Dialect::ids()));
                return imported;
            }
        },
    };
    match recognised {
        Recognised::Foreign { dialect, because } => {
            imported.dialect = Some(dialect);
            if forced.is_none() {
                dialect.note_others(&because, &file, &mut imported);
            }
            dialect.read(&file, &mut imported);
        }
        // A mistake in the syntax explains why nothing fits.
        Recognised::Refused { .. } | Recognised::Nothing { .. } if !document.malformed.is_empty() => {}
        Recognised::Refused { because } => {
            imported.remarks.push(Remark::error(document.root.head(), because));
        }
        Recognised::Nothing { found } => {
            let message = format!("no server is declared; the file has {found}");
            let hint = "servers are below one of mcpServers, servers, mcp_servers, mcp, mcps, context_servers, extensions, \
                        amp.mcpServers, backends, binds, clients, registry";
            imported.remarks.push(Remark::error(document.root.head(), message).hint(hint));
        }
    }
    imported.remarks.sort_by_key(|remark| (remark.span.start, remark.level));
    imported
}
