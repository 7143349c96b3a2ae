//! What is told while upstreams are waited for: a line for each that came up or failed, and on a terminal how far it is.

use std::collections::BTreeMap;
use std::time::Duration;

use proxy_client::{Client, Missing, Needs, Readiness};
use schemas::admin::State;
use schemas::{ServerName, format_duration};
use tokio::time::Instant;

use crate::commands::sync::POLL_INTERVAL;
use crate::printer::Printer;

/// A line that is overwritten must not break, and terminals are seldom narrower.
const WIDTH: usize = 78;

/// Waits until what is needed is connected, or the time is over.
pub(super) async fn wait(printer: Printer, client: &Client, needs: &Needs, within: Duration) -> Readiness {
    let started = Instant::now();
    let mut told = Told { needs, words: BTreeMap::new() };
    let see = |readiness: &Readiness| {
        let lines = told.changed(readiness);
        if !lines.is_empty() {
            printer.live("");
        }
        lines.iter().for_each(|line| printer.progress(line));
        printer.live(&told.how_far(readiness, (started.elapsed(), within)));
    };
    let readiness = client.watch_until_ready(needs, (POLL_INTERVAL, within), see).await;
    printer.live("");
    readiness
}

/// What was said already.
struct Told<'a> {
    needs: &'a Needs,
    words: BTreeMap<&'a ServerName, String>,
}

impl Told<'_> {
    /// The upstreams about which there is something new to say. What is under way is not.
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

    /// How many are connected, for how long it has been, and what is still to come.
    fn how_far(&self, readiness: &Readiness, (elapsed, within): (Duration, Duration)) -> String {
        let all = self.needs.names().count();
        let late: Vec<&str> =
            self.needs.names().filter(|name| late(readiness, name).is_some()).map(ServerName::as_str).collect();
        let seconds = elapsed.as_secs();
        let head = format!("{} of {all} connected, {seconds}s of {}", all - late.len(), format_duration(within));
        let line = match &readiness.source {
            Some(_) => format!("{head}; the gateway does not answer"),
            None => format!("{head}; waiting for {}", late.join(", ")),
        };
        match line.char_indices().nth(WIDTH) {
            Some((end, _)) => format!("{}..", line.get(..end).unwrap_or_default()),
            None => line,
        }
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
    fn how_far_it_is_fits_a_line() {
        let needs = Needs::required(["a", "b"].map(|name| name.parse().expect(name)));
        let told = Told { needs: &needs, words: BTreeMap::new() };
        let time = (Duration::from_millis(4_700), Duration::from_secs(60));
        let one = needs.look(&[registration("a", "connected", None)]);
        assert_eq!(told.how_far(&one, time), "1 of 2 connected, 4s of 1m; waiting for b");
        let many = Needs::required((0..40).map(|n| format!("server-{n}").parse().expect("a name")));
        let told = Told { needs: &many, words: BTreeMap::new() };
        assert_eq!(told.how_far(&many.look(&[]), time).chars().count(), WIDTH + 2);
    }
}
