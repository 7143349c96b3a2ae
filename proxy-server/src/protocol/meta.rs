//! The few members inside `params` that tie messages to one another.

use memchr::memmem;

use super::object::Object;

/// The raw `params._meta.progressToken` of a request.
pub(crate) fn progress_token(params: &str) -> Option<&str> {
    // Most requests have none, and to see that takes far less time than to read all of what may be large arguments.
    if !may_name(params, b"progressToken") {
        return None;
    }
    let params = Object::read(params).ok()?;
    Object::read(params.get("_meta")?).ok()?.get("progressToken")
}

/// The raw `params.requestId` of `notifications/cancelled`.
pub(crate) fn requested_id(params: &str) -> Option<&str> {
    Object::read(params).ok()?.get("requestId")
}

/// Whether a member may be called this. A name can also be written with escapes.
fn may_name(text: &str, name: &[u8]) -> bool {
    let occurs = |needle| memmem::find(text.as_bytes(), needle).is_some();
    occurs(name) || occurs(b"\\u")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_token_however_its_name_is_written() {
        assert_eq!(progress_token(r#"{"_meta":{"progressToken":7}}"#), Some("7"));
        assert_eq!(progress_token(r#"{"_meta":{"progress\u0054oken":"a"}}"#), Some("\"a\""));
        assert_eq!(progress_token(r#"{"a":"progressToken","_meta":{}}"#), None);
        assert_eq!(progress_token(r#"{"a":1}"#), None);
    }
}
