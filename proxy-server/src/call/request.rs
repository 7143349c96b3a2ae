//! Requests as the edges hand them over, and their answers.

use std::sync::Arc;

use tokio::time::Instant;

use crate::call::attachments::Attachments;
use crate::call::modern_client::ModernClient;
use crate::call::record::Attribution;
use crate::catalog::View;
use crate::pieces::Pieces;
use crate::policy::{Caller, Principal};
use crate::protocol::Message;
use crate::upstream::{Attachment, Upstream};

/// A client's request.
pub(crate) struct Call {
    pub(crate) principal: Principal,
    /// Tenant that limits count the request for, and line in the access log.
    pub(crate) attribution: Attribution,
    pub(crate) scope: Scope,
    pub(crate) client: Client,
    /// Request as received from the client.
    pub(crate) message: Message,
    /// Deadline for everything that precedes the call at the upstream.
    pub(crate) deadline: Instant,
}

/// Upstreams that a call may go to.
pub(crate) enum Scope {
    One(Arc<Upstream>),
    All {
        caller: Caller,
        /// Client's view of all upstreams.
        view: Arc<View>,
    },
}

/// Properties of the client that its era determines.
pub(crate) enum Client {
    Legacy(Attached),
    Modern(ModernClient),
}

/// Upstream sessions of a legacy client.
#[derive(Clone)]
pub(crate) enum Attached {
    One(Arc<Attachment>),
    All(Arc<Attachments>),
}

/// Answer to a request.
pub(crate) struct Answer {
    /// JSON-RPC response with the client's own id.
    pub(crate) body: Pieces,
    pub(crate) class: Class,
}

/// Class of an answer, as far as transports distinguish it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Result, or an error that says nothing about the form of the request.
    Given,
    UnknownMethod,
    /// The request violates the protocol, or needs a capability that the client lacks.
    Refused,
}

impl Answer {
    /// Creates an answer of the class `Given`.
    pub(crate) fn given(body: impl Into<Pieces>) -> Self {
        Self { body: body.into(), class: Class::Given }
    }
}
