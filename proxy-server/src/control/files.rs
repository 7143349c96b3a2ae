//! Makes the registrations of the configuration file's owner what the file declares: at start, and after each change of
//! it. Registrations of others stay as they are.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use schemas::Definition;
use schemas::admin::OWNER_TAG;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::control::declared::{DeclaredServers, FILE_OWNER, FileReport};
use crate::control::{Control, Decided};
use crate::error::Chain;
use crate::registry::{Expected, Registration, Snapshot, Tenure, TransactError, Write};
use crate::sync::lock;
use crate::telemetry::Actor;

/// Delay before servers are registered again after a failure.
const RETRY: Duration = Duration::from_secs(2);
/// Delay between a change of registrations and the look at those of the file.
const AFTER_CHANGE: Duration = Duration::from_millis(100);

impl Control {
    /// Takes over a new version of the configuration file. Its servers are registered by [`follow`].
    pub(crate) fn declare(&self, servers: DeclaredServers) {
        // Locked until the version is the newest, so that no outcome of the former one is noted as that of this one.
        let mut report = lock(&self.declared.report);
        *report = FileReport {
            file: servers.file.clone(),
            generation: if servers.file.is_some() { report.generation + 1 } else { 0 },
            loaded_at: Some(self.now()),
            servers: servers.definitions.len(),
            refused: servers.refused.clone(),
            pending: Some("the servers are being registered".to_owned()),
            rejected: None,
        };
        self.declared.newest.send_replace(Some(Arc::new(servers)));
    }

    /// Notes the reason why a newer version of the file is not used.
    pub(crate) fn reject_file(&self, reason: String) {
        lock(&self.declared.report).rejected = Some(reason);
    }

    /// Returns the state of the configuration file.
    pub(crate) fn file_report(&self) -> FileReport {
        lock(&self.declared.report).clone()
    }

    /// Makes the registrations of the owner those that are declared. Returns the servers whose names are others', with the
    /// reason.
    async fn register(&self, declared: &DeclaredServers) -> Result<Vec<String>, TransactError> {
        // On a storage that other gateways use too, the file of another owner may be theirs.
        let is_shared = self.registry.is_shared();
        let by = Actor::File { owner: declared.owner.to_string() };
        let outcome =
            self.decide(&by, |snapshot| Ok::<_, std::convert::Infallible>(decide(snapshot, declared, is_shared)));
        let (written, taken) = match outcome.await {
            Ok(outcome) => outcome?,
            Err(never) => match never {},
        };
        if !written.is_empty() {
            info!(changes = written.len(), owner = %declared.owner, "servers of the configuration file registered");
        }
        Ok(taken)
    }
}

/// Registers the declared servers whenever they change, until it has succeeded, and again when a registration has changed:
/// the file is the truth of its servers. On a shared storage only a new version of the file is applied, because two gateways
/// with different files would undo each other's changes for ever.
pub(super) async fn follow(control: Arc<Control>, stopping: CancellationToken) {
    let mut newest = control.declared.newest.subscribe();
    let mut registrations = control.watch();
    let is_shared = control.registry.is_shared();
    loop {
        let declared = newest.borrow_and_update().clone();
        registrations.borrow_and_update();
        if let Some(declared) = declared {
            let outcome = control.register(&declared).await;
            let is_done = note(&control, &declared, outcome);
            if !is_done && stopping.run_until_cancelled(sleep(RETRY)).await.is_some() {
                newest.mark_changed();
            }
        }
        tokio::select! {
            () = stopping.cancelled() => return,
            changed = newest.changed() => if changed.is_err() { return },
            changed = registrations.changed(), if !is_shared => {
                if changed.is_err() || stopping.run_until_cancelled(sleep(AFTER_CHANGE)).await.is_none() {
                    return;
                }
            }
        }
    }
}

/// Reports the outcome of a registration, unless a newer version has come meanwhile. Returns false if it has to be tried
/// again.
fn note(control: &Control, declared: &Arc<DeclaredServers>, outcome: Result<Vec<String>, TransactError>) -> bool {
    let mut report = lock(&control.declared.report);
    if control.declared.newest.borrow().as_ref().is_none_or(|newest| !Arc::ptr_eq(newest, declared)) {
        return true;
    }
    match outcome {
        Ok(taken) => {
            for refusal in taken.iter().filter(|refusal| !report.refused.contains(refusal)) {
                error!(refusal, "server of the configuration file not registered");
            }
            report.refused = declared.refused.iter().cloned().chain(taken).collect();
            report.pending = None;
            true
        }
        Err(failure) => {
            let reason = Chain(&failure).to_string();
            let is_lost = matches!(failure, TransactError::Storage(_));
            let is_news = report.pending.as_deref() != Some(reason.as_str());
            // A lost storage has a log line of its own.
            match (is_news, is_lost) {
                (true, true) => warn!(reason, "servers of the configuration file wait for the storage"),
                (true, false) => error!(reason, "servers of the configuration file not registered"),
                (false, _) => {}
            }
            report.pending = Some(reason);
            false
        }
    }
}

/// Compares the owner's registrations with the declared ones. The context is the list of names that others have. Unless the
/// storage is shared, those of files that are not loaded any more are removed.
fn decide(snapshot: &Snapshot, declared: &DeclaredServers, is_shared: bool) -> Decided<Vec<String>> {
    let is_own = |registration: &Registration| {
        let owner = owner_of(registration).unwrap_or_default();
        owner == declared.owner.as_str() || (!is_shared && owner.starts_with(FILE_OWNER))
    };
    let (mut writes, mut expected, mut taken) = (Vec::new(), Expected::new(), Vec::new());
    for definition in declared.definitions.iter() {
        let stored = snapshot.get(definition.name.as_str());
        let write = match stored {
            None => Write::Create { definition: definition.clone(), lease: None },
            Some(stored) if !is_own(stored) => {
                taken.push(refusal(definition, owner_of(stored)));
                continue;
            }
            Some(stored) if stored.definition == *definition => continue,
            Some(_) => Write::Update { definition: definition.clone(), tenure: Tenure::Permanent, lease: None },
        };
        expected.insert(definition.name.clone(), stored.map(|stored| stored.revision));
        writes.push(write);
    }
    let names: HashSet<&str> = declared.definitions.iter().map(|definition| definition.name.as_str()).collect();
    let is_left = |stored: &Registration| is_own(stored) && !names.contains(stored.definition.name.as_str());
    for stored in snapshot.all().filter(|stored| is_left(stored)) {
        let name = stored.definition.name.clone();
        expected.insert(name.clone(), Some(stored.revision));
        writes.push(Write::Delete { name });
    }
    Decided { writes, expected, context: taken }
}

fn owner_of(registration: &Registration) -> Option<&str> {
    registration.definition.tags.get(OWNER_TAG).map(String::as_str)
}

fn refusal(definition: &Definition, owner: Option<&str>) -> String {
    let name = &definition.name;
    match owner {
        Some(owner) => format!(
            "`{name}` is registered by owner `{owner}`; use another name, deregister it, or take its owner with --config-owner"
        ),
        None => format!("`{name}` is registered already, without an owner; use another name, or deregister it"),
    }
}
