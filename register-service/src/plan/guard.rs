//! Limits on the removals of a whole plan: it must not remove everything, or a large share, by mistake.

use std::fmt;
use std::str::FromStr;

use schemas::Owner;
use schemas::admin::Registration;

use crate::plan::change::Plan;

/// Default share, in per cent, of an owner's registrations that one plan may remove.
const DEFAULT_SHARE: u8 = 30;

/// Limits on the removals of a plan.
///
/// ```
/// use register_service::plan::{Guards, Limit};
///
/// let guards = Guards { max_delete: "50%".parse()?, ..Guards::default() };
/// assert_eq!((guards.max_delete, guards.allow_empty), (Limit::Share(50), false));
/// # Ok::<(), register_service::plan::InvalidLimit>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Guards {
    /// True if all registrations may be removed because nothing is declared.
    pub allow_empty: bool,
    /// Maximum number of registrations to remove.
    pub max_delete: Limit,
}

/// A number of registrations, or a share of an owner's registrations. By default 30 %, but at least one.
///
/// ```
/// use register_service::plan::Limit;
///
/// assert_eq!("5".parse(), Ok(Limit::Count(5)));
/// assert_eq!("50%".parse(), Ok(Limit::Share(50)));
/// assert!("101%".parse::<Limit>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// A number of registrations.
    Count(usize),
    /// A percentage of the owner's registrations, but at least one.
    Share(u8),
}

/// Error for a text that is not a limit.
///
/// ```
/// use register_service::plan::{InvalidLimit, Limit};
///
/// assert_eq!("half".parse::<Limit>(), Err(InvalidLimit));
/// assert_eq!(InvalidLimit.to_string(), "a limit is a number such as `5`, or a share such as `30%`");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a limit is a number such as `5`, or a share such as `30%`")]
pub struct InvalidLimit;

/// Reason why a plan as a whole must not be applied.
///
/// ```
/// use register_service::plan::{Guard, Limit};
///
/// let guard = Guard::TooMany { owner: "team-a".parse()?, deletions: 4, owned: 10, limit: Limit::default() };
/// let text = "4 of 10 registrations of owner `team-a` would be removed, and at most 30 % may be";
/// assert_eq!(guard.to_string(), text);
/// # Ok::<(), schemas::InvalidParty>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Guard {
    /// Nothing is declared, so all registrations would be removed.
    #[error("nothing is declared, so all {deletions} registrations of owner `{owner}` would be removed")]
    Empty {
        /// Owner of the registrations.
        owner: Owner,
        /// Number of registrations that would be removed.
        deletions: usize,
    },
    /// More registrations would be removed than the limit allows.
    #[error("{deletions} of {owned} registrations of owner `{owner}` would be removed, and at most {limit} may be")]
    TooMany {
        /// Owner of the registrations.
        owner: Owner,
        /// Number of registrations that would be removed.
        deletions: usize,
        /// Number of registrations that the owner has.
        owned: usize,
        /// The limit.
        limit: Limit,
    },
}

impl Guard {
    /// Returns advice for the user.
    ///
    /// ```
    /// let guard = register_service::plan::Guard::Empty { owner: "team-a".parse()?, deletions: 3 };
    /// assert!(guard.hint().contains("--allow-empty"));
    /// # Ok::<(), schemas::InvalidParty>(())
    /// ```
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Empty { .. } => "if that is meant, say so with --allow-empty; else look at the paths that were given",
            Self::TooMany { .. } => {
                "if that is meant, say so with --max-delete 100%; else look at the paths that were given"
            }
        }
    }
}

impl Guards {
    /// Checks that a plan made from these registrations stays within the limits.
    ///
    /// # Errors
    ///
    /// [`Guard`] names the limit that the plan exceeds.
    ///
    /// ```
    /// use register_service::plan::{Guard, Guards, Plan, Policy, Prune, plan};
    ///
    /// # let tagged = r#"{"name":"a","transport":"stdio","command":"a","tags":{"owner":"me"}}"#;
    /// # let view = serde_json::from_str(&format!(r#"{{"definition":{tagged}}}"#))?;
    /// let observed = [view];
    /// let policy = Policy { prune: Prune::Owned, ..Policy::new("me".parse()?) };
    /// let plan = plan(&[], &observed, &policy);
    /// assert!(matches!(Guards::default().check(&plan, 0, &observed, &policy.owner), Err(Guard::Empty { .. })));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn check(&self, plan: &Plan, declared: usize, observed: &[Registration], owner: &Owner) -> Result<(), Guard> {
        let deletions = plan.deleted().count();
        let owned = observed.iter().filter(|it| it.definition.owner() == Some(owner.as_str())).count();
        let owner = owner.clone();
        match self {
            _ if deletions == 0 => Ok(()),
            Self { allow_empty, .. } if declared == 0 => {
                if *allow_empty {
                    Ok(())
                } else {
                    Err(Guard::Empty { owner, deletions })
                }
            }
            Self { max_delete: limit, .. } if deletions > limit.of(owned) => {
                Err(Guard::TooMany { owner, deletions, owned, limit: *limit })
            }
            Self { .. } => Ok(()),
        }
    }
}

impl Limit {
    fn of(self, whole: usize) -> usize {
        match self {
            Self::Count(count) => count,
            Self::Share(share) => (whole * usize::from(share) / 100).max(1),
        }
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self::Share(DEFAULT_SHARE)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Share(share) => write!(f, "{share} %"),
        }
    }
}

impl FromStr for Limit {
    type Err = InvalidLimit;

    fn from_str(text: &str) -> Result<Self, InvalidLimit> {
        match text.strip_suffix('%') {
            Some(share) => {
                let share = share.trim().parse().map_err(|_| InvalidLimit)?;
                if share <= 100 { Ok(Self::Share(share)) } else { Err(InvalidLimit) }
            }
            None => text.parse().map(Self::Count).map_err(|_| InvalidLimit),
        }
    }
}

#[cfg(test)]
mod tests {
    use schemas::plan::Prune;
    use serde_json::json;

    use super::*;
    use crate::plan::plan;
    use crate::plan::policy::Policy;

    fn check(guards: Guards, owned: usize, kept: usize, expected: Option<&str>) {
        let owner: Owner = "me".parse().expect("an owner");
        let definition = |number: usize| json!({ "name": format!("n{number}"), "transport": "stdio", "command": "a", "tags": { "owner": "me" } });
        let observed: Vec<Registration> = (0..owned)
            .map(|number| serde_json::from_value(json!({ "definition": definition(number) })).expect("a registration"))
            .collect();
        let desired: Vec<_> =
            (0..kept).map(|it| serde_json::from_value(definition(it)).expect("a definition")).collect();
        let policy = Policy { prune: Prune::Owned, ..Policy::new(owner.clone()) };
        let plan = plan(&desired, &observed, &policy);
        let refused = guards.check(&plan, kept, &observed, &owner).err().map(|guard| guard.to_string());
        assert_eq!(refused.as_deref(), expected, "{owned} owned, {kept} kept");
    }

    #[test]
    fn a_plan_that_removes_all_or_much_is_refused_until_that_is_asked_for() {
        let default = Guards::default();
        check(default, 10, 10, None);
        check(default, 10, 7, None);
        check(default, 10, 6, Some("4 of 10 registrations of owner `me` would be removed, and at most 30 % may be"));
        check(default, 2, 1, None);
        check(default, 1, 0, Some("nothing is declared, so all 1 registrations of owner `me` would be removed"));
        check(Guards { allow_empty: true, ..default }, 10, 0, None);
        check(Guards { max_delete: Limit::Count(4), ..default }, 10, 6, None);
        check(Guards { max_delete: Limit::Share(100), ..default }, 10, 1, None);
        check(
            Guards { max_delete: Limit::Count(0), ..default },
            10,
            9,
            Some("1 of 10 registrations of owner `me` would be removed, and at most 0 may be"),
        );
    }
}
