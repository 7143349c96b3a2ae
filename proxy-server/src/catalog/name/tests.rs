use std::collections::HashMap;

use proptest::prelude::{Strategy as _, prop_assert, prop_assert_eq, proptest};

use super::*;

fn check(upstream: &str, name: &str, expected: &str) {
    assert_eq!(Naming::default().qualified(upstream, name), expected);
}

#[test]
fn a_qualified_name_is_the_two_around_the_separator() {
    check("time", "now", "time__now");
    check("time", "now.utc-1_x", "time__now.utc-1_x");
    check("a", "b__c", "a__b__c");
}

#[test]
fn what_could_be_read_in_two_ways_or_not_be_sent_ends_in_a_digest() {
    for (upstream, name) in [("a__b", "c"), ("a_", "_x"), ("a", "get user"), ("a", "é"), ("über", "x"), ("a", "")] {
        let qualified = Naming::default().qualified(upstream, name);
        assert!(ends_in_digest(&qualified) && qualified.chars().all(is_plain), "{qualified}");
    }
    let long = Naming::default().qualified("upstream", &"x".repeat(100));
    assert_eq!(long.len(), 64);
    assert_ne!(long, Naming::default().qualified("upstream", &"x".repeat(101)));
}

#[test]
fn a_digest_is_the_same_in_every_version() {
    check("a", "get user", "a__get_user-07c72d950233");
}

#[test]
fn a_tool_that_is_called_like_a_digested_one_gets_another_name() {
    let digested = Naming::default().qualified("a", "get user");
    let imitation = digested.strip_prefix("a__").expect("its upstream in front");
    assert_ne!(Naming::default().qualified("a", imitation), digested);
}

#[test]
fn names_without_upstream_are_safe_unless_they_are_never_to_change() {
    let bare = |mode, name| Naming { mode, ..Naming::default() }.bare(name);
    assert_eq!(bare(Mode::OnConflict, "now"), "now");
    assert!(ends_in_digest(&bare(Mode::OnConflict, "get user")));
    assert_eq!(bare(Mode::Never, "get user"), "get user");
}

#[test]
fn uris_carry_their_upstream_and_pages_stay_pages() {
    let check = |upstream: &str, uri: &str, expected: &str| {
        assert_eq!(qualified_uri(upstream, uri), expected);
        assert_eq!(split_uri(expected), Some((upstream.to_owned(), uri)));
    };
    check("docs", "file:///a/b?c#d", "mcp-proxy://docs/file:///a/b?c#d");
    check("docs", "demo://x/{id}", "mcp-proxy://docs/demo://x/{id}");
    check("weather", "ui://weather/view.html", "ui://weather/ui://weather/view.html");
    check("a/b c", "x:y", "mcp-proxy://a%2Fb%20c/x:y");
    for foreign in ["file:///a", "ui://weather/view.html", "mcp-proxy://docs", "mcp-proxy://docs/", "mcp-proxy://%zz/x"]
    {
        assert_eq!(split_uri(foreign), None, "{foreign}");
    }
}

#[test]
fn tasks_carry_their_upstream() {
    assert_eq!(qualified_id("a:b", "1:2"), "a%3Ab:1:2");
    assert_eq!(split_id("a%3Ab:1:2"), Some(("a:b".to_owned(), "1:2")));
}

#[test]
fn words_are_taken_in_every_spelling() {
    for text in ["auto_prefix", "autoprefix", "AutoPrefix", "auto-prefix"] {
        assert_eq!(text.parse(), Ok(Conflict::AutoPrefix));
    }
    assert_eq!("PriorityOverride".parse(), Ok(Conflict::PriorityOverride));
    assert_eq!("on-conflict".parse(), Ok(Mode::OnConflict));
    assert_eq!("sometimes".parse::<Mode>(), Err(UnknownWord));
    for separator in ["__", ".", "--", "_"] {
        assert!(separator.parse::<Separator>().is_ok(), "{separator}");
    }
    for separator in ["", ":", "/", " ", "123456789"] {
        assert!(separator.parse::<Separator>().is_err(), "{separator}");
    }
}

proptest! {
    #[test]
    fn two_things_never_get_the_same_name(
        things in proptest::collection::hash_set(("[a_b.]{1,4}", "[a_b :]{0,5}|[a_]{60,70}"), 2..40),
        separator in "_{1,3}|\\.|-",
    ) {
        let naming = Naming { separator: separator.parse().expect("a separator"), ..Naming::default() };
        let mut named = HashMap::new();
        for (upstream, name) in things {
            let qualified = naming.qualified(&upstream, &name);
            prop_assert!(qualified.len() <= 64 && qualified.chars().all(is_plain));
            let other = named.insert(qualified.clone(), (upstream.clone(), name.clone()));
            prop_assert_eq!(other, None, "{} is also {}", qualified, name);
        }
    }

    #[test]
    fn uris_and_tasks_come_back_as_they_were(
        upstream in "\\PC{1,10}",
        uri in "(ui|[a-z]{1,4})(:|://)\\PC{1,10}".prop_filter("a scheme", |uri| !uri.is_empty()),
    ) {
        let exposed = qualified_uri(&upstream, &uri);
        prop_assert_eq!(split_uri(&exposed), Some((upstream.clone(), uri.as_str())));
        let exposed = qualified_id(&upstream, &uri);
        prop_assert_eq!(split_id(&exposed), Some((upstream, uri.as_str())));
    }
}
