//! Explains a 401 by the challenge of the response (RFC 9110, 11.6.1).

/// Maximum number of characters of a scheme or an address in the text.
const SHOWN: usize = 200;

/// Names the credentials that a server requires, and where to declare them.
pub(super) fn next_step(challenge: Option<&[u8]>) -> String {
    let challenge = challenge.map(String::from_utf8_lossy).unwrap_or_default();
    let scheme: String = challenge.split([' ', ',']).next().unwrap_or_default().chars().take(SHOWN).collect();
    let declared = match scheme.to_ascii_lowercase().as_str() {
        "" => {
            return "; it does not say which credentials it wants: most servers take `headers.Authorization`, \
                    `Bearer TOKEN`, in the definition"
                .to_owned();
        }
        "bearer" => "set `headers.Authorization` to `Bearer TOKEN` in the definition".to_owned(),
        "basic" => "set `headers.Authorization` in the definition, or put user and password into its `url`".to_owned(),
        other if is_scheme(other) => format!("set the header that `{scheme}` needs in `headers` of the definition"),
        _ => "set `headers.Authorization` in the definition".to_owned(),
    };
    let scheme = if is_scheme(&scheme) { scheme } else { "another scheme".to_owned() };
    let fault = parameter(&challenge, "error").map(|error| format!(" ({error})")).unwrap_or_default();
    let login =
        ["resource_metadata", "authorization_uri", "as_uri"].iter().find_map(|name| parameter(&challenge, name));
    let login =
        login.map(|uri| format!("; its login is described at {}", schemas::redact_url(&uri))).unwrap_or_default();
    let scope = parameter(&challenge, "scope").map(|scope| format!(", with the scope `{scope}`")).unwrap_or_default();
    format!("; it wants `{scheme}`{fault}: {declared}{scope}{login}")
}

fn is_scheme(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte))
}

/// Returns the value of a parameter without its quotes, truncated.
fn parameter(challenge: &str, name: &str) -> Option<String> {
    let at = challenge.match_indices(name).find(|(at, _)| {
        let before = challenge.get(..*at).unwrap_or_default();
        let after = challenge.get(at + name.len()..).unwrap_or_default();
        before.ends_with([' ', ',']) && after.trim_start().starts_with('=')
    });
    let rest = challenge.get(at?.0 + name.len()..)?.trim_start().strip_prefix('=')?.trim_start();
    let value = match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => rest.split([',', ' ']).next(),
    };
    let value: String = value?.chars().filter(|letter| !letter.is_control()).take(SHOWN).collect();
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(challenge: &str, expected: &[&str]) {
        let told = next_step((!challenge.is_empty()).then_some(challenge.as_bytes()));
        for words in expected {
            assert!(told.contains(words), "{challenge}: {told}");
        }
    }

    #[test]
    fn the_scheme_and_the_header_are_named() {
        check("", &["does not say which", "`headers.Authorization`"]);
        check("Bearer", &["it wants `Bearer`: set `headers.Authorization` to `Bearer TOKEN`"]);
        check(
            "Bearer error=\"invalid_token\", resource_metadata=\"https://x.example/.well-known/m?k=hush\", scope=\"a b\"",
            &["(invalid_token)", "described at https://x.example/.well-known/m?k=[redacted]", "scope `a b`"],
        );
        check("basic realm=\"x\"", &["it wants `basic`", "user and password into its `url`"]);
        check("ApiKey header=X-Api-Key", &["it wants `ApiKey`", "the header that `ApiKey` needs"]);
        check("\u{1}bad\u{7} x", &["it wants `another scheme`"]);
    }
}
