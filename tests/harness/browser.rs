//! A real browser: Debian's Chromium, which `tests/run` unpacks.

use tokio::process::Command;

use crate::fixture::installed;
use crate::process::run;
use crate::proxy::libraries;

/// Opens a page in a new profile and gives its document as text, once nothing more happens there.
///
/// # Panics
///
/// When the browser cannot be started.
pub async fn chromium(url: &str) -> String {
    let usr = installed("debian/chromium/usr");
    let home = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(usr.join("lib/chromium/chromium-headless-shell"));
    // No sandbox: it needs rights that a test may not have. Time that nobody uses passes at once.
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
