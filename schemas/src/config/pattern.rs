//! Texts of configuration files with variables in them, in the notation of each program.

mod parse;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

pub(crate) use crate::config::pattern::parse::Notation;
use crate::template::Environment;

/// Text with variables.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Pattern {
    pub(super) parts: Vec<Part>,
}

/// Part of a [`Pattern`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Literal(String),
    /// Environment variable.
    Variable {
        name: String,
        default: Option<String>,
    },
    /// Value that the program asks its user for, such as VS Code's `${input:ID}`.
    Input(String),
    /// Value from the program's store of secrets.
    Secret(String),
    /// Content of a file, without the line break at its end.
    File(String),
    /// Folder that is open in the program.
    Workspace,
    /// Last part of that folder's path.
    WorkspaceName,
    /// Home folder of the user.
    Home,
    /// Something that is never imported; why.
    Refused(String),
}

/// Function that reads a file.
///
/// ```
/// use schemas::config::ReadFile;
///
/// let read: ReadFile = std::sync::Arc::new(|path: &str| Err(format!("{path} is not read here")));
/// assert!(read("a").is_err());
/// ```
pub type ReadFile = Arc<dyn Fn(&str) -> Result<String, String> + Send + Sync>;

/// Place of a value that only the program itself has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// Its user.
    User,
    /// Its store of secrets.
    Secrets,
}

/// Values that the variables of a path pattern stand for.
///
/// ```
/// use schemas::config::Surroundings;
///
/// assert!(Surroundings::default().environment.get("HOME").is_none());
/// ```
#[derive(Clone, Default)]
pub struct Surroundings {
    /// Environment variables.
    pub environment: Environment,
    /// Answers to the questions of a program, such as VS Code's `inputs`, by their identifiers.
    pub inputs: BTreeMap<String, String>,
    /// Folder that is open in the program.
    pub workspace: Option<String>,
    /// Reads a file: absolute, or relative to the configuration file. Returns its text or the reason why there is none.
    pub read_file: Option<ReadFile>,
    /// Folder of the configuration file, absolute; relative paths are below it.
    pub folder: Option<String>,
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings").field("environment", &self.environment).finish_non_exhaustive()
    }
}

impl Surroundings {
    /// Returns the path relative to the configuration file as an absolute one.
    pub(super) fn path(&self, path: &str) -> String {
        match (&self.folder, path.strip_prefix("~/"), self.environment.get("HOME")) {
            (_, Some(rest), Some(home)) => format!("{home}/{rest}"),
            (Some(folder), ..) if !path.starts_with('/') => {
                let path = path.strip_prefix("./").unwrap_or(path);
                if path == "." || path.is_empty() { folder.clone() } else { format!("{folder}/{path}") }
            }
            _ => path.to_owned(),
        }
    }

    /// Reads a file that the configuration names.
    pub(super) fn read(&self, path: &str) -> Result<String, String> {
        let path = self.path(path);
        let read = self.read_file.as_ref().ok_or("files are not read here")?;
        read(&path).map_err(|reason| format!("cannot read `{path}`: {reason}"))
    }
}

impl Pattern {
    /// Builds a pattern without variables.
    pub(super) fn literal(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { parts: if text.is_empty() { Vec::new() } else { vec![Part::Literal(text)] } }
    }

    /// Builds a pattern that is one environment variable.
    pub(super) fn variable(name: &str) -> Self {
        Self { parts: vec![Part::Variable { name: name.to_owned(), default: None }] }
    }

    /// Builds a pattern that is one value of the program's store of secrets.
    pub(super) fn secret(name: &str) -> Self {
        Self { parts: vec![Part::Secret(name.to_owned())] }
    }

    /// Builds a pattern that is the home folder of the user.
    pub(super) fn home() -> Self {
        Self { parts: vec![Part::Home] }
    }

    /// Returns the pattern with another one behind it.
    pub(super) fn joined(mut self, mut other: Self) -> Self {
        self.parts.append(&mut other.parts);
        self
    }

    /// Splits the pattern at the blanks of its literal texts.
    pub(super) fn words(self) -> Vec<Self> {
        let mut words = vec![Self::default()];
        for part in self.parts {
            let Part::Literal(text) = part else {
                if let Some(word) = words.last_mut() {
                    word.parts.push(part);
                }
                continue;
            };
            for (at, piece) in text.split(char::is_whitespace).enumerate() {
                if at > 0 {
                    words.push(Self::default());
                }
                if let Some(word) = words.last_mut().filter(|_| !piece.is_empty()) {
                    word.parts.push(Part::Literal(piece.to_owned()));
                }
            }
        }
        words.retain(|word| !word.parts.is_empty());
        words
    }

    /// Returns the pattern behind a literal text.
    pub(super) fn prefixed(mut self, text: &str) -> Self {
        self.parts.insert(0, Part::Literal(text.to_owned()));
        self
    }

    /// Returns the names of the values that are asked for, each with the environment variable that may hold it.
    pub(super) fn asked(&self, of: Asked) -> impl Iterator<Item = (String, String)> {
        self.parts.iter().filter_map(move |part| match (part, of) {
            (Part::Input(id), Asked::User) => Some((id.clone(), upper(id))),
            (Part::Secret(name), Asked::Secrets) => Some((name.clone(), variable_of(name))),
            _ => None,
        })
    }

    /// Returns the pattern with the folder that the program has open, if that is known.
    pub(super) fn within(&self, surroundings: &Surroundings) -> Self {
        let known = |part: &Part| match (part, part.resolve(surroundings)) {
            (Part::Workspace | Part::WorkspaceName, Ok(text)) => Part::Literal(text),
            (part, _) => part.clone(),
        };
        Self { parts: self.parts.iter().map(known).collect() }
    }

    /// Returns the text, if the pattern has no variable.
    pub(super) fn as_literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Replaces the variables by their values.
    ///
    /// # Errors
    ///
    /// The reason why a part has no value. It names the variable, and never holds a value.
    pub(crate) fn resolve(&self, surroundings: &Surroundings) -> Result<String, String> {
        self.parts.iter().map(|part| part.resolve(surroundings)).collect()
    }

    /// Writes the pattern as a text of the gateway's own configuration file.
    ///
    /// # Errors
    ///
    /// The reason why a part has no such form.
    pub(crate) fn own_text(&self) -> Result<String, String> {
        let literals =
            || self.parts.iter().filter_map(|part| if let Part::Literal(text) = part { Some(text) } else { None });
        if literals().any(|text| text.contains("{{")) {
            // To the reader it is a template, which has no variables of the other form.
            if literals().count() < self.parts.len() || literals().any(|text| text.contains("${")) {
                return Err("a text with `{{` and a variable has no form in the gateway's own file".to_owned());
            }
            return Ok(literals().map(|text| text.replace("{{", "{{ \"{{\" }}")).collect());
        }
        let has_dollar_before = |pair: &[Part]| matches!(pair, [Part::Literal(text), _] if text.ends_with('$'));
        if self.parts.windows(2).any(has_dollar_before) {
            return Err("a `$` in front of a variable has no form in the gateway's own file".to_owned());
        }
        self.parts.iter().map(Part::own_text).collect()
    }

    /// Writes the pattern as a template of a workflow file.
    ///
    /// # Errors
    ///
    /// The reason why a part has no such form.
    pub(crate) fn template(&self) -> Result<String, String> {
        self.parts.iter().map(Part::template).collect()
    }
}

impl Part {
    fn resolve(&self, surroundings: &Surroundings) -> Result<String, String> {
        let environment = &surroundings.environment;
        match self {
            Self::Literal(text) => Ok(text.clone()),
            Self::Variable { name, default } => {
                // As in a shell, `:-` also replaces an empty value.
                let value = environment.get(name).filter(|value| default.is_none() || !value.is_empty());
                let value = value.or(default.as_deref()).map(str::to_owned);
                value.ok_or_else(|| format!("environment variable `{name}` is not set"))
            }
            Self::Input(id) => {
                let value = surroundings.inputs.get(id).map(String::as_str).or_else(|| environment.get(&upper(id)));
                value.map(str::to_owned).ok_or_else(|| {
                    format!("the program asks its user for `{id}`; set environment variable `{}`", upper(id))
                })
            }
            Self::Secret(name) => environment.get(&variable_of(name)).map(str::to_owned).ok_or_else(|| {
                let variable = variable_of(name);
                format!("`{name}` is in the program's store of secrets; set environment variable `{variable}`")
            }),
            Self::File(path) => surroundings.read(path).map(|text| without_last_break(&text).to_owned()),
            Self::Workspace => workspace(surroundings).map(str::to_owned),
            Self::WorkspaceName => {
                workspace(surroundings).map(|path| path.rsplit('/').next().unwrap_or_default().to_owned())
            }
            Self::Home => {
                environment.get("HOME").map(str::to_owned).ok_or_else(|| "the home folder is not known".to_owned())
            }
            Self::Refused(reason) => Err(reason.clone()),
        }
    }

    fn own_text(&self) -> Result<String, String> {
        match self {
            Self::Literal(text) => Ok(text.replace("${", "$${")),
            Self::Variable { name, default: None } => Ok(format!("${{{name}}}")),
            Self::Variable { name, default: Some(default) } => match default.contains(['}', '\n']) {
                true => Err(format!("the default of `{name}` holds a brace or a line break")),
                false => Ok(format!("${{{name}:-{default}}}")),
            },
            Self::Input(id) => Ok(format!("${{{}}}", upper(id))),
            Self::Secret(name) => Ok(format!("${{{}}}", variable_of(name))),
            Self::File(path) => Ok(format!("${{file:{path}}}")),
            Self::Home => Ok("${HOME}".to_owned()),
            Self::Workspace | Self::WorkspaceName => Err(NO_WORKSPACE.to_owned()),
            Self::Refused(reason) => Err(reason.clone()),
        }
    }

    fn template(&self) -> Result<String, String> {
        match self {
            Self::Literal(text) => Ok(text.replace("{{", "{{ \"{{\" }}")),
            Self::Variable { name, default: None } => Ok(format!("{{{{ .env.{name} }}}}")),
            Self::Variable { name, default: Some(default) } => {
                let default = serde_json::Value::from(default.as_str());
                Ok(format!("{{{{ .env.{name} | default {default} }}}}"))
            }
            Self::Input(id) => Ok(format!("{{{{ .env.{} }}}}", upper(id))),
            Self::Secret(name) => Ok(format!("{{{{ .env.{} }}}}", variable_of(name))),
            Self::Home => Ok("{{ .env.HOME }}".to_owned()),
            Self::File(path) => Err(format!("a workflow file cannot read `{path}`; set a variable to its content")),
            Self::Workspace | Self::WorkspaceName => Err(NO_WORKSPACE.to_owned()),
            Self::Refused(reason) => Err(reason.clone()),
        }
    }
}

const NO_WORKSPACE: &str = "the folder that the program has open is not known";

fn workspace(surroundings: &Surroundings) -> Result<&str, String> {
    let workspace = surroundings.workspace.as_deref();
    workspace.ok_or_else(|| format!("{NO_WORKSPACE}; name it with `--workspace`"))
}

/// True for a name that an environment variable can have.
pub(super) fn is_name(name: &str) -> bool {
    let mut letters = name.chars();
    let begins = letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    begins && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// Returns the environment variable for a secret of the program: its name, if it can be one.
fn variable_of(name: &str) -> String {
    if is_name(name) { name.to_owned() } else { upper(name) }
}

/// Returns the environment variable for a question of the program: `web-key` is `WEB_KEY`.
fn upper(id: &str) -> String {
    let letter = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' };
    id.chars().map(letter).collect()
}

fn without_last_break(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}
