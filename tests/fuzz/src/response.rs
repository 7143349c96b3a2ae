//! Responses must be the same in whatever pieces they arrive, and the same for hyper if it accepts them, too.
#![no_main]

use http::HeaderName;
use libfuzzer_sys::fuzz_target;
use proxy_server::fuzz::{End, response};

fuzz_target!(|input: &[u8]| {
    let Some((pieces, text)) = reference::pieces(input) else { return };
    let seen = reference::hyper::response(text);
    let names: Vec<HeaderName> = seen.iter().flat_map(|seen| seen.fields.keys().cloned()).collect();
    let whole = response([text].into_iter(), &names);
    assert_eq!(whole, response(pieces, &names), "in pieces");
    let (Some(read), Some(seen)) = (whole, seen) else { return };
    let is_complete = matches!(read.end, End::Complete(_) | End::WithConnection);
    if !(is_complete && seen.is_complete) {
        return;
    }
    assert_eq!((read.status, &read.body), (seen.status, &seen.body));
    for (name, values) in names.iter().zip(&read.fields) {
        let seen: Vec<&[u8]> = seen.fields.get_all(name).iter().map(|value| value.as_bytes()).collect();
        assert_eq!(*values, seen, "{name}");
    }
});
