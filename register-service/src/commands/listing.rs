//! Selects registrations for `status` and `dump`.

use schemas::admin::Registration;
use schemas::{Owner, ServerName};

use crate::commands::prepare::unreachable;
use crate::exit::Exit;
use crate::report::Report;

/// Filters by names, if there are any, and by owner, if there is one. Reports names that are not registered.
pub(super) fn choose(
    mut report: Report,
    listed: Result<Vec<Registration>, proxy_client::Error>,
    names: &[ServerName],
    owner: Option<&Owner>,
) -> Result<(Report, Vec<Registration>), Report> {
    let mut listed = match listed {
        Ok(listed) => listed,
        Err(error) => return Err(unreachable(report, &error)),
    };
    let is = |it: &Registration, name: &ServerName| it.definition.name() == name.as_str();
    for name in names {
        if !listed.iter().any(|it| is(it, name)) {
            report = report.failed(Exit::NotReady, format!("the gateway has no upstream `{name}`"), None);
        }
    }
    let is_named = |it: &Registration| names.is_empty() || names.iter().any(|name| is(it, name));
    let is_owned = |it: &Registration| owner.is_none_or(|owner| it.definition.owner() == Some(owner.as_str()));
    listed.retain(|it| is_named(it) && is_owned(it));
    Ok((report, listed))
}
