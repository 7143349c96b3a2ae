//! The shared state of the queue of events, with its lock, waker and counter, in all interleavings.
#![cfg(all(loom, test))]

#[path = "../../../proxy-server/src/upstream/events/monitor.rs"]
mod monitor;

use std::collections::VecDeque;
use std::future::poll_fn;

use loom::future::block_on;
use loom::sync::Arc;
use loom::thread;

use self::monitor::Monitor;

type Queue = Monitor<VecDeque<u8>>;

fn put(queue: &Queue, event: u8) {
    let mut state = queue.lock();
    state.push_back(event);
    state.wake();
}

/// Reads until all writers are gone.
async fn read_all(queue: &Queue) -> Vec<u8> {
    let mut seen = Vec::new();
    while let Some(event) = poll_fn(|context| queue.poll_take(context, VecDeque::pop_front)).await {
        seen.push(event);
    }
    seen
}

#[test]
fn a_reader_gets_every_event_in_order_and_the_end() {
    loom::model(|| {
        let queue = Arc::new(Queue::new());
        let writer = Arc::clone(&queue);
        let writing = thread::spawn(move || {
            put(&writer, 1);
            put(&writer, 2);
            writer.remove_writer();
        });
        assert_eq!(block_on(read_all(&queue)), [1, 2]);
        writing.join().expect("no panic");
    });
}

#[test]
fn a_reader_gets_the_events_of_all_writers_whichever_leaves_last() {
    // All interleavings of three threads take hours. Most mistakes show with two preemptions.
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(|| {
        let queue = Arc::new(Queue::new());
        queue.add_writer();
        let writing = [1, 2].map(|event| {
            let writer = Arc::clone(&queue);
            thread::spawn(move || {
                put(&writer, event);
                writer.remove_writer();
            })
        });
        let mut seen = block_on(read_all(&queue));
        seen.sort_unstable();
        assert_eq!(seen, [1, 2]);
        for writing in writing {
            writing.join().expect("no panic");
        }
    });
}

#[test]
fn a_reader_that_cancels_its_wait_can_wait_again() {
    loom::model(|| {
        let queue = Arc::new(Queue::new());
        let writer = Arc::clone(&queue);
        let writing = thread::spawn(move || {
            put(&writer, 1);
            writer.remove_writer();
        });
        let seen = block_on(async {
            let first = poll_fn(|context| {
                let taken = queue.poll_take(context, VecDeque::pop_front);
                drop(queue.lock().forget_reader());
                std::task::Poll::Ready(taken)
            });
            match first.await {
                std::task::Poll::Ready(event) => event.into_iter().chain(read_all(&queue).await).collect(),
                std::task::Poll::Pending => read_all(&queue).await,
            }
        });
        assert_eq!(seen, [1]);
        writing.join().expect("no panic");
    });
}
