use super::*;

/// Builds the history of a store whose changes have these ids, from version 1 on.
fn history(changes: &[&str]) -> History {
    let numbered = (1..).zip(changes).map(|(version, change)| (version, (*change).to_owned()));
    History {
        version: changes.len() as u64,
        last: changes.last().map(|change| (*change).to_owned()),
        changes: numbered.collect(),
        entry: format!("{}-0", changes.len()),
    }
}

/// Returns a position at the end of these changes.
fn position(changes: &[&str]) -> Position {
    let mut position = Position::default();
    assert_eq!(position.follow(&history(&changes[..1])), None, "there was nothing to lose");
    for (version, change) in (1..).zip(changes) {
        position.version = version;
        position.know(version, change);
    }
    position
}

fn check(known: &[&str], found: &[&str], expected: Option<Loss>) {
    assert_eq!(position(known).follow(&history(found)), expected, "{known:?} {found:?}");
}

#[test]
fn a_store_that_has_lost_changes_is_told_from_one_that_others_have_changed() {
    check(&["a", "b"], &["a", "b"], None);
    check(&["a", "b"], &["a", "b", "c"], None);
    check(&["a", "b", "c"], &["a", "b"], Some(Loss::Newest));
    check(&["a", "b", "c"], &["a", "x"], Some(Loss::Diverged));
    check(&["a", "b"], &["a", "x"], Some(Loss::Diverged));
    check(&["a", "b"], &["a", "x", "y"], Some(Loss::Diverged));
    check(&["a", "b"], &[], Some(Loss::Diverged));
    check(&["a", "b"], &["x"], Some(Loss::Diverged));
}

#[test]
fn a_loss_is_remembered_until_it_is_made_good() {
    let mut position = position(&["a", "b", "c"]);
    assert_eq!(position.follow(&history(&["a", "b"])), Some(Loss::Newest));
    assert_eq!(
        position.follow(&history(&["a", "b"])),
        Some(Loss::Newest),
        "the attempt to store them again has failed"
    );
    assert_eq!(position.follow(&history(&["a", "x"])), Some(Loss::Diverged));
    position.loss = None;
    assert_eq!(position.follow(&history(&["a", "x", "y"])), None);
}

#[test]
fn an_entry_of_another_history_asks_for_a_reading_and_does_not_change_what_is_known() {
    let mut position = position(&["a", "b"]);
    position.see(2, "b");
    assert_eq!(position.seen, position.version);
    position.see(2, "x");
    assert_ne!(position.seen, position.version);
    assert_eq!(position.follow(&history(&["a", "x"])), Some(Loss::Diverged));
}
