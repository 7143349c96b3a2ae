//! A message in pieces, received bytes between generated ones, so that a large message is sent without a copy.

use bytes::{Bytes, BytesMut};

/// Up to three consecutive pieces. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pieces([Bytes; 3]);

impl Pieces {
    pub(crate) fn new(pieces: [Bytes; 3]) -> Self {
        Self(pieces)
    }

    /// Returns the total length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.0.iter()
    }

    /// Takes the first non-empty piece.
    pub(crate) fn take(&mut self) -> Option<Bytes> {
        self.0.iter_mut().find(|piece| !piece.is_empty()).map(std::mem::take)
    }
}

impl From<Bytes> for Pieces {
    fn from(whole: Bytes) -> Self {
        Self([whole, Bytes::new(), Bytes::new()])
    }
}

impl From<Pieces> for [Bytes; 3] {
    fn from(Pieces(pieces): Pieces) -> Self {
        pieces
    }
}

impl From<Pieces> for Bytes {
    /// Joins the pieces; copies unless there is only one.
    fn from(Pieces([first, second, third]): Pieces) -> Self {
        if second.is_empty() && third.is_empty() {
            return first;
        }
        let mut whole = BytesMut::with_capacity(first.len() + second.len() + third.len());
        for piece in [first, second, third] {
            whole.extend_from_slice(&piece);
        }
        whole.freeze()
    }
}
