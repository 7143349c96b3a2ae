//! Parses texts with variables in the notations that programs use.

use std::ops::BitOr;

use crate::config::pattern::{Part, Pattern, is_name};

/// Notations of variables that a program reads; a set. What is in none of them is literal text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Notation(u16);

impl Notation {
    /// No variables.
    pub(crate) const NONE: Self = Self(0);
    /// `${NAME}` and `${NAME:-default}`.
    pub(crate) const BRACES: Self = Self(1);
    /// `$NAME`, with [`Self::BRACES`].
    pub(crate) const DOLLAR: Self = Self(1 | 2);
    /// `${env:NAME}`.
    pub(crate) const ENV: Self = Self(4);
    /// `${file:PATH}`.
    pub(crate) const FILE: Self = Self(8);
    /// `$${`, which stands for `${`: the gateway's own.
    pub(crate) const ESCAPE: Self = Self(16);
    /// `${input:ID}`.
    pub(crate) const INPUT: Self = Self(32);
    /// `${workspaceFolder}`, `${userHome}`, `${workspaceFolderBasename}`, `${pathSeparator}`, `${/}`.
    pub(crate) const EDITOR: Self = Self(64);
    /// `{env:NAME}` and `{file:PATH}`.
    pub(crate) const BARE_BRACES: Self = Self(128);
    /// `${{ secrets.NAME }}` and `${{ inputs.NAME }}`.
    pub(crate) const SECRETS: Self = Self(256);
    /// `os.environ/NAME` as the whole text.
    pub(crate) const OS_ENVIRON: Self = Self(512);
    /// Expansions of a shell: `$(command)`, which is never executed, and others.
    pub(crate) const SHELL: Self = Self(1024);
    /// `{{ ... }}`, which only the program itself can fill in.
    pub(crate) const MUSTACHE: Self = Self(2048);
    /// `$NAME` with a name in capitals only, with [`Self::BRACES`].
    pub(crate) const DOLLAR_UPPER: Self = Self(1 | 4096);
    /// `{{ .env.NAME }}`; every other template is refused.
    pub(crate) const TEMPLATES: Self = Self(8192);
    /// `${user_config.KEY}`, which a program asks its user for.
    pub(crate) const USER_CONFIG: Self = Self(16384);

    /// `${..}` that is no variable is a mistake: the gateway's own.
    pub(crate) const STRICT: Self = Self(32_768);

    /// Returns both sets together.
    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Notation {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.with(other)
    }
}

impl Pattern {
    /// Parses a text.
    pub(crate) fn parse(text: &str, notation: Notation) -> Self {
        let mut pattern = Self::default();
        if notation.has(Notation::OS_ENVIRON)
            && let Some(name) = text.strip_prefix("os.environ/")
        {
            return Self::variable(name);
        }
        let mut rest = text;
        while let Some(at) = rest.find(['$', '{', '`']) {
            let (before, found) = rest.split_at(at);
            pattern.push_text(before);
            let (part, length) = match part(found, notation) {
                Some((part, length)) => (part, length),
                None => (Part::Literal(found.chars().take(1).collect()), 1),
            };
            match part {
                Part::Literal(text) => pattern.push_text(&text),
                part => pattern.parts.push(part),
            }
            rest = found.get(length..).unwrap_or_default();
        }
        pattern.push_text(rest);
        pattern
    }

    fn push_text(&mut self, text: &str) {
        match self.parts.last_mut() {
            _ if text.is_empty() => {}
            Some(Part::Literal(last)) => last.push_str(text),
            _ => self.parts.push(Part::Literal(text.to_owned())),
        }
    }
}

/// Returns the variable at the start of a text, and its length in bytes.
fn part(text: &str, notation: Notation) -> Option<(Part, usize)> {
    if notation.has(Notation::ESCAPE) && text.starts_with("$${") {
        return Some((Part::Literal("${".to_owned()), 3));
    }
    if let Some(rest) = text.strip_prefix("${{").filter(|_| notation.has(Notation::SECRETS)) {
        let (inside, _) = rest.split_once("}}")?;
        let name = inside.trim();
        let name = ["secrets.", "inputs."].iter().find_map(|prefix| name.strip_prefix(prefix))?;
        return Some((Part::Secret(name.to_owned()), "${{".len() + inside.len() + "}}".len()));
    }
    if let Some(rest) = text.strip_prefix("${") {
        let is_strict = notation.has(Notation::STRICT);
        let (inside, length) = match rest.split_once('}') {
            Some((inside, _)) => (inside, inside.len() + 3),
            None if is_strict => (rest, text.len()),
            None => return None,
        };
        let found = braces(inside, notation).filter(|_| !(is_strict && inside.contains("${")));
        let refused = || Part::Refused(format!("`${{{inside}}}` is no variable; write `$${{` for the text `${{`"));
        return found.or_else(|| is_strict.then(refused)).map(|part| (part, length));
    }
    if notation.has(Notation::SHELL)
        && let Some(found) = command(text)
    {
        return Some(found);
    }
    if text.starts_with("{{")
        && let Some(found) = template(text, notation)
    {
        return Some(found);
    }
    if let Some(rest) = text.strip_prefix('{').filter(|_| notation.has(Notation::BARE_BRACES)) {
        let (inside, _) = rest.split_once('}')?;
        let variable = |name: &str| Part::Variable { name: name.trim().to_owned(), default: None };
        let file = || inside.strip_prefix("file:").map(|path| Part::File(path.trim().to_owned()));
        return Some((inside.strip_prefix("env:").map(variable).or_else(file)?, inside.len() + 2));
    }
    let rest = text.strip_prefix('$')?;
    let is_upper = notation.has(Notation::DOLLAR_UPPER);
    if !is_upper && !notation.has(Notation::DOLLAR) {
        return None;
    }
    let is_letter = |letter: char| match is_upper {
        true => letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_',
        false => letter.is_ascii_alphanumeric() || letter == '_',
    };
    let length = rest.find(|letter| !is_letter(letter)).unwrap_or(rest.len());
    let name = rest.get(..length).filter(|name| is_name(name))?;
    Some((Part::Variable { name: name.to_owned(), default: None }, length + 1))
}

/// Returns the command of a shell at the start of a text.
fn command(text: &str) -> Option<(Part, usize)> {
    let (reason, length) = match text.strip_prefix('`') {
        Some(rest) => ("a command in backticks, which an import never runs", rest.find('`')? + 2),
        None => {
            let end = text.strip_prefix("$(")?.find(')');
            ("`$(...)` runs a command, which an import never does", end.map_or(text.len(), |end| end + 3))
        }
    };
    Some((Part::Refused(reason.to_owned()), length))
}

/// Returns the template at the start of a text.
fn template(text: &str, notation: Notation) -> Option<(Part, usize)> {
    let rest = text.strip_prefix("{{")?;
    let inside = rest.split_once("}}").map(|(inside, _)| inside);
    if notation.has(Notation::TEMPLATES) {
        let inside = inside.unwrap_or(rest);
        let length = text.len().min(inside.len() + 4);
        let name = inside.trim().strip_prefix(".env.").filter(|name| is_name(name) && length == inside.len() + 4);
        let part = name.map(|name| Part::Variable { name: name.to_owned(), default: None });
        return Some((
            part.unwrap_or_else(|| {
                Part::Refused(format!(
                    "of the engine's templates only `{{{{ .env.NAME }}}}` has a meaning here, not `{}`",
                    text.get(..length).unwrap_or_default()
                ))
            }),
            length,
        ));
    }
    let inside = inside.filter(|_| notation.has(Notation::MUSTACHE))?;
    let reason = format!("only the program itself can fill in `{{{{{inside}}}}}`");
    Some((Part::Refused(reason), inside.len() + 4))
}

/// Returns the meaning of the text between `${` and `}`.
fn braces(inside: &str, notation: Notation) -> Option<Part> {
    let variable = |name: &str, default: Option<&str>| {
        let name = is_name(name).then(|| name.to_owned())?;
        Some(Part::Variable { name, default: default.map(str::to_owned) })
    };
    if let Some(name) = inside.strip_prefix("env:") {
        return if notation.has(Notation::ENV) { variable(name.trim(), None) } else { None };
    }
    if let Some(path) = inside.strip_prefix("file:") {
        return notation.has(Notation::FILE).then(|| Part::File(path.trim().to_owned()));
    }
    if let Some(id) = inside.strip_prefix("input:") {
        return notation.has(Notation::INPUT).then(|| Part::Input(id.to_owned()));
    }
    if notation.has(Notation::EDITOR) {
        match inside {
            "workspaceFolder" | "workspaceRoot" => return Some(Part::Workspace),
            "workspaceFolderBasename" => return Some(Part::WorkspaceName),
            "userHome" => return Some(Part::Home),
            "pathSeparator" | "/" => return Some(Part::Literal("/".to_owned())),
            _ => {}
        }
    }
    if let Some(key) = inside.strip_prefix("user_config.").filter(|_| notation.has(Notation::USER_CONFIG)) {
        return Some(Part::Input(key.to_owned()));
    }
    if !notation.has(Notation::BRACES) {
        return None;
    }
    let found = match inside.split_once(":-") {
        Some((_, default)) if notation.has(Notation::SHELL) && default.contains(['$', '`']) => None,
        Some((name, default)) => variable(name, Some(default)),
        None => variable(inside, None),
    };
    let refused = || Part::Refused(format!("`${{{inside}}}` is an expansion that only a shell knows"));
    found.or_else(|| notation.has(Notation::SHELL).then(refused))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, notation: Notation, expected: &str) {
        let told = match Pattern::parse(text, notation).template() {
            Ok(template) => template,
            Err(reason) => format!("refused: {reason}"),
        };
        assert_eq!(told, expected, "{text}");
    }

    #[test]
    fn each_notation_is_read_where_it_is_known_and_literal_elsewhere() {
        check("a$B${C}${D:-e f}", Notation::NONE, "a$B${C}${D:-e f}");
        check("a$B${C}${D:-e f}", Notation::BRACES, "a$B{{ .env.C }}{{ .env.D | default \"e f\" }}");
        check("a$B/${C}", Notation::DOLLAR, "a{{ .env.B }}/{{ .env.C }}");
        check("$abc $ABC", Notation::DOLLAR_UPPER, "$abc {{ .env.ABC }}");
        check("${env:A}${A}", Notation::ENV, "{{ .env.A }}${A}");
        check("${input:web-key}", Notation::INPUT, "{{ .env.WEB_KEY }}");
        check("${userHome}${/}x", Notation::EDITOR, "{{ .env.HOME }}/x");
        check("{env:A} {b}", Notation::BARE_BRACES, "{{ .env.A }} {b}");
        check("${{ secrets.A }}${{ x.B }}", Notation::SECRETS, "{{ .env.A }}${{ \"{{\" }} x.B }}");
        check("os.environ/A", Notation::OS_ENVIRON, "{{ .env.A }}");
        check("x os.environ/A", Notation::OS_ENVIRON, "x os.environ/A");
        check("a $(cat key)", Notation::SHELL, "refused: `$(...)` runs a command, which an import never does");
        check("{{X}}", Notation::MUSTACHE, "refused: only the program itself can fill in `{{X}}`");
        check("a `b` c", Notation::SHELL, "refused: a command in backticks, which an import never runs");
        check("{{ .env.A }}{{.env.B}}", Notation::TEMPLATES, "{{ .env.A }}{{ .env.B }}");
        for text in ["{{ .tasks.A }}", "{{- .env.A -}}", "{{ .env.A | upper }}", "a {{ .env.A"] {
            let told = Pattern::parse(text, Notation::TEMPLATES).template();
            assert!(told.is_err_and(|reason| reason.contains("templates")), "{text}");
        }
        check("${user_config.a-b}", Notation::BRACES | Notation::USER_CONFIG, "{{ .env.A_B }}");
        check("$${A}$$${A}", Notation::BRACES | Notation::ESCAPE, "${A}$${A}");
    }

    #[test]
    fn what_is_no_variable_stays_as_it_is() {
        for text in ["$", "${", "${}", "${1A}", "${A B}", "$ A", "a{b}c", "${unclosed", "$9", "ü$ü"] {
            check(text, Notation::DOLLAR | Notation::ENV | Notation::BARE_BRACES, text);
        }
    }
}
