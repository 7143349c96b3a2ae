use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::admin::DefinitionView;
use crate::dialect::compozy::DefinitionDocument;

fn definition(document: Value) -> Definition {
    serde_json::from_value(document).expect("a definition")
}

fn remote(url: &str) -> Value {
    json!({ "name": "a", "transport": "streamable-http", "url": url })
}

fn program(args: &[&str]) -> Value {
    json!({ "name": "a", "transport": "stdio", "command": "x", "args": args })
}

fn view(definition: &Definition) -> Value {
    let shown = DefinitionView::new(definition.clone(), "t0".into(), "t1".into());
    serde_json::to_value(shown).expect("JSON")
}

/// Checks that the view of a definition contains no secret, and that sending the view back restores the stored
/// definition.
fn survives(stored: Value) {
    let stored = definition(stored);
    let shown = view(&stored);
    assert!(!shown.to_string().contains("hush"), "{shown}");
    let mut back = definition(shown.clone());
    back.keep_redacted(&stored).unwrap_or_else(|error| panic!("{shown}: {error}"));
    assert_eq!(back, stored);
    let again = view(&definition(shown.clone()));
    assert_eq!(again, shown, "shown again");
}

#[test]
fn what_is_shown_comes_back_to_what_is_stored() {
    survives(remote("http://user:hush@x.example/mcp?key=hush&mode=hush#hush"));
    survives(remote("http://hush@x.example/"));
    survives(remote("http://u%20s:hush%2f%5B@x.example/s/zQ8vK2mN4pR7tX1yB5cD/?a=hush&a=hush2&hush"));
    survives(program(&["--token", "hush", "--api-key=hush", "-e", "GITHUB_TOKEN=hush", "sk-hush123456", "/srv"]));
    survives(program(&["sk-hush123456", "ghp_hush123456", "https://u:hush@x/?k=hush", "-H", "X-Key: hush"]));
    survives(json!({ "name": "a", "transport": "sse", "url": "http://x/", "command": "y", "args": ["--token", "hush"],
        "headers": { "A": "hush" }, "env": { "B": "hush" }, "authTokens": ["hush"] }));
}

#[test]
fn a_url_declared_for_a_program_is_shown_without_its_secrets() {
    let stored =
        definition(json!({ "name": "a", "transport": "stdio", "command": "x", "url": "http://u:hush@x/?k=hush" }));
    assert!(!view(&stored).to_string().contains("hush"));
    assert!(stored.fingerprints(&FingerprintSalt::new([7; 16])).contains_key("url.password"));
}

#[test]
fn the_old_spelling_of_a_command_is_shown_without_its_secrets() {
    let document = json!({ "name": "a", "transport": "stdio", "command": ["x", "--token"], "args": ["hush", "--key"],
        "startup_args": ["hush"] });
    let document: DefinitionDocument = serde_json::from_value(document).expect("a document");
    let shown = serde_json::to_string(&document.redacted()).expect("JSON");
    assert!(!shown.contains("hush"), "{shown}");
}

fn refused(stored: Value, changed: impl FnOnce(&mut Value), place: &str) {
    let stored = definition(stored);
    let mut shown = view(&stored);
    changed(&mut shown);
    let error = definition(shown.clone()).keep_redacted(&stored).expect_err(&shown.to_string());
    assert_eq!(error, InvalidDefinition::NothingToKeep(place.to_owned()));
}

#[test]
fn secrets_stay_with_the_receiver_they_were_declared_for() {
    let elsewhere = |shown: &mut Value| {
        shown["url"] = shown["url"].as_str().expect("a text").replace("x.example", "evil.example").into();
    };
    refused(remote("http://u:hush@x.example/"), elsewhere, "url.username");
    refused(remote("http://x.example/?key=hush"), elsewhere, "url.query.key");
    refused(program(&["--token", "hush"]), |shown| shown["command"] = "evil".into(), "args.--token");
    refused(program(&["--token", "hush"]), |shown| shown["args"] = json!(["--key", "[redacted]"]), "args.--key");
    refused(
        program(&["--token", "hush"]),
        |shown| {
            shown["transport"] = "sse".into();
            shown["url"] = "http://evil.example/".into();
            shown["command"] = "x".into();
        },
        "args.--token",
    );
}

#[test]
fn secrets_do_not_go_in_clear_through_another_proxy() {
    let stored = |url: &str| {
        let mut stored = remote(url);
        stored["headers"] = json!({ "Authorization": "hush" });
        stored["proxy"] = json!("http://u:hush@proxy.example:3128");
        stored
    };
    survives(stored("http://x.example/"));
    let proxied = |shown: &mut Value| shown["proxy"] = json!("http://evil.example:3128");
    refused(stored("http://x.example/"), proxied, "headers.Authorization");
    refused(stored("http://x.example/"), |shown| drop(shown["proxy"].take()), "headers.Authorization");
    // It sees no more than the name of the host.
    let stored = definition(stored("https://x.example/"));
    let mut shown = view(&stored);
    proxied(&mut shown);
    assert!(definition(shown).keep_redacted(&stored).is_ok());
}

#[test]
fn parts_may_be_changed_beside_those_that_are_kept() {
    let stored = definition(program(&["--token", "hush", "--key=hush2", "/srv"]));
    let mut changed = definition(program(&["-v", "--key=new", "--token", "[redacted]", "/data"]));
    changed.keep_redacted(&stored).expect("kept");
    assert_eq!(changed, definition(program(&["-v", "--key=new", "--token", "hush", "/data"])));
    let stored = definition(remote("http://u:hush@x.example/a?key=hush"));
    let mut changed = definition(remote("http://u:%5bredacted%5d@x.example/b?more=1&key=[redacted]"));
    changed.keep_redacted(&stored).expect("kept");
    assert_eq!(changed, definition(remote("http://u:hush@x.example/b?more=1&key=hush")));
}

#[test]
fn equal_places_are_kept_only_as_many_as_there_were() {
    let stored = definition(program(&["sk-hush111111", "sk-hush222222"]));
    let error = definition(program(&["[redacted]"])).keep_redacted(&stored).expect_err("which one?");
    assert_eq!(error, InvalidDefinition::NothingToKeep("args".to_owned()));
}

#[test]
fn a_change_of_a_part_shows_in_its_fingerprint_alone() {
    let salt = FingerprintSalt::new([7; 16]);
    let prints = |url: &str| definition(remote(url)).fingerprints(&salt);
    let (one, other) = (prints("http://u:p@x/?a=1&b=2"), prints("http://u:p@x/?a=1&b=3"));
    let differ: Vec<&String> = one.keys().filter(|place| one.get(*place) != other.get(*place)).collect();
    assert_eq!(differ, ["url.query.b"]);
    assert_eq!(one.len(), 4);
}

#[test]
fn known_values_are_masked_in_every_form() {
    let masker = definition(json!({ "name": "a", "transport": "sse", "url": "http://user:p%40ss-hush@x/?q=hush-query",
        "headers": { "Authorization": "Bearer hush-header", "Accept": "application/json" },
        "env": { "KEY": "hush", "MODE": "fast", "PEM": "first-line-hush\nsecond-line-hush", "HOME": "/home/somebody",
            "QUOTED": "hush \"in\" quotes" }, "authTokens": ["hush-token"] }))
    .masker();
    for text in [
        "hush-header",
        "Bearer hush-header",
        "hush-token",
        "p@ss-hush",
        "p%40ss-hush",
        "hush-query",
        "second-line-hush",
        "hush \\\"in\\\" quotes",
        "dXNlcjpwQHNzLWh1c2g",
    ] {
        let masked = masker.mask(text);
        assert!(!masked.contains("hush") && masked.contains("[redacted]"), "{text}: {masked}");
    }
    for text in ["fast", "/home/somebody/x", "application/json"] {
        assert_eq!(masker.mask(text), text);
    }
}

fn words() -> impl Strategy<Value = Vec<String>> {
    let word = prop_oneof![
        Just("--token".to_owned()),
        Just("-H".to_owned()),
        Just("-e".to_owned()),
        Just("[redacted-not]".to_owned()),
        "[a-zA-Z0-9 =:/@?&#._-]{0,24}",
        "(TOKEN|MODE|--key|x)=[a-zA-Z0-9 =:;\"]{0,16}",
        "(sk-|ghp_|xoxb-)[a-zA-Z0-9]{6,30}",
        "(https?|redis)://([a-z]{0,4}:[a-z0-9%]{0,4}@)?h(/[a-zA-Z0-9]{20})?(\\?[a-z]=[a-z0-9]{0,4}&?[a-z]{0,2})?(#[a-z]{0,2})?",
        "(X-Key|Authorization): ?(Bearer )?[a-z0-9]{0,12}",
        "\\{\"(token|mode)\": ?\"[a-z0-9 ]{0,9}\"\\}",
        "run (--password|-v) '?[a-z]{0,4} [a-z]{0,4}'?",
    ];
    proptest::collection::vec(word, 0..7)
}

proptest! {
    #[test]
    fn whatever_arguments_are_shown_come_back(words in words()) {
        let stored = definition(json!({ "name": "a", "transport": "stdio", "command": "x", "args": words }));
        let shown = view(&stored);
        let mut back = definition(shown.clone());
        prop_assert_eq!(back.keep_redacted(&stored), Ok(()), "{}", shown);
        prop_assert_eq!(&back, &stored);
        prop_assert_eq!(view(&definition(shown.clone())), shown);
    }

    #[test]
    fn whatever_address_is_shown_comes_back(
        url in "https?://([a-zA-Z0-9%@\\[]{0,6}(:[a-zA-Z0-9%:@\\]]{0,6})?@)?x\\.example(:8[0-9])?(/[a-zA-Z0-9%=&-]{0,24}){0,3}(\\?[a-z0-9=&#%]{0,20})?"
    ) {
        let document = json!({ "name": "a", "transport": "sse", "url": url });
        if let Ok(stored) = serde_json::from_value::<Definition>(document) {
            let shown = view(&stored);
            let mut back = definition(shown.clone());
            prop_assert_eq!(back.keep_redacted(&stored), Ok(()), "{}", shown);
            prop_assert_eq!(back, stored);
        }
    }
}
