use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::telemetry::audit::{Actor, EventType};

fn entry(subject: &str) -> Entry {
    Entry::new(EventType::Registered, &Actor::Gateway, Timestamp::UNIX_EPOCH).about(subject)
}

/// Returns a chain of records about these subjects, as lines without their ends.
fn chain(subjects: &[&str]) -> (Vec<Vec<u8>>, Head) {
    let mut head = Head::default();
    let lines = subjects.iter().map(|subject| head.append(&entry(subject)).expect("a line"));
    let lines = lines.map(|line| line.trim_ascii_end().to_vec()).collect();
    (lines, head)
}

fn verify(lines: &[Vec<u8>]) -> Result<Head, (usize, Broken)> {
    let mut verifier = Verifier::after(Head::default());
    for (index, line) in lines.iter().enumerate() {
        verifier.line(line).map_err(|broken| (index, broken))?;
    }
    Ok(verifier.head().0.clone())
}

#[test]
fn a_chain_is_verified_to_its_end() {
    let (lines, head) = chain(&["a", "b", "c"]);
    assert_eq!(verify(&lines), Ok(head));
    let first = std::str::from_utf8(&lines[0]).expect("text");
    assert_eq!(
        first,
        r#"{"seq":1,"time":"1970-01-01T00:00:00Z","action":"registration.created","actor":{"kind":"gateway"},"subject":"a","prev":"0000000000000000000000000000000000000000000000000000000000000000"}"#
    );
}

#[test]
fn a_line_that_a_crash_has_cut_short_is_accounted_for() {
    let (mut lines, mut head) = chain(&["a"]);
    let torn = br#"{"seq":2,"time":"19"#.to_vec();
    let recovered = Entry::new(EventType::Recovered, &Actor::Gateway, Timestamp::UNIX_EPOCH);
    let recovered = recovered.with("torn", Digest::of(&torn).to_string());
    let next = head.append(&recovered).expect("a line").trim_ascii_end().to_vec();
    lines.push(torn.clone());
    assert_eq!(Verifier::after(Head::default()).line(&torn), Ok(()), "its record is still to come");
    lines.push(next.clone());
    assert_eq!(verify(&lines), Ok(head));
    let without = [lines[0].clone(), next];
    assert!(verify(&without).is_ok(), "what was cut short is no record");
    let (others, _) = chain(&["a", "b"]);
    assert_eq!(verify(&[others[0].clone(), torn.clone(), others[1].clone()]), Err((2, Broken::Torn)));
    assert_eq!(verify(&[others[0].clone(), torn.clone(), torn]), Err((2, Broken::NoRecord)));
}

proptest! {
    #[test]
    fn whatever_is_removed_edited_or_moved_is_found(
        count in 2_usize..12, at in 0_usize..12, other in 0_usize..12, change in 0_u8..5, byte in any::<u8>(), place in any::<usize>(),
    ) {
        let subjects: Vec<String> = (0..count).map(|number| number.to_string()).collect();
        let (mut lines, head) = chain(&subjects.iter().map(String::as_str).collect::<Vec<_>>());
        let before = lines.clone();
        let (at, other) = (at % count, other % count);
        match change {
            0 => drop(lines.remove(at)),
            1 => lines.swap(at, other),
            2 => {
                let place = place % lines[at].len();
                lines[at][place] = byte;
            }
            3 => lines.insert(at, before[other].clone()),
            _ => lines.truncate(at),
        }
        if lines != before {
            prop_assert_ne!(verify(&lines), Ok(head));
        } else {
            prop_assert_eq!(verify(&lines), Ok(head));
        }
    }
}
