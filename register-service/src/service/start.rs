//! Start of a worker: waits for the gateway, registers, and waits for the needed servers.

use std::collections::BTreeMap;
use std::time::Duration;

use proxy_client::{Client, Readiness};
use schemas::{Definition, ServerName};
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use crate::apply::{ApplyError, Done};
use crate::service::RegisterService;
use crate::service::failure::{self, chain};
use crate::service::lease::{Tenure, is_final};
use crate::service::wanted::Wanted;

/// Time limit of the first poll of the gateway. Doubles after each timeout.
const FIRST_LOOK: Duration = Duration::from_secs(1);
const LONGEST_LOOK: Duration = Duration::from_secs(10);
/// Minimum time that a poll needs for a meaningful result.
const LAST_LOOK: Duration = Duration::from_millis(100);
/// Additional wait for optional upstreams that are still connecting once all required ones are connected.
const GRACE: Duration = Duration::from_millis(500);

/// Result of a successful start.
///
/// ```no_run
/// use register_service::plan::Done;
///
/// # async fn run(service: register_service::RegisterService, wanted: register_service::Wanted)
/// # -> Result<(), register_service::worker::NotStarted> {
/// let started = service.start(&wanted).await?;
/// let created = started.done.iter().filter(|(_, done)| *done == Done::Created).count();
/// println!("{}, with {created} new registrations", started.readiness);
/// for name in &started.pending {
///     eprintln!("`{name}` is registered as soon as the gateway takes it");
/// }
/// for failure in &started.failures {
///     eprintln!("working without `{}`: {failure}", failure.name());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub struct Started {
    /// Result for each registered definition. Pending and failed ones, all of optional servers, are not included.
    pub done: Vec<(ServerName, Done)>,
    /// Definitions not registered yet; they are registered once the gateway accepts them.
    pub pending: Vec<ServerName>,
    /// Optional servers that are not connected. All required ones are.
    pub readiness: Readiness,
    /// End of the registrations.
    pub tenure: Tenure,
    /// Errors of optional servers that could not be registered.
    pub failures: Vec<ApplyError>,
}

/// Error of a start: something required is missing.
///
/// ```
/// use std::time::Duration;
///
/// use proxy_client::Client;
/// use register_service::{Options, RegisterService, Wanted};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // No server listens there.
/// let client = Client::builder("http://127.0.0.1:1").retries(0).build()?;
/// let options = Options { readiness_timeout: Duration::from_millis(50), ..Options::default() };
/// let definition = serde_json::from_str(r#"{"name":"time","transport":"stdio","command":"mcp-server-time"}"#)?;
/// let outcome = RegisterService::new(client, options).start(&Wanted::new(vec![definition])).await;
/// if let Err(late) = &outcome {
///     assert_eq!(late.readiness.missing[0].to_string(), "`time` (not registered)");
///     assert!(late.readiness.source.as_ref().is_some_and(|source| source.is_unreachable()));
/// }
/// assert!(outcome.is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{}", told(.readiness, .failures))]
#[non_exhaustive]
pub struct NotStarted {
    /// Required and optional servers that are not connected, with their states and last errors.
    pub readiness: Readiness,
    /// Errors of definitions that could not be registered.
    pub failures: Vec<ApplyError>,
}

fn told(readiness: &Readiness, failures: &[ApplyError]) -> String {
    let source = readiness.source.as_ref().map(|error| format!("; {}", chain(error))).unwrap_or_default();
    match failures {
        [] => format!("{readiness}{source}"),
        failures => format!("{readiness}{source}; {}", failure::told(failures)),
    }
}

impl RegisterService {
    /// Prepares a worker for its work: waits until the gateway is healthy, every definition is registered and every
    /// required server is connected, at most for [`Options::readiness_timeout`](crate::Options::readiness_timeout). An
    /// error that only people can resolve ends the wait at once.
    ///
    /// Does not wait for a gateway or a server that is not required. Definitions that could not be registered by the
    /// end, after success or failure, are registered once the gateway accepts them; [`Started::pending`] lists them.
    ///
    /// ```no_run
    /// use register_service::Wanted;
    ///
    /// # async fn run(service: register_service::RegisterService, definition: schemas::Definition) {
    /// match service.start(&Wanted::new(vec![definition])).await {
    ///     Ok(started) => println!("{}", started.readiness),
    ///     Err(late) => {
    ///         for missing in &late.readiness.missing {
    ///             eprintln!("{missing}");
    ///         }
    ///     }
    /// }
    /// # }
    /// ```
    pub async fn start(&self, wanted: &Wanted) -> Result<Started, NotStarted> {
        self.ids().extend(wanted.ids.clone());
        self.shared.held().needed.extend(wanted.needs.names().cloned());
        self.keep();
        start(self, wanted, self.shared.options.readiness_timeout).await
    }
}

/// Progress of a start.
struct Progress<'a> {
    client: &'a Client,
    wanted: &'a Wanted,
    deadline: Instant,
    /// Definitions still to be registered.
    pending: Vec<Definition>,
    done: BTreeMap<ServerName, Done>,
    failures: Vec<ApplyError>,
    readiness: Readiness,
    look: Duration,
}

async fn start(service: &RegisterService, wanted: &Wanted, within: Duration) -> Result<Started, NotStarted> {
    let deadline = Instant::now() + within;
    let mut progress = Progress {
        client: &service.shared.client,
        wanted,
        deadline,
        pending: wanted.definitions.clone(),
        done: BTreeMap::new(),
        failures: Vec::new(),
        readiness: wanted.needs.look(&[]),
        look: FIRST_LOOK,
    };
    let mut end = None;
    let is_started = loop {
        let is_over = tokio::time::timeout_at(deadline, progress.advance(service)).await.is_err();
        let now = Instant::now();
        if progress.is_hopeless(service) {
            break false;
        }
        if progress.readiness.is_ready() && progress.is_registered(service) {
            let end = *end.get_or_insert(deadline.min(now + GRACE));
            if is_over || now >= end || !progress.readiness.is_coming() {
                break true;
            }
        }
        if is_over || now >= deadline {
            break false;
        }
        let next = now + service.shared.options.poll_interval.max(Duration::from_millis(1));
        if now + LAST_LOOK >= deadline {
            sleep_until(deadline).await;
            break false;
        }
        sleep_until(next.min(deadline - LAST_LOOK)).await;
    };
    let unsettled = progress.unsettled();
    service.shared.postpone(&unsettled);
    match is_started {
        true => Ok(progress.started(service, unsettled)),
        false => Err(NotStarted { readiness: progress.readiness, failures: progress.failures }),
    }
}

impl Progress<'_> {
    fn left(&self, most: Duration) -> Duration {
        // At least 1 ms: with a deadline of zero the request would not be tried.
        self.deadline.saturating_duration_since(Instant::now()).clamp(Duration::from_millis(1), most)
    }

    /// Makes one step: checks the gateway's health, registers pending definitions, updates the connected servers.
    async fn advance(&mut self, service: &RegisterService) {
        if let Err(error) = self.client.within(self.left(self.look)).health().await {
            if error.is_timeout() {
                self.look = (self.look * 2).min(LONGEST_LOOK);
            }
            debug!(error = chain(&error), "the gateway is not healthy yet");
            self.readiness = std::mem::take(&mut self.readiness).unanswered(error);
            return;
        }
        self.register(service).await;
        match self.client.within(self.left(Duration::MAX)).list().await {
            Ok(list) => {
                service.shared.count_connected(&list);
                self.readiness = self.wanted.needs.look(&list);
                // Register again what a gateway that restarted in the meantime has lost.
                let is_there = |name: &ServerName| list.iter().any(|it| it.definition.name() == name.as_str());
                let lost = |it: &&Definition| self.done.contains_key(&it.name) && !is_there(&it.name);
                self.pending.extend(self.wanted.definitions.iter().filter(lost).cloned());
            }
            Err(error) => self.readiness = std::mem::take(&mut self.readiness).unanswered(error),
        }
    }

    async fn register(&mut self, service: &RegisterService) {
        let pending = std::mem::take(&mut self.pending);
        if pending.is_empty() {
            return;
        }
        self.failures.retain(|failure| !pending.iter().any(|it| it.name == *failure.name()));
        let results = service.settle(&pending).await;
        for (definition, result) in pending.into_iter().zip(results) {
            match result {
                Ok(done) => {
                    self.done.entry(definition.name).or_insert(done);
                }
                Err(failure) => {
                    if !is_final(&failure) {
                        self.pending.push(definition);
                    }
                    self.failures.push(failure);
                }
            }
        }
    }

    /// Returns true if waiting is useless, because only people can resolve a failure.
    fn is_hopeless(&self, service: &RegisterService) -> bool {
        self.failures.iter().any(|failure| is_final(failure) && self.must_register(failure.name(), service))
    }

    /// Returns true if all required definitions are registered.
    fn is_registered(&self, service: &RegisterService) -> bool {
        !self.unsettled().iter().any(|it| self.must_register(&it.name, service))
    }

    fn must_register(&self, name: &ServerName, service: &RegisterService) -> bool {
        service.shared.options.fail_on_registration_error || self.wanted.needs.requires(name)
    }

    /// Returns the definitions that are not registered but may be later, without intervention.
    fn unsettled(&self) -> Vec<Definition> {
        let failed =
            |it: &Definition| self.failures.iter().any(|failure| is_final(failure) && *failure.name() == it.name);
        let all = self.wanted.definitions.iter();
        all.filter(|it| !self.done.contains_key(&it.name) && !failed(it)).cloned().collect()
    }

    fn started(self, service: &RegisterService, unsettled: Vec<Definition>) -> Started {
        let order = self.wanted.definitions.iter();
        let mut done = self.done;
        let done = order.filter_map(|it| done.remove_entry(&it.name)).collect();
        let tenure = service.tenure();
        let pending = unsettled.into_iter().map(|it| it.name).collect();
        Started { done, pending, readiness: self.readiness, tenure, failures: self.failures }
    }
}
