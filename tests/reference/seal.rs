//! Sealing of `requestState`: state that the client stores between two rounds and cannot modify.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::message::{Fault, INVALID_PARAMS};

/// Key shared by all processes, so that one can continue a call that another began.
const KEY: &[u8] = b"what the reference upstream seals with";
const LIFETIME: Duration = Duration::from_secs(600);

#[derive(Serialize, Deserialize)]
struct State {
    /// Method and item of the call, so that its state is not accepted in another call.
    call: String,
    until: u64,
    answers: Map<String, Value>,
}

/// Seals the answers so far. Deliberately contains JSON, so that proxies must escape quotes and keep brackets intact.
pub(crate) fn seal(call: &str, answers: &Map<String, Value>) -> String {
    let state = State { call: call.to_owned(), until: now() + LIFETIME.as_secs(), answers: answers.clone() };
    let text = serde_json::to_string(&state).unwrap_or_default();
    let tag = tag(&text);
    text + "." + &tag
}

/// Returns the answers that were sealed for this call.
pub(crate) fn open(call: &str, sealed: &str) -> Result<Map<String, Value>, Fault> {
    let state = sealed
        .rsplit_once('.')
        .filter(|(text, found)| *found == tag(text))
        .and_then(|(text, _)| serde_json::from_str::<State>(text).ok())
        .filter(|state| state.call == call && state.until > now());
    state.map(|state| state.answers).ok_or_else(|| Fault::new(INVALID_PARAMS, "the requestState is not valid"))
}

/// Computes a keyed hash; hashing twice prevents length extension.
fn tag(text: &str) -> String {
    let hash = |text: &[u8]| Sha256::new().chain_update(KEY).chain_update(text).finalize();
    hash(&hash(text.as_bytes())).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
