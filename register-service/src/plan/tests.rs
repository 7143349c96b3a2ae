use schemas::admin::{DefinitionView, Fingerprints, Revision, Status};
use schemas::dialect::compozy::DefinitionDocument;
use schemas::{FingerprintSalt, Secret, WireDuration};
use serde_json::{Value, json};

use super::*;

fn definition(json: Value) -> Definition {
    serde_json::from_value(json).expect("a definition")
}

fn stdio(name: &str) -> Definition {
    definition(json!({"name": name, "transport": "stdio", "command": "npx", "args": ["-y", "pkg"], "env": {"T": "s1"},
        "tags": {"source": "w.yaml:3"}}))
}

fn http(name: &str) -> Definition {
    definition(json!({"name": name, "transport": "sse", "url": "http://x.test/mcp", "headers": {"Authorization": "s2"},
        "tags": {"source": "w.yaml:9", "team": "a"}}))
}

/// Returns the registration as this workspace's gateway shows it.
fn ours(definition: &Definition) -> Registration {
    let salt = FingerprintSalt::new([7; 16]);
    let values = definition.fingerprints(&salt);
    let view = DefinitionView::new(definition.clone(), "t0".into(), "t1".into());
    let mut registration = Registration::new(view, Status::new(definition.name.as_str()));
    registration.fingerprints = Some(Fingerprints { salt, values });
    registration
}

/// Returns the registration as a Go proxy shows it: with secrets in clear text, without the members of our gateway.
fn theirs(definition: &Definition) -> Registration {
    let mut document = DefinitionDocument::from(definition.clone());
    document.session_mode = String::new();
    document.cwd = String::new();
    document.max_sessions = 0;
    document.era = String::new();
    document.eras = String::new();
    document.priority = 0;
    document.proxy = None;
    document.ca_file = String::new();
    document.client_cert_file = String::new();
    document.client_key_file = String::new();
    document.call_timeout = WireDuration::default();
    document.max_call_timeout = WireDuration::default();
    document.list_timeout = WireDuration::default();
    document.refresh_interval = WireDuration::default();
    document.max_in_flight = 0;
    document.max_message_bytes = 0;
    serde_json::from_value(json!({"definition": document, "status": {"name": definition.name}}))
        .expect("a registration")
}

fn owned(definition: &Definition, owner: &str) -> Definition {
    stamp(definition, &Policy::new(owner.parse().expect(owner)))
}

fn told(plan: &Plan) -> String {
    let line = |change: &Change| {
        let reasons: Vec<_> = change.reasons().iter().map(ToString::to_string).collect();
        let holder = match change {
            Change::Refuse { why: Refusal::Foreign { holder }, .. } => format!(" {holder:?}"),
            _ => String::new(),
        };
        format!("{} {}{holder} {}", change.verb(), change.name(), reasons.join(", ")).trim_end().to_owned()
    };
    plan.changes.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn policy(adopt: Adopt) -> Policy {
    Policy { adopt, ..Policy::new("me".parse().expect("an owner")) }
}

/// Checks the plan for declaring `changed` while `registered` is registered by the same owner, with both kinds of
/// gateway.
fn check(registered: &Definition, changed: &Definition, expected: &str) {
    let registered = owned(registered, "me");
    for observed in [ours(&registered), theirs(&registered)] {
        let plan = plan(std::slice::from_ref(changed), &[observed], &policy(Adopt::Nothing));
        assert_eq!(told(&plan), expected);
        assert!(!expected.contains("s1") && !expected.contains("s2"));
    }
}

fn edited(definition: &Definition, edit: impl FnOnce(&mut DefinitionDocument)) -> Definition {
    let mut document = DefinitionDocument::from(definition.clone());
    edit(&mut document);
    Definition::try_from(document).expect("still a definition")
}

#[test]
fn what_is_not_there_is_created_with_its_owner() {
    let plan = plan(&[stdio("a"), http("b")], &[], &policy(Adopt::Nothing));
    assert_eq!(told(&plan), "create a\ncreate b");
    let Change::Create { definition } = &plan.changes[0] else { panic!("a creation") };
    assert_eq!(definition.tags.get(OWNER_TAG).map(String::as_str), Some("me"));
    assert_eq!(definition.tags.get(SOURCE_TAG).map(String::as_str), Some("w.yaml:3"));
}

#[test]
fn applying_a_plan_leaves_nothing_to_do() {
    let desired = [stdio("a"), http("b"), edited(&http("c"), |it| it.max_sessions = 4)];
    let first = plan(&desired, &[], &policy(Adopt::Nothing));
    let created: Vec<Definition> = first
        .changes
        .iter()
        .filter_map(|change| match change {
            Change::Create { definition } => Some(definition.as_ref().clone()),
            _ => None,
        })
        .collect();
    for make in [ours, theirs] {
        let observed: Vec<_> = created.iter().map(make).collect();
        let second = plan(&desired, &observed, &policy(Adopt::Nothing));
        assert!(second.is_empty(), "{}", told(&second));
        assert_eq!(second.changes.len(), 3);
    }
}

#[test]
fn an_update_names_what_differs_and_shows_no_secret() {
    check(&stdio("a"), &edited(&stdio("a"), |it| it.args.push("x".into())), "update a args");
    check(
        &stdio("a"),
        &edited(&stdio("a"), |it| it.command = schemas::dialect::compozy::Command::Program("y".into())),
        "update a command",
    );
    check(&stdio("a"), &edited(&stdio("a"), |it| it.env["T"] = Secret::new("s9")), "update a env.T (changed)");
    check(
        &http("a"),
        &edited(&http("a"), |it| it.headers["Authorization"] = Secret::new("s9")),
        "update a headers.Authorization (changed)",
    );
    check(
        &http("a"),
        &edited(&http("a"), |it| {
            it.headers.insert("X-B".into(), Secret::new("s9"));
        }),
        "update a headers.X-B (added)",
    );
    check(&http("a"), &edited(&http("a"), |it| it.headers.clear()), "update a headers.Authorization (removed)");
    check(
        &http("a"),
        &edited(&http("a"), |it| it.transport = "streamable-http".into()),
        "update a transport (sse -> streamable-http)",
    );
    check(
        &http("a"),
        &edited(&http("a"), |it| it.url = "http://y.test/s9".into()),
        "update a url (http://x.test -> http://y.test)",
    );
    check(&http("a"), &edited(&http("a"), |it| it.url = "http://x.test/s9".into()), "update a url");
    check(
        &http("a"),
        &edited(&http("a"), |it| it.timeout = std::time::Duration::from_secs(10).into()),
        "update a timeout (30s -> 10s)",
    );
    check(
        &http("a"),
        &edited(&http("a"), |it| {
            it.tags.remove("team");
        }),
        "update a tags.team",
    );
}

#[test]
fn what_means_the_same_is_kept() {
    check(&stdio("a"), &stdio("a"), "keep a");
    let moved = edited(&stdio("a"), |it| {
        it.tags.insert(SOURCE_TAG.into(), "other.yaml:77".into());
    });
    check(&stdio("a"), &moved, "keep a");
    check(&edited(&http("a"), |it| it.url = "http://x.test:80/mcp".into()), &http("a"), "keep a");
    let shouted = edited(&http("a"), |it| {
        it.headers.clear();
        it.headers.insert("AUTHORIZATION".into(), Secret::new("s2"));
    });
    check(&shouted, &http("a"), "keep a");
}

#[test]
fn a_limit_of_our_own_gateway_is_compared_only_there() {
    let limited = edited(&stdio("a"), |it| it.max_sessions = 4);
    let registered = owned(&stdio("a"), "me");
    let at = |observed: Registration| told(&plan(std::slice::from_ref(&limited), &[observed], &policy(Adopt::Nothing)));
    assert_eq!(at(ours(&registered)), "update a maxSessions");
    assert_eq!(at(theirs(&registered)), "keep a");
    let without_secrets = edited(&registered, |it| it.env.clear());
    let limited = edited(&limited, |it| it.env.clear());
    let at = |observed: Registration| told(&plan(std::slice::from_ref(&limited), &[observed], &policy(Adopt::Nothing)));
    assert_eq!(at(ours(&without_secrets)), "update a maxSessions");
    assert_eq!(at(theirs(&without_secrets)), "keep a");
}

#[test]
fn a_hidden_secret_without_a_fingerprint_counts_as_equal() {
    let mut observed = ours(&owned(&http("a"), "me"));
    observed.fingerprints = None;
    let changed = edited(&http("a"), |it| it.headers["Authorization"] = Secret::new("s9"));
    assert_eq!(told(&plan(&[changed], &[observed], &policy(Adopt::Nothing))), "keep a");
}

/// Returns the document sent to the gateway when `changed` is declared.
fn sent(observed: Registration, changed: &Definition) -> DefinitionDocument {
    let mut plan = plan(std::slice::from_ref(changed), &[observed], &policy(Adopt::Nothing));
    let Some(Change::Update { definition, .. }) = plan.changes.pop() else { panic!("an update") };
    DefinitionDocument::from(*definition)
}

#[test]
fn a_placeholder_never_replaces_a_secret() {
    let placeholder = || Secret::new(schemas::REDACTED);
    let program = edited(&stdio("a"), |it| {
        it.env["T"] = placeholder();
        it.args.clear();
    });
    let remote = edited(&http("a"), |it| {
        it.headers["Authorization"] = placeholder();
        it.tags.clear();
    });
    // A gateway that shows its secrets would store the placeholder, so the secret is sent; otherwise the placeholder
    // is.
    assert_eq!(sent(theirs(&owned(&stdio("a"), "me")), &program).env["T"].expose(), "s1");
    assert_eq!(sent(theirs(&owned(&http("a"), "me")), &remote).headers["Authorization"].expose(), "s2");
    assert!(sent(ours(&owned(&stdio("a"), "me")), &program).env["T"].is_redacted());
    // Refuse a placeholder for which neither side has a secret.
    let more = edited(&stdio("a"), |it| {
        it.env.insert("U".into(), placeholder());
    });
    for make in [ours, theirs] {
        let plan = plan(std::slice::from_ref(&more), &[make(&owned(&stdio("a"), "me"))], &policy(Adopt::Nothing));
        assert_eq!(told(&plan), "refuse a env.U");
    }
}

#[test]
fn what_is_anothers_is_changed_only_on_demand() {
    let changed = edited(&stdio("a"), |it| it.args.clear());
    let at = |registered: &Definition, adopt| {
        told(&plan(std::slice::from_ref(&changed), &[ours(registered)], &policy(adopt)))
    };
    assert_eq!(at(&stdio("a"), Adopt::Nothing), "refuse a None args");
    assert_eq!(at(&stdio("a"), Adopt::Unowned), "update a args");
    let foreign = owned(&stdio("a"), "you");
    assert_eq!(at(&foreign, Adopt::Unowned), "refuse a Some(\"you\") args");
    assert_eq!(at(&foreign, Adopt::Anything), "update a args");
    assert_eq!(told(&plan(&[stdio("a")], &[ours(&foreign)], &policy(Adopt::Nothing))), "keep a");
}

#[test]
fn only_the_owners_own_is_ever_removed() {
    let observed = [ours(&owned(&stdio("mine"), "me")), ours(&owned(&stdio("yours"), "you")), ours(&stdio("nobodys"))];
    assert_eq!(told(&plan(&[], &observed, &policy(Adopt::Anything))), "");
    let pruning = Policy { prune: Prune::Owned, ..policy(Adopt::Anything) };
    assert_eq!(told(&plan(&[], &observed, &pruning)), "delete mine");
    assert_eq!(told(&plan(&[stdio("mine")], &observed, &pruning)), "keep mine");
}

#[test]
fn a_stored_definition_that_is_none_any_more_is_replaced() {
    let mut document = DefinitionDocument::from(owned(&http("a"), "me"));
    document.url = "not an address".into();
    let observed = serde_json::from_value(json!({"definition": document})).expect("a registration");
    assert_eq!(told(&plan(&[http("a")], &[observed], &policy(Adopt::Nothing))), "update a url");
}

/// Returns a registration with a revision, so that changes can be conditional on it.
fn at_revision(definition: &Definition) -> Registration {
    let mut registration = ours(definition);
    registration.revision = Some(Revision::new(7));
    registration
}

/// Returns the registration as a plan with a single update leaves it.
fn replaced(plan: &Plan) -> Registration {
    let [Change::Update { definition, .. }] = plan.changes.as_slice() else { panic!("an update: {}", told(plan)) };
    at_revision(definition)
}

#[test]
fn what_two_declare_alike_stays_with_the_second_when_the_first_declares_it_no_more() {
    let by = |owner: &str, desired: &[Definition], observed: &Registration| {
        let policy = Policy { prune: Prune::Owned, ..Policy::new(owner.parse().expect(owner)) };
        plan(desired, std::slice::from_ref(observed), &policy)
    };
    let same = edited(&stdio("a"), |it| it.env.clear());
    let first = at_revision(&owned(&same, "one"));
    let joined = by("two", std::slice::from_ref(&same), &first);
    assert_eq!(
        told(&joined),
        "update a shared_with (registered by `one` as it is declared here, and stays when `one` removes it)"
    );
    let shared = replaced(&joined);
    assert_eq!(sharers(&shared), ["two".parse().expect("an owner")]);
    assert_eq!(told(&by("one", std::slice::from_ref(&same), &shared)), "keep a");
    assert_eq!(told(&by("two", std::slice::from_ref(&same), &shared)), "keep a");
    // The owner changes it, and is told who else declares it.
    let changed = edited(&same, |it| it.args.clear());
    let planned = by("one", std::slice::from_ref(&changed), &shared);
    assert_eq!(told(&planned), "update a args, shared_with (also declared by `two`)");
    assert_eq!(sharers(&replaced(&planned)).len(), 1);
    // The owner removes it.
    let handed_over = by("one", &[], &shared);
    assert_eq!(told(&handed_over), "update a owner (one -> two, who declares it too)");
    let left = replaced(&handed_over);
    assert_eq!((left.definition.owner(), sharers(&left).len()), (Some("two"), 0));
    assert_eq!(left.definition.document().tags.get(SOURCE_TAG), None);
    assert_eq!(told(&by("two", &[], &left)), "delete a");
    // The other owner removes it.
    let gone = by("two", &[], &shared);
    assert_eq!(told(&gone), "update a shared_with (declared here no more; it stays with `one`)");
    assert_eq!(told(&by("one", &[], &replaced(&gone))), "delete a");
}

#[test]
fn a_gateway_that_cannot_compare_states_is_not_told_who_shares() {
    let observed = theirs(&owned(&stdio("a"), "one"));
    assert_eq!(told(&plan(&[stdio("a")], &[observed], &policy(Adopt::Nothing))), "keep a");
}

#[test]
fn what_is_restored_keeps_the_owner_that_it_has() {
    let restoring = Policy { restore: true, ..Policy::default() };
    let backup = owned(&stdio("a"), "one");
    let Plan { changes } = plan(&[backup.clone(), http("b")], &[], &restoring);
    let definitions = changes.iter().map(|change| match change {
        Change::Create { definition } => (**definition).clone(),
        other => panic!("{other:?}"),
    });
    assert_eq!(definitions.collect::<Vec<_>>(), [backup.clone(), http("b")], "as they were, tags and all");
    let changed = edited(&backup, |it| it.args.clear());
    assert_eq!(told(&plan(std::slice::from_ref(&backup), &[ours(&changed)], &restoring)), "update a args");
    let foreign = edited(&owned(&stdio("a"), "two"), |it| it.args.clear());
    assert_eq!(told(&plan(&[backup], &[ours(&foreign)], &restoring)), "refuse a Some(\"two\") args");
}
