use futures_util::FutureExt;
use tokio::time::sleep;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(30);
/// Room for ten unread events of one letter, and for eight read events of any size.
const LIMITS: LogLimits = LogLimits { bytes: 10 * (OVERHEAD + 1), events: 8, patience: PATIENCE };

fn log(purpose: Purpose) -> Arc<EventLog> {
    EventLog::new(purpose, LIMITS, &Kept::new(usize::MAX), 0)
}

fn push(log: &EventLog, count: usize) {
    (0..count).for_each(|_| log.push("x".into()));
}

async fn rest(reader: &mut Reader) -> Vec<(u64, Bytes)> {
    let mut events = Vec::new();
    while let Some(event) = reader.next().await {
        events.push(event);
    }
    events
}

#[tokio::test]
async fn a_reader_takes_up_where_the_last_one_stopped() {
    let log = log(Purpose::Call);
    log.push("a".into());
    let mut first = log.read_after(0);
    assert_eq!(first.next().await, Some((1, "a".into())));
    log.push("b".into());
    let mut second = log.read_after(1);
    assert_eq!(first.next().await, None, "an older reader ends");
    log.push("c".into());
    log.complete();
    assert_eq!(rest(&mut second).await, [(2, "b".into()), (3, "c".into())]);
}

#[tokio::test]
async fn what_was_read_is_kept_within_limits_and_the_newest_always() {
    let log = log(Purpose::Call);
    let mut reader = log.read_after(0);
    for number in 1..=20 {
        push(&log, 1);
        assert_eq!(reader.next().await.map(|(number, _)| number), Some(number));
    }
    let mut again = log.read_after(12);
    push(&log, 1);
    assert_eq!(again.next().await.map(|(number, _)| number), Some(13), "eight are kept");
    log.push(Bytes::from(vec![b'x'; LIMITS.bytes + 1]));
    log.complete();
    let rest: Vec<u64> = rest(&mut again).await.into_iter().map(|(number, _)| number).collect();
    assert_eq!(rest, [20, 21, 22], "what nobody has read is kept besides, and the gap is told");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_dropped_that_a_reader_has_not_got() {
    for purpose in [Purpose::Call, Purpose::Session] {
        let log = log(purpose);
        let mut reader = log.read_after(0);
        push(&log, 10);
        assert!(log.has_room(), "{purpose:?}");
        push(&log, 2);
        assert!(!log.has_room(), "{purpose:?}");
        let mut room = Box::pin(log.room());
        sleep(3600 * SECOND).await;
        assert!(
            room.as_mut().now_or_never().is_none(),
            "{purpose:?}: it waits for its reader, however long that takes"
        );
        assert_eq!(reader.next().await, Some((1, "x".into())));
        assert_eq!(reader.next().await, Some((2, "x".into())));
        room.await;
        log.complete();
        assert_eq!(rest(&mut reader).await.len(), 10, "{purpose:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_left_holds_up_its_call_for_a_while_and_is_told_what_it_missed() {
    let log = log(Purpose::Call);
    drop(log.read_after(0));
    push(&log, 11);
    let began = Instant::now();
    log.room().await;
    assert_eq!(began.elapsed(), PATIENCE);
    push(&log, 20);
    assert!(log.has_room());
    log.complete();
    let mut back = log.read_after(0);
    let seen = rest(&mut back).await;
    let (number, told) = seen.first().cloned().expect("an event");
    assert!(String::from_utf8_lossy(&told).contains("23 messages were left out here"), "{told:?}");
    assert_eq!((number, seen.len()), (23, 9));
}

#[tokio::test(start_paused = true)]
async fn a_sessions_own_stream_without_a_reader_holds_up_nobody() {
    let log = log(Purpose::Session);
    push(&log, 50);
    assert!(log.has_room());
    log.complete();
    let seen = rest(&mut log.read_after(0)).await;
    assert_eq!(seen.first().map(|(number, _)| *number), Some(43), "the newest eight");
}

#[tokio::test]
async fn over_the_budget_the_oldest_answer_that_nobody_fetched_is_given_up() {
    let kept = Kept::new(25 * (OVERHEAD + 1));
    let logs: Vec<_> = (0..3).map(|_| EventLog::new(Purpose::Call, LIMITS, &kept, 0)).collect();
    for log in &logs {
        push(log, 8);
        log.complete();
    }
    assert!(logs.iter().all(|log| !log.is_released()));
    let running = EventLog::new(Purpose::Call, LIMITS, &kept, 0);
    let _reader = running.read_after(0);
    push(&running, 8);
    let released: Vec<bool> = logs.iter().map(|log| log.is_released()).collect();
    assert_eq!(released, [true, false, false]);
    assert!(!running.is_released() && running.bytes() > 0);
    drop((logs, running, _reader));
    assert_eq!(kept.used(), 0);
}

#[test]
fn a_small_event_does_not_keep_the_buffer_it_arrived_in() {
    let log = log(Purpose::Session);
    let buffer = Bytes::from(vec![b'x'; 8 * 1024]);
    log.push(buffer.slice(..10));
    assert!(buffer.is_unique(), "no slice of the buffer is left");
}
