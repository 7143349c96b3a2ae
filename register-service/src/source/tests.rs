use schemas::workflow::WorkflowDocument;

use super::*;
use schemas::document::{Node, Value};

fn parse(text: &str) -> (File, String) {
    let (file, diagnostics) = File::parse("f.yaml", "f.yaml", text);
    let shown: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
    (file, shown.join("\n"))
}

fn check_malformed(text: &str, expected: &str) {
    assert_eq!(parse(text).1, expected, "{text}");
}

/// Lists every scalar with its position, one a line.
fn outline(text: &str) -> String {
    fn write(node: &Node, path: &str, file: &str, out: &mut String) {
        match &node.value {
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    write(item, &format!("{path}[{index}]"), file, out);
                }
            }
            Value::Map(map) => {
                for (key, Span { start, end }, value) in &map.entries {
                    let path = format!("{path}.{key}@{}:{}-{}", start.line, start.column, end.column);
                    write(value, &path, file, out);
                }
            }
            _ => {
                let Span { start, end } = node.span;
                let text = node.as_text().cloned().unwrap_or_default();
                let places = text.text.match_indices(".env.").map(|(at, _)| text.locate(file, at..at + 6));
                let places: Vec<_> = places
                    .map(|it| it.map_or("?".to_owned(), |it| format!("{}:{}", it.start.line, it.start.column)))
                    .collect();
                let literal = node.literal().unwrap_or("null");
                let span = format!("{}:{}-{}:{}", start.line, start.column, end.line, end.column);
                let line = format!("{path} = {literal:?} @{span} {}", places.join(","));
                *out += &format!("{}\n", line.trim_end());
            }
        }
    }
    let (file, diagnostics) = parse(text);
    assert_eq!(diagnostics, "");
    let mut out = String::new();
    for document in &file.documents {
        write(document, "", text, &mut out);
    }
    out
}

#[test]
fn every_key_and_value_knows_its_position() {
    insta::assert_snapshot!(outline("a: 1\nb:\n  - x: yes\n    y: 1.10\n  - ~\nc: {d: 'e', ü: 0x1f}\n---\nz: true\n"), @r#"
    .a@1:1-2 = "1" @1:4-1:5
    .b@2:1-2[0].x@3:5-6 = "yes" @3:8-3:11
    .b@2:1-2[0].y@4:5-6 = "1.10" @4:8-4:12
    .b@2:1-2[1] = "null" @5:5-5:6
    .c@6:1-2.d@6:5-6 = "e" @6:8-6:11
    .c@6:1-2.ü@6:13-14 = "0x1f" @6:16-6:20
    .z@8:1-2 = "true" @8:4-8:8
    "#);
}

#[test]
fn templates_are_found_inside_every_style_of_text() {
    insta::assert_snapshot!(
        outline(concat!(
            "plain: x {{ .env.A }}\n",
            "double: \"ü\\n{{ .env.A }}{{ .env.B }}\"\n",
            "single: 'it''s {{ .env.A }}'\n",
            "literal: |\n  one\n    {{ .env.A }}\n",
            "folded: >-\n  one\n  {{ .env.A }} two {{ .env.B }}\n",
            "lines: one\n  {{ .env.A }}\n",
            "spelt: \"\\x7b{ .env.A }}\"\n",
        )),
        @r#"
    .plain@1:1-6 = "x {{ .env.A }}" @1:8-1:22 1:13
    .double@2:1-7 = "ü\n{{ .env.A }}{{ .env.B }}" @2:9-2:38 2:16,2:28
    .single@3:1-7 = "it's {{ .env.A }}" @3:9-3:29 3:19
    .literal@4:1-8 = "one\n  {{ .env.A }}\n" @5:3-6:17 6:8
    .folded@7:1-7 = "one {{ .env.A }} two {{ .env.B }}" @8:3-9:32 9:6,9:23
    .lines@10:1-6 = "one {{ .env.A }}" @10:8-11:15 11:6
    .spelt@12:1-6 = "{{ .env.A }}" @12:8-12:25 12:15
    "#
    );
}

#[test]
fn an_alias_stands_where_it_is_used_and_its_templates_where_they_are_written() {
    insta::assert_snapshot!(outline("a: &x\n  k: \"{{ .env.A }}\"\nb: *x\nc:\n  <<: *x\n  l: 1\n"), @r#"
    .a@1:1-2.k@2:3-4 = "{{ .env.A }}" @2:6-2:20 2:10
    .b@3:1-2.k@2:3-4 = "{{ .env.A }}" @2:6-2:20 2:10
    .c@4:1-2.l@6:3-4 = "1" @6:6-6:7
    .c@4:1-2.k@2:3-4 = "{{ .env.A }}" @2:6-2:20 2:10
    "#);
}

#[test]
fn says_where_a_file_is_malformed() {
    check_malformed(
        "a: b: c\n",
        "f.yaml:1:5: error[syntax]: a `:` with a space behind it cannot stand there\n  hint: put quotes around a text with `: ` in \
         it, and check how the line is indented",
    );
    check_malformed(
        "a: 1\nb: 2\na: 3\n",
        "f.yaml:3:1: error[duplicate-key]: key `a` is there twice\n  hint: the first is in line 1",
    );
    check_malformed("a: *b\n", "f.yaml:1:4: error[unknown-alias]: there is no anchor `&b` above this alias");
    check_malformed(
        "url: {{ .env.X }}\n",
        "f.yaml:1:6: error[unquoted-template]: a value that begins with `{{` needs quotes: to YAML an open brace begins a \
         mapping\n  hint: write `\"{{ ... }}\"`",
    );
}

/// Verdicts of go-yaml 3.0.1 ("found character that cannot start any token").
#[test]
fn a_tab_behind_a_dash_is_refused_wherever_the_item_stands() {
    let check = |items: &str, is_refused: bool| {
        let shown = parse(&format!("a:\n{items}")).1;
        assert_eq!(shown.contains("does not take a tab behind a `-`"), is_refused, "{items:?}: {shown}");
    };
    let refused = [
        "  -\tb\n",
        "  - \tb\n",
        "  -\t# c\n  - b\n",
        "  - \t# c\n  - b\n",
        "  -\t\n  - b\n",
        "  - b\n  -\t# c\n",
        "  -\t# c\n    b\n",
        "  -\t\n    b\n",
        "  -\t# c\n    # d\n    b: c\n",
        "  -\tb: c\n",
        "  -\t|\n    b\n",
        "  - -\tb\n",
        "  -\t!!str b\n",
        "  -\t&x b\n  - b\n",
        "  -\t&x\n  - b\n",
        "  -\t&x !!str |\n    b\n",
        "  - &x b\n  -\t*x\n",
        "  -\t[b]\n",
        "  -\t? b\n    : c\n",
        "  -\t!!map {b: c}\n",
    ];
    refused.into_iter().for_each(|items| check(items, true));
    let taken = [
        "  - # c\n  - b\n",
        "  - b\t# c\n",
        "  b:\t# c\n    c\n",
        "  b: |\n    -\t\n  c: d\n",
        "  - b:\tc\n",
        "  - -5\n",
        "  - !!str\tb\n",
    ];
    taken.into_iter().for_each(|items| check(items, false));
}

/// Verdicts of go-yaml 3.0.1 ("did not find expected key").
#[test]
fn a_missing_key_is_refused_unless_it_is_marked() {
    let check = |text: &str, is_refused: bool| {
        let shown = parse(text).1;
        assert_eq!(shown.contains("a key is missing in front of this `:`"), is_refused, "{text:?}: {shown}");
    };
    for text in [": c\n", "a: b\n: c\n", "a: {: c}\n", "a: {b: c, : d}\n", "a:\n  : b\n", "a:\n- : b\n", "a:\n  :\n"] {
        check(text, true);
    }
    for text in
        ["? \n: c\n", "?\n: c\n", "~: c\n", "!!null : c\n", "&a : c\n", "\"\": c\n", "a: {? : c}\n", "a:\n- b: c\n"]
    {
        check(text, false);
    }
}

#[test]
fn reads_on_after_a_duplicate_key() {
    let (file, _) = parse("a: 1\na: 2\nb: 3\n");
    assert_eq!(file.documents[0].get("b").and_then(Node::literal), Some("3"));
}

#[test]
fn refuses_an_alias_bomb_at_once() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let previous = format!("*a{}", level - 1);
        text += &format!("a{level}: &a{level} [{}]\n", vec![previous; 10].join(", "));
    }
    let (file, diagnostics) = parse(&text);
    assert!(file.documents.is_empty());
    assert!(diagnostics.contains("error[syntax]"), "{diagnostics}");
}

#[test]
fn what_does_not_fit_is_reported_and_the_rest_is_read() {
    let (mut file, _) = parse(concat!(
        "id: 7\nmcps:\n  - id: a\n    args: [x, {y: z}, 3]\n    use_proxy: yes\n    env: {K: [1], L: 2}\n  - 5\n  - b\n",
        "  - start_timeout: soon\nagents:\n",
    ));
    let (read, misfits) = file.documents[0].read::<WorkflowDocument>();
    let shown: Vec<_> =
        misfits.iter().map(|it| format!("{}:{} {}", it.span.start.line, it.span.start.column, it.message)).collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    4:15 `mcps[0].args[1]`: invalid type: map, expected a text, a number or a boolean
    5:16 `mcps[0].use_proxy`: invalid type: string "yes", expected a boolean
    6:14 `mcps[0].env.K`: invalid type: sequence, expected a text, a number or a boolean
    7:5 `mcps[1]`: invalid type: integer `5`, expected an MCP server, or the id of one
    9:20 `mcps[2].start_timeout`: invalid duration `soon`: a unit is one of ns, us, ms, s, m, h
    "#);
    let read = read.expect("what is left fits");
    assert_eq!((read.id.as_deref(), read.mcps.len(), read.agents.len()), (Some("7"), 3, 0));
}

#[test]
fn gives_up_on_a_document_of_another_kind() {
    let list = vec!["  - 1"; 200].join("\n");
    let (mut file, _) = parse(&format!("mcps:\n{list}\n"));
    let (read, misfits) = file.documents[0].read::<WorkflowDocument>();
    assert!(read.is_none());
    assert_eq!(misfits.len(), 50);
}

#[test]
fn finds_yaml_files_sorted_and_leaves_out_what_is_not_the_authors() -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let root = folder.path();
    for path in
        ["b.yml", "a.yaml", "c.json", ".hidden.yaml", "sub/d.yaml", "target/e.yaml", "node_modules/f.yaml", ".g/h.yaml"]
    {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap_or(root))?;
        fs::write(path, "a: 1\n")?;
    }
    let (files, diagnostics) = read(&[root.to_owned(), root.join("a.yaml")]);
    let names: Vec<_> = files.iter().map(File::name).collect();
    assert_eq!(names, ["a.yaml", "b.yml", "sub/d.yaml"]);
    assert!(diagnostics.is_empty());
    Ok(())
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_and_the_others_are_read() -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let root = folder.path();
    fs::write(root.join("good.yaml"), "a: 1\n")?;
    fs::write(root.join("binary.yaml"), [0xff, 0xfe, 0x00])?;
    fs::write(root.join("huge.yaml"), vec![b'#'; MAX_FILE_BYTES as usize + 1])?;
    let (files, diagnostics) = read(&[root.to_owned(), root.join("gone")]);
    assert_eq!(files.len(), 1);
    let codes: Vec<_> = diagnostics.iter().map(|it| (it.code, it.message.as_str())).collect();
    assert_eq!(
        codes,
        [
            (Code::NotFound, "there is no such file or folder"),
            (Code::Encoding, "the file is UTF-16 text"),
            (Code::Unreadable, "the file is larger than 1 MiB"),
        ]
    );
    Ok(())
}

#[test]
fn an_empty_folder_is_worth_a_warning() -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let (_, diagnostics) = read(&[folder.path().to_owned()]);
    assert_eq!(diagnostics[0].code, Code::NoFiles);
    assert!(!diagnostics[0].is_error());
    Ok(())
}
