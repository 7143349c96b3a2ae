//! Compares results with those of Go's own tools, recorded by `tests/templates/differential`: templates, durations,
//! command lines and `.env` files. Each vector has to give the same result here, or a fault.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use schemas::document::dotenv;
use schemas::template::{Environment, FaultKind, OnUnset, render};
use serde_json::Value;

/// Verdict on one vector.
enum Verdict {
    Same,
    /// Go has a result, but it is not computed here for this reason.
    Refused(String),
    /// Go has another result or none, and no fault reports it; or there is a fault although Go has a result.
    Wrong(String),
}

/// Returns the recorded vectors, or the file that `tests/templates/differential` names.
fn files() -> Vec<PathBuf> {
    match option_env!("TEMPLATE_VECTORS") {
        Some(path) => vec![path.into()],
        None => {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/templates");
            let mut files: Vec<_> =
                fs::read_dir(folder).expect("a folder").map(|it| it.expect("a file").path()).collect();
            files.retain(|path| path.extension().is_some_and(|it| it == "jsonl"));
            files.sort();
            files
        }
    }
}

fn verdict(ours: Result<Value, (bool, String)>, go: Option<&Value>) -> Verdict {
    match (ours, go) {
        (Ok(ours), Some(go)) if ours == *go => Verdict::Same,
        (Ok(ours), Some(go)) => Verdict::Wrong(format!("differs: here {ours}, Go {go}")),
        (Ok(ours), None) => Verdict::Wrong(format!("taken: here {ours}, Go refuses")),
        (Err(_), None) => Verdict::Same,
        (Err((true, reason)), Some(_)) => Verdict::Refused(reason),
        (Err((false, reason)), Some(go)) => Verdict::Wrong(format!("false error: {reason}, Go {go}")),
    }
}

fn template(vector: &Value, text: &str) -> Result<Value, (bool, String)> {
    let pairs = vector["env"].as_object().into_iter().flatten();
    let environment: Environment =
        pairs.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default())).collect();
    render(text, &environment, OnUnset::Refused).map(Value::from).map_err(|faults| {
        let refused = faults.iter().find(|fault| matches!(fault.kind, FaultKind::Refused(_)));
        let fault = refused.unwrap_or(&faults[0]);
        match &fault.kind {
            FaultKind::Refused(reason) => (true, reason.clone()),
            FaultKind::Bad(reason) => (false, reason.clone()),
            // The engine's builds differ in the result: an empty text, or `<no value>`.
            FaultKind::Unset(_) if text.contains("index") => (true, "`index` of a variable that is not set".to_owned()),
            FaultKind::Unset(name) => (false, format!("`{name}` is not set")),
        }
    })
}

fn duration(text: &str) -> Result<Value, (bool, String)> {
    let read = serde_json::from_value::<schemas::WireDuration>(text.into());
    read.and_then(serde_json::to_value).map_err(|error| (false, error.to_string()))
}

fn env_file(text: &str) -> Result<Value, (bool, String)> {
    let read = dotenv::parse(text);
    match read.faults.first() {
        None => Ok(read.variables.into_iter().map(|(name, value)| (name, Value::from(value))).collect()),
        // Go makes a nameless variable of these.
        Some((_, reason)) if reason.contains("missing") => Err((true, reason.clone())),
        Some((_, reason)) => Err((false, reason.clone())),
    }
}

/// Rules of Go's tools by which a renderer is known to differ, with the names that `tests/templates/causes.py` uses.
const CAUSES: [&str; 30] = [
    "dig",
    "width",
    "urlquery",
    "case",
    "quote",
    "number",
    "verb",
    "coalesce",
    "nospace",
    "trim",
    "unset",
    "compare",
    "type",
    "comment",
    "syntax",
    "short circuit",
    "break in else",
    "hyphen",
    "marker",
    "base64",
    "duration",
    "command line",
    "variables file",
    "yaml header",
    "yaml start_timeout",
    "yaml max_sessions",
    "yaml command",
    "yaml args",
    "yaml env",
    "yaml document",
];

#[test]
fn every_known_cause_of_a_difference_has_vectors() {
    let vectors = include_str!("../../tests/fixtures/templates/causes.jsonl").lines();
    let mut counts = BTreeMap::<String, usize>::new();
    for vector in vectors.map(|line| serde_json::from_str::<Value>(line).expect("JSON")) {
        assert!(vector.get("out").is_some() != vector.get("error").is_some(), "{vector}");
        *counts.entry(vector["cause"].as_str().expect("a cause").to_owned()).or_default() += 1;
    }
    let known: BTreeSet<&str> = CAUSES.into();
    assert_eq!(counts.keys().map(String::as_str).collect::<BTreeSet<_>>(), known);
    assert!(counts.values().all(|count| *count >= 2), "{counts:?}");
}

#[test]
fn what_go_renders_is_rendered_here_or_refused() {
    let (mut count, mut wrong, mut refused) =
        (BTreeMap::<String, usize>::new(), Vec::new(), BTreeMap::<String, usize>::new());
    let mut seen = BTreeSet::new();
    for line in files()
        .iter()
        .flat_map(|path| fs::read_to_string(path).expect("a file").lines().map(str::to_owned).collect::<Vec<_>>())
    {
        let vector: Value = serde_json::from_str(&line).expect("JSON");
        let (Some(kind), Some(text)) = (vector["kind"].as_str(), vector["text"].as_str()) else { continue };
        if vector.get("skip").is_some() {
            continue;
        }
        let ours = match kind {
            "template" => template(&vector, text),
            "duration" => duration(text),
            "shlex" => match crate::workflow::command_line::split(text) {
                Some(words) => Ok(words.into()),
                None => Err((false, "a quote is not closed".to_owned())),
            },
            "dotenv" => env_file(text),
            "yaml" => crate::workflow::vectors::document(text),
            _ => continue,
        };
        *count.entry(kind.to_owned()).or_default() += 1;
        match verdict(ours, vector.get("out")) {
            Verdict::Same => {}
            Verdict::Refused(reason) => *refused.entry(reason).or_default() += 1,
            Verdict::Wrong(mut what) => {
                what += vector["error"].as_str().unwrap_or_default();
                if seen.insert(what.clone()) {
                    let cause = vector["cause"].as_str().unwrap_or("random");
                    wrong.push(format!("{kind} ({cause}) {text:?} {}: {what}", vector["env"]));
                }
            }
        }
    }
    println!("{count:?}");
    for (reason, times) in &refused {
        println!("refused {times}: {reason}");
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}
