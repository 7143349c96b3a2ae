//! Events must be those of a plain reader, in whatever pieces they arrive. Only an event over the limit may be missing.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use proxy_server::fuzz::{Event, events};
use reference::events::{Block, blocks};

fuzz_target!(|input: &[u8]| {
    let Some((pieces, text)) = reference::pieces(input) else { return };
    let blocks = blocks(text);
    let expected: Vec<Option<Event>> = blocks.iter().filter_map(|block| block.event.clone()).map(Some).collect();
    assert_eq!(events([text].into_iter(), usize::MAX), expected, "at once");
    assert_eq!(events(pieces, usize::MAX), expected, "in pieces");
    // The gateway's limits are far above the length of a byte order mark.
    let limit = 3 + usize::from(input[0] / 2);
    for read in [events([text].into_iter(), limit), events(reference::pieces(input).expect("long enough").0, limit)] {
        assert!(is_within(limit, &blocks, &read), "limit {limit}: {read:#?} of {blocks:#?}");
    }
});

/// True if the events can be those of the blocks: one whose data is over the limit is reported, one whose lines are
/// within it is not, and those between may be, because the rest of a line is unknown before its end arrives. Such a line
/// can be that of an id, so ids are not compared.
fn is_within(limit: usize, blocks: &[Block], read: &[Option<Event>]) -> bool {
    let mut ends = BTreeSet::from([0]);
    for Block { event, bytes, data_bytes } in blocks {
        let after = |end: usize| {
            let reported = (*bytes > limit && read.get(end) == Some(&None)).then_some(end + 1);
            let is_it = |it: &Event| matches!(read.get(end), Some(Some(found)) if without_id(found) == without_id(it));
            let is_read = *data_bytes <= limit && event.as_ref().is_none_or(is_it);
            let passed = is_read.then_some(end + usize::from(event.is_some()));
            [reported, passed].into_iter().flatten()
        };
        ends = ends.into_iter().flat_map(after).collect();
    }
    ends.contains(&read.len())
}

fn without_id(event: &Event) -> Event {
    Event { last_id: None, ..event.clone() }
}
