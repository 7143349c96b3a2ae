//! A worker's start: from whatever the gateway is at, as far as what the worker needs.

use std::collections::BTreeMap;
use std::time::Duration;

use proxy_client::{Client, Needs, Readiness};
use schemas::{Definition, ServerName};
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use crate::apply::{ApplyError, Done};
use crate::service::lease::{Tenure, is_final};
use crate::service::{RegisterService, chain};
use crate::workflow::Desired;

/// How long the first look at the gateway may take. Each that is not answered gives the next one twice as long.
const FIRST_LOOK: Duration = Duration::from_secs(1);
const LONGEST_LOOK: Duration = Duration::from_secs(10);
/// What a look needs to say more than that there was no time for it.
const LAST_LOOK: Duration = Duration::from_millis(100);
/// How long the optional upstreams that are still connecting are waited for once all required ones are connected.
const GRACE: Duration = Duration::from_millis(500);

/// What a worker wants of its gateway.
///
/// ```no_run
/// use register_service::{Environment, Settings, Wanted, load};
///
/// let settings = Settings::new("http://127.0.0.1:6001".parse()?, Environment::default());
/// let desired = load(&["workflows".into()], &settings)?.desired;
/// let wanted = Wanted::from(&desired).with_optional(["time".parse()?]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// What is to be registered.
    pub definitions: Vec<Definition>,
    /// What has to be connected, and what may be.
    pub needs: Needs,
    /// The gateway's names for the servers that the files call otherwise.
    pub ids: BTreeMap<String, ServerName>,
}

/// A worker can go to work.
///
/// ```no_run
/// use register_service::Done;
///
/// # async fn run(service: register_service::RegisterService, wanted: register_service::Wanted)
/// # -> Result<(), register_service::NotStarted> {
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
    /// What was done about each definition; missing are those that are pending or failed, all of optional servers.
    pub done: Vec<(ServerName, Done)>,
    /// What could not be registered yet, and will be as soon as the gateway takes it.
    pub pending: Vec<ServerName>,
    /// Which optional servers are not connected. Nothing required is missing.
    pub readiness: Readiness,
    /// What ends the registrations.
    pub tenure: Tenure,
    /// Why definitions of optional servers could not be registered.
    pub failures: Vec<ApplyError>,
}

/// A worker cannot go to work: something that it requires is missing.
///
/// ```
/// use std::time::Duration;
///
/// use proxy_client::Client;
/// use register_service::{Options, RegisterService, Wanted};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Nobody listens there.
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
    /// Which required and optional servers are not connected, with their states and last errors.
    pub readiness: Readiness,
    /// Why definitions could not be registered, where that was tried.
    pub failures: Vec<ApplyError>,
}

fn told(readiness: &Readiness, failures: &[ApplyError]) -> String {
    let source = readiness.source.as_ref().map(|error| format!("; {}", chain(error))).unwrap_or_default();
    match failures {
        [] => format!("{readiness}{source}"),
        failures => format!("{readiness}{source}; {}", crate::service::told(failures)),
    }
}

impl Wanted {
    /// These definitions, all of them required.
    ///
    /// ```
    /// use register_service::Wanted;
    ///
    /// let definition = serde_json::from_str(r#"{"name":"time","transport":"stdio","command":"mcp-server-time"}"#)?;
    /// assert_eq!(Wanted::new(vec![definition]).needs.to_string(), "`time`");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub fn new(definitions: Vec<Definition>) -> Self {
        let needs = Needs::required(definitions.iter().map(|it| it.name.clone()));
        Self { definitions, needs, ids: BTreeMap::new() }
    }

    /// The same, but these servers need not be connected.
    ///
    /// ```
    /// use register_service::Wanted;
    ///
    /// let wanted = Wanted::new(Vec::new()).with_optional(["time".parse()?]);
    /// assert_eq!(wanted.needs.to_string(), "`time` if possible");
    /// # Ok::<(), schemas::InvalidName>(())
    /// ```
    #[must_use]
    pub fn with_optional(mut self, names: impl IntoIterator<Item = ServerName>) -> Self {
        self.needs = self.needs.with_optional(names);
        self
    }
}

impl From<&Desired> for Wanted {
    /// What files want of the gateway: every server that they register or refer to is required.
    fn from(desired: &Desired) -> Self {
        let mut ids = BTreeMap::new();
        for entry in desired.entries() {
            if let Some(name) = entry.name() {
                ids.entry(entry.id.clone()).or_insert_with(|| name.clone());
            }
        }
        Self { definitions: desired.definitions(), needs: Needs::required(desired.names()), ids }
    }
}

/// How far a start has come.
struct Progress<'a> {
    client: &'a Client,
    wanted: &'a Wanted,
    deadline: Instant,
    /// What is still to be registered.
    pending: Vec<Definition>,
    done: BTreeMap<ServerName, Done>,
    failures: Vec<ApplyError>,
    readiness: Readiness,
    look: Duration,
}

pub(super) async fn start(service: &RegisterService, wanted: &Wanted, within: Duration) -> Result<Started, NotStarted> {
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
        // A millisecond, because a deadline of zero would not even be tried.
        self.deadline.saturating_duration_since(Instant::now()).clamp(Duration::from_millis(1), most)
    }

    /// One more step: is it healthy, is everything registered, what is connected?
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
                // A gateway that was restarted meanwhile has forgotten them.
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

    /// Whether waiting is no use, because somebody has to mend something first.
    fn is_hopeless(&self, service: &RegisterService) -> bool {
        self.failures.iter().any(|failure| is_final(failure) && self.must_register(failure.name(), service))
    }

    /// Whether all is registered that must be.
    fn is_registered(&self, service: &RegisterService) -> bool {
        !self.unsettled().iter().any(|it| self.must_register(&it.name, service))
    }

    fn must_register(&self, name: &ServerName, service: &RegisterService) -> bool {
        service.shared.options.fail_on_registration_error || self.wanted.needs.requires(name)
    }

    /// What is not registered yet, although nobody has to mend anything for it.
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
