//! Changes of several registrations, applied as one transaction.

use http::StatusCode;
use schemas::admin::{Change, Changed, Generation, GenerationAnswer, GenerationRefused, RefusedChange};

use crate::client::Client;
use crate::error::Error;
use crate::request::Call;
use crate::retry::Rule;

/// Result of changes that were requested together.
///
/// ```
/// use proxy_client::Together;
/// use schemas::admin::{Obstacle, RefusedChange};
///
/// let refused = RefusedChange { name: "time".into(), why: Obstacle::Stale, details: "it is at revision 8".into() };
/// let told = match Together::Refused(vec![refused]) {
///     Together::Made(changed) => format!("made {} changes", changed.len()),
///     Together::Refused(refused) => format!("nothing was changed; {} in the way", refused.len()),
/// };
/// assert_eq!(told, "nothing was changed; 1 in the way");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Together {
    /// All changes were applied, in this order.
    Made(Vec<Changed>),
    /// These changes cannot be applied, so none was.
    Refused(Vec<RefusedChange>),
}

impl Client {
    /// Applies changes of several registrations, at most one per name, all of them or none.
    ///
    /// Idempotent: a change whose result is already in place counts as applied.
    ///
    /// # Errors
    ///
    /// [`Error::is_unsupported`] if the gateway cannot apply changes together; nothing was changed.
    ///
    /// ```no_run
    /// use proxy_client::Together;
    /// use schemas::admin::Change;
    ///
    /// # async fn run(client: proxy_client::Client, new: schemas::Definition) -> Result<(), Box<dyn std::error::Error>> {
    /// let changes = vec![Change::Create { definition: new }, Change::Delete { name: "old".parse()?, revision: None }];
    /// if let Together::Refused(refused) = client.change_together(changes).await? {
    ///     refused.iter().for_each(|refused| eprintln!("{}: {}", refused.name, refused.details));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn change_together(&self, changes: Vec<Change>) -> Result<Together, Error> {
        let answer = self.send(Call::post("admin/generations", Rule::Idempotent, &Generation { changes })?).await?;
        if let Some(error) = answer.unsupported("changes that are made together") {
            return Err(error);
        }
        match answer.status {
            StatusCode::OK => answer.json().map(|GenerationAnswer { changed }| Together::Made(changed)),
            StatusCode::CONFLICT => answer.json().map(|refused: GenerationRefused| Together::Refused(refused.refused)),
            _ => Err(answer.refused()),
        }
    }
}
