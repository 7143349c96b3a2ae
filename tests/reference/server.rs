//! Responses to requests in either era, independent of transports.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::process::exit;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use serde_json::{Value, json};

use crate::caller::{Caller, unsupported};
use crate::catalog::{Catalog, Item, fill};
use crate::listen::{Filter, Listeners};
use crate::message::{Fault, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, Params, RESOURCE_NOT_FOUND, Request};
use crate::outbox::Outbox;
use crate::script::Call;
use crate::session::Session;
use crate::tasks::Tasks;
use crate::{Era, Probe, Settings, lock, unique};

pub(crate) const MODERN: &str = "2026-07-28";
/// Legacy revisions, the newest first.
pub(crate) const LEGACY: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];
pub(crate) const TASKS: &str = "io.modelcontextprotocol/tasks";

pub(crate) struct Server {
    pub(crate) settings: Settings,
    pub(crate) catalog: Catalog,
    pub(crate) listeners: Listeners,
    pub(crate) tasks: Tasks,
    pub(crate) counters: Counters,
    /// True if the first request was modern.
    latched: OnceLock<bool>,
}

/// Numbers of events so far.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) handshakes: AtomicU64,
    pub(crate) calls: AtomicU64,
    pub(crate) cancelled: AtomicU64,
}

/// Classification of a request before it is processed.
pub(crate) enum Admitted {
    Caller(Caller),
    /// The handshake that begins a legacy session.
    Handshake,
    /// A legacy request outside of a session.
    Stranger,
    /// A request that is never answered.
    Ignored,
}

impl Server {
    pub(crate) fn new(settings: Settings) -> io::Result<Self> {
        Ok(Self {
            catalog: Catalog::new(settings.page, settings.extra_tools)?,
            settings,
            listeners: Listeners::default(),
            tasks: Tasks::default(),
            counters: Counters::default(),
            latched: OnceLock::new(),
        })
    }

    /// Appends a line to the journal, if there is one.
    pub(crate) fn note(&self, what: &str, name: &str) {
        let Some(path) = &self.settings.journal else { return };
        let journal = OpenOptions::new().create(true).append(true).open(path);
        // Append with one write, so that lines of several processes do not mix. Tests notice a missing line.
        journal.and_then(|mut journal| journal.write_all(format!("{what} {name}\n").as_bytes())).ok();
    }

    /// Determines the era of a request and checks that it is served. `header` is the version from the HTTP header.
    pub(crate) fn admit(
        &self,
        request: &Request,
        session: Option<Arc<Session>>,
        header: Option<&str>,
    ) -> Result<Admitted, Fault> {
        let is_early = session.is_none() && !["initialize", "ping"].contains(&&*request.method);
        let mut is_modern = match self.settings.era {
            Era::Legacy => false,
            Era::Modern => true,
            Era::Dual => {
                let is_new = header.is_some_and(|version| !LEGACY.contains(&version));
                request.params.meta.version.is_some() || is_early && (is_new || request.method == "server/discover")
            }
        };
        match self.settings.probe {
            Probe::Exit if is_early => exit(1),
            Probe::Ignore if is_early => return Ok(Admitted::Ignored),
            Probe::Latch => match (*self.latched.get_or_init(|| is_modern), is_modern) {
                (false, true) => return Err(Fault::new(INVALID_REQUEST, "this process serves legacy clients")),
                (latched, _) => is_modern = latched,
            },
            _ => {}
        }
        match session {
            _ if is_modern => Caller::modern(request).map(Admitted::Caller),
            Some(session) => Ok(Admitted::Caller(Caller::Legacy(session))),
            None if request.method == "initialize" => Ok(Admitted::Handshake),
            None => Ok(Admitted::Stranger),
        }
    }

    /// Begins the session of a legacy client, with `standing` as the stream for change notifications.
    pub(crate) fn initialize(&self, params: &Params, standing: &Arc<Outbox>) -> (Arc<Session>, String) {
        self.counters.handshakes.fetch_add(1, Ordering::Relaxed);
        let wanted = params.protocol_version.as_deref().unwrap_or_default();
        let [latest, ..] = LEGACY;
        let version = LEGACY.into_iter().find(|version| *version == wanted).unwrap_or(latest);
        let filter = Filter {
            tools_list_changed: true,
            prompts_list_changed: true,
            resources_list_changed: true,
            ..Filter::default()
        };
        let session = Session {
            id: unique(),
            version,
            capabilities: params.capabilities.clone().unwrap_or_default(),
            level: Mutex::default(),
            listener: self.listeners.add(filter, None, standing),
            asked: Default::default(),
        };
        let result = json!({ "protocolVersion": version, "capabilities": capabilities(), "serverInfo": identity() });
        (Arc::new(session), result.to_string())
    }

    /// Answers a legacy request outside of a session, on transports without a status for this case.
    pub(crate) fn answer_stranger(&self, request: &Request) -> Result<String, Fault> {
        match request.method.as_str() {
            "ping" => Ok("{}".to_owned()),
            "server/discover" => Err(Fault::new(METHOD_NOT_FOUND, "Method not found")),
            _ => Err(Fault::new(INVALID_REQUEST, "there was no handshake yet")),
        }
    }

    /// Answers a request that needs no time and sends no messages before its result; `None` for others.
    pub(crate) fn answer_now(&self, caller: &Caller, request: &Request) -> Option<Result<String, Fault>> {
        let params = &request.params;
        let cursor = params.cursor.as_deref();
        let result = match (request.method.as_str(), caller) {
            (_, Caller::Modern { version, .. }) if version != MODERN => Err(unsupported(version)),
            ("server/discover", Caller::Modern { .. }) => Ok(discovery(self.settings.thin_modern)),
            ("ping", Caller::Legacy(_)) => Ok("{}".to_owned()),
            ("logging/setLevel", Caller::Legacy(session)) => {
                *lock(&session.level) = params.level;
                Ok("{}".to_owned())
            }
            ("resources/subscribe" | "resources/unsubscribe", Caller::Legacy(session)) => {
                let uri = params.uri.clone().unwrap_or_default();
                let uris = &mut lock(&session.listener.filter).resource_subscriptions;
                uris.retain(|other| *other != uri);
                if request.method == "resources/subscribe" {
                    uris.push(uri);
                }
                Ok("{}".to_owned())
            }
            ("tools/list", _) => self.catalog.tools.list(cursor),
            ("prompts/list", _) => self.catalog.prompts.list(cursor),
            ("resources/list", _) => self.catalog.resources.list(cursor),
            ("resources/templates/list", _) => self.catalog.templates.list(cursor),
            ("completion/complete", _) => Ok(complete(&params.argument.value)),
            ("tools/call" | "prompts/get" | "resources/read", _) => match self.item(request, caller) {
                Ok((item, _)) if item.fixed.is_some() => Ok(item.fixed.clone().unwrap_or_default()),
                Ok(_) if params.name.as_deref() == Some("echo") => echo(params),
                Ok((item, context)) if item.answers_at_once() => Ok(fill(&item.result, &context).to_string()),
                Ok(_) => return None,
                Err(fault) => Err(fault),
            },
            ("tasks/get" | "tasks/update" | "tasks/cancel", Caller::Modern { .. }) => {
                self.tasks.answer(request, caller, &self.listeners)
            }
            ("subscriptions/listen", Caller::Modern { .. }) => return None,
            _ => Err(Fault::new(METHOD_NOT_FOUND, "Method not found")),
        };
        Some(result.map(|result| caller.complete(&request.method, &result)))
    }

    /// Answers any other request. Messages before the result go to `out`.
    pub(crate) async fn answer(
        &'static self,
        caller: Caller,
        request: Request,
        out: Arc<Outbox>,
    ) -> Result<String, Fault> {
        if request.method == "subscriptions/listen" {
            let id = serde_json::from_str(&request.id).ok();
            let mut filter = request.params.notifications.unwrap_or_default();
            if self.settings.thin_modern {
                filter.resource_subscriptions.clear();
            }
            let listener = self.listeners.add(filter, id, &out);
            listener.acknowledge();
            return std::future::pending().await;
        }
        let (item, context) = self.item(&request, &caller)?;
        Call { server: self, caller, item, context, request, out }.answer().await
    }

    /// Returns the item that a request addresses, with the values for its placeholders.
    fn item(&self, request: &Request, caller: &Caller) -> Result<(&Item, Value), Fault> {
        let params = &request.params;
        let arguments = || params.arguments.as_ref().and_then(|raw| serde_json::from_str::<Value>(raw.get()).ok());
        let (name, uri) = (params.name.as_deref().unwrap_or_default(), params.uri.as_deref().unwrap_or_default());
        let shelf = match request.method.as_str() {
            "resources/read" => {
                let in_template = || {
                    let id = uri.strip_prefix("test://template/")?.strip_suffix("/data")?;
                    Some((self.catalog.templates.get("template")?, json!({ "uri": uri, "id": id })))
                };
                let code = if matches!(caller, Caller::Legacy(_)) { RESOURCE_NOT_FOUND } else { INVALID_PARAMS };
                let missing = || Fault::new(code, "Resource not found").with(json!({ "uri": uri }));
                let listed = self.catalog.resources.get(uri).map(|item| (item, json!({})));
                return listed.or_else(in_template).ok_or_else(missing);
            }
            "prompts/get" => &self.catalog.prompts,
            _ => &self.catalog.tools,
        };
        let item = shelf.get(name).ok_or_else(|| Fault::new(INVALID_PARAMS, format!("there is no `{name}`")))?;
        let context =
            if item.fixed.is_some() || name == "echo" { Value::Null } else { json!({ "arguments": arguments() }) };
        Ok((item, context))
    }
}

fn identity() -> Value {
    json!({ "name": "reference-upstream", "version": "1.0.0" })
}

fn capabilities() -> Value {
    json!({
        "tools": { "listChanged": true },
        "prompts": { "listChanged": true },
        "resources": { "subscribe": true, "listChanged": true },
        "completions": {},
        "logging": {},
    })
}

fn discovery(is_thin: bool) -> String {
    let mut capabilities = capabilities();
    if is_thin {
        capabilities["resources"] = json!({ "listChanged": true });
        if let Some(capabilities) = capabilities.as_object_mut() {
            capabilities.remove("logging");
        }
    }
    capabilities["extensions"] = json!({ TASKS: {} });
    json!({ "supportedVersions": [MODERN], "capabilities": capabilities }).to_string()
}

fn complete(begin: &str) -> String {
    let values: Vec<_> = ["paris", "park", "party"].into_iter().filter(|value| value.starts_with(begin)).collect();
    json!({ "completion": { "total": values.len(), "hasMore": false, "values": values } }).to_string()
}

/// Returns the message as raw text, so that benchmarks do not measure parsing.
fn echo(params: &Params) -> Result<String, Fault> {
    #[derive(serde::Deserialize)]
    struct Arguments<'a> {
        #[serde(borrow)]
        message: &'a serde_json::value::RawValue,
    }
    let arguments = params.arguments.as_ref().and_then(|raw| serde_json::from_str::<Arguments<'_>>(raw.get()).ok());
    let message = arguments.ok_or_else(|| Fault::new(INVALID_PARAMS, "`message` is missing"))?.message.get();
    Ok([r#"{"content":[{"type":"text","text":"#, message, "}]}"].concat())
}
