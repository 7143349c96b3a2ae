//! Rules for making a plan.

use schemas::Owner;
use schemas::plan::{Adopt, Prune};

/// Rules for making a plan.
///
/// ```
/// use register_service::plan::{COMMIT_TAG, Change, Policy, plan};
///
/// let policy = Policy { commit: Some("4f2a91c".to_owned()), ..Policy::new("team-a".parse()?) };
/// let declared = serde_json::from_str(r#"{"name":"time","transport":"stdio","command":"mcp-server-time"}"#)?;
/// if let [Change::Create { definition }] = &plan(&[declared], &[], &policy).changes[..] {
///     assert_eq!(definition.tags[COMMIT_TAG], "4f2a91c");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Policy {
    /// Owner on whose behalf the plan is made.
    pub owner: Owner,
    /// Registrations of other owners that may be changed.
    pub adopt: Adopt,
    /// True to take over registrations that may be changed even if only their owner differs.
    pub claim: bool,
    /// Registrations to remove because they are no longer declared.
    pub prune: Prune,
    /// Commit of the declarations, recorded in a tag for people.
    pub commit: Option<String>,
    /// Person on whose behalf an automatic job makes the change, recorded in a tag for people.
    pub actor: Option<String>,
    /// URL of the job run, recorded in a tag for people.
    pub run: Option<String>,
    /// Declarations come from a backup: each keeps the owner and the other tags that it has, see
    /// [`restored`](crate::files::restored).
    pub restore: bool,
}

impl Policy {
    /// Creates the policy of an owner that neither takes over nor removes registrations.
    ///
    /// ```
    /// use register_service::plan::{Adopt, Policy, Prune};
    ///
    /// let policy = Policy::new("team-a".parse()?);
    /// assert_eq!((policy.adopt, policy.prune), (Adopt::Nothing, Prune::Nothing));
    /// # Ok::<(), schemas::InvalidParty>(())
    /// ```
    pub fn new(owner: Owner) -> Self {
        Self { owner, ..Self::default() }
    }
}
