//! `POST /admin/import`: shows what a configuration file of another program comes to, and registers its servers on
//! request. Reads nothing but the request: neither files nor the gateway's environment.

use std::path::Path;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use schemas::Definition;
use schemas::admin::{ImportAnswer, ImportOutcome, ImportRequest, ImportedServer, OWNER_TAG};
use schemas::config::{Remark, Surroundings, import_document};
use schemas::document::Document;
use tokio::task::spawn_blocking;

use crate::admin::body;
use crate::admin::definitions::is_process;
use crate::admin::problem::{bad_request, denied, failed, not_applied};
use crate::admin::state::{Admin, Shared};
use crate::error::Chain;
use crate::registry::{Expected, Snapshot, Write};
use crate::telemetry::Actor;

/// Maximum size of a file.
const MAX_FILE_BYTES: usize = 4 << 20;

/// File that was read: its servers, each with its definition if it can be registered.
struct Read {
    format: &'static str,
    servers: Vec<(ImportedServer, Option<Definition>)>,
    remarks: Vec<String>,
}

pub(super) async fn import(State(admin): Shared, Extension(by): Extension<Actor>, request: Request) -> Response {
    let starter = admin.policy.starter(&(admin.credentials)(&request));
    let request: ImportRequest = match body::document(&admin, request).await {
        Ok(request) => request,
        Err(refusal) => return refusal,
    };
    let is_applied = request.apply;
    if request.content.len() > MAX_FILE_BYTES {
        return bad_request(format!("the file is larger than {} MiB", MAX_FILE_BYTES >> 20));
    }
    // A large file takes a while, in which other requests are served.
    let reader = Arc::clone(&admin);
    let reading = spawn_blocking(move || read(&reader, &request)).await;
    let mut read = match reading {
        Ok(Ok(read)) => read,
        Ok(Err(problems)) => return bad_request(problems.join("\n")),
        Err(error) => return failed("Failed to read the file", &error),
    };
    compare(&admin.control.snapshot(), &mut read);
    if is_applied {
        let wanted = || read.servers.iter().filter_map(|(_, definition)| definition.as_ref());
        if wanted().any(is_process)
            && let Err(reason) = starter.may_start()
        {
            return denied((&admin, &by), "/admin/import", reason);
        }
        if let Err(refusal) = register((&admin, &by), &mut read).await {
            return refusal;
        }
    }
    let mut answer = ImportAnswer::default();
    answer.format = read.format.to_owned();
    answer.applied = is_applied;
    answer.servers = read.servers.into_iter().map(|(server, _)| server).collect();
    answer.remarks = read.remarks;
    Json(answer).into_response()
}

/// Reads the file. Fails with all remarks if it is no file of servers.
fn read(admin: &Admin, request: &ImportRequest) -> Result<Read, Vec<String>> {
    let path = Path::new(if request.name.is_empty() { "file" } else { &request.name });
    let (file, stem) = (path.display().to_string(), path.file_stem().unwrap_or_default().to_string_lossy());
    let document = Document::parse(&request.content);
    let imported = import_document(&document, &stem, request.format.as_deref());
    let mut remarks: Vec<String> = imported.remarks.iter().map(|remark| remark.in_file(&file)).collect();
    for setting in &imported.settings {
        let message = format!("setting `{}` of the file is not applied", setting.name);
        remarks.push(Remark::warning(setting.span, message).in_file(&file));
    }
    let Some(dialect) = imported.dialect.filter(|_| document.malformed.is_empty()) else { return Err(remarks) };
    let text = |(name, value): (&String, &schemas::Secret)| (name.clone(), value.expose().to_owned());
    let surroundings = Surroundings {
        environment: request.variables.iter().map(text).collect(),
        inputs: request.inputs.iter().map(text).collect(),
        ..Surroundings::default()
    };
    let mut servers: Vec<(ImportedServer, Option<Definition>)> = Vec::new();
    for server in &imported.servers {
        let slug = server.slug();
        if servers.iter().any(|(earlier, _)| earlier.name == slug) {
            let message = format!("`{}` has the name `{slug}` of an earlier server, and is left out", server.name);
            remarks.push(Remark::warning(server.span, message).in_file(&file));
            continue;
        }
        let shown = |outcome| ImportedServer::new(&server.name, &slug, outcome);
        if server.is_disabled {
            servers.push((shown(ImportOutcome::Disabled), None));
            continue;
        }
        let definition = server.definition(&surroundings).map_err(|refused| refused.message);
        let fits = definition.and_then(|mut definition| {
            if let Some(owner) = &request.owner {
                definition.tags.insert(OWNER_TAG.to_owned(), owner.to_string());
            }
            if !body::fits(admin, &definition) {
                return Err(format!("it is larger than {} bytes (--max-definition-bytes)", admin.max_definition_bytes));
            }
            let found = admin.upstreams.check(&definition).map_err(|error| Chain(&error).to_string());
            found.map(|()| definition)
        });
        servers.push(match fits {
            Ok(definition) => (shown(ImportOutcome::Create).showing(definition.clone()), Some(definition)),
            Err(reason) => (shown(ImportOutcome::Refused).because(reason), None),
        });
    }
    Ok(Read { format: dialect.id, servers, remarks })
}

/// Marks the servers whose names are registered already.
fn compare(snapshot: &Snapshot, read: &mut Read) {
    for (server, definition) in &mut read.servers {
        if definition.is_some() && snapshot.get(&server.name).is_some() {
            server.outcome = ImportOutcome::Exists;
            server.reason = Some("a registration of that name exists, and stays as it is".to_owned());
            *definition = None;
        }
    }
}

async fn register((admin, by): (&Admin, &Actor), read: &mut Read) -> Result<(), Response> {
    let definitions: Vec<Definition> = read.servers.iter().filter_map(|(_, definition)| definition.clone()).collect();
    let writes = definitions.into_iter().map(|definition| Write::Create { definition, lease: None });
    let committed = admin.control.commit(by, writes.collect(), &Expected::new()).await;
    committed.map_err(|error| not_applied("Failed to create MCPs", &error))?;
    for (server, _) in read.servers.iter_mut().filter(|(_, definition)| definition.is_some()) {
        server.outcome = ImportOutcome::Created;
    }
    Ok(())
}
