use serde_json::json;

use super::*;

fn tool(server: &str, name: &str) -> Tool {
    let tool = json!({"mcpName": server, "name": name, "description": "d",
        "inputSchema": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}});
    serde_json::from_value(tool).expect("a tool")
}

fn names(tools: &Tools) -> Vec<&str> {
    tools.functions.iter().map(|it| it.name.as_str()).collect()
}

fn chosen(selection: &Selection) -> Tools {
    let tools = [tool("Search", "web"), tool("search-2", "web"), tool("time", "now"), tool("time", "Web ")];
    let ids = [("web-search".to_owned(), "Search".parse().expect("a name"))];
    Tools::choose(&tools, selection, &ids)
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn of_equal_names_the_first_is_offered() {
    let tools = chosen(&Selection::default());
    assert_eq!(names(&tools), ["web", "now", "Web__3852a9d2"]);
    let by = "$mcp(Search#web)".parse().expect("an address");
    assert_eq!(tools.left_out.len(), 1);
    assert_eq!(tools.left_out[0].why, Why::Taken { by });
    assert_eq!(tools.find("WEB").map(|it| it.server.as_str()), Some("Search"));
}

#[test]
fn a_server_whose_name_means_another_one_is_not_offered() {
    let name = |name: &str| name.parse::<ServerName>().expect(name);
    let tools = [tool("time", "now"), tool("agent-7", "today")];
    let ids = [("time".to_owned(), name("agent-7")), ("agent-7".to_owned(), name("agent-7"))];
    let offered = Tools::choose(&tools, &Selection::default(), &ids);
    assert_eq!(names(&offered), ["today"]);
    assert_eq!(offered.left_out[0].why, Why::Hidden { by: name("agent-7") });
}

#[test]
fn qualified_names_keep_all_of_them() {
    let tools = chosen(&Selection { naming: Naming::Qualified, ..Selection::default() });
    assert_eq!(names(&tools)[..3], ["Search__web", "search-2__web", "time__now"]);
    assert!(tools.left_out.is_empty());
    let back = tools.find("search-2__web").map(Function::address);
    assert_eq!(back.map(|it| it.to_string()).as_deref(), Some("$mcp(search-2#web)"));
}

#[test]
fn what_is_denied_is_out_even_if_it_is_allowed() {
    let allowed = Selection { allowed: texts(&["WEB-search", "time"]), ..Selection::default() };
    assert_eq!(names(&chosen(&allowed))[..2], ["web", "now"]);
    let both = Selection { denied: texts(&["TIME"]), ..allowed };
    let tools = chosen(&both);
    assert_eq!(names(&tools), ["web"]);
    let why: Vec<_> = tools.left_out.iter().map(|it| it.why.clone()).collect();
    assert_eq!(why, [Why::NotAllowed, Why::Denied, Why::Denied]);
}

#[test]
fn the_engines_own_tools_go_first() {
    let tools = chosen(&Selection { own: texts(&[" NOW"]), ..Selection::default() });
    assert!(!names(&tools).contains(&"now"));
    assert!(tools.left_out.iter().any(|it| it.tool == "now" && it.why == Why::Own));
}

#[test]
fn a_function_has_the_form_that_the_api_takes() {
    let tools = Tools::choose(&[tool("s", "add")], &Selection::default(), &[]);
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]});
    let expected = json!([{"type": "function", "function": {"name": "add", "description": "d", "parameters": schema}}]);
    assert_eq!(tools.to_json(FunctionForm::OpenAi), expected);
    assert_eq!(tools.to_json(FunctionForm::OpenAiResponses)[0]["parameters"], schema);
    let expected = json!([{"name": "add", "description": "d", "input_schema": schema}]);
    assert_eq!(tools.to_json(FunctionForm::Anthropic), expected);
}

#[test]
fn a_tool_without_a_schema_takes_an_object() {
    let bare = serde_json::from_value(json!({"mcpName": "s", "name": "t", "inputSchema": null})).expect("a tool");
    let tools = Tools::choose(&[bare], &Selection::default(), &[]);
    assert_eq!(tools.functions[0].parameters, json!({"type": "object", "properties": {}}));
}
