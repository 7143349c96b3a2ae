//! Shows progress while a command waits: on a terminal in one line that is updated, elsewhere in a line at growing
//! intervals, plus one for each upstream that connected or failed.

use std::collections::BTreeMap;
use std::time::Duration;

use proxy_client::{Client, Missing, Needs, Readiness};
use schemas::admin::State;
use schemas::{ServerName, format_duration};
use tokio::time::{Instant, sleep_until};

use crate::printer::{Printer, cut};

/// Pause between two polls of the gateway.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// Shortest wait that is reported.
const PATIENCE: Duration = Duration::from_secs(2);
/// Pause between updates of the line on a terminal.
const TICK: Duration = Duration::from_secs(1);
/// Pause before the second line elsewhere; each further pause is twice as long.
const REPEAT: Duration = Duration::from_secs(15);
const SELDOM: Duration = Duration::from_secs(300);

/// Runs some work, and reports what is waited for and for how long.
pub(super) async fn during<T>(printer: Printer, what: &str, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    let mut clock = Clock::new(PATIENCE);
    loop {
        tokio::select! {
            biased;
            done = &mut work => {
                if clock.elapsed() >= PATIENCE {
                    printer.live("");
                }
                return done;
            }
            () = sleep_until(clock.next(printer)) => {
                clock.tell(printer, &format!("waiting for {what}, {}s", clock.elapsed().as_secs()));
            }
        }
    }
}

/// Decides when the next line is due.
pub(super) struct Clock {
    started: Instant,
    /// Time of the next permanent line, and the pause behind it.
    due: Instant,
    repeat: Duration,
    /// Time of the next line that is overwritten by the one after it.
    tick: Instant,
}

impl Clock {
    /// Creates a clock whose first line is due after `patience`.
    pub(super) fn new(patience: Duration) -> Self {
        let started = Instant::now();
        Self { started, due: started + patience, repeat: REPEAT, tick: started + patience }
    }

    /// Returns the time since the start.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Returns the time at which to [`tell`](Self::tell) next.
    fn next(&self, printer: Printer) -> Instant {
        if printer.is_live() { self.tick } else { self.due }
    }

    /// Shows the line if one is due.
    pub(super) fn tell(&mut self, printer: Printer, line: &str) {
        let now = Instant::now();
        if printer.is_live() && now >= self.tick {
            printer.live(line);
            self.tick = now + TICK;
        } else if !printer.is_live() && now >= self.due {
            printer.progress(line);
            self.due = now + self.repeat;
            self.repeat = (self.repeat * 2).min(SELDOM);
        }
    }
}

/// Waits until the needed upstreams are connected, or the time is over.
pub(super) async fn wait(printer: Printer, client: &Client, needs: &Needs, within: Duration) -> Readiness {
    let started = Instant::now();
    let mut clock = Clock::new(REPEAT);
    clock.tick = started;
    let mut told = Told { needs, words: BTreeMap::new() };
    let see = |readiness: &Readiness| {
        let lines = told.changed(readiness);
        if !lines.is_empty() {
            printer.live("");
            clock.tick = Instant::now();
        }
        lines.iter().for_each(|line| printer.progress(line));
        clock.tell(printer, &told.how_far(readiness, (started.elapsed(), within), printer.columns));
    };
    let readiness = client.watch_until_ready(needs, (POLL_INTERVAL, within), see).await;
    printer.live("");
    readiness
}

/// Words that were shown already for each upstream.
struct Told<'a> {
    needs: &'a Needs,
    words: BTreeMap<&'a ServerName, String>,
}

impl Told<'_> {
    /// Returns a line for each upstream that newly connected or failed; other states are not reported.
    fn changed(&mut self, readiness: &Readiness) -> Vec<String> {
        let mut lines = Vec::new();
        for name in self.needs.names() {
            let word = match (late(readiness, name), &readiness.source) {
                (_, Some(_)) => continue,
                (None, None) => "connected".to_owned(),
                (Some(Missing { state: Some(State::Error), last_error, .. }), None) => {
                    format!("error: {}", last_error.as_deref().unwrap_or("it does not say why"))
                }
                (Some(_), None) => continue,
            };
            if self.words.get(name) != Some(&word) {
                lines.push(format!("  {name}: {word}").replace('\n', " "));
                self.words.insert(name, word);
            }
        }
        lines
    }

    /// Formats the number of connected upstreams, the time and the missing names; cut to a terminal's columns.
    fn how_far(
        &self,
        readiness: &Readiness,
        (elapsed, within): (Duration, Duration),
        columns: Option<usize>,
    ) -> String {
        let all = self.needs.names().count();
        let late: Vec<&str> =
            self.needs.names().filter(|name| late(readiness, name).is_some()).map(ServerName::as_str).collect();
        let seconds = elapsed.as_secs();
        let head = format!("{} of {all} connected, {seconds}s of {}", all - late.len(), format_duration(within));
        let line = match &readiness.source {
            Some(_) => format!("{head}; the gateway does not answer"),
            None => format!("{head}; waiting for {}", late.join(", ")),
        };
        columns.map_or(line.clone(), |columns| cut(&line, columns))
    }
}

fn late<'a>(readiness: &'a Readiness, name: &ServerName) -> Option<&'a Missing> {
    readiness.missing.iter().chain(&readiness.absent).find(|one| one.name == *name)
}

#[cfg(test)]
mod tests {
    use schemas::admin::Registration;
    use serde_json::json;

    use super::*;

    fn registration(name: &str, state: &str, error: Option<&str>) -> Registration {
        serde_json::from_value(json!({
            "definition": {"name": name, "transport": "stdio", "command": "x"},
            "status": {"name": name, "status": state, "lastError": error},
        }))
        .expect("a registration")
    }

    #[test]
    fn each_upstream_is_told_of_once_until_it_changes() {
        let needs = Needs::required(["a", "b", "c"].map(|name| name.parse().expect(name)));
        let mut told = Told { needs: &needs, words: BTreeMap::new() };
        let mut see = |list: &[Registration]| told.changed(&needs.look(list));
        assert!(see(&[]).is_empty());
        let first = [registration("a", "connected", None), registration("b", "error", Some("no\nsuch program"))];
        assert_eq!(see(&first), ["  a: connected", "  b: error: no such program"]);
        assert!(see(&[registration("a", "connected", None), registration("b", "connecting", None)]).is_empty());
        assert!(see(&first).is_empty());
        let later = [registration("a", "connected", None), registration("b", "connected", None)];
        assert_eq!(see(&later), ["  b: connected"]);
    }

    #[test]
    fn how_far_it_is_fits_a_terminal_and_is_whole_elsewhere() {
        let needs = Needs::required(["a", "b"].map(|name| name.parse().expect(name)));
        let told = Told { needs: &needs, words: BTreeMap::new() };
        let time = (Duration::from_millis(4_700), Duration::from_secs(60));
        let one = needs.look(&[registration("a", "connected", None)]);
        assert_eq!(told.how_far(&one, time, Some(79)), "1 of 2 connected, 4s of 1m; waiting for b");
        let many = Needs::required((0..40).map(|n| format!("server-{n}").parse().expect("a name")));
        let told = Told { needs: &many, words: BTreeMap::new() };
        let line = told.how_far(&many.look(&[]), time, Some(60));
        assert!(line.chars().count() == 60 && line.ends_with('…'), "{line}");
        assert!(told.how_far(&many.look(&[]), time, None).ends_with("server-9"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_stays_comes_after_a_while_and_then_seldom() {
        let mut clock = Clock::new(PATIENCE);
        let printer = Printer::plain();
        let mut due = Vec::new();
        for _ in 0..3 {
            let next = clock.next(printer);
            sleep_until(next).await;
            clock.tell(Printer { verbosity: crate::printer::Verbosity::Quiet, ..printer }, "x");
            due.push(clock.started.elapsed().as_secs());
        }
        assert_eq!(due, [2, 17, 47]);
    }
}
