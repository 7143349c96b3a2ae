use super::*;

fn environment() -> Environment {
    Environment::from_iter([("NAME", "Ada"), ("EMPTY", ""), ("PADDED", "  x  "), ("ODD", "{% raw %}{{ 7*7 }}\"\\")])
}

fn check(text: &str, expected: &str) {
    assert_eq!(render(text, &environment(), OnUnset::Refused).as_deref(), Ok(expected), "{text}");
}

/// Renders a text with unset variables tolerated, as for files that no engine reads.
fn check_tolerant(text: &str, expected: &str) {
    assert_eq!(render(text, &environment(), OnUnset::Tolerated).as_deref(), Ok(expected), "{text}");
}

fn refused(text: &str) -> String {
    told(text, OnUnset::Refused)
}

fn told(text: &str, unset: OnUnset) -> String {
    let faults = render(text, &environment(), unset).expect_err(text);
    let line = |fault: Fault| match fault.kind {
        FaultKind::Unset(name) => format!("`{}` unset {name}", &text[fault.part]),
        FaultKind::Bad(message) | FaultKind::Refused(message) => {
            let hint = fault.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
            format!("`{}` {message}{hint}", &text[fault.part])
        }
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
    check("{{ coalesce .env.EMPTY .env.EMPTY .env.NAME }}", "Ada");
    check("{{ coalesce .env.EMPTY .env.EMPTY }}", "<no value>");
    check("{{ ternary \"y\" \"n\" (eq .env.NAME \"Ada\") }}{{ ternary \"y\" \"n\" (empty .env.NAME) }}", "yn");
    check("{{ if and .env.NAME (not .env.EMPTY) (ne .env.NAME \"Bob\") }}ok{{ end }}", "ok");
    check("{{ if or .env.EMPTY (hasPrefix \"A\" .env.NAME) }}ok{{ end }}", "ok");
    check("{{ or .env.NAME (b64dec \"?\") }}{{ and .env.EMPTY .env.NOPE }}", "Ada");
    check("{{ contains \"d\" .env.NAME }}{{ hasSuffix \"x\" .env.NAME }}{{ nospace .env.PADDED }}", "truefalsex");
    check("{{ urlquery \"a b&c\" }}", "a+b%26c");
}

#[test]
fn a_default_stands_in_for_what_is_empty() {
    check("{{ default \"x\" .env.EMPTY }}", "x");
    check("{{ .env.NAME | default \"x\" }}", "Ada");
    check("{{ .env.EMPTY | default .env.NAME | upper }}", "ADA");
    check("{{ .env.EMPTY | default 010 }}", "8");
}

#[test]
fn what_is_not_set_is_a_fault_wherever_it_is_asked_for() {
    let forms = [
        "{{ .env.NOPE | default \"x\" }}",
        "{{ coalesce .env.NOPE .env.NAME }}",
        "{{ if .env.NOPE }}a{{ end }}",
        "{{ with .env.NOPE }}a{{ end }}",
        "{{ range .env.NOPE }}a{{ end }}",
        "{{ eq .env.NOPE \"a\" }}",
        "{{ ne .env.NOPE \"a\" }}",
        "{{ not .env.NOPE }}",
        "{{ empty .env.NOPE }}",
        "{{ or .env.NOPE .env.NAME }}",
        "{{ and .env.NOPE .env.NAME }}",
        "{{ ternary \"a\" \"b\" (empty .env.NOPE) }}",
        "{{ $x := .env.NOPE }}",
        "{{ $.env.NOPE }}",
    ];
    for form in forms {
        assert!(refused(form).ends_with("env.NOPE` unset NOPE"), "{form}: {}", refused(form));
    }
    assert_eq!(refused("{{ index .env \"NOPE\" }}"), "`index` unset NOPE");
}

#[test]
fn where_no_engine_reads_the_files_what_is_not_set_may_be_asked_for() {
    check_tolerant("{{ .env.NOPE | default \"x\" }}", "x");
    check_tolerant("{{ .env.NOPE | default .env.NADA | default \"z\" }}", "z");
    check_tolerant("{{ coalesce .env.NOPE .env.EMPTY .env.NAME }}", "Ada");
    check_tolerant("{{ or .env.NOPE .env.NAME }}{{ and .env.NAME .env.NAME }}", "AdaAda");
    check_tolerant("{{ if .env.NOPE }}a{{ else if .env.NAME }}b{{ end }}", "b");
    check_tolerant("{{ with .env.NOPE }}a{{ else }}c{{ end }}", "c");
    check_tolerant("{{ eq .env.NOPE \"a\" }}{{ ne .env.NOPE \"a\" }}", "falsetrue");
    check_tolerant("{{ not .env.NOPE }}{{ empty .env.NOPE }}", "truetrue");
    let told = |text| told(text, OnUnset::Tolerated);
    assert_eq!(told("{{ .env.NOPE }}"), "`.env.NOPE` unset NOPE");
    assert_eq!(told("{{ coalesce .env.NOPE .env.NADA }}"), "`.env.NADA` unset NADA");
    assert_eq!(told("{{ .env.A | default .env.B }}"), "`.env.B` unset B");
    assert_eq!(told("{{ upper .env.NOPE }}"), "`.env.NOPE` unset NOPE");
    assert_eq!(told("{{ eq .env.NAME 5 }}"), "`eq` values of type string and int cannot be compared");
}

#[test]
fn branches_on_what_is_empty() {
    check("{{ if .env.EMPTY }}a{{ else if .env.NAME }}b{{ else }}c{{ end }}", "b");
    check("{{ if .env.EMPTY }}a{{ else }}c{{ end }}!", "c!");
    check("{{ if .env.NAME }}{{ if .env.EMPTY }}x{{ end }}y{{ end }}", "y");
    check("{{ if .env.EMPTY }}{{ .env.NOPE }}{{ end }}", "");
    check("{{ with .env.NAME }}{{ . }}{{ $.env.NAME }}{{ else with \"x\" }}{{ . }}{{ end }}", "AdaAda");
}

#[test]
fn goes_through_lists_dicts_and_numbers() {
    check("{{ range $i, $x := splitList \",\" \"a,b\" }}{{ $i }}{{ $x }};{{ end }}", "0a;1b;");
    check("{{ range $k, $v := dict \"b\" 1 \"a\" 2 }}{{ $k }}{{ $v }}{{ end }}", "a2b1");
    check("{{ range 3 }}{{ . }}{{ else }}none{{ end }}{{ range 0 }}x{{ else }}none{{ end }}", "012none");
    let text =
        "{{ range until 9 }}{{ if eq . 2 }}{{ continue }}{{ else if gt . 4 }}{{ break }}{{ end }}{{ . }}{{ end }}";
    check(text, "0134");
    check("{{ $x := \"a\" }}{{ range list 1 2 }}{{ $x = print $x . }}{{ end }}{{ $x }}", "a12");
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
    assert_eq!(refused(text), "`.env.A` unset A\n`.env.B` unset B\n`.env.C` unset C");
    assert_eq!(refused("{{ if .env.NAME }}{{ .env.D }}{{ end }}"), "`.env.D` unset D");
    assert_eq!(refused("{{ .env.A | default .env.B }}"), "`.env.A` unset A\n`.env.B` unset B");
    assert_eq!(refused("{{ printf \"%s\" (upper .env.A) .env.B }}"), "`.env.A` unset A\n`.env.B` unset B");
    assert_eq!(refused("{{ or .env.A .env.B }}"), "`.env.A` unset A");
    assert_eq!(refused("{{ \"{{\" }}{{ .env.A }}"), "`.env.A` unset A");
    assert_eq!(refused("{{ upper }}{{ .env.A }}{{ ) }}{{ .env.B }}").lines().count(), 4);
}

const NOT_SUPPORTED: &[&str] = &[
    "{{ range .env.NAME }}{{ end }}",
    "{{ define \"x\" }}{{ end }}",
    "{{ now }}",
    "{{ regexMatch \"a\" .env.NAME }}",
    "{{ .env.NAME | uper }}",
    "{{ .envv.NAME }}",
    "{{ b64dec \"?\" }}",
    "{{ .workflow.input.x }}",
    "{{ . }}",
    "{{ .env.A.B }}",
    "{{ $x }}",
    "{{ }}",
    "{{ .env.NAME",
    "{{ if .env.NAME }}",
    "{{ else }}",
    "{{ end }}",
    "{{ upper }}",
    "{{ replace .env.NAME }}",
    "{{ .env.MY-VAR }}",
    "{{ keys (dict \"a\" 1 \"b\" 2) }}",
    "{{ eq .env.NAME 5 }}",
    "{{ upper 5 }}",
    "{{ (.env.NAME }}",
    "{{ .env.NAME \"x\" }}",
    "{{ .env.NAME | \"x\" }}",
    "{{ 1.5.2 }}",
    "{{ \"\\/\" }}",
];

#[test]
fn names_what_is_not_supported() {
    let shown: Vec<_> =
        NOT_SUPPORTED.iter().map(|case| format!("{case}\n    {}", refused(case).replace('\n', "\n    "))).collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    {{ range .env.NAME }}{{ end }}
        `.env.NAME` `range` cannot go through a value of type string
    {{ define "x" }}{{ end }}
        `define` `define` is not supported: a value has no other templates to use
        `{{ end }}` `end` without `if`, `with` or `range`
    {{ now }}
        `now` function `now` depends on the clock
    {{ regexMatch "a" .env.NAME }}
        `regexMatch` function `regexMatch` works with regular expressions of Go, which are not computed here
    {{ .env.NAME | uper }}
        `uper` there is no function `uper` (did you mean `upper`?)
    {{ .envv.NAME }}
        `.envv.NAME` `.envv.NAME` is not available here; only `.env.NAME` is (did you mean `.env.NAME`?)
    {{ b64dec "?" }}
        `b64dec` `b64dec` was given what is not a text in base64; in the engine its result is the text of an error
    {{ .workflow.input.x }}
        `.workflow.input.x` `.workflow.input.x` is known only while a workflow runs; here only `.env.NAME` is
    {{ . }}
        `.` `.` as a whole holds what only the engine knows; here only `.env.NAME` is
    {{ .env.A.B }}
        `.env.A.B` unset A
    {{ $x }}
        `$x` variable `$x` is not declared
    {{ }}
        `{{ }}` a value is missing
    {{ .env.NAME
        `{{ .env.NAME` the template has no closing `}}`
    {{ if .env.NAME }}
        `{{ if .env.NAME }}` `if` without `end`
    {{ else }}
        `{{ else }}` `else` without `if`, `with` or `range`
    {{ end }}
        `{{ end }}` `end` without `if`, `with` or `range`
    {{ upper }}
        `upper` `upper` takes 1 value, not 0
    {{ replace .env.NAME }}
        `replace` `replace` takes 3 values, not 1
    {{ .env.MY-VAR }}
        `.MY-VAR` `-` is not expected in `.MY-VAR` (write `(index .env "MY-VAR")`)
    {{ keys (dict "a" 1 "b" 2) }}
        `keys (dict "a" 1 "b" 2)` the engine gives keys and values in another order each time; sort them with `sortAlpha`
    {{ eq .env.NAME 5 }}
        `eq` values of type string and int cannot be compared
    {{ upper 5 }}
        `5` `upper` takes a text there, not a value of type int
    {{ (.env.NAME }}
        `(` `(` without `)`
    {{ .env.NAME "x" }}
        `"x"` `"x"` is not expected there
    {{ .env.NAME | "x" }}
        `"x"` `"x"` is not a function to pipe a value into
    {{ 1.5.2 }}
        `.2` `.2` is not expected there
    {{ "\/" }}
        `"\/"` "\/" is not a text literal
    "#);
}

#[test]
fn no_text_can_take_long_or_much() {
    let ends = |text: &str, end: &str| assert!(refused(text).ends_with(end), "{}", refused(text));
    ends(&format!("{{{{ {}1{} }}}}", "(".repeat(100_000), ")".repeat(100_000)), "has more than 4096 words");
    ends(&format!("{{{{ {}1{} }}}}", "(".repeat(1_000), ")".repeat(1_000)), "more than 64 `(` in one another");
    ends(&format!("{{{{ .env.NAME {} }}}}", "| upper ".repeat(100_000)), "has more than 4096 words");
    let nested = refused(&"{{ if .env.NAME }}".repeat(50_000));
    assert!(nested.contains("more than 32 blocks in one another") && nested.lines().count() <= 64, "{nested}");
    ends("{{ range until 1000000000 }}x{{ end }}", "too large");
    ends("{{ range 1000000000 }}x{{ end }}", "too large");
    ends("{{ repeat 1000000000 \"x\" }}", "too large");
    ends("{{ indent 1000000000 \"x\" }}", "too large");
    ends("{{ printf \"%999999d%999999d%999999d%999999d%999999d%999999d\" 1 2 3 4 5 6 }}", "too large");
    ends("{{ $x := \"xxxxxxxx\" }}{{ range 40 }}{{ $x = print $x $x }}{{ end }}", "too large");
    ends("{{ $x := list 1 }}{{ range 1000 }}{{ $x = list $x }}{{ end }}", "more than 32 deep");
    ends("{{ $d := dict }}{{ $_ := set $d \"d\" $d }}", "a dict cannot hold itself");
    let grown = "{{ $n := dict }}{{ $_ := set $d \"d\" $n }}{{ $d = $n }}";
    ends(&format!("{{{{ $d := dict }}}}{{{{ $r := $d }}}}{{{{ range 1000 }}}}{grown}{{{{ end }}}}"), "256 times");
    ends("{{ range until 1000 }}{{ range until 1000 }}{{ end }}{{ end }}", "200000 steps");
    ends("{{ range until 100000 }}{{ print \"xxxxxxxxxxxxxxxxxxxx\" }}{{ end }}", "1048576 bytes");
    let fits = format!("{}x{}", "{{ if .env.NAME }}".repeat(32), "{{ end }}".repeat(32));
    check(&fits, "x");
    check(&format!("{{{{ {}.env.NAME{} }}}}", "(".repeat(60), ")".repeat(60)), "Ada");
}

#[test]
fn a_fault_shows_no_value() {
    let secret = Environment::from_iter([("SECRET", "hush"), ("DIGITS", "0xhush")]);
    let forms = [
        "{{ fail .env.SECRET }}",
        "{{ semver .env.SECRET }}",
        "{{ semverCompare .env.SECRET \"1\" }}",
        "{{ toDate .env.SECRET .env.SECRET }}",
        "{{ dateInZone .env.SECRET 0 .env.SECRET }}",
        "{{ index .env .env.SECRET }}",
        "{{ index (dict) .env.SECRET \"x\" }}",
        "{{ add .env.SECRET | upper }}",
        "{{ float64 .env.DIGITS }}",
        "{{ b64dec .env.SECRET }}",
        "{{ mustFromJson .env.SECRET }}",
        "{{ .env.SECRET.x }}",
        "{{ .env.SECRET | index .env }}",
    ];
    for form in forms {
        let faults = render(form, &secret, OnUnset::Refused).expect_err(form);
        assert!(!format!("{faults:?}").contains("hush"), "{form}: {faults:?}");
    }
}
