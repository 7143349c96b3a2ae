//! Methods of the protocol.

/// Requests of all revisions that clients send to servers.
const METHODS: &[&str] = &[
    "completion/complete",
    "initialize",
    "logging/setLevel",
    "ping",
    "prompts/get",
    "prompts/list",
    "resources/directory/read",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/templates/list",
    "resources/unsubscribe",
    "server/discover",
    "skills/get",
    "skills/list",
    "subscriptions/listen",
    "tasks/cancel",
    "tasks/get",
    "tasks/list",
    "tasks/result",
    "tasks/update",
    "tools/call",
    "tools/list",
];

/// Returns the method if it is one of the protocol's, else `other`: clients may send any text.
pub(crate) fn method_label(method: &str) -> &'static str {
    METHODS.binary_search(&method).ok().and_then(|at| METHODS.get(at)).copied().unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_told_from_other_texts() {
        assert!(METHODS.is_sorted());
        for method in METHODS {
            assert_eq!(method_label(method), *method);
        }
        for other in ["", "tools/Call", "tools/call ", "x"] {
            assert_eq!(method_label(other), "other");
        }
    }
}
