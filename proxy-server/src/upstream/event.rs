//! Messages of an upstream that are no responses.

use bytes::Bytes;

use crate::upstream::question::Question;

/// A message of an upstream other than a response.
#[derive(Debug)]
pub(crate) enum Event {
    Notification(Bytes),
    Question(Question),
}
