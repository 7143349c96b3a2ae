//! Parses references from one document to an item of another: an id alone, or the older forms of the engine.
//!
//! ```yaml
//! agents: [researcher]
//! $use: agent(local::agents.#(id="researcher"))
//! $ref: local::schemas.#(id=="city")
//! ```

use std::ops::Range;

use schemas::document::Node;

/// Reference to an item of a list in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selector {
    /// `local` for the document itself; the engine resolves all others.
    pub(super) scope: String,
    /// Key of the list.
    pub(super) list: String,
    /// Id of the item.
    pub(super) id: String,
    /// Span of the id in the text.
    pub(super) part: Range<usize>,
}

/// Parses `agent(local::agents.#(id="x"))`, or the part inside its parentheses.
pub(super) fn parse(text: &str) -> Result<Selector, &'static str> {
    let trimmed = text.trim();
    let offset = text.len() - text.trim_start().len();
    let (inner, start) = match trimmed.split_once("::").map(|(scope, _)| scope.find('(')) {
        None => return Err("there is no `::` behind where to look, as in `local::agents`"),
        Some(None) => (trimmed, offset),
        Some(Some(open)) => {
            let inner = trimmed.get(open + 1..).unwrap_or_default();
            (inner.strip_suffix(')').ok_or("the last `)` is missing")?, offset + open + 1)
        }
    };
    let (scope, path) = inner.split_once("::").unwrap_or_default();
    let (list, condition) = path.split_once(".#(").ok_or("there is no `.#(id=\"...\")` behind the name of the list")?;
    let condition = condition.strip_suffix(')').ok_or("a `)` is missing")?;
    let quoted = condition.trim_start().strip_prefix("id").map(|it| it.trim_start().trim_start_matches('=').trim());
    let quoted = quoted.ok_or("it asks for something else than `id`")?;
    let id = ['"', '\''].into_iter().find_map(|quote| quoted.strip_prefix(quote)?.strip_suffix(quote));
    let id = id.filter(|id| !id.is_empty()).ok_or("the id is not in quotes")?;
    let at = start + inner.rfind(id).unwrap_or_default();
    Ok(Selector { scope: scope.to_owned(), list: list.to_owned(), id: id.to_owned(), part: at..at + id.len() })
}

/// Returns the id that an item of `mcps` selects in one of the older forms.
pub(super) fn selected(node: &Node) -> Option<String> {
    let map = node.as_map()?;
    let text = map.get("$use").or_else(|| map.get("$ref"))?.literal()?;
    parse(text).ok().map(|selector| selector.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(&str, &str, &str), &str>) {
        let read = parse(text);
        if let Ok(selector) = &read {
            assert_eq!(text.get(selector.part.clone()), Some(selector.id.as_str()), "{text}");
        }
        let shown = read.as_ref().map(|it| (it.scope.as_str(), it.list.as_str(), it.id.as_str()));
        assert_eq!(shown.map_err(|it| *it), expected, "{text}");
    }

    #[test]
    fn reads_the_older_forms() {
        check("agent(local::agents.#(id=\"x\"))", Ok(("local", "agents", "x")));
        check("local::schemas.#(id==\"city\")", Ok(("local", "schemas", "city")));
        check(" tool( resource::tool.#(id=='a b') )", Err("a `)` is missing"));
        check("tool(resource::tool.#(id=='a b'))", Ok(("resource", "tool", "a b")));
    }

    #[test]
    fn says_what_is_missing() {
        check("researcher", Err("there is no `::` behind where to look, as in `local::agents`"));
        check("agent(local::agents.#(id=\"x\")", Err("a `)` is missing"));
        check("agent(local::agents.#(id=\"x\"", Err("the last `)` is missing"));
        check("agent(local::agents)", Err("there is no `.#(id=\"...\")` behind the name of the list"));
        check("agent(local::agents.#(name=\"x\"))", Err("it asks for something else than `id`"));
        check("agent(local::agents.#(id=x))", Err("the id is not in quotes"));
    }
}
