//! Addresses of tools: `$mcp(server#tool)`.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use crate::workflow::reference::tool::{self, Parts, ToolReference};

/// Address of a tool, as in workflow files: `$mcp(server#tool)`.
///
/// ```
/// use register_service::worker::ToolAddress;
///
/// let address: ToolAddress = "$mcp( search # web )".parse()?;
/// assert_eq!((address.server.as_str(), address.tool.as_str()), ("search", "web"));
/// assert_eq!(address.to_string(), "$mcp(search#web)");
/// assert!("search.web".parse::<ToolAddress>().is_err());
/// # Ok::<(), register_service::worker::InvalidToolAddress>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ToolAddress {
    /// Name of the server, as known to the engine or to the gateway.
    pub server: String,
    /// Name of the tool at the server.
    pub tool: String,
}

/// Error for a text that is not an address.
///
/// ```
/// let error = "search#web".parse::<register_service::worker::ToolAddress>().map_err(|error| error.to_string());
/// assert_eq!(error, Err("`search#web` is no `$mcp(server#tool)`".to_owned()));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no `$mcp(server#tool)`")]
#[non_exhaustive]
pub struct InvalidToolAddress {
    /// The invalid text.
    pub text: String,
}

impl ToolReference {
    /// Returns the address to call, with the engine's name of the server.
    ///
    /// ```no_run
    /// # async fn run(service: register_service::RegisterService, desired: register_service::files::Desired)
    /// # -> Result<(), register_service::worker::CallError> {
    /// for reference in desired.tools() {
    ///     println!("{}", service.call(&reference.address(), "{}").await?.to_text());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn address(&self) -> ToolAddress {
        ToolAddress { server: self.server.clone(), tool: self.tool.clone() }
    }
}

impl From<&ToolReference> for ToolAddress {
    fn from(reference: &ToolReference) -> Self {
        reference.address()
    }
}

impl FromStr for ToolAddress {
    type Err = InvalidToolAddress;

    fn from_str(text: &str) -> Result<Self, InvalidToolAddress> {
        let part = |range: Range<usize>| text.get(range).unwrap_or_default().to_owned();
        match tool::parse(text) {
            Some(Ok(Parts { server, tool })) => Ok(Self { server: part(server), tool: part(tool) }),
            Some(Err(_)) | None => Err(InvalidToolAddress { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for ToolAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "$mcp({}#{})", self.server, self.tool)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, &str)>) {
        let read = text.parse::<ToolAddress>().ok();
        assert_eq!(read.as_ref().map(|it| (it.server.as_str(), it.tool.as_str())), expected, "{text}");
    }

    #[test]
    fn reads_server_and_tool() {
        check("$mcp(search#web)", Some(("search", "web")));
        check(" $mcp( search # web.v2/x ) ", Some(("search", "web.v2/x")));
        check("$mcp(a#b#c)", Some(("a", "b#c")));
    }

    #[test]
    fn refuses_the_rest() {
        for text in ["", "$mcp", "$mcp(a)", "$mcp(#b)", "$mcp(a#)", "$mcp(a#b", "mcp(a#b)", "$mcp(a#b) x", "$mcp(a#b))"]
        {
            check(text, None);
        }
    }
}
