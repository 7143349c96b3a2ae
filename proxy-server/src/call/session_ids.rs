//! Ids of sessions that outlive the process: an unguessable key, and all that is needed to open the session again, sealed.
//! The gateway keeps nothing for a session that may never be used again.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use indexmap::IndexSet;
use jiff::Timestamp;
use schemas::Definition;

use crate::keys::seal::{Purpose, Seal, purpose};
use crate::policy::{Policy, Principal};
use crate::sync::lock;

/// Maximum length of an id: reverse proxies take heads of 4 KiB and more. A session that would need a longer one, because
/// of long `initialize` parameters, ends with the process.
const MAX_ID: usize = 1 << 10;
/// Maximum length of `initialize` parameters in bytes, before they are packed.
const MAX_HELLO: usize = 64 << 10;
/// Time after which a session is not opened again by another process.
const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Length of the name of a process.
const PROCESS_LEN: usize = 16;
/// Number of ended sessions of earlier processes that are remembered.
const MAX_ENDED: usize = 10_000;

/// Issues ids, and reads those that earlier processes with the same keys have issued.
pub(crate) struct SessionIds {
    /// `None` if no later process has the same keys.
    seal: Option<Seal>,
    policy: Arc<Policy>,
    /// Random name of this process.
    process: [u8; PROCESS_LEN],
    /// Keys of sessions of earlier processes that have ended in this one.
    ended: Mutex<IndexSet<Box<str>>>,
}

/// The owner of a session: what must be the same when it is opened again.
#[derive(Clone, Copy)]
pub(crate) struct Owner<'a> {
    pub(crate) principal: Principal,
    /// The upstream of the endpoint; `None` for the endpoint of all.
    pub(crate) upstream: Option<&'a Definition>,
}

/// A session of an earlier process.
pub(crate) struct Earlier {
    /// Agreed protocol revision.
    pub(crate) version: String,
    /// Raw `initialize` parameters of the client.
    pub(crate) hello: String,
}

impl SessionIds {
    pub(crate) fn new(seal: Option<Seal>, policy: Arc<Policy>) -> Self {
        let mut process = [0; PROCESS_LEN];
        // Without randomness, sessions of an earlier process are taken for this one's and not opened again.
        getrandom::fill(&mut process).ok();
        Self { seal, policy, process, ended: Mutex::default() }
    }

    /// Returns the id of a session with this key.
    pub(crate) fn issue(&self, key: &str, owner: Owner<'_>, version: &str, hello: &str) -> String {
        let sealed = || {
            let mut text = self.process.to_vec();
            text.extend(Timestamp::now().as_second().to_be_bytes());
            let mut encoder = DeflateEncoder::new(&mut text, Compression::default());
            encoder.write_all(format!("{version}\n{hello}").as_bytes()).ok()?;
            encoder.finish().ok()?;
            self.seal.as_ref()?.seal(&text, &self.purpose(key, owner)).ok()
        };
        let sealed = if hello.len() <= MAX_HELLO { sealed() } else { None };
        let id = sealed.map(|sealed| format!("{key}.{}", BASE64_URL_SAFE_NO_PAD.encode(sealed)));
        id.filter(|id| id.len() <= MAX_ID).unwrap_or_else(|| key.to_owned())
    }

    /// Reads an id of an earlier process; `None` if it is none, or if its session has ended here.
    pub(crate) fn earlier(&self, id: &str, owner: Owner<'_>) -> Option<Earlier> {
        let (key, sealed) = id.split_once('.')?;
        if self.has_ended(key) {
            return None;
        }
        let text = self.seal.as_ref()?.open(BASE64_URL_SAFE_NO_PAD.decode(sealed).ok()?, &self.purpose(key, owner))?;
        let (process, packed) = text.split_first_chunk::<PROCESS_LEN>()?;
        let (issued, packed) = packed.split_first_chunk().map(|(issued, rest)| (i64::from_be_bytes(*issued), rest))?;
        let age = Timestamp::now().as_second().checked_sub(issued)?;
        if *process == self.process || age > i64::try_from(MAX_AGE.as_secs()).unwrap_or(i64::MAX) {
            return None;
        }
        let mut text = String::new();
        DeflateDecoder::new(packed).take(MAX_HELLO as u64 + 64).read_to_string(&mut text).ok()?;
        let (version, hello) = text.split_once('\n')?;
        Some(Earlier { version: version.to_owned(), hello: hello.to_owned() })
    }

    fn purpose(&self, key: &str, owner: Owner<'_>) -> Purpose {
        let endpoint = owner.upstream.map_or("", |definition| definition.name.as_str());
        let principal = self.policy.lasting_name(owner.principal, owner.upstream);
        purpose(["session", key, endpoint, &principal].map(str::as_bytes))
    }

    /// True if a session of an earlier process is known to have ended in this one.
    pub(crate) fn has_ended(&self, key: &str) -> bool {
        lock(&self.ended).contains(key)
    }

    /// Remembers that a session of an earlier process has ended.
    pub(crate) fn end(&self, key: &str) {
        let mut ended = lock(&self.ended);
        if ended.len() >= MAX_ENDED {
            ended.shift_remove_index(0);
        }
        ended.insert(key.into());
    }
}

/// Returns the key of the session that an id names.
pub(crate) fn session_key(id: &str) -> &str {
    id.split_once('.').map_or(id, |(key, _)| key)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::keys::Keys;
    use crate::live::Live;
    use crate::policy;

    const ALL: Owner<'_> = Owner { principal: Principal::Anonymous, upstream: None };
    const HELLO: &str = r#"{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"c","version":"1"}}"#;

    fn process(key: u8) -> SessionIds {
        let policy = Policy::of(Live::new(policy::Config::default()), Keys::of(key).digest);
        SessionIds::new(Some(Keys::of(key).seal), Arc::new(policy))
    }

    #[test]
    fn an_id_is_read_by_a_later_process_with_the_same_keys() {
        let id = process(1).issue("k", ALL, "2025-06-18", HELLO);
        let earlier = process(1).earlier(&id, ALL).expect("a session");
        assert_eq!((earlier.version.as_str(), earlier.hello.as_str(), session_key(&id)), ("2025-06-18", HELLO, "k"));
        assert!(id.len() < 250 && id.bytes().all(|byte| byte.is_ascii_graphic()), "{id}");
        assert!(process(2).earlier(&id, ALL).is_none(), "other keys");
    }

    #[test]
    fn an_id_is_for_its_owner_and_its_key_only_and_not_for_its_own_process() {
        let own = process(1);
        let id = own.issue("k", ALL, "v", HELLO);
        assert!(own.earlier(&id, ALL).is_none());
        let later = process(1);
        let document = json!({ "name": "a", "transport": "stdio", "command": "x", "authTokens": ["t"] });
        let definition: Definition = serde_json::from_value(document).expect("a definition");
        for owner in [
            Owner { upstream: Some(&definition), ..ALL },
            Owner { principal: Principal::Own(0), upstream: Some(&definition) },
            Owner { principal: Principal::Holder(7), ..ALL },
        ] {
            assert!(later.earlier(&id, owner).is_none());
            let theirs = own.issue("k", owner, "v", HELLO);
            assert!(later.earlier(&theirs, owner).is_some() && later.earlier(&theirs, ALL).is_none());
        }
        for changed in [id.replace("k.", "l."), format!("{id}A"), id.replace('.', ""), "k".to_owned(), "k.".to_owned()]
        {
            assert!(later.earlier(&changed, ALL).is_none(), "{changed}");
        }
    }

    #[test]
    fn what_has_ended_stays_so_as_far_as_that_is_remembered() {
        let id = process(1).issue("k", ALL, "v", HELLO);
        let later = process(1);
        later.end("k");
        assert!(later.earlier(&id, ALL).is_none());
        (0..MAX_ENDED).for_each(|number| later.end(&number.to_string()));
        assert!(later.earlier(&id, ALL).is_some());
        assert_eq!(lock(&later.ended).len(), MAX_ENDED);
    }

    #[test]
    fn a_client_that_says_too_much_gets_a_plain_id() {
        let noise: String =
            (0..MAX_ID as u64).map(|at| format!("{:x}", at.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
        for hello in [format!("\"{noise}\""), format!("\"{}\"", "x".repeat(MAX_HELLO))] {
            assert_eq!(process(1).issue("k", ALL, "v", &hello), "k");
        }
        let packed = format!("\"{}\"", "x".repeat(MAX_HELLO / 2));
        let id = process(1).issue("k", ALL, "v", &packed);
        assert_eq!(process(1).earlier(&id, ALL).map(|earlier| earlier.hello), Some(packed));
    }
}
