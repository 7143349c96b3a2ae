//! Settings with which files are interpreted.

use schemas::template::{Environment, OnUnset};

use crate::diagnostic::{Code, Diagnostic, Severity};
use crate::workflow::address::GatewayUrl;

/// Settings for the interpretation of files.
///
/// ```
/// use register_service::files::Unset;
/// use register_service::{Environment, Settings};
///
/// let gateway = "http://127.0.0.1:6001".parse()?;
/// let in_ci = Settings { unset: Unset::Warn, ..Settings::new(gateway, Environment::default()) };
/// assert!(!in_ci.all, "what says `use_proxy: false` stays with the engine");
/// # Ok::<(), register_service::files::InvalidGatewayUrl>(())
/// ```
#[derive(Debug, Clone)]
pub struct Settings {
    /// Base URL of the gateway, as the engine reaches it.
    pub gateway: GatewayUrl,
    /// Variables that templates may use.
    pub environment: Environment,
    /// Registers every entry, including those with `use_proxy: false`.
    pub all: bool,
    /// Treatment of unset variables.
    pub unset: Unset,
    /// Engine that reads the files besides this program.
    pub engine: Engine,
    /// Refuses files with warnings too; an unset variable stays a warning with [`Unset::Warn`].
    pub strict: bool,
    /// Warnings about the sources of the settings, such as [`EnvFile::remarks`](crate::files::EnvFile::remarks); they are
    /// reported together with those about the files.
    pub remarks: Vec<Diagnostic>,
}

/// Engine that reads the files besides this program, which decides how templates are evaluated.
///
/// ```
/// use register_service::files::Engine;
/// use register_service::{Environment, Settings, load};
///
/// # let folder = tempfile::tempdir()?;
/// # let file = folder.path().join("chat.yaml");
/// let yaml = "mcps:\n  - {id: search, url: '{{ .env.SEARCH | default \"http://a.test\" }}/mcp', use_proxy: true}\n";
/// std::fs::write(&file, yaml)?;
/// let settings = Settings::new("http://127.0.0.1:6001".parse()?, Environment::default());
/// // The engine refuses a variable that is not set before `default` sees it.
/// assert!(load(&[file.clone()], &settings).is_err());
///
/// let settings = Settings { engine: Engine::None, ..settings };
/// assert_eq!(load(&[file], &settings)?.desired.names().len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Engine {
    /// Compozy's engine: an unset variable is an error wherever a template asks for it. Differences between this engine
    /// and Go's templates are reported.
    #[default]
    Compozy,
    /// No engine: `default`, `coalesce`, `or`, `if` and the like treat an unset variable as an empty one.
    None,
}

impl Engine {
    /// Returns the treatment of unset variables in a template.
    pub(crate) fn on_unset(self) -> OnUnset {
        match self {
            Self::Compozy => OnUnset::Refused,
            Self::None => OnUnset::Tolerated,
        }
    }
}

/// Treatment of templates that use an unset variable.
///
/// ```
/// use register_service::files::Unset;
/// use register_service::{Environment, Settings, load};
///
/// # let folder = tempfile::tempdir()?;
/// # let file = folder.path().join("chat.yaml");
/// std::fs::write(&file, "mcps:\n  - {id: search, url: '{{ .env.SEARCH }}/mcp', use_proxy: true}\n")?;
/// let settings = Settings::new("http://127.0.0.1:6001".parse()?, Environment::default());
/// assert!(load(&[file.clone()], &settings).is_err());
///
/// let loaded = load(&[file], &Settings { unset: Unset::Warn, ..settings })?;
/// assert_eq!((loaded.desired.entries().len(), loaded.remarks.len()), (0, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unset {
    /// An error in registered entries, and a warning elsewhere, because the engine may have the variable.
    #[default]
    RefuseWhereUsed,
    /// An error everywhere.
    Refuse,
    /// A warning. An entry whose meaning depends on the variable is listed as unresolved.
    Warn,
}

impl Settings {
    /// True if files with this remark are not used.
    pub(super) fn refuses(&self, remark: &Diagnostic) -> bool {
        let is_expected = self.unset == Unset::Warn && remark.code == Code::MissingVariable;
        remark.is_error() || (self.strict && remark.severity == Severity::Warning && !is_expected)
    }

    /// Builds settings that register entries with `use_proxy: true`, and that refuse an unset variable in them.
    ///
    /// ```
    /// use register_service::{Environment, Settings};
    ///
    /// let process: Environment = std::env::vars().collect();
    /// let settings = Settings::new("gateway.internal:6001".parse()?, process);
    /// assert_eq!(settings.gateway.as_str(), "http://gateway.internal:6001");
    /// # Ok::<(), register_service::files::InvalidGatewayUrl>(())
    /// ```
    pub fn new(gateway: GatewayUrl, environment: Environment) -> Self {
        Self {
            gateway,
            environment,
            all: false,
            unset: Unset::default(),
            engine: Engine::default(),
            strict: false,
            remarks: Vec::new(),
        }
    }
}
