//! The protocol revisions that a server supports.

use super::{Kind, LATEST_MODERN, Message, Object, UNSUPPORTED_VERSION, is_known};

/// Supported revisions, as far as the gateway speaks them too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offer {
    /// True if the newest modern revision, [`LATEST_MODERN`], is supported.
    pub(crate) is_modern: bool,
    /// True if at least one legacy revision is supported.
    pub(crate) is_legacy: bool,
}

impl Offer {
    /// Reads `supportedVersions` of a response to `server/discover`, or `data.supported` of the error
    /// [`UNSUPPORTED_VERSION`] (2026-07-28, basic). `None` for any other response.
    pub(crate) fn read(answer: &Message) -> Option<Self> {
        let body = Object::read(answer.body()).ok()?;
        let versions = match answer.kind() {
            Kind::Result => body.get("supportedVersions")?,
            Kind::Error if answer.error_code() == Some(UNSUPPORTED_VERSION) => {
                Object::read(body.get("data")?).ok()?.get("supported")?
            }
            Kind::Error | Kind::Request | Kind::Notification => return None,
        };
        let versions: Vec<String> = serde_json::from_str(versions).ok()?;
        Some(Self {
            is_modern: versions.iter().any(|version| version == LATEST_MODERN),
            is_legacy: versions.iter().any(|version| is_known(version)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: Option<(bool, bool)>) {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,{body}}}"#);
        let offer = Offer::read(&Message::parse(text.clone().into()).expect("a message"));
        assert_eq!(offer.map(|offer| (offer.is_modern, offer.is_legacy)), expected, "{text}");
    }

    #[test]
    fn a_server_names_its_revisions_in_a_result_or_in_the_error_for_them() {
        check(r#""result":{"supportedVersions":["2026-07-28"]}"#, Some((true, false)));
        check(r#""result":{"supportedVersions":["2025-11-25","2026-07-28","2099-01-01"]}"#, Some((true, true)));
        check(r#""result":{"supportedVersions":["2099-01-01"]}"#, Some((false, false)));
        check(r#""error":{"code":-32022,"message":"no","data":{"supported":["2026-07-28"]}}"#, Some((true, false)));
        check(r#""error":{"code":-32022,"message":"no","data":{"supported":["2024-11-05"]}}"#, Some((false, true)));
    }

    #[test]
    fn other_answers_offer_nothing() {
        check(r#""result":{}"#, None);
        check(r#""result":{"supportedVersions":"2026-07-28"}"#, None);
        check(r#""error":{"code":-32022,"message":"no"}"#, None);
        check(r#""error":{"code":-32022,"message":"no","data":["2026-07-28"]}"#, None);
        check(r#""error":{"code":-32601,"message":"no","data":{"supported":["2026-07-28"]}}"#, None);
    }
}
