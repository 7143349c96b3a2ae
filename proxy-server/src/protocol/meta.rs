//! The few members inside `params` that tie messages to one another.

use super::object::Object;

/// The raw `params._meta.progressToken` of a request.
pub(crate) fn progress_token(params: &str) -> Option<&str> {
    let params = Object::read(params).ok()?;
    Object::read(params.get("_meta")?).ok()?.get("progressToken")
}

/// The raw `params.requestId` of `notifications/cancelled`.
pub(crate) fn requested_id(params: &str) -> Option<&str> {
    Object::read(params).ok()?.get("requestId")
}
