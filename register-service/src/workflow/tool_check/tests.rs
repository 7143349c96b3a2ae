use schemas::admin::{DefinitionView, Status};
use schemas::template::Environment;
use serde_json::json;

use super::*;
use crate::diagnostic::Location;
use crate::source::File;
use crate::workflow::{Settings, interpret};

const TOOLS: &str = r##"[
  {"name": "web", "mcpName": "search", "inputSchema": {"type": "object", "additionalProperties": false,
    "required": ["query"], "$defs": {"mode": {"enum": ["fast", "deep"]}}, "properties": {
      "query": {"type": "string"}, "limit": {"type": "integer", "minimum": 1, "maximum": 50},
      "mode": {"$ref": "#/$defs/mode"}, "tags": {"type": "array", "items": {"type": "string"}},
      "when": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}},
  {"name": "get-page", "mcpName": "search", "exposedName": "search__get-page"},
  {"name": "secret", "mcpName": "search", "hidden": true, "reason": "blocked by `toolFilter`"},
  {"name": "elsewhere", "mcpName": "other"},
  {"name": "plot", "mcpName": "search", "inputSchema": {"properties": {
      "of": {"type": "array", "uniqueItems": true}, "at": {"enum": [{"x": 1}, {"x": 2}]}}}},
  {"name": "endless", "mcpName": "search", "inputSchema": {"allOf": [{"$ref": "#"}, {"$ref": "#"}], "properties": {
      "a": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}}}},
  {"name": "tree", "mcpName": "search", "inputSchema": {"type": "object", "required": ["of"], "properties": {
      "of": {"type": "array", "items": {"$ref": "#"}}}}}
]"##;

fn registration(name: &str, status: &str, error: &str) -> Registration {
    let definition: DefinitionView = serde_json::from_value(json!({
        "name": name, "transport": "sse", "url": "http://x/", "toolFilter": {"mode": "block", "list": ["blocked"]},
    }))
    .expect("a definition");
    let status: Status = serde_json::from_value(json!({"status": status, "lastError": error})).expect("a status");
    Registration::new(definition, status)
}

/// Lists the diagnostics of a step, as `code text: message`.
fn told(step: &str) -> String {
    told_of(&format!(
        "id: a\ninstructions: x\nmcps:\n  - {{id: s, url: 'http://127.0.0.1:6001/search/sse', use_proxy: true}}\n  - {{id: d, \
         command: x, use_proxy: true}}\n  - {{id: gone, url: 'http://127.0.0.1:6001/gone/sse', use_proxy: true}}\n  - \
         {{id: new, command: x, use_proxy: true}}\n  - {{id: dark, command: x}}\n  - {{id: no, command: y, use_proxy: \
         true}}\nactions:\n  - {step}\n"
    ))
}

/// Lists the diagnostics of a file.
fn told_of(text: &str) -> String {
    let (file, malformed) = File::parse("a.yaml", "a.yaml", text);
    let settings = Settings::new("http://127.0.0.1:6001".parse().expect("a URL"), Environment::default());
    let desired = interpret(vec![file], malformed, &settings).expect("valid").desired;
    let registrations = [
        registration("search", "connected", ""),
        registration("d", "error", "connection refused"),
        registration("no", "error", "the server answered 401 Unauthorized"),
    ];
    let tools: Vec<Tool> = serde_json::from_str(TOOLS).expect("tools");
    let found = check_tools(&desired, Offer { registrations: &registrations, tools: &tools });
    let line = |it: &Diagnostic| {
        let Location { line, column, end_line, end_column, .. } = it.location();
        assert_eq!(line, end_line, "{it:?}");
        let marked = text.lines().nth(line as usize - 1).unwrap_or_default();
        let marked: String = marked.chars().take(end_column as usize - 1).skip(column as usize - 1).collect();
        let hint = it.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{} `{marked}`: {}{hint}", it.code, it.message)
    };
    found.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_tool_that_is_there_is_fine() {
    assert_eq!(told("{id: x, tool: $mcp(s#web)}"), "");
    assert_eq!(told("{id: x, tool: $mcp(dark#anything)}"), "");
    let with = "{query: q, limit: 5, mode: deep, tags: [a, b], when: null}";
    assert_eq!(told(&format!("{{id: x, tool: $mcp(s#web), with: {with}}}")), "");
    let templated = "{query: '{{ .input.q }}', limit: '{{ .input.n }}', tags: '{{ .input.t }}'}";
    assert_eq!(told(&format!("{{id: x, tool: $mcp(s#web), with: {templated}}}")), "");
}

#[test]
fn says_why_a_tool_cannot_be_called() {
    let steps = ["s#wob", "s#get_page", "s#search__get-page", "s#secret", "s#blocked", "s#elsewhere", "s#zzz"];
    let servers = ["d#x", "gone#x", "new#x", "no#x"];
    let all = steps.iter().chain(&servers).map(|it| format!("{it}\n    {}", told(&format!("{{tool: $mcp({it})}}"))));
    insta::assert_snapshot!(all.collect::<Vec<_>>().join("\n"), @r"
    s#wob
        missing-tool `wob`: `search` has no tool `wob` (did you mean `web`?)
    s#get_page
        renamed-tool `get_page`: `search` calls this tool `get-page` (write `get-page`)
    s#search__get-page
        renamed-tool `search__get-page`: `search` calls this tool `get-page` (write `get-page`)
    s#secret
        hidden-tool `secret`: tool `secret` of `search` is hidden by the filter of its definition
    s#blocked
        hidden-tool `blocked`: tool `blocked` of `search` is hidden by the filter of its definition
    s#elsewhere
        missing-tool `elsewhere`: `search` has no tool `elsewhere` (`other` has a tool of this name)
    s#zzz
        missing-tool `zzz`: `search` has no tool `zzz`
    d#x
        unready-server `d`: upstream `d` is not connected, so its tools are unknown (`lastError` in its status says why)
    gone#x
        missing-upstream `gone`: the gateway has no upstream `gone`
    new#x
        unready-server `new`: upstream `new` is not registered yet, so its tools are unknown (sync first)
    no#x
        unauthorized-server `no`: upstream `no` refuses the gateway, so its tools are unknown (check the credentials in `headers` or `env` of its entry)
    ");
}

#[test]
fn says_what_is_wrong_with_arguments() {
    let steps = [
        "with: {}",
        "with: {qery: x}",
        "with: {query: 3}",
        "with: {query: q, limit: '5'}",
        "with: {query: q, limit: 5.5}",
        "with: {query: q, limit: 99}",
        "with: {query: q, mode: dep}",
        "with: {query: q, tags: [a, 1]}",
        "with: {query: q, when: 7}",
        "with: [1]",
        "input: {type: object, properties: {limit: {type: string}}}",
    ];
    let all = steps.iter().map(|it| format!("{it}\n    {}", told(&format!("{{tool: $mcp(s#web), {it}}}"))));
    insta::assert_snapshot!(all.collect::<Vec<_>>().join("\n"), @r#"
    with: {}
        missing-argument `{}`: argument `query` of `web` is missing
    with: {qery: x}
        unknown-argument `qery`: `web` takes no argument `qery` (did you mean `query`?)
    with: {query: 3}
        wrong-argument `3`: argument `query` of `web`: integer where it takes string (put quotes around it)
    with: {query: q, limit: '5'}
        wrong-argument `'5'`: argument `limit` of `web`: string where it takes integer (leave out the quotes)
    with: {query: q, limit: 5.5}
        wrong-argument `5.5`: argument `limit` of `web`: number where it takes integer
    with: {query: q, limit: 99}
        wrong-argument `99`: argument `limit` of `web` is at most 50
    with: {query: q, mode: dep}
        wrong-argument `dep`: argument `mode` of `web` is one of "fast", "deep" (did you mean `deep`?)
    with: {query: q, tags: [a, 1]}
        wrong-argument `1`: argument `tags[1]` of `web`: integer where it takes string (put quotes around it)
    with: {query: q, when: 7}
        wrong-argument `7`: argument `when` of `web`: integer where it takes string or null
    with: [1]
        wrong-argument `[1]`: the arguments of `web`: array where it takes object
    input: {type: object, properties: {limit: {type: string}}}
        missing-argument `{limit: {type: string}}`: argument `query` of `web` is missing from the action's input
    wrong-argument `string`: argument `limit` of `web`: string where it takes integer
    "#);
}

#[test]
fn what_holds_a_template_may_come_to_anything() {
    assert_eq!(told("{tool: $mcp(s#plot), with: {of: ['{{ .a }}', '{{ .a }}', 1], at: {x: '{{ .a }}'}}}"), "");
    let found = told("{tool: $mcp(s#plot), with: {of: ['{{ .a }}', 1, 1.0], at: {x: 2}}}");
    assert_eq!(found, "wrong-argument `['{{ .a }}', 1, 1.0]`: argument `of` of `plot`: holds an item twice");
    let found = told("{tool: $mcp(s#plot), with: {at: {x: 3}}}");
    assert_eq!(found, "wrong-argument `{x: 3}`: argument `at` of `plot` is one of {\"x\":1}, {\"x\":2}");
}

#[test]
fn a_schema_that_refers_to_itself_is_followed_as_far_as_the_arguments_go() {
    let start = tokio::time::Instant::now();
    assert_eq!(told("{tool: $mcp(s#endless), with: {a: {a: {a: 1}}}}"), "");
    assert_eq!(told("{tool: $mcp(s#tree), with: {of: [{of: []}, {of: [{of: []}]}]}}"), "");
    let found = told("{tool: $mcp(s#tree), with: {of: [{of: []}, {of: [{}]}]}}");
    assert_eq!(found, "missing-argument `{}`: argument `of[1].of[0].of` of `tree` is missing");
    assert!(start.elapsed() < std::time::Duration::from_secs(5), "{:?}", start.elapsed());
}

/// Lists the diagnostics of a task of an agent whose actions are `web`, which has arguments of its own, and `find`.
fn told_of_task(task: &str) -> String {
    let more = if task.contains("gone") { "      - {id: gone, tool: $mcp(s#wob)}\n" } else { "" };
    told_of(&format!(
        "id: w\nmcps:\n  - {{id: s, url: 'http://127.0.0.1:6001/search/sse', use_proxy: true}}\nagents:\n  - id: clerk\n    \
         instructions: x\n    actions:\n      - {{id: web, tool: $mcp(s#web), with: {{query: q}}}}\n      - {{id: find, tool: \
         $mcp(s#web)}}\n{more}tasks:\n  - {{id: t, {task}}}\n"
    ))
}

#[test]
fn what_a_task_gives_an_action_is_what_its_tool_is_given() {
    assert_eq!(told_of_task("agent: clerk, action: find, with: {query: q}"), "");
    assert_eq!(told_of_task("agent: clerk, action: web, with: {anything: 1}"), "");
    let forms = ["agent: clerk", "$use: 'agent(local::agents.#(id=\"clerk\"))'"];
    for form in forms {
        assert_eq!(
            told_of_task(&format!("{form}, action: find, with: {{query: 3, limt: 5}}")),
            "wrong-argument `3`: argument `query` of `web`: integer where it takes string (put quotes around it)\n\
             unknown-argument `limt`: `web` takes no argument `limt` (did you mean `limit`?)"
        );
    }
    // A problem with the tool is reported once, where it is named.
    let told = told_of_task("agent: clerk, action: gone, with: {limit: 5}");
    assert_eq!(told, "missing-tool `wob`: `search` has no tool `wob` (did you mean `web`?)");
}
