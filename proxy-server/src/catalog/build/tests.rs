use proptest::prelude::{Just, Strategy as _, any, prop_assert_eq, proptest};
use schemas::{FilterMode, ServerName, ToolFilter};

use super::*;
use crate::catalog::list::{Item, Lists};
use crate::catalog::name::{Conflict, Mode};
use crate::protocol::{Era, Object};

/// Creates an upstream with these tools: `NAME`, or `NAME:TYPE` for another argument type.
fn offered(name: &str, tools: &[&str]) -> Offered {
    let tool = |text: &str| {
        let (name, kind) = text.split_once(':').unwrap_or((text, "string"));
        format!(r#"{{"name":"{name}","inputSchema":{{"type":"{kind}"}},"x":1.10}}"#)
    };
    with(name, List::Tools, &tools.iter().map(|text| tool(text)).collect::<Vec<_>>())
}

fn with(name: &str, list: List, raw: &[String]) -> Offered {
    let mut lists = Lists::default();
    lists.set(list, raw.iter().filter_map(|raw| Item::read(list, raw)).collect());
    let handshake = format!(r#"{{"capabilities":{{"{}":{{}}}}}}"#, list.kind().unwrap_or("extensions"));
    let name = ServerName::stored(name).expect("a name");
    Offered { name, priority: 1, filter: None, lists, era: Era::Legacy, handshake: handshake.into() }
}

fn naming(mode: Mode, conflict: Conflict) -> Naming {
    Naming { mode, conflict, ..Naming::default() }
}

/// Returns the listed names, separated by spaces.
fn listed(view: &View, list: List) -> String {
    let page = view.page(Page { era: Era::Modern, list, cursor: None }).expect("a first page");
    let result = Object::read(std::str::from_utf8(page).expect("UTF-8")).expect("an object");
    let items: Vec<&serde_json::value::RawValue> =
        serde_json::from_str(result.get(list.member()).expect("items")).expect("a list");
    let key = |item: &&serde_json::value::RawValue| Item::read(list, item.get()).expect("an item").key.to_string();
    items.iter().map(key).collect::<Vec<_>>().join(" ")
}

/// Returns the candidates of the next call, in order.
fn next(view: &View, tool: &str) -> String {
    let candidates = view.tool(tool).unwrap_or_default();
    candidates.iter().map(|it| format!("{}/{}", it.upstream, it.name)).collect::<Vec<_>>().join(" ")
}

fn fates(view: &View) -> Vec<String> {
    let outcome = |name: &Name| {
        let exposed = name.exposed.as_deref().unwrap_or("-");
        format!("{}/{} {exposed}: {}", name.upstream, name.name, name.reason.as_deref().unwrap_or("-"))
    };
    view.names().iter().map(outcome).collect()
}

#[test]
fn always_qualified_names_are_listed_in_registration_order_and_every_other_byte_stays() {
    let view = build(vec![offered("b", &["t", "u"]), offered("a", &["t"])], &Naming::default());
    let tool = |name: &str| format!(r#"{{"name":"{name}","inputSchema":{{"type":"string"}},"x":1.10}}"#);
    let tools = [tool("b__t"), tool("b__u"), tool("a__t")].join(",");
    assert_eq!(
        view.page(Page { era: Era::Modern, list: List::Tools, cursor: None }),
        Some(&Bytes::from(format!(r#"{{"tools":[{tools}]}}"#)))
    );
    assert_eq!(next(&view, "a__t"), "a/t");
    assert_eq!(next(&view, "t"), "");
}

#[test]
fn without_upstreams_every_list_is_empty() {
    let view = build(Vec::new(), &Naming::default());
    let page = |list| {
        view.page(Page { era: Era::Modern, list, cursor: None }).map(|page| String::from_utf8_lossy(page).into_owned())
    };
    assert_eq!(page(List::Templates).as_deref(), Some(r#"{"resourceTemplates":[]}"#));
    assert_eq!(page(List::Tools).as_deref(), Some(r#"{"tools":[]}"#));
}

#[test]
fn only_names_that_several_have_are_qualified_on_conflict() {
    let view = build(
        vec![offered("a", &["t", "u"]), offered("b", &["t:number", "v"])],
        &naming(Mode::OnConflict, Conflict::AutoPrefix),
    );
    assert_eq!(listed(&view, List::Tools), "t u b__t v");
    assert_eq!((next(&view, "t"), next(&view, "b__t")), ("a/t".into(), "b/t".into()));
    assert_eq!(fates(&view)[2], "b/t b__t: an earlier upstream has one of the same name");
}

#[test]
fn tools_of_the_same_name_and_schema_are_one_and_take_turns() {
    let view = build(
        vec![offered("a", &["t"]), offered("b", &["t"]), offered("c", &["t:number"])],
        &naming(Mode::OnConflict, Conflict::AutoPrefix),
    );
    assert_eq!(listed(&view, List::Tools), "t b__t c__t");
    assert_eq!([next(&view, "t"), next(&view, "t"), next(&view, "t")], ["a/t b/t", "b/t a/t", "a/t b/t"]);
    assert_eq!(next(&view, "b__t"), "b/t");
}

#[test]
fn the_first_has_a_name_that_others_are_rejected_for() {
    let view = build(
        vec![offered("a", &["t"]), offered("b", &["t:number"]), offered("c", &["t"])],
        &naming(Mode::OnConflict, Conflict::Reject),
    );
    assert_eq!(listed(&view, List::Tools), "t");
    assert_eq!(
        fates(&view),
        [
            "a/t t: -",
            "b/t -: `a` has `t`, and the conflict strategy lets only one have it",
            "c/t -: calls of `t` go to `a` and here in turn",
        ]
    );
}

#[test]
fn the_lowest_priority_number_has_the_name_and_registration_order_decides_between_equals() {
    let mut offers = vec![offered("a", &["t"]), offered("b", &["t:number"]), offered("c", &["t:array"])];
    let priority = naming(Mode::OnConflict, Conflict::PriorityOverride);
    assert_eq!(next(&build(offers.clone(), &priority), "t"), "a/t");
    offers[0].priority = 2;
    assert_eq!(next(&build(offers, &priority), "t"), "b/t");
}

#[test]
fn names_that_never_change_leave_out_what_somebody_else_has() {
    let view = build(
        vec![offered("a", &["get user"]), offered("b", &["get user:number"])],
        &naming(Mode::Never, Conflict::AutoPrefix),
    );
    assert_eq!(listed(&view, List::Tools), "get user");
}

#[test]
fn a_name_that_is_given_never_hides_one_that_was_there() {
    let view = build(
        vec![offered("a", &["t"]), offered("b", &["t:number"]), offered("c", &["b__t"])],
        &naming(Mode::OnConflict, Conflict::AutoPrefix),
    );
    let names = listed(&view, List::Tools);
    let [_, given, _] = names.split(' ').collect::<Vec<_>>()[..] else { panic!("{names}") };
    assert_eq!((next(&view, "b__t"), next(&view, given)), ("c/b__t".into(), "b/t".into()), "{names}");
}

#[test]
fn what_a_filter_hides_is_nowhere_but_in_the_report() {
    let filter = ToolFilter { mode: FilterMode::Block, list: vec!["t".into()] };
    let view = build(vec![Offered { filter: Some(filter), ..offered("a", &["t", "u"]) }], &Naming::default());
    assert_eq!((listed(&view, List::Tools), next(&view, "a__t")), ("a__u".into(), String::new()));
    assert!(view.members().own("a", List::Tools, "t").is_none());
    assert_eq!(fates(&view)[1], "a/t -: hidden by the definition's tool filter");
}

#[test]
fn resources_are_found_by_what_is_listed_by_template_and_by_their_own_uri() {
    let resource = |uri: &str| format!(r#"{{"uri":"{uri}"}}"#);
    let mut a = with("a", List::Resources, &[resource("file:///x"), resource("ui://view")]);
    a.lists
        .set(List::Templates, [Item::read(List::Templates, r#"{"uriTemplate":"demo://{id}"}"#).expect("one")].into());
    let b = with("b", List::Resources, &[resource("file:///x"), resource("file:///y")]);
    let check = |mode, listed_resources: &str, found: [(&str, &str); 3]| {
        let view = build(vec![a.clone(), b.clone()], &naming(mode, Conflict::AutoPrefix));
        assert_eq!(listed(&view, List::Resources), listed_resources);
        for (uri, upstream) in found {
            let (name, own) = view.members().resource(uri).unwrap_or_else(|| panic!("{uri} in {mode:?}"));
            assert_eq!(name.as_str(), upstream, "{uri} in {mode:?}");
            assert!(uri.ends_with(own));
        }
        assert!(view.members().resource("other:x").is_none());
    };
    let qualified = "mcp-proxy://a/file:///x ui://a/ui://view mcp-proxy://b/file:///x mcp-proxy://b/file:///y";
    check(
        Mode::Always,
        qualified,
        [("mcp-proxy://b/file:///x", "b"), ("mcp-proxy://a/demo://7", "a"), ("file:///y", "b")],
    );
    check(
        Mode::OnConflict,
        "file:///x ui://view mcp-proxy://b/file:///x file:///y",
        [("file:///x", "a"), ("demo://7", "a"), ("mcp-proxy://b/file:///x", "b")],
    );
    check(Mode::Never, "file:///x ui://view file:///y", [("file:///x", "a"), ("demo://7", "a"), ("file:///y", "b")]);
}

#[test]
fn the_page_that_shows_a_tool_is_called_as_it_is_listed() {
    let tool = r#"{"name":"t","_meta":{"openai/outputTemplate":"ui://v","ui":{"resourceUri":"ui://v"},"ui/resourceUri":"ui://v","z":1.0}}"#;
    let view = build(vec![with("a", List::Tools, &[tool.into()])], &Naming::default());
    let expected = r#"{"tools":[{"name":"a__t","_meta":{"openai/outputTemplate":"ui://a/ui://v","ui":{"resourceUri":"ui://a/ui://v"},"ui/resourceUri":"ui://a/ui://v","z":1.0}}]}"#;
    assert_eq!(view.page(Page { era: Era::Modern, list: List::Tools, cursor: None }), Some(&Bytes::from(expected)));
}

#[test]
fn a_huge_list_comes_in_pages() {
    let big = |name: &str| format!(r#"{{"name":"{name}","description":"{}"}}"#, "x".repeat(PAGE_BYTES / 2));
    let view = build(vec![with("a", List::Tools, &[big("t"), big("u"), big("v")])], &Naming::default());
    let page = |cursor| {
        view.page(Page { era: Era::Modern, list: List::Tools, cursor })
            .map(|page| String::from_utf8_lossy(page).into_owned())
    };
    let first = page(None).expect("a first page");
    assert!(first.ends_with(r#"],"nextCursor":"1"}"#));
    assert!(page(Some("1")).is_some_and(|page| page.contains("a__u")));
    assert!(page(Some("2")).is_some_and(|page| page.ends_with("]}")));
    for wrong in ["0", "3", "-1", "x", ""] {
        assert_eq!(page(Some(wrong)), None, "{wrong}");
    }
}

#[test]
fn legacy_clients_are_not_shown_schemas_that_they_refuse() {
    let tools = [
        r#"{"name":"t","outputSchema":{"type":"array"},"x":1.10}"#.to_owned(),
        r#"{"name":"u","outputSchema":{"type":"object"}}"#.to_owned(),
    ];
    let view = build(vec![with("a", List::Tools, &tools)], &naming(Mode::Never, Conflict::Reject));
    let page = |era| {
        view.page(Page { era, list: List::Tools, cursor: None }).map(|page| String::from_utf8_lossy(page).into_owned())
    };
    let all = format!(r#"{{"tools":[{}]}}"#, tools.join(","));
    assert_eq!(page(Era::Modern).as_ref(), Some(&all));
    assert_eq!(page(Era::Legacy), Some(all.replace(r#","outputSchema":{"type":"array"}"#, "")));
}

#[test]
fn only_extensions_that_are_carried_are_promised_and_each_era_those_that_it_can_speak() {
    use serde_json::{Value, json};
    let all = r#"{"io.modelcontextprotocol/ui":{"v":1.0},"io.modelcontextprotocol/tasks":{},"com.example/x":{}}"#;
    let greeted = |name: &str, era, extensions: &str| {
        let handshake = format!(r#"{{"capabilities":{{"extensions":{extensions}}}}}"#);
        Offered { handshake: handshake.into(), era, ..offered(name, &[]) }
    };
    let told = |offers| {
        let view = build(offers, &Naming::default());
        let discovery: Value = serde_json::from_slice(view.discovery(Audience::Client)).expect("JSON");
        let legacy: Value = serde_json::from_str(view.capabilities()).expect("JSON");
        (legacy["extensions"].clone(), discovery["capabilities"]["extensions"].clone())
    };
    let (legacy, modern) = (|| greeted("l", Era::Legacy, all), || greeted("m", Era::Modern, all));
    let ui = json!({ "io.modelcontextprotocol/ui": { "v": 1.0 } });
    let both = json!({ "io.modelcontextprotocol/ui": { "v": 1.0 }, "io.modelcontextprotocol/tasks": {} });
    assert_eq!(told(vec![legacy()]), (both.clone(), ui));
    assert_eq!(told(vec![modern()]), (Value::Null, both.clone()));
    assert_eq!(told(vec![legacy(), modern()]).1, both);
    assert_eq!(told(vec![greeted("o", Era::Modern, r#"{"com.example/x":{}}"#)]).1, Value::Null);
}

/// Creates an upstream with these skills, each with a file `more.md`, and these settings of the extension.
fn shelf(name: &str, settings: &str, skills: &[&str]) -> Offered {
    let skill = |name: &&str| {
        let file = |file: &str| format!(r#"{{"digest":"sha256:0","uri":"skill://{name}/{file}","size":1.0}}"#);
        let files = [file("SKILL.md"), file("more.md")].join(",");
        format!(
            r#"{{"resources":[{files}],"x":1.10,"uri":"skill://{name}/SKILL.md","frontmatter":{{"uri":"{name}"}}}}"#
        )
    };
    let handshake = format!(r#"{{"capabilities":{{"extensions":{{"io.modelcontextprotocol/skills":{settings}}}}}}}"#);
    let skills: Vec<String> = skills.iter().map(skill).collect();
    Offered { handshake: handshake.into(), ..with(name, List::Skills, &skills) }
}

#[test]
fn a_skill_is_listed_under_uris_by_which_its_files_are_read_and_every_other_byte_stays() {
    let view = build(vec![shelf("a", "{}", &["s"])], &Naming::default());
    let page = view.page(Page { era: Era::Modern, list: List::Skills, cursor: None }).expect("a page");
    let own = shelf("a", "{}", &["s"]);
    let exposed = own.lists.get(List::Skills)[0].raw.replace("skill://", "mcp-proxy://a/skill://");
    assert_eq!(String::from_utf8_lossy(page), format!(r#"{{"skills":[{exposed}]}}"#));
}

#[test]
fn a_skill_is_asked_of_the_upstream_that_has_it() {
    let offers = || {
        let plain = with("plain", List::Resources, &[r#"{"uri":"skill://other/SKILL.md"}"#.into()]);
        let directories = r#"{"directoryRead":true}"#;
        vec![plain, shelf("a", "{}", &["s", "top/s"]), shelf("b", directories, &["s", "other", "deep/er"])]
    };
    let check = |mode, expected: &str, found: &[(&str, &str)]| {
        let view = build(offers(), &naming(mode, Conflict::AutoPrefix));
        assert_eq!(listed(&view, List::Skills), expected);
        for (uri, owner) in found {
            let members = view.members();
            let is_directory = !uri.ends_with(".md");
            let it = if is_directory { members.directory(uri) } else { members.skill(uri) };
            assert_eq!(it.map_or("-", |(name, _)| name.as_str()), *owner, "{uri} in {mode:?}");
        }
    };
    let qualified = |all: &[(&str, &str)]| {
        all.iter()
            .map(|(name, path)| format!("mcp-proxy://{name}/skill://{path}/SKILL.md"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    check(
        Mode::Always,
        &qualified(&[("a", "s"), ("a", "top/s"), ("b", "s"), ("b", "other"), ("b", "deep/er")]),
        &[
            ("mcp-proxy://a/skill://s/SKILL.md", "a"),
            ("mcp-proxy://b/skill://unlisted/SKILL.md", "b"),
            ("mcp-proxy://plain/skill://s/SKILL.md", "-"),
            ("mcp-proxy://b/skill://s", "b"),
            ("mcp-proxy://a/skill://s", "-"),
            ("skill://deep/er/SKILL.md", "b"),
        ],
    );
    check(
        Mode::OnConflict,
        "skill://s/SKILL.md skill://top/s/SKILL.md mcp-proxy://b/skill://s/SKILL.md mcp-proxy://b/skill://other/SKILL.md skill://deep/er/SKILL.md",
        &[("skill://top/s/SKILL.md", "a"), ("skill://deep", "b"), ("skill://deep/er/x", "b"), ("skill://top", "-")],
    );
    check(
        Mode::Never,
        "skill://s/SKILL.md skill://top/s/SKILL.md skill://deep/er/SKILL.md",
        &[("skill://deep/er", "b")],
    );
    let view = build(offers(), &naming(Mode::Never, Conflict::Reject));
    let (owner, _) = view.members().resource("skill://deep/er/new.md").expect("a file below the skill");
    assert_eq!(owner.as_str(), "b");
}

#[test]
fn skills_are_promised_with_the_settings_of_all_and_to_gateways_only_where_there_are_any() {
    let told = |offers: Vec<Offered>, audience| {
        let view = build(offers, &Naming::default());
        let discovery: serde_json::Value = serde_json::from_slice(view.discovery(audience)).expect("JSON");
        discovery["capabilities"]["extensions"]["io.modelcontextprotocol/skills"].to_string()
    };
    let gateway = |skills: &[&str]| {
        let shelf = shelf("g", r#"{"directoryRead":true}"#, skills);
        let named = shelf.handshake.replacen('{', r#"{"serverInfo":{"name":"mcp-proxy"},"#, 1);
        Offered { handshake: named.into(), ..shelf }
    };
    let (plain, more) = (|| shelf("a", "{}", &[]), || shelf("b", r#"{"directoryRead":true,"x/y":1}"#, &[]));
    assert_eq!(told(vec![offered("o", &[])], Audience::Client), "null");
    assert_eq!(told(vec![plain()], Audience::Gateway), "{}");
    assert_eq!(told(vec![plain(), more()], Audience::Client), r#"{"directoryRead":true}"#);
    assert_eq!(told(vec![gateway(&[])], Audience::Client), r#"{"directoryRead":true}"#);
    assert_eq!(told(vec![gateway(&[])], Audience::Gateway), "null");
    assert_eq!(told(vec![plain(), gateway(&[])], Audience::Gateway), "{}");
    assert_eq!(told(vec![gateway(&["s"])], Audience::Gateway), r#"{"directoryRead":true}"#);
}

#[test]
fn capabilities_and_instructions_are_those_of_all() {
    let greeted = |name: &str, handshake: &str| Offered { handshake: handshake.into(), ..offered(name, &[]) };
    let view = build(
        vec![
            greeted("a", r#"{"capabilities":{"experimental":{"x":{"v":1.0}}},"instructions":"Say \"a\"."}"#),
            greeted("b", r#"{"capabilities":{"tasks":{"list":{}},"experimental":{"x":{},"y":{}}}}"#),
            greeted("c", r#"{"capabilities":{},"instructions":" Say c. "}"#),
        ],
        &Naming::default(),
    );
    let capabilities: serde_json::Value = serde_json::from_str(view.capabilities()).expect("JSON");
    assert_eq!(capabilities["experimental"], serde_json::json!({ "x": { "v": 1.0 }, "y": {} }));
    assert_eq!(capabilities["resources"], serde_json::json!({ "subscribe": true, "listChanged": true }));
    assert_eq!(capabilities["tasks"]["list"], serde_json::Value::Null);
    assert_eq!(view.instructions(Audience::Client), Some("# a\n\nSay \"a\".\n\n# c\n\nSay c."));
}

proptest! {
    /// Every listed name resolves to the tool that it was made from; in `always` mode it does not depend on other
    /// upstreams.
    #[test]
    fn a_listed_name_leads_back_to_its_tool(
        offers in proptest::collection::btree_map("[ab_]{1,3}", proptest::collection::btree_set("[ab_ ]{1,3}", 0..4), 1..5),
        mode in any::<bool>().prop_flat_map(|always| Just(if always { Mode::Always } else { Mode::OnConflict })),
    ) {
        let offers: Vec<Offered> = offers.iter().map(|(name, tools)| {
            offered(name, &tools.iter().map(String::as_str).collect::<Vec<_>>())
        }).collect();
        let naming = naming(mode, Conflict::AutoPrefix);
        let view = build(offers.clone(), &naming);
        for name in view.names() {
            let exposed = name.exposed.as_deref().expect("every tool has a name");
            let found = view.tool(exposed).expect("every name has a tool");
            let is_it = |it: &Candidate| it.upstream == name.upstream && it.name == name.name;
            proptest::prop_assert!(found.iter().any(is_it), "{exposed}");
        }
        if mode == Mode::Always {
            let alone = build(offers.into_iter().rev().take(1).collect(), &naming);
            for name in alone.names() {
                let same = view.names().iter().find(|it| it.upstream == name.upstream && it.name == name.name);
                prop_assert_eq!(same.and_then(|same| same.exposed.clone()), name.exposed.clone());
            }
        }
    }
}
