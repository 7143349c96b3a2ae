//! Flags about configuration files.

use std::path::PathBuf;

use schemas::Owner;

const FORMAT_HELP: &str = "Format of the file, if its content does not show it: own, or that of a program, such as \
    vscode, codex or gemini";

/// Flags of `serve` and `config` that name and interpret the configuration file.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct FileFlags {
    /// Configuration file: the gateway's own (YAML, JSON or TOML) or that of another program. Otherwise mcp-proxy.yaml
    /// (.yml, .json, .jsonc, .toml) in the working folder or above, or config/mcp_server.json; `none` for no file [env:
    /// MCP_PROXY_CONFIG]
    #[arg(long, short, value_name = "FILE", help_heading = HEADING)]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) foreign: ForeignFlags,
    /// True if the file has been read before: a pipe cannot be read again.
    #[arg(skip)]
    pub(crate) is_reload: bool,
    /// Owner of the file's servers, which no other file and no client changes [default: file:PATH]
    #[arg(long, value_name = "OWNER", help_heading = HEADING)]
    pub(crate) config_owner: Option<Owner>,
}

/// Flags about another program's file that is read for its text.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct FormatFlags {
    #[arg(long, value_name = "FORMAT", help = FORMAT_HELP, help_heading = HEADING)]
    pub(crate) config_format: Option<String>,
    /// Folder for which `${workspaceFolder}` stands in an editor's file; Radium's workspace [env: RADIUM_WORKSPACE]
    #[arg(long, short, value_name = "FOLDER", help_heading = HEADING)]
    pub(crate) workspace: Option<PathBuf>,
}

/// Flags that fill in what another program's file leaves to that program.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct ForeignFlags {
    #[command(flatten)]
    pub(crate) format: FormatFlags,
    /// Value for which `${input:ID}` stands in an editor's file; can be repeated
    #[arg(long = "input", value_name = "ID=VALUE", value_parser = pair, help_heading = HEADING)]
    pub(crate) inputs: Vec<(String, String)>,
}

const HEADING: &str = "Configuration file";

fn pair(text: &str) -> Result<(String, String), String> {
    let (id, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not ID=VALUE"))?;
    Ok((id.to_owned(), value.to_owned()))
}
