use std::time::Duration;

use tokio::time::{Instant, advance};

use super::Pulse;

/// Returns the pauses before comments, initially and after each of these silences (in ms) followed by a write.
async fn pauses(interval: u64, silences: &[u64]) -> Vec<u128> {
    let mut pulse = Pulse::new(Duration::from_millis(interval), Instant::now());
    let mut found = vec![pulse.pause().as_millis()];
    for silence in silences {
        advance(Duration::from_millis(*silence)).await;
        pulse.written();
        found.push(pulse.pause().as_millis());
    }
    found
}

#[tokio::test(start_paused = true)]
async fn a_comment_after_a_long_silence_is_followed_by_a_second_one() {
    assert_eq!(pauses(5000, &[5000, 250, 5000, 250]).await, [5000, 250, 5000, 250, 5000]);
}

#[tokio::test(start_paused = true)]
async fn a_message_after_a_long_silence_is_followed_by_a_comment() {
    assert_eq!(pauses(5000, &[4900, 100, 100, 1000, 250]).await, [5000, 250, 5000, 5000, 250, 5000]);
}

#[tokio::test(start_paused = true)]
async fn messages_that_follow_each_other_need_no_comments() {
    assert_eq!(pauses(5000, &[10, 900, 300, 999]).await, [5000; 5]);
}

#[tokio::test(start_paused = true)]
async fn a_short_interval_is_never_exceeded() {
    assert_eq!(pauses(100, &[100, 2000, 100]).await, [100; 4]);
}
