use super::*;

const GATEWAY: &str = "http://127.0.0.1:6001";

fn settings() -> Settings {
    let environment =
        Environment::from_iter([("TOKEN", "hunter2"), ("HOST", "up.test"), ("WORDS", "a 'b c'"), ("EMPTY", "")]);
    Settings::new(GATEWAY.parse().expect(GATEWAY), environment)
}

fn read_as(files: &[(&str, &str)], settings: &Settings) -> Result<Loaded, InvalidFiles> {
    let mut parsed = Vec::new();
    let mut diagnostics = Vec::new();
    for (path, text) in files {
        let (file, remarks) = File::parse(path, path, text);
        parsed.push(file);
        diagnostics.extend(remarks);
    }
    interpret(parsed, diagnostics, settings)
}

fn lines(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Lists the usage of each entry, or the errors, and every remark.
fn told(files: &[(&str, &str)], settings: &Settings) -> String {
    let loaded = match read_as(files, settings) {
        Ok(loaded) => loaded,
        Err(invalid) => return lines(&invalid.diagnostics),
    };
    let mut told = Vec::new();
    for entry in loaded.desired.entries() {
        told.push(match &entry.usage {
            Usage::Direct => format!("{}: direct", entry.id),
            Usage::Referenced { name, url } => format!("{}: refers to {name} at {url}", entry.id),
            Usage::Registered { definition, url } => {
                let document = schemas::dialect::compozy::DefinitionDocument::from(definition.as_ref().clone());
                let shown = serde_json::to_string(&document).unwrap_or_default();
                format!("{}: at {url} {shown}", entry.id)
            }
        });
    }
    told.push(lines(&loaded.remarks));
    told.join("\n").trim_end().to_owned()
}

/// Returns the usage of one entry.
fn entry(yaml: &str) -> String {
    told(&[("w.yaml", &format!("mcps:\n  - {yaml}\n"))], &settings())
}

fn check(yaml: &str, expected: &str) {
    assert_eq!(entry(yaml), expected, "{yaml}");
}

#[test]
fn an_entry_is_registered_only_if_it_says_so() {
    check("{id: a, url: 'http://up.test/mcp'}", "a: direct");
    check("{id: a, url: 'http://up.test/mcp', use_proxy: false}", "a: direct");
    insta::assert_snapshot!(entry("{id: a, url: 'http://up.test/mcp', use_proxy: true}"), @r#"a: at http://127.0.0.1:6001/a/sse {"name":"a","transport":"sse","url":"http://up.test/mcp","timeout":30000000000,"tags":{"source":"w.yaml:2"}}"#);
    insta::assert_snapshot!(entry("{id: a, url: 'http://up.test/mcp', transport: streamable-http, use_proxy: true}"), @r#"a: at http://127.0.0.1:6001/a/stream {"name":"a","transport":"streamable-http","url":"http://up.test/mcp","timeout":30000000000,"tags":{"source":"w.yaml:2"}}"#);
    insta::assert_snapshot!(entry("{id: a, command: npx -y pkg, args: [/tmp, 3], env: {PORT: 80}, use_proxy: true}"), @r#"a: at http://127.0.0.1:6001/a/stream {"name":"a","transport":"stdio","command":"npx","args":["-y","pkg","/tmp","3"],"env":{"PORT":"80"},"tags":{"source":"w.yaml:2"}}"#);
}

#[test]
fn everything_is_registered_on_demand_or_by_the_project() {
    let direct = "mcps:\n  - {id: a, command: x}\n  - {id: b, command: x, use_proxy: false}\n";
    let names = |files: &[(&str, &str)], settings: &Settings| {
        let loaded = read_as(files, settings).expect("valid");
        loaded.desired.names().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert!(names(&[("p/w.yaml", direct)], &settings()).is_empty());
    assert_eq!(names(&[("p/w.yaml", direct)], &Settings { all: true, ..settings() }), ["a", "b"]);
    let project = ("p/compozy.yaml", "name: shop\nuse_proxy_default: true\n");
    assert_eq!(names(&[project, ("p/sub/w.yaml", direct)], &settings()), ["a"]);
    assert!(names(&[project, ("other/w.yaml", direct)], &settings()).is_empty());
}

#[test]
fn an_address_at_the_gateway_refers_to_an_upstream_there() {
    check(
        "{id: chat, url: 'http://127.0.0.1:6001/chat-llm/sse', use_proxy: true}",
        "chat: refers to chat-llm at http://127.0.0.1:6001/chat-llm/sse",
    );
    check(
        "{id: chat, url: 'http://localhost:6001/mcp-proxy/chat-llm/stream/x', use_proxy: true}",
        "chat: refers to chat-llm at http://127.0.0.1:6001/chat-llm/stream/x",
    );
    check("{id: chat, url: 'http://127.0.0.1:6001/chat-llm/sse'}", "chat: direct");
    insta::assert_snapshot!(
        entry("{id: chat, url: 'http://127.0.0.1:6001/n/sse', transport: sse, command: prog x, env: {K: v}, use_proxy: true}"),
        @r#"chat: at http://127.0.0.1:6001/n/sse {"name":"n","transport":"stdio","command":"prog","args":["x"],"env":{"K":"v"},"tags":{"source":"w.yaml:2"}}"#
    );
    insta::assert_snapshot!(entry("{id: chat, url: 'http://127.0.0.1:6001/mcp', use_proxy: true}"), @r"
    w.yaml:2:21: error[gateway-url]: the address is the gateway's own, but not that of an upstream
      hint: an upstream's address is `http://127.0.0.1:6001/NAME/sse`, `.../stream` or `.../mcp`
    ");
    insta::assert_snapshot!(entry("{id: chat, url: 'http://127.0.0.1:6001/metrics/sse', use_proxy: true}"), @"w.yaml:2:21: error[bad-url]: invalid url: name `metrics` is reserved for the gateway's own paths");
}

#[test]
fn templates_are_rendered_and_headers_made_canonical() {
    insta::assert_snapshot!(
        entry("{id: a, url: 'http://{{ .env.HOST }}/mcp', headers: {authorization: ' Bearer {{ .env.TOKEN }} '}, use_proxy: true}"),
        @r#"a: at http://127.0.0.1:6001/a/sse {"name":"a","transport":"sse","url":"http://up.test/mcp","headers":{"Authorization":"Bearer hunter2"},"timeout":30000000000,"tags":{"source":"w.yaml:2"}}"#
    );
    insta::assert_snapshot!(
        entry("{id: a, command: 'run {{ .env.WORDS }}', args: ['{{ .env.WORDS }}'], env: {T: '{{ .env.TOKEN }}'}, use_proxy: true}"),
        @r#"a: at http://127.0.0.1:6001/a/stream {"name":"a","transport":"stdio","command":"run","args":["a","b c","a 'b c'"],"env":{"T":"hunter2"},"tags":{"source":"w.yaml:2"}}"#
    );
    let list = "mcps:\n  - {id: a, command: ['{{ .env.WORDS }}', y], use_proxy: true}\n";
    insta::assert_snapshot!(told(&[("w.yaml", list)], &settings()), @r"
    w.yaml:2:22: error[engine-yaml]: the engine takes a text for `command`, and does not load a file with a list there
      hint: write the program as a text, and the other words under `args`
    ");
    let without = Settings { engine: Engine::None, ..settings() };
    insta::assert_snapshot!(told(&[("w.yaml", list)], &without), @r#"a: at http://127.0.0.1:6001/a/stream {"name":"a","transport":"stdio","command":"a 'b c'","args":["y"],"tags":{"source":"w.yaml:2"}}"#);
}

#[test]
fn a_document_has_variables_of_its_own() {
    let project = ("p/compozy.yaml", "name: p\nenv: {HOST: project, REGION: project, ZONE: project, TOKEN: not}\n");
    let workflow = concat!(
        "env: {HOST: workflow, REGION: 'w-{{ .env.ZONE }}', PATHS: '{{ .env.REGION }}/{{ .env.HOST }}'}\n",
        "mcps: [{id: a, url: 'http://x/{{ .env.PATHS }}/{{ .env.ZONE }}', use_proxy: true}]\n",
    );
    insta::assert_snapshot!(told(&[project, ("p/w.yaml", workflow)], &settings()), @r#"a: at http://127.0.0.1:6001/a/sse {"name":"a","transport":"sse","url":"http://x/w-project/up.test/project","timeout":30000000000,"tags":{"source":"p/w.yaml:2"}}"#);
    let outside = told(&[project, ("q/w.yaml", workflow)], &settings());
    assert!(outside.contains("variable `ZONE` is not set"), "{outside}");
}

#[test]
fn the_environment_of_an_http_entry_becomes_headers_where_it_was_meant_so() {
    insta::assert_snapshot!(
        entry("{id: a, url: 'http://x/', headers: {X-B: h}, env: {X-API-Key: k, x-b: e, TOKEN: t}, use_proxy: true}"),
        @r#"
    a: at http://127.0.0.1:6001/a/sse {"name":"a","transport":"sse","env":{"TOKEN":"t"},"url":"http://x/","headers":{"X-B":"h","X-Api-Key":"k"},"timeout":30000000000,"tags":{"source":"w.yaml:2"}}
    w.yaml:2:56: note[env-promoted]: `X-API-Key` is sent as a header: an HTTP upstream has no environment
      hint: move it to `headers`
    w.yaml:2:70: warning[env-on-http]: `x-b` has no effect: `headers` already holds `X-B`
    w.yaml:2:78: warning[env-on-http]: `TOKEN` has no effect: an HTTP upstream has no environment
      hint: if it is meant as a header, move it to `headers`
    "#
    );
    insta::assert_snapshot!(entry("{id: a, url: 'http://x/', env: {X-API-Key: k}}"), @r"
    a: direct
    w.yaml:2:37: warning[env-on-http]: `X-API-Key` has no effect: an HTTP upstream has no environment
      hint: if it is meant as a header, move it to `headers`
    ");
}

#[test]
fn limits_are_read_from_every_spelling() {
    insta::assert_snapshot!(entry("{id: a, command: x, start_timeout: 10s, max_sessions: 4, use_proxy: true}"), @r#"a: at http://127.0.0.1:6001/a/stream {"name":"a","transport":"stdio","command":"x","timeout":10000000000,"tags":{"source":"w.yaml:2"},"maxSessions":4}"#);
    insta::assert_snapshot!(entry("{id: a, command: x, timeout: 1m, max_sessions: -1, use_proxy: true}"), @r#"a: at http://127.0.0.1:6001/a/stream {"name":"a","transport":"stdio","command":"x","timeout":60000000000,"tags":{"source":"w.yaml:2"}}"#);
    insta::assert_snapshot!(entry("{id: a, command: x, start_timeout: 30, use_proxy: true}"), @r#"
    w.yaml:2:40: error[tiny-duration]: start_timeout is 30 nanoseconds, and the engine loads no file with a duration without a unit
      hint: write `30s`
    "#);
    insta::assert_snapshot!(entry("{id: a, command: x, start_timeout: -30s, use_proxy: true}"), @"w.yaml:2:40: error[bad-limit]: start_timeout cannot be negative");
}

/// Lists the usage of each of these entries, loaded one by one.
fn each(cases: &[&str]) -> String {
    let told = cases.iter().map(|case| format!("{case}\n    {}", entry(case).replace('\n', "\n    ")));
    told.collect::<Vec<_>>().join("\n")
}

#[test]
fn says_what_is_wrong_with_ids_and_transports() {
    insta::assert_snapshot!(
        each(&[
            "{url: 'http://x/'}",
            "{id: '', resource: '', url: 'http://x/'}",
            "{id: a b, command: x, use_proxy: true}",
            "{id: admin, command: x, use_proxy: true}",
            "{id: a b, command: x}",
            "{id: a, transport: carrier-pigeon, url: 'htp:/nope'}",
            "{id: a, transport: SSE, url: 'http://x/'}",
            "{id: a, transport: http, url: 'http://x/'}",
            "{id: a}",
            "{id: a, transport: stdio}",
        ]),
        @r"
    {url: 'http://x/'}
        w.yaml:2:5: error[missing-id]: mcp id is required
    {id: '', resource: '', url: 'http://x/'}
        w.yaml:2:10: error[missing-id]: mcp id is required
        w.yaml:2:24: error[missing-id]: mcp resource is required
    {id: a b, command: x, use_proxy: true}
        w.yaml:2:10: error[bad-id]: invalid id: name `a b` may hold only letters, digits, `.`, `_` and `-`
          hint: the id is the name at the gateway
    {id: admin, command: x, use_proxy: true}
        w.yaml:2:10: error[bad-id]: invalid id: name `admin` is reserved for the gateway's own paths
          hint: the id is the name at the gateway
    {id: a b, command: x}
        a b: direct
    {id: a, transport: carrier-pigeon, url: 'htp:/nope'}
        w.yaml:2:24: error[unknown-transport]: invalid transport type: carrier-pigeon (must be 'sse', 'streamable-http' or 'stdio')
        w.yaml:2:45: error[bad-url]: invalid url `htp:/nope`: scheme `htp` is not http or https
          hint: an address looks like `https://example.com/mcp`
    {id: a, transport: SSE, url: 'http://x/'}
        w.yaml:2:24: error[unknown-transport]: invalid transport type: SSE (must be 'sse', 'streamable-http' or 'stdio')
          hint: did you mean `sse`?
    {id: a, transport: http, url: 'http://x/'}
        w.yaml:2:24: error[unknown-transport]: invalid transport type: http (must be 'sse', 'streamable-http' or 'stdio')
          hint: did you mean `streamable-http`?
    {id: a}
        w.yaml:2:5: error[missing-url]: url is required for HTTP-based transports
          hint: an entry has a `url` or a `command`
    {id: a, transport: stdio}
        w.yaml:2:24: error[missing-command]: command is required for stdio transport
    "
    );
}

#[test]
fn says_what_is_wrong_with_commands_and_addresses() {
    insta::assert_snapshot!(
        each(&[
            "{id: a, command: ''}",
            "{id: a, command: 'x ''y'}",
            "{id: a, command: '-y x'}",
            "{id: a, command: [], transport: stdio}",
            "{id: a, command: '{{ .env.EMPTY }}'}",
            "{id: a, command: \"x\\ny\"}",
            "{id: a, url: 'http://x/', command: y}",
            "{id: a, url: 'http://x/', command: y, transport: sse}",
            "{id: a, url: 'http://x/', args: [y]}",
            "{id: a, command: y, headers: {A: b}}",
            "{id: a, url: 'localhost:4000/mcp'}",
            "{id: a, url: '/mcp'}",
            "{id: a, url: 'http://'}",
            "{id: a, url: 'x{{ .env.TOKEN }}'}",
            "{id: a, url: [x]}",
        ]),
        @r#"
    {id: a, command: ''}
        w.yaml:2:5: error[missing-url]: url is required for HTTP-based transports
          hint: an entry has a `url` or a `command`
    {id: a, command: 'x ''y'}
        w.yaml:2:22: error[bad-command]: command has a quote that is not closed
          hint: close the quotes, or write the program alone, and the other words under `args`
    {id: a, command: '-y x'}
        w.yaml:2:22: error[bad-command]: command begins with an option and not with a program
    {id: a, command: [], transport: stdio}
        w.yaml:2:22: error[engine-yaml]: the engine takes a text for `command`, and does not load a file with a list there
          hint: write the program as a text, and the other words under `args`
        w.yaml:2:37: error[missing-command]: command is required for stdio transport
    {id: a, command: '{{ .env.EMPTY }}'}
        w.yaml:2:22: error[bad-command]: command is empty
        w.yaml:2:22: warning[engine-literal]: the engine does not render templates of `command`, and takes this as it is written
          hint: register the server with `use_proxy: true`, or write the value
    {id: a, command: "x\ny"}
        w.yaml:2:22: error[bad-command]: command holds a line break
    {id: a, url: 'http://x/', command: y}
        w.yaml:2:18: error[misplaced-key]: url cannot be used with transport `stdio`
          hint: leave out `url`, or leave out `command` and set `transport: streamable-http`
    {id: a, url: 'http://x/', command: y, transport: sse}
        w.yaml:2:40: error[misplaced-key]: command cannot be used with transport `sse`
          hint: leave out `command`, or set `transport: stdio` and leave out `url`
    {id: a, url: 'http://x/', args: [y]}
        w.yaml:2:37: error[misplaced-key]: args cannot be used with transport `sse`
    {id: a, command: y, headers: {A: b}}
        w.yaml:2:34: error[misplaced-key]: headers cannot be used with transport `stdio`
          hint: a program takes its secrets from `env`
    {id: a, url: 'localhost:4000/mcp'}
        w.yaml:2:18: error[bad-url]: invalid url `localhost:4000/mcp`: scheme `localhost` is not http or https
          hint: an address looks like `https://example.com/mcp`
    {id: a, url: '/mcp'}
        w.yaml:2:18: error[bad-url]: invalid url `/mcp`: relative URL without a base
          hint: an address looks like `https://example.com/mcp`
    {id: a, url: 'http://'}
        w.yaml:2:18: error[bad-url]: invalid url `http://`: empty host
          hint: an address looks like `https://example.com/mcp`
    {id: a, url: 'x{{ .env.TOKEN }}'}
        w.yaml:2:18: error[bad-url]: invalid url: relative URL without a base
          hint: an address looks like `https://example.com/mcp`
        w.yaml:2:18: warning[engine-literal]: the engine does not render templates of `url`, and takes this as it is written
          hint: register the server with `use_proxy: true`, or write the value
    {id: a, url: [x]}
        w.yaml:2:18: error[wrong-type]: `mcps[0].url`: invalid type: sequence, expected a string
    "#
    );
}

#[test]
fn says_what_is_wrong_with_the_rest_of_an_entry() {
    insta::assert_snapshot!(
        each(&[
            "{id: a, url: 'http://x/', headers: {'': a, Host: b, 'X Y': c, 'X-A': \"d\\ne\", x-b: 1, X-B: 2}}",
            "{id: a, command: x, env: {'A=B': c}}",
            "{id: a, command: x, proto: 2025-02-30}",
            "{id: a, command: x, use_proxy: yes}",
            "{id: a, command: x, env: {A: }}",
            "{id: a, command: x, comand: y, foo: z, auth: {}, condition: q}",
            "{id: a, url: 'http://{{ .env.NOPE }}/', headers: {A: '{{ .env.NADA }} {{ .env.TOKEN | b64enc }}'}}",
            "{id: a, command: x, env: {A: '[redacted]'}}",
            "7",
            "nobody",
        ]),
        @r#"
    {id: a, url: 'http://x/', headers: {'': a, Host: b, 'X Y': c, 'X-A': "d\ne", x-b: 1, X-B: 2}}
        w.yaml:2:41: error[bad-header]: header ``: its name is empty
        w.yaml:2:48: error[bad-header]: header `Host`: the gateway sets it itself
        w.yaml:2:57: error[bad-header]: header `X Y`: its name holds a character that HTTP does not allow
        w.yaml:2:67: error[bad-header]: header `X-A`: its value holds a line break
        w.yaml:2:90: error[bad-header]: header `X-B`: it is there twice
    {id: a, command: x, env: {'A=B': c}}
        w.yaml:2:31: error[bad-env]: `A=B` cannot be the name of a variable
    {id: a, command: x, proto: 2025-02-30}
        w.yaml:2:32: error[bad-proto]: invalid protocol version: 2025-02-30
          hint: a version is a date such as `2025-03-26`
    {id: a, command: x, use_proxy: yes}
        w.yaml:2:36: error[wrong-type]: `mcps[0].use_proxy`: invalid type: string "yes", expected a boolean
          hint: write `true` or `false`
    {id: a, command: x, env: {A: }}
        a: direct
    {id: a, command: x, comand: y, foo: z, auth: {}, condition: q}
        a: direct
        w.yaml:2:25: warning[unknown-key]: unknown key `comand`
          hint: did you mean `command`?
        w.yaml:2:36: warning[unknown-key]: unknown key `foo`
        w.yaml:2:44: warning[documented-only]: `auth` is documented by the engine but not used
        w.yaml:2:54: warning[documented-only]: `condition` is documented by the engine but not used
    {id: a, url: 'http://{{ .env.NOPE }}/', headers: {A: '{{ .env.NADA }} {{ .env.TOKEN | b64enc }}'}}
        a: direct
        w.yaml:2:18: warning[engine-literal]: the engine does not render templates of `url`, and takes this as it is written
          hint: register the server with `use_proxy: true`, or write the value
        w.yaml:2:29: warning[missing-variable]: variable `NOPE` is not set
          hint: declare it under `env:`, or give it with `--set NOPE=VALUE` or `--env-file FILE`; a `default` helps with `--engine none` only
        w.yaml:2:62: warning[missing-variable]: variable `NADA` is not set
          hint: declare it under `env:`, or give it with `--set NADA=VALUE` or `--env-file FILE`; a `default` helps with `--engine none` only
    {id: a, command: x, env: {A: '[redacted]'}}
        a: direct
        w.yaml:2:34: note[redacted-secret]: `[redacted]` stands for the secret that the gateway has
          hint: to register it anew, give the secret, best as `{{ .env.TOKEN }}`
    7
        w.yaml:2:5: error[wrong-type]: `mcps[0]`: invalid type: integer `7`, expected an MCP server, or the id of one
    nobody
        w.yaml:2:5: error[unknown-reference]: id `nobody` is declared in none of these files
    "#
    );
}

#[test]
fn finds_all_four_mistakes_in_one_run() {
    let text = concat!(
        "id: broken\nmcps:\n  - id: one\n    transport: carrier-pigeon\n    url: http://x.test/\n",
        "  - id: two\n    url: http://x.test/mcp\n    headers:\n      Authorization: Bearer {{ .env.NOT_SET }}\n",
        "  - id: three\n    url: htp://x.test/\n  - id: two\n    command: other\n",
    );
    insta::assert_snapshot!(told(&[("flows/broken.yaml", text)], &settings()), @r#"
    flows/broken.yaml:4:16: error[unknown-transport]: invalid transport type: carrier-pigeon (must be 'sse', 'streamable-http' or 'stdio')
    flows/broken.yaml:9:32: warning[missing-variable]: variable `NOT_SET` is not set
      hint: declare it under `env:`, or give it with `--set NOT_SET=VALUE` or `--env-file FILE`; a `default` helps with `--engine none` only
    flows/broken.yaml:11:10: error[bad-url]: invalid url `htp://x.test/`: scheme `htp` is not http or https
      hint: an address looks like `https://example.com/mcp`
    flows/broken.yaml:12:9: error[duplicate-id]: id `two` is already declared at flows/broken.yaml:6:9
      hint: give one of them another id, or name the other by its id alone: `- the-id`
    "#);
}

#[test]
fn an_id_is_declared_once() {
    let same = "mcps: [{id: a, command: x, args: [y]}]\n";
    let reordered = "mcps:\n  - args: [y]\n    command: x\n    id: a\n";
    let other = "mcps: [{id: a, command: z}]\n";
    let twice = "mcps: [{id: a, command: x}, {id: a, command: x}]\n";
    assert_eq!(told(&[("1.yaml", same), ("2.yaml", reordered)], &settings()), "a: direct\na: direct");
    insta::assert_snapshot!(told(&[("1.yaml", same), ("2.yaml", other)], &settings()), @r"
    2.yaml:1:13: error[duplicate-id]: id `a` is declared with other content at 1.yaml:1:13
      hint: give one of them another id, or name the other by its id alone: `- the-id`
    ");
    insta::assert_snapshot!(told(&[("1.yaml", twice)], &settings()), @r"
    1.yaml:1:34: error[duplicate-id]: id `a` is already declared at 1.yaml:1:13
      hint: give one of them another id, or name the other by its id alone: `- the-id`
    ");
}

#[test]
fn two_ids_may_share_an_upstream_only_if_they_agree_on_it() {
    let entry = |id: &str, command: &str| {
        format!("  - {{id: {id}, url: '{GATEWAY}/n/sse', command: {command}, use_proxy: true}}\n")
    };
    let agreed = format!("mcps:\n{}{}", entry("a", "x"), entry("b", "x"));
    let loaded = read_as(&[("w.yaml", &agreed)], &settings()).expect("valid");
    assert_eq!(loaded.desired.definitions().len(), 1);
    let split = format!("mcps:\n{}{}", entry("a", "x"), entry("b", "y"));
    insta::assert_snapshot!(told(&[("w.yaml", &split)], &settings()), @"w.yaml:3:5: error[name-conflict]: upstream `n` is declared with other content at w.yaml:2:5");
}

#[test]
fn an_id_by_itself_names_an_entry_of_another_file() {
    let declaring = ("a.yaml", "mcps: [{id: shared, command: x}]\n");
    assert_eq!(told(&[declaring, ("w.yaml", "mcps: [shared]\n")], &settings()), "shared: direct");
    insta::assert_snapshot!(told(&[declaring, ("w.yaml", "mcps: [shered]\n")], &settings()), @r"
    w.yaml:1:8: error[unknown-reference]: id `shered` is declared in none of these files
      hint: did you mean `shared`?
    ");
}

#[test]
fn agents_inside_and_beside_a_workflow_are_read() {
    let workflow = concat!(
        "id: w\nmcps: [{id: a, command: x}]\nagents:\n  - second\n  - id: g\n    instructions: be kind\n",
        "    mcps: [{id: b, command: x}]\n",
    );
    let agent = "id: second\ninstructions: be brief\nmcps: [{id: c, command: x}]\n";
    let files = [("s.yaml", agent), ("w.yaml", workflow)];
    assert_eq!(told(&files, &settings()), "c: direct\na: direct\nb: direct");
}

#[test]
fn the_first_document_of_a_file_counts_where_an_engine_reads_it() {
    let text = "mcps: [{id: a, command: x}]\n---\nkind: Other\n---\nmcps: [{id: b, command: x}]\n";
    let remark =
        "w.yaml:5:1: warning[ignored-document]: the engine reads the first document of a file, and not this one";
    let expected = format!("a: direct\n{remark}\n  hint: put it into a file of its own");
    assert_eq!(told(&[("w.yaml", text)], &settings()), expected);
    let without = Settings { engine: Engine::None, ..settings() };
    assert_eq!(told(&[("w.yaml", text)], &without), "a: direct\nb: direct");
    let empty = "---\n# nothing\n---\nmcps: [{id: b, command: x}]\n";
    assert!(told(&[("w.yaml", empty)], &settings()).starts_with("w.yaml:4:1: warning[ignored-document]"));
}

#[test]
fn the_yaml_of_others_is_skipped() {
    let foreign = ["services: {web: {image: nginx}}\n", "- 1\n- 2\n", "agents: {queue: default}\n", "just text\n", ""];
    for text in foreign {
        assert_eq!(told(&[("x.yaml", text)], &settings()), "", "{text}");
    }
}

#[test]
fn references_are_what_nothing_here_registers() {
    let text = format!(
        "mcps:\n  - {{id: a, url: '{GATEWAY}/there/sse', use_proxy: true}}\n  - {{id: b, url: '{GATEWAY}/here/sse', \
         use_proxy: true}}\n  - {{id: here, command: x, use_proxy: true}}\n"
    );
    let loaded = read_as(&[("w.yaml", &text)], &settings()).expect("valid");
    let references: Vec<_> =
        loaded.desired.references().iter().map(|(entry, name)| format!("{} {name}", entry.id)).collect();
    assert_eq!(references, ["a there"]);
    assert_eq!(loaded.desired.names().len(), 2);
}

#[test]
fn the_files_are_shown_as_the_engine_sees_them() {
    let text = concat!(
        "id: w\ndescription: |\n  two\n  lines {{ .input.x }}\nmcps:\n",
        "  - id: a\n    transport: sse\n    url: http://{{ .env.HOST }}/mcp\n    headers: {A: b}\n    use_proxy: true\n",
        "    start_timeout: 10s\n",
        "  - id: b\n    command: run {{ .env.TOKEN }}\n    env: {T: '{{ .env.TOKEN }}'}\n    use_proxy: true\n",
        "  - id: c\n    url: http://{{ .env.HOST }}/?k={{ .env.TOKEN }}\n    headers: {A: '{{ .env.TOKEN }}'}\n",
        "  - id: d\n    url: http://localhost:6001/n/stream\n    env: {X-API-Key: '{{ .env.TOKEN }}', Y: z}\n",
        "    use_proxy: true\nagents:\n  - id: g\n    mcps:\n      - {id: e, command: x, use_proxy: true}\n",
        "version: 1.10\n",
    );
    let loaded = read_as(&[("w.yaml", text)], &settings()).expect("valid");
    let shown: Vec<_> = loaded.desired.rewritten().iter().map(File::to_yaml).collect();
    assert!(!shown.concat().contains("hunter2"));
    insta::assert_snapshot!(shown.concat(), @r#"
id: w
description: |
  two
  lines {{ .input.x }}
mcps:
- id: a
  transport: sse
  url: http://127.0.0.1:6001/a/sse
  use_proxy: true
  start_timeout: 10s
- id: b
  url: http://127.0.0.1:6001/b/stream
  use_proxy: true
  transport: streamable-http
- id: c
  url: http://up.test/?k=[redacted]
  headers:
    A: "[redacted]"
- id: d
  url: http://127.0.0.1:6001/n/stream
  env:
    "Y": "[redacted]"
  use_proxy: true
  headers:
    X-Api-Key: "[redacted]"
agents:
- id: g
  mcps:
  - id: e
    url: http://127.0.0.1:6001/e/stream
    use_proxy: true
    transport: streamable-http
version: 1.10
"#);
}

#[test]
fn the_sample_files_are_valid() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../workflows"));
    let environment = Environment::from_iter([("LLM_API_KEY", "k"), ("BATCH_TOKEN", "t"), ("DEMO_SERVER", "/a b/c")]);
    let loaded = load(&[folder], &Settings { environment, ..settings() }).expect("valid");
    assert_eq!(lines(&loaded.remarks), "");
    let registered: Vec<_> = loaded.desired.definitions().iter().map(|it| it.name.to_string()).collect();
    assert_eq!(registered, ["demo", "everything", "filesystem", "memory", "time", "git"]);
    let references: Vec<_> = loaded.desired.references().iter().map(|(_, name)| name.to_string()).collect();
    assert_eq!(references, ["chat-llm", "search-mcp"]);
}

#[test]
fn the_files_of_the_original_documents_are_understood() {
    let workflow = concat!(
        "id: chat-qa-workflow\nmcps:\n  - id: chat-llm\n    url: http://127.0.0.1:6001/chat-llm/sse\n    transport: sse\n",
        "    use_proxy: true\n    env:\n      X-API-Key: \"{{ .env.TOKEN }}\"\n    start_timeout: 10s\n",
        "    max_sessions: 4\n  - id: batch-mcp\n    url: http://batch.local:4000/mcp\n",
        "    transport: streamable-http\n    env:\n      TOKEN: \"{{ .env.TOKEN }}\"\n",
    );
    insta::assert_snapshot!(told(&[("chat.yaml", workflow)], &settings()), @r#"
    chat-llm: refers to chat-llm at http://127.0.0.1:6001/chat-llm/sse
    batch-mcp: direct
    chat.yaml:8:7: note[env-promoted]: `X-API-Key` is sent as a header: an HTTP upstream has no environment
      hint: move it to `headers`
    chat.yaml:15:7: warning[env-on-http]: `TOKEN` has no effect: an HTTP upstream has no environment
      hint: if it is meant as a header, move it to `headers`
    "#);
}

#[test]
fn what_is_shown_is_spelt_as_in_the_file_and_the_same_each_time() {
    let text = "env:\n  A: True\nmcps:\n- id: a\n  command: number0n\n  args:\n  - 1.10\n  - 0x1F\n  - 010\n  - 1e3\n  - 0o17\n  \
                - 99999999999999999999\n  - TRUE\n  - 1_000\n  max_sessions: 010\n";
    let (file, malformed) = File::parse("w.yaml", "w.yaml", text);
    let desired = interpret(vec![file], malformed, &settings()).expect("valid").desired;
    assert_eq!(desired.rewritten()[0].to_yaml(), text);
    assert_eq!(desired.rewritten()[0].to_yaml(), desired.rewritten()[0].to_yaml());
}

#[test]
fn a_scalar_is_registered_as_the_engine_reads_it() {
    let text = "{id: a, command: 0o17, use_proxy: true, env: {A: , B: True, C: !!binary aGk=}, max_sessions: 010, args: [1.10, \
                TRUE, 0x1F]}";
    let entry = entry(text);
    for part in ["\"command\":\"0o17\"", "\"args\":[\"1.10\",\"TRUE\",\"0x1F\"]", "\"maxSessions\":8"] {
        assert!(entry.contains(part), "{entry}");
    }
    let (file, malformed) = File::parse("w.yaml", "w.yaml", &format!("mcps:\n  - {text}\n"));
    let definition = interpret(vec![file], malformed, &settings()).expect("valid").desired.definitions().remove(0);
    let env = schemas::dialect::compozy::DefinitionDocument::from(definition).env;
    let env: Vec<_> = env.iter().map(|(name, value)| format!("{name}={}", value.expose())).collect();
    assert_eq!(env, ["A=", "B=True", "C=hi"]);
}

#[test]
fn a_project_above_the_paths_governs_them_within_their_repository() {
    let root = tempfile::tempdir().expect("a folder");
    let flows = root.path().join("shop/flows/deep");
    std::fs::create_dir_all(&flows).expect("folders");
    let write = |path: &str, text: &str| std::fs::write(root.path().join(path), text).expect("a file");
    write("compozy.yaml", "name: elsewhere\n");
    write("shop/compozy.yaml", "name: shop\nuse_proxy_default: true\nenv: {HOST: a.test}\n");
    write("shop/flows/deep/w.yaml", "mcps:\n  - {id: a, url: 'http://{{ .env.HOST }}/mcp'}\n");
    for path in [flows.clone(), flows.join("w.yaml"), root.path().join("shop")] {
        let desired = load(&[path], &settings()).expect("valid").desired;
        assert_eq!((desired.project(), desired.definitions().len()), (Some("shop"), 1));
    }
    std::fs::create_dir(root.path().join("shop/flows/.git")).expect("a folder");
    let unset = Settings { unset: Unset::Warn, ..settings() };
    assert_eq!(load(&[flows], &unset).expect("valid").desired.project(), None);
}

#[test]
fn strict_settings_refuse_files_with_warnings() {
    let strict = Settings { strict: true, unset: Unset::Refuse, ..settings() };
    let warned = "mcps:\n  - {id: a, command: x, colour: red, env: {T: '{{ .env.NOPE }}'}}\n";
    let refused = read_as(&[("w.yaml", warned)], &strict).expect_err("a warning");
    assert_eq!(refused.to_string(), "1 error in the files");
    // These settings expect an unset variable.
    let unset = Settings { unset: Unset::Warn, ..strict.clone() };
    let refused = read_as(&[("w.yaml", warned)], &unset).expect_err("a warning");
    assert_eq!(refused.to_string(), "3 warnings in the files");
    let only_unset = "mcps:\n  - {id: a, command: x, use_proxy: true, env: {T: '{{ .env.NOPE }}'}}\n";
    assert_eq!(read_as(&[("w.yaml", only_unset)], &unset).expect("valid").remarks.len(), 1);
    let noted = "mcps:\n  - {id: a, command: x, env: {T: '[redacted]'}}\n";
    assert_eq!(read_as(&[("w.yaml", noted)], &strict).expect("a note is no warning").remarks.len(), 1);
}

#[test]
fn where_no_engine_reads_the_files_a_key_may_be_anybodys() {
    let text = "id: w\nretries: 3\nagnets: []\nmcps: [{id: a, command: x}]\n";
    let without = Settings { engine: Engine::None, ..settings() };
    insta::assert_snapshot!(told(&[("w.yaml", text)], &without), @r"
    a: direct
    w.yaml:3:1: warning[unknown-key]: unknown key `agnets`
      hint: did you mean `agents`?
    ");
    insta::assert_snapshot!(told(&[("w.yaml", text)], &settings()), @r"
    a: direct
    w.yaml:2:1: warning[unknown-key]: unknown key `retries`
      hint: nothing reads it; a key of your own begins with `x-`: `x-retries`
    w.yaml:3:1: warning[unknown-key]: unknown key `agnets`
      hint: did you mean `agents`?
    ");
}

#[test]
fn says_what_is_used_as_it_is_written() {
    insta::assert_snapshot!(
        each(&[
            "{id: a, url: 'https://${HOST}/mcp', use_proxy: true}",
            "{id: a, command: 'sh -c \"exec x ${PORT}\"', args: ['$HOME'], use_proxy: true}",
            "{id: a, command: x, args: [--token, hush-hush, '$ROOT'], env: {A_KEY: hush-hush, B: '{{ .env.HOST }}'}, use_proxy: true}",
            "{id: a, url: 'https://me:hush@x.test/', headers: {Authorization: 'Bearer hush-hush'}, use_proxy: true}",
            "{id: a, command: x, env: {T: '{{ env.TOKEN }}'}, use_proxy: true}",
            "{id: a, command: x, env: {T: '{{ TOKEN }}', U: '{{ .TOKEN }}'}, use_proxy: true}",
            "{id: a, command: x, env: {T: \"a\\0b\"}, args: [\"a\\0b\"], use_proxy: true}",
        ]),
        @r#"
    {id: a, url: 'https://${HOST}/mcp', use_proxy: true}
        a: at http://127.0.0.1:6001/a/sse {"name":"a","transport":"sse","url":"https://${host}/mcp","timeout":30000000000,"tags":{"source":"w.yaml:2"}}
        w.yaml:2:27: warning[shell-variable]: `${HOST}` is used as it is written: variables of a shell are not filled in
          hint: write `{{ .env.HOST }}`
    {id: a, command: 'sh -c "exec x ${PORT}"', args: ['$HOME'], use_proxy: true}
        a: at http://127.0.0.1:6001/a/stream {"name":"a","transport":"stdio","command":"sh","args":["-c","exec x ${PORT}","$HOME"],"tags":{"source":"w.yaml:2"}}
    {id: a, command: x, args: [--token, hush-hush, '$ROOT'], env: {A_KEY: hush-hush, B: '{{ .env.HOST }}'}, use_proxy: true}
        a: at http://127.0.0.1:6001/a/stream {"name":"a","transport":"stdio","command":"x","args":["--token","hush-hush","$ROOT"],"env":{"A_KEY":"hush-hush","B":"up.test"},"tags":{"source":"w.yaml:2"}}
        w.yaml:2:41: warning[literal-secret]: a secret is written out here, and whoever reads the file has it
          hint: write `{{ .env.TOKEN }}`, and give the variable with `--env-file` or in the environment
        w.yaml:2:53: warning[shell-variable]: `$ROOT` is used as it is written: variables of a shell are not filled in
          hint: write `{{ .env.ROOT }}`
        w.yaml:2:75: warning[literal-secret]: a secret is written out here, and whoever reads the file has it
          hint: write `{{ .env.A_KEY }}`, and give the variable with `--env-file` or in the environment
    {id: a, url: 'https://me:hush@x.test/', headers: {Authorization: 'Bearer hush-hush'}, use_proxy: true}
        a: at http://127.0.0.1:6001/a/sse {"name":"a","transport":"sse","url":"https://me:hush@x.test/","headers":{"Authorization":"Bearer hush-hush"},"timeout":30000000000,"tags":{"source":"w.yaml:2"}}
        w.yaml:2:30: warning[literal-secret]: a secret is written out here, and whoever reads the file has it
          hint: write `{{ .env.TOKEN }}`, and give the variable with `--env-file` or in the environment
        w.yaml:2:78: warning[literal-secret]: a secret is written out here, and whoever reads the file has it
          hint: write `Bearer {{ .env.TOKEN }}`, and give the variable with `--env-file` or in the environment
    {id: a, command: x, env: {T: '{{ env.TOKEN }}'}, use_proxy: true}
        w.yaml:2:38: error[bad-template]: `env.TOKEN` has no dot in front
          hint: did you mean `.env.TOKEN`?
    {id: a, command: x, env: {T: '{{ TOKEN }}', U: '{{ .TOKEN }}'}, use_proxy: true}
        w.yaml:2:38: error[bad-template]: `TOKEN` is no variable; variables are `.env.NAME`
          hint: did you mean `.env.TOKEN`?
        w.yaml:2:56: error[bad-template]: `.TOKEN` is not available here; only `.env.NAME` is
          hint: did you mean `.env.TOKEN`?
    {id: a, command: x, env: {T: "a\0b"}, args: ["a\0b"], use_proxy: true}
        w.yaml:2:34: error[bad-env]: the value of `T` holds a NUL, which no program can be given
        w.yaml:2:50: error[bad-command]: an argument holds a NUL, which no program can be given
    "#
    );
}
