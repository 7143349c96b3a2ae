//! Redaction of a definition before it is shown.

use std::fmt;

use crate::dialect::compozy::{Command, DefinitionDocument};
use crate::redact::{argument_parts, is_placeholder, url_parts, values};
use crate::{REDACTED, Secret, redact_arguments, redact_url};

/// Prints the redacted document, because a URL or an argument may contain a secret.
impl fmt::Debug for DefinitionDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(&self.clone().redacted()).unwrap_or_default())
    }
}

impl DefinitionDocument {
    /// Replaces every secret by a placeholder.
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
        // Keep `none`: it is not a secret.
        if let Some(proxy) = self.proxy.as_mut().filter(|proxy| !proxy.expose().eq_ignore_ascii_case("none")) {
            *proxy = Secret::new(REDACTED);
        }
        self
    }

    /// Returns the secret parts of the URL and the arguments, by the same keys as fingerprints (`url.password`,
    /// `args.--token`). A part that is shown as a placeholder is returned as the placeholder.
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

    /// Redacts `command`, `args` and `startup_args` as one list: a flag and its value may be in different members.
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
