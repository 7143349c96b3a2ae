//! Desired state: the entries, tools and variables of valid files.

use std::collections::{BTreeMap, BTreeSet};

use schemas::document::Node;
use schemas::template::Environment;
use schemas::{Definition, ServerName};

use crate::diagnostic::{Diagnostic, Location};
use crate::source::{self, File};
use crate::workflow::reference::tool::ToolReference;
use crate::workflow::settings::Engine;

/// Contents of the files, all of it valid.
///
/// ```
/// use register_service::{Environment, Settings, Wanted, load};
///
/// # let folder = tempfile::tempdir()?;
/// # let file = folder.path().join("chat.yaml");
/// # let settings = Settings::new("http://127.0.0.1:6001".parse()?, Environment::default());
/// std::fs::write(&file, "mcps:\n  - {id: time, command: mcp-server-time, use_proxy: true}\n")?;
/// let desired = load(&[file], &settings)?.desired;
/// // What a worker starts with.
/// assert_eq!(Wanted::from(&desired).needs.to_string(), "`time`");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Desired {
    pub(super) files: Vec<File>,
    pub(super) entries: Vec<Entry>,
    pub(super) unresolved: Vec<(String, Location)>,
    pub(super) tools: Vec<ToolReference>,
    /// Variables of the settings; `environments` has those of documents with variables of their own. Redacted wherever
    /// they are shown.
    pub(super) environment: Environment,
    pub(super) environments: BTreeMap<(usize, usize), Environment>,
    pub(super) engine: Engine,
}

/// Entry of `mcps:`.
///
/// ```
/// # use register_service::{Environment, Settings, load};
/// # let folder = tempfile::tempdir()?;
/// # let file = folder.path().join("chat.yaml");
/// # let settings = Settings::new("http://127.0.0.1:6001".parse()?, Environment::default());
/// std::fs::write(&file, "mcps:\n  - {id: time, command: mcp-server-time, use_proxy: true}\n")?;
/// let desired = load(&[file], &settings)?.desired;
/// let entry = &desired.entries()[0];
/// assert_eq!((entry.id.as_str(), entry.location.line), ("time", 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Entry {
    /// Id, by which the engine names the server.
    pub id: String,
    /// Position of the declaration.
    pub location: Location,
    /// Effect of the entry at the gateway.
    pub usage: Usage,
    pub(super) place: Place,
}

/// Effect of an entry at the gateway.
///
/// ```
/// use register_service::files::{Entry, Usage};
///
/// /// Where the engine reaches a server; nothing if it connects by itself.
/// fn address(entry: &Entry) -> Option<&str> {
///     match &entry.usage {
///         Usage::Registered { url, .. } | Usage::Referenced { url, .. } => Some(url),
///         Usage::Direct => None,
///     }
/// }
/// # use register_service::{Environment, Settings, load};
/// # let folder = tempfile::tempdir()?;
/// # let file = folder.path().join("chat.yaml");
/// # let settings = Settings::new("http://127.0.0.1:6001".parse()?, Environment::default());
/// # std::fs::write(&file, "mcps:\n  - {id: time, command: mcp-server-time, use_proxy: true}\n")?;
/// # let desired = load(&[file], &settings)?.desired;
/// assert_eq!(address(&desired.entries()[0]), Some("http://127.0.0.1:6001/time/stream"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub enum Usage {
    /// No effect: the engine connects to the server by itself.
    Direct,
    /// The server is registered, and the engine reaches it at `url`.
    Registered {
        /// Definition to register.
        definition: Box<Definition>,
        /// URL at which the engine reaches the server once it is registered.
        url: String,
    },
    /// The entry refers to an upstream that the gateway must have.
    Referenced {
        /// Name of that upstream.
        name: ServerName,
        /// URL at which the engine reaches it.
        url: String,
    },
}

/// Position of an entry: indices of file, document, agent and item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(super) file: usize,
    pub(super) document: usize,
    pub(super) agent: Option<usize>,
    pub(super) item: usize,
}

impl Place {
    /// Returns the item's node in its document.
    pub(crate) fn node<'a>(&self, files: &'a [File]) -> Option<&'a Node> {
        let document = files.get(self.file)?.documents.get(self.document)?;
        let holder = match self.agent {
            Some(agent) => document.get("agents")?.items().get(agent)?,
            None => document,
        };
        holder.get("mcps")?.items().get(self.item)
    }
}

impl Entry {
    /// Returns the entry's node in these files.
    pub(crate) fn node<'a>(&self, files: &'a [File]) -> Option<&'a Node> {
        self.place.node(files)
    }

    /// Returns the server's name at the gateway, by which tools are called; `None` for a direct entry.
    ///
    /// ```
    /// # use register_service::{Environment, Settings, load};
    /// # let folder = tempfile::tempdir()?;
    /// # let file = folder.path().join("chat.yaml");
    /// # let settings = Settings::new("http://127.0.0.1:6001".parse()?, Environment::default());
    /// // The engine says `search`; at the gateway the same server is `search-engine`.
    /// let yaml = "mcps:\n  - {id: search, url: 'http://127.0.0.1:6001/search-engine/sse', use_proxy: true}\n";
    /// std::fs::write(&file, yaml)?;
    /// let desired = load(&[file], &settings)?.desired;
    /// assert_eq!(desired.entries()[0].name().map(|name| name.as_str()), Some("search-engine"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn name(&self) -> Option<&ServerName> {
        match &self.usage {
            Usage::Direct => None,
            Usage::Registered { definition, .. } => Some(&definition.name),
            Usage::Referenced { name, .. } => Some(name),
        }
    }
}

impl Desired {
    /// Returns every entry, in the order of files and lines.
    ///
    /// ```
    /// # use register_service::{Environment, Settings, load};
    /// # let folder = tempfile::tempdir()?;
    /// # let file = folder.path().join("chat.yaml");
    /// # let settings = Settings::new("http://127.0.0.1:6001".parse()?, Environment::default());
    /// let yaml = "mcps:\n  - {id: time, command: mcp-server-time, use_proxy: true}\n  - {id: own, command: x}\n";
    /// std::fs::write(&file, yaml)?;
    /// let ids: Vec<_> = load(&[file], &settings)?.desired.entries().iter().map(|entry| entry.id.clone()).collect();
    /// assert_eq!(ids, ["time", "own"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Returns id and position of the entries whose meaning depends on unset variables. There are some only with
    /// [`Unset::Warn`](crate::files::Unset::Warn).
    ///
    /// ```
    /// use register_service::files::Unset;
    /// use register_service::{Environment, Settings, load};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let file = folder.path().join("chat.yaml");
    /// std::fs::write(&file, "mcps:\n  - {id: search, url: '{{ .env.SEARCH }}/mcp', use_proxy: true}\n")?;
    /// let settings = Settings::new("http://127.0.0.1:6001".parse()?, Environment::default());
    /// let loaded = load(&[file], &Settings { unset: Unset::Warn, ..settings })?;
    /// let (id, location) = &loaded.desired.unresolved()[0];
    /// assert_eq!((id.as_str(), location.line), ("search", 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unresolved(&self) -> &[(String, Location)] {
        &self.unresolved
    }

    /// Returns the files.
    ///
    /// ```
    /// # use register_service::{Environment, Settings, load};
    /// # let folder = tempfile::tempdir()?;
    /// # let settings = Settings::new("http://127.0.0.1:6001".parse()?, Environment::default());
    /// std::fs::write(folder.path().join("b.yaml"), "mcps: []\n")?;
    /// std::fs::write(folder.path().join("a.yaml"), "mcps: []\n")?;
    /// let desired = load(&[folder.path().to_owned()], &settings)?.desired;
    /// assert!(desired.files().iter().map(|file| file.name()).eq(["a.yaml", "b.yaml"]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// Returns the definitions to register, each name once, in the order of files and lines.
    ///
    /// ```
    /// # use register_service::{Environment, Settings, load};
    /// # let folder = tempfile::tempdir()?;
    /// # let file = folder.path().join("chat.yaml");
    /// # let settings = Settings::new("http://127.0.0.1:6001".parse()?, Environment::default());
    /// let yaml = "mcps:\n  - {id: time, command: mcp-server-time, use_proxy: true}\n  - {id: own, command: x}\n";
    /// std::fs::write(&file, yaml)?;
    /// let definitions = load(&[file], &settings)?.desired.definitions();
    /// assert!(definitions.iter().map(|it| it.name.as_str()).eq(["time"]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn definitions(&self) -> Vec<Definition> {
        self.registered().cloned().collect()
    }

    /// Sorts diagnostics about these files, and attaches to each the line that it is about.
    pub(crate) fn finish(&self, diagnostics: &mut Vec<Diagnostic>) {
        source::finish(&self.files, diagnostics);
    }

    /// Returns the tools that actions and tasks name, in the order of files and lines; a task's call through an action
    /// comes last.
    ///
    /// ```
    /// # use register_service::{Environment, Settings, load};
    /// # let folder = tempfile::tempdir()?;
    /// # let file = folder.path().join("agent.yaml");
    /// # let settings = Settings::new("http://127.0.0.1:6001".parse()?, Environment::default());
    /// std::fs::write(&file, concat!(
    ///     "id: a\ninstructions: look it up\n",
    ///     "mcps:\n  - {id: search, url: 'http://search.test/mcp', use_proxy: true}\n",
    ///     "actions:\n  - {id: x, tool: $mcp(search#web)}\n",
    /// ))?;
    /// let desired = load(&[file], &settings)?.desired;
    /// assert_eq!((desired.tools()[0].server.as_str(), desired.tools()[0].tool.as_str()), ("search", "web"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tools(&self) -> &[ToolReference] {
        &self.tools
    }

    fn registered(&self) -> impl Iterator<Item = &Definition> {
        let mut seen = BTreeSet::new();
        self.entries.iter().filter_map(move |entry| match &entry.usage {
            Usage::Registered { definition, .. } => seen.insert(&definition.name).then_some(definition.as_ref()),
            Usage::Direct | Usage::Referenced { .. } => None,
        })
    }

    /// Returns the entries that refer to an upstream which no entry here registers; the gateway has to have it already.
    ///
    /// ```
    /// # use register_service::{Environment, Settings, load};
    /// # let folder = tempfile::tempdir()?;
    /// # let file = folder.path().join("chat.yaml");
    /// # let settings = Settings::new("http://127.0.0.1:6001".parse()?, Environment::default());
    /// std::fs::write(&file, "mcps:\n  - {id: search, url: 'http://127.0.0.1:6001/shared/sse', use_proxy: true}\n")?;
    /// let desired = load(&[file], &settings)?.desired;
    /// for (entry, name) in desired.references() {
    ///     assert_eq!(format!("{} wants `{name}` to be there", entry.id), "search wants `shared` to be there");
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn references(&self) -> Vec<(&Entry, &ServerName)> {
        let registered: BTreeSet<&ServerName> = self.registered().map(|it| &it.name).collect();
        let references = self.entries.iter().filter_map(|entry| match &entry.usage {
            Usage::Referenced { name, .. } if !registered.contains(name) => Some((entry, name)),
            _ => None,
        });
        references.collect()
    }

    /// Returns the names at the gateway that these files use, each once, sorted.
    ///
    /// ```
    /// # use register_service::{Environment, Settings, load};
    /// # let folder = tempfile::tempdir()?;
    /// # let file = folder.path().join("chat.yaml");
    /// # let settings = Settings::new("http://127.0.0.1:6001".parse()?, Environment::default());
    /// std::fs::write(&file, concat!(
    ///     "mcps:\n  - {id: time, command: mcp-server-time, use_proxy: true}\n",
    ///     "  - {id: search, url: 'http://127.0.0.1:6001/shared/sse', use_proxy: true}\n",
    /// ))?;
    /// let names = load(&[file], &settings)?.desired.names();
    /// assert!(names.iter().map(|name| name.as_str()).eq(["shared", "time"]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn names(&self) -> Vec<ServerName> {
        let mut names: Vec<ServerName> = self.entries.iter().filter_map(Entry::name).cloned().collect();
        names.sort();
        names.dedup();
        names
    }

    /// Returns the project's name, if exactly one project file has one.
    ///
    /// ```
    /// # use register_service::{Environment, Settings, load};
    /// # let folder = tempfile::tempdir()?;
    /// # let settings = Settings::new("http://127.0.0.1:6001".parse()?, Environment::default());
    /// std::fs::write(folder.path().join("compozy.yaml"), "name: shop\n")?;
    /// let desired = load(&[folder.path().to_owned()], &settings)?.desired;
    /// assert_eq!(desired.project(), Some("shop"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn project(&self) -> Option<&str> {
        let projects = self.files.iter().filter(|file| file.is_project()).flat_map(|file| &file.documents);
        let mut names = projects.filter_map(|document| document.get("name")?.literal());
        names.next().filter(|name| !name.is_empty() && names.next().is_none())
    }
}
