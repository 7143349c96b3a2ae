//! Probes a program of undeclared era, in the process that then serves.
//!
//! Sends `server/discover` first. Processes then differ: one is bound to the modern era by its own response (Python SDK
//! 2), one treats `initialize` as a second handshake (Go SDK), one returns an error and then accepts `initialize`
//! (everything older), one stays silent, and one ends. A second process is started only if the first is unusable, and
//! only after its end, because it may hold a lock or a port.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use schemas::Definition;
use tokio::time::{Instant, sleep, timeout};
use tracing::info;

use super::greet::greet;
use super::verdict::{Judgement, Verdict};
use crate::error::{Error, Kind};
use crate::protocol::{Era, Message, Offer};
use crate::upstream::connection::Connection;
use crate::upstream::environment::Environment;
use crate::upstream::session::{CloseOnDrop, Hello, OpenError, Session, own_hello};

/// Time for the response to the probe to arrive after that to `initialize`, from a server that handles both
/// concurrently.
const OVERTAKEN: Duration = Duration::from_millis(100);

/// The next step with a process after the probe.
enum Next {
    /// Use the process; `handshake` is its response. `is_firm` as in [`Verdict`].
    Speak { era: Era, handshake: Message, is_firm: bool },
    /// Start another process in this era, because this one is unusable.
    Restart(Era),
}

/// Starts the program and opens its session. On failure, the process has ended before this returns.
pub(super) async fn open(
    environment: &Environment,
    definition: &Definition,
    known: Option<Verdict>,
    deadline: Instant,
) -> Result<(Arc<Session>, Verdict), OpenError> {
    let connection = Connection::open(environment, definition, Era::Legacy).await?;
    let guard = CloseOnDrop::of(&connection);
    let own = own_hello();
    let greeter = Greeter {
        connection: &connection,
        discover: Hello::Modern.request()?,
        initialize: Hello::Legacy(&own).request()?,
        silence: environment.config.era_probe,
        deadline,
    };
    let next = match known.map(|verdict| verdict.era) {
        Some(Era::Legacy) => greeter.greet_a_legacy_one().await,
        Some(Era::Modern) | None => greeter.greet_a_stranger().await,
    };
    let begun = match next {
        Ok(Next::Speak { era, handshake, is_firm }) => Session::begin(Arc::clone(&connection), handshake, era)
            .map(|session| (session, Verdict::found(era, is_firm))),
        Ok(Next::Restart(era)) => {
            connection.close().await;
            connection.ended().await;
            info!(upstream = %definition.name, era = era.word(), "a second process is started for its era");
            let session = greet(environment, definition, era, deadline).await?;
            Ok((session, Verdict::found(era, true)))
        }
        Err(error) => Err(error),
    };
    match begun {
        Ok(begun) => {
            guard.disarm();
            Ok(begun)
        }
        Err(error) => {
            connection.close().await;
            connection.ended().await;
            Err(error)
        }
    }
}

/// A process with its possible first requests.
struct Greeter<'a> {
    connection: &'a Arc<Connection>,
    discover: Message,
    initialize: Message,
    /// Maximum silence after the process has read the probe.
    silence: Duration,
    deadline: Instant,
}

impl Greeter<'_> {
    /// Handshakes with a process that was legacy before. Its program may have been updated since.
    async fn greet_a_legacy_one(&self) -> Result<Next, OpenError> {
        let answer = self.say(&self.initialize).await?;
        if answer.error_code().is_none() {
            return Ok(Next::Speak { era: Era::Legacy, handshake: answer, is_firm: true });
        }
        self.reconsider(answer).await
    }

    /// Probes a process whose era is unknown, or was modern.
    async fn greet_a_stranger(&self) -> Result<Next, OpenError> {
        let mut discover = pin!(self.say(&self.discover));
        let answer = tokio::select! {
            answer = &mut discover => Some(answer),
            () = self.silence() => None,
        };
        match answer {
            Some(Ok(answer)) => self.follow(answer).await,
            Some(Err(error)) => self.after_the_end(error).await,
            None => self.greet_a_silent_one(discover).await,
        }
    }

    /// Continues after a response to `server/discover`.
    async fn follow(&self, answer: Message) -> Result<Next, OpenError> {
        match Judgement::of(&answer) {
            Judgement::Modern => Ok(Next::Speak { era: Era::Modern, handshake: answer, is_firm: true }),
            Judgement::AskAgain => self.reconsider(answer).await,
            Judgement::Refusal => Err(OpenError::Refused(answer)),
            Judgement::Legacy => match self.say(&self.initialize).await {
                Ok(answer) if answer.error_code().is_none() => {
                    Ok(Next::Speak { era: Era::Legacy, handshake: answer, is_firm: true })
                }
                Ok(answer) if Offer::read(&answer).is_some_and(|offer| offer.is_modern) => {
                    self.reconsider(answer).await
                }
                // The process may have taken the probe for the first request of a modern client.
                Ok(_) => Ok(Next::Restart(Era::Legacy)),
                Err(error) => self.after_the_end(error).await,
            },
        }
    }

    /// Sends `initialize` after a probe that was read and not answered. The order of the responses does not matter: a
    /// process that was merely slow answers both.
    async fn greet_a_silent_one(
        &self,
        mut discover: std::pin::Pin<&mut impl Future<Output = Result<Message, Error>>>,
    ) -> Result<Next, OpenError> {
        let mut initialize = pin!(self.say(&self.initialize));
        let mut discovered = None;
        let initialized = loop {
            tokio::select! {
                answer = &mut discover, if discovered.is_none() => match answer {
                    Ok(answer) => discovered = Some(answer),
                    Err(error) => return self.after_the_end(error).await,
                },
                answer = &mut initialize => match answer {
                    Ok(answer) => break answer,
                    Err(error) => return self.after_the_end(error).await,
                },
            }
        };
        let is_accepted = initialized.error_code().is_none();
        if discovered.is_none() {
            let patience = if is_accepted { OVERTAKEN.min(self.silence) } else { self.silence };
            discovered = timeout(patience, discover).await.ok().and_then(Result::ok);
        }
        let judgement = discovered.as_ref().map(Judgement::of);
        match (judgement, discovered, is_accepted) {
            (Some(Judgement::Modern), Some(handshake), false) => {
                Ok(Next::Speak { era: Era::Modern, handshake, is_firm: true })
            }
            // The process accepted both handshakes and is bound to the later one.
            (Some(Judgement::Modern), _, true) => Ok(Next::Restart(Era::Modern)),
            (judgement, _, true) => {
                Ok(Next::Speak { era: Era::Legacy, handshake: initialized, is_firm: judgement.is_some() })
            }
            (_, _, false) => self.reconsider(initialized).await,
        }
    }

    /// Continues after a refusal: if it names the modern version, sends the modern handshake in the same process.
    async fn reconsider(&self, refusal: Message) -> Result<Next, OpenError> {
        if !Offer::read(&refusal).is_some_and(|offer| offer.is_modern) {
            return Err(OpenError::Refused(refusal));
        }
        let answer = self.say(&self.discover).await?;
        match Judgement::of(&answer) {
            Judgement::Modern => Ok(Next::Speak { era: Era::Modern, handshake: answer, is_firm: true }),
            Judgement::AskAgain | Judgement::Legacy | Judgement::Refusal => Err(OpenError::Refused(answer)),
        }
    }

    /// Decides after a process has ended, or the deadline has expired. A process that ended after it read the probe is
    /// started again without it; one that ended before would have ended anyway.
    async fn after_the_end(&self, error: Error) -> Result<Next, OpenError> {
        let Some(life) = self.connection.life() else { return Err(error.into()) };
        if error.kind() == Kind::TimedOut {
            return Err(error.into());
        }
        // It is certain only after the end whether the probe was read.
        self.connection.close().await;
        self.connection.ended().await;
        if life.heard.is_cancelled() { Ok(Next::Restart(Era::Legacy)) } else { Err(error.into()) }
    }

    async fn say(&self, greeting: &Message) -> Result<Message, Error> {
        self.connection.greet(greeting, self.deadline).await
    }

    /// Completes once the process has been silent for too long after it read the probe.
    async fn silence(&self) {
        if let Some(life) = self.connection.life() {
            life.heard.cancelled().await;
        }
        sleep(self.silence).await;
    }
}
