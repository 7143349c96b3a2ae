//! Recognises requests that a proxy forwards, by the header fields that only proxies add.

/// Prefixes of the names of header fields that proxies, load balancers and content networks add to forwarded requests,
/// by first letter.
const FORWARDING: [(u8, &[&str]); 13] = [
    (b'b', &["bigip"]),
    (b'c', &["cf-", "cdn-", "client-ip", "cloudfront-"]),
    (b'd', &["do-connecting-ip"]),
    (b'f', &["forwarded", "fastly-", "fly-", "front-end-https"]),
    (b'h', &["http-x-forwarded", "http-via"]),
    (b'i', &["incap-"]),
    (b'm', &["max-forwards"]),
    (b'n', &["ngrok-"]),
    (b'p', &["proxy-"]),
    (b's', &["surrogate-"]),
    (b't', &["true-client", "tailscale-"]),
    (b'v', &["via"]),
    (
        b'x',
        &[
            "x-forward",
            "x-original-",
            "x-real-",
            "x-client-",
            "x-cluster-",
            "x-remote-",
            "x-originating-",
            "x-proxy",
            "x-envoy-",
            "x-varnish",
            "x-arr-",
            "x-azure-",
            "x-amzn-",
            "x-appengine-",
            "x-cloud-",
            "x-vercel-",
            "x-nf-",
            "x-scheme",
            "x-url-scheme",
            "x-host",
            "x-nginx-",
            "x-rewrite-",
            "x-request-start",
            "x-ssl-",
            "x-sent-by",
        ],
    ),
];

/// True if only proxies add this header field.
pub(crate) fn is_of_a_proxy(name: &str) -> bool {
    let name = name.as_bytes();
    let begins =
        |start: &&str| name.get(..start.len()).is_some_and(|first| first.eq_ignore_ascii_case(start.as_bytes()));
    let letter = name.first().map(u8::to_ascii_lowercase);
    FORWARDING.iter().any(|(first, starts)| Some(*first) == letter && starts.iter().any(begins))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_a_proxy_adds_shows_that_the_request_is_forwarded() {
        for name in [
            "x-forwarded-for",
            "X-Forwarded-Host",
            "x-forwarded-server",
            "Forwarded",
            "via",
            "X-Real-IP",
            "x-client-ip",
            "True-Client-IP",
            "CF-Connecting-IP",
            "cf-ray",
            "x-original-uri",
            "Max-Forwards",
            "proxy-connection",
            "proxy-authorization",
            "X-Varnish",
            "x-envoy-internal",
            "surrogate-capability",
            "x-cluster-client-ip",
            "fastly-client-ip",
            "x-amzn-trace-id",
            "client-ip",
            "cdn-loop",
            "forwarded-for",
            "x-proxyuser-ip",
        ] {
            assert!(is_of_a_proxy(name), "{name}");
        }
        for name in ["user-agent", "accept-encoding", "x-api-key", "traceparent", "x", "", "x-request-id", "pragma"] {
            assert!(!is_of_a_proxy(name), "{name}");
        }
    }
}
