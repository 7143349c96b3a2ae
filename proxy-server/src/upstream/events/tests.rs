use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use futures_util::FutureExt;
use tokio::task::yield_now;
use tokio::time::sleep;

use super::*;
use crate::upstream::question::Question;

/// Size of ten events of one digit.
const LIMIT: usize = 10 * (OVERHEAD + 1);
const SECOND: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn event(number: usize) -> Event {
    Event::Notification(Bytes::from(number.to_string()))
}

fn text(event: Option<Event>) -> Option<String> {
    match event? {
        Event::Notification(text) => Some(String::from_utf8_lossy(&text).into_owned()),
        Event::Question(question) => Some(format!("question {}", question.serial)),
    }
}

fn rest(queue: &mut EventQueue) -> Vec<String> {
    std::iter::from_fn(|| text(queue.try_recv())).collect()
}

/// Creates a queue that exceeds its limit.
fn crowded() -> (Events, EventQueue) {
    let (events, queue) = event_queue();
    let crowded: Vec<bool> = (0..11).map(|one| events.put(event(one % 10), LIMIT).expect("a reader")).collect();
    assert_eq!(crowded.iter().filter(|crowded| **crowded).count(), 1, "only the last is too much");
    (events, queue)
}

#[tokio::test]
async fn events_come_in_order_and_end_with_their_writers() {
    let (first, mut queue) = event_queue();
    let second = first.clone();
    assert!(queue.try_recv().is_none());
    let reading = async move {
        let mut seen = Vec::new();
        while let Some(one) = text(queue.recv().await) {
            seen.push(one);
        }
        seen
    };
    let writing = async move {
        first.put(event(1), LIMIT).expect("a reader");
        drop(first);
        yield_now().await;
        second.put(event(2), LIMIT).expect("a reader");
        yield_now().await;
    };
    assert_eq!(tokio::join!(reading, writing).0, ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn whoever_fills_a_queue_of_its_own_waits_for_its_reader_and_nothing_is_lost() {
    let (events, mut queue) = crowded();
    let mut waiting = Box::pin(events.room(LIMIT));
    assert!(waiting.as_mut().now_or_never().is_none());
    sleep(3600 * SECOND).await;
    for _ in 0..6 {
        assert!(waiting.as_mut().now_or_never().is_none(), "until half of it is free");
        assert!(queue.try_recv().is_some());
    }
    waiting.await;
    events.put(event(7), LIMIT).expect("a reader");
    assert_eq!(rest(&mut queue), ["6", "7", "8", "9", "0", "7"]);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_holds_up_others_for_a_second_and_is_told_of_the_loss() {
    let (events, mut queue) = crowded();
    let began = Instant::now();
    events.room_for_others(LIMIT).await;
    assert_eq!(began.elapsed(), SECOND);
    for one in 0..5 {
        assert!(!events.put(event(one), LIMIT).expect("a reader"), "nobody is to wait again");
        events.put_progress(Bytes::from(format!("progress {one}")), LIMIT).expect("a reader");
        events.room_for_others(LIMIT).await;
    }
    assert_eq!(began.elapsed(), SECOND);
    assert_eq!(text(queue.try_recv()).as_deref(), Some("0"));
    events.put(event(8), LIMIT).expect("a reader");
    let rest = rest(&mut queue);
    let [.., lost, progress, last] = rest.as_slice() else { panic!("{rest:?}") };
    assert!(lost.contains("5 messages were left out here"), "{lost}");
    assert_eq!((rest.len(), progress.as_str(), last.as_str()), (13, "progress 4", "8"));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_goes_on_taking_is_waited_for_but_not_for_ever() {
    let (events, mut queue) = crowded();
    let reading = async {
        loop {
            sleep(SECOND / 2).await;
            assert!(queue.recv().await.is_some());
        }
    };
    let writing = async {
        let began = Instant::now();
        events.room_for_others(LIMIT).await;
        assert_eq!(began.elapsed(), 3 * SECOND, "six events were taken");
        loop {
            if events.put(event(1), LIMIT).expect("a reader") {
                events.room_for_others(LIMIT).await;
            }
            if events.0.state().crowd().is_stalled {
                return began.elapsed();
            }
        }
    };
    let paused = tokio::select! {
        () = reading => unreachable!("it reads for ever"),
        paused = writing => paused,
    };
    assert!((MAX_PAUSE..MAX_PAUSE + 2 * SECOND).contains(&paused), "{paused:?}");
}

#[tokio::test]
async fn questions_are_put_even_to_a_reader_that_is_behind_but_not_without_end() {
    let (events, mut queue) = crowded();
    events.0.state().crowd().is_stalled = true;
    let mut answers = Vec::new();
    let refused = loop {
        let (question, answer) = Question::ask("roots/list", "");
        match events.put(Event::Question(question), LIMIT) {
            Ok(_) => answers.push(answer),
            Err(Unread) => break answer,
        }
        assert!(answers.len() * OVERHEAD <= (MOST + 1) * LIMIT, "it takes questions without end");
    };
    assert!(refused.await.is_err(), "whoever asks is told");
    let asked = rest(&mut queue).iter().filter(|text| text.starts_with("question")).count();
    assert_eq!((asked, asked * OVERHEAD >= LIMIT), (answers.len(), true));
}

#[tokio::test]
async fn a_writer_that_waits_for_nobody_fills_no_queue_without_end() {
    let (events, mut queue) = event_queue();
    for _ in 0..1000 {
        events.put(event(1), LIMIT).expect("a reader");
    }
    let held = rest(&mut queue);
    assert!((MOST * 10..MOST * 10 + 5).contains(&held.len()), "{}", held.len());
    assert!(held.last().is_some_and(|last| last.contains("were left out here")));
}

#[test]
fn only_who_waits_is_woken() {
    let (events, mut queue) = event_queue();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    assert!(queue.poll_recv(&mut context).is_pending());
    assert!(queue.try_recv().is_none());
    drop(events.clone());
    drop(events);
    assert_eq!(woken.0.load(Ordering::Relaxed), 0);
    assert!(queue.poll_recv(&mut context).is_ready());
}

#[tokio::test]
async fn what_nobody_reads_is_not_taken_and_not_waited_for() {
    let (events, queue) = crowded();
    let other = events.clone();
    let leaving = async move {
        yield_now().await;
        drop(queue);
    };
    tokio::join!(other.room(LIMIT), leaving);
    other.room_for_others(LIMIT).await;
    assert!(events.put(event(0), LIMIT).is_err());
}
