//! Requests that the fast path accepts, and those that it waits for, must be the same for hyper.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use proxy_server::fuzz::{NotAccepted, request_head};

fuzz_target!(|text: &[u8]| {
    let read = match request_head(text) {
        Ok(read) => read,
        Err(NotAccepted::LeftToHyper) => return,
        Err(NotAccepted::Incomplete) => {
            let seen = reference::hyper::request(text);
            assert!(seen.is_none(), "waits for more of a complete request: {seen:?}");
            return;
        }
    };
    // The gateway leaves all other targets to hyper (`endpoint` in its router).
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    if !read.path.starts_with('/') || !read.path.bytes().all(is_plain) {
        return;
    }
    let seen = reference::hyper::request(text).expect("hyper refuses a request that the fast path accepts");
    assert_eq!((read.method.as_str(), read.path.as_str()), (seen.method.as_str(), seen.target.as_str()));
    assert_eq!(seen.body_bytes, Some(read.body_bytes as u64), "length of the body");
    let received = &text[read.head_bytes..];
    assert_eq!(seen.body, received[..read.body_bytes.min(received.len())], "body");
    let mut fields = BTreeMap::<String, Vec<Vec<u8>>>::new();
    for (name, value) in read.fields {
        fields.entry(name.to_ascii_lowercase()).or_default().push(value);
    }
    let seen = seen.fields.keys().map(|name| {
        let values = seen.fields.get_all(name).iter().map(|value| value.as_bytes().to_vec());
        (name.as_str().to_owned(), values.collect())
    });
    assert_eq!(fields, seen.collect(), "header fields");
});
