//! Prepares commands that compare or change: reads files and registrations, and computes the plan between them.

use proxy_client::Client;
use register_service::files::{Desired, Diagnostic, Loaded, restored};
use register_service::plan::{Adopt, Change, Guards, Plan, Policy, Prune, Reason, Refusal, plan};
use register_service::{Settings, load};
use schemas::admin::Registration;
use schemas::{Definition, Holder, Owner, ServerName};

use crate::cli::{Changes, Files, Global, Job, Process, Pruned, Reading};
use crate::commands::progress;
use crate::exit::Exit;
use crate::printer::Printer;
use crate::report::{Report, chain};

/// Context of a command besides its own flags.
pub(super) struct Context {
    pub(super) settings: Settings,
    pub(super) client: Client,
    pub(super) printer: Printer,
    /// True in CI, where nobody can be asked.
    pub(super) is_ci: bool,
    /// Job of an automatic run: commit, actor and run.
    job: Job,
    /// Holder of locks, as shown to other runs.
    pub(super) holder: Holder,
}

impl Context {
    pub(super) fn new(global: &Global, process: &Process, reading: &Reading, printer: Printer) -> anyhow::Result<Self> {
        let settings = global.settings(process, reading)?;
        let client = global.client(process, &settings.gateway)?;
        let (is_ci, job, holder) = (process.is_ci(), process.job(), process.holder()?);
        Ok(Self { settings, client, printer, is_ci, job, holder })
    }

    /// Returns the policy for this owner, with the details of the job.
    pub(super) fn policy(&self, owner: Owner) -> Policy {
        let Job { commit, actor, run } = self.job.clone();
        Policy { commit, actor, run, ..Policy::new(owner) }
    }
}

/// Files, registrations, and the plan between them.
pub(super) struct Prepared {
    pub(super) desired: Desired,
    pub(super) definitions: Vec<Definition>,
    pub(super) observed: Vec<Registration>,
    pub(super) policy: Policy,
    pub(super) plan: Plan,
    pub(super) remarks: Vec<Diagnostic>,
    /// True if the owner is the default one, which every job without an owner uses.
    is_anyones: bool,
}

/// Returns the policy: which changes are allowed.
pub(super) fn policy(changes: &Changes, context: &Context, desired: &Desired) -> anyhow::Result<Policy> {
    let prune = match changes.prune {
        Some(Pruned::Owned) => Prune::Owned,
        Some(Pruned::None) => Prune::Nothing,
        None if context.is_ci => anyhow::bail!(
            "in CI it has to be said whether registrations that no file declares any more are removed: \
             --prune owned, or --prune none"
        ),
        None => Prune::Nothing,
    };
    let adopt = if changes.adopt { Adopt::Anything } else { Adopt::Nothing };
    Ok(Policy { adopt, prune, ..context.policy(owner(changes.owner.as_ref(), desired)) })
}

/// Returns the owner: as given, else the project's, else this program's.
pub(super) fn owner(said: Option<&Owner>, desired: &Desired) -> Owner {
    let project = || desired.project().and_then(|name| name.parse().ok());
    said.cloned().or_else(project).unwrap_or_default()
}

/// Reads files, or returns the report of their errors.
pub(super) fn read(command: &'static str, files: &Files, settings: &Settings) -> Result<Loaded, Report> {
    load(&files.paths, settings).map_err(|invalid| Report::invalid(command, invalid))
}

/// Compares the declarations in files with the registrations of the gateway.
pub(super) async fn compare(
    command: &'static str,
    loaded: Loaded,
    policy: Policy,
    context: &Context,
) -> Result<Prepared, Report> {
    let Loaded { desired, remarks } = loaded;
    let definitions = if policy.restore { restored(&desired) } else { desired.definitions() };
    let observed = match progress::during(context.printer, &gateway_at(&context.client), context.client.list()).await {
        Ok(observed) => observed,
        Err(error) => return Err(unreachable(Report::new(command, remarks), &error)),
    };
    let plan = plan(&definitions, &observed, &policy);
    let is_anyones = context.is_ci && policy.owner == Owner::default();
    Ok(Prepared { desired, definitions, observed, policy, plan, remarks, is_anyones })
}

/// Names the gateway in progress messages.
pub(super) fn gateway_at(client: &Client) -> String {
    format!("the gateway at {}", client.base_url())
}

/// Returns the report for a gateway that does not answer, or answers with an error.
pub(super) fn unreachable(report: Report, error: &proxy_client::Error) -> Report {
    let exit = Exit::of(error);
    report.failed(exit, chain(error), hint(exit))
}

/// Returns a hint for a failed request.
pub(super) fn hint(exit: Exit) -> Option<&'static str> {
    match exit {
        Exit::NotReady => Some("start the gateway with `mcp-proxy`, or say where it is with --proxy-url"),
        Exit::Unauthorized => Some("give the admin token in MCP_PROXY_ADMIN_TOKEN"),
        _ => None,
    }
}

/// Changes that a refused change blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// All changes, unless the refused ones lack only their secrets.
    Everything,
    /// Only itself; the other changes are made: `--no-atomic`.
    Itself,
}

impl Reach {
    /// True if a change that is refused for this reason blocks the others.
    fn blocks(self, why: &Refusal) -> bool {
        match why {
            Refusal::Redacted | Refusal::Unknown => false,
            _ => self == Self::Everything,
        }
    }
}

/// Returns a hint for a refused change.
pub(super) fn advice(why: &Refusal) -> &'static str {
    match why {
        Refusal::Foreign { .. } => "rename the entry, sync as that owner with --owner, or take it over with --adopt",
        Refusal::Protected => "declare it again, or remove it with `register-service deregister --force`",
        _ => {
            "give the secrets, best as templates such as `{{ .env.TOKEN }}`; a backup that has them is made with `dump --secrets`"
        }
    }
}

impl Prepared {
    /// Drops removals of registrations that are declared, but unresolved because a variable is not set here.
    pub(super) fn keep_unresolved(&mut self) {
        let Self { desired, plan, .. } = self;
        let is_unresolved = |name: &str| desired.unresolved().iter().any(|(id, _)| id == name);
        plan.changes.retain(|change| match change {
            Change::Delete { name, .. } | Change::Refuse { name, why: Refusal::Protected, .. } => {
                !is_unresolved(name.as_str())
            }
            _ => true,
        });
    }

    /// Compares the files with the current registrations again.
    pub(super) async fn again(self, command: &'static str, context: &Context) -> Result<Self, Report> {
        let Self { desired, remarks, policy, .. } = self;
        compare(command, Loaded { desired, remarks }, policy, context).await
    }

    /// Adds the reasons why the plan must not be applied, if there are any. Nothing was changed then.
    pub(super) fn refuse(&self, mut report: Report, guards: &Guards, reach: Reach) -> Report {
        for (name, why, _) in self.refused().filter(|(_, why, _)| reach.blocks(why)) {
            let message = format!("`{name}` {why}; nothing was changed");
            report = report.failed(Exit::Refused, message, Some(advice(why)));
        }
        if self.is_anyones && self.plan.deleted().next().is_some() {
            let message = format!(
                "registrations would be removed in the name of `{}`, which is that of every job that names no owner; nothing \
                 was changed",
                self.policy.owner
            );
            let hint = "say whose they are with --owner, or give the project a `name` in compozy.yaml";
            report = report.failed(Exit::Refused, message, Some(hint));
        }
        match guards.check(&self.plan, self.definitions.len(), &self.observed, &self.policy.owner) {
            Ok(()) => report,
            Err(guard) => report.failed(Exit::Refused, format!("{guard}; nothing was changed"), Some(guard.hint())),
        }
    }

    /// Adds the changes that would be refused while the others would be made.
    pub(super) fn foretell(&self, mut report: Report, reach: Reach) -> Report {
        for (name, why, reasons) in self.refused().filter(|(_, why, _)| !reach.blocks(why)) {
            let places: Vec<&str> = reasons.iter().map(|reason| reason.field.as_str()).collect();
            let message = format!("`{name}` {why} ({}); it is passed over", places.join(", "));
            report = report.failed(Exit::Refused, message, Some(advice(why)));
        }
        report
    }

    fn refused(&self) -> impl Iterator<Item = (&ServerName, &Refusal, &[Reason])> {
        self.plan.refused().filter_map(|change| match change {
            Change::Refuse { name, why, reasons, .. } => Some((name, why, reasons.as_slice())),
            _ => None,
        })
    }

    /// Warns of declarations that another owner has registered alike, at a gateway that cannot keep a registration for
    /// both.
    pub(super) fn warn_of_others(&self, printer: Printer) {
        let kept = self.plan.changes.iter().filter(|change| matches!(change, Change::Keep { .. }));
        for change in kept {
            let name = change.name();
            let observed = self.observed.iter().find(|it| it.definition.name() == name.as_str());
            let Some(observed) = observed.filter(|it| it.revision.is_none() && !self.policy.restore) else { continue };
            if let Some(holder) = observed.definition.owner().filter(|holder| *holder != self.policy.owner.as_str()) {
                printer.progress(&format!(
                    "`{name}` is registered by `{holder}` as it is declared here; if `{holder}` removes it, it is gone until the \
                     next sync; `register-service adopt` takes it over"
                ));
            }
        }
    }

    /// Returns the names that no file declares any more, and that stay because pruning is off.
    pub(super) fn left(&self) -> Vec<String> {
        if self.policy.prune == Prune::Owned {
            return Vec::new();
        }
        let pruning = Policy { prune: Prune::Owned, ..self.policy.clone() };
        plan(&self.definitions, &self.observed, &pruning).deleted().map(ToString::to_string).collect()
    }
}

/// Returns the limits on removals.
pub(super) fn guards(changes: &Changes) -> Guards {
    Guards { allow_empty: changes.allow_empty, max_delete: changes.max_delete }
}
