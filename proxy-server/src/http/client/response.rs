//! Responses whose bodies are read in parts.

use std::sync::Arc;

use bytes::BytesMut;
use http::header::{CONTENT_ENCODING, SET_COOKIE};
use http::{HeaderName, StatusCode};
use url::Url;

use super::coding::Decoder;
use super::connection::Connection;
use super::error::DialError;
use super::head::{Content, Head};
use super::idle_pool::IdlePool;

/// A response with an unread body. Dropping it before the end closes the connection.
pub(crate) struct Response {
    head: Head,
    /// `None` once the body is complete.
    connection: Option<Connection>,
    /// Pool that takes the connection back.
    idle: Arc<IdlePool>,
    /// Decodes the body, if it came compressed.
    decoder: Option<Box<Decoder>>,
    /// Final address, if there were redirects.
    moved_to: Option<Box<Url>>,
    /// True if the receive buffer is freed whenever the body has to be waited for.
    is_mostly_silent: bool,
}

impl Response {
    pub(super) fn new(head: Head, connection: Connection, idle: Arc<IdlePool>) -> Self {
        Self { head, connection: Some(connection), idle, decoder: None, moved_to: None, is_mostly_silent: false }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.head.status
    }

    /// True if the body is an event stream.
    pub(crate) fn has_events(&self) -> bool {
        self.head.content == Content::Events
    }

    /// True if the body's content type is JSON.
    pub(crate) fn has_json(&self) -> bool {
        self.head.content == Content::Json
    }

    /// Returns the value of a header field.
    pub(crate) fn field(&self, name: &HeaderName) -> Option<&[u8]> {
        self.head.field(name)
    }

    /// True if the response needs no further treatment: no redirect, no cookies, no coding.
    pub(super) fn is_usual(&self) -> bool {
        !(self.head.sets_cookies || self.head.is_coded || self.head.status.is_redirection())
    }

    /// Returns the values of its `Set-Cookie` fields.
    pub(super) fn cookies(&self) -> impl Iterator<Item = &[u8]> {
        self.head.fields(&SET_COOKIE)
    }

    /// Sets up decoding if the body is coded, and records the address that redirects led to.
    pub(super) fn prepare(mut self, moved_to: Option<Url>, limit: usize) -> Self {
        if self.head.is_coded {
            let codings: Vec<_> = self.head.fields(&CONTENT_ENCODING).map(String::from_utf8_lossy).collect();
            self.decoder = Some(Box::new(Decoder::new(&codings.join(", "), self.has_events(), limit)));
        }
        self.moved_to = moved_to.map(Box::new);
        self
    }

    /// Returns the final address if there were redirects.
    pub(crate) fn moved_to(&self) -> Option<&Url> {
        self.moved_to.as_deref()
    }

    /// Keeps no receive buffer while it waits for more of the body, which may be for hours.
    pub(crate) fn expect_silence(&mut self) {
        self.is_mostly_silent = true;
        self.head.compact();
    }

    /// Returns the next part of the body; `None` at its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<BytesMut>, DialError> {
        if self.decoder.is_some() { Box::pin(self.decoded_chunk()).await } else { self.plain_chunk().await }
    }

    async fn plain_chunk(&mut self) -> Result<Option<BytesMut>, DialError> {
        let Some(connection) = &mut self.connection else { return Ok(None) };
        let part = connection.part(self.is_mostly_silent).await.map_err(DialError::Broken)?;
        if part.is_none() {
            self.keep();
        }
        Ok(part)
    }

    async fn decoded_chunk(&mut self) -> Result<Option<BytesMut>, DialError> {
        while let Some(chunk) = self.plain_chunk().await? {
            let Some(decoder) = &mut self.decoder else { return Ok(Some(chunk)) };
            let decoded = decoder.decode(&chunk).map_err(DialError::Undecodable)?;
            if !decoded.is_empty() {
                return Ok(Some(decoded));
            }
        }
        Ok(None)
    }

    /// Stops reading and returns the connection to the pool.
    pub(crate) fn finish(mut self) {
        self.keep();
    }

    /// Size of the receive buffer.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.connection.as_ref().map_or(0, Connection::room)
    }

    fn keep(&mut self) {
        if let Some(connection) = self.connection.take_if(|connection| connection.keeps_open()) {
            self.idle.keep(connection);
        }
    }
}
