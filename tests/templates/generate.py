"""Makes random inputs for Go's tools, one JSON object a line: `generate.py KIND COUNT SEED`.

Every template draws on all that the renderer claims to know, and some have a mistake in them.
"""

import json
import random
import sys

KIND, COUNT, SEED = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
R = random.Random(f"{KIND}{SEED}")
pick = R.choice

TEXTS = [
    "", " ", "abc", "Hello World", "a-b_c d", "  padded\t", "42", "-7", "010", "0x1F", "3.14", "1e3", "true", "false",
    "straße", "ΟΔΟΣ", "İstanbul", "ﬁx", "ŉ", "Zoë Müller", "voilà", "日本語", "a\u00a0b", "\u200bz", "\u2028", "😀", "e\u0301",
    "bell\a", "esc\x1b[0m", "del\x7f", "tab\there", "line\nbreak", "cr\rlf\r\n", "vt\vff\f", 'quo"te', "apo'strophe", "back\\slash",
    "`tick`", "{{ x }}", "}}", "<a href='x'>&</a>", "a=b&c=d", "100%", "%d %s", "a,b,c", "a.b.c", "/a/b/../c.tar.gz", "x" * 30,
    "http_server", "HTTPServer2xx", "fooBar", "XMLHttpRequest", "the quick brown fox jumps over the lazy dog", "ǆ ǅ", "ßß",
    "aGVsbG8=", "YR==", "aGVs\nbG8=", "NBSWY3DP", "1.2.3", "v1.4", "2.0.0-rc.1+b", "{\"a\":1,\"b\":[true,null,1.5e3]}", "[1,2,3]",
    "a~b*c", "\u3000wide\u3000", "ÀÉÎ", "ǰ ΐ ᾳ", "one two  three", "1_000", "+5", "5.0", "0.0", "_x__y_", "--a--b", "1h30m", "90",
]
JSON_LISTS = ["[1,2]", "[]", '["a",null]', "[[1],{}]"]
JSON_DICTS = ["{}", '{"a":1,"b":[true,null,1.5e3]}', '{"a":{"b":"x"}}']
NAMES = ["A", "B", "C", "D_1", "lower", "E2"]
UNSET = ["UNSET", "NOPE"]


def literal(text):
    """A text as a literal of Go, in one of several ways."""
    if "`" not in text and "\r" not in text and R.random() < 0.15:
        return "`" + text + "`"
    out = '"'
    for letter in text:
        code = ord(letter)
        if letter in '"\\':
            out += "\\" + letter
        elif letter == "\n":
            out += "\\n"
        elif R.random() < 0.03 and code < 0x10000:
            out += f"\\u{code:04x}" if R.random() < 0.8 or code > 127 else f"\\x{code:02x}"
        else:
            out += letter
    return out + '"'


def variable():
    name = pick(UNSET) if R.random() < 0.015 else pick(NAMES)
    return pick([".env.", ".env.", ".env.", "$.env."]) + name


def integer():
    return pick([str(R.randint(-3, 12)), str(R.randint(0, 9)), "0x1F", "010", "0b11", "1_000", "'a'", "+5", "0o17", "2.0", "1e2"] + ["2", "3", "5"] * 3)


def number():
    return pick([integer(), f"{R.uniform(-50, 50):.{R.randint(0, 6)}f}", "1e21", "1e-7", "0.1", "0.2", "1.5", "123456789.0", ".5", "2.50", "1e100"])


class Gen:
    def __init__(self):
        self.locals = []

    def paren(self, text):
        return f"({text})"

    def text(self, d):
        if d <= 0 or R.random() < 0.25:
            choice = R.random()
            if self.locals and choice < 0.1:
                return pick(self.locals)
            return variable() if choice < 0.6 else literal(pick(TEXTS))
        t, i = lambda: self.text(d - 1), lambda: self.int(d - 1)
        form = pick([
            lambda: f"{pick(ONE_TEXT)} {t()}",
            lambda: f"{pick(ONE_TEXT)} {t()}",
            lambda: f"{pick(['trimAll', 'trimall', 'trimPrefix', 'trimSuffix'])} {t()} {t()}",
            lambda: f"replace {literal(pick(['a', 'b', ' ', '', '.', 'x', 'l']))} {t()} {t()}",
            lambda: f"repeat {R.randint(0, 4)} {t()}",
            lambda: f"substr {R.randint(-1, 5)} {R.randint(-1, 9)} {t()}",
            lambda: f"{pick(['trunc', 'indent', 'nindent', 'abbrev', 'wrap'])} {R.randint(-3, 9)} {t()}",
            lambda: f"abbrevboth {R.randint(0, 9)} {R.randint(3, 14)} {t()}",
            lambda: f"wrapWith {R.randint(1, 9)} {t()} {t()}",
            lambda: f"{pick(['quote', 'squote', 'cat', 'print', 'println', 'html', 'js', 'urlquery'])} {self.anys(d, 0, 3)}",
            lambda: self.printf(d),
            lambda: f"default {self.any(d - 1)} {self.any(d - 1)}",
            lambda: f"coalesce {self.anys(d, 1, 3)}",
            lambda: f"{pick(['and', 'or'])} {self.anys(d, 1, 3)}",
            lambda: f"ternary {self.any(d - 1)} {self.any(d - 1)} {self.bool(d - 1)}",
            lambda: f"join {t()} {self.list(d - 1)}",
            lambda: f"{pick(['toString', 'typeOf', 'kindOf', 'toJson', 'toRawJson', 'toPrettyJson', 'mustToJson'])} {self.any(d - 1)}",
            lambda: f"plural {t()} {t()} {i()}",
            lambda: f"index {self.list(d - 1)} {R.randint(0, 2)}",
            lambda: f"index {self.dict(d - 1)} {literal(pick('abc'))}",
            lambda: f"index .env {literal(pick(NAMES))}",
            lambda: f"get {self.dict(d - 1)} {literal(pick('abc'))}",
            lambda: f"({self.dict_call(d - 1)}).{pick('abc')}",
            lambda: f"(splitn {literal(pick([',', '.', '']))} {R.randint(-1, 3)} {t()})._{R.randint(0, 1)}",
            lambda: f"(split {literal(pick([',', '.', '-', ' ', '']))} {t()})._0",
            lambda: f"{pick(['first', 'last', 'mustFirst'])} {self.list(d - 1)}",
            lambda: f"seq {' '.join(str(R.randint(-3, 6)) for _ in range(R.randint(0, 4)))}",
            lambda: f"dateInZone {literal(pick(LAYOUTS))} {R.randint(0, 4_000_000_000)} \"UTC\"",
            lambda: f"htmlDateInZone {R.randint(-10**9, 4_000_000_000)} \"UTC\"",
            lambda: f"toDate \"2006-01-02 15:04:05\" \"2024-0{R.randint(1, 9)}-1{R.randint(0, 9)} 1{R.randint(0, 9)}:0{R.randint(0, 9)}:59\" | date {literal(pick(LAYOUTS))}",
            lambda: f"duration {pick([literal(str(R.randint(0, 100000))), f'(int64 {R.randint(-5, 99999)})', '5'])}",
            lambda: f"durationRound {literal(pick(['2h10m', '100s', '0', 'x', '800h', '-3m5s', '1ms', '9000h']))}",
            lambda: f"(semver {literal(pick(VERSIONS))}).{pick(['Major', 'Minor', 'Patch', 'Prerelease', 'Metadata', 'Original'])}",
            lambda: f"dig {literal(pick('ab'))} {literal(pick('abc'))} {t()} {self.dict(d - 1)}",
            lambda: f"htmlEscape {t()}",
        ])
        out = form()
        return self.paren(out)

    def printf(self, d):
        count = R.randint(0, 3)
        form = "".join(pick(["x", " ", "-", ""]) + "%" + pick(["", "", "", "5", "-5", "05", "+", "#", ".2", "8.3", " ", "[1]", "[2]", "*"]) + pick("vvvsssdqqxXtTcUoObefgG%")
                       for _ in range(R.randint(0, 3)))
        return f"printf {literal(form)} {' '.join(self.any(d - 1) for _ in range(count))}"

    def int(self, d):
        if d <= 0 or R.random() < 0.4:
            return integer()
        return self.paren(pick([
            lambda: f"{pick(['add', 'sub', 'mul', 'max', 'min', 'div', 'mod', 'biggest'])} {self.numeric(d - 1)} {self.numeric(d - 1)}",
            lambda: f"len {pick([self.text, self.list, self.dict])(d - 1)}",
            lambda: f"{pick(['atoi'])} {self.text(d - 1)}",
            lambda: f"{pick(['int', 'int64', 'add1', 'toDecimal'])} {self.numeric(d - 1)}",
        ])())

    def numeric(self, d):
        choice = R.random()
        if choice < 0.5:
            return self.int(d)
        if choice < 0.7:
            return number()
        if choice < 0.85:
            return literal(pick(["42", "-7", "010", "3.0", "1.5", "x", "", "1e3", "0x10", "1_000", " 5"]))
        return self.float(d)

    def float(self, d):
        if d <= 0 or R.random() < 0.3:
            return number()
        return self.paren(pick([
            lambda: f"{pick(['addf', 'subf', 'mulf', 'divf', 'maxf', 'minf'])} {self.numeric(d - 1)} {self.numeric(d - 1)}",
            lambda: f"{pick(['float64', 'floor', 'ceil', 'add1f'])} {self.numeric(d - 1)}",
            lambda: f"round {self.numeric(d - 1)} {R.randint(0, 4)}",
        ])())

    def bool(self, d):
        if d <= 0 or R.random() < 0.2:
            return pick(["true", "false"])
        t = lambda: self.text(d - 1)
        return self.paren(pick([
            lambda: f"{pick(['contains', 'hasPrefix', 'hasSuffix'])} {t()} {t()}",
            lambda: f"{pick(['eq', 'ne', 'lt', 'le', 'gt', 'ge'])} {t()} {t()}",
            lambda: f"{pick(['eq', 'ne', 'lt', 'le', 'gt', 'ge'])} {self.int(d - 1)} {self.int(d - 1)}",
            lambda: f"{pick(['eq', 'ne', 'lt'])} {self.any(d - 1)} {self.any(d - 1)}",
            lambda: f"eq {t()} {t()} {t()}",
            lambda: f"not {self.any(d - 1)}",
            lambda: f"{pick(['empty', 'all', 'any'])} {self.any(d - 1)}",
            lambda: f"has {self.any(d - 1)} {self.list(d - 1)}",
            lambda: f"hasKey {self.dict(d - 1)} {literal(pick('abc'))}",
            lambda: f"{pick(['kindIs', 'typeIs', 'typeIsLike'])} {literal(pick(['string', 'int', 'bool', 'float64', 'slice', 'map', 'int64', '[]string']))} {self.any(d - 1)}",
            lambda: f"deepEqual {self.any(d - 1)} {self.any(d - 1)}",
            lambda: f"semverCompare {literal(pick(CONSTRAINTS))} {literal(pick(VERSIONS))}",
            lambda: f"isAbs {t()}",
        ])())

    def list(self, d):
        if d <= 0 or R.random() < 0.3:
            return self.paren("list " + self.anys(0, 0, 3))
        return self.paren(pick([
            lambda: f"list {self.anys(d, 0, 4)}",
            lambda: f"splitList {literal(pick([',', '.', ' ', '', 'x']))} {self.text(d - 1)}",
            lambda: f"until {R.randint(-2, 5)}",
            lambda: f"untilStep {R.randint(-3, 3)} {R.randint(-3, 9)} {R.randint(-2, 3)}",
            lambda: f"{pick(['rest', 'initial', 'reverse', 'uniq', 'compact', 'sortAlpha', 'toStrings', 'mustRest', 'deepCopy'])} {self.list(d - 1)}",
            lambda: f"{pick(['append', 'push', 'prepend', 'without'])} {self.list(d - 1)} {self.any(d - 1)}",
            lambda: f"concat {self.list(d - 1)} {self.list(d - 1)}",
            lambda: f"slice {self.list(d - 1)} {' '.join(str(R.randint(0, 3)) for _ in range(R.randint(0, 2)))}",
            lambda: f"chunk {R.randint(1, 3)} {self.list(d - 1)}",
            lambda: f"keys {self.dict(d - 1)} | sortAlpha",
            lambda: f"pluck {literal(pick('abc'))} {self.dict(d - 1)} {self.dict(d - 1)}",
            lambda: f"fromJson {literal(pick(JSON_LISTS))}",
        ])())

    def dict_call(self, d):
        pairs = " ".join(f"{literal(pick('abc'))} {self.any(d - 1)}" for _ in range(R.randint(0, 3)))
        return f"dict {pairs}"

    def dict(self, d):
        if d <= 0 or R.random() < 0.4:
            return self.paren(self.dict_call(d))
        return self.paren(pick([
            lambda: self.dict_call(d),
            lambda: f"set {self.dict(d - 1)} {literal(pick('abc'))} {self.any(d - 1)}",
            lambda: f"unset {self.dict(d - 1)} {literal(pick('abc'))}",
            lambda: f"{pick(['pick', 'omit'])} {self.dict(d - 1)} {literal(pick('abc'))}",
            lambda: f"{pick(['merge', 'mergeOverwrite', 'mustMerge'])} {self.dict(d - 1)} {self.dict(d - 1)}",
            lambda: f"deepCopy {self.dict(d - 1)}",
            lambda: f"fromJson {literal(pick(JSON_DICTS))}",
        ])())

    def any(self, d):
        return pick([self.text, self.text, self.text, self.int, self.bool, self.float, self.list, self.dict, lambda _: pick(["nil", "true", "."]) if R.random() < 0.2 else self.text(d)])(d)

    def anys(self, d, low, high):
        return " ".join(self.any(d - 1) for _ in range(R.randint(low, high)))

    def pipeline(self, d):
        out = self.any(d)
        if out.startswith("(") and out.endswith(")") and R.random() < 0.7 and balanced(out[1:-1]):
            out = out[1:-1]
        for _ in range(pick([0, 0, 0, 1, 1, 2])):
            out += pick([" | ", "|", " |  "]) + pick(PIPED)
        return out

    def nodes(self, d, loops=False):
        return "".join(self.node(d, loops) for _ in range(R.randint(1, 3)))

    def node(self, d, loops):
        kind = R.random()
        if kind < 0.25 or d <= 0:
            return pick(["x", " y ", "\n", " ", "Bearer ", "a\u00a0", "\u3000", "\v", "-", "}}", "{ }"])
        if kind < 0.62:
            return self.action(self.pipeline(d))
        if kind < 0.65:
            return pick(["{{/* c */}}", "{{- /* c */ -}}", "{{/* a }} b */}}"])
        if kind < 0.72:
            name = f"$v{len(self.locals)}"
            out = self.action(f"{name} := {self.pipeline(d - 1)}")
            self.locals.append(name)
            return out
        if kind < 0.74 and self.locals:
            return self.action(f"{pick(self.locals)} = {self.pipeline(d - 1)}")
        if kind < 0.76 and loops:
            return self.action(pick(["break", "continue"]))
        mark = len(self.locals)
        end = self.action("end")
        if kind < 0.86:
            out = self.action(pick(["if ", "if  "]) + self.pipeline(d - 1)) + self.nodes(d - 1, loops)
            del self.locals[mark:]
            while R.random() < 0.3:
                out += self.action("else if " + self.pipeline(d - 1)) + self.nodes(d - 1, loops)
                del self.locals[mark:]
            if R.random() < 0.5:
                out += self.action("else") + self.nodes(d - 1, loops)
        elif kind < 0.92:
            out = self.action("with " + self.pipeline(d - 1)) + self.action(pick([".", ". | upper", ".a", "$.env.A"])) + self.nodes(d - 1, loops)
            del self.locals[mark:]
            if R.random() < 0.3:
                out += self.action("else with " + self.pipeline(d - 1)) + self.nodes(d - 1, loops)
                del self.locals[mark:]
            if R.random() < 0.4:
                out += self.action("else") + self.nodes(d - 1, loops)
        else:
            over = pick([self.list(d - 1), self.dict(d - 1), str(R.randint(0, 4)), self.list(d - 1), self.any(d - 1)])
            names = pick(["", "$i, $x := ", "$x := "])
            out = self.action(f"range {names}{over}")
            if names:
                self.locals += ["$x"] + (["$i"] if "$i" in names else [])
            out += self.action(pick([".", "$x" if names else ".", "print ."])) + pick([",", ""]) + self.nodes(d - 1, True)
            del self.locals[mark:]
            if R.random() < 0.3:
                out += self.action("else") + self.nodes(d - 1, loops)
        del self.locals[mark:]
        return out + end

    def action(self, inside):
        left = pick(["{{", "{{ ", "{{- ", "{{-\t", "{{\n", "{{ ", "{{ "])
        right = pick(["}}", " }}", " -}}", "\n-}}", "\t}}", " }}", " }}"])
        return left + inside + right


def balanced(text):
    depth = 0
    for letter in text:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if depth < 0:
            return False
    return depth == 0


ONE_TEXT = ["upper", "lower", "trim", "title", "untitle", "swapcase", "camelcase", "snakecase", "kebabcase", "nospace", "initials",
            "quote", "squote", "b64enc", "b32enc", "b64dec", "b32dec", "toString", "urlquery", "html", "js", "sha1sum", "sha256sum",
            "adler32sum", "base", "dir", "clean", "ext", "osBase", "jsEscape", "print"]
PIPED = ONE_TEXT + ["default \"d\"", "replace \"a\" \"o\"", "trimPrefix \"a\"", "trunc 3", "printf \"%v|\"", "printf \"%q\"", "printf \"%5s\"", "len",
                    "toJson", "join \"-\"", "first", "add 1", "repeat 2", "contains \"a\"", "eq \"abc\"", "not", "empty", "ternary \"y\" \"n\"", "list",
                    "splitList \",\"", "indent 2", "int", "toStrings", "kindOf", "coalesce \"\"", "and 1", "or \"\"", "index (dict \"a\" 1)", "squote", "upper"]
LAYOUTS = ["2006-01-02", "Jan 2, 2006", "Monday, 02-January-06", "15:04:05", "3:4:5PM", "_2 Jan 06", "02/01/2006 03pm", "__2 002", "Mon January", "2006 x 1"]
VERSIONS = ["1.2.3", "v1.4", "2.0.0-rc.1+b", "0.2.3", "1.10.0", "0.0.3", "1", "3.0.0-alpha", "1.2.3-beta.2", "x.y", "1.02.3"]
CONSTRAINTS = ["^1.2", ">=1.0, <2.0", "~1.2.3", "1.x", "*", ">1.2.3 <3", "1.2 - 1.4.5", "!=1.2.3", "^0.2.3", "~0", "=1.4.0", "<=1.2", ">1", "1.2.3 || 2.x",
               "^0.0.3", ">=2.0.0-0", "~>1.4", "!=1.x", "", ">= 1.2.3"]

MUTATIONS = "(){}|$.\"`'-:=, \u00a0\\0a*/@é²"


def template():
    gen = Gen()
    text = gen.nodes(R.randint(1, 4))
    while "{{" not in text:
        text = gen.nodes(R.randint(1, 4))
    if R.random() < 0.12:
        at = R.randrange(len(text))
        text = text[:at] + pick(MUTATIONS) + text[at + R.randint(0, 1):]
    env = {name: pick(TEXTS) for name in NAMES}
    return {"kind": "template", "text": text, "env": env}


def duration():
    units = ["ns", "us", "µs", "μs", "ms", "s", "m", "h"]
    number = lambda: pick([str(R.randint(0, 99999)), f"{R.randint(0, 99)}.{R.randint(0, 10**R.randint(1, 25))}", f".{R.randint(0, 9999)}", f"{R.randint(0, 9)}.", str(R.randint(0, 10**20))])
    text = pick(["", "", "", "-", "+"]) + "".join(number() + pick(units) for _ in range(R.randint(0, 3)))
    if R.random() < 0.2:
        text = pick(["0", "-0", "+0", "00", "5", " 5s", "5s ", "", ".", "s", "1.2.3s", "1d", "--5s", "0.5", "1e3s", text + " ", text + "5"])
    return {"kind": "duration", "text": text}


def shlex():
    parts = ["npx", " ", "  ", "\t", "-y", '"', '"', "'", "'", "\\", "\\ ", '\\"', "a b", "#", "x#y", "$HOME", "é", "", "\n", "=", "|", ";", "C:\\tools\\x", '"a\\nb"', "'it'\\''s'", '""', "''", "--f=\"a b\""]
    return {"kind": "shlex", "text": "".join(pick(parts) for _ in range(R.randint(1, 9)))}


def dotenv():
    names = ["A", "B", "C_1", "lower", "export D", "1A", "A.B", "A-B", " E", "A B", ""]
    values = ["x", "two words", "$B", "${B}", "a$5w", "\\$B", "'$B'", '"$B"', '"a\\tb"', '"a\\nb"', "'a\\nb'", " # c", "x # c", "x#c", "#c", '"x # c"', '"x" # c', "'multi\nline'", '"multi\nline"', "'open", '"open', "a=b", "a:b", "é", '""', "''", "\\", "a\\b", '"a\\"b"', "Pa$word", "$", "${", "${X", "$x", '"\\\\$B"', "\"$(cmd)\"", " x ", "\tx\t", "'it''s'", '"x"y', "$A$B", "${A}${B}", "a\\ b", "`x`"]
    line = lambda: pick(["", "# comment", " ", "x", "=v"]) if R.random() < 0.12 else pick(names) + pick(["=", "=", "=", " = ", ": ", ":", "= "]) + pick(values)
    return {"kind": "dotenv", "text": pick(["\n", "\n", "\r\n"]).join(line() for _ in range(R.randint(1, 5))) + pick(["", "\n"])}


SCALARS = ["abc", "two words", "1.10", "010", "0x1F", "0o17", "0b11", "1_000", "1e3", "True", "TRUE", "true", "False", "yes", "on", "~", "null", "Null", "",
           "4.0", "-7", "+5", ".5", ".inf", ".nan", "99999999999999999999", "2025-01-31", "12:30", "a:b", "a #b", "a # c", "a#b", "-", "- x", "?x", "@x", "`x`",
           "%x", "!x", "&x", "*x", "|", ">", "{a}", "[a]", "{{ x }}", "a}", "#", "x,y", "é", "日本語", "a\tb", "a\\b", "C:\\x", "it's", 'say "hi"', "<<", "=", "1.2.3",
           "5s", "1m30s", "0", "-0", "00", "08", "0_1", "!!binary aGk=", "!!str 5", "!!int 5", "a\u0085b", "a\u2028b", "\u00a0", "$x", "=="]
ESCAPES = ["\\n", "\\t", "\\\\", '\\"', "\\/", "\\x41", "\\u0041", "\\U0001F600", "\\ud83d\\ude00", "\\0", "\\e", "\\_", "\\N", "\\ ", "\\'", "\\q", "\\u00e9"]


def yaml_scalar(indent, flow=False):
    """A scalar in one of YAML's styles."""
    text, style = pick(SCALARS), R.random()
    if style < 0.55:
        return text
    if style < 0.7:
        return "'" + text.replace("'", "''") + "'"
    if style < 0.88 or flow:
        inside = "".join(pick(ESCAPES) if R.random() < 0.12 else letter for letter in text.replace("\\", "\\\\").replace('"', '\\"'))
        if R.random() < 0.08:
            inside += pick(ESCAPES)
        return '"' + inside + '"'
    lines = [pick([text, pick(SCALARS), "", "  more", "# no comment"]) for _ in range(R.randint(1, 3))]
    head = pick(["|", ">", "|-", ">-", "|+", ">+", "|2", ">-2"])
    pad = " " * (indent + 2)
    return head + "\n" + "\n".join((pad + line) if line else pick(["", "", pad]) for line in lines)


def yaml():
    pad = "    "
    out = [pick(["", "", "", "# c", "%YAML 1.2\n---", "---", "\ufeff"])]
    out += ["id: " + yaml_scalar(0)] if R.random() < 0.3 else []
    out.append("mcps:")
    for number in range(R.randint(1, 2)):
        out.append("  - id: " + pick(["s", "t", "'u'", yaml_scalar(4)]))
        anchor = pick(["", "", "&a ", "!!map "]) if R.random() < 0.15 else ""
        form = R.random()
        if form < 0.35:
            items = ", ".join(yaml_scalar(8, True) for _ in range(R.randint(0, 3)))
            out.append(f"{pad}args: [{items}]" + pick(["", " # c", " "]))
        elif form < 0.6:
            out.append(pad + "args:" + pick(["", " # c"]))
            out += [pad + pick(["", "  "]) + "-" + pick([" ", "  ", "\t"] if R.random() < 0.1 else [" "]) + yaml_scalar(6) for _ in range(R.randint(1, 3))]
        key = pick(["headers", "env"])
        if R.random() < 0.6:
            out.append(pad + key + ": " + anchor)
            out += [f"{pad}  {pick(['A', 'X-B', 'c', yaml_scalar(6, True)])}{at}: {yaml_scalar(6)}" for at in range(R.randint(1, 2))]
        elif R.random() < 0.5:
            out.append(f"{pad}{key}: {{A: {yaml_scalar(8, True)}, B: {yaml_scalar(8, True)}}}")
        if R.random() < 0.3:
            out.append(f"{pad}command: " + pick([yaml_scalar(4), "x", "[a, b]" if R.random() < 0.1 else "y"]))
        if R.random() < 0.2:
            out.append(f"{pad}max_sessions: " + pick(["4", "010", "1_000", "4.0", "0x1F", "'4'", "-1", "x", "1e3", "", yaml_scalar(4, True)]))
        if R.random() < 0.2:
            out.append(f"{pad}start_timeout: " + pick(["5s", "'5s'", "1m30s", "0", "30", "' 5s'", "0.5h", "", yaml_scalar(4, True)]))
        if R.random() < 0.15:
            out.append(f"{pad}use_proxy: " + pick(["true", "false", "True", "yes", "'true'", ""]))
        if R.random() < 0.05:
            out.append(pad + pick(["<<: {url: x}", "<<: *a", "<<: {url: x}\n    <<: {proto: y}", "unknown: [1, {a: b}]", "\tbad: 1", "id: twice"]))
    if R.random() < 0.08:
        out += ["---", pick(["id: other", "mcps: [{id: z}]", "'open", ""])]
    return {"kind": "yaml", "text": pick(["\n", "\n", "\n", "\r\n"]).join(out) + pick(["\n", ""])}


make = {"template": template, "duration": duration, "shlex": shlex, "dotenv": dotenv, "yaml": yaml}[KIND]
for _ in range(COUNT):
    print(json.dumps(make(), ensure_ascii=False))
