//! Issues, changes and revokes access tokens, and stores when they were used. They change no registration, and so need no
//! reconciliation.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemas::Secret;
use schemas::admin::{TOKEN_PREFIX, TokenName};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::control::Control;
use crate::policy::{AccessTokens, Policy};
use crate::registry::{AccessToken, StorageError, TokenDigest, TokenError, TokenGrant, Tokens, token_digest};
use crate::telemetry::Actor;

/// Interval at which the times of uses are stored.
const USES_INTERVAL: Duration = Duration::from_secs(60);

impl Control {
    /// Returns every access token.
    pub(crate) fn tokens(&self) -> Arc<Tokens> {
        Arc::clone(&self.registry.tokens().borrow())
    }

    /// Issues an access token. Only its caller ever sees the secret.
    pub(crate) async fn issue_token(
        &self,
        by: &Actor,
        name: TokenName,
        grant: TokenGrant,
    ) -> Result<(Secret, Arc<AccessToken>), TokenError> {
        let (secret, digest) = draw().map_err(TokenError::Random)?;
        let token = self.registry.issue_token((name, digest), grant, &self.context(by)).await?;
        info!(%name, rights = ?token.grant.rights, "access token issued");
        Ok((secret, token))
    }

    /// Replaces what an access token is for.
    pub(crate) async fn update_token(
        &self,
        by: &Actor,
        name: TokenName,
        grant: TokenGrant,
    ) -> Result<Arc<AccessToken>, TokenError> {
        let token = self.registry.update_token(name, grant, &self.context(by)).await?;
        info!(%name, rights = ?token.grant.rights, "access token changed");
        Ok(token)
    }

    /// Replaces the secret of an access token. The present one stays valid for `overlap`.
    pub(crate) async fn rotate_token(
        &self,
        by: &Actor,
        name: TokenName,
        overlap: Duration,
    ) -> Result<(Secret, Arc<AccessToken>), TokenError> {
        let (secret, digest) = draw().map_err(TokenError::Random)?;
        let token = self.registry.rotate_token((name, digest), overlap, &self.context(by)).await?;
        info!(%name, "access token rotated");
        Ok((secret, token))
    }

    /// Revokes an access token. Returns true if it existed.
    pub(crate) async fn revoke_token(&self, by: &Actor, name: TokenName) -> Result<bool, StorageError> {
        let existed = self.registry.revoke_token(name, &self.context(by)).await?;
        if existed {
            info!(%name, "access token revoked");
        }
        Ok(existed)
    }

    /// Stores the times of uses. While the storage is lost they are kept for later.
    pub(crate) async fn store_token_uses(&self, tokens: &AccessTokens) {
        let uses = tokens.take_uses();
        if !uses.is_empty()
            && self.registry.note_token_uses(uses.clone(), &self.context(&Actor::Gateway)).await.is_err()
        {
            tokens.put_back(uses);
        }
    }
}

/// Stores the times at which access tokens were used, every now and then, until the gateway stops.
pub(crate) async fn follow_token_uses(control: Arc<Control>, policy: Arc<Policy>, stopping: CancellationToken) {
    while stopping.run_until_cancelled(sleep(USES_INTERVAL)).await.is_some() {
        control.store_token_uses(policy.access_tokens()).await;
    }
}

/// Draws a secret of 256 bits, in base64url behind the prefix.
fn draw() -> Result<(Secret, TokenDigest), getrandom::Error> {
    let mut random = [0; 32];
    getrandom::fill(&mut random)?;
    let secret = format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(random));
    let digest = token_digest(&secret);
    Ok((Secret::new(secret), digest))
}
