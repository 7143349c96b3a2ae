//! Life cycle of an upstream's own session as a pure state machine. The task in `supervisor` performs its actions.

use std::time::Duration;

use schemas::Reconnect;

const FIRST_DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// Maximum delay for an upstream that connects and then ends at once. Longer than for failed connects, because each
/// start wastes CPU.
const LONGEST_DELAY_AFTER_SHORT_SESSIONS: Duration = Duration::from_secs(600);
/// Minimum duration of a session that allows an immediate reconnect.
pub(super) const STABLE: Duration = Duration::from_secs(5);

/// State of an upstream's own session. `failures` counts failed attempts and unstable sessions since the last stable
/// one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Connecting { failures: u32 },
    Connected { failures: u32 },
    Waiting { failures: u32 },
    GaveUp,
}

/// An event from the outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    Connected,
    Failed,
    Lost { lived: Duration },
    RetryDue,
}

/// The next action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Connect,
    Serve,
    /// Wait for this time, then report [`Event::RetryDue`].
    Wait(Duration),
    /// Wait until the definition changes.
    Rest,
}

/// Delays between attempts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Policy {
    first: Duration,
    max: Option<u32>,
}

impl From<&Reconnect> for Policy {
    fn from(reconnect: &Reconnect) -> Self {
        Self { first: reconnect.delay.unwrap_or(FIRST_DELAY).min(LONGEST_DELAY), max: reconnect.max }
    }
}

/// Computes the next state and action. `jitter` in 0..1, drawn by the caller, shortens a delay by up to a fifth.
pub(super) fn step(state: State, event: Event, policy: Policy, jitter: f64) -> (State, Action) {
    match (state, event) {
        (State::Connecting { failures }, Event::Connected) => (State::Connected { failures }, Action::Serve),
        (State::Connecting { failures }, Event::Failed) => wait(failures + 1, policy, LONGEST_DELAY, jitter),
        (State::Connected { .. }, Event::Lost { lived }) if lived >= STABLE => {
            (State::Connecting { failures: 0 }, Action::Connect)
        }
        (State::Connected { failures: 0 }, Event::Lost { .. }) => (State::Connecting { failures: 1 }, Action::Connect),
        (State::Connected { failures } | State::Connecting { failures }, Event::Lost { .. }) => {
            wait(failures + 1, policy, LONGEST_DELAY_AFTER_SHORT_SESSIONS, jitter)
        }
        (State::Waiting { failures }, Event::RetryDue) => (State::Connecting { failures }, Action::Connect),
        (
            State::Connecting { .. } | State::Connected { .. } | State::Waiting { .. } | State::GaveUp,
            Event::Connected | Event::Failed | Event::Lost { .. } | Event::RetryDue,
        ) => (state, Action::Rest),
    }
}

fn wait(failures: u32, policy: Policy, longest: Duration, jitter: f64) -> (State, Action) {
    if policy.max.is_some_and(|max| failures > max) {
        return (State::GaveUp, Action::Rest);
    }
    let doublings = (failures - 1).min(16);
    let delay = policy.first.saturating_mul(1 << doublings).min(longest);
    (State::Waiting { failures }, Action::Wait(delay.mul_f64(1.0 - 0.2 * jitter)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER_GIVES_UP: Policy = Policy { first: FIRST_DELAY, max: None };

    fn delays(policy: Policy, attempts: usize) -> Vec<u64> {
        let mut state = State::Connecting { failures: 0 };
        let mut delays = Vec::new();
        for _ in 0..attempts {
            let (waiting, action) = step(state, Event::Failed, policy, 0.0);
            let Action::Wait(delay) = action else { break };
            delays.push(delay.as_secs());
            state = step(waiting, Event::RetryDue, policy, 0.0).0;
        }
        delays
    }

    #[test]
    fn delays_double_to_a_minute_and_never_end() {
        assert_eq!(delays(NEVER_GIVES_UP, 9), [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(delays(NEVER_GIVES_UP, 500).len(), 500);
    }

    #[test]
    fn a_definition_sets_first_delay_and_end() {
        let reconnect = Reconnect { auto: true, max: Some(2), delay: Some(Duration::from_secs(5)) };
        assert_eq!(delays(Policy::from(&reconnect), 9), [5, 10]);
    }

    #[test]
    fn a_stable_session_that_ends_is_replaced_at_once() {
        let lost = Event::Lost { lived: Duration::from_secs(60) };
        let after = step(State::Connected { failures: 3 }, lost, NEVER_GIVES_UP, 0.0);
        assert_eq!(after, (State::Connecting { failures: 0 }, Action::Connect));
    }

    #[test]
    fn a_session_that_keeps_ending_early_is_replaced_once_and_then_slowly() {
        let lost = Event::Lost { lived: Duration::from_millis(10) };
        let (first, action) = step(State::Connected { failures: 0 }, lost, NEVER_GIVES_UP, 0.0);
        assert_eq!(action, Action::Connect);
        let (again, _) = step(first, Event::Connected, NEVER_GIVES_UP, 0.0);
        let (_, action) = step(again, lost, NEVER_GIVES_UP, 0.0);
        assert_eq!(action, Action::Wait(Duration::from_secs(2)));
    }

    #[test]
    fn sessions_that_keep_ending_early_have_a_budget_of_starts() {
        let lost = Event::Lost { lived: Duration::from_millis(10) };
        let (mut state, mut passed, mut starts) = (State::Connecting { failures: 0 }, Duration::ZERO, 1);
        while passed < Duration::from_secs(3600) {
            state = step(state, Event::Connected, NEVER_GIVES_UP, 0.0).0;
            let (next, action) = step(state, lost, NEVER_GIVES_UP, 0.0);
            state = next;
            if let Action::Wait(delay) = action {
                passed += delay;
                state = step(state, Event::RetryDue, NEVER_GIVES_UP, 0.0).0;
            }
            starts += 1;
        }
        assert!(starts <= 16, "{starts} starts in the first hour");
    }

    #[test]
    fn a_session_that_ends_on_probation_counts_like_one_that_was_announced() {
        let lost = Event::Lost { lived: Duration::from_millis(10) };
        for state in [State::Connecting { failures: 3 }, State::Connected { failures: 3 }] {
            let (_, action) = step(state, lost, NEVER_GIVES_UP, 0.0);
            assert_eq!(action, Action::Wait(Duration::from_secs(8)), "{state:?}");
        }
    }

    #[test]
    fn jitter_only_shortens() {
        let (_, action) = step(State::Connecting { failures: 0 }, Event::Failed, NEVER_GIVES_UP, 1.0);
        assert_eq!(action, Action::Wait(Duration::from_millis(800)));
    }
}
