use super::*;

const SETTINGS: [&str; 3] = ["port", "call-timeout", "admin-tokens"];

fn read(text: &str) -> OwnFile {
    let environment = [("HOST", "a.test"), ("TOKEN", "s3cret")].into_iter().collect();
    let read_file = |path: &str| match path {
        "/run/secrets/key" => Ok("k3y\n".to_owned()),
        _ => Err("there is no such file".to_owned()),
    };
    let surroundings = Surroundings {
        environment,
        read_file: Some(std::sync::Arc::new(read_file)),
        folder: Some("/etc/mcp".to_owned()),
        ..Surroundings::default()
    };
    read_own(&Document::parse(text), &SETTINGS, &surroundings)
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let told: Vec<String> = read(text).remarks.iter().map(|remark| remark.in_file("f")).collect();
    assert_eq!(told, expected, "{text}");
}

fn definition(text: &str) -> serde_json::Value {
    let own = read(text);
    assert_eq!(own.remarks, [], "{text}");
    serde_json::to_value(&own.servers[0].definition).expect("JSON")
}

#[test]
fn servers_are_definitions_with_variables_and_paths() {
    let told = definition(
        "servers:\n  docs:\n    url: https://${HOST}/mcp\n    headers: {Authorization: 'Bearer {{ .env.TOKEN }}', \
         X-Key: '${file:/run/secrets/key}', X-Text: '$${HOST}', X-Number: 5}\n    caFile: ca.pem\n",
    );
    assert_eq!(told["transport"], "streamable-http");
    assert_eq!(told["url"], "https://a.test/mcp");
    assert_eq!(told["headers"]["Authorization"], "Bearer s3cret");
    assert_eq!(told["headers"]["X-Key"], "k3y");
    assert_eq!(told["headers"]["X-Text"], "${HOST}");
    assert_eq!(told["headers"]["X-Number"], "5");
    assert_eq!(told["caFile"], "/etc/mcp/ca.pem");
    let told = definition("[servers.time]\ncommand = \"uvx\"\nargs = [\"mcp-server-time\"]\ncwd = \"./data\"\n");
    assert_eq!((&told["transport"], &told["cwd"]), (&"stdio".into(), &"/etc/mcp/data".into()));
    let told =
        definition("{\"port\": 1, \"servers\": {\"old\": {\"url\": \"http://a.test/sse\", \"callTimeout\": \"2m\"}}}");
    assert_eq!((&told["transport"], &told["callTimeout"]), (&"sse".into(), &120_000_000_000_u64.into()));
    let own = read(
        "servers:\n  a: {command: x, disabled: true}\n  b: {command: x, disabled: '${NO:-false}'}\n  \
         c: {command: x, disabled: '${NO:-true}'}\n",
    );
    let shown: Vec<_> = own.servers.iter().map(|it| (it.definition.name.as_str(), it.is_disabled)).collect();
    assert_eq!(shown, [("b", false), ("c", true)]);
}

#[test]
fn every_mistake_is_told_with_its_position_and_cure() {
    check(
        "prot: 1\ncall-timeout: {a: b}\nservers:\n  'my files': {command: x}\n  a:\n    comand: x\n    type: stdio\n  \
         b: [x]\n  c: {command: x, timeout: 5}\n  d: {url: 'ftp://a.test'}\n  e: {}\nprofiles: {a: {}}\n",
        &[
            "f:1:1: error: unknown key `prot`\n  hint: did you mean `port`?",
            "f:2:15: error: `call-timeout` is not a text, a number, a switch, or a list of these",
            "f:4:3: error: name `my files` may hold only letters, digits, `.`, `_` and `-`",
            "f:6:5: error: unknown key `comand` of `a`\n  hint: did you mean `command`?",
            "f:7:5: error: unknown key `type` of `a`\n  hint: here it is `transport`",
            "f:8:6: error: `b` is not a mapping with `command` or `url`",
            "f:9:28: error: `c`: timeout is 5ns, because a number without a unit counts nanoseconds; write `5s`",
            "f:10:12: error: `d`: invalid url: scheme `ftp` is not http or https",
            "f:11:3: error: `e` has neither `command` nor `url`",
            "f:12:1: error: `profiles` is reserved for a later version, and cannot hold anything yet",
        ],
    );
    check(
        "servers:\n  a: {command: '${GONE}', args: ['{{ .env.ALSO }}', '{{ .env.HOST }}${HOST}']}\n  b: {command: x, \
         env: {K: '${file:key}'}}\n  c: {command: x, args: [{a: 1}]}\n  d: {command: x, toolFilter: {mod: allow}}\n",
        &[
            "f:2:16: error: environment variable `GONE` is not set",
            "f:2:34: error: environment variable `ALSO` is not set",
            "f:2:53: error: a text has variables as `{{ .env.NAME }}` or as `${NAME}`, not both",
            "f:3:28: error: cannot read `/etc/mcp/key`: there is no such file",
            "f:4:26: error: `args[0]`: invalid type: map, expected a string",
            "f:5:32: error: unknown key `mod` of `d.toolFilter`\n  hint: did you mean `mode`?",
        ],
    );
    check("port: 1\nport: 2\n", &["f:2:1: error: key `port` is there twice\n  hint: the first is in line 1"]);
    check(
        "{\"port\": 1,\n \"servers\": {\"a\" {}}}",
        &["f:2:18: error: expected colon after the string or word in object property"],
    );
}

#[test]
fn settings_are_texts_or_lists_of_texts() {
    let own = read("port: 07000\nadmin-tokens: ['${TOKEN}', b]\ninclude: conf.d\n");
    let shown: Vec<_> = own.settings.iter().map(|it| (it.key.as_str(), it.values.join("|"))).collect();
    assert_eq!(shown, [("port", "07000".to_owned()), ("admin-tokens", "s3cret|b".to_owned())]);
    assert_eq!(own.include[0].0, "conf.d");
    assert!(!format!("{own:?}").contains("s3cret"));
}
