//! Named access tokens. Their secrets are kept as digests, which are enough because the gateway draws the secrets itself:
//! nobody can guess one from its digest. Pure: the caller passes the current time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use schemas::ServerName;
use schemas::admin::{Revision, Right, TokenName};

use crate::registry::failure::StorageError;
use crate::registry::leases::expiry;

/// SHA-256 of the secret of a token.
pub(crate) type TokenDigest = [u8; 32];

/// All access tokens, expired ones included. Bounded.
#[derive(Debug, Clone)]
pub(crate) struct Tokens {
    by_name: BTreeMap<TokenName, Arc<AccessToken>>,
    /// Names by the digests of the present and former secrets, expired ones included.
    by_digest: HashMap<TokenDigest, TokenName, RandomState>,
    capacity: usize,
}

/// Identity of the holder of a token. Another token of the same name, issued later, has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TokenId {
    pub(crate) name: TokenName,
    pub(crate) epoch: Revision,
}

/// An access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AccessToken {
    pub(crate) grant: TokenGrant,
    /// Digest of the secret.
    pub(crate) digest: TokenDigest,
    /// Digest of the secret before the last rotation, and the time until which that is valid too.
    pub(crate) former: Option<(TokenDigest, Timestamp)>,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
    /// Time of the last use that is stored.
    pub(crate) last_used_at: Option<Timestamp>,
    /// Revision of the last change of anything but the last use.
    pub(crate) revision: Revision,
    /// Revision from which its holder is another one than before: its first, that of a rotation without overlap, or one
    /// that took rights or servers away.
    pub(crate) epoch: Revision,
}

/// Rights, servers and lifetime of an access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenGrant {
    pub(crate) rights: BTreeSet<Right>,
    /// Servers to whose endpoints the right to call extends; if empty, all.
    pub(crate) servers: BTreeSet<ServerName>,
    /// Lifetime of each secret; `None` for one that does not expire.
    pub(crate) lifetime: Option<Duration>,
}

impl TokenGrant {
    /// True if this is for all that the other one is for.
    fn extends(&self, other: &Self) -> bool {
        let has_servers =
            self.servers.is_empty() || (!other.servers.is_empty() && self.servers.is_superset(&other.servers));
        self.rights.is_superset(&other.rights) && has_servers
    }
}

/// The reason why a token is not issued or changed.
#[derive(Debug)]
pub(crate) enum TokenError {
    Exists,
    Missing,
    /// The maximum number of tokens is reached.
    TooMany(usize),
    /// No secret can be drawn.
    Random(getrandom::Error),
    /// The storage is lost.
    Storage(StorageError),
}

impl From<StorageError> for TokenError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

/// The reason why the holder of a token may not use an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoCall {
    /// The token is not for calls.
    Right,
    /// It is for other servers.
    Server,
}

/// Returns the digest of a secret.
pub(crate) fn token_digest(secret: &str) -> TokenDigest {
    digest(&SHA256, secret.as_bytes()).as_ref().first_chunk().copied().unwrap_or_default()
}

impl AccessToken {
    /// True if its present secret is not valid any more.
    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// True if this is the digest of a secret that is valid now.
    fn accepts(&self, digest: &TokenDigest, now: Timestamp) -> bool {
        let is_former = || self.former.is_some_and(|(former, until)| former == *digest && now < until);
        (self.digest == *digest && !self.is_expired(now)) || is_former()
    }

    /// True if its holder may use the endpoints of an upstream, or of all.
    pub(crate) fn may_call(&self, server: Option<&ServerName>) -> Result<(), NoCall> {
        let TokenGrant { rights, servers, .. } = &self.grant;
        match server {
            _ if !rights.contains(&Right::Call) => Err(NoCall::Right),
            Some(server) if !servers.is_empty() && !servers.contains(server) => Err(NoCall::Server),
            Some(_) | None => Ok(()),
        }
    }

    /// True if none of its secrets is valid any more.
    fn is_over(&self, now: Timestamp) -> bool {
        self.is_expired(now) && self.former.is_none_or(|(_, until)| until <= now)
    }
}

impl Tokens {
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self::new(0)
    }

    pub(super) fn new(capacity: usize) -> Self {
        Self { by_name: BTreeMap::new(), by_digest: HashMap::default(), capacity }
    }

    /// Adds tokens as they were stored.
    pub(super) fn restore(&mut self, stored: impl IntoIterator<Item = (TokenName, AccessToken)>) {
        self.by_name.extend(stored.into_iter().map(|(name, token)| (name, Arc::new(token))));
        self.index();
    }

    /// Returns the maximum number of tokens.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Returns every token, expired ones included.
    pub(crate) fn all(&self) -> &BTreeMap<TokenName, Arc<AccessToken>> {
        &self.by_name
    }

    pub(crate) fn get(&self, name: &TokenName) -> Option<&Arc<AccessToken>> {
        self.by_name.get(name)
    }

    /// Returns the token with a secret of this digest, if that is valid now.
    pub(crate) fn find(&self, digest: &TokenDigest, now: Timestamp) -> Option<(TokenId, &Arc<AccessToken>)> {
        let name = *self.by_digest.get(digest)?;
        let token = self.by_name.get(&name).filter(|token| token.accepts(digest, now))?;
        Some((TokenId { name, epoch: token.epoch }, token))
    }

    /// True if whoever was identified by a token may still use the endpoints of an upstream, or of all.
    pub(crate) fn still_admit(&self, id: &TokenId, server: Option<&ServerName>, now: Timestamp) -> bool {
        let token = self.get(&id.name).filter(|token| token.epoch == id.epoch && !token.is_over(now));
        token.is_some_and(|token| token.may_call(server).is_ok())
    }

    /// True if a token still has this right at the admin API.
    pub(crate) fn still_has(&self, id: &TokenId, right: Right, now: Timestamp) -> bool {
        let token = self.get(&id.name).filter(|token| token.epoch == id.epoch && !token.is_over(now));
        token.is_some_and(|token| token.grant.rights.contains(&right))
    }

    /// Adds a token. Where there are too many, expired ones make room.
    pub(super) fn issue(
        &mut self,
        (name, digest): (TokenName, TokenDigest),
        grant: TokenGrant,
        (revision, now): (Revision, Timestamp),
    ) -> Result<Arc<AccessToken>, TokenError> {
        if self.by_name.contains_key(&name) {
            return Err(TokenError::Exists);
        }
        if self.by_name.len() >= self.capacity {
            self.by_name.retain(|_, token| !token.is_over(now));
            if self.by_name.len() >= self.capacity {
                return Err(TokenError::TooMany(self.capacity));
            }
        }
        let expires_at = grant.lifetime.map(|lifetime| expiry(now, lifetime));
        let (former, last_used_at) = (None, None);
        let (created_at, epoch) = (now, revision);
        let token = AccessToken { grant, digest, former, created_at, expires_at, last_used_at, revision, epoch };
        Ok(self.store(name, token))
    }

    /// Replaces what a token is for. Its secret is valid for the lifetime from now on. If rights or servers are taken away,
    /// whoever was identified by it before is not any more.
    pub(super) fn update(
        &mut self,
        name: &TokenName,
        grant: TokenGrant,
        (revision, now): (Revision, Timestamp),
    ) -> Result<Arc<AccessToken>, TokenError> {
        let token = self.by_name.get(name).ok_or(TokenError::Missing)?;
        let expires_at = grant.lifetime.map(|lifetime| expiry(now, lifetime));
        let until = |until: Timestamp| expires_at.map_or(until, |end| end.min(until));
        let former = token.former.map(|(digest, end)| (digest, until(end)));
        let epoch = if grant.extends(&token.grant) { token.epoch } else { revision };
        let updated = AccessToken { grant, former, expires_at, revision, epoch, ..AccessToken::clone(token) };
        Ok(self.store(*name, updated))
    }

    /// Replaces the secret of a token. The present one stays valid for `overlap`, but not for longer than it was. Without
    /// overlap, whoever was identified by the present one is not by the next.
    pub(super) fn rotate(
        &mut self,
        (name, digest): (&TokenName, TokenDigest),
        overlap: Duration,
        (revision, now): (Revision, Timestamp),
    ) -> Result<Arc<AccessToken>, TokenError> {
        let token = self.by_name.get(name).ok_or(TokenError::Missing)?;
        let until = token.expires_at.map_or(expiry(now, overlap), |end| end.min(expiry(now, overlap)));
        let former = (now < until).then_some((token.digest, until));
        let expires_at = token.grant.lifetime.map(|lifetime| expiry(now, lifetime));
        let epoch = if former.is_some() { token.epoch } else { revision };
        let rotated = AccessToken { digest, former, expires_at, revision, epoch, ..AccessToken::clone(token) };
        Ok(self.store(*name, rotated))
    }

    /// Removes a token. Returns true if it existed.
    pub(super) fn revoke(&mut self, name: &TokenName) -> bool {
        let existed = self.by_name.remove(name).is_some();
        self.index();
        existed
    }

    /// Notes the times of uses, as far as they are later than the known ones.
    pub(super) fn note_uses(&mut self, uses: &BTreeMap<TokenName, Timestamp>) {
        for (name, used_at) in uses {
            let Some(token) = self.by_name.get_mut(name) else { continue };
            // An earlier one is of another token that had the name.
            if token.last_used_at.unwrap_or(token.created_at) < *used_at {
                Arc::make_mut(token).last_used_at = Some(*used_at);
            }
        }
    }

    /// Merges these tokens, which the storage had, with those it has now. One that is missing on a side was revoked there,
    /// unless it is newer than the last revision of that side, which is this one's first and the storage's second.
    pub(super) fn merged(&self, stored: &Self, (known, theirs): (Revision, Revision)) -> Self {
        let mut merged = self.clone();
        merged.by_name.retain(|name, token| stored.get(name).is_some() || token.revision > theirs);
        for (name, token) in &stored.by_name {
            let is_newer = token.revision > self.get(name).map_or(known, |ours| ours.revision);
            if is_newer {
                merged.by_name.insert(*name, Arc::clone(token));
            }
        }
        merged.index();
        merged
    }

    fn store(&mut self, name: TokenName, token: AccessToken) -> Arc<AccessToken> {
        let token = Arc::new(token);
        self.by_name.insert(name, Arc::clone(&token));
        self.index();
        token
    }

    fn index(&mut self) {
        let secrets = |(name, token): (&TokenName, &Arc<AccessToken>)| {
            let former = token.former.map(|(digest, _)| digest);
            [Some(token.digest), former].into_iter().flatten().map({
                let name = *name;
                move |digest| (digest, name)
            })
        };
        self.by_digest = self.by_name.iter().flat_map(secrets).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> TokenName {
        text.parse().expect("a name")
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn grant(seconds: Option<u64>) -> TokenGrant {
        let lifetime = seconds.map(Duration::from_secs);
        TokenGrant { rights: [Right::Call].into(), servers: BTreeSet::new(), lifetime }
    }

    /// Issues a token `a` with the secret `s` at 0.
    fn one(lifetime: Option<u64>) -> Tokens {
        let mut tokens = Tokens::new(2);
        let now = (Revision::new(1), at(0));
        tokens.issue((name("a"), token_digest("s")), grant(lifetime), now).expect("room");
        tokens
    }

    fn is_valid(tokens: &Tokens, secret: &str, second: u64) -> bool {
        tokens.find(&token_digest(secret), at(second)).is_some()
    }

    #[test]
    fn a_token_is_valid_until_it_expires_or_is_revoked() {
        let mut tokens = one(Some(10));
        assert!(is_valid(&tokens, "s", 0) && is_valid(&tokens, "s", 9) && !is_valid(&tokens, "s", 10));
        assert!(!is_valid(&tokens, "t", 0));
        assert!(is_valid(&one(None), "s", 1 << 30));
        assert!(tokens.revoke(&name("a")) && !tokens.revoke(&name("a")));
        assert!(!is_valid(&tokens, "s", 0));
    }

    #[test]
    fn after_a_rotation_both_secrets_are_valid_for_a_while() {
        let mut tokens = one(Some(100));
        let mut rotate = |secret: &str, overlap, second| {
            let secret = token_digest(secret);
            let rotated =
                tokens.rotate((&name("a"), secret), Duration::from_secs(overlap), (Revision::new(second), at(second)));
            rotated.expect("a token");
            tokens.clone()
        };
        let first = rotate("t", 20, 50);
        assert!(is_valid(&first, "s", 69) && !is_valid(&first, "s", 70));
        assert!(is_valid(&first, "t", 149) && !is_valid(&first, "t", 150), "the lifetime begins anew");
        let second = rotate("u", 1_000, 60);
        assert!(!is_valid(&second, "s", 60), "two secrets at most");
        assert!(is_valid(&second, "t", 149) && !is_valid(&second, "t", 150), "not longer than it was valid");
        assert!(!is_valid(&rotate("v", 0, 70), "u", 70));
    }

    #[test]
    fn whoever_loses_a_right_a_server_or_the_secret_is_another_one() {
        let tokens = one(None);
        let epoch = |change: &dyn Fn(&mut Tokens)| {
            let mut tokens = tokens.clone();
            change(&mut tokens);
            tokens.get(&name("a")).expect("a token").epoch
        };
        let now = (Revision::new(7), at(1));
        let update = |rights: &[Right], servers: &[&str]| {
            let servers = servers.iter().map(|name| name.parse().expect("a name")).collect();
            let grant = TokenGrant { rights: rights.iter().copied().collect(), servers, lifetime: None };
            epoch(&|tokens| drop(tokens.update(&name("a"), grant.clone(), now)))
        };
        assert_eq!(update(&[Right::Call, Right::Read], &[]), Revision::new(1));
        assert_eq!(update(&[Right::Call], &["x"]), Revision::new(7));
        assert_eq!(update(&[Right::Read], &[]), Revision::new(7));
        let rotate = |overlap| {
            let overlap = Duration::from_secs(overlap);
            epoch(&|tokens| drop(tokens.rotate((&name("a"), token_digest("t")), overlap, now)))
        };
        assert_eq!((rotate(1), rotate(0)), (Revision::new(1), Revision::new(7)));
    }

    #[test]
    fn a_shorter_lifetime_is_also_that_of_the_former_secret() {
        let mut tokens = one(None);
        let now = (Revision::new(2), at(0));
        tokens.rotate((&name("a"), token_digest("t")), Duration::from_secs(1_000), now).expect("a token");
        tokens.update(&name("a"), grant(Some(10)), now).expect("a token");
        assert!(is_valid(&tokens, "s", 9) && !is_valid(&tokens, "s", 10));
    }

    #[test]
    fn names_are_unique_and_their_number_is_bounded() {
        let mut tokens = one(Some(10));
        let mut issue = |text: &str, second| {
            let now = (Revision::new(9), at(second));
            tokens.issue((name(text), token_digest(text)), grant(None), now).map(drop)
        };
        assert!(matches!(issue("a", 0), Err(TokenError::Exists)));
        assert!(issue("b", 0).is_ok());
        assert!(matches!(issue("c", 9), Err(TokenError::TooMany(2))));
        assert!(issue("c", 10).is_ok(), "the expired one makes room");
    }

    #[test]
    fn only_later_uses_count() {
        let mut tokens = one(None);
        let last = |tokens: &Tokens| tokens.get(&name("a")).and_then(|token| token.last_used_at);
        let mut used = |second| {
            let before = last(&tokens);
            tokens.note_uses(&[(name("a"), at(second)), (name("z"), at(99))].into());
            last(&tokens) != before
        };
        assert!(!used(0) && used(5) && !used(5) && !used(4) && used(6));
        assert_eq!(last(&tokens), Some(at(6)));
    }

    #[test]
    fn a_storage_that_was_set_back_brings_no_revoked_token_back() {
        let stored = one(None);
        let mut ours = stored.clone();
        ours.revoke(&name("a"));
        let merged = |ours: &Tokens, stored: &Tokens, known, theirs| {
            is_valid(&ours.merged(stored, (Revision::new(known), Revision::new(theirs))), "s", 0)
        };
        assert!(!merged(&ours, &stored, 2, 1));
        assert!(merged(&ours, &stored, 0, 1), "issued since by another gateway");
        assert!(merged(&stored, &Tokens::new(2), 1, 0), "lost there");
        assert!(!merged(&stored, &Tokens::new(2), 1, 2), "revoked there");
    }
}
