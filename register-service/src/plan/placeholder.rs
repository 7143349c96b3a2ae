//! `[redacted]` in a declaration: the secret that the gateway has in the same place.
//!
//! This workspace's gateway keeps its secret when it is sent the placeholder. Another make would store the placeholder
//! itself, and shows its secrets instead: there they are sent back.

use schemas::admin::Registration;
use schemas::dialect::compozy::DefinitionDocument;
use schemas::plan::Reason;
use schemas::{Definition, Secret};

/// The declaration as it is to be sent, or the secrets that it asks for and the gateway does not have.
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
    // Only secrets were exchanged for secrets.
    Ok(Definition::try_from(ours).unwrap_or_else(|_| desired.clone()))
}

fn fill(ours: &mut Secret, theirs: Option<&Secret>, place: String, unknown: &mut Vec<Reason>) {
    match theirs {
        _ if !ours.is_redacted() => {}
        Some(theirs) => ours.clone_from(theirs),
        None => unknown.push(Reason::new(place, None)),
    }
}
