"""Prints inputs for every known cause of a difference between Go's tools and a renderer, one JSON object a line.

`oracle.go` answers them, and the answers are tests/fixtures/templates/causes.jsonl. `cause` names the rule that an input is
about; a test fails where a rule has no input.
"""

import json

ALL = {
    "tilde": "a~b*c", "sigma": "ΟΔΟΣ", "sharp": "straße", "ligature": "ﬁ", "apostrophe": "ŉ", "dotted": "İ",
    "blank": "a\u00a0b\u200bc", "bell": "\a", "escape": "\x1b[0m", "delete": "\x7f", "spaced": "Zoë Müller", "grave": "voilà",
    "n": "42", "word": "x", "wrapped": "aGVs\nbG8=", "loose": "YR==", "empty": "", "other": "",
    "wide": "\u3000", "tab": "\v\f", "ring": "Åse", "digraph": "ǆ ǅ", "iota": "ᾳ", "phrase": "it's a.b-c_d e/F",
    "signs": "<a='b'>\"&\\`", "separator": "a\u2028b", "face": "😀", "bom": "\ufeffx\u200b", "nel": "\u0085x\u2003", "unit": "\x1cx\x1f",
    # Set, so that only the name itself is what is refused.
    "1X": "x", "MY-VAR": "x",
}
TEMPLATES = {
    "urlquery": ["{{ .env.tilde | urlquery }}", "{{ urlquery .env.spaced \"&\" }}", "{{ urlquery \"-_.!'()/:@+\" }}", "{{ urlquery nil }}"],
    "case": ["{{ .env.%s | %s }}" % (name, function) for name in ("sigma", "sharp", "ligature", "apostrophe", "dotted", "digraph", "iota", "phrase")
             for function in ("lower", "upper", "title", "untitle", "swapcase")],
    "quote": ["{{ %s .env.%s }}" % (function, name) for name in ("blank", "bell", "escape", "delete", "tab", "wide", "dotted", "signs", "separator", "face")
              for function in ("quote", "squote", "printf \"%q\"", "printf \"%+q\"", "toJson", "js")]
             + ["{{ quote (trunc 5 .env.grave) }}"],
    "number": ["{{ %s }}" % text for text in ("010", "0x10", "0b1", "1_000", "1.5", "'a'", "+5", "0o17", "08", "1e3", "'\\a'", "0x1p4")]
              + ["{{ .env.empty | default 010 }}", "{{ default 0x1F .env.empty }}", "{{ printf \"%T\" 1e3 }}", "{{ 1_ }}", "{{ 1__0 }}", "{{ 1e6 }}", "{{ 100000.0 }}",
                 "{{ repeat 2.0 \"x\" }}", "{{ repeat 2.5 \"x\" }}"],
    "verb": ["{{ printf \"%d\" .env.n }}", "{{ printf \"%s\" 5 }}", "{{ printf \"%s\" true }}", "{{ printf \"%q\" 5 }}", "{{ printf \"%q\" 7 }}",
             "{{ printf \"%x\" .env.word }}", "{{ printf \"%z\" 1 }}", "{{ printf \"%s\" }}", "{{ printf \"a\" 1 }}", "{{ printf \"%5.1f|%-4d|%04d\" 2.25 3 4 }}",
             "{{ printf \"%7s|%-7s|%.5s\" .env.grave .env.grave .env.grave }}", "{{ printf \"%05s\" .env.word }}", "{{ printf \"%X|% x|%#x\" .env.grave .env.n .env.n }}",
             "{{ printf \"%+d|% d\" 5 5 }}", "{{ printf \"%[2]d|%[1]d\" 1 2 }}"],
    "coalesce": ["{{ coalesce .env.empty .env.other }}", "{{ coalesce .env.empty .env.word }}", "{{ coalesce \"\" 0 false }}", "{{ coalesce .env.word .env.n }}", "{{ coalesce list .env.word }}"],
    "nospace": ["{{ nospace .env.spaced }}", "{{ nospace .env.grave }}", "{{ nospace .env.wide }}", "{{ nospace .env.blank }}",
                "{{ nospace .env.ring }}", "{{ nospace .env.tab }}"],
    "trim": ["a\u00a0{{- .env.word -}}\u00a0b", "\u3000{{- .env.word -}}\u3000", "\v{{- .env.word -}}\f", "a \t\r\n{{- .env.word -}} \t\r\nb",
             "{{ .env.wide | trim }}", "{{ .env.blank | trim }}", "{{ .env.bom | trim }}", "{{ .env.nel | trim }}", "{{ .env.unit | trim }}"],
    "unset": ["{{ .env.UNSET | default \"d\" }}", "{{ coalesce .env.UNSET .env.word }}", "{{ if .env.UNSET }}a{{ end }}", "{{ eq .env.UNSET \"\" }}",
              "{{ ne .env.UNSET \"\" }}", "{{ not .env.UNSET }}", "{{ empty .env.UNSET }}", "{{ or .env.UNSET .env.word }}",
              "{{ and .env.UNSET .env.word }}", "{{ ternary .env.UNSET \"b\" true }}", "{{ with .env.UNSET }}a{{ end }}",
              "{{ with .env }}{{ .UNSET }}{{ end }}", "{{ $e := .env }}{{ $e.UNSET }}"],
    "compare": ["{{ if eq .env.n 42 }}a{{ end }}", "{{ ne .env.n 42 }}", "{{ eq .env.n true }}", "{{ eq .env.n \"42\" }}", "{{ eq 1 1.0 }}",
                "{{ lt .env.n 43 }}", "{{ eq \"a\" \"b\" 1 }}", "{{ eq \"a\" \"a\" 1 }}", "{{ lt \"B\" \"a\" }}", "{{ lt true false }}", "{{ eq .env.word nil }}"],
    "type": ["{{ ternary \"a\" \"b\" .env.word }}", "{{ upper 5 }}", "{{ contains 1 \"1\" }}", "{{ replace 1 2 }}", "{{ printf 5 }}", "{{ trim true }}",
             "{{ repeat \"2\" \"x\" }}", "{{ ternary \"a\" \"b\" true }}", "{{ upper \"a\" \"b\" }}", "{{ replace \"a\" \"b\" }}",
             "{{ default }}", "{{ repeat (add 1 1) \"x\" }}", "{{ 5 | upper }}"],
    "comment": ["{{/* a */ b }}", "{{/* a -}} x", "{{/* a */}}b", "{{- /* a */ -}} b", "{{ /* a */ }}", "{{/* a }} */}}b", "a {{- /* b */}} c", "a {{- /* b }} c"],
    "syntax": ["{{ \"\\/\" }}", "{{ \"\\ud83d\\ude00\" }}", "{{ upper\"abc\" }}", "{{ not(.env.word) }}", "{{ .env.1X }}", "{{ \"\\a\\x41\\101\\u00e9\" }}",
               "{{ 'ab' }}", "{{ `a`\"b\" }}", "{{ env.word }}", "{{ word }}", "{{ .word }}", "{{ if false }}{{ .env.word | \"a\" }}{{ end }}", "{{ \"\\'\" }}"],
    "short circuit": ["{{ or .env.word (b64dec .env.UNSET) }}", "{{ and .env.empty (upper .env.UNSET) }}", "{{ or .env.word (index \"a\" 9) }}",
                      "{{ and .env.word (upper 5) }}", "{{ or .env.empty .env.other }}", "{{ and }}",
                      "{{ .env.word | or .env.empty }}", "{{ .env.empty | and .env.word }}"],
    "dig": ["{{ dig \"a\" 1 \"d\" (dict) }}", "{{ dig \"a\" \"b\" \"d\" (dict) }}", "{{ dig \"a\" \"b\" \"d\" (dict \"a\" (dict \"b\" 1)) }}",
            "{{ dig \"a\" \"b\" \"d\" (dict \"a\" \"x\") }}", "{{ dig \"a\" \"d\" .env.word }}"],
    "width": ["{{ printf \"%100000000d|\" 5 }}", "{{ printf \"%.100000000f|\" 2.5 }}", "{{ printf \"a%-99999999999s|%d\" \"x\" 4 }}", "{{ printf \"%[100000000]d|\" 5 }}"],
    "break in else": ["{{ range list 1 2 }}{{ range list }}a{{ else }}{{ %s }}{{ end }}x{{ . }}{{ end }}" % word for word in ("break", "continue")]
              + ["{{ range list }}a{{ else }}{{ break }}{{ end }}", "{{ range list 1 }}{{ with \"\" }}{{ else }}{{ break }}{{ end }}y{{ end }}z"],
    "hyphen": ["{{ .env.MY-VAR }}", "{{ index .env \"MY-VAR\" }}", "{{ index .env \"NO-VAR\" }}"],
    "marker": ["{{-\t.env.word }}", "{{if(.env.word)}}a{{end}}", "{{ $.env.word }}", "{{-.env.word }}", "{{ .env.word -}}b", "{{\n.env.word\n}}", "{{ -1 }}", "{{- 1 -}}",
               "{{ .env.word -}} b", "{{ .env.word-}} b", "{{ \"a\"-}} b"],
    "base64": ["{{ b64dec .env.wrapped }}", "{{ b64dec .env.loose }}", "{{ b64enc .env.spaced }}", "{{ b32enc .env.word }}",
               "{{ b64enc .env.word }}", "{{ b64dec \"aGVs bG8=\" }}", "{{ b64dec \"aGVsbG8\" }}", "{{ b64dec \"_-8=\" }}"],
}
DURATIONS = ["0", "5", " 5s", "-0", "+0", "00", "5s ", "30", "0x10", "010", "0.3333333333333333333h", "1h2m3s4ms5us6ns", ".5s", "5.s", ".s", "1µs", "1μs",
             "-1.5h", "9223372036854775807ns", "9223372036854775808ns", "1e3s", "1d", "", "s", "2562047h47m16.854775807s",
             "-9223372036854775808ns", "-9223372036854775809ns", "-+1s", "5S", "1h 2m", "1s1h"]
LINES = ["npx \"C:\\tools\\x\"", "\"a\\nb\"", "'C:\\tools'", "a\\ b", "a # b", "a#b", "\"a", "a\\", "'it'\\''s'", "\"\\$x\" \"\\\"\"", " npx  -y\t@a/b ", "\"\" ''",
         "a # b\nc", "a\nb", "a\r\nb", "a\u00a0b\vc", "a \\# b"]
FILES = ["B=x\nA=$B", "A=Pa$5word", "A=Pa$WORD", "A='Pa$WORD'", "A=\"a\\tb\\nc\"", "A= #c", "A=b # c", "A=b#c", "A: b", "A.B=c", "1A=b", "A=${B}\nB=x", "B=x\nA=\"${B}y\"",
         "A=\"\\$B\"", "A='x", "A=\"x", "export A=b", "A=", "A", "A=\"b\" # c", "A='multi\nline'",
         "A=b # c # d", "A=\"b\r\nc\"", "B=x\nA=$(B)", "B=x\nA=\\$B", "A-B=c"]
VALUES = {
    "header": ["\"\\/\"", "True", "TRUE", "!!binary aGk=", "1.10", "0x1F", "010", "1e3", "yes", "~", "", "2025-01-31"],
    "start_timeout": ["017", "0o17", "0x1F", "08", "+5", "00", "-0", "0", "5", "' 5s'", "5s ", "'5s '", "5s", "0123456789", "0.3333333333333333333h", "1_0"],
    "max_sessions": ["010", "1_000", "4.0", "0x1F", "-1", "'4'", "1e3", "4.7", "0o17", "-0x1F", "!!int 4.5"],
    "command": ["[npx, -y, p]", "npx -y p", "True", "1.10", "\"a\\ud83d\\ude00\"", "\"\\U0001F600\"", "a\u0085b", "!!binary aGk=", "a\u2028b", "!!int x"],
    "args": ["[!!binary aGk=, z]", "[1.10, 0x1F, 010, 1e3, 0o17, 99999999999999999999]", "[True, ~, null]", "\n    - a\n    -\n    - b", "[-]",
             "\n    -\t!!str b", "\n    -\t&x b", "\n    - &x b\n    -\t*x", "\n    -\t[b]", "\n    - !!str\tb"],
    "env": ["{KEY: }", "{A: !!binary aGk=}", "{A: \"a\\0b\"}", "{A: True, B: 1_000}", "{<<: ~, A: b}", "{<<: text}", "{A: c, <<: {A: b, B: d}}", "{<<: [{A: b}, {A: c, B: d}]}"],
}
DOCUMENTS = [
    ": c\nmcps: [{id: s, command: x}]\n", "mcps: [{id: s, command: x}]\n: c\n", "x: {: c}\nmcps: [{id: s, command: x}]\n",
    "x:\n  ? \n  : c\nmcps: [{id: s, command: x}]\n", "x:\n  &a : c\nmcps: [{id: s, command: x}]\n",
    "mcps:\n- &a {id: s, command: one}\n- <<: *a\n  <<: *a\n  id: t\n", "id: a\nmcps: [{id: a, command: x}]\n---\nmcps: [{id: b, command: y}]\n",
    "id: a\nmcps: [{id: a, command: x}]\n---\nmcps: [{id: b\n", "{\"mcps\": [{\"id\": \"s\", \"command\": \"x\", \"args\": [\"a\\/b\"]}]}", "%YAML 1.2\n---\nmcps: [{id: s, command: x}]\n",
    "%YAML 1.1\n---\nmcps: [{id: s, command: x}]\n", "id: a\nid: b\nmcps: [{id: s, command: x}]\n", "mcps:\n-\t{id: s, command: x}\n",
    "mcps:\n- id: s\n  command: |\n    x", "mcps:\n- &a {id: s, command: one, url: u}\n- <<: *a\n  id: t\n",
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
