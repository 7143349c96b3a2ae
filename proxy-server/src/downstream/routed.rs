//! Routes a modern client's request at the endpoint of all upstreams to a candidate, and executes it in that upstream's
//! era. After a failure, tries the next candidate if nothing was sent or the call may be repeated.

use std::sync::Arc;
use std::vec;

use axum::http::StatusCode;
use futures_util::future::BoxFuture;

use crate::catalog::{Candidate, Tool, View, split_id};
use crate::downstream::bridged::{self, Bridged, claim, invalid_state, resume};
use crate::downstream::fields::Fields;
use crate::downstream::forward::{self, Forwarded};
use crate::downstream::headers::{self, Mismatch};
use crate::downstream::modern::{Addressed, Asking, NEEDS_TASK, is_foreign};
use crate::downstream::reply::{Said, Talk, respond_with};
use crate::downstream::respond;
use crate::error::{Error, Kind};
use crate::http::server::Reply;
use crate::policy::Caller;
use crate::protocol::{Era, HEADER_MISMATCH, Message, Object, quote};
use crate::route::{Route, may_pass_on, route};

/// A request with its remaining candidates.
struct Routed {
    errand: Arc<Errand>,
    /// Candidate in use; `None` if no other may be tried.
    trying: Option<Candidate>,
    /// Candidates not tried yet.
    others: vec::IntoIter<Candidate>,
    stage: Stage,
}

/// Context of a request, common to all candidates.
struct Errand {
    asking: Arc<Asking>,
    caller: Caller,
    view: Arc<View>,
}

enum Stage {
    Opening(BoxFuture<'static, Result<Turn, Error>>),
    Open(Turn),
}

/// A request in progress at one upstream.
enum Turn {
    Bridged(Box<Bridged>),
    Forwarded(Box<Forwarded>),
}

/// Executes a new request, or resumes the one that `requestState` names.
pub(super) async fn answer(asking: Arc<Asking>, caller: Caller, view: Arc<View>, fields: Option<&Fields<'_>>) -> Reply {
    let errand = Arc::new(Errand { asking: Arc::clone(&asking), caller, view });
    let route = match errand.route() {
        Ok(route) => route,
        Err(error) => return respond::modern_failure(&asking.message, &error),
    };
    if let Some(Mismatch(why)) = fields.and_then(|fields| errand.mismatch(&route, fields)) {
        return respond::modern_error(asking.message.id(), StatusCode::BAD_REQUEST, HEADER_MISMATCH, &why);
    }
    let begun = match bridged::state(&asking.message) {
        Some(state) => Routed::go_on(&errand, &route, state.as_deref()),
        None => Routed::begin(&errand, route),
    };
    match begun {
        Ok(talk) => respond_with(talk, &asking.edge.config).await,
        Err(error) => respond::modern_failure(&asking.message, &error),
    }
}

impl Errand {
    fn route(&self) -> Result<Route<'_>, Error> {
        let known = |name: &str| Some(self.asking.edge.reachable(&self.caller, name)?.definition().name.clone());
        route(&self.view, &known, &self.asking.message)
    }

    /// Returns the mismatch between headers and arguments of a `tools/call`, if any. All candidates take the same
    /// arguments.
    fn mismatch(&self, route: &Route<'_>, fields: &Fields<'_>) -> Option<Mismatch> {
        let tool = self.tool(route.candidates.first()?)?;
        headers::check_arguments(fields, &self.asking.message, tool).err()
    }

    fn tool(&self, candidate: &Candidate) -> Option<&Tool> {
        let member = self.view.members().get(candidate.upstream.as_str());
        member.filter(|_| self.asking.message.method() == "tools/call")?.tool(&candidate.name)
    }

    /// Addresses the request, with the candidate's own names, to its upstream. Fails if the upstream is gone or no
    /// longer permitted.
    fn addressed(&self, candidate: &Candidate, request: Message) -> Result<Addressed, Error> {
        // The definition may have changed since the view was built.
        let upstream = self.asking.edge.reachable(&self.caller, candidate.upstream.as_str());
        let upstream = upstream.ok_or_else(|| Error::new(Kind::NotReady).at(&candidate.upstream))?;
        let (asking, view) = (Arc::clone(&self.asking), Some(Arc::clone(&self.view)));
        Ok(Addressed { asking, upstream, request, view })
    }
}

impl Routed {
    fn begin(errand: &Arc<Errand>, route: Route<'_>) -> Result<Self, Error> {
        let mut others = route.candidates.clone().into_iter();
        let first = others.next().ok_or(Kind::NotReady)?;
        let request = route.request(&errand.asking.message, &first);
        let stage = Stage::Opening(Box::pin(open(Arc::clone(errand), first.clone(), request)));
        Ok(Self { errand: Arc::clone(errand), trying: Some(first), others, stage })
    }

    /// Resumes a request at the upstream that its state names, and at no other.
    fn go_on(errand: &Arc<Errand>, route: &Route<'_>, state: Option<&str>) -> Result<Self, Error> {
        let message = &errand.asking.message;
        let (upstream, own) = state.and_then(split_id).ok_or_else(invalid_state)?;
        let candidate = route.candidates.iter().find(|candidate| candidate.upstream.as_str() == upstream);
        let upstream = errand.asking.edge.reachable(&errand.caller, &upstream).ok_or_else(invalid_state)?;
        let request = candidate.and_then(|candidate| {
            let request = route.request(message, candidate);
            let place = Object::read(request.params()).ok()?.get("requestState")?;
            Some(request.replaced(&[(place, &quote(own))]))
        });
        let (asking, view) = (Arc::clone(&errand.asking), Some(Arc::clone(&errand.view)));
        let is_known = request.is_some();
        let to = Addressed { asking, upstream, request: request.unwrap_or_else(|| message.clone()), view };
        let own = own.to_owned();
        let opening = async move {
            match to.era().await? {
                // A parked call is found by its state alone.
                Era::Legacy => match claim(&to.asking, &to.upstream, Some(&own)).await {
                    Some(conversation) => Ok(Turn::Bridged(Box::new(resume(to, conversation).await))),
                    None => Err(invalid_state()),
                },
                Era::Modern if is_known => Ok(Turn::Forwarded(Box::new(forward::begin(to)))),
                Era::Modern => Err(invalid_state()),
            }
        };
        let stage = Stage::Opening(Box::pin(opening));
        Ok(Self { errand: Arc::clone(errand), trying: None, others: Vec::new().into_iter(), stage })
    }

    /// Starts the next candidate after a failure. Returns the failure if no other may be tried, or none is left.
    fn pass_on(&mut self, failure: Error) -> Result<Stage, Error> {
        if !self.trying.as_ref().is_some_and(|tried| may_pass_on(failure.kind(), tried)) {
            return Err(failure);
        }
        let Some(next) = self.others.next() else { return Err(failure) };
        let request = self.errand.route()?.request(&self.errand.asking.message, &next);
        self.trying = Some(next.clone());
        Ok(Stage::Opening(Box::pin(open(Arc::clone(&self.errand), next, request))))
    }
}

/// Starts a request at an upstream, in its era.
async fn open(errand: Arc<Errand>, candidate: Candidate, request: Message) -> Result<Turn, Error> {
    let to = errand.addressed(&candidate, request)?;
    let era = to.era().await?;
    if is_foreign(era, &to.request) {
        return Err(Kind::UnknownMethod.into());
    }
    match era {
        Era::Modern => Ok(Turn::Forwarded(Box::new(forward::begin(to)))),
        Era::Legacy if errand.tool(&candidate).is_some_and(|tool| tool.needs_task) => Err(NEEDS_TASK.into()),
        Era::Legacy => Ok(Turn::Bridged(Box::new(bridged::begin(to).await?))),
    }
}

impl Talk for Routed {
    fn request(&self) -> &Message {
        &self.errand.asking.message
    }

    async fn next(&mut self) -> Said {
        loop {
            let said = match &mut self.stage {
                Stage::Opening(opening) => match opening.await {
                    Ok(turn) => {
                        self.stage = Stage::Open(turn);
                        continue;
                    }
                    Err(error) => Said::Failed(error),
                },
                Stage::Open(Turn::Bridged(talk)) => talk.next().await,
                Stage::Open(Turn::Forwarded(talk)) => talk.next().await,
            };
            let Said::Failed(failure) = said else { return said };
            match self.pass_on(failure) {
                Ok(stage) => self.stage = stage,
                Err(failure) => return Said::Failed(failure),
            }
        }
    }
}
