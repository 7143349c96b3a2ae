//! Prevents two gateways that are upstreams of each other from listing each other's items forever. A gateway names
//! itself when it reads a list from another gateway, and gets no item that passed through it; each item comes with the
//! gateways that it passed through.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::protocol::{CLIENT_KEY, Message, Object, quote, server_of};
use crate::upstream::Session;

/// Member of a request's `_meta` in which a gateway names itself.
const ASKED_BY: &str = "mcp-proxy/asked-by";
/// Member of a list's result with the gateways of each item, in the order of the items.
const VIA: &str = "mcp-proxy/via";
/// Maximum number of gateways that an item may have passed through. Items with more are omitted.
const MOST: usize = 16;
const LONGEST_NAME: usize = 64;

/// Gateways that an item passed through; `None` for most items.
pub(crate) type Via = Option<Arc<BTreeSet<Box<str>>>>;

/// Name of this gateway among gateways: random, and equal for gateways with equal keys.
#[derive(Debug, Clone)]
pub(crate) struct GatewayName(Arc<str>);

impl GatewayName {
    pub(crate) fn new(random: [u8; 16]) -> Self {
        Self(format!("{:032x}", u128::from_be_bytes(random)).into())
    }

    /// Returns the raw `params` of a list request to this upstream. Names this gateway only to other gateways.
    pub(super) fn params(&self, session: &Session, cursor: Option<&str>) -> String {
        let cursor = cursor.map(|cursor| format!(r#""cursor":{cursor}"#));
        let asked_by = is_gateway(session.handshake()).then(|| format!(r#""_meta":{{"{ASKED_BY}":"{}"}}"#, self.0));
        let members: Vec<String> = cursor.into_iter().chain(asked_by).collect();
        format!("{{{}}}", members.join(","))
    }

    /// Returns true if an item has passed through this gateway.
    pub(super) fn is_in(&self, via: &Via) -> bool {
        via.as_ref().is_some_and(|via| via.contains(&*self.0))
    }

    /// Rewrites a page of a list for another gateway: omits items that passed through that gateway, and adds the
    /// gateways of each item. `via` holds the gateways of the page's items.
    pub(super) fn page(&self, member: &str, page: &str, via: &[Via], asked_by: &str) -> Option<String> {
        let result = Object::read(page).ok()?;
        let items: Vec<&serde_json::value::RawValue> = serde_json::from_str(result.get(member)?).ok()?;
        let own = || -> Via { None };
        let all = items.iter().zip(via.iter().cloned().chain(std::iter::repeat_with(own)));
        let kept = all.filter(|(_, via)| !via.as_ref().is_some_and(|via| via.contains(asked_by)));
        let (mut listed, mut paths) = (Vec::new(), Vec::new());
        for (item, via) in kept {
            let path = via.iter().flat_map(|via| via.iter().map(|name| &**name)).chain([&*self.0]);
            paths.push(format!("[{}]", path.map(quote).collect::<Vec<_>>().join(",")));
            listed.push(item.get());
        }
        let next = result.get("nextCursor").map(|next| format!(r#","nextCursor":{next}"#)).unwrap_or_default();
        Some(format!(r#"{{"{member}":[{}]{next},"{VIA}":[{}]}}"#, listed.join(","), paths.join(",")))
    }
}

/// Returns the name of the gateway that sent a list request, if a gateway did.
pub(crate) fn asked_by(message: &Message) -> Option<String> {
    memchr::memmem::find(message.params().as_bytes(), ASKED_BY.as_bytes())?;
    let meta = Object::read(Object::read(message.params()).ok()?.get("_meta")?).ok()?;
    meta.text(ASKED_BY).map(String::from).filter(|name| !name.is_empty() && name.len() <= LONGEST_NAME)
}

/// Reads the gateways of each item from a result, in order. Empty if the upstream is not a gateway.
pub(super) fn told(page: &Object<'_>) -> Vec<Via> {
    let told: Vec<Vec<Box<str>>> = page.get(VIA).and_then(|raw| serde_json::from_str(raw).ok()).unwrap_or_default();
    let set = |names: Vec<Box<str>>| -> Via {
        let set: BTreeSet<Box<str>> = names.into_iter().filter(|name| name.len() <= LONGEST_NAME).collect();
        (!set.is_empty()).then(|| Arc::new(set))
    };
    told.into_iter().map(set).collect()
}

/// Returns true if an item passed through more gateways than the limit allows.
pub(super) fn is_far(via: &Via) -> bool {
    via.as_ref().is_some_and(|via| via.len() > MOST)
}

/// Reader of the gateway's capabilities and instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    Client,
    Gateway,
}

/// Returns the kind of client that sent this request, from its `clientInfo` in either era.
pub(crate) fn audience(request: &Message) -> Audience {
    let is = || {
        let params = Object::read(request.params()).ok()?;
        let meta = || Object::read(params.get("_meta")?).ok()?.get(CLIENT_KEY);
        let client = params.get("clientInfo").or_else(meta)?;
        Some(Object::read(client).ok()?.text("name")? == "mcp-proxy")
    };
    if is() == Some(true) { Audience::Gateway } else { Audience::Client }
}

/// Returns true if the server of this handshake is a gateway of this make, in either era.
pub(crate) fn is_gateway(handshake: &Message) -> bool {
    names_gateway(handshake.body())
}

/// Returns true if this raw result of a handshake is from a gateway of this make.
pub(crate) fn names_gateway(handshake: &str) -> bool {
    server_of(handshake).is_some_and(|server| server.text("name").as_deref() == Some("mcp-proxy"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn via(names: &[&str]) -> Via {
        let set: BTreeSet<Box<str>> = names.iter().map(|name| Box::from(*name)).collect();
        (!set.is_empty()).then(|| Arc::new(set))
    }

    fn gateway() -> GatewayName {
        GatewayName(Arc::from("me"))
    }

    #[test]
    fn a_gateway_is_given_nothing_that_came_through_it_and_told_of_all_else_whence_it_came() {
        let page = r#"{"tools":[{"name":"a"},{"name":"b"},{"name":"c"}],"nextCursor":"1"}"#;
        let all = [via(&[]), via(&["asker", "other"]), via(&["other"])];
        assert_eq!(
            gateway().page("tools", page, &all, "asker").as_deref(),
            Some(r#"{"tools":[{"name":"a"},{"name":"c"}],"nextCursor":"1","mcp-proxy/via":[["me"],["other","me"]]}"#)
        );
        // Know no gateways of any item, if no upstream is a gateway.
        assert_eq!(
            gateway().page("tools", r#"{"tools":[{"name":"a"}]}"#, &[], "asker").as_deref(),
            Some(r#"{"tools":[{"name":"a"}],"mcp-proxy/via":[["me"]]}"#)
        );
    }

    #[test]
    fn what_is_told_is_understood() {
        let page = r#"{"tools":[1,2],"mcp-proxy/via":[["me","x"],[]]}"#;
        let told = told(&Object::read(page).expect("an object"));
        assert_eq!(told, [via(&["me", "x"]), via(&[])]);
        assert!(gateway().is_in(&told[0]) && !gateway().is_in(&told[1]));
        for odd in [r#"{"mcp-proxy/via":{}}"#, r#"{"mcp-proxy/via":[1]}"#, "{}"] {
            assert!(super::told(&Object::read(odd).expect("an object")).is_empty(), "{odd}");
        }
        let far: Vec<String> = (0..=MOST).map(|number| number.to_string()).collect();
        assert!(is_far(&via(&far.iter().map(String::as_str).collect::<Vec<_>>())));
    }

    #[test]
    fn a_gateway_is_known_by_its_handshake_in_either_era() {
        assert!(names_gateway(r#"{"serverInfo":{"name":"mcp-proxy","version":"1"}}"#));
        assert!(names_gateway(r#"{"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"mcp-proxy"}}}"#));
        assert!(!names_gateway(r#"{"serverInfo":{"name":"other"}}"#) && !names_gateway("{}") && !names_gateway(""));
    }

    #[test]
    fn a_client_is_told_from_a_gateway_in_either_era() {
        let check = |params: &str, expected: Audience| {
            let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{params}}}"#);
            assert_eq!(audience(&Message::parse(text.into()).expect("a message")), expected, "{params}");
        };
        check(r#"{"clientInfo":{"name":"mcp-proxy"}}"#, Audience::Gateway);
        check(r#"{"_meta":{"io.modelcontextprotocol/clientInfo":{"name":"mcp-proxy"}}}"#, Audience::Gateway);
        check(r#"{"clientInfo":{"name":"editor"}}"#, Audience::Client);
        check("{}", Audience::Client);
    }

    #[test]
    fn who_asks_is_read_from_the_request() {
        let by = |params: &str| {
            let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{params}}}"#);
            asked_by(&Message::parse(text.into()).expect("a message"))
        };
        assert_eq!(by(r#"{"_meta":{"mcp-proxy/asked-by":"x"}}"#).as_deref(), Some("x"));
        assert_eq!(by(r#"{"_meta":{"progressToken":1}}"#), None);
        assert_eq!(by(r#"{"_meta":{"mcp-proxy/asked-by":""}}"#), None);
        assert_eq!(by("{}"), None);
    }
}
