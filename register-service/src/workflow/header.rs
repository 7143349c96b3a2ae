//! Checks and normalizes names and values of HTTP headers.

/// Headers that the gateway's HTTP client sets itself.
const RESERVED: [&str; 4] = ["host", "content-length", "connection", "transfer-encoding"];

/// Returns a header name in its usual spelling: `x-api-key` is `X-Api-Key`.
pub(crate) fn canonical(name: &str) -> String {
    let mut start = true;
    let letter = |c: char| {
        let changed = if start { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
        start = c == '-';
        changed
    };
    name.trim().chars().map(letter).collect()
}

/// Returns the reason why a header cannot be sent, if there is one. `name` is canonical.
pub(super) fn fault(name: &str, value: &str) -> Option<&'static str> {
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() {
        Some("its name is empty")
    } else if !name.bytes().all(is_token) {
        Some("its name holds a character that HTTP does not allow")
    } else if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
        Some("the gateway sets it itself")
    } else if value.contains(['\r', '\n']) {
        Some("its value holds a line break")
    } else if value.bytes().any(|b| (b < b' ' && b != b'\t') || b == 0x7f) {
        Some("its value holds a control character")
    } else {
        None
    }
}

/// Returns the header that a variable of an HTTP entry was meant as, if its name is that of a header.
pub(super) fn promoted(variable: &str) -> Option<String> {
    let name = variable.trim().to_ascii_lowercase();
    (name == "authorization" || name.starts_with("x-")).then(|| canonical(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_names_as_people_expect_them() {
        for (name, expected) in [("x-api-key", "X-Api-Key"), ("AUTHORIZATION", "Authorization"), (" a ", "A")] {
            assert_eq!(canonical(name), expected);
        }
    }

    #[test]
    fn says_why_a_header_cannot_be_sent() {
        assert_eq!(fault("X-Ok", "v\tw"), None);
        assert_eq!(fault("", "v"), Some("its name is empty"));
        assert_eq!(fault("X Y", "v"), Some("its name holds a character that HTTP does not allow"));
        assert_eq!(fault("Content-Length", "3"), Some("the gateway sets it itself"));
        assert_eq!(fault("X-Ok", "a\r\nb"), Some("its value holds a line break"));
        assert_eq!(fault("X-Ok", "a\0b"), Some("its value holds a control character"));
    }

    #[test]
    fn knows_variables_that_were_meant_as_headers() {
        assert_eq!(promoted("X-API-Key").as_deref(), Some("X-Api-Key"));
        assert_eq!(promoted("authorization").as_deref(), Some("Authorization"));
        assert_eq!(promoted("TOKEN"), None);
        assert_eq!(promoted("XTOKEN"), None);
    }
}
