//! Replaces `[redacted]` in a declaration by the gateway's secret in the same place.
//!
//! This workspace's gateway keeps its secret when it receives the placeholder. Other proxies would store the
//! placeholder, but show their secrets: for them, the secret itself is sent back.

use schemas::admin::Registration;
use schemas::dialect::compozy::DefinitionDocument;
use schemas::plan::Reason;
use schemas::{Definition, InvalidDefinition, Secret};

/// Returns the declaration to send, or the placeholders for which the gateway has no secret.
pub(crate) fn filled(desired: &Definition, observed: &Registration) -> Result<Definition, Vec<Reason>> {
    let theirs = observed.definition.document();
    let mut ours = DefinitionDocument::from(desired.clone());
    let mut unknown = Vec::new();
    for (name, secret) in &mut ours.headers {
        let found = theirs.headers.iter().find(|(theirs, _)| theirs.eq_ignore_ascii_case(name));
        fill(secret, found.map(|(_, secret)| secret), format!("headers.{name}"), &mut unknown);
    }
    for (name, secret) in &mut ours.env {
        fill(secret, theirs.env.get(name), format!("env.{name}"), &mut unknown);
    }
    for (index, token) in ours.auth_tokens.iter_mut().enumerate() {
        fill(token, theirs.auth_tokens.get(index), format!("authTokens.{index}"), &mut unknown);
    }
    if !unknown.is_empty() {
        return Err(unknown);
    }
    // The conversion cannot fail: only secrets were replaced by secrets.
    let mut filled = Definition::try_from(ours).unwrap_or_else(|_| desired.clone());
    fill_parts(&mut filled, theirs)?;
    Ok(filled)
}

/// Replaces placeholders in the URL and the arguments, if the gateway shows its secrets.
fn fill_parts(ours: &mut Definition, theirs: &DefinitionDocument) -> Result<(), Vec<Reason>> {
    let is_hidden =
        |document: &DefinitionDocument| document.secret_parts().iter().any(|(_, secret)| secret.is_redacted());
    if !is_hidden(&DefinitionDocument::from(ours.clone())) || is_hidden(theirs) {
        return Ok(());
    }
    let theirs = Definition::try_from(theirs.clone()).map_err(|_| Vec::new())?;
    ours.keep_redacted(&theirs).map_err(|error| match error {
        InvalidDefinition::NothingToKeep(place) => vec![Reason::new(place, None)],
        _ => Vec::new(),
    })
}

fn fill(ours: &mut Secret, theirs: Option<&Secret>, place: String, unknown: &mut Vec<Reason>) {
    match theirs {
        _ if !ours.is_redacted() => {}
        Some(theirs) => ours.clone_from(theirs),
        None => unknown.push(Reason::new(place, None)),
    }
}
