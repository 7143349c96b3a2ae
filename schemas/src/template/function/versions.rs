//! Sprig's functions for versions, which Masterminds' `semver` implements.

mod constraint;

use crate::template::budget::Budget;
use crate::template::function::versions::constraint::Constraints;
use crate::template::function::{Outcome, utf8};
use crate::template::problem::Problem;
use crate::template::value::{Integer, Value};
use crate::template::version::Version;

/// Messages show no value, because it may contain a variable's.
const NO_VERSION: &str = "a text is not a version, such as `1.2.3`";

pub(super) fn semver(values: &[Value], _: &mut Budget) -> Outcome {
    let text = utf8(values, 0)?;
    let version = Version::parse(text).ok_or_else(|| Problem::Error(NO_VERSION.to_owned()))?;
    Ok(Value::Version(std::rc::Rc::new(version)))
}

pub(super) fn semver_compare(values: &[Value], _: &mut Budget) -> Outcome {
    let (constraint, text) = (utf8(values, 0)?, utf8(values, 1)?);
    let constraints = Constraints::parse(constraint)
        .ok_or_else(|| Problem::Refused("this constraint on versions is not understood here".to_owned()))?;
    let version = Version::parse(text).ok_or_else(|| Problem::Error(NO_VERSION.to_owned()))?;
    Ok(Value::Bool(constraints.hold(&version)))
}

/// Returns the value of `.Major` and the like of a version.
pub(in crate::template) fn field(version: &Version, name: &str) -> Outcome {
    let [major, minor, patch] = version.numbers;
    let number = |number: u64| match i64::try_from(number) {
        Ok(number) => Ok(Value::Int(number, Integer::Uint64)),
        Err(_) => Err(Problem::Refused("a version's number is too large".to_owned())),
    };
    match name {
        "Major" => number(major),
        "Minor" => number(minor),
        "Patch" => number(patch),
        "Prerelease" => Ok(Value::text(&version.prerelease)),
        "Metadata" => Ok(Value::text(&version.metadata)),
        "Original" => Ok(Value::text(&version.original)),
        "String" => Ok(Value::text(version.shown())),
        _ => Err(Problem::Refused(format!("`.{name}` of a version is not computed here"))),
    }
}
