//! Prints the settings in effect for people and programs.

use serde_json::json;

use crate::cli::Output;
use crate::config::{Effective, Loaded, displayed};

/// Version of the JSON form; changes when a reader of the former one would fail.
const JSON_VERSION: u32 = 1;
/// Stands for a value that is not set.
const NOTHING: &str = "-";

/// Formats settings in the order of the help, with a final newline.
pub(super) fn show(loaded: &Loaded, output: Output) -> String {
    let settings = &loaded.settings;
    match output {
        Output::Human => table(settings),
        Output::Json => {
            let mut shown = json!({ "version": JSON_VERSION, "settings": settings });
            if let (Some(file), Some(servers), Some(shown)) =
                (&loaded.file, &loaded.config.servers, shown.as_object_mut())
            {
                let names: Vec<&str> = servers.definitions.iter().map(|it| it.name.as_str()).collect();
                let file = json!({
                    "path": displayed(&file.path),
                    "format": file.format,
                    "owner": servers.owner,
                    "servers": names,
                    "refused": servers.refused,
                    "remarks": file.remarks,
                });
                shown.insert("file".to_owned(), file);
            }
            format!("{shown:#}\n")
        }
    }
}

fn table(settings: &[Effective]) -> String {
    let row = |setting: &Effective| {
        let value = setting.value.as_deref().map_or_else(|| NOTHING.to_owned(), printable);
        [setting.name.to_owned(), value, setting.origin.to_string()]
    };
    let head = ["SETTING", "VALUE", "ORIGIN"].map(str::to_owned);
    let rows: Vec<[String; 3]> = std::iter::once(head).chain(settings.iter().map(row)).collect();
    let widest = |column: fn(&[String; 3]) -> &String| {
        rows.iter().map(|row| column(row).chars().count()).max().unwrap_or_default()
    };
    let (names, values) = (widest(|[name, _, _]| name), widest(|[_, value, _]| value));
    let line = |[name, value, origin]: &[String; 3]| format!("{name:names$}  {value:values$}  {origin}\n");
    rows.iter().map(line).collect()
}

/// Replaces control characters, which a terminal would obey.
fn printable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Origin;

    #[test]
    fn columns_are_as_wide_as_their_widest_entry_and_what_is_not_set_is_a_dash() {
        let setting = |name, value: Option<&str>, origin| Effective {
            name,
            value: value.map(str::to_owned),
            origin,
            is_live: false,
        };
        let settings = [
            setting("host", Some("a\u{1b}[2Jb.example"), Origin::Flag { flag: "--host".to_owned() }),
            setting("admin-tokens", None, Origin::Default),
            setting("port", Some("7"), Origin::Environment { variables: vec!["MCP_PROXY_PORT".to_owned()] }),
        ];
        let expected = "\
SETTING       VALUE           ORIGIN
host          a\u{fffd}[2Jb.example  flag --host
admin-tokens  -               default
port          7               environment MCP_PROXY_PORT
";
        assert_eq!(table(&settings), expected);
    }
}
