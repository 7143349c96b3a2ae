//! Compares the fast path with hyper: both get the same bytes and must give the same responses.
//!
//! `PROPTEST_CASES=100000` runs more cases than usual.

use std::cell::Cell;
use std::mem::MaybeUninit;

use proptest::test_runner::{Config, TestCaseError, TestRunner};

use super::requests::{Sent, sent};
use super::transcript::{Response, Transcript};
use super::{Reader, Server, runtime};
use crate::http::server::request_head::{self, MAX_FIELDS};

/// Number of cases unless `PROPTEST_CASES` sets another.
const CASES: u32 = 6_000;
const SHRINK_STEPS: u32 = 4_000;
const MAX_ATTEMPTS: u32 = 5;

/// Difference between the two, which must be one on purpose.
#[derive(Debug, Clone, Copy)]
enum Difference {
    None,
    /// Both refuse a request by its head. hyper then closes the connection, because nobody has read the body. The fast
    /// path skips a short body, whose length is certain, so that the client need not open another connection.
    KeptOpen,
    /// hyper refuses the last head in at least one of them, with different statuses, or the other is silent because the
    /// head is cut off; neither answers anything else. The fast path parses a head with every read, while hyper parses
    /// the beginning of a head once, and then not before its end, so that its own response depends on the pieces that
    /// it reads.
    Malformed,
}

#[test]
fn the_fast_path_reads_what_hyper_reads() {
    let runtime = runtime();
    let server = runtime.block_on(Server::bind());
    let counts: [Cell<u32>; 3] = Default::default();
    let ran = TestRunner::new(config()).run(&sent(), |sent| {
        let mut attempts = 1;
        loop {
            match runtime.block_on(compare(&server, &sent)) {
                Ok(difference) => break counts[difference as usize].update(|count| count + 1),
                // hyper closes the connection after a refusal of its own, although bytes are unread, and the reset can
                // then overtake a response.
                Err([fast, slow]) if (fast.is_reset || slow.is_reset) && attempts < MAX_ATTEMPTS => attempts += 1,
                Err([fast, slow]) => return Err(TestCaseError::fail(format!("\nfast: {fast:#?}\nslow: {slow:#?}"))),
            }
        }
        Ok(())
    });
    println!("no difference, kept open, malformed: {counts:?}");
    ran.unwrap_or_else(|error| panic!("{error}"));
}

/// Compares what both make of these bytes. Returns what is left to compare if they differ in any other way.
async fn compare(server: &Server, sent: &Sent) -> Result<Difference, [Transcript; 2]> {
    let (pieces, mut text, mut difference) = (sent.pieces(), sent.text.as_slice(), Difference::None);
    let mut fast = server.exchange(Reader::FastPath, &pieces).await;
    let mut slow = server.exchange(Reader::Hyper, &pieces).await;
    loop {
        if fast.is_same(&slow) {
            return Ok(difference);
        }
        if well_formed(&fast) == well_formed(&slow) && fast.is_whole() && slow.is_whole() {
            return Ok(Difference::Malformed);
        }
        if !is_kept_open(&fast, &slow) {
            return Err([fast, slow]);
        }
        // The responses behind the refusal must be those to the bytes behind the refused request.
        difference = Difference::KeptOpen;
        text = behind(text, slow.responses.len());
        fast.responses.drain(..slow.responses.len());
        slow = server.exchange(Reader::Hyper, &[text]).await;
    }
}

/// True if both end alike up to the last response of hyper, which is a refusal that closes the connection.
fn is_kept_open(fast: &Transcript, slow: &Transcript) -> bool {
    let Some((last, before)) = slow.responses.split_last() else { return false };
    let Some((same, rest)) = fast.responses.split_at_checked(before.len()) else { return false };
    let is_refusal = [401, 413].contains(&last.status) && last.closes();
    let is_kept = rest.first().is_some_and(|refusal| !refusal.closes() && *refusal == last.clone().kept_open());
    slow.is_whole() && same == before && is_refusal && is_kept
}

/// Returns the bytes behind a number of requests that the fast path has read.
fn behind(mut text: &[u8], requests: usize) -> &[u8] {
    for _ in 0..requests {
        let mut slots = [const { MaybeUninit::uninit() }; MAX_FIELDS];
        let (head, head_bytes) = request_head::read(text, &mut slots).expect("a request for the fast path");
        text = text.get(head_bytes + head.length..).unwrap_or_default();
    }
    text
}

/// Returns the responses before a refusal of a head by hyper itself.
fn well_formed(transcript: &Transcript) -> &[Response] {
    match transcript.responses.split_last() {
        Some((last, before)) if [400, 431].contains(&last.status) && last.closes() && last.is_empty() => before,
        _ => &transcript.responses,
    }
}

/// Returns the configuration; the number of cases is ours unless the environment sets one.
fn config() -> Config {
    let given = Config { max_shrink_iters: SHRINK_STEPS, failure_persistence: None, ..Config::default() };
    let is_set = given.cases != 256;
    Config { cases: if is_set { given.cases } else { CASES }, ..given }
}
