//! Routing on the aggregated endpoint: the upstreams that can answer a request, in order, and their own names for the
//! item that the request addresses. Pure.

mod rewrite;

use std::ops::Range;

use schemas::ServerName;

pub(crate) use self::rewrite::{answer_edits, notification, state_edit};
use crate::catalog::{Candidate, List, Mode, View, split_id, split_uri};
use crate::error::{Error, Kind};
use crate::protocol::{Invalid, Message, Object, quote, text};

/// Looks up a registered upstream that the caller may use, connected or not.
pub(crate) type Known<'a> = &'a dyn Fn(&str) -> Option<ServerName>;

/// A request on the aggregated endpoint, with the candidates that can answer it.
#[derive(Debug)]
pub(crate) struct Route {
    /// The candidates, the preferred one first; never empty.
    pub(crate) candidates: Vec<Candidate>,
    /// Position in the request's parameters of the raw name, URI or id that is replaced by the upstream's own.
    place: Range<usize>,
}

/// Parameters of a request, or an object within them.
struct Params<'m> {
    whole: &'m str,
    members: Object<'m>,
}

impl<'m> Params<'m> {
    fn read(whole: &'m str) -> Result<Self, Invalid> {
        Ok(Self { whole, members: Object::read(whole)? })
    }

    /// Returns the position of a member in the whole parameters.
    fn position(&self, member: &str) -> Range<usize> {
        let start = member.as_ptr().addr().saturating_sub(self.whole.as_ptr().addr());
        start..start + member.len()
    }
}

/// Finds the candidates for a request.
pub(crate) fn route(view: &View, known: Known<'_>, request: &Message) -> Result<Route, Error> {
    let params = || Params::read(request.params()).map_err(|_| Kind::InvalidParams("`params` must be an object"));
    match request.method() {
        "tools/call" => by_name(&params()?, |name| named(view, known, List::Tools, name)),
        "prompts/get" => by_name(&params()?, |name| named(view, known, List::Prompts, name)),
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => {
            by(&params()?, "uri", |uri| resource(view, known, uri))
        }
        "skills/get" => skill(view, known, &params()?),
        "resources/directory/read" => directory(view, known, &params()?),
        "completion/complete" => completion(view, known, &params()?),
        "tasks/get" | "tasks/result" | "tasks/update" | "tasks/cancel" => {
            by(&params()?, "taskId", |id| task(known, id))
        }
        _ => Err(Kind::UnknownMethod.into()),
    }
}

impl Route {
    /// Returns the request with the upstream's own name.
    pub(crate) fn request(&self, message: &Message, candidate: &Candidate) -> Message {
        let place = message.params().get(self.place.clone()).unwrap_or_default();
        if text(place).is_some_and(|named| *named == *candidate.name) {
            return message.clone();
        }
        message.replaced(&[(place, &quote(&candidate.name))])
    }
}

/// Returns true if the next candidate may be tried after this failure: nothing was sent, or the call may be repeated.
pub(crate) fn may_pass_on(failure: Kind, failed: &Candidate) -> bool {
    match failure {
        Kind::NotReady | Kind::TooManySessions | Kind::Busy | Kind::Unreachable | Kind::SessionLost => true,
        Kind::UpstreamStatus(_) | Kind::ConnectionLost | Kind::InvalidResponse => failed.repeatable,
        Kind::Malformed
        | Kind::InvalidRequest(_)
        | Kind::InvalidParams(_)
        | Kind::UnknownTool
        | Kind::UnknownPrompt
        | Kind::UnknownResource
        | Kind::UnknownUpstream
        | Kind::UnknownMethod
        | Kind::TimedOut
        | Kind::Cancelled => false,
    }
}

fn by_name(params: &Params<'_>, find: impl FnOnce(&str) -> Result<Vec<Candidate>, Error>) -> Result<Route, Error> {
    by(params, "name", find)
}

fn by(
    params: &Params<'_>,
    member: &'static str,
    find: impl FnOnce(&str) -> Result<Vec<Candidate>, Error>,
) -> Result<Route, Error> {
    let place = params.members.get(member).unwrap_or_default();
    let why = match member {
        "name" => "`params.name` must be a string",
        "uri" => "`params.uri` must be a string",
        _ => "`params.taskId` must be a string",
    };
    let named = text(place).ok_or(Kind::InvalidParams(why))?;
    let candidates = find(&named)?;
    Ok(Route { candidates, place: params.position(place) })
}

/// Resolves a tool or prompt by its listed name, by `upstream:name`, or by a qualified name that is not listed now.
fn named(view: &View, known: Known<'_>, list: List, name: &str) -> Result<Vec<Candidate>, Error> {
    let (listed, unknown) = match list {
        List::Prompts => (view.prompt(name), Kind::UnknownPrompt),
        List::Tools | List::Resources | List::Templates | List::Skills => (view.tool(name), Kind::UnknownTool),
    };
    if let Some(listed) = listed.filter(|listed| !listed.is_empty()) {
        return Ok(listed);
    }
    let of = |upstream: &ServerName, own: &str| match view.members().get(upstream.as_str()) {
        Some(_) => {
            let candidate = view.members().own(upstream.as_str(), list, own);
            candidate.map(|candidate| vec![candidate]).ok_or_else(|| asked(view, list, unknown, name))
        }
        None => Err(Error::new(Kind::NotReady).at(upstream)),
    };
    let naming = view.members().naming();
    if naming.mode != Mode::Never
        && let Some(upstream) = naming.owner(name).and_then(known)
    {
        let own = name.get(naming.joined(upstream.as_str(), "").len()..).unwrap_or_default();
        return of(&upstream, own);
    }
    match name.split_once(':') {
        Some((upstream, own)) => match known(upstream) {
            Some(upstream) => of(&upstream, own),
            None => Err(Error::new(Kind::UnknownUpstream).asked(upstream, view.members().names())),
        },
        None => Err(asked(view, list, unknown, name)),
    }
}

/// Adds similar names to an error. Safe because the view contains only items that its caller may see.
fn asked(view: &View, list: List, unknown: Kind, name: &str) -> Error {
    match list {
        List::Prompts => Error::new(unknown).asked(name, view.prompt_names()),
        List::Tools | List::Resources | List::Templates | List::Skills => {
            Error::new(unknown).asked(name, view.tool_names())
        }
    }
}

/// Finds the upstream that has a resource.
pub(crate) fn resource(view: &View, known: Known<'_>, uri: &str) -> Result<Vec<Candidate>, Error> {
    if let Some((upstream, own)) = view.members().resource(uri) {
        return Ok(vec![Candidate { upstream: upstream.clone(), name: own.into(), repeatable: true }]);
    }
    match split_uri(uri).and_then(|(upstream, _)| known(&upstream)) {
        Some(down) => Err(Error::new(Kind::NotReady).at(&down)),
        None => {
            let uris: Vec<String> = view.members().uris().collect();
            Err(Error::new(Kind::UnknownResource).asked(uri, uris.iter().map(String::as_str)))
        }
    }
}

fn skill(view: &View, known: Known<'_>, params: &Params<'_>) -> Result<Route, Error> {
    if !view.members().have_skills() {
        return Err(Kind::UnknownMethod.into());
    }
    let none = Kind::InvalidParams("there is no skill with this URI");
    by(params, "uri", |uri| owned(view, known, (uri, view.members().skill(uri)), none))
}

fn directory(view: &View, known: Known<'_>, params: &Params<'_>) -> Result<Route, Error> {
    if !view.members().have_directories() {
        return Err(Kind::UnknownMethod.into());
    }
    let none = Kind::InvalidParams("there is no directory with this URI");
    by(params, "uri", |uri| owned(view, known, (uri, view.members().directory(uri)), none))
}

/// Returns the upstream found for a URI as the only candidate. If the URI contains the name of an upstream that is
/// down, the error says so.
fn owned(
    view: &View,
    known: Known<'_>,
    (uri, found): (&str, Option<(&ServerName, &str)>),
    none: Kind,
) -> Result<Vec<Candidate>, Error> {
    if let Some((upstream, own)) = found {
        return Ok(vec![Candidate { upstream: upstream.clone(), name: own.into(), repeatable: true }]);
    }
    let named = split_uri(uri).and_then(|(upstream, _)| known(&upstream));
    match named.filter(|upstream| view.members().get(upstream.as_str()).is_none()) {
        Some(down) => Err(Error::new(Kind::NotReady).at(&down)),
        None => Err(none.into()),
    }
}

/// Finds the upstream that has a task.
pub(crate) fn task(known: Known<'_>, id: &str) -> Result<Vec<Candidate>, Error> {
    let found = split_id(id).and_then(|(upstream, own)| Some((known(&upstream)?, own)));
    let (upstream, own) = found.ok_or(Kind::InvalidParams("there is no such task"))?;
    Ok(vec![Candidate { upstream, name: own.into(), repeatable: true }])
}

fn completion(view: &View, known: Known<'_>, params: &Params<'_>) -> Result<Route, Error> {
    let wrong = Kind::InvalidParams("`params.ref` must name a prompt or a resource");
    let reference = params.members.get("ref").and_then(|reference| Object::read(reference).ok()).ok_or(wrong)?;
    let reference = Params { members: reference, ..*params };
    match reference.members.text("type").as_deref() {
        Some("ref/prompt") => by_name(&reference, |name| named(view, known, List::Prompts, name)),
        Some("ref/resource") => by(&reference, "uri", |uri| resource(view, known, uri)),
        Some(_) | None => Err(wrong.into()),
    }
}

#[cfg(test)]
mod tests;
