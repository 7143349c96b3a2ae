//! Example values that editors show beside a key's description.

use serde_json::{Value, json};

pub(super) fn a_server() -> Value {
    json!([{ "id": "search", "transport": "streamable-http", "url": "https://search.example.com/mcp", "use_proxy": true }])
}

pub(super) fn some_ids() -> Value {
    json!(["search"])
}

pub(super) fn some_variables() -> Value {
    json!({ "LOG_LEVEL": "debug", "API_TOKEN": "{{ .env.API_TOKEN }}" })
}

pub(super) fn some_headers() -> Value {
    json!({ "Authorization": "Bearer {{ .env.SEARCH_TOKEN }}" })
}

pub(super) fn some_arguments() -> Value {
    json!({ "query": "{{ .input.query }}", "limit": 5 })
}

pub(super) fn a_filter() -> Value {
    json!({ "mode": "allow", "list": ["web_search", "news"] })
}

pub(super) fn some_settings() -> Value {
    json!({ "description": "Searches the web", "tool_filter": a_filter(), "auth_tokens": ["{{ .env.CLIENT_TOKEN }}"] })
}

pub(super) fn some_options() -> Value {
    json!(["--root", "{{ .env.ROOT }}"])
}

pub(super) fn some_tokens() -> Value {
    json!(["{{ .env.CLIENT_TOKEN }}"])
}

pub(super) fn some_scopes() -> Value {
    json!(["search:read"])
}

pub(super) fn some_inherited() -> Value {
    json!(["SSL_CERT_FILE"])
}

pub(super) fn some_networks() -> Value {
    json!(["127.0.0.1", "10.0.0.0/8"])
}
