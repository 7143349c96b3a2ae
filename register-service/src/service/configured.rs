//! Servers named in the engine's own configuration, `llm.register_mcps`, in addition to those in files.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::service::wanted::Wanted;
use crate::source::{File, InvalidFiles};
use crate::workflow::{Desired, Loaded, Settings, interpret};

/// Name used in place of a file name in diagnostics.
const NAME: &str = "llm.register_mcps";

/// Reads the maps of the engine's setting `llm.register_mcps`. Each map is an entry as in `mcps:`, and is registered
/// regardless of `use_proxy`. As in the engine, `http` is an alias of the transport `sse`. Errors are reported with
/// their positions in the list as JSON.
///
/// ```
/// use register_service::worker::load_configured;
/// use register_service::{Environment, Settings};
/// use serde_json::json;
///
/// let settings = Settings::new("http://127.0.0.1:6001".parse()?, Environment::from_iter([("TOKEN", "t0ken")]));
/// let maps = [json!({"id": "search", "url": "https://search.example/sse", "transport": "http",
///     "headers": {"Authorization": "Bearer {{ .env.TOKEN }}"}, "start_timeout": "10s"})];
/// let configured = load_configured(&maps, &settings)?.desired;
/// assert_eq!(configured.definitions()[0].name.as_str(), "search");
///
/// let wrong = load_configured(&[json!({"id": "time"})], &settings);
/// assert!(wrong.is_err_and(|invalid| invalid.diagnostics[0].code.as_str() == "missing-url"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn load_configured(maps: &[Value], settings: &Settings) -> Result<Loaded, InvalidFiles> {
    let entries: Vec<Value> = maps.iter().map(in_our_words).collect();
    // Format the JSON, which is valid YAML, in lines, so that positions distinguish entries.
    let text = format!("{:#}", json!({ "mcps": entries }));
    let (file, malformed) = File::parse(NAME, NAME, &text);
    interpret(vec![file], malformed, &Settings { all: true, ..settings.clone() })
}

fn in_our_words(map: &Value) -> Value {
    let mut entry = map.clone();
    if let Some(transport) = entry.get_mut("transport")
        && transport.as_str().is_some_and(|word| word.trim().eq_ignore_ascii_case("http"))
    {
        *transport = json!("sse");
    }
    entry
}

impl Wanted {
    /// Adds the servers of the engine's configuration. If both have the same id, ignoring case, the files take
    /// precedence. Configured servers are optional: they prevent a start only with
    /// [`fail_on_registration_error`](crate::Options::fail_on_registration_error).
    ///
    /// ```
    /// use register_service::worker::load_configured;
    /// use register_service::{Environment, Settings, Wanted};
    ///
    /// let settings = Settings::new("http://127.0.0.1:6001".parse()?, Environment::default());
    /// let maps = [serde_json::json!({"id": "time", "command": "mcp-server-time"})];
    /// let wanted = Wanted::default().with_configured(&load_configured(&maps, &settings)?.desired);
    /// assert_eq!(wanted.needs.to_string(), "`time` if possible");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_configured(mut self, configured: &Desired) -> Self {
        let names = self.definitions.iter().map(|it| it.name.as_str()).chain(self.needs.names().map(|it| it.as_str()));
        let taken: BTreeSet<String> = names.chain(self.ids.keys().map(String::as_str)).map(str::to_lowercase).collect();
        let more = Self::from(configured);
        let is_new = |name: &str| !taken.contains(&name.to_lowercase());
        self.definitions.extend(more.definitions.into_iter().filter(|it| is_new(it.name.as_str())));
        let new = more.needs.names().filter(|name| is_new(name.as_str())).cloned();
        self.needs = self.needs.with_optional(new.collect::<Vec<_>>());
        self.ids.extend(more.ids.into_iter().filter(|(id, _)| is_new(id)));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::template::Environment;

    fn settings() -> Settings {
        Settings::new("http://127.0.0.1:6001".parse().expect("a URL"), Environment::from_iter([("T", "t0ken")]))
    }

    #[test]
    fn every_key_of_the_engine_is_read_and_what_is_wrong_is_reported() {
        let maps = [
            json!({"id": "a", "resource": "r", "url": "http://a.test/sse", "transport": "HTTP", "proto": "2025-03-26",
                "headers": {"X-A": "{{ .env.T }}"}, "start_timeout": "10s", "max_sessions": 2}),
            json!({"id": "b", "command": "p x", "args": ["y"], "env": {"K": "v"}, "use_proxy": false}),
        ];
        let definitions = load_configured(&maps, &settings()).expect("valid").desired.definitions();
        let shown = serde_json::to_value(&definitions).expect("JSON");
        assert_eq!((&shown[0]["transport"], &shown[0]["headers"]["X-A"]), (&json!("sse"), &json!("t0ken")));
        assert_eq!((&shown[1]["command"], &shown[1]["args"]), (&json!("p"), &json!(["x", "y"])));
        let wrong = load_configured(
            &[json!({"id": "a", "command": "x", "transport": "carrier-pigeon"}), json!(3)],
            &settings(),
        );
        let codes: Vec<_> = wrong.expect_err("wrong").diagnostics.iter().map(|it| it.code.as_str()).collect();
        assert_eq!(codes, ["unknown-transport", "wrong-type"]);
    }

    #[test]
    fn what_files_declare_goes_before_what_is_configured() {
        let stdio = |id: &str, command: &str| json!({"id": id, "command": command});
        let read = |maps: &[Value]| load_configured(maps, &settings()).expect("valid").desired;
        let files = Wanted::from(&read(&[stdio("Search", "mine")]));
        let wanted = files.with_configured(&read(&[stdio("SEARCH", "other"), stdio("time", "t")]));
        let names: Vec<&str> = wanted.definitions.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(names, ["Search", "time"]);
        assert_eq!(wanted.needs.to_string(), "`Search`, and `time` if possible");
        assert!(wanted.ids.keys().eq(["Search", "time"]));
    }
}
