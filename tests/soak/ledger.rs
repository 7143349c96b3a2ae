//! Record of every call: executed, answered, received.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Time before and after a fault in which lost answers are excused.
const SHADOW: Duration = Duration::from_secs(3);
/// Maximum number of wrong calls to show.
const SHOWN: usize = 10;

/// Result of a call for its client.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    Answered,
    /// A JSON-RPC error or an HTTP error, with its text.
    Refused(String),
    /// The connection ended without an answer.
    Broken(String),
    /// The answer of another call.
    Wrong(String),
    /// The client disconnected before the answer.
    Left,
}

#[derive(Debug)]
struct Entry {
    upstream: usize,
    began: Instant,
    ended: Option<(Instant, Outcome)>,
    executed: u32,
    replied: Option<Instant>,
}

#[derive(Default)]
struct Books {
    open: HashMap<u64, Entry>,
    outcomes: BTreeMap<String, u64>,
    /// Periods in which answers of each upstream may be lost: begin and end.
    disturbed: HashMap<usize, Vec<(Instant, Instant)>>,
    next: u64,
    twice: Vec<String>,
    lost: Vec<String>,
    wrong: Vec<String>,
}

/// Record of all calls. Completed correct calls are only counted.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<Books>);

impl Ledger {
    /// Begins a call to this upstream. Returns its number.
    pub(crate) fn begin(&self, upstream: usize) -> u64 {
        let mut books = self.books();
        books.next += 1;
        let number = books.next;
        let entry = Entry { upstream, began: Instant::now(), ended: None, executed: 0, replied: None };
        books.open.insert(number, entry);
        number
    }

    /// Records that an upstream executes a call.
    pub(crate) fn executed(&self, number: u64, upstream: usize) {
        let mut books = self.books();
        let Some(entry) = books.open.get_mut(&number) else { return };
        entry.executed += 1;
        if entry.executed > 1 || entry.upstream != upstream {
            let what =
                format!("call {number} for u{}: executed {} times, now by u{upstream}", entry.upstream, entry.executed);
            books.twice.push(what);
        }
    }

    /// Records that an upstream writes the answer of a call.
    pub(crate) fn replied(&self, number: u64) {
        if let Some(entry) = self.books().open.get_mut(&number) {
            entry.replied = Some(Instant::now());
        }
    }

    /// Records the outcome of a call. Keeps the call open for a while, to detect a second execution.
    pub(crate) fn end(&self, number: u64, outcome: Outcome) {
        let mut books = self.books();
        let name = match &outcome {
            Outcome::Answered => "answered".to_owned(),
            Outcome::Left => "left by its client".to_owned(),
            Outcome::Refused(why) => format!("refused: {why}"),
            Outcome::Broken(why) => format!("broken: {why}"),
            Outcome::Wrong(why) => format!("wrong: {why}"),
        };
        *books.outcomes.entry(name.clone()).or_default() += 1;
        if let Outcome::Wrong(_) = outcome {
            books.wrong.push(format!("call {number}: {name}"));
        }
        if let Some(entry) = books.open.get_mut(&number) {
            entry.ended = Some((Instant::now(), outcome));
        }
        if number.is_multiple_of(1_000) {
            books.settle();
        }
    }

    /// Excuses lost answers of this upstream for this time.
    pub(crate) fn disturb(&self, upstream: usize, lasts: Duration) {
        let now = Instant::now();
        let from = now.checked_sub(SHADOW).unwrap_or(now);
        self.books().disturbed.entry(upstream).or_default().push((from, now + lasts + SHADOW));
    }

    /// Returns the violations so far.
    pub(crate) fn wrong(&self) -> Vec<String> {
        let mut books = self.books();
        books.settle();
        let mut wrong = Vec::new();
        for (what, found) in
            [("executed twice", &books.twice), ("lost an answer", &books.lost), ("wrong", &books.wrong)]
        {
            if !found.is_empty() {
                let shown: Vec<&str> = found.iter().take(SHOWN).map(String::as_str).collect();
                wrong.push(format!("{} calls {what}:\n  {}", found.len(), shown.join("\n  ")));
            }
        }
        wrong
    }

    pub(crate) fn line(&self) -> String {
        let books = self.books();
        let answered = books.outcomes.get("answered").copied().unwrap_or_default();
        let (twice, lost, wrong) = (books.twice.len(), books.lost.len(), books.wrong.len());
        format!("{} calls, {answered} answered, {twice} twice, {lost} lost, {wrong} wrong", books.next)
    }

    pub(crate) fn report(&self) -> String {
        let mut text = String::from("outcomes of calls:\n");
        for (name, count) in &self.books().outcomes {
            writeln!(text, "  {count:>8}  {name}").ok();
        }
        text
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    /// Checks and forgets the calls that ended more than 10 s ago.
    fn settle(&mut self) {
        let Self { open, disturbed, lost, .. } = self;
        let is_over =
            |entry: &Entry| entry.ended.as_ref().is_some_and(|(at, _)| at.elapsed() > Duration::from_secs(10));
        open.retain(|number, entry| {
            if !is_over(entry) {
                return true;
            }
            lost.extend(loss(*number, entry, disturbed));
            false
        });
        for periods in disturbed.values_mut() {
            periods.retain(|(_, until)| until.elapsed() < Duration::from_secs(120));
        }
    }
}

/// Returns a description of a lost answer: the upstream answered outside of any fault, but the client got nothing.
fn loss(number: u64, entry: &Entry, disturbed: &HashMap<usize, Vec<(Instant, Instant)>>) -> Option<String> {
    let (ended, outcome) = entry.ended.as_ref()?;
    let (replied, Outcome::Refused(why) | Outcome::Broken(why)) = (entry.replied?, outcome) else { return None };
    let periods = disturbed.get(&entry.upstream).into_iter().flatten();
    let is_excused = periods.into_iter().any(|(from, until)| *from < *ended && entry.began < *until);
    let took = replied - entry.began;
    (!is_excused).then(|| format!("call {number} of u{}, answered after {took:?}: {why}", entry.upstream))
}
