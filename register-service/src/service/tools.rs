//! Selection and naming of the tools that a worker's models may use.

mod function;
mod name;
pub(super) mod selection;

use std::collections::BTreeSet;

use schemas::ServerName;
use schemas::admin::Tool;

use crate::service::RegisterService;
use crate::service::call::address::ToolAddress;
pub use crate::service::tools::function::{Function, FunctionForm};
pub use crate::service::tools::selection::{Naming, Selection};

/// The tools offered to a model, and those left out.
///
/// ```no_run
/// use register_service::worker::FunctionForm;
///
/// # async fn run(service: register_service::RegisterService) -> Result<(), Box<dyn std::error::Error>> {
/// let tools = service.tools().await?;
/// let request = serde_json::json!({ "model": "m", "messages": [], "tools": tools.to_json(FunctionForm::OpenAi) });
///
/// // Look up the function that the model named; it supplies the arguments as text.
/// if let Some(function) = tools.find("search_web") {
///     let answer = service.call(&function.address(), r#"{"query":"rust"}"#).await?;
///     println!("{}", answer.to_text());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Tools {
    /// Functions to offer, with unique names.
    pub functions: Vec<Function>,
    /// Tools that are not offered.
    pub left_out: Vec<LeftOut>,
}

/// A tool that is not offered to a model.
///
/// ```no_run
/// # async fn run(service: register_service::RegisterService) -> Result<(), proxy_client::Error> {
/// for left_out in service.tools().await?.left_out {
///     eprintln!("`{}` of `{}` is not offered: {:?}", left_out.tool, left_out.server, left_out.why);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftOut {
    /// Name of the server at the gateway.
    pub server: ServerName,
    /// Name of the tool at the server.
    pub tool: String,
    /// The reason.
    pub why: Why,
}

/// Reason why a tool is not offered.
///
/// ```
/// use register_service::worker::Why;
///
/// fn is_worth_a_warning(why: &Why) -> bool {
///     // The other reasons are intended.
///     matches!(why, Why::Taken { .. } | Why::Hidden { .. })
/// }
/// assert!(is_worth_a_warning(&Why::Taken { by: "$mcp(search#web)".parse()? }));
/// assert!(!is_worth_a_warning(&Why::Denied));
/// # Ok::<(), register_service::worker::InvalidToolAddress>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// The server is not in the list of allowed servers.
    NotAllowed,
    /// The server is in the list of denied servers.
    Denied,
    /// The engine has its own tool with this name.
    Own,
    /// No address refers to the tool: the engine uses the server's name as the id of another server.
    Hidden {
        /// The server that the id refers to.
        by: ServerName,
    },
    /// Another server's tool already has the name.
    Taken {
        /// Address of that tool.
        by: ToolAddress,
    },
}

impl Tools {
    /// Selects among the tools of a gateway. `ids` are the engine's names of the servers.
    pub(crate) fn choose(tools: &[Tool], selection: &Selection, ids: &[(String, ServerName)]) -> Self {
        let fold = |names: &[String]| names.iter().map(|name| folded(name)).collect::<BTreeSet<_>>();
        let (allowed, denied, own) = (fold(&selection.allowed), fold(&selection.denied), fold(&selection.own));
        let mut chosen = Self::default();
        for tool in tools.iter().filter(|tool| !tool.hidden) {
            let Ok(server) = ServerName::stored(&tool.mcp_name) else { continue };
            let is_in = |names: &BTreeSet<String>| {
                names.contains(&folded(server.as_str()))
                    || ids.iter().any(|(id, name)| *name == server && names.contains(&folded(id)))
            };
            let function = Function::new(server.clone(), tool, selection.naming);
            let why = if is_in(&denied) {
                Some(Why::Denied)
            } else if !allowed.is_empty() && !is_in(&allowed) {
                Some(Why::NotAllowed)
            } else if own.contains(&folded(&function.name)) {
                Some(Why::Own)
            } else if let Some((_, by)) = ids.iter().find(|(id, name)| id == server.as_str() && *name != server) {
                Some(Why::Hidden { by: by.clone() })
            } else {
                chosen.named(&function.name).map(|first| Why::Taken { by: first.address() })
            };
            match why {
                Some(why) => chosen.left_out.push(LeftOut { server, tool: tool.name.clone(), why }),
                None => chosen.functions.push(function),
            }
        }
        chosen
    }

    /// Returns the function that a model named.
    ///
    /// ```
    /// assert!(register_service::worker::Tools::default().find("search_web").is_none());
    /// ```
    pub fn find(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|it| it.name == name).or_else(|| self.named(name))
    }

    /// Returns the list in the form that a model's API requires.
    ///
    /// ```
    /// use register_service::worker::{FunctionForm, Tools};
    ///
    /// assert_eq!(Tools::default().to_json(FunctionForm::Anthropic), serde_json::json!([]));
    /// ```
    pub fn to_json(&self, form: FunctionForm) -> serde_json::Value {
        self.functions.iter().map(|function| function.to_json(form)).collect()
    }

    fn named(&self, name: &str) -> Option<&Function> {
        let name = folded(name);
        self.functions.iter().find(|it| folded(&it.name) == name)
    }
}

/// Normalises a name for comparison.
fn folded(name: &str) -> String {
    name.trim().to_lowercase()
}

impl RegisterService {
    /// Returns the tools that models may use, selected by [`Options::selection`](crate::Options::selection). The
    /// gateway's list is cached for five minutes, an empty list for 30 s; an older list is returned and refreshed in
    /// the background. Changes made by this worker, and connections of servers that it needs, are visible at once.
    ///
    /// ```no_run
    /// # async fn run(service: register_service::RegisterService) -> Result<(), proxy_client::Error> {
    /// for function in service.tools().await?.functions {
    ///     println!("{}: {}", function.name, function.description);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn tools(&self) -> Result<Tools, proxy_client::Error> {
        self.tools_for(&self.shared.options.selection).await
    }

    /// Returns the tools that one agent may use.
    ///
    /// ```no_run
    /// # async fn run(service: register_service::RegisterService) -> Result<(), proxy_client::Error> {
    /// let selection = register_service::worker::Selection { allowed: vec!["search".to_owned()], ..Default::default() };
    /// let tools = service.tools_for(&selection).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn tools_for(&self, selection: &Selection) -> Result<Tools, proxy_client::Error> {
        let tools = self.listed(&self.shared.client).await?;
        let ids: Vec<_> = self.ids().iter().map(|(id, name)| (id.clone(), name.clone())).collect();
        Ok(Tools::choose(&tools, selection, &ids))
    }
}

#[cfg(test)]
mod tests;
