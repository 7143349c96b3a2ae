"""Prints inputs for every known cause of a difference between Go's tools and a renderer, one JSON object a line.

`oracle.go` answers them, and the answers are tests/fixtures/templates/causes.jsonl. `cause` names the rule that an input is
about; a test fails where a rule has no input.
"""

import json

ALL = {
    "tilde": "a~b*c", "sigma": "ΟΔΟΣ", "sharp": "straße", "ligature": "ﬁ", "apostrophe": "ŉ", "dotted": "İ",
    "blank": "a\u00a0b\u200bc", "bell": "\a", "escape": "\x1b[0m", "delete": "\x7f", "spaced": "Zoë Müller", "grave": "voilà",
    "n": "42", "word": "x", "wrapped": "aGVs\nbG8=", "loose": "YR==", "empty": "", "other": "",
    "wide": "\u3000", "tab": "\v\f",
}
TEMPLATES = {
    "urlquery": ["{{ .env.tilde | urlquery }}", "{{ urlquery .env.spaced \"&\" }}"],
    "case": ["{{ .env.%s | %s }}" % (name, function) for name in ("sigma", "sharp", "ligature", "apostrophe", "dotted")
             for function in ("lower", "upper", "title", "untitle", "swapcase")],
    "quote": ["{{ %s .env.%s }}" % (function, name) for name in ("blank", "bell", "escape", "delete", "tab", "wide", "dotted")
              for function in ("quote", "squote", "printf \"%q\"", "printf \"%+q\"", "toJson", "js")],
    "number": ["{{ %s }}" % text for text in ("010", "0x10", "0b1", "1_000", "1.5", "'a'", "+5", "0o17", "08", "1e3", "'\\a'", "0x1p4")]
              + ["{{ .env.empty | default 010 }}", "{{ default 0x1F .env.empty }}"],
    "verb": ["{{ printf \"%d\" .env.n }}", "{{ printf \"%s\" 5 }}", "{{ printf \"%s\" true }}", "{{ printf \"%q\" 5 }}", "{{ printf \"%q\" 7 }}",
             "{{ printf \"%x\" .env.word }}", "{{ printf \"%z\" 1 }}", "{{ printf \"%s\" }}", "{{ printf \"a\" 1 }}", "{{ printf \"%5.1f|%-4d|%04d\" 2.25 3 4 }}"],
    "coalesce": ["{{ coalesce .env.empty .env.other }}", "{{ coalesce .env.empty .env.word }}", "{{ coalesce \"\" 0 false }}"],
    "nospace": ["{{ nospace .env.spaced }}", "{{ nospace .env.grave }}", "{{ nospace .env.wide }}", "{{ nospace .env.blank }}"],
    "trim": ["a\u00a0{{- .env.word -}}\u00a0b", "\u3000{{- .env.word -}}\u3000", "\v{{- .env.word -}}\f", "a \t\r\n{{- .env.word -}} \t\r\nb",
             "{{ .env.wide | trim }}", "{{ .env.blank | trim }}"],
    "unset": ["{{ .env.UNSET | default \"d\" }}", "{{ coalesce .env.UNSET .env.word }}", "{{ if .env.UNSET }}a{{ end }}", "{{ eq .env.UNSET \"\" }}",
              "{{ ne .env.UNSET \"\" }}", "{{ not .env.UNSET }}", "{{ empty .env.UNSET }}", "{{ or .env.UNSET .env.word }}",
              "{{ and .env.UNSET .env.word }}", "{{ ternary .env.UNSET \"b\" true }}", "{{ with .env.UNSET }}a{{ end }}"],
    "compare": ["{{ if eq .env.n 42 }}a{{ end }}", "{{ ne .env.n 42 }}", "{{ eq .env.n true }}", "{{ eq .env.n \"42\" }}", "{{ eq 1 1.0 }}",
                "{{ lt .env.n 43 }}", "{{ eq \"a\" \"b\" 1 }}"],
    "type": ["{{ ternary \"a\" \"b\" .env.word }}", "{{ upper 5 }}", "{{ contains 1 \"1\" }}", "{{ replace 1 2 }}", "{{ printf 5 }}", "{{ trim true }}",
             "{{ repeat \"2\" \"x\" }}", "{{ ternary \"a\" \"b\" true }}"],
    "comment": ["{{/* a */ b }}", "{{/* a -}} x", "{{/* a */}}b", "{{- /* a */ -}} b", "{{ /* a */ }}", "{{/* a }} */}}b"],
    "syntax": ["{{ \"\\/\" }}", "{{ \"\\ud83d\\ude00\" }}", "{{ upper\"abc\" }}", "{{ not(.env.word) }}", "{{ .env.1X }}", "{{ \"\\a\\x41\\101\\u00e9\" }}",
               "{{ 'ab' }}", "{{ `a`\"b\" }}", "{{ env.word }}", "{{ word }}", "{{ .word }}"],
    "short circuit": ["{{ or .env.word (b64dec .env.UNSET) }}", "{{ and .env.empty (upper .env.UNSET) }}", "{{ or .env.word (index \"a\" 9) }}",
                      "{{ and .env.word (upper 5) }}", "{{ or .env.empty .env.other }}", "{{ and }}"],
    "break in else": ["{{ range list 1 2 }}{{ range list }}a{{ else }}{{ %s }}{{ end }}x{{ . }}{{ end }}" % word for word in ("break", "continue")]
              + ["{{ range list }}a{{ else }}{{ break }}{{ end }}", "{{ range list 1 }}{{ with \"\" }}{{ else }}{{ break }}{{ end }}y{{ end }}z"],
    "hyphen": ["{{ .env.MY-VAR }}", "{{ index .env \"MY-VAR\" }}"],
    "marker": ["{{-\t.env.word }}", "{{if(.env.word)}}a{{end}}", "{{ $.env.word }}", "{{-.env.word }}", "{{ .env.word -}}b", "{{\n.env.word\n}}", "{{ -1 }}", "{{- 1 -}}"],
    "base64": ["{{ b64dec .env.wrapped }}", "{{ b64dec .env.loose }}", "{{ b64enc .env.spaced }}", "{{ b32enc .env.word }}"],
}
DURATIONS = ["0", "5", " 5s", "-0", "+0", "00", "5s ", "30", "0x10", "010", "0.3333333333333333333h", "1h2m3s4ms5us6ns", ".5s", "5.s", ".s", "1µs", "1μs",
             "-1.5h", "9223372036854775807ns", "9223372036854775808ns", "1e3s", "1d", "", "s", "2562047h47m16.854775807s"]
LINES = ["npx \"C:\\tools\\x\"", "\"a\\nb\"", "'C:\\tools'", "a\\ b", "a # b", "a#b", "\"a", "a\\", "'it'\\''s'", "\"\\$x\" \"\\\"\"", " npx  -y\t@a/b ", "\"\" ''"]
FILES = ["B=x\nA=$B", "A=Pa$5word", "A=Pa$WORD", "A='Pa$WORD'", "A=\"a\\tb\\nc\"", "A= #c", "A=b # c", "A=b#c", "A: b", "A.B=c", "1A=b", "A=${B}\nB=x", "B=x\nA=\"${B}y\"",
         "A=\"\\$B\"", "A='x", "A=\"x", "export A=b", "A=", "A", "A=\"b\" # c", "A='multi\nline'"]
VALUES = {
    "header": ["\"\\/\"", "True", "TRUE", "!!binary aGk=", "1.10", "0x1F", "010", "1e3", "yes", "~", "", "2025-01-31"],
    "start_timeout": ["017", "0o17", "0x1F", "08", "+5", "00", "-0", "0", "5", "' 5s'", "5s ", "'5s '", "5s", "0123456789", "0.3333333333333333333h", "1_0"],
    "max_sessions": ["010", "1_000", "4.0", "0x1F", "-1", "'4'", "1e3"],
    "command": ["[npx, -y, p]", "npx -y p", "True", "1.10", "\"a\\ud83d\\ude00\"", "\"\\U0001F600\"", "a\u0085b", "!!binary aGk="],
    "args": ["[!!binary aGk=, z]", "[1.10, 0x1F, 010, 1e3, 0o17, 99999999999999999999]", "[True, ~, null]", "\n    - a\n    -\n    - b", "[-]",
             "\n    -\t!!str b", "\n    -\t&x b", "\n    - &x b\n    -\t*x", "\n    -\t[b]", "\n    - !!str\tb"],
    "env": ["{KEY: }", "{A: !!binary aGk=}", "{A: \"a\\0b\"}", "{A: True, B: 1_000}", "{<<: ~, A: b}", "{<<: text}"],
}
DOCUMENTS = [
    ": c\nmcps: [{id: s, command: x}]\n", "mcps: [{id: s, command: x}]\n: c\n", "x: {: c}\nmcps: [{id: s, command: x}]\n",
    "x:\n  ? \n  : c\nmcps: [{id: s, command: x}]\n", "x:\n  &a : c\nmcps: [{id: s, command: x}]\n",
    "mcps:\n- &a {id: s, command: one}\n- <<: *a\n  <<: *a\n  id: t\n", "id: a\nmcps: [{id: a, command: x}]\n---\nmcps: [{id: b, command: y}]\n",
    "id: a\nmcps: [{id: a, command: x}]\n---\nmcps: [{id: b\n", "{\"mcps\": [{\"id\": \"s\", \"command\": \"x\", \"args\": [\"a\\/b\"]}]}", "%YAML 1.2\n---\nmcps: [{id: s, command: x}]\n",
]


def put(cause, kind, text, env=None):
    vector = {"cause": cause, "kind": kind, "text": text}
    print(json.dumps(vector if env is None else vector | {"env": env}, ensure_ascii=False))


for cause, texts in TEMPLATES.items():
    for text in texts:
        put(cause, "template", text, {name: value for name, value in ALL.items() if name in text})
for text in DURATIONS:
    put("duration", "duration", text)
for text in LINES:
    put("command line", "shlex", text)
for text in FILES:
    put("variables file", "dotenv", text)
for key, values in VALUES.items():
    for value in values:
        entry = f"headers: {{X-A: {value}}}" if key == "header" else f"{key}: {value}"
        put(f"yaml {key}", "yaml", f"mcps:\n  - id: s\n    {entry}\n")
for text in DOCUMENTS:
    put("yaml document", "yaml", text)
