//! `register-service` as a dependency: the worker in the README, built with the dependencies that the README lists, and
//! without those of the command line tool.

mod client;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use harness::root;

/// Maximum number of packages that a worker may add to an engine, including itself.
const MOST: usize = 120;

fn cargo(args: &[&str]) -> String {
    let cargo = Command::new(env!("CARGO")).args(args).current_dir(root()).output().expect("cargo runs");
    assert!(cargo.status.success(), "cargo {args:?}: {}", String::from_utf8_lossy(&cargo.stderr));
    String::from_utf8_lossy(&cargo.stdout).into_owned()
}

#[test]
fn the_library_is_small_and_without_the_command_line() {
    let tree =
        ["tree", "-p", "register-service", "--no-default-features", "-e", "normal", "--prefix", "none", "--locked"];
    let tree = cargo(&tree);
    let packages: BTreeSet<&str> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    assert!(
        packages.len() <= MOST,
        "{} packages:\n{}",
        packages.len(),
        packages.into_iter().collect::<Vec<_>>().join("\n")
    );
    for unwanted in ["clap ", "clap_builder ", "tracing-subscriber "] {
        assert!(!packages.iter().any(|package| package.starts_with(unwanted)), "{unwanted}");
    }
}

/// Returns the first code block of this language in the README's section about workers.
fn block(kind: &str) -> String {
    let readme = fs::read_to_string(root().join("register-service/README.md")).expect("a file");
    let (_, part) = readme.split_once("## From code").expect("a part about workers");
    let (_, block) = part.split_once(&format!("```{kind}\n")).expect(kind);
    block.split_once("```").expect("an end").0.to_owned()
}

#[test]
fn the_readmes_worker_compiles_with_the_dependencies_that_the_readme_shows() {
    let folder = root().join("target/library");
    fs::create_dir_all(folder.join("src")).expect("a folder");
    let here = root().join("register-service").display().to_string();
    let dependencies = block("toml").replace("../mcp-proxy/register-service", &here);
    assert!(dependencies.contains(&here), "{dependencies}");
    let manifest = format!("[package]\nname = \"worker\"\nedition = \"2024\"\n\n{dependencies}\n[workspace]\n");
    fs::write(folder.join("Cargo.toml"), manifest).expect("a manifest");
    fs::write(folder.join("src/main.rs"), block("rust")).expect("a program");
    // Locks the versions that the other tests use.
    fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).expect("a lock file");
    let (manifest, target) = (folder.join("Cargo.toml"), folder.join("target"));
    cargo(&[
        "check",
        "--quiet",
        "--manifest-path",
        &manifest.to_string_lossy(),
        "--target-dir",
        &target.to_string_lossy(),
    ]);
}
