//! Changes of access tokens.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use schemas::admin::TokenName;
use tokio::sync::watch;

use crate::registry::{
    AccessToken, ChangeContext, Registry, StorageError, TokenDigest, TokenError, TokenGrant, Tokens,
};

impl Registry {
    /// Subscribes to the newest state of all access tokens.
    pub(crate) fn tokens(&self) -> watch::Receiver<Arc<Tokens>> {
        self.0.tokens.subscribe()
    }

    /// Issues an access token whose secret has this digest.
    pub(crate) async fn issue_token(
        &self,
        named: (TokenName, TokenDigest),
        grant: TokenGrant,
        context: &ChangeContext,
    ) -> Result<Arc<AccessToken>, TokenError> {
        let now = context.now;
        self.change(context, move |records| records.issue_token(named, grant.clone(), now)).await?
    }

    /// Replaces what an access token is for.
    pub(crate) async fn update_token(
        &self,
        name: TokenName,
        grant: TokenGrant,
        context: &ChangeContext,
    ) -> Result<Arc<AccessToken>, TokenError> {
        let now = context.now;
        self.change(context, move |records| records.update_token(&name, grant.clone(), now)).await?
    }

    /// Replaces the secret of an access token by that with this digest. The present one stays valid for `overlap`.
    pub(crate) async fn rotate_token(
        &self,
        (name, digest): (TokenName, TokenDigest),
        overlap: Duration,
        context: &ChangeContext,
    ) -> Result<Arc<AccessToken>, TokenError> {
        let now = context.now;
        self.change(context, move |records| records.rotate_token((&name, digest), overlap, now)).await?
    }

    /// Removes an access token. Returns true if it existed.
    pub(crate) async fn revoke_token(&self, name: TokenName, context: &ChangeContext) -> Result<bool, StorageError> {
        self.change(context, move |records| records.revoke_token(&name)).await
    }

    /// Notes the times at which access tokens were used.
    pub(crate) async fn note_token_uses(
        &self,
        uses: BTreeMap<TokenName, Timestamp>,
        context: &ChangeContext,
    ) -> Result<(), StorageError> {
        self.change(context, move |records| records.note_token_uses(&uses)).await
    }
}
