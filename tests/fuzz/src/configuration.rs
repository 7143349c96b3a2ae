//! A configuration file of any content is read without a panic and with every remark on one of its lines, and what the
//! gateway writes is read again as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use schemas::config::{EntryForm, Remark, Surroundings, import_document, is_own, read_own};
use schemas::document::{Document, yaml};

const SETTINGS: [&str; 4] = ["port", "call-timeout", "admin-tokens", "admin-tokens-file"];

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let document = Document::parse(text);
    let surroundings = Surroundings { environment: [("A", "b")].into_iter().collect(), ..Surroundings::default() };
    let own = read_own(&document, &SETTINGS, &surroundings);
    check(text, &own.remarks);
    is_own(&document, &SETTINGS, false);
    let imported = import_document(&document, "stem", None);
    check(text, &imported.remarks);
    for server in &imported.servers {
        drop(server.definition(&surroundings));
        for form in [EntryForm::Own, EntryForm::Templates] {
            let (entry, _) = server.entry(form, &surroundings);
            is_read_again(&serde_json::Value::Object(entry));
        }
    }
    if document.malformed.is_empty() {
        is_read_again(&serde_json::to_value(&document.root).expect("JSON"));
    }
});

/// Every remark points into the text, or behind its last line.
fn check(text: &str, remarks: &[Remark]) {
    let lines = text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count() + 1;
    for remark in remarks {
        let line = remark.span.start.line as usize;
        assert!(line <= lines, "{line} of {lines}: {}", remark.message);
    }
}

/// A written file is read without a mistake, and written the same again.
fn is_read_again(value: &serde_json::Value) {
    if value.as_object().is_none_or(serde_json::Map::is_empty) {
        return;
    }
    let written = yaml::text(value);
    let read = yaml::parse(&written);
    assert!(read.malformed.is_empty(), "{:?}\n{written}", read.malformed);
    let again = serde_json::to_value(&read.documents[0]).expect("JSON");
    assert_eq!(yaml::text(&again), written);
}
