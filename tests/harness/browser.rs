//! A real browser: Debian's Chromium, unpacked by `tests/run`.

use tokio::process::Command;

use crate::fixture::installed;
use crate::process::run;
use crate::proxy::libraries;

/// Opens a page in a new profile. Returns the document as text once the page is idle.
///
/// # Panics
///
/// If the browser cannot be started.
pub async fn chromium(url: &str) -> String {
    let usr = installed("debian/chromium/usr");
    let home = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(usr.join("lib/chromium/chromium-headless-shell"));
    // Disable the sandbox, which needs privileges that a test may lack. Virtual time skips idle waits.
    command.args([
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--virtual-time-budget=60000",
        "--dump-dom",
    ]);
    command.arg(format!("--user-data-dir={}", home.path().display())).arg(url);
    command.env("LD_LIBRARY_PATH", libraries(&usr)).env("HOME", home.path());
    run(command).await.out
}
