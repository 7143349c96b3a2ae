//! Logs of servers, levels of the gateway's log, and its audit log.

use http::StatusCode;
use schemas::ServerName;
use schemas::admin::{AuditRecords, LogLevelsAnswer, LogLevelsUpdate, LogLine, LogLines};
use serde::de::DeserializeOwned;

use crate::client::Client;
use crate::error::Error;
use crate::request::{Answer, Call, registration};

const LEVELS: &str = "admin/log-levels";

impl Client {
    /// Returns the last lines about a server, oldest first: the standard error of its program, its output that is no
    /// message, and what the gateway says of it. At most 1,000 are kept.
    ///
    /// # Errors
    ///
    /// [`is_not_found`](Error::is_not_found) if there is no registration of that name, or if the gateway keeps no lines.
    ///
    /// ```no_run
    /// # async fn run(client: proxy_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// for line in client.logs(&"time".parse()?, 20).await? {
    ///     println!("{} {}", line.time, line.text);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn logs(&self, name: &ServerName, lines: usize) -> Result<Vec<LogLine>, Error> {
        let call = Call::get(format!("{}/logs", registration(name)?)).with("lines", lines.to_string());
        let LogLines { lines, .. } = self.send(call).await?.ok()?;
        Ok(lines)
    }

    /// Returns the levels of the gateway's log.
    ///
    /// # Errors
    ///
    /// [`is_unsupported`](Error::is_unsupported) if the gateway has none that can be read.
    ///
    /// ```no_run
    /// # async fn run(client: proxy_client::Client) -> Result<(), proxy_client::Error> {
    /// println!("{}", client.log_levels().await?.level);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn log_levels(&self) -> Result<LogLevelsAnswer, Error> {
        ok(&self.send(Call::get(LEVELS)).await?, "levels of the log")
    }

    /// Replaces the configured levels of the gateway's log, for a while or until it ends.
    ///
    /// # Errors
    ///
    /// [`is_unsupported`](Error::is_unsupported) if the gateway has none that can be changed.
    ///
    /// ```no_run
    /// # async fn run(client: proxy_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let wanted = serde_json::from_str(r#"{"components":{"call":"debug"},"ttl":"10m"}"#)?;
    /// println!("until {:?}", client.set_log_levels(&wanted).await?.until);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn set_log_levels(&self, wanted: &LogLevelsUpdate) -> Result<LogLevelsAnswer, Error> {
        ok(&self.send(Call::put(LEVELS.to_owned(), wanted)?).await?, "levels of the log")
    }

    /// Has the configured levels of the gateway's log apply again.
    ///
    /// # Errors
    ///
    /// [`is_unsupported`](Error::is_unsupported) if the gateway has none that can be changed.
    ///
    /// ```no_run
    /// # async fn run(client: proxy_client::Client) -> Result<(), proxy_client::Error> {
    /// client.reset_log_levels().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn reset_log_levels(&self) -> Result<LogLevelsAnswer, Error> {
        ok(&self.send(Call::delete(LEVELS.to_owned())).await?, "levels of the log")
    }

    /// Returns the first `limit` records of the audit log after the one with the number `after`, or the last ones. At most
    /// 1,000 are returned.
    ///
    /// # Errors
    ///
    /// [`is_unsupported`](Error::is_unsupported) if the gateway can write no audit log;
    /// [`is_not_found`](Error::is_not_found) if it writes none.
    ///
    /// ```no_run
    /// # async fn run(client: proxy_client::Client) -> Result<(), proxy_client::Error> {
    /// let audit = client.audit(None, 10).await?;
    /// println!("the last record is {}:{}", audit.seq, audit.digest);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn audit(&self, after: Option<u64>, limit: usize) -> Result<AuditRecords, Error> {
        let call = Call::get("admin/audit").with("limit", limit.to_string());
        let call = match after {
            Some(after) => call.with("after", after.to_string()),
            None => call,
        };
        ok(&self.send(call).await?, "audit log")
    }
}

fn ok<T: DeserializeOwned>(answer: &Answer, what: &'static str) -> Result<T, Error> {
    if answer.status == StatusCode::OK {
        return answer.json();
    }
    Err(answer.unsupported(what).unwrap_or_else(|| answer.refused()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::{Scripted, answer};

    #[tokio::test]
    async fn lines_and_records_are_asked_for_in_the_query() {
        let lines = r#"{"name":"a b","lines":[{"number":1,"time":"t","source":"gateway","text":"connected"}]}"#;
        let records = r#"{"records":[{"seq":2}],"seq":2,"digest":"d"}"#;
        let gateway = Scripted::start([answer(200, lines), answer(200, records), answer(200, records)]).await;
        let client = gateway.client();
        assert_eq!(client.logs(&ServerName::stored("a b").unwrap(), 5).await.unwrap()[0].text, "connected");
        assert_eq!(client.audit(Some(1), 3).await.unwrap().records[0].get(), r#"{"seq":2}"#);
        client.audit(None, 3).await.unwrap();
        let requests = gateway.requests();
        let lines = ["/admin/mcps/a%20b/logs?lines=5", "/admin/audit?limit=3&after=1", "/admin/audit?limit=3"];
        for (request, path) in requests.iter().zip(lines) {
            assert!(request.starts_with(&format!("GET {path} HTTP/1.1\r\n")), "{request}");
        }
    }

    #[tokio::test]
    async fn a_gateway_without_audit_log_is_told_from_one_that_can_write_none() {
        let none = r#"{"error":"No audit log","code":"no_audit_log"}"#;
        for (body, is_unsupported) in [(none, false), (r#"{"error":"Not found"}"#, true)] {
            let gateway = Scripted::start([answer(404, body)]).await;
            let error = gateway.client().audit(None, 1).await.unwrap_err();
            assert_eq!((error.is_unsupported(), error.is_not_found()), (is_unsupported, !is_unsupported), "{body}");
        }
    }
}
