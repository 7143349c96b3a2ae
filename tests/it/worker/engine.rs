//! The program that the README shows.

use std::fs;

use harness::process::Signal;
use harness::{DEADLINE, binary, gateway, root};

use super::names;

#[test]
fn the_readme_shows_it_as_it_is() {
    let read = |path: &str| fs::read_to_string(root().join(path)).expect(path);
    let (readme, program) = (read("README.md"), read("examples/engine.rs"));
    let (_, program) = program.split_once("\n\n").expect("its documentation, and the rest");
    assert!(readme.contains(&format!("```rust\n{program}```\n")), "README.md has to show:\n{program}");
}

#[tokio::test]
async fn it_starts_offers_and_calls_tools_and_leaves_nothing_behind() {
    let gateway = gateway().start().await;
    let (server, _home) = binary("examples/demo_server").into_command();
    let engine = binary("examples/engine").args([root().join("workflows/demo.yaml")]);
    let engine = engine.env("MCP_PROXY_URL", &gateway.url).env("DEMO_SERVER", server.as_std().get_program());
    let mut engine = engine.start();
    engine.process.prints("demo: Some(Connected)").await;
    assert_eq!(names(&gateway.admin).await, ["demo"]);
    engine.process.signal(Signal::INT);
    let ended = engine.process.ended(DEADLINE).await;
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), "ready\n"));
    assert!(ended.out.contains(r#""description":"Adds two numbers.""#), "{}", ended.out);
    assert!(ended.out.contains("\n42 (failed: false)\n3 (failed: false)\n"), "{}", ended.out);
    assert_eq!(names(&gateway.admin).await, [""; 0]);
}
