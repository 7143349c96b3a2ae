use serde_json::{Value, json};

use super::*;
use crate::{Definition, InvalidDefinition};

fn read(document: Value) -> Result<Definition, InvalidDefinition> {
    serde_json::from_value::<DefinitionDocument>(document).expect("a well-formed document").try_into()
}

fn refused(document: Value, text: &str) {
    let error = read(document.clone()).expect_err(&document.to_string());
    assert_eq!(error.to_string(), text, "{document}");
}

fn shown(document: Value) -> Value {
    serde_json::to_value(read(document).expect("a definition")).expect("a document")
}

#[test]
fn the_first_failing_check_wins_in_the_contracts_order() {
    let mut document = json!({ "transport": "smtp", "toolFilter": { "mode": "x" }, "timeout": -1, "maxReconnects": -1,
        "reconnectDelay": -1, "healthCheckInterval": -1 });
    refused(document.clone(), "name is required");
    document["name"] = "gh".into();
    refused(document.clone(), "invalid transport type: smtp");
    document["transport"] = "stdio".into();
    refused(document.clone(), "command is required for stdio transport");
    document["transport"] = "sse".into();
    refused(document.clone(), "url is required for HTTP-based transports");
    document["url"] = "http://x/".into();
    refused(document.clone(), "tool filter validation failed: invalid tool filter mode: x");
    document["toolFilter"]["mode"] = "allow".into();
    refused(document.clone(), "tool filter validation failed: tool filter list cannot be empty");
    document["toolFilter"]["list"] = json!(["a"]);
    refused(document.clone(), "timeout cannot be negative");
    document["timeout"] = 0.into();
    refused(document.clone(), "maxReconnects cannot be negative");
    document["maxReconnects"] = 0.into();
    refused(document.clone(), "reconnectDelay cannot be negative");
    document["reconnectDelay"] = 0.into();
    refused(document.clone(), "healthCheckInterval cannot be negative");
    document["healthCheckInterval"] = 0.into();
    assert!(read(document).is_ok());
}

#[test]
fn a_number_that_was_meant_as_seconds_is_refused() {
    let members = [("timeout", json!({})), ("reconnectDelay", json!({})), ("healthCheckInterval", json!({}))];
    for (member, mut document) in members {
        for (written, meant) in [(json!(30), "30s"), (json!(5000), "5000ms"), (json!("999ns"), "999s")] {
            document[member] = written;
            document["name"] = "a".into();
            document["transport"] = "stdio".into();
            document["command"] = "x".into();
            let error = read(document.clone()).expect_err(member).to_string();
            assert!(error.starts_with(&format!("{member} is ")), "{error}");
            assert!(error.ends_with(&format!("counts nanoseconds; write `{meant}`")), "{error}");
        }
        for fine in [json!(0), json!(1_000_000), json!("1ms"), json!(30_000_000_000u64)] {
            document[member] = fine;
            assert!(read(document.clone()).is_ok(), "{document}");
        }
    }
}

#[test]
fn a_token_that_is_none_is_refused() {
    for (token, why) in [("", "is empty"), (" ", "is empty"), (",", "is empty"), ("${T}", "nothing has replaced")] {
        let document = json!({ "name": "a", "transport": "stdio", "command": "x", "authTokens": ["t", token] });
        let error = read(document).expect_err(token).to_string();
        assert!(error.starts_with("invalid authTokens entry: the token ") && error.contains(why), "{error}");
    }
}

#[test]
fn a_transport_that_is_none_is_named_with_the_one_that_was_meant() {
    for (written, meant) in [
        ("http", "streamable-http"),
        ("streamableHttp", "streamable-http"),
        ("streamable_http", "streamable-http"),
        ("STDIO", "stdio"),
        ("stido", "stdio"),
        ("local", "stdio"),
        ("SSE", "sse"),
    ] {
        let document = json!({ "name": "a", "transport": written, "command": "x", "url": "http://x/" });
        refused(document, &format!("invalid transport type: {written}; did you mean `{meant}`?"));
    }
}

#[test]
fn a_missing_transport_is_an_unknown_one() {
    refused(json!({ "name": "a", "command": "x" }), "invalid transport type: ");
}

#[test]
fn refuses_what_could_never_be_used() {
    let remote = |url: &str| json!({ "name": "a", "transport": "sse", "url": url });
    refused(remote("nowhere"), "invalid url: relative URL without a base");
    refused(remote("ftp://x/"), "invalid url: scheme `ftp` is not http or https");
    let header = |name: &str, value: &str| json!({ "name": "a", "transport": "sse", "url": "http://x/", "headers": { name: value } });
    refused(header("X Y", "1"), "invalid header `X Y`: the name holds a character HTTP does not allow");
    refused(header("X", "1\r\n2"), "invalid header `X`: the value holds a control character");
    refused(
        json!({ "name": "a", "transport": "stdio", "command": "x", "allowedIPs": ["here"] }),
        "invalid allowedIPs entry `here`: expected an IP address or a CIDR block",
    );
    refused(
        json!({ "name": "a", "transport": "stdio", "command": "x", "sessionMode": "both" }),
        "invalid sessionMode: both (must be 'auto', 'shared' or 'dedicated')",
    );
    refused(
        json!({ "name": "a", "transport": "stdio", "command": "x", "era": "new" }),
        "invalid era: new (must be 'auto', 'legacy' or 'modern')",
    );
    refused(
        json!({ "name": "a", "transport": "sse", "url": "http://x/", "era": "modern" }),
        "era 'modern' needs transport stdio or streamable-http; sse is legacy only",
    );
}

#[test]
fn applies_the_defaults_of_the_contract() {
    assert_eq!(
        shown(json!({ "name": "gh", "transport": "streamable-http", "url": "https://x/mcp" })),
        json!({ "name": "gh", "transport": "streamable-http", "url": "https://x/mcp", "timeout": 30_000_000_000u64 })
    );
    assert_eq!(
        shown(
            json!({ "name": "fs", "transport": "stdio", "command": "npx", "autoReconnect": true, "healthCheckEnabled": true })
        ),
        json!({ "name": "fs", "transport": "stdio", "command": "npx", "autoReconnect": true, "maxReconnects": 5,
            "reconnectDelay": 5_000_000_000u64, "healthCheckEnabled": true, "healthCheckInterval": 30_000_000_000u64 })
    );
}

#[test]
fn takes_the_first_clients_command_list_and_startup_args() {
    let old = json!({ "name": "e", "transport": "stdio", "command": ["python", "-m"], "args": ["srv"], "startup_args": ["-v"] });
    let new = json!({ "name": "e", "transport": "stdio", "command": "python", "args": ["-m", "srv", "-v"] });
    assert_eq!(shown(old), new);
}

#[test]
fn takes_nulls_and_text_durations_and_ignores_what_it_does_not_know() {
    let posted = json!({ "name": "e", "transport": "sse", "url": "http://x/", "args": null, "env": null, "headers": null,
        "timeout": "1m", "future": 1, "toolFilter": { "mode": "block", "list": ["a"] }, "createdAt": "2020-01-01T00:00:00Z" });
    assert_eq!(
        shown(posted),
        json!({ "name": "e", "transport": "sse", "url": "http://x/", "timeout": 60_000_000_000u64,
            "toolFilter": { "mode": "block", "list": ["a"] } })
    );
}

#[test]
fn keeps_members_of_the_other_transport_without_using_them() {
    let posted =
        json!({ "name": "e", "transport": "stdio", "command": "x", "url": "nowhere", "headers": { "A": "b" } });
    assert_eq!(shown(posted.clone()), posted);
}

#[test]
fn a_folder_belongs_to_the_program_that_is_given_the_secrets() {
    let stored =
        |command| json!({ "name": "a", "transport": "stdio", "command": command, "cwd": "/a", "env": { "K": "1" } });
    let moved = |command| json!({ "name": "a", "transport": "stdio", "command": command, "cwd": "/b", "env": { "K": "[redacted]" } });
    for (command, is_kept) in [("./server", false), ("bin/server", false), ("server", true), ("/usr/bin/server", true)]
    {
        let mut again = read(moved(command)).expect("a definition");
        assert_eq!(again.keep_redacted(&read(stored(command)).expect("a definition")).is_ok(), is_kept, "{command}");
    }
}

#[test]
fn every_field_survives_the_round_trip() {
    let whole = json!({ "name": "gh", "description": "d", "transport": "streamable-http", "command": "c", "args": ["a"],
        "cwd": "/srv", "env": { "E": "1" }, "url": "https://x/mcp?k=v", "headers": { "B": "2", "A": "1" }, "timeout": 5_000_000_000u64,
        "autoReconnect": true, "maxReconnects": 7, "reconnectDelay": 1_000_000_000u64, "healthCheckEnabled": true,
        "healthCheckInterval": 9_000_000_000u64, "logEnabled": true, "toolFilter": { "mode": "allow", "list": ["t"] },
        "tags": { "owner": "me" }, "authTokens": ["t1"], "requireAuth": true, "allowedIPs": ["10.0.0.1", "10.1.0.0/16"],
        "sessionMode": "dedicated", "maxSessions": 3, "era": "modern", "priority": 2, "callTimeout": 600_000_000_000u64,
        "maxCallTimeout": 3_600_000_000_000u64, "listTimeout": 60_000_000_000u64, "refreshInterval": 5_000_000_000u64,
        "maxInFlight": 8, "maxMessageBytes": 1_000_000 });
    assert_eq!(shown(whole.clone()), whole);
    let program = json!({ "name": "p", "transport": "stdio", "command": "c", "user": "nobody", "umask": "027",
        "inheritEnv": ["TZ"], "maxMemoryBytes": 536_870_912, "maxCpuTime": 600_000_000_000u64, "maxOpenFiles": 64,
        "nice": 10 });
    assert_eq!(shown(program.clone()), program);
}

#[test]
fn a_placeholder_sent_back_keeps_the_stored_secret() {
    let stored =
        json!({ "name": "a", "transport": "sse", "url": "http://x/", "headers": { "A": "1" }, "authTokens": ["t"] });
    let stored = read(stored).expect("a definition");
    let again = json!({ "name": "a", "transport": "sse", "url": "http://x/", "headers": { "A": "[redacted]", "B": "new" },
        "authTokens": ["[redacted]"] });
    let mut again = read(again).expect("a definition");
    again.keep_redacted(&stored).expect("stored values");
    let shown = serde_json::to_value(&again).expect("a document");
    assert_eq!((&shown["headers"], &shown["authTokens"]), (&json!({ "A": "1", "B": "new" }), &json!(["t"])));

    let unknown = json!({ "name": "a", "transport": "sse", "url": "http://x/", "headers": { "C": "[redacted]" } });
    let error = read(unknown).expect("a definition").keep_redacted(&stored).expect_err("nothing to keep");
    assert_eq!(error.to_string(), "`headers.C` is redacted and there is no stored value to keep");
}

#[test]
fn a_placeholder_is_not_kept_for_someone_else() {
    let check = |stored: Value, again: Value, place: &str| {
        let error = read(again).expect("a definition").keep_redacted(&read(stored).expect("a definition"));
        let expected = format!("`{place}` is redacted and there is no stored value to keep");
        assert_eq!(error.map_err(|error| error.to_string()), if place.is_empty() { Ok(()) } else { Err(expected) });
    };
    let remote =
        |url: &str, secret: &str| json!({ "name": "a", "transport": "sse", "url": url, "headers": { "A": secret } });
    check(remote("http://x/", "1"), remote("http://x/other", "[redacted]"), "");
    check(remote("http://x/", "1"), remote("http://y/", "[redacted]"), "headers.A");
    let program = |command: &str, secret: &str| json!({ "name": "a", "transport": "stdio", "command": command, "env": { "E": secret } });
    check(program("x", "1"), program("x", "[redacted]"), "");
    check(program("x", "1"), program("sh", "[redacted]"), "env.E");
}

#[test]
fn addresses_are_matched_in_either_notation() {
    let access = json!({ "name": "a", "transport": "stdio", "command": "x", "allowedIPs": ["10.0.0.0/8", "::1"] });
    let definition = read(access).expect("a definition");
    let allows = |address: &str| definition.allows(address.parse().expect("an address"));
    assert!(allows("10.1.2.3") && allows("::ffff:10.1.2.3") && allows("::1"));
    assert!(!allows("192.168.0.1"));
}
