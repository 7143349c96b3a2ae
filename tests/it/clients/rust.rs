//! Official Rust client, `rmcp`, of both eras. Plan and report have the format of the scripts of the other official
//! clients (documented in `tests/fixtures/clients/python_modern.py`).

use std::sync::{Arc, Mutex};

use anyhow::{Result, bail};
use harness::{DEADLINE, http, within};
use rmcp::model::{
    CallToolRequestParams, ClientConfig, ElicitRequestParams, ElicitResult, ElicitationAction, Implementation,
    ProgressNotificationParam, ProtocolVersion, ReadResourceRequestParams,
};
use rmcp::service::{
    ClientLifecycleMode, NotificationContext, RequestContext, RoleClient, ServiceError, serve_client_with_lifecycle,
};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientHandler, ErrorData};
use serde::Serialize;
use serde_json::{Value, json};

/// Runs one conversation according to the plan, and returns its report.
pub(crate) async fn converse(plan: &Value) -> Value {
    let conversation = within(DEADLINE, "the end of the Rust client", run(plan)).await;
    conversation.unwrap_or_else(|error| panic!("the Rust client with {plan}: {error:#}"))
}

async fn run(plan: &Value) -> Result<Value> {
    let handler = Arc::new(Handler { plan: plan.clone(), ..Handler::default() });
    let config = StreamableHttpClientTransportConfig::with_uri(plan["url"].as_str().unwrap_or_default());
    let transport = StreamableHttpClientTransport::with_client(http(), config);
    let client = serve_client_with_lifecycle(Arc::clone(&handler), transport, lifecycle(plan)).await?;
    let tools = client.list_all_tools().await?;
    let resources = client.list_all_resources().await?;
    let prompts = client.list_all_prompts().await?;
    let mut report = json!({
        "protocol": client.peer_info().map(|server| server.protocol_version.to_string()),
        "tools": tools.iter().map(|tool| &tool.name).collect::<Vec<_>>(),
        "resources": resources.iter().map(|resource| &resource.uri).collect::<Vec<_>>(),
        "prompts": prompts.iter().map(|prompt| &prompt.name).collect::<Vec<_>>(),
        "calls": [],
        "reads": [],
    });
    for call in plan["calls"].as_array().into_iter().flatten() {
        let name = call["tool"].as_str().unwrap_or_default().to_owned();
        let mut params = CallToolRequestParams::new(name);
        params.arguments = call["arguments"].as_object().cloned();
        push(&mut report["calls"], outcome(client.call_tool(params).await)?);
    }
    for uri in plan["read"].as_array().into_iter().flatten() {
        let params = ReadResourceRequestParams::new(uri.as_str().unwrap_or_default());
        push(&mut report["reads"], outcome(client.read_resource(params).await)?);
    }
    client.cancel().await?;
    report["questions"] = take(&handler.questions);
    report["progress"] = take(&handler.progress);
    Ok(report)
}

fn lifecycle(plan: &Value) -> ClientLifecycleMode {
    let preferred_versions = vec![ProtocolVersion::LATEST];
    match plan["mode"].as_str() {
        Some("legacy") => ClientLifecycleMode::Initialize,
        Some("modern") => ClientLifecycleMode::Discover { preferred_versions },
        _ => ClientLifecycleMode::Auto { preferred_versions, legacy_version: None },
    }
}

fn outcome(answer: Result<impl Serialize, ServiceError>) -> Result<Value> {
    match answer {
        Ok(result) => Ok(json!({ "result": result })),
        Err(ServiceError::McpError(refused)) => Ok(json!({ "error": refused })),
        Err(other) => bail!(other),
    }
}

fn push(list: &mut Value, item: Value) {
    list.as_array_mut().into_iter().for_each(|list| list.push(item.clone()));
}

fn take(list: &Mutex<Vec<Value>>) -> Value {
    json!(std::mem::take(&mut *list.lock().expect("nobody panicked")))
}

/// Collects the server's requests and notifications.
#[derive(Default)]
struct Handler {
    plan: Value,
    questions: Mutex<Vec<Value>>,
    progress: Mutex<Vec<Value>>,
}

impl Handler {
    fn asked(&self, method: &str, params: impl Serialize) {
        let question = json!({ "method": method, "params": params });
        self.questions.lock().expect("nobody panicked").push(question);
    }
}

#[expect(deprecated, reason = "the protocol gives sampling and roots up; until they are gone they must work")]
impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        let declared = self.plan["capabilities"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let capabilities = declared.map(|name| (name.to_owned(), json!({}))).collect();
        let capabilities = serde_json::from_value(Value::Object(capabilities)).expect("capabilities");
        ClientConfig::new(capabilities, Implementation::new("rust", "1"))
    }

    async fn create_elicitation(
        &self,
        params: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        self.asked("elicitation/create", params);
        Ok(match self.plan.get("elicitation_answer") {
            Some(content) => ElicitResult::new(ElicitationAction::Accept).with_content(content.clone()),
            None => ElicitResult::new(ElicitationAction::Decline),
        })
    }

    async fn create_message(
        &self,
        params: rmcp::model::CreateMessageRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<rmcp::model::CreateMessageResult, ErrorData> {
        self.asked("sampling/createMessage", params);
        let content = json!({ "type": "text", "text": self.plan["sampling_answer"] });
        let result = json!({ "role": "assistant", "content": content, "model": "fixture" });
        Ok(serde_json::from_value(result).expect("a sampled message"))
    }

    async fn list_roots(&self, _: RequestContext<RoleClient>) -> Result<rmcp::model::ListRootsResult, ErrorData> {
        self.asked("roots/list", json!({}));
        let roots = self.plan["roots"].as_array().into_iter().flatten().map(|uri| json!({ "uri": uri }));
        Ok(serde_json::from_value(json!({ "roots": roots.collect::<Vec<_>>() })).expect("roots"))
    }

    async fn on_progress(&self, params: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        self.progress.lock().expect("nobody panicked").push(json!(params));
    }
}
