//! Answers from memory at the endpoint of all upstreams: lists and discovery come from the client's view, and wait for no
//! upstream.

use bytes::Bytes;

use crate::call::record::CallRecord;
use crate::call::request::{Answer, Call, Client, Scope};
use crate::call::services::Services;
use crate::call::tally::ANSWERED;
use crate::catalog::{List, Page, View, asked_by, audience};
use crate::error::{Error, Kind};
use crate::protocol::{self, Era, Message, Object, own_legacy_list, own_list, quote, result_pieces, result_response};
use crate::upstream::list_changed;

/// Lists whose changes are announced as changes of resources.
const RESOURCES: [List; 3] = [List::Resources, List::Templates, List::Skills];

/// Answers a request from memory; `None` if it must go to an upstream.
pub(crate) fn from_memory(services: &Services, call: &Call) -> Option<Result<Answer, Error>> {
    let answer = answer(services, call)?;
    if let Some(record) = CallRecord::begin(&services.access_log, call.principal, &call.message) {
        match &answer {
            Ok(answer) => record.end(ANSWERED, answer.body.len()),
            Err(error) => record.end(error.kind().word(), 0),
        }
    }
    Some(answer)
}

fn answer(services: &Services, call: &Call) -> Option<Result<Answer, Error>> {
    let Scope::All { view, .. } = &call.scope else { return None };
    let message = &call.message;
    let era = match &call.client {
        Client::Legacy(_) => Era::Legacy,
        Client::Modern(_) => Era::Modern,
    };
    match (List::asked_by(message.method()), era) {
        (Some(list), era) => Some(page(services, view, (era, list), message).map(|page| {
            Answer::given(match (era, list) {
                (Era::Modern, _) => own_list(message.id(), &page),
                (Era::Legacy, List::Skills) => own_legacy_list(message.id(), &page),
                (Era::Legacy, _) => result_pieces(message.id(), &page),
            })
        })),
        (None, Era::Modern) if message.method() == "server/discover" => {
            Some(Ok(Answer::given(result_pieces(message.id(), view.discovery(audience(message))))))
        }
        (None, _) => None,
    }
}

/// Answers the `initialize` of a legacy client of all upstreams.
pub(crate) fn introduction(view: &View, request: &Message, version: &str) -> Bytes {
    let instructions = view
        .instructions(audience(request))
        .map(|text| format!(",\"instructions\":{}", quote(text)))
        .unwrap_or_default();
    let result = format!(
        r#"{{"protocolVersion":"{version}","capabilities":{},"serverInfo":{{"name":"mcp-proxy","version":"{}"}}{instructions}}}"#,
        view.capabilities(),
        env!("CARGO_PKG_VERSION")
    );
    result_response(request.id(), &result)
}

/// Returns the page of a list that a request asks for.
fn page(services: &Services, view: &View, (era, list): (Era, List), message: &Message) -> Result<Bytes, Error> {
    if list == List::Skills && !view.members().have_skills() {
        return Err(Kind::UnknownMethod.into());
    }
    let params = Object::read(message.params()).ok();
    let cursor = params.as_ref().and_then(|params| params.get("cursor")).filter(|cursor| *cursor != "null");
    let cursor = cursor.map(|cursor| protocol::text(cursor).unwrap_or_default());
    let place = Page { era, list, cursor: cursor.as_deref() };
    let page = match asked_by(message) {
        Some(gateway) => services.catalog.page_for_gateway(view, place, &gateway),
        None => {
            // A request of another gateway is no demand of a client: two gateways that list each other would refresh
            // for ever.
            services.catalog.asked();
            view.page(place).cloned()
        }
    };
    page.ok_or_else(|| Kind::InvalidParams("the cursor is not one of this list's").into())
}

/// Returns notifications for the lists that differ between two views: tools, prompts and resources. Skills, which have
/// no notification of their own, count as resources.
pub(crate) fn changes(seen: &View, view: &View) -> [Option<Bytes>; 3] {
    let changed = |list| !view.agrees(seen, list);
    let kinds = [
        ("tools", changed(List::Tools)),
        ("prompts", changed(List::Prompts)),
        ("resources", RESOURCES.into_iter().any(changed)),
    ];
    kinds.map(|(kind, changed)| changed.then(|| list_changed(kind)))
}
