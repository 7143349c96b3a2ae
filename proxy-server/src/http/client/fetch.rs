//! Requests for small documents, read at once.

use http::{HeaderMap, Method, StatusCode};
use url::Url;

use super::{Destination, DialError, Dialer, Reach, Refused};
use crate::pieces::Pieces;

/// A request for a document.
pub(crate) struct Fetch<'a> {
    pub(crate) method: Method,
    pub(crate) url: &'a Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Pieces,
    /// Maximum size of the document in bytes.
    pub(crate) limit: usize,
}

/// The reason why a document was not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("the answer is too long")]
    TooLong,
}

impl Dialer {
    /// Sends a request and reads the whole response. The caller sets the deadline.
    pub(crate) async fn fetch(&self, request: Fetch<'_>) -> Result<(StatusCode, Vec<u8>), FetchError> {
        let Fetch { method, url, headers, body, limit } = request;
        let target = self.target(&Destination { url, headers, reach: Reach::default(), message_limit: limit })?;
        let mut response = target.request(&method).send(body).await?;
        let (status, mut document) = (response.status(), Vec::new());
        while let Some(chunk) = response.chunk().await? {
            document.extend_from_slice(&chunk);
            if document.len() > limit {
                return Err(FetchError::TooLong);
            }
        }
        Ok((status, document))
    }
}
