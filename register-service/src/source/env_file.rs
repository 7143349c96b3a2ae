//! Reads `.env` files.

use std::path::Path;

use schemas::document::{Span, dotenv};

use crate::diagnostic::{Code, Diagnostic};
use crate::source::location::location;
use crate::source::{self, InvalidFiles};

/// Parsed `.env` file: names and values, in order, and warnings about values that its author may not expect.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let file = folder.path().join(".env");
/// std::fs::write(&file, "PASSWORD=Pa$5word\n")?;
/// let read = register_service::files::read_env_file(&file)?;
/// // The engine reads `$5` as a variable too.
/// assert_eq!(read.variables[0].1, "Paword");
/// assert_eq!(read.remarks[0].code.as_str(), "substituted-text");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct EnvFile {
    /// Names and values. If a name occurs twice, the last value wins.
    pub variables: Vec<(String, String)>,
    /// Warnings, sorted. None contains a value.
    pub remarks: Vec<Diagnostic>,
}

impl std::fmt::Debug for EnvFile {
    /// Prints names only, never values.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&String> = self.variables.iter().map(|(name, _)| name).collect();
        f.debug_struct("EnvFile").field("variables", &names).field("remarks", &self.remarks).finish()
    }
}

/// Reads a `.env` file. Diagnostics never contain a value.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let file = folder.path().join(".env");
/// std::fs::write(&file, "# of the team\nexport HOST=a.test\nTOKEN='se cret'\n")?;
/// let read = register_service::files::read_env_file(&file)?;
/// assert_eq!(read.variables[1], ("TOKEN".to_owned(), "se cret".to_owned()));
///
/// std::fs::write(&file, "TOKEN 'se cret'\n")?;
/// let invalid = register_service::files::read_env_file(&file).unwrap_err();
/// assert!(invalid.diagnostics[0].to_string().contains(":1:1: error[bad-env-file]: `=` is missing"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_env_file(path: &Path) -> Result<EnvFile, InvalidFiles> {
    let (shown, text) =
        source::text_of(path).map_err(|remark| InvalidFiles { diagnostics: vec![remark], files: Vec::new() })?;
    let remark = |code: Code| {
        let shown = &shown;
        move |(span, message): (Span, String)| Diagnostic::new(code, &location(shown, span), message)
    };
    let read = dotenv::parse(&text);
    if read.faults.is_empty() {
        let hint = "put the value in single quotes, or a backslash before the `$`";
        let remarks = read.substituted.into_iter().map(remark(Code::SubstitutedText)).map(|it| it.hint(hint)).collect();
        return Ok(EnvFile { variables: read.variables, remarks });
    }
    let diagnostics = read.faults.into_iter().map(remark(Code::BadEnvFile)).collect();
    Err(InvalidFiles { diagnostics, files: vec![shown.clone()] })
}
