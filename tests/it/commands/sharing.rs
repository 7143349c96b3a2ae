//! Two repositories at one gateway: a refusal or removal in one of them leaves the registrations of the other alone,
//! and both are told.

use harness::gateway;
use register_service::plan::SHARED_TAG;

use super::{Tool, folder, owners, pairs, path, server};

#[tokio::test]
async fn one_change_that_is_refused_or_fails_keeps_no_other_from_being_made_one_by_one() {
    let gateway = gateway().start().await;
    let tool = Tool { url: &gateway.url };
    let theirs = folder("mcps:\n  - {id: theirs, command: cat, use_proxy: true}\n");
    tool.exits(0, &["sync", path(&theirs), "--owner", "them"]).await;
    let mine = folder(
        "mcps:\n  - {id: fine, command: cat, use_proxy: true}\n  - {id: theirs, command: cat -u, use_proxy: true}\n  \
         - {id: broken, command: no-such-program-anywhere, use_proxy: true}\n  \
         - {id: hidden, command: cat, env: {TOKEN: '[redacted]'}, use_proxy: true}\n",
    );
    let sync = ["sync", path(&mine), "--owner", "me"];
    tool.exits(4, &sync).await;
    assert_eq!(owners(&gateway.admin).await, pairs([("theirs", "them")]), "all or nothing");
    let ended = tool.run(&[&sync[..], &["--no-atomic"]].concat()).await;
    assert_eq!(ended.code, Some(8), "{}{}", ended.out, ended.err);
    assert_eq!(owners(&gateway.admin).await, pairs([("fine", "me"), ("theirs", "them")]));
    for line in ["created fine", "refused theirs", "failed broken", "refused hidden"] {
        assert!(ended.out.contains(line), "{line}: {}", ended.out);
    }
    assert!(ended.out.ends_with("created 1, updated 0, unchanged 0, refused 2, failed 1\n"), "{}", ended.out);
    for words in ["`theirs` is registered by `them`", "`no-such-program-anywhere`", "`hidden` is not registered"] {
        assert!(ended.err.contains(words), "{words}: {}", ended.err);
    }
    // If no change is left that can be made, the exit code names the failure.
    let ended = tool.run(&[&sync[..], &["--no-atomic"]].concat()).await;
    assert_eq!(ended.code, Some(1), "{}{}", ended.out, ended.err);
}

#[tokio::test]
async fn a_server_that_two_repositories_declare_stays_when_the_first_declares_it_no_more() {
    let gateway = gateway().start().await;
    let tool = Tool { url: &gateway.url };
    let both = server("search");
    let (one, two) = (folder(&format!("mcps:\n{both}{}", server("own"))), folder(&format!("mcps:\n{both}")));
    tool.exits(0, &["sync", path(&one), "--owner", "one", "--prune", "owned"]).await;

    let planned = tool.exits(0, &["plan", path(&two), "--owner", "two", "--prune", "owned"]).await;
    let told = "registered by `one` as it is declared here, and stays when `one` removes it";
    assert!(planned.contains(&format!("{SHARED_TAG}: {told}")), "{planned}");
    let before = gateway.admin.get("/admin/mcps/search").await.json();
    tool.exits(0, &["sync", path(&two), "--owner", "two", "--prune", "owned"]).await;
    let shared = gateway.admin.get("/admin/mcps/search").await.json();
    assert_eq!(shared["owner"], "one", "{shared}");
    assert_eq!(shared["status"]["upTime"].is_null(), before["status"]["upTime"].is_null());
    for (folder, owner) in [(&one, "one"), (&two, "two")] {
        let again = tool.exits(0, &["plan", path(folder), "--owner", owner, "--prune", "owned"]).await;
        assert!(again.starts_with("to create 0, to update 0"), "{again}");
    }
    assert!(tool.exits(0, &["status"]).await.contains("one +two"));
    tool.exits(4, &["deregister", "search", "--owner", "one"]).await;

    // The first repository edits the shared server: the plan names the other owner.
    std::fs::write(one.path().join("w.yaml"), format!("mcps:\n{}{}", both.replace("cat", "cat -u"), server("own")))
        .expect("a file");
    let planned = tool.exits(0, &["plan", path(&one), "--owner", "one"]).await;
    assert!(planned.contains("also declared by `two`"), "{planned}");
    std::fs::write(one.path().join("w.yaml"), format!("mcps:\n{}", server("own"))).expect("a file");
    let planned = tool.exits(0, &["plan", path(&one), "--owner", "one", "--prune", "owned"]).await;
    assert!(planned.contains("owner: one -> two, who declares it too"), "{planned}");
    tool.exits(0, &["sync", path(&one), "--owner", "one", "--prune", "owned"]).await;
    assert_eq!(owners(&gateway.admin).await, pairs([("own", "one"), ("search", "two")]));

    // Only the second repository declares it now.
    std::fs::write(two.path().join("w.yaml"), "mcps: []\n").expect("a file");
    tool.exits(0, &["sync", path(&two), "--owner", "two", "--prune", "owned", "--allow-empty"]).await;
    assert_eq!(owners(&gateway.admin).await, pairs([("own", "one")]));
}
