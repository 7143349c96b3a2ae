//! Stream of a listener: the acknowledgement, notifications, and a final response.

use bytes::Bytes;

use crate::call::listen::filter::Filter;
use crate::call::relay::notify;
use crate::call::request::Answer;
use crate::error::Error;
use crate::protocol::{self, Message, SUBSCRIPTION_KEY};
use crate::upstream::Events;

/// An open stream.
pub(super) trait Stream: Send {
    /// Waits for the next output. Cancel-safe. Must not be called after the end.
    fn next(&mut self) -> impl Future<Output = Output> + Send;
}

/// Output of a stream.
pub(super) enum Output {
    Notification(Bytes),
    End(Result<Answer, Error>),
}

/// Sends the outputs of a stream to the client until its end. A client that does not keep up makes the stream wait.
pub(super) async fn send(mut stream: impl Stream, events: &Events, queued_bytes: usize) -> Result<Answer, Error> {
    loop {
        match stream.next().await {
            Output::Notification(notification) => notify(events, notification, queued_bytes).await,
            Output::End(outcome) => return outcome,
        }
    }
}

/// Builds the first message of a stream: the acknowledgement with the accepted filter.
pub(super) fn acknowledgement(id: &str, filter: &Filter) -> Bytes {
    let filter = filter.written();
    Bytes::from(format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{{"_meta":{{"{SUBSCRIPTION_KEY}":{id}}},"notifications":{filter}}}}}"#
    ))
}

/// Builds the final response of a stream that the gateway ends.
pub(super) fn ended(request: &Message) -> Output {
    Output::End(Ok(Answer::given(protocol::listening_ended(request.id()))))
}
