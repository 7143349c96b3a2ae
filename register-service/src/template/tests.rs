use super::*;

fn environment() -> Environment {
    Environment::from_iter([("NAME", "Ada"), ("EMPTY", ""), ("PADDED", "  x  "), ("ODD", "{% raw %}{{ 7*7 }}\"\\")])
}

fn check(text: &str, expected: &str) {
    assert_eq!(render(text, &environment()).as_deref(), Ok(expected), "{text}");
}

fn refused(text: &str) -> String {
    let faults = render(text, &environment()).expect_err(text);
    let line = |fault: Fault| match fault.kind {
        FaultKind::Missing(name) => format!("`{}` missing {name}", &text[fault.part]),
        FaultKind::Bad(message) => format!("`{}` {message}{}", &text[fault.part], fault.hint.unwrap_or_default()),
    };
    faults.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_text_without_templates_is_its_own_result() {
    check("", "");
    check("a } b }} {% if %} {# c #}", "a } b }} {% if %} {# c #}");
}

#[test]
fn renders_variables_and_literals() {
    check("Bearer {{ .env.NAME }}", "Bearer Ada");
    check("{{.env.NAME}}{{.env.NAME}}", "AdaAda");
    check("{{ \"a\\tb\" }}{{ `c\\d` }}{{ 12 }}{{ true }}", "a\tbc\\d12true");
    check("{{ (.env.NAME) }}", "Ada");
}

#[test]
fn applies_functions_in_both_positions() {
    check("{{ .env.NAME | upper }}{{ lower .env.NAME }}", "ADAada");
    check("[{{ .env.PADDED | trim }}]", "[x]");
    check("{{ .env.NAME | lower | quote }}", "\"ada\"");
    check("{{ quote (upper .env.NAME) }}", "\"ADA\"");
}

#[test]
fn knows_the_functions_of_the_engine_that_make_sense_here() {
    check("{{ printf \"%s:%s\" .env.NAME \"pw\" | b64enc }}", "QWRhOnB3");
    check("{{ \"QWRh\" | b64dec }}", "Ada");
    check("{{ .env.NAME | replace \"A\" \"O\" | squote }}", "'Oda'");
    check("{{ trimPrefix \"A\" .env.NAME }}{{ .env.NAME | trimSuffix \"a\" }}{{ trimAll \"Aa\" .env.NAME }}", "daAdd");
    check("{{ coalesce .env.NOPE .env.EMPTY .env.NAME }}", "Ada");
    check("{{ ternary \"y\" \"n\" (eq .env.NAME \"Ada\") }}{{ ternary \"y\" \"n\" (empty .env.NAME) }}", "yn");
    check("{{ if and .env.NAME (not .env.EMPTY) (ne .env.NAME \"Bob\") }}ok{{ end }}", "ok");
    check("{{ if or .env.NOPE (hasPrefix \"A\" .env.NAME) }}ok{{ end }}", "ok");
    check("{{ contains \"d\" .env.NAME }}{{ hasSuffix \"x\" .env.NAME }}{{ nospace .env.PADDED }}", "truefalsex");
    check("{{ urlquery \"a b&c\" }}", "a+b%26c");
}

#[test]
fn a_default_stands_in_for_what_is_missing_or_empty() {
    check("{{ .env.NOPE | default \"x\" }}", "x");
    check("{{ default \"x\" .env.EMPTY }}", "x");
    check("{{ .env.NAME | default \"x\" }}", "Ada");
    check("{{ .env.NOPE | default .env.NAME | upper }}", "ADA");
    check("{{ .env.NOPE | default 8080 }}", "8080");
    check("{{ .env.NOPE | default .env.NADA | default \"z\" }}", "z");
}

#[test]
fn branches_on_what_is_set() {
    let text = "{{ if .env.NOPE }}a{{ else if .env.NAME }}b{{ else }}c{{ end }}";
    check(text, "b");
    check("{{ if .env.EMPTY }}a{{ else }}c{{ end }}!", "c!");
    check("{{ if .env.NAME }}{{ if .env.EMPTY }}x{{ end }}y{{ end }}", "y");
    check("{{ if .env.NOPE }}{{ .env.NOPE }}{{ end }}", "");
}

#[test]
fn trims_and_drops_comments() {
    check("a {{- .env.NAME -}} b", "aAdab");
    check("a {{/* }} .env.NOPE */}} b", "a  b");
    check("a {{- /* x */ -}} b", "ab");
}

#[test]
fn what_is_rendered_is_not_rendered_again() {
    check("{{ .env.ODD }}", "{% raw %}{{ 7*7 }}\"\\");
    check("{% set x = 1 %}{{ .env.NAME }}{# no #}", "{% set x = 1 %}Ada{# no #}");
    check("{{ \"}}{{\" }}{{ .env.NAME }}", "}}{{Ada");
}

#[test]
fn names_every_variable_that_is_missing() {
    let text = "{{ .env.A }} {{ .env.NAME }} {{ .env.B | upper }}{{ if .env.C }}{{ .env.D }}{{ end }}";
    assert_eq!(refused(text), "`.env.A` missing A\n`.env.B` missing B");
    assert_eq!(refused("{{ if .env.NAME }}{{ .env.D }}{{ end }}"), "`.env.D` missing D");
    assert_eq!(refused("{{ .env.A | default .env.B }}"), "`.env.B` missing B");
    assert_eq!(refused("{{ \"{{\" }}{{ .env.A }}"), "`.env.A` missing A");
}

#[test]
fn names_what_is_not_supported() {
    let cases = [
        "{{ range .env.NAME }}{{ end }}",
        "{{ .env.NAME | b32enc }}",
        "{{ .env.NAME | uper }}",
        "{{ .envv.NAME }}",
        "{{ printf \"%s %s\" .env.NAME }}",
        "{{ b64dec \"?\" }}",
        "{{ .workflow.input.x }}",
        "{{ .env }}",
        "{{ .env.A.B }}",
        "{{ $x }}",
        "{{ }}",
        "{{ .env.NAME",
        "{{ if .env.NAME }}",
        "{{ else }}",
        "{{ end }}",
        "{{ upper }}",
        "{{ default .env.NAME }}",
        "{{ (.env.NAME }}",
        "{{ .env.NAME \"x\" }}",
        "{{ .env.NAME | }}",
        "{{ 1.5 }}",
    ];
    let shown: Vec<_> =
        cases.iter().map(|case| format!("{case}\n    {}", refused(case).replace('\n', "\n    "))).collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    {{ range .env.NAME }}{{ end }}
        `range` a block with `range` is not supported
        `{{ end }}` `end` without `if`
    {{ .env.NAME | b32enc }}
        `b32enc` function `b32enc` is not supporteddid you mean `b64enc`?
    {{ .env.NAME | uper }}
        `uper` function `uper` is not supporteddid you mean `upper`?
    {{ .envv.NAME }}
        `.envv.NAME` `.envv.NAME` is not available here; only `.env.NAME` isdid you mean `.env.NAME`?
    {{ printf "%s %s" .env.NAME }}
        `printf` `printf` has more verbs than values
    {{ b64dec "?" }}
        `b64dec` `b64dec` was given what is not a text in base64
    {{ .workflow.input.x }}
        `.workflow.input.x` `.workflow.input.x` is known only while a workflow runs; here only `.env.NAME` is
    {{ .env }}
        `.env` `.env` is not a variablea variable is `.env.NAME`
    {{ .env.A.B }}
        `.env.A.B` `.env.A.B` is not a variablea variable is `.env.NAME`
    {{ $x }}
        `$x` function `$x` is not supported
    {{ }}
        `{{ }}` a value is missing
    {{ .env.NAME
        `{{ .env.NAME` the template has no closing `}}`
    {{ if .env.NAME }}
        `{{ if .env.NAME }}` `if` without `end`
    {{ else }}
        `{{ else }}` `else` without `if`
    {{ end }}
        `{{ end }}` `end` without `if`
    {{ upper }}
        `upper` `upper` takes 1 value, not 0
    {{ default .env.NAME }}
        `default` `default` takes 2 values, not 1
    {{ (.env.NAME }}
        `(` `(` without `)`
    {{ .env.NAME "x" }}
        `"x"` `"x"` is not expected there
    {{ .env.NAME | }}
        `|` there is no function behind the last `|`
    {{ 1.5 }}
        `1.5` `1.5` is not an integer
    "#);
}

#[test]
fn refuses_what_would_nest_without_end() {
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(refused(&deep).ends_with("` the template has more than 128 words"));
    let piped = format!("{{{{ .env.NAME {} }}}}", "| upper ".repeat(100_000));
    assert!(refused(&piped).ends_with("` the template has more than 128 words"));
    let open = "{{ if .env.NAME }}".repeat(10_000);
    assert!(refused(&open).ends_with("more than 32 `if` in one another"));
    let fits = format!("{}x{}", "{{ if .env.NAME }}".repeat(32), "{{ end }}".repeat(32));
    check(&fits, "x");
    check(&format!("{{{{ {}.env.NAME{} }}}}", "(".repeat(60), ")".repeat(60)), "Ada");
}

#[test]
fn hides_values_that_look_like_secrets() {
    let environment = Environment::from_iter([
        ("HOST", "example.com"),
        ("API_KEY", "k"),
        ("GithubToken", "t"),
        ("CACHE", "redis://u:p@h/0"),
    ]);
    let redacted = environment.redacted();
    let shown: Vec<_> = ["API_KEY", "CACHE", "GithubToken", "HOST"].map(|name| redacted.get(name)).into();
    let hidden = Some(schemas::REDACTED);
    assert_eq!(shown, [hidden, hidden, hidden, Some("example.com")]);
}
