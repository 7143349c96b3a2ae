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
        FaultKind::Missing(name) => format!("{} missing {name}", fault.template),
        FaultKind::Bad(message) => format!("{} {message}", fault.template),
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
    assert_eq!(refused(text), "0 missing A\n2 missing B");
    assert_eq!(refused("{{ if .env.NAME }}{{ .env.D }}{{ end }}"), "1 missing D");
    assert_eq!(refused("{{ .env.A | default .env.B }}"), "0 missing B");
    assert_eq!(refused("{{ \"{{\" }}{{ .env.A }}"), "2 missing A");
}

#[test]
fn names_what_is_not_supported() {
    let cases = [
        "{{ range .env.NAME }}{{ end }}",
        "{{ .env.NAME | b64enc }}",
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
        0 `range` is not supported; supported are `.env.NAME`, `default`, `quote`, `trim`, `upper`, `lower`, `if`, `else`, `end`
        1 `end` without `if`
    {{ .env.NAME | b64enc }}
        0 function `b64enc` is not supported; supported are `.env.NAME`, `default`, `quote`, `trim`, `upper`, `lower`, `if`, `else`, `end`
    {{ .workflow.input.x }}
        0 `.workflow.input.x` is not available here; only `.env.NAME` is
    {{ .env }}
        0 `.env` is not available here; only `.env.NAME` is
    {{ .env.A.B }}
        0 `.env.A.B` is not available here; only `.env.NAME` is
    {{ $x }}
        0 `$x` is not supported; supported are `.env.NAME`, `default`, `quote`, `trim`, `upper`, `lower`, `if`, `else`, `end`
    {{ }}
        0 a value is missing
    {{ .env.NAME
        0 the template has no closing `}}`
    {{ if .env.NAME }}
        0 `if` without `end`
    {{ else }}
        0 `else` without `if`
    {{ end }}
        0 `end` without `if`
    {{ upper }}
        0 `upper` takes 1 value, not 0
    {{ default .env.NAME }}
        0 `default` takes 2 values, not 1
    {{ (.env.NAME }}
        0 `(` without `)`
    {{ .env.NAME "x" }}
        0 `"x"` is not expected there
    {{ .env.NAME | }}
        0 there is no function behind the last `|`
    {{ 1.5 }}
        0 `1.5` is not an integer
    "#);
}

#[test]
fn refuses_what_would_nest_without_end() {
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(100_000), ")".repeat(100_000));
    assert_eq!(refused(&deep), "0 the template has more than 128 words");
    let piped = format!("{{{{ .env.NAME {} }}}}", "| upper ".repeat(100_000));
    assert_eq!(refused(&piped), "0 the template has more than 128 words");
    let open = "{{ if .env.NAME }}".repeat(10_000);
    assert!(refused(&open).starts_with("0 `if` without `end`"));
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
    let shown: Vec<_> = redacted.values.values().map(String::as_str).collect();
    assert_eq!(shown, [REDACTED, REDACTED, REDACTED, "example.com"]);
}
