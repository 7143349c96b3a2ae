//! The tools that a worker's models may use: which of them, and by which names.

mod function;
mod name;

use std::collections::BTreeSet;

use schemas::ServerName;
use schemas::admin::Tool;

use crate::service::RegisterService;
use crate::service::call::address::ToolAddress;
pub use crate::service::tools::function::{Function, FunctionForm};

/// Which tools are offered to a model. Names of servers are compared without regard to case, by the engine's name or
/// the gateway's.
///
/// ```
/// use register_service::{Naming, Selection};
///
/// let selection = Selection {
///     denied: vec!["shell".to_owned()],
///     own: vec!["calculator".to_owned()],
///     naming: Naming::Qualified,
///     ..Selection::default()
/// };
/// assert!(selection.allowed.is_empty());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// The servers whose tools may be offered; all if none is named.
    pub allowed: Vec<String>,
    /// The servers whose tools are not offered, also if they are allowed.
    pub denied: Vec<String>,
    /// The names of the engine's own tools, which go before those of servers.
    pub own: Vec<String>,
    /// What the tools are called.
    pub naming: Naming,
}

/// What tools are called where a model sees them.
///
/// ```no_run
/// use register_service::{Naming, Selection};
///
/// # async fn run(service: register_service::RegisterService) -> Result<(), proxy_client::Error> {
/// let qualified = Selection { naming: Naming::Qualified, ..Selection::default() };
/// assert!(service.tools().await?.find("web").is_some());
/// assert!(service.tools_for(&qualified).await?.find("search__web").is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Naming {
    /// By their own names. Of equal ones the first is offered, in the order in which the servers were registered.
    #[default]
    Plain,
    /// `server__tool`, so that no tool hides another.
    Qualified,
}

/// The tools that a model is offered, and those that it is not.
///
/// ```no_run
/// use register_service::FunctionForm;
///
/// # async fn run(service: register_service::RegisterService) -> Result<(), Box<dyn std::error::Error>> {
/// let tools = service.tools().await?;
/// let request = serde_json::json!({ "model": "m", "messages": [], "tools": tools.to_json(FunctionForm::OpenAi) });
///
/// // The model's answer names a function and gives its arguments as text.
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
    /// What a model is offered, each name once.
    pub functions: Vec<Function>,
    /// What it is not.
    pub left_out: Vec<LeftOut>,
}

/// A tool that a model is not offered.
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
    /// The server, by the gateway's name for it.
    pub server: ServerName,
    /// The tool, by the server's name for it.
    pub tool: String,
    /// Why.
    pub why: Why,
}

/// Why a tool is not offered.
///
/// ```
/// use register_service::Why;
///
/// fn is_worth_a_warning(why: &Why) -> bool {
///     // The rest is as it was asked for.
///     matches!(why, Why::Taken { .. } | Why::Hidden { .. })
/// }
/// assert!(is_worth_a_warning(&Why::Taken { by: "$mcp(search#web)".parse()? }));
/// assert!(!is_worth_a_warning(&Why::Denied));
/// # Ok::<(), register_service::InvalidToolAddress>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// Its server is not among those that are allowed.
    NotAllowed,
    /// Its server is denied.
    Denied,
    /// The engine has a tool of its own by that name.
    Own,
    /// No address means it: what the gateway calls its server is what the engine calls another one.
    Hidden {
        /// What that id means.
        by: ServerName,
    },
    /// Another server's tool has the name already.
    Taken {
        /// Who has it.
        by: ToolAddress,
    },
}

impl Tools {
    /// Chooses among the tools of a gateway. `ids` are the engine's names for the servers.
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

    /// The function of this name, as a model gives it back.
    ///
    /// ```
    /// assert!(register_service::Tools::default().find("search_web").is_none());
    /// ```
    pub fn find(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|it| it.name == name).or_else(|| self.named(name))
    }

    /// The list as a model's API takes it.
    ///
    /// ```
    /// use register_service::{FunctionForm, Tools};
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

/// What is compared of a name.
fn folded(name: &str) -> String {
    name.trim().to_lowercase()
}

impl RegisterService {
    /// The tools that models may use, by [`Options::selection`](crate::Options::selection). The gateway's list is
    /// good for five minutes, an empty one for half of one; one that has aged is given, and asked for again meanwhile. What
    /// this worker registers and removes, and a server that it needs and that connects, counts at once.
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

    /// The tools that one agent may use.
    ///
    /// ```no_run
    /// # async fn run(service: register_service::RegisterService) -> Result<(), proxy_client::Error> {
    /// let selection = register_service::Selection { allowed: vec!["search".to_owned()], ..Default::default() };
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
