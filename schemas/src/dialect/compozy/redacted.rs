//! A definition as it may be shown.

use std::fmt;

use crate::dialect::compozy::{Command, DefinitionDocument};
use crate::redact::{argument_parts, is_placeholder, url_parts, values};
use crate::{REDACTED, Secret, redact_arguments, redact_url};

/// Shows what a view shows: an address or an argument may hold a secret.
impl fmt::Debug for DefinitionDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(&self.clone().redacted()).unwrap_or_default())
    }
}

impl DefinitionDocument {
    /// The same document with a placeholder for every secret.
    ///
    /// ```
    /// use schemas::dialect::compozy::DefinitionDocument;
    ///
    /// let document: DefinitionDocument = serde_json::from_str(r#"{"name":"docs","headers":{"X-Key":"s3cret"}}"#)?;
    /// assert_eq!(document.redacted().headers["X-Key"].expose(), "[redacted]");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn redacted(mut self) -> Self {
        self.url = redact_url(&self.url);
        self.redact_words();
        for secret in self.headers.values_mut().chain(self.env.values_mut()).chain(&mut self.auth_tokens) {
            *secret = Secret::new(REDACTED);
        }
        // That there is to be none is no secret.
        if let Some(proxy) = self.proxy.as_mut().filter(|proxy| !proxy.expose().eq_ignore_ascii_case("none")) {
            *proxy = Secret::new(REDACTED);
        }
        self
    }

    /// The secret parts of the address and the arguments by place (`url.password`, `args.--token`), as fingerprints are
    /// keyed. A part that is shown as a placeholder is one here.
    ///
    /// ```
    /// use schemas::dialect::compozy::DefinitionDocument;
    ///
    /// let document: DefinitionDocument = serde_json::from_str(r#"{"command":"x","args":["--token","s3cret"]}"#)?;
    /// assert_eq!(document.secret_parts(), [("args.--token".to_owned(), "s3cret".into())]);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn secret_parts(&self) -> Vec<(String, Secret)> {
        let (_, leading) = self.command.clone().split();
        let words: Vec<String> = leading.iter().chain(&self.args).chain(&self.startup_args).cloned().collect();
        let parts = argument_parts(&words);
        let arguments = words.iter().zip(&parts).flat_map(|(word, parts)| values(word, parts));
        let all = values(&self.url, &url_parts(&self.url)).into_iter().chain(arguments);
        let shown = |secret: Secret| if is_placeholder(secret.expose()) { Secret::new(REDACTED) } else { secret };
        all.map(|(place, secret)| (place, shown(secret))).collect()
    }

    /// Arguments may be spread over three members, and a flag's value stand in the next of them.
    fn redact_words(&mut self) {
        let line = match &self.command {
            Command::Program(_) => Vec::new(),
            Command::Line(words) => words.clone(),
        };
        let (leading, own) = (line.len(), self.args.len());
        let words: Vec<String> =
            line.into_iter().chain(self.args.drain(..)).chain(self.startup_args.drain(..)).collect();
        let mut shown = redact_arguments(&words).into_iter();
        if let Command::Line(line) = &mut self.command {
            *line = shown.by_ref().take(leading).collect();
        }
        self.args = shown.by_ref().take(own).collect();
        self.startup_args = shown.collect();
    }
}
