//! Checks references to tools against the tools that a gateway lists. No request is made here.

mod arguments;

use std::collections::BTreeMap;

use schemas::ServerName;
use schemas::admin::{Registration, State, Tool};

use crate::diagnostic::{Code, Diagnostic, nearest};
use crate::workflow::reference::tool::ToolReference;
use crate::workflow::{Desired, Usage};

/// Registrations and tools of a gateway, as its admin API lists them.
///
/// ```no_run
/// use register_service::files::{Desired, Offer, check_tools};
///
/// # async fn run(client: proxy_client::Client, desired: Desired) -> Result<(), proxy_client::Error> {
/// let (registrations, tools) = (client.list().await?, client.list_all_tools().await?);
/// for remark in check_tools(&desired, Offer { registrations: &registrations, tools: &tools }) {
///     eprintln!("{remark}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// All registrations.
    pub registrations: &'a [Registration],
    /// All tools, including those that a filter hides if the gateway lists them.
    pub tools: &'a [Tool],
}

/// Checks for every reference to a tool that the gateway could call it: that the server is registered and connected,
/// has a tool of that name, does not hide it, and accepts the arguments that the step gives.
///
/// ```
/// use register_service::files::{Offer, check_tools};
/// use register_service::{Environment, Settings, load};
///
/// # let folder = tempfile::tempdir()?;
/// # let file = folder.path().join("agent.yaml");
/// std::fs::write(&file, concat!(
///     "id: a\ninstructions: look it up\n",
///     "mcps:\n  - {id: search, url: 'http://127.0.0.1:6001/search/sse', use_proxy: true}\n",
///     "actions:\n  - {id: x, tool: $mcp(search#web)}\n",
/// ))?;
/// let settings = Settings::new("http://127.0.0.1:6001".parse()?, Environment::default());
/// let desired = load(&[file], &settings)?.desired;
/// let found = check_tools(&desired, Offer { registrations: &[], tools: &[] });
/// assert_eq!(found[0].code.as_str(), "missing-upstream");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn check_tools(desired: &Desired, offer: Offer<'_>) -> Vec<Diagnostic> {
    let mut by_server: BTreeMap<&str, Vec<&Tool>> = BTreeMap::new();
    for tool in offer.tools {
        by_server.entry(&tool.mcp_name).or_default().push(tool);
    }
    let registrations: BTreeMap<&str, &Registration> =
        offer.registrations.iter().map(|it| (it.definition.name(), it)).collect();
    let mut diagnostics = Vec::new();
    for reference in desired.tools() {
        let Some(upstream) = &reference.upstream else { continue };
        let registration = registrations.get(upstream.as_str()).copied();
        let tools = by_server.get(upstream.as_str()).map(Vec::as_slice).unwrap_or_default();
        let tool = tools.iter().find(|tool| tool.name == reference.tool);
        if reference.step.is_passed_on {
            // A problem with the tool itself is reported at the action.
            let tool = tool.filter(|tool| !tool.hidden && registration.is_some_and(is_connected));
            diagnostics.extend(tool.into_iter().flat_map(|tool| arguments::check(reference, tool)));
            continue;
        }
        if let Some(remark) = not_usable(desired, reference, upstream, registration) {
            diagnostics.push(remark);
            continue;
        }
        match tool {
            Some(tool) if tool.hidden => diagnostics.push(hidden(reference, upstream)),
            Some(tool) => diagnostics.extend(arguments::check(reference, tool)),
            None if is_filtered(registration, &reference.tool) => diagnostics.push(hidden(reference, upstream)),
            None => diagnostics.push(missing(reference, upstream, tools, offer.tools)),
        }
    }
    desired.finish(&mut diagnostics);
    diagnostics
}

fn is_connected(registration: &Registration) -> bool {
    registration.status.status == State::Connected
}

/// Returns a diagnostic if the server's tools are unknown.
fn not_usable(
    desired: &Desired,
    reference: &ToolReference,
    upstream: &ServerName,
    registration: Option<&Registration>,
) -> Option<Diagnostic> {
    let at = &reference.server_at;
    let Some(registration) = registration else {
        let is_created = |usage: &Usage| {
            let Usage::Registered { definition, .. } = usage else { return false };
            definition.name == *upstream
        };
        return Some(match desired.entries().iter().any(|entry| is_created(&entry.usage)) {
            true => {
                let message = format!("upstream `{upstream}` is not registered yet, so its tools are unknown");
                Diagnostic::new(Code::UnreadyServer, at, message).hint("sync first")
            }
            false => {
                let message = format!("the gateway has no upstream `{upstream}`");
                Diagnostic::new(Code::MissingUpstream, at, message)
            }
        });
    };
    if is_connected(registration) {
        return None;
    }
    let reason = registration.status.last_error.as_deref().unwrap_or_default().to_lowercase();
    let is_refused = ["401", "403", "unauthorized", "forbidden"].iter().any(|word| reason.contains(word));
    Some(match is_refused {
        true => {
            let message = format!("upstream `{upstream}` refuses the gateway, so its tools are unknown");
            let hint = "check the credentials in `headers` or `env` of its entry";
            Diagnostic::new(Code::UnauthorizedServer, at, message).hint(hint)
        }
        false => {
            let message = format!("upstream `{upstream}` is not connected, so its tools are unknown");
            Diagnostic::new(Code::UnreadyServer, at, message).hint("`lastError` in its status says why")
        }
    })
}

/// True if the filter of a definition hides a tool.
fn is_filtered(registration: Option<&Registration>, tool: &str) -> bool {
    let filter = registration.and_then(|it| it.definition.document().tool_filter.as_ref());
    filter.is_some_and(|filter| match filter.mode.as_str() {
        "allow" => !filter.list.iter().any(|name| name == tool),
        _ => filter.list.iter().any(|name| name == tool),
    })
}

fn hidden(reference: &ToolReference, upstream: &ServerName) -> Diagnostic {
    let message = format!("tool `{}` of `{upstream}` is hidden by the filter of its definition", reference.tool);
    Diagnostic::new(Code::HiddenTool, &reference.tool_at, message)
}

fn missing(reference: &ToolReference, upstream: &ServerName, tools: &[&Tool], all: &[Tool]) -> Diagnostic {
    let wanted = reference.tool.as_str();
    let at = &reference.tool_at;
    let plain =
        |name: &str| -> String { name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect() };
    let is_same = |tool: &&&Tool| {
        let exposed = tool.exposed_name.as_deref() == Some(wanted) || format!("{upstream}__{}", tool.name) == wanted;
        exposed || plain(&tool.name) == plain(wanted)
    };
    if let Some(same) = tools.iter().find(is_same) {
        let message = format!("`{upstream}` calls this tool `{}`", same.name);
        return Diagnostic::new(Code::RenamedTool, at, message).hint(format!("write `{}`", same.name));
    }
    let remark = Diagnostic::new(Code::MissingTool, at, format!("`{upstream}` has no tool `{wanted}`"));
    if let Some(near) = nearest(wanted, tools.iter().map(|tool| tool.name.as_str())) {
        return remark.did_you_mean(Some(near));
    }
    match all.iter().find(|tool| tool.name == wanted && !tool.hidden) {
        Some(other) => remark.hint(format!("`{}` has a tool of this name", other.mcp_name)),
        None => remark,
    }
}

#[cfg(test)]
mod tests;
