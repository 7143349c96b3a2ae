//! Reasons why a template does not render.

use std::ops::Range;

/// Reason why a template does not render.
///
/// ```
/// use schemas::template::{Environment, FaultKind, OnUnset, render};
///
/// let faults = render("a{{ .env.B }}", &Environment::default(), OnUnset::Refused).err().ok_or("rendered")?;
/// assert_eq!((&faults[0].kind, faults[0].part.clone()), (&FaultKind::Unset("B".to_owned()), 4..10));
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Span of the faulty part in the template, in bytes.
    pub part: Range<usize>,
    /// Kind of the fault, with its message.
    pub kind: FaultKind,
    /// Suggested fix.
    pub hint: Option<String>,
}

/// Kinds of faults in a template.
///
/// ```
/// use schemas::template::{Environment, FaultKind, OnUnset, render};
///
/// let faults = render("{{ now }}", &Environment::default(), OnUnset::Refused).err().ok_or("rendered")?;
/// assert!(matches!(faults[0].kind, FaultKind::Refused(_)), "it depends on the clock");
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// The variable is not set.
    Unset(String),
    /// Go refuses the template too.
    Bad(String),
    /// Go may render the template, but this renderer does not.
    Refused(String),
}

/// Treatment of unset variables in a template.
///
/// ```
/// use schemas::template::{Environment, OnUnset, render};
///
/// let text = "{{ .env.A | default \"b\" }}";
/// assert_eq!(render(text, &Environment::default(), OnUnset::Tolerated).as_deref(), Ok("b"));
/// assert!(render(text, &Environment::default(), OnUnset::Refused).is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnset {
    /// An unset variable is a fault wherever it is evaluated, as in the engine.
    Refused,
    /// An unset variable is a fault where its value is used; `default`, `coalesce`, `or`, `if` and the like treat it as
    /// empty.
    Tolerated,
}

impl Fault {
    pub(super) fn bad(part: Range<usize>, message: impl Into<String>) -> Self {
        Self { part, kind: FaultKind::Bad(message.into()), hint: None }
    }

    pub(super) fn refused(part: Range<usize>, message: impl Into<String>) -> Self {
        Self { part, kind: FaultKind::Refused(message.into()), hint: None }
    }

    pub(super) fn unset(part: Range<usize>, name: &str) -> Self {
        Self { part, kind: FaultKind::Unset(name.to_owned()), hint: None }
    }
}
