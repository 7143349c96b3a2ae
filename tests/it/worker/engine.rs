//! Example program of the README.

use std::fs;

use harness::process::Signal;
use harness::{DEADLINE, binary, gateway, root};

use super::names;

#[test]
fn the_readme_shows_it_as_it_is() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect(path);
    let (readme, program) = (read("register-service/README.md"), read("examples/engine.rs"));
    let (_, program) = program.split_once("\n\n").expect("its documentation, and the rest");
    assert!(readme.contains(&format!("```rust\n{program}```\n")), "register-service/README.md has to show:\n{program}");
}

#[tokio::test]
async fn it_starts_offers_and_calls_tools_and_leaves_nothing_behind() {
    for signal in [Signal::INT, Signal::TERM] {
        ends_with(signal).await;
    }
}

async fn ends_with(signal: Signal) {
    let gateway = gateway().start().await;
    let (server, _home) = binary("examples/demo_server").into_command();
    let engine = binary("examples/engine").args([root().join("workflows/demo.yaml")]);
    let engine = engine.env("MCP_PROXY_URL", &gateway.url).env("DEMO_SERVER", server.as_std().get_program());
    let is_verbose = signal == Signal::TERM;
    let mut engine = if is_verbose { engine.env("RUST_LOG", "register_service=debug") } else { engine }.start();
    engine.process.prints("demo: Some(Connected)").await;
    assert_eq!(names(&gateway.admin).await, ["demo"]);
    engine.process.signal(signal);
    let ended = engine.process.ended(DEADLINE).await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    match is_verbose {
        true => assert!(ended.err.contains("upstream ensured"), "{}", ended.err),
        false => assert_eq!(ended.err, "ready\n"),
    }
    assert!(ended.out.contains(r#""description":"Adds two numbers.""#), "{}", ended.out);
    assert!(ended.out.contains("\n42 (failed: false)\n3 (failed: false)\n"), "{}", ended.out);
    assert_eq!(names(&gateway.admin).await, [""; 0]);
}
