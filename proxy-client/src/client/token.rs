//! Access tokens that the gateway issues.

use std::time::Duration;

use http::StatusCode;
use schemas::admin::{AccessToken, IssuedToken, NewToken, TokenList, TokenName, TokenRotation, TokenUpdate};

use crate::client::Client;
use crate::error::Error;
use crate::request::{Answer, Call};
use crate::retry::Rule;

const PATH: &str = "admin/tokens";
const WHAT: &str = "access tokens";

impl Client {
    /// Issues an access token. Only this answer shows its secret.
    ///
    /// # Errors
    ///
    /// If there is a token of that name; [`is_unsupported`](Error::is_unsupported) if the gateway issues none. After a
    /// timeout the token may have been issued: revoke it, or rotate it.
    ///
    /// ```no_run
    /// # async fn run(client: proxy_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use schemas::admin::NewToken;
    ///
    /// let wanted: NewToken = serde_json::from_str(r#"{"name":"laptop","servers":["time"],"ttl":"2160h"}"#)?;
    /// let issued = client.issue_token(&wanted).await?;
    /// println!("Authorization: Bearer {}", issued.secret.expose());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn issue_token(&self, wanted: &NewToken) -> Result<IssuedToken, Error> {
        let answer = self.send(Call::post(PATH, Rule::Effect, wanted)?).await?;
        if answer.status == StatusCode::CREATED { answer.json() } else { Err(failed(&answer)) }
    }

    /// Returns all access tokens, without their secrets.
    ///
    /// # Errors
    ///
    /// [`is_unsupported`](Error::is_unsupported) if the gateway issues none.
    ///
    /// ```no_run
    /// # async fn run(client: proxy_client::Client) -> Result<(), proxy_client::Error> {
    /// for token in client.tokens().await?.into_iter().filter(|token| token.last_used_at.is_none()) {
    ///     println!("{} was never used", token.name);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn tokens(&self) -> Result<Vec<AccessToken>, Error> {
        let list: TokenList = ok(&self.send(Call::get(PATH)).await?)?;
        Ok(list.tokens)
    }

    /// Replaces what an access token is for. Its secret stays.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) if there is no token of that name.
    ///
    /// ```no_run
    /// # async fn run(client: proxy_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// use schemas::admin::TokenUpdate;
    ///
    /// let update: TokenUpdate = serde_json::from_str(r#"{"rights":["call","read"],"ttl":"2160h"}"#)?;
    /// println!("valid until {:?}", client.update_token("laptop".parse()?, &update).await?.expires_at);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn update_token(&self, name: TokenName, update: &TokenUpdate) -> Result<AccessToken, Error> {
        ok(&self.send(Call::put(format!("{PATH}/{name}"), update)?).await?)
    }

    /// Replaces the secret of an access token, whose lifetime begins anew. The former secret stays valid for `overlap`.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) if there is no token of that name. After a timeout the secret may have been
    /// replaced: rotate once more.
    ///
    /// ```no_run
    /// # async fn run(client: proxy_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let an_hour = std::time::Duration::from_secs(3600);
    /// let issued = client.rotate_token("ci".parse()?, an_hour).await?;
    /// println!("store the new secret before {:?}", issued.token.former_until);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn rotate_token(&self, name: TokenName, overlap: Duration) -> Result<IssuedToken, Error> {
        let rotation = TokenRotation { overlap: Some(overlap.into()) };
        ok(&self.send(Call::post(&format!("{PATH}/{name}/rotate"), Rule::Effect, &rotation)?).await?)
    }

    /// Revokes an access token. Returns `false` if there was none of that name; after a retry, an earlier attempt may have
    /// revoked it.
    ///
    /// # Errors
    ///
    /// [`is_unsupported`](Error::is_unsupported) if the gateway issues none.
    ///
    /// ```no_run
    /// # async fn run(client: proxy_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// client.revoke_token("laptop".parse()?).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn revoke_token(&self, name: TokenName) -> Result<bool, Error> {
        let answer = self.send(Call::delete(format!("{PATH}/{name}"))).await?;
        match answer.unsupported(WHAT) {
            Some(error) => Err(error),
            None => answer.removed(),
        }
    }
}

fn ok<T: serde::de::DeserializeOwned>(answer: &Answer) -> Result<T, Error> {
    if answer.status == StatusCode::OK { answer.json() } else { Err(failed(answer)) }
}

fn failed(answer: &Answer) -> Error {
    answer.unsupported(WHAT).unwrap_or_else(|| answer.refused())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::{Scripted, answer, hang, quick};

    const ISSUED: &str = r#"{"secret":"mcpt_x","token":{"name":"a","rights":["call"],"servers":[],
        "createdAt":"2026-12-01T10:00:00Z","isExpired":false}}"#;

    fn wanted() -> NewToken {
        serde_json::from_str(r#"{"name":"a","ttl":"1h"}"#).unwrap()
    }

    #[tokio::test]
    async fn a_token_is_issued_once() {
        let gateway = Scripted::start([answer(503, ""), answer(201, ISSUED)]).await;
        let issued = gateway.client().issue_token(&wanted()).await.unwrap();
        assert_eq!((issued.secret.expose(), issued.token.name.as_str()), ("mcpt_x", "a"));
        let requests = gateway.requests();
        assert!(requests[1].starts_with("POST /admin/tokens HTTP/1.1\r\n"), "{}", requests[1]);
        assert!(requests[1].ends_with(r#"{"name":"a","rights":["call"],"ttl":3600000000000}"#), "{}", requests[1]);
        let gateway = Scripted::start([answer(500, ""), answer(201, ISSUED)]).await;
        assert!(gateway.client().issue_token(&wanted()).await.is_err(), "it may have been issued");
        assert_eq!(gateway.requests().len(), 1);
    }

    #[tokio::test]
    async fn a_rotation_whose_answer_was_lost_is_not_repeated() {
        let gateway = Scripted::start([hang()]).await;
        let name = "a".parse().unwrap();
        let client = quick(gateway.url()).timeout(Duration::from_millis(50)).build().unwrap();
        assert!(client.rotate_token(name, Duration::from_secs(60)).await.unwrap_err().is_timeout());
        let requests = gateway.requests();
        assert_eq!(requests.len(), 1);
        assert!(requests[0].starts_with("POST /admin/tokens/a/rotate HTTP/1.1\r\n"), "{}", requests[0]);
    }

    #[tokio::test]
    async fn a_missing_token_is_told_from_a_gateway_that_issues_none() {
        let missing = r#"{"error":"Access token not found","code":"no_such_token"}"#;
        let other = r#"{"error":"Not found"}"#;
        for (body, is_unsupported) in [(missing, false), (other, true)] {
            let gateway = Scripted::start([answer(404, body), answer(404, body)]).await;
            let name: TokenName = "a".parse().unwrap();
            let revoked = gateway.client().revoke_token(name).await;
            assert_eq!(revoked.is_err_and(|error| error.is_unsupported()), is_unsupported, "{body}");
            let update: TokenUpdate = serde_json::from_str(r#"{"rights":["call"]}"#).unwrap();
            let updated = gateway.client().update_token(name, &update).await.unwrap_err();
            assert_eq!(updated.is_unsupported(), is_unsupported, "{body}");
        }
    }
}
