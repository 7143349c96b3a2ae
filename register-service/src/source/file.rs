//! One file: its documents, and the positions in it.

use std::ops::Range;
use std::sync::Arc;

use schemas::document::{Malformed, Node, Span, yaml};

use crate::diagnostic::{Code, Diagnostic, Location};
use crate::source::excerpt;
use crate::source::location::location;

const BYTE_ORDER_MARK: char = '\u{feff}';
/// Names of project files.
pub(super) const PROJECT_FILES: [&str; 2] = ["compozy.yaml", "compozy.yml"];

/// Parsed file.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # std::fs::create_dir(folder.path().join("chat"))?;
/// # std::fs::write(folder.path().join("chat/a.yaml"), "id: a\n")?;
/// let (files, diagnostics) = register_service::files::read(&[folder.path().to_owned()]);
/// assert_eq!((files.len(), diagnostics.len()), (1, 0));
/// assert_eq!(files[0].name(), "chat/a.yaml");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct File {
    pub(super) path: Arc<str>,
    name: Arc<str>,
    /// Path of the folder, as canonical on this machine if the file was read from one.
    home: Arc<str>,
    text: Arc<str>,
    pub(crate) documents: Vec<Node>,
    /// True if the first document is empty; then the engine reads none of `documents`.
    begins_empty: bool,
    /// True if `documents` is all that the file contains.
    pub(crate) is_whole: bool,
    /// True if values of the wrong type were removed from `documents`.
    pub(crate) has_misfits: bool,
    /// True if an engine passed the text, rather than a file; its entries are registered by default.
    pub(crate) is_inline: bool,
    /// Path named by the caller, at or below which the file was found; `None` if the caller did not ask for it.
    asked: Option<Arc<str>>,
}

impl File {
    /// Returns the path as the caller named it, or below the folder that the caller named.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # std::fs::write(folder.path().join("chat.yaml"), "id: a\n")?;
    /// let (files, _) = register_service::files::read(&[folder.path().to_owned()]);
    /// assert_eq!(std::path::Path::new(files[0].path()), folder.path().join("chat.yaml"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the path below the folder that the caller named: equal on every machine, wherever that folder is.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # std::fs::write(folder.path().join("chat.yaml"), "id: a\n")?;
    /// let (files, _) = register_service::files::read(&[folder.path().to_owned()]);
    /// assert_eq!(files[0].name(), "chat.yaml");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Formats the documents as YAML, without comments.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let file = folder.path().join("chat.yaml");
    /// std::fs::write(&file, "# of the team\nid: chat\n---\nid: other\n")?;
    /// let (files, _) = register_service::files::read(&[file]);
    /// assert_eq!(files[0].to_yaml(), "id: chat\n---\nid: other\n");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn to_yaml(&self) -> String {
        self.documents.iter().map(yaml::write).collect::<Vec<_>>().join("---\n")
    }

    pub(crate) fn parse(path: &str, name: &str, text: &str) -> (Self, Vec<Diagnostic>) {
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        let yaml::Read { documents, is_whole, begins_empty, malformed, .. } = yaml::parse(text);
        let file = Self {
            path: path.into(),
            name: name.into(),
            home: path.rsplit_once('/').map_or("", |(folder, _)| folder).into(),
            text: text.into(),
            documents,
            begins_empty,
            is_whole,
            has_misfits: false,
            is_inline: false,
            asked: None,
        };
        let remark = |it: Malformed| Diagnostic::new(it.kind.into(), &file.at(it.span), it.message).hint_if(it.hint);
        let diagnostics = malformed.into_iter().map(remark).collect();
        (file, diagnostics)
    }

    /// Adds the folder in which the file was found, and the path that the caller named.
    pub(super) fn found(self, home: Arc<str>, asked: Arc<str>) -> Self {
        Self { home, asked: Some(asked), ..self }
    }

    /// Parses a text that an engine passes.
    pub(crate) fn inline(origin: &str, text: &str) -> (Self, Vec<Diagnostic>) {
        let (file, mut diagnostics) = Self::parse(origin, origin, text);
        // The engine has parsed the text already, so its parser's limits do not matter.
        diagnostics.retain(|it| it.code != Code::EngineYaml);
        (Self { is_inline: true, ..file }, diagnostics)
    }

    /// Removes and returns the documents that the engine does not read: all but the first.
    pub(crate) fn keep_first_document(&mut self) -> Vec<Node> {
        let first = if self.begins_empty { 0 } else { 1 };
        self.documents.split_off(first.min(self.documents.len()))
    }

    /// Returns the path named by the caller, at or below which the file was found, in its displayed form.
    pub(crate) fn asked(&self) -> Option<&str> {
        self.asked.as_deref()
    }

    /// True if there may be more declarations than were read here.
    pub(crate) fn is_partial(&self) -> bool {
        !self.is_whole || self.has_misfits || self.is_inline
    }

    pub(crate) fn at(&self, span: Span) -> Location {
        location(&self.path, span)
    }

    /// Returns the location of a part of a text, or that of the whole text if the part cannot be located.
    pub(crate) fn part(&self, node: &Node, part: Range<usize>) -> Location {
        let found = node.as_text().and_then(|text| text.locate(&self.text, part));
        self.at(found.unwrap_or(node.span))
    }

    /// Returns the file without its documents, for locating nodes cloned from it.
    pub(crate) fn without_documents(&self) -> Self {
        Self {
            documents: Vec::new(),
            path: Arc::clone(&self.path),
            name: Arc::clone(&self.name),
            home: Arc::clone(&self.home),
            text: Arc::clone(&self.text),
            asked: self.asked.clone(),
            ..*self
        }
    }

    /// Returns a line of the file for display, with the secrets found in the file masked. Behind a key that is probably
    /// a secret's, only templates stay visible.
    pub(crate) fn excerpt<'s>(&self, number: u32, secrets: impl Iterator<Item = &'s Location>) -> Option<String> {
        let line = self.text.lines().nth(usize::try_from(number).ok()?.checked_sub(1)?)?;
        Some(secrets.fold(excerpt::blot(line), |line, secret| excerpt::hide(&line, number, secret)))
    }

    pub(crate) fn is_project(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        PROJECT_FILES.contains(&name)
    }

    /// True if the file is in this folder or below it.
    pub(crate) fn lies_in(&self, outer: &str) -> bool {
        let folder = self.folder();
        outer.is_empty() || folder.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Returns the path of the file's folder; empty for a file that was named without a folder and never read.
    pub(crate) fn folder(&self) -> &str {
        &self.home
    }
}
