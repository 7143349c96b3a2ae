//! Ways to install `register-service` without compiling it in every job: the GitHub action, and the archive of a
//! release.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::{env, fs};

use harness::process::{Ended, run};
use harness::{binary, root};
use tempfile::TempDir;
use tokio::process::Command;

const ACTION: &str = ".github/actions/register-service/action.yml";

/// Returns the path of the program that the tests were built with.
fn built() -> PathBuf {
    let (tool, _home) = binary("register-service").into_command();
    tool.as_std().get_program().into()
}

/// Returns the shell commands of an action or a workflow, in order.
fn scripts(file: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(file)).expect(file);
    let (_, diagnostics) = register_service::files::read(&[root().join(file)]);
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    let lines: Vec<&str> = text.lines().collect();
    let script = |(at, line): (usize, &&str)| {
        let (indent, rest) = line.split_once("run: ")?;
        if rest != "|" {
            return Some(rest.trim_matches('\'').to_owned());
        }
        let inside = format!("{}  ", indent.replace('-', " "));
        let block = lines.iter().skip(at + 1).map_while(|line| line.strip_prefix(&inside));
        Some(block.collect::<Vec<_>>().join("\n"))
    };
    lines.iter().enumerate().filter_map(script).collect()
}

/// GitHub runner with a fake compiler, which records its arguments and returns the existing build.
struct Runner {
    folder: TempDir,
}

impl Runner {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let cargo = folder.path().join("cargo");
        let script = format!(
            "#!/bin/bash\necho \"$@\" >>'{}/asked'\nmkdir -p \"${{!#}}/bin\" && cp '{}' \"${{!#}}/bin\"\n",
            folder.path().display(),
            built().display(),
        );
        fs::write(&cargo, script).expect("a program");
        fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).expect("it can be run");
        Self { folder }
    }

    async fn runs(&self, script: &str) -> Ended {
        let at = |name: &str| self.folder.path().join(name);
        let path = env::join_paths([self.folder.path(), "/usr/bin".as_ref(), "/bin".as_ref()]).expect("a path");
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script]).env_clear().env("PATH", path);
        command.env("GITHUB_ACTION_PATH", root().join(ACTION).parent().expect("a folder"));
        command.env("GITHUB_OUTPUT", at("output")).env("GITHUB_PATH", at("path")).env("RUNNER_TOOL_CACHE", at("tools"));
        let ended = run(command).await;
        assert_eq!(ended.code, Some(0), "{script}\n{}{}", ended.out, ended.err);
        ended
    }

    fn holds(&self, file: &str) -> String {
        fs::read_to_string(self.folder.path().join(file)).unwrap_or_default()
    }
}

#[tokio::test]
async fn the_action_compiles_once_and_then_takes_what_the_cache_has() {
    let runner = Runner::new();
    let steps = scripts(ACTION);
    assert_eq!(steps.len(), 2, "{steps:?}");
    for script in steps.iter().chain(&steps) {
        runner.runs(script).await;
    }
    let output = runner.holds("output");
    let said: BTreeMap<&str, &str> = output.lines().filter_map(|line| line.split_once('=')).collect();
    assert_eq!(said["version"], format!("register-service {}", env!("CARGO_PKG_VERSION")));
    let (folder, key) = (Path::new(said["folder"]), said["key"]);
    assert!(key.starts_with("register-service-") && folder.ends_with(key), "{output}");
    assert_eq!(runner.holds("path").lines().next().map(Path::new), Some(&*folder.join("bin")));
    let asked = runner.holds("asked");
    let source = root().join("register-service").canonicalize().expect("a folder");
    let expected = format!("install --locked --path {} --root {}\n", source.display(), folder.display());
    assert_eq!(asked, expected, "once");
}

#[tokio::test]
async fn an_archive_lies_where_binstall_looks_for_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let package = |into: &Path| {
        let mut command = Command::new(root().join(".ci/package"));
        command.arg(into).arg(built());
        run(command)
    };
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let made = package(&first).await;
    assert_eq!(made.code, Some(0), "{}", made.err);
    let archive = PathBuf::from(made.out.trim());
    let name = archive.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
    package(&second).await;
    let bytes = |folder: &Path| fs::read(folder.join(&name)).expect("an archive");
    assert!(bytes(&first) == bytes(&second), "equal contents give equal archives");

    let manifest = fs::read_to_string(root().join("register-service/Cargo.toml")).expect("a manifest");
    let target = name.strip_prefix(&format!("register-service-{}-", env!("CARGO_PKG_VERSION"))).expect(&name);
    let target = target.strip_suffix(".tar.gz").expect(&name);
    let told = |key: &str| {
        let line = manifest.lines().find_map(|line| line.strip_prefix(&format!("{key} = \""))).expect(key);
        let words = [
            ("{ repo }", "REPOSITORY"),
            ("{ version }", env!("CARGO_PKG_VERSION")),
            ("{ name }", "register-service"),
            ("{ bin }", "register-service"),
            ("{ binary-ext }", ""),
            ("{ target }", target),
            ("{ archive-suffix }", ".tar.gz"),
        ];
        words.iter().fold(line.trim_end_matches('"').to_owned(), |line, (word, value)| line.replace(word, value))
    };
    let url = format!("REPOSITORY/releases/download/v{}/{name}", env!("CARGO_PKG_VERSION"));
    assert_eq!(told("pkg-url"), url);
    // Commands of the README: verify, unpack, run.
    let mut command = Command::new("bash");
    let check = format!("sha256sum --quiet -c {name}.sha256 && tar xzf {name} && {}", told("bin-dir"));
    command.args(["-ec", &format!("{check} schema | head -c 1")]).current_dir(&first);
    let ended = run(command).await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(0), "{"), "{}", ended.err);
    let unpacked = first.join(name.trim_end_matches(".tar.gz"));
    for file in
        ["completions/register-service.bash", "man/man1/register-service-sync.1", "schemas/workflow.schema.json"]
    {
        assert!(unpacked.join(file).is_file(), "{file}");
    }
}

#[test]
fn a_release_packages_and_publishes_what_it_packaged() {
    let steps = scripts(".github/workflows/release.yml");
    assert_eq!(steps[0], ".ci/package archives");
    assert!(steps[1].contains("archives/*"), "{steps:?}");
}
